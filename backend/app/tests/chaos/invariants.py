"""What must be true of the rows after any crash, once the server has come to rest."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from app.adapters.database import Database
from app.models import Approval, Attempt, AuditEvent, Directory, Handoff, Pipeline
from app.schemas.pipeline import FINAL_PIPELINE, FINAL_STEP

_STATE_OF_EVENT = {
    "pipeline.created": "pending",
    "pipeline.started": "running",
    "pipeline.waiting": "waiting_for_approval",
    "pipeline.resumed": "running",
    "pipeline.restarted": "pending",
    "pipeline.done": "done",
    "pipeline.failed": "failed",
    "pipeline.aborted": "aborted",
    "step.started": "running",
    "step.resumed": "running",
    "step.waiting": "waiting_for_approval",
    "step.reset": "pending",
    "step.done": "done",
    "step.failed": "failed",
    "step.skipped": "skipped",
    "step.aborted": "aborted",
}


async def violations(database: Database) -> list[str]:
    """Every broken invariant as a sentence; empty when all hold."""
    async with database.reads() as db:
        runs = (await db.scalars(select(Pipeline).options(selectinload(Pipeline.steps)))).all()
        events = (await db.scalars(select(AuditEvent).order_by(AuditEvent.id))).all()
        holders = (await db.scalars(select(Directory.holder_id).where(Directory.holder_id.is_not(None)))).all()
        gates = (await db.scalars(select(Approval))).all()
        attempts = (await db.scalars(select(Attempt))).all()
        handoffs = (await db.scalars(select(Handoff))).all()
    return [*_rows(runs, holders), *_replay(runs, events), *_gates(gates, events), *_attempts(attempts, handoffs)]


def _rows(runs: Sequence[Pipeline], holders: Sequence[int | None]) -> list[str]:
    found: list[str] = []
    final = {run.id for run in runs if run.status in FINAL_PIPELINE}
    for run in runs:
        open_steps = [step.order_index for step in run.steps if step.status not in FINAL_STEP]
        if run.id in final and open_steps:
            found.append(f"run {run.id} is {run.status} with open steps {open_steps}")
    found += [f"run {holder} is over and holds a directory" for holder in holders if holder in final]
    return found


def _replay(runs: Sequence[Pipeline], events: Sequence[AuditEvent]) -> list[str]:
    """Replaying the audit events gives exactly the stored states."""
    said: dict[tuple[int | None, int | None], str] = {}
    for event in events:
        if event.type in _STATE_OF_EVENT:
            said[event.pipeline_id, event.step_id] = _STATE_OF_EVENT[event.type]
    stored: dict[tuple[int, int | None], str] = {(run.id, None): run.status for run in runs}
    stored |= {(run.id, step.id): step.status for run in runs for step in run.steps}
    return [
        f"run {run_id}, step {step_id} is {state}, its events say {said.get((run_id, step_id), 'pending')}"
        for (run_id, step_id), state in stored.items()
        if said.get((run_id, step_id), "pending") != state
    ]


def _gates(gates: Sequence[Approval], events: Sequence[AuditEvent]) -> list[str]:
    decided: dict[int | None, list[str]] = defaultdict(list)
    for event in events:
        if event.type in ("approval.approved", "approval.rejected", "approval.changes_requested", "approval.cancelled"):
            decided[event.step_id].append(event.type)
    found = []
    for step_id in {gate.step_id for gate in gates}:
        closed = [gate for gate in gates if gate.step_id == step_id and gate.status != "pending"]
        if len(closed) != len(decided[step_id]):
            found.append(f"gates of step {step_id}: {len(closed)} decided, events {decided[step_id]}")
    return found


def _attempts(attempts: Sequence[Attempt], handoffs: Sequence[Handoff]) -> list[str]:
    found = []
    own = [handoff.attempt_id for handoff in handoffs]
    for attempt in attempts:
        if attempt.outcome == "done" and own.count(attempt.id) != 1:
            found.append(f"attempt {attempt.id} is done with {own.count(attempt.id)} hand-offs")
    return found

"""What must be true of the rows after any crash, once the server has come to rest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import selectinload, undefer

from app.adapters.database import Database
from app.models import AgentRequest, Approval, Attempt, AuditEvent, Directory, Handoff, Pipeline, Step
from app.schemas.pipeline import FINAL_PIPELINE, FINAL_STEP
from app.services.attempts import unpack_transcript

WAITING = ("waiting_for_approval", "waiting_for_input")
ACTIVE = ("running", *WAITING)
_FINAL = FINAL_PIPELINE | FINAL_STEP
_STATE_OF_EVENT = {
    "pipeline.created": "pending",
    "pipeline.started": "running",
    "pipeline.resumed": "running",
    "pipeline.restarted": "pending",
    "pipeline.done": "done",
    "pipeline.failed": "failed",
    "pipeline.aborted": "aborted",
    "step.started": "running",
    "step.resumed": "running",
    "step.reset": "pending",
    "step.retry_scheduled": "pending",
    "step.done": "done",
    "step.failed": "failed",
    "step.skipped": "skipped",
    "step.aborted": "aborted",
}
_BEGIN_ANEW = ("pipeline.restarted", "step.reset")
_GATE_EVENT = {
    ("approved", "approve"): "approval.approved",
    ("rejected", "reject"): "approval.rejected",
    ("rejected", "request_changes"): "approval.changes_requested",
    ("cancelled", None): "approval.cancelled",
}


@dataclass(frozen=True)
class Rows:
    """Everything stored, read in one transaction."""

    runs: Sequence[Pipeline]
    events: Sequence[AuditEvent]
    directories: Sequence[Directory]
    gates: Sequence[Approval]
    requests: Sequence[AgentRequest]
    attempts: Sequence[Attempt]
    handoffs: Sequence[Handoff]

    @classmethod
    async def read(cls, database: Database) -> "Rows":
        """All rows as they are now."""
        async with database.reads() as db:
            return cls(
                (await db.scalars(select(Pipeline).options(selectinload(Pipeline.steps)))).all(),
                (await db.scalars(select(AuditEvent).order_by(AuditEvent.id))).all(),
                (await db.scalars(select(Directory))).all(),
                (await db.scalars(select(Approval))).all(),
                (await db.scalars(select(AgentRequest))).all(),
                (await db.scalars(select(Attempt).options(undefer(Attempt.transcript)))).all(),
                (await db.scalars(select(Handoff))).all(),
            )


async def violations(database: Database) -> list[str]:
    """Every broken invariant as a sentence; empty when all hold."""
    rows = await Rows.read(database)
    return [
        *final_runs(rows), *replayed(rows), *directories(rows), *gates(rows), *requests(rows), *attempts(rows),
        *answers(rows),
    ]  # fmt: skip


def final_runs(rows: Rows) -> list[str]:
    """A final run has only final steps, and a run that is done has only steps that are."""
    found = []
    for run in rows.runs:
        allowed = {"done"} if run.status == "done" else FINAL_STEP
        other = [step.order_index for step in run.steps if step.status not in allowed]
        if run.status in FINAL_PIPELINE and other:
            found.append(f"run {run.id} is {run.status}, its steps {other} are not")
    return found


def replayed(rows: Rows) -> list[str]:
    """Replaying the audit events gives exactly the stored states, and nothing ends twice."""
    found: list[str] = []
    said: dict[tuple[int | None, int | None], str] = {}
    for event in rows.events:
        state = _state_after(event)
        if state is None:
            continue
        key = (event.pipeline_id, event.step_id)
        if said.get(key) in _FINAL and event.type not in _BEGIN_ANEW:
            found.append(f"run {key[0]}, step {key[1]}: {event.type} after it was {said[key]}")
        said[key] = state
    stored: dict[tuple[int, int | None], str] = {(run.id, None): run.status for run in rows.runs}
    stored |= {(run.id, step.id): step.status for run in rows.runs for step in run.steps}
    found += [
        f"run {run_id}, step {step_id} is {state}, its events say {said.get((run_id, step_id), 'pending')}"
        for (run_id, step_id), state in stored.items()
        if said.get((run_id, step_id), "pending") != state
    ]
    return found


def _state_after(event: AuditEvent) -> str | None:
    if event.type in ("pipeline.waiting", "step.waiting"):
        return f"waiting_for_{event.payload.get('for_', 'approval')}"
    return _STATE_OF_EVENT.get(event.type)


def directories(rows: Rows) -> list[str]:
    """At most one run is at work in a directory, it is the holder, and who is over holds none."""
    found = []
    by_id = {run.id: run for run in rows.runs}
    for place in rows.directories:
        active = [run.id for run in rows.runs if run.directory_id == place.id and run.status in ACTIVE]
        if active not in ([], [place.holder_id]):
            found.append(f"runs {active} are at work in directory {place.id}, held by {place.holder_id}")
        if place.holder_id is not None and by_id[place.holder_id].status in FINAL_PIPELINE:
            found.append(f"run {place.holder_id} is over and holds a directory")
    return found


def gates(rows: Rows) -> list[str]:
    """A gate has at most one decision, the outcome matches it, and somebody is named."""
    found = []
    steps = {step.id: step for run in rows.runs for step in run.steps}
    said = Counter((event.step_id, event.type) for event in rows.events if event.type in _GATE_EVENT.values())
    closed = [gate for gate in rows.gates if gate.status != "pending"]
    stored: Counter[tuple[int | None, str]] = Counter(
        (gate.step_id, _GATE_EVENT.get((gate.status, gate.decision), "?")) for gate in closed
    )
    if said != stored:
        found.append(f"gates say {dict(stored - said)}, their events {dict(said - stored)}")
    found += [f"gate {gate.id} was decided by nobody" for gate in closed if not gate.decided_by]
    for gate in rows.gates:
        newest = max(other.id for other in rows.gates if other.step_id == gate.step_id) == gate.id
        fits = _step_after(gate)
        if newest and steps[gate.step_id].status not in fits:
            found.append(f"gate {gate.id} is {gate.status}, its step {steps[gate.step_id].status}")
    return found


def _step_after(gate: Approval) -> set[str]:
    """What the step of a newest gate may be; restarted runs begin anew."""
    anew = {"pending", "running", "skipped", "aborted"}
    decided = {"approve": {"done"}, "reject": {"failed"}, "request_changes": set(), None: {"aborted"}}
    return {"waiting_for_approval"} if gate.status == "pending" else decided.get(gate.decision, set()) | anew


def requests(rows: Rows) -> list[str]:
    """A request of an agent is closed at most once, and an open one has a waiting step and run."""
    found = []
    steps = {step.id: step for run in rows.runs for step in run.steps}
    by_id = {run.id: run for run in rows.runs}
    closing = {f"request.{word}" for word in ("answered", "denied", "expired", "cancelled")}
    said = Counter(event.payload.get("request_id") for event in rows.events if event.type in closing)
    for request in rows.requests:
        is_open = request.status == "pending"
        if said[request.id] != (0 if is_open else 1):
            found.append(f"request {request.id} is {request.status} and was closed {said[request.id]} times")
        waiting = (by_id[request.pipeline_id].status, steps[request.step_id].status)
        if is_open and waiting != ("waiting_for_input", "waiting_for_input"):
            found.append(f"request {request.id} is open, its run and step are {waiting}")
    return found


def attempts(rows: Rows) -> list[str]:
    """At most one hand-off for each attempt, one open attempt for each step, none for a run that is over."""
    own = Counter(handoff.attempt_id for handoff in rows.handoffs if handoff.attempt_id is not None)
    done = {attempt.id for attempt in rows.attempts if attempt.outcome == "done"}
    found = [
        f"attempt {one} has {own[one]} hand-offs and is {'' if one in done else 'not '}done"
        for one in done | set(own)
        if own[one] != (1 if one in done else 0)
    ]
    over = {step.id for run in rows.runs if run.status in FINAL_PIPELINE for step in run.steps}
    still = Counter(attempt.step_id for attempt in rows.attempts if attempt.outcome is None)
    found += [f"step {step} has {count} open attempts" for step, count in still.items() if count > 1 or step in over]
    return found


def answers(rows: Rows) -> list[str]:
    """`done` means a stored, completed, non-empty assistant message."""
    found = []
    newest = {attempt.step_id: attempt for attempt in sorted(rows.attempts, key=lambda attempt: attempt.id)}
    for step in (step for run in rows.runs for step in run.steps):
        if step.type == "agent" and step.status == "done" and not _answered(newest.get(step.id)):
            found.append(f"step {step.id} is done without an answer")
    found += [f"attempt {one.id} is done without an answer" for one in rows.attempts if _unfounded(one)]
    return found


def _unfounded(attempt: Attempt) -> bool:
    return attempt.outcome == "done" and not _answered(attempt)


def _answered(attempt: Attempt | None) -> bool:
    if attempt is None or attempt.outcome != "done":
        return False
    said = [one for one in unpack_transcript(attempt.transcript) or [] if one.role == "assistant" and not one.child]
    last = said[-1] if said else None
    return last is not None and last.completed_at is not None and last.error is None and bool(last.text.strip())


async def final_sessions(database: Database) -> set[str]:
    """Sessions of OpenCode that belong to runs that are over."""
    query = select(Attempt.session_id).join(Step, Step.id == Attempt.step_id).join(Pipeline)
    async with database.reads() as db:
        found = await db.scalars(query.where(Pipeline.status.in_(FINAL_PIPELINE), Attempt.session_id.is_not(None)))
        return {str(session) for session in found}


@dataclass(frozen=True)
class Kept:
    """What an answer with 2xx must have left: an event of the run and, if a person gave any, their words."""

    run_id: int | None
    event: str
    words: str = ""


async def unkept(database: Database, acknowledged: Sequence[Kept]) -> list[str]:
    """Every answer with 2xx of which something is missing: as many events of a type as were acknowledged, all words."""
    async with database.reads() as db:
        rows = await db.execute(select(AuditEvent.pipeline_id, AuditEvent.type))
        there = Counter((run_id, kind) for run_id, kind in rows)
    missing = Counter((one.run_id, one.event) for one in acknowledged) - there
    found = [f"run {run_id}: {kind} was acknowledged and is gone" for run_id, kind in missing]
    stored = _words(await Rows.read(database))
    return found + [
        f"run {one.run_id}: the words of {one.event} were acknowledged and are gone: {one.words}"
        for one in acknowledged
        if one.words and (one.run_id, one.event, one.words) not in stored
    ]


def _words(rows: Rows) -> set[tuple[int, str, str | None]]:
    """What people said: run, event and words of each decision, edited hand-off and answer."""
    run_of = {step.id: run.id for run in rows.runs for step in run.steps}
    said = {(gate.pipeline_id, _GATE_EVENT.get((gate.status, gate.decision), "?"), gate.comment) for gate in rows.gates}
    said |= {(run_of[one.step_id], "handoff.edited", one.text) for one in rows.handoffs if one.edited_by}
    return said | {(one.pipeline_id, f"request.{one.status}", one.message) for one in rows.requests}

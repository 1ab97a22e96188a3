"""Every status of a run, a step and a gate moves here, each with exactly one audit event.

Waiting for a person whom an agent asks begins and ends in services/request_transitions.py.

All functions expect an open write transaction in which the run was taken with services/run_locks.py.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import StaleEpoch, StateConflict
from app.models import Approval, Pipeline, Step
from app.schemas.audit import AuditType
from app.schemas.pipeline import FINAL_PIPELINE, FINAL_STEP, POSSIBLE
from app.services import audit, request_transitions


def _now() -> datetime:
    return datetime.now(UTC)


def _require(run: Pipeline, allowed: Iterable[str], action: str) -> None:
    if run.status not in allowed:
        raise StateConflict(
            f"Run {run.id} is {run.status.replace('_', ' ')}; it cannot be {action} now. {POSSIBLE[run.status]}"
        )


# --- runs ---


def queue_pipeline(db: AsyncSession, run: Pipeline, actor: str, position: int) -> None:
    """Note that the run waits for its directory; it stays `pending`."""
    audit.record(db, "pipeline.queued", actor=actor, pipeline_id=run.id, position=position)


def start_pipeline(db: AsyncSession, run: Pipeline) -> None:
    """pending -> running; nothing when it already runs."""
    if run.status == "running":
        return
    _require(run, {"pending"}, "started")
    run.status = "running"
    run.started_at = run.started_at or _now()
    audit.record(db, "pipeline.started", pipeline_id=run.id, attempt=run.attempt, base_commit=run.base_commit)


def finish_pipeline(db: AsyncSession, run: Pipeline) -> None:
    """running -> done, when every step is."""
    _require(run, {"running"}, "finished")
    run.status = "done"
    run.finished_at = _now()
    audit.record(db, "pipeline.done", pipeline_id=run.id)


def fail_pipeline(db: AsyncSession, run: Pipeline, code: str, message: str, actor: str = audit.SYSTEM) -> None:
    """Any open state -> failed; steps that have not begun are skipped."""
    for step in run.steps:
        if step.status not in FINAL_STEP:
            _skip_step(db, step)
    run.status = "failed"
    run.parked_at = None
    run.error_code = code
    run.error_message = message
    run.finished_at = _now()
    audit.record(db, "pipeline.failed", actor=actor, pipeline_id=run.id, code=code, message=message)


def abort_pipeline(db: AsyncSession, run: Pipeline, actor: str) -> None:
    """Any open state -> aborted, its open steps with it, an open gate cancelled, the epoch raised."""
    _require(run, {"pending", "running", "waiting_for_approval", "waiting_for_input"}, "aborted")
    for step in run.steps:
        if step.status not in FINAL_STEP:
            _cancel_gates(db, step, actor)
            request_transitions.cancel_all(db, step, actor)
            step.status = "aborted"
            step.error_code = "aborted"
            step.error_message = f"Aborted by {actor}."
            step.finished_at = _now()
            step.retry_at = None
            audit.record(db, "step.aborted", actor=actor, pipeline_id=run.id, step_id=step.id)
    run.status = "aborted"
    run.epoch += 1
    run.parked_at = None
    run.error_code = "aborted"
    run.error_message = f"Aborted by {actor}."
    run.finished_at = _now()
    audit.record(db, "pipeline.aborted", actor=actor, pipeline_id=run.id)


def restart_pipeline(db: AsyncSession, run: Pipeline, actor: str, start: int) -> None:
    """failed or aborted -> pending as a new attempt from the step `start`; later steps run again."""
    _require(run, {"failed", "aborted"}, "restarted")
    run.status = "pending"
    run.attempt += 1
    run.epoch += 1
    run.error_code = run.error_message = run.finished_at = None
    for step in run.steps[start:]:
        _reset_step(db, step, actor)
    audit.record(
        db, "pipeline.restarted", actor=actor, pipeline_id=run.id, attempt=run.attempt, step=start + 1
    )


def recover_pipeline(db: AsyncSession, run: Pipeline, reason: str) -> None:
    """Raise the epoch of an open run whose segment is gone; its status stays."""
    if run.status in FINAL_PIPELINE:
        raise StaleEpoch(f"run {run.id} is {run.status}")
    run.epoch += 1
    run.parked_at = None
    audit.record(db, "pipeline.recovered", pipeline_id=run.id, epoch=run.epoch, reason=reason)


# --- steps ---


def start_step(db: AsyncSession, step: Step, *, number: int, model: str | None, resumed: bool) -> None:
    """pending -> running; an already running step is only noted as resumed, one that asks a person goes on asking."""
    if step.status == request_transitions.WAITING:
        return
    kind: AuditType = "step.resumed" if step.status == "running" or resumed else "step.started"
    if step.status != "running":
        step.status = "running"
        step.started_at = _now()
        step.error_code = step.error_message = step.retry_at = None
    audit.record(
        db, kind, pipeline_id=step.pipeline_id, step_id=step.id, agent=step.agent_name, attempt=number,
        model=model, origin=step.model_origin,
    )  # fmt: skip


def interrupt_step(db: AsyncSession, step: Step, reason: str) -> None:
    """Note that OpenCode went away in the middle of an open step; its status stays, because it goes on."""
    if step.status in FINAL_STEP:
        raise StaleEpoch(f"step {step.id} is {step.status}")
    audit.record(db, "step.interrupted", pipeline_id=step.pipeline_id, step_id=step.id, reason=reason)


def finish_step(db: AsyncSession, step: Step, *, actor: str = audit.SYSTEM, cost: float | None = None) -> None:
    """running (or waiting, for a gate) -> done; what its agent still asked is cancelled."""
    request_transitions.withdraw_all(db, step)
    step.status = "done"
    step.finished_at = _now()
    audit.record(
        db, "step.done", actor=actor, pipeline_id=step.pipeline_id, step_id=step.id,
        used_model=step.used_model, cost=cost,
    )  # fmt: skip


def fail_step(db: AsyncSession, step: Step, code: str, message: str, actor: str = audit.SYSTEM) -> None:
    """Any open state -> failed, with the reason; what its agent still asked is cancelled."""
    request_transitions.withdraw_all(db, step)
    step.status = "failed"
    step.error_code = code
    step.error_message = message
    step.finished_at = _now()
    step.retry_at = None
    audit.record(
        db, "step.failed", actor=actor, pipeline_id=step.pipeline_id, step_id=step.id, code=code, message=message
    )


def schedule_retry(
    db: AsyncSession, run: Pipeline, step: Step, code: str, message: str, *, tries: int, allowed: int, at: datetime
) -> None:
    """running -> pending until `at`, with the reason of the try that failed; the run stays running, its epoch rises."""
    request_transitions.withdraw_all(db, step)
    step.status = "pending"
    step.started_at = None
    step.error_code = code
    step.error_message = message
    step.retry_at = at
    run.epoch += 1
    audit.record(
        db, "step.retry_scheduled", pipeline_id=run.id, step_id=step.id, code=code, message=message,
        tries=tries, allowed=allowed, retry_at=at.isoformat(),
    )  # fmt: skip


def _skip_step(db: AsyncSession, step: Step) -> None:
    step.status = "skipped"
    step.finished_at = _now()
    audit.record(db, "step.skipped", pipeline_id=step.pipeline_id, step_id=step.id)


def _reset_step(db: AsyncSession, step: Step, actor: str) -> None:
    step.status = "pending"
    step.started_at = step.finished_at = step.retry_at = None
    step.error_code = step.error_message = None
    audit.record(db, "step.reset", actor=actor, pipeline_id=step.pipeline_id, step_id=step.id)


# --- gates ---


def open_gate(db: AsyncSession, run: Pipeline, step: Step) -> Approval | None:
    """running -> waiting_for_approval with a gate for this attempt; None when it is already open."""
    if any(gate.pipeline_attempt == run.attempt for gate in step.approvals):
        return None
    _require(run, {"running"}, "stopped at a gate")
    now = _now()
    hours = step.remind_after_hours
    gate = Approval(
        pipeline_id=run.id,
        step_id=step.id,
        pipeline_attempt=run.attempt,
        status="pending",
        question=step.description,
        requested_at=now,
        remind_at=now + timedelta(hours=hours) if hours else None,
    )
    db.add(gate)
    step.status = "waiting_for_approval"
    step.started_at = now
    run.status = "waiting_for_approval"
    audit.record(db, "step.waiting", pipeline_id=run.id, step_id=step.id)
    audit.record(db, "approval.requested", pipeline_id=run.id, step_id=step.id, question=step.description)
    audit.record(db, "pipeline.waiting", pipeline_id=run.id, for_="approval")
    return gate


def open_gate_of(run: Pipeline, action: str, approval_id: int | None = None) -> tuple[Step, Approval]:
    """The gate that waits for a decision; StateConflict when there is none, or another one than `approval_id`."""
    _require(run, {"waiting_for_approval"}, action)
    for step in run.steps:
        for gate in step.approvals:
            if gate.status == "pending" and approval_id in (None, gate.id):
                return step, gate
            if gate.status == "pending":
                raise StateConflict(
                    f"The gate that you decide about is not open any more; run {run.id} waits at another one. "
                    "Look at that one first."
                )
    raise StateConflict(f"Run {run.id} has no open gate.")


def approve_gate(db: AsyncSession, run: Pipeline, actor: str, comment: str | None) -> Step:
    """The open gate -> approved, its step -> done, the run -> running; returns the gate's step."""
    step, gate = open_gate_of(run, "approved")
    _decide(gate, "approved", actor, comment, "approve")
    audit.record(db, "approval.approved", actor=actor, pipeline_id=run.id, step_id=step.id, comment=comment)
    finish_step(db, step, actor=actor)
    run.status = "running"
    audit.record(db, "pipeline.resumed", actor=actor, pipeline_id=run.id)
    return step


def reject_gate(db: AsyncSession, run: Pipeline, actor: str, comment: str | None) -> None:
    """The open gate -> rejected, its step and the run -> failed with `rejected`."""
    step, gate = open_gate_of(run, "rejected")
    _decide(gate, "rejected", actor, comment, "reject")
    audit.record(db, "approval.rejected", actor=actor, pipeline_id=run.id, step_id=step.id, comment=comment)
    message = f"Rejected by {actor}" + (f": {comment}" if comment else ".")
    fail_step(db, step, "rejected", message, actor)
    fail_pipeline(db, run, "rejected", message, actor)


def remind_gate(db: AsyncSession, gate: Approval) -> None:
    """Note the one reminder of a gate."""
    gate.reminded_at = _now()
    audit.record(db, "approval.reminded", pipeline_id=gate.pipeline_id, step_id=gate.step_id)


def request_changes(db: AsyncSession, run: Pipeline, actor: str, comment: str, start: int) -> None:
    """The open gate -> rejected with the wish for changes; the run -> running from `start`, as a new attempt."""
    step, gate = open_gate_of(run, "sent back")
    _decide(gate, "rejected", actor, comment, "request_changes")
    gate.return_to = start
    audit.record(
        db, "approval.changes_requested", actor=actor, pipeline_id=run.id, step_id=step.id,
        comment=comment, step=start + 1,
    )  # fmt: skip
    run.attempt += 1
    run.epoch += 1
    for later in run.steps[start:]:
        _reset_step(db, later, actor)
    run.status = "running"
    audit.record(db, "pipeline.resumed", actor=actor, pipeline_id=run.id, attempt=run.attempt)


def _decide(gate: Approval, status: str, actor: str, comment: str | None, decision: str | None) -> None:
    gate.status = status
    gate.decision = decision
    gate.decided_by = actor
    gate.decided_at = _now()
    gate.comment = comment


def _cancel_gates(db: AsyncSession, step: Step, actor: str) -> None:
    for gate in step.approvals:
        if gate.status == "pending":
            _decide(gate, "cancelled", actor, None, None)
            audit.record(db, "approval.cancelled", actor=actor, pipeline_id=step.pipeline_id, step_id=step.id)

"""Every status of an agent's request moves here, and with it run and step: waiting while one is open.

All functions expect an open write transaction in which the run was taken with services/run_locks.py.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import StaleEpoch, StateConflict
from app.models import AgentRequest, Pipeline, Step
from app.schemas.requests import AskedRequest, RequestReply, details_of
from app.services import audit

WAITING = "waiting_for_input"


async def ask(
    db: AsyncSession, run: Pipeline, step: Step, asked: AskedRequest, directory: str, deadline_seconds: float
) -> AgentRequest:
    """A new open request; run and step -> waiting_for_input. StaleEpoch when the step no longer runs."""
    if run.status not in ("running", WAITING) or step.status not in ("running", WAITING):
        raise StaleEpoch(f"step {step.id} is {step.status}")
    now = datetime.now(UTC)
    request = AgentRequest(
        pipeline_id=run.id,
        step_id=step.id,
        pipeline_attempt=run.attempt,
        opencode_id=asked.opencode_id,
        session_id=asked.session_id,
        sub_agent=asked.sub_agent,
        directory=directory,
        kind=asked.kind,
        tool=asked.tool[:200],
        patterns=list(asked.patterns),
        details=details_of(asked).model_dump(),
        status="pending",
        asked_at=now,
        deadline=now + timedelta(seconds=deadline_seconds),
    )
    db.add(request)
    await db.flush()
    audit.record(
        db, "request.asked", pipeline_id=run.id, step_id=step.id, kind=asked.kind, tool=asked.tool,
        patterns=list(asked.patterns), request_id=request.id, deadline=request.deadline.isoformat(),
    )  # fmt: skip
    if step.status != WAITING:
        step.status = WAITING
        audit.record(db, "step.waiting", pipeline_id=run.id, step_id=step.id, for_="input")
    if run.status != WAITING:
        run.status = WAITING
        audit.record(db, "pipeline.waiting", pipeline_id=run.id, for_="input")
    return request


def require_open(request: AgentRequest) -> None:
    """StateConflict with the state that forbids an answer."""
    if request.status != "pending":
        raise StateConflict(f"Request {request.id} is {request.status} already; nothing was changed.")


def answer(db: AsyncSession, run: Pipeline, request: AgentRequest, actor: str, reply: RequestReply) -> None:
    """pending -> answered, or denied when the reply is a reject; the first answer wins."""
    require_open(request)
    request.answers = [list(chosen) for chosen in reply.answers] or None
    _close(db, request, "answered" if reply.reply == "once" else "denied", actor, reply.reply, reply.message or None)
    go_on(db, run, request.step_id)


def expire(db: AsyncSession, run: Pipeline, request: AgentRequest) -> None:
    """pending -> expired, which is a no."""
    _close(db, request, "expired", audit.SYSTEM, "reject", None)
    go_on(db, run, request.step_id)


def withdraw(db: AsyncSession, run: Pipeline, request: AgentRequest) -> None:
    """pending -> cancelled, because OpenCode no longer asks; the step goes on."""
    _close(db, request, "cancelled", audit.SYSTEM, None, None)
    go_on(db, run, request.step_id)


def withdraw_all(db: AsyncSession, step: Step) -> None:
    """A step that ends leaves no open request."""
    if step.status == WAITING:
        for request in step.open_requests:
            withdraw(db, step.pipeline, request)


def cancel_all(db: AsyncSession, step: Step, actor: str) -> None:
    """pending -> cancelled with the step, which is aborted."""
    if step.status == WAITING:
        for request in step.open_requests:
            _close(db, request, "cancelled", actor, None, None)


def go_on(db: AsyncSession, run: Pipeline, step_id: int) -> None:
    """waiting_for_input -> running for step and run, when no request of the step is open any more."""
    step = next(step for step in run.steps if step.id == step_id)
    if step.status != WAITING or any(request.status == "pending" for request in step.open_requests):
        return
    step.status = "running"
    audit.record(db, "step.resumed", pipeline_id=run.id, step_id=step.id)
    if run.status == WAITING:
        run.status = "running"
        audit.record(db, "pipeline.resumed", pipeline_id=run.id)


def _close(
    db: AsyncSession, request: AgentRequest, status: str, actor: str, reply: str | None, message: str | None
) -> None:
    request.status = status
    request.reply = reply
    request.message = message
    request.answered_by = actor
    request.answered_at = datetime.now(UTC)
    audit.record(
        db, f"request.{status}",  # type: ignore[arg-type]
        actor=actor, pipeline_id=request.pipeline_id, step_id=request.step_id, request_id=request.id,
        tool=request.tool, patterns=list(request.patterns), message=message, answers=request.answers,
        remember=request.remember or None,
    )  # fmt: skip

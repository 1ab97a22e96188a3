"""What a step writes: its attempt before the prompt, its result after the answer. One transaction each."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Attempt, Handoff, Pipeline, Step
from app.schemas.handoff import Handoff as ParsedHandoff
from app.schemas.permissions import PermissionRule, effective_rules
from app.schemas.pipeline import FINAL_STEP
from app.schemas.registry import AgentProfile, AgentStep
from app.schemas.runtime import MessageResponse, SessionBinding, StepLimits
from app.services import attempts, transitions


@dataclass(frozen=True)
class Began:
    """The attempt that is under way, with everything needed to go on after a crash."""

    attempt_id: int
    session_id: str
    directory: str
    prompt: str


async def known_outcome(db: AsyncSession, step_id: int) -> str | None:
    """`done` or the failure's code when the step is already final in our rows, else None."""
    row = (await db.execute(select(Step.status, Step.error_code).where(Step.id == step_id))).one()
    if row.status not in FINAL_STEP:
        return None
    return "done" if row.status == "done" else row.error_code or str(row.status)


def rules_of(step: Step) -> tuple[PermissionRule, ...]:
    """The permission rules of a step as they were when the run was created."""
    profile = AgentProfile.model_validate(step.agent_snapshot)
    own = AgentStep.model_validate({"agent": profile.name, "permissions": step.permissions or []})
    return effective_rules(profile.permissions, own.permissions)


def binding_of(step: Step, message_id: str, limits: StepLimits, left: Attempt | None) -> SessionBinding:
    """What the session of an attempt is bound to: the one `left` open, or a new one. The directory must be loaded."""
    run = step.pipeline
    return SessionBinding(
        directory=run.directory.real_path,
        message_id=message_id,
        title=f"{run.title} · {step.order_index + 1} {step.agent_name}",
        pipeline_id=run.id,
        step_id=step.id,
        attempt=run.attempt,
        epoch=run.epoch,
        limits=limits,
        started_at=left.started_at if left is not None else None,
        permissions=rules_of(step),
    )


async def begin(
    db: AsyncSession,
    run: Pipeline,
    order_index: int,
    session_id: str,
    binding: SessionBinding,
    prompt: str,
    *,
    resolved_model: str | None,
    worker: str,
    commit: str | None,
) -> Began:
    """Store session, message and prompt of a new attempt and mark the step as running."""
    step = run.steps[order_index]
    attempt = Attempt(
        step_id=step.id,
        number=await attempts.next_number(db, step.id),
        pipeline_attempt=run.attempt,
        session_id=session_id,
        message_id=binding.message_id,
        directory=binding.directory,
        worker=worker,
        prompt=prompt,
        commit_before=commit,
        started_at=datetime.now(UTC),
    )
    db.add(attempt)
    step.resolved_model = resolved_model
    transitions.start_step(db, step, number=attempt.number, model=resolved_model or step.model, resumed=False)
    await db.flush()
    return Began(attempt.id, session_id, binding.directory, prompt)


def began_of(attempt: Attempt) -> Began:
    """The attempt as it was begun; it must have a session."""
    assert attempt.session_id is not None
    return Began(attempt.id, attempt.session_id, attempt.directory, attempt.prompt)


def resume(db: AsyncSession, run: Pipeline, order_index: int, attempt: Attempt) -> Began:
    """Note that an attempt which a crash left open goes on, with the prompt it was begun with."""
    step = run.steps[order_index]
    attempts.end_waiting(attempt)
    transitions.start_step(db, step, number=attempt.number, model=step.resolved_model or step.model, resumed=True)
    return began_of(attempt)


async def complete(
    db: AsyncSession,
    step: Step,
    began: Began,
    response: MessageResponse,
    handoff: ParsedHandoff,
    *,
    note: str | None,
    commit: str | None,
) -> None:
    """Store answer, hand-off and cost, and mark the step as done."""
    await attempts.close_attempt(db, step, began.attempt_id, "done", response, note=note, commit_after=commit)
    db.add(
        Handoff(
            step_id=step.id,
            attempt_id=began.attempt_id,
            text=handoff.text,
            structured=handoff.structured,
            sections=handoff.sections.model_dump(),
            created_at=datetime.now(UTC),
        )
    )
    transitions.finish_step(db, step, cost=response.cost)

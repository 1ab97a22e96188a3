"""Collects from the rows what the prompt of a step is built from."""

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Approval, Attempt, Handoff, Step
from app.schemas.registry import AgentProfile
from app.services.prompts import EarlierHandoff, StepPrompt, build_prompt


async def prompt_for(db: AsyncSession, step: Step, agent_profile: AgentProfile) -> str:
    """The exact prompt of `step`; `step.pipeline` and its steps must be loaded."""
    return build_prompt(
        StepPrompt(
            task=step.pipeline.prompt,
            step_description=step.description,
            instructions=agent_profile.system_prompt_additions,
            handoff=await _handoff(db, step, Step.order_index < step.order_index),
            approval_note=await _approval_note(db, step),
            changes=await _changes(db, step),
            own_handoff=await _handoff(db, step, Step.order_index == step.order_index),
        )
    )


async def _handoff(db: AsyncSession, step: Step, place: ColumnElement[bool]) -> EarlierHandoff | None:
    """The newest hand-off of the last step in that place; an edited one is newer than the agent's own."""
    found = await db.execute(
        select(Handoff.text, Step.agent_name, Step.order_index)
        .join(Step, Step.id == Handoff.step_id)
        .where(Step.pipeline_id == step.pipeline_id, place)
        .order_by(Step.order_index.desc(), Handoff.id.desc())
        .limit(1)
    )
    row = found.one_or_none()
    return EarlierHandoff(row.agent_name or "agent", row.order_index + 1, row.text) if row else None


async def _approval_note(db: AsyncSession, step: Step) -> str | None:
    """The comments of the gates that stand between this step and the agent step before it."""
    earlier = [other for other in step.pipeline.steps if other.order_index < step.order_index]
    since = max((other.order_index for other in earlier if other.type == "agent"), default=-1)
    gates = [other.id for other in earlier if other.order_index > since]
    if not gates:
        return None
    decided = await db.scalars(
        select(Approval).where(Approval.step_id.in_(gates), Approval.status == "approved").order_by(Approval.id)
    )
    # Of several attempts of the run only the newest approval of each gate holds.
    newest = {gate.step_id: gate.comment for gate in decided}
    return "\n\n".join(comment for comment in newest.values() if comment) or None


async def _changes(db: AsyncSession, step: Step) -> str | None:
    """The comment with which a person sent the run back to this step, until the step has done it.

    It outlives failed attempts and restarts: what was asked must not be forgotten by a provider's error.
    """
    asked = await db.scalar(
        select(Approval)
        .where(
            Approval.pipeline_id == step.pipeline_id,
            Approval.decision == "request_changes",
            Approval.return_to == step.order_index,
        )
        .order_by(Approval.id.desc())
        .limit(1)
    )
    if asked is None:
        return None
    done_since = await db.scalar(
        select(Attempt.id).where(
            Attempt.step_id == step.id, Attempt.outcome == "done", Attempt.pipeline_attempt > asked.pipeline_attempt
        )
    )
    return asked.comment if done_since is None else None

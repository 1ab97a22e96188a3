"""Collects from the rows what the prompt of a step is built from."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Approval, Handoff, Step
from app.schemas.registry import AgentProfile
from app.services.prompts import EarlierHandoff, StepPrompt, build_prompt


async def prompt_for(db: AsyncSession, step: Step, agent_profile: AgentProfile) -> str:
    """The exact prompt of `step`; `step.pipeline` and its steps must be loaded."""
    return build_prompt(
        StepPrompt(
            task=step.pipeline.prompt,
            step_description=step.description,
            instructions=agent_profile.system_prompt_additions,
            handoff=await _nearest_handoff(db, step),
            approval_note=await _approval_note(db, step),
        )
    )


async def _nearest_handoff(db: AsyncSession, step: Step) -> EarlierHandoff | None:
    found = await db.execute(
        select(Handoff.text, Step.agent_name, Step.order_index)
        .join(Step, Step.id == Handoff.step_id)
        .where(Step.pipeline_id == step.pipeline_id, Step.order_index < step.order_index)
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
    comments = await db.scalars(
        select(Approval.comment)
        .where(Approval.step_id.in_(gates), Approval.status == "approved", Approval.comment.is_not(None))
        .order_by(Approval.id)
    )
    return "\n\n".join(comment for comment in comments if comment) or None

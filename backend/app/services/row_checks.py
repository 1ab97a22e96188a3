"""What must hold between rows at every moment, as questions to the database: `paceline db check` asks them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import AgentRequest, Approval, Attempt, AuditEvent, Directory, Handoff, Pipeline, Step
from app.schemas.pipeline import FINAL_PIPELINE, FINAL_STEP
from app.services import queue_state
from app.services.ports import Segment

MOST = 20
"""Faults of one kind that are worth reading."""

_AT_WORK = ("running", "waiting_for_approval", "waiting_for_input")
_DECISIONS = ("approval.approved", "approval.rejected", "approval.changes_requested", "approval.cancelled")


async def broken_rows(db: AsyncSession) -> list[str]:
    """A sentence for each row that contradicts another one; nothing is changed."""
    found: list[str] = []
    for query, sentence in _RULES:
        rows = (await db.execute(query.limit(MOST))).all()
        found += [sentence.format(*row) for row in rows]
    return found


_final_with_open_step = (
    select(Pipeline.id, Pipeline.status, Step.order_index, Step.status)
    .join(Step, Step.pipeline_id == Pipeline.id)
    .where(Pipeline.status.in_(FINAL_PIPELINE), Step.status.not_in(FINAL_STEP))
)
_done_with_other_step = (
    select(Pipeline.id, Step.order_index, Step.status)
    .join(Step, Step.pipeline_id == Pipeline.id)
    .where(Pipeline.status == "done", Step.status != "done")
)
_final_without_end = select(Pipeline.id, Pipeline.status).where(
    Pipeline.status.in_(FINAL_PIPELINE), Pipeline.finished_at.is_(None)
)
_two_in_one_directory = (
    select(Directory.real_path, func.count())
    .join(Pipeline, Pipeline.directory_id == Directory.id)
    .where(Pipeline.status.in_(_AT_WORK))
    .group_by(Directory.id, Directory.real_path)
    .having(func.count() > 1)
)
_two_directories_of_one = (
    select(Directory.holder_id, func.count())
    .where(Directory.holder_id.is_not(None))
    .group_by(Directory.holder_id)
    .having(func.count() > 1)
)
_holder_elsewhere = (
    select(Directory.real_path, Directory.holder_id)
    .outerjoin(Pipeline, Pipeline.id == Directory.holder_id)
    .where(
        Directory.holder_id.is_not(None), or_(Pipeline.id.is_(None), Pipeline.directory_id != Directory.id)
    )
)
_at_work_without_directory = (
    select(Pipeline.id, Pipeline.status)
    .join(Directory, Directory.id == Pipeline.directory_id)
    .where(
        Pipeline.status.in_(_AT_WORK),
        or_(Directory.holder_id.is_(None), Directory.holder_id != Pipeline.id),
    )
)
_gate_in_two_minds = select(Approval.id, Approval.pipeline_id, Approval.status).where(
    or_(
        (Approval.status == "pending") & (Approval.decided_at.is_not(None) | Approval.decided_by.is_not(None)),
        (Approval.status != "pending") & (Approval.decided_at.is_(None) | Approval.decided_by.is_(None)),
    )
)
_open_gate_of_final = (
    select(Approval.id, Pipeline.id, Pipeline.status)
    .join(Pipeline, Pipeline.id == Approval.pipeline_id)
    .where(Approval.status == "pending", Pipeline.status.in_(FINAL_PIPELINE))
)
_gates = select(func.count()).select_from(Approval).where(Approval.step_id == Step.id).scalar_subquery()
_open_request_of_final = (
    select(AgentRequest.id, Pipeline.id, Pipeline.status)
    .join(Pipeline, Pipeline.id == AgentRequest.pipeline_id)
    .where(AgentRequest.status == "pending", Pipeline.status.in_(FINAL_PIPELINE))
)
_decided_twice = (
    select(Step.pipeline_id, Step.order_index, func.count())
    .join(AuditEvent, AuditEvent.step_id == Step.id)
    .where(AuditEvent.type.in_(_DECISIONS))
    .group_by(Step.id, Step.pipeline_id, Step.order_index)
    .having(func.count() > _gates)
)
_parked_at_work = (
    select(Pipeline.id, Pipeline.status, Step.order_index, Step.status)
    .join(Step, Step.pipeline_id == Pipeline.id)
    .where(
        Pipeline.parked_at.is_not(None),
        or_(Pipeline.status.not_in(("pending", "running")), Step.status.in_(_AT_WORK)),
    )
)
_done_without_answer = select(Step.pipeline_id, Step.order_index).where(
    Step.type == "agent",
    Step.status == "done",
    ~exists().where(Handoff.step_id == Step.id, Handoff.text != ""),
)
_attempt_left_open = (
    select(Attempt.number, Step.pipeline_id, Step.order_index, Step.status)
    .join(Step, Step.id == Attempt.step_id)
    .where(Attempt.outcome.is_(None), Step.status.in_(("done", "skipped")))
)
_try_of_nobody = (
    select(Step.order_index, Pipeline.id, Step.status, Pipeline.status)
    .join(Pipeline, Pipeline.id == Step.pipeline_id)
    .where(Step.retry_at.is_not(None), or_(Step.status != "pending", Pipeline.status != "running"))
)

_Rule = tuple[Select[*tuple[Any, ...]], str]

_RULES: tuple[_Rule, ...] = (
    (_final_with_open_step, "Run {0} is {1}, but its step with index {2} is {3}."),
    (_done_with_other_step, "Run {0} is done, but its step with index {1} is {2}."),
    (_final_without_end, "Run {0} is {1}, but has no time of its end."),
    (_two_in_one_directory, "{1} runs are at work in {0} at once."),
    (_two_directories_of_one, "Run {0} holds {1} directories."),
    (_holder_elsewhere, "{0} is held by run {1}, which does not exist or works elsewhere."),
    (_at_work_without_directory, "Run {0} is {1}, but does not hold its directory."),
    (_gate_in_two_minds, "Gate {0} of run {1} is {2}, and its decision says otherwise."),
    (_open_gate_of_final, "Gate {0} is open, but its run {1} is {2}."),
    (_open_request_of_final, "Request {0} of an agent is open, but its run {1} is {2}."),
    (_decided_twice, "The gate at the step with index {1} of run {0} was decided more often than it was opened."),
    (_done_without_answer, "The step with index {1} of run {0} is done without an answer."),
    (_parked_at_work, "Run {0} is parked, but it is {1} and its step with index {2} is {3}."),
    (_attempt_left_open, "Attempt {0} at the step with index {2} of run {1} has no outcome, but the step is {3}."),
    (_try_of_nobody, "The step with index {0} of run {1} waits for its next try, but is {2} and its run {3}."),
)


async def should_be_queued(db: AsyncSession) -> list[Segment]:
    """What must be enqueued or at work: open runs that hold their directory and wait for nobody."""
    rows = await db.execute(
        select(Pipeline.id, Pipeline.attempt, Pipeline.epoch)
        .join(Directory, Directory.id == Pipeline.directory_id)
        .where(
            Pipeline.status.in_(("pending", "running")),
            Directory.holder_id == Pipeline.id,
            queue_state.not_held_back,
        )
    )
    return [Segment(row.id, row.attempt, row.epoch, start=0) for row in rows]


def unqueued(expected: Sequence[Segment], live: set[str]) -> list[int]:
    """Ids of the expected runs that nothing executes. `live` must be asked for after the rows were read."""
    return [
        segment.pipeline_id
        for segment in expected
        if not any(work.startswith(Segment.prefix(segment.pipeline_id, segment.attempt)) for work in live)
    ]

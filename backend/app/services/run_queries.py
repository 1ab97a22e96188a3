"""Reads runs for lists and pages. One reading session each, closed before the answer is written."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import selectinload, undefer

from app.errors import NotFound
from app.models import Approval, Attempt, Directory, Pipeline, QueueState, Step
from app.schemas.handoff import HandoffSections
from app.schemas.pipeline import (
    FINAL_PIPELINE,
    ApprovalPage,
    ApprovalResponse,
    AttemptList,
    AttemptResponse,
    ConflictItem,
    ConflictList,
    HandoffResponse,
    PipelinePage,
    PipelineResponse,
    PipelineSummary,
    StepPip,
    StepStatusResponse,
)
from app.schemas.runtime import Tokens
from app.schemas.step_policy import RetryPolicy
from app.services import queue_state, waiting
from app.services.attempts import unpack_transcript
from app.services.paging import cut_page, older_than
from app.services.ports import RuntimeServer
from app.services.requests import request_response
from app.services.retries import policy_of
from app.services.waiting import WaitingRow


class _Try(NamedTuple):
    """What a step shows of one of its attempts."""

    pipeline_attempt: int
    note: str | None


class RunQueries:
    """Everything the API reads about runs."""

    def __init__(
        self,
        reads: async_sessionmaker[AsyncSession],
        server: RuntimeServer,
        max_cost_usd: float | None = None,
        retry: RetryPolicy | None = None,
        places: int = 10,
    ) -> None:
        """`max_cost_usd` is shown with each run, `retry` with each step; `server` and `places` say why a run waits."""
        self._retry = retry or RetryPolicy()
        self._reads = reads
        self._places = places
        self._server = server
        self._max_cost_usd = max_cost_usd

    async def page(
        self, *, status: Sequence[str], template: str | None, text: str | None, limit: int, cursor: str | None
    ) -> PipelinePage:
        """Runs, newest first; `text` is searched in titles and prompts, without regard to case."""
        query = select(Pipeline).where(older_than(Pipeline.id, cursor)).order_by(Pipeline.id.desc()).limit(limit + 1)
        if status:
            query = query.where(Pipeline.status.in_(status))
        if template:
            query = query.where(Pipeline.template == template)
        if text:
            query = query.where(
                Pipeline.title.icontains(text, autoescape=True) | Pipeline.prompt.icontains(text, autoescape=True)
            )
        async with self._reads() as db:
            rows = (await db.scalars(query.options(selectinload(Pipeline.steps)))).all()
            runs, next_cursor = cut_page(rows, limit)
            waits = await waiting.of_runs(db, runs, self._places)
        items = [
            PipelineSummary(**_head(run, waits), steps=[StepPip.model_validate(step) for step in run.steps])
            for run in runs
        ]
        return PipelinePage(items=items, next_cursor=next_cursor)

    async def detail(self, pipeline_id: int) -> PipelineResponse:
        """One run with its steps, hand-offs and gates."""
        steps = selectinload(Pipeline.steps)
        query = (
            select(Pipeline)
            .where(Pipeline.id == pipeline_id)
            .options(
                steps.selectinload(Step.handoffs),
                steps.selectinload(Step.approvals),
                steps.selectinload(Step.open_requests),
            )
        )
        async with self._reads() as db:
            run = (await db.scalars(query)).one_or_none()
            if run is None:
                raise NotFound(f"There is no run {pipeline_id}. `paceline runs` lists them.")
            waits = await waiting.of_runs(db, [run], self._places)
            state = await queue_state.read(db)
            tries = await _tries(db, run.id)
        gates = [gate for step in run.steps for gate in step.approvals]
        return PipelineResponse(
            **_head(run, waits),
            prompt=run.prompt,
            base_commit=run.base_commit,
            warnings=run.warnings,
            waiting_reason=await self._waiting_reason(run, waits.get(run.id), state),
            max_cost_usd=self._max_cost_usd,
            approval=_newest(gates),
            approvals=[ApprovalResponse.model_validate(gate) for gate in sorted(gates, key=lambda gate: gate.id)],
            requests=[request_response(request) for step in run.steps for request in step.open_requests],
            steps=[self._step(step, tries.get(step.id, []), run.attempt) for step in run.steps],
        )

    def _step(self, step: Step, tries: Sequence[_Try], attempt: int) -> StepStatusResponse:
        """`tries` are those of the step, `attempt` is the newest of its run."""
        names = (
            "id", "type", "agent_name", "description", "order_index", "status", "model", "resolved_model",
            "model_origin", "used_model", "started_at", "finished_at", "error_code", "error_message", "cost",
            "retry_at",
        )  # fmt: skip
        return StepStatusResponse(
            **{name: getattr(step, name) for name in names},
            tokens=_tokens(step.tokens),
            attempts=len(tries),
            attempts_made=sum(one.pipeline_attempt == attempt for one in tries),
            attempts_allowed=policy_of(step, self._retry).attempts if step.type == "agent" else 0,
            note=tries[-1].note if tries and step.status != "pending" else None,
            latest_handoff=_handoff(step),
        )

    async def _waiting_reason(self, run: Pipeline, wait: WaitingRow | None, state: QueueState) -> str | None:
        if wait is not None and wait.why != "retry":
            return waiting.sentence(wait, state)
        if run.status == "running":
            trouble = self._server.trouble()
            return None if trouble is None else f"Waits for OpenCode. {trouble}"
        if run.status != "pending":
            return None
        opencode = await self._server.health()
        return None if opencode.state == "ready" else f"Waits for OpenCode. {opencode.detail or ''}".strip()

    async def attempts(self, pipeline_id: int, step_id: int) -> AttemptList:
        """All tries at a step with prompts and transcripts."""
        query = (
            select(Attempt)
            .join(Step, Step.id == Attempt.step_id)
            .where(Step.id == step_id, Step.pipeline_id == pipeline_id)
            .order_by(Attempt.number)
            .options(undefer(Attempt.transcript))
        )
        async with self._reads() as db:
            if await db.scalar(select(Step.id).where(Step.id == step_id, Step.pipeline_id == pipeline_id)) is None:
                raise NotFound(f"Run {pipeline_id} has no step with the id {step_id}.")
            rows = (await db.scalars(query)).all()
        return AttemptList(items=[_attempt(row) for row in rows])

    async def place(self, pipeline_id: int) -> tuple[str, str | None]:
        """The real directory of a run and its base commit."""
        query = (
            select(Directory.real_path, Pipeline.base_commit)
            .join(Pipeline, Pipeline.directory_id == Directory.id)
            .where(Pipeline.id == pipeline_id)
        )
        async with self._reads() as db:
            row = (await db.execute(query)).one_or_none()
        if row is None:
            raise NotFound(f"There is no run {pipeline_id}. `paceline runs` lists them.")
        return row.real_path, row.base_commit

    async def status(self, pipeline_id: int) -> str | None:
        """Only the status of a run; None when there is no such run."""
        async with self._reads() as db:
            return await db.scalar(select(Pipeline.status).where(Pipeline.id == pipeline_id))

    async def conflicts(self, real_path: str) -> ConflictList:
        """Active runs on a directory in the order in which they have or get it."""
        query = (
            select(Pipeline)
            .join(Directory, Pipeline.directory_id == Directory.id)
            .where(Directory.real_path == real_path, Pipeline.status.not_in(FINAL_PIPELINE))
            .order_by(Pipeline.queue_number)
        )
        async with self._reads() as db:
            runs = (await db.scalars(query)).all()
        items = [ConflictItem.model_validate(run) for run in runs]
        return ConflictList(real_path=real_path, items=items)

    async def approvals(self, *, status: str | None, limit: int, cursor: str | None) -> ApprovalPage:
        """Gates, newest first."""
        query = select(Approval).where(older_than(Approval.id, cursor)).order_by(Approval.id.desc()).limit(limit + 1)
        if status:
            query = query.where(Approval.status == status)
        async with self._reads() as db:
            rows = (await db.scalars(query)).all()
        page, next_cursor = cut_page(rows, limit)
        return ApprovalPage(items=[ApprovalResponse.model_validate(row) for row in page], next_cursor=next_cursor)

    async def load(self) -> tuple[int, int, bool]:
        """How many runs wait, how many are at work, and whether the queue is paused."""
        count = select(func.count()).select_from(Pipeline)
        async with self._reads() as db:
            queued = await db.scalar(count.where(Pipeline.status == "pending"))
            active = await db.scalar(count.where(Pipeline.status == "running"))
            paused = await queue_state.is_paused(db)
        return queued or 0, active or 0, paused


async def _tries(db: AsyncSession, pipeline_id: int) -> dict[int, list[_Try]]:
    """Each step's attempts, oldest first."""
    rows = await db.execute(
        select(Attempt.step_id, Attempt.pipeline_attempt, Attempt.note)
        .join(Step, Step.id == Attempt.step_id)
        .where(Step.pipeline_id == pipeline_id)
        .order_by(Attempt.number)
    )
    found: dict[int, list[_Try]] = {}
    for step_id, attempt, note in rows:
        found.setdefault(step_id, []).append(_Try(attempt, note))
    return found


def _head(run: Pipeline, waits: dict[int, WaitingRow]) -> dict[str, Any]:
    names = (
        "id", "title", "template", "status", "error_code", "error_message", "working_dir", "branch",
        "attempt", "created_at", "started_at", "finished_at", "created_by",
    )  # fmt: skip
    wait = waits.get(run.id)
    known = [step.cost for step in run.steps if step.cost is not None]
    return {name: getattr(run, name) for name in names} | {
        "waiting_for": wait.why if wait else None,
        "queue_position": wait.position if wait and wait.why == "directory" else None,
        "tokens": sum((_tokens(step.tokens) for step in run.steps), Tokens()),
        "cost": sum(known) if known else None,
    }


def _tokens(stored: dict[str, Any] | None) -> Tokens:
    return Tokens.model_validate(stored or {})


def _newest(gates: list[Approval]) -> ApprovalResponse | None:
    if not gates:
        return None
    return ApprovalResponse.model_validate(max(gates, key=lambda gate: (gate.status == "pending", gate.id)))


def _handoff(step: Step) -> HandoffResponse | None:
    """The newest hand-off of a finished step; a step that failed (or runs again) has none."""
    if step.status != "done" or not step.handoffs:
        return None
    row = step.handoffs[-1]
    own = next(handoff for handoff in reversed(step.handoffs) if handoff.edited_by is None)
    return HandoffResponse(
        edited_by=row.edited_by,
        original=own.text if row.edited_by else None,
        text=row.text,
        structured=row.structured,
        sections=HandoffSections.model_validate(row.sections),
        created_at=row.created_at,
    )


def _attempt(row: Attempt) -> AttemptResponse:
    names = (
        "number", "pipeline_attempt", "outcome", "error_message", "note", "prompt", "session_id", "used_model",
        "cost", "model_calls", "started_at", "finished_at",
    )  # fmt: skip
    return AttemptResponse(
        **{name: getattr(row, name) for name in names},
        tokens=_tokens(row.tokens),
        transcript=unpack_transcript(row.transcript),
    )

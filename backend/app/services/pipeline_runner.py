"""Walks the steps of a run: one segment at a time, each agent step one durable checkpoint.

Who owns the model of a step: `services/pipelines.create` resolves it once, when the run is created,
and stores it on the step. This file trusts `step.model`; the fallback to the agent's default serves
rows that were written before that column existed. `agent_profile` is the run's own snapshot, never
the live registry.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.errors import (
    BudgetExceeded,
    InternalError,
    InvalidRequest,
    QueuePaused,
    RetryScheduled,
    StaleEpoch,
    StepFailure,
)
from app.models import Attempt, Pipeline, Step
from app.schemas.handoff import Handoff
from app.schemas.money import dollars
from app.schemas.pipeline import FINAL_PIPELINE
from app.schemas.registry import AgentProfile
from app.schemas.runtime import MessageResponse, StepLimits
from app.schemas.step_policy import RetryPolicy
from app.services import attempts, queue_state, retries, run_locks, step_records
from app.services.conversation import Conversation
from app.services.handoffs import parse_handoff
from app.services.interruptions import Interruption
from app.services.model_catalog import ModelCatalog
from app.services.outages import Outages
from app.services.outcome import accepted_text
from app.services.ports import AgentRuntime, Colleagues, Engine, GitReader, Release, RuntimeServer, Segment
from app.services.run_beginnings import RunBeginnings
from app.services.run_endings import RunEndings
from app.services.step_prompt import prompt_for
from app.services.step_records import Began
from app.services.units import unit
from app.services.workers import OnlyWorker

log = logging.getLogger("paceline.runner")

Sessions = async_sessionmaker[AsyncSession]


@dataclass(frozen=True)
class RunnerSettings:
    """What a runner needs to know beside its collaborators."""

    worker_id: str
    limits: StepLimits = field(default_factory=StepLimits)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    max_cost_usd: float | None = None


class PipelineRunner:
    """Executes segments. Holds nothing between two of them: everything it knows is in rows."""

    def __init__(
        self,
        sessions: Sessions,
        reads: Sessions,
        client: AgentRuntime,
        engine: Engine,
        git: GitReader,
        settings: RunnerSettings,
        catalog: ModelCatalog | None = None,
        server: RuntimeServer | None = None,
        outages: Outages | None = None,
        workers: Colleagues | None = None,
    ) -> None:
        """`catalog` None counts as unreachable: names are sent as asked. `server` None never recovers."""
        self._outages = outages or Outages()
        self._workers = workers or OnlyWorker()
        self._sessions = sessions
        self._reads = reads
        self._client = client
        self._engine = engine
        self._git = git
        self._settings = settings
        self._catalog = catalog
        self._conversation = Conversation(client, server)
        self._endings = RunEndings(sessions, engine)
        self._beginnings = RunBeginnings(sessions, reads, git, self._conversation, self._endings)
        self.active: set[str] = set()
        """Workflow ids of the segments that run in this process."""

    async def run_segment(self, segment: Segment) -> str:
        """Walk the run from `segment.start` to the next gate or the end; returns how it went.

        A defect of ours ends the run as `internal_error`. While the database is locked, full or gone
        the segment waits: an answer that comes meanwhile is adopted. Raises only for cancellation and
        when the engine's own record of a step is lost that way; the reconciler then takes the run up.
        """
        self.active.add(segment.workflow_id)
        work = segment.workflow_id
        try:
            steps = await self._outages.outlast(work, partial(self._beginnings.begin, segment))
            return await self._execute_steps(segment, steps)
        except StaleEpoch:
            return "stale"
        except QueuePaused:
            return "paused"
        except Exception as error:
            log.exception("segment %s broke", work)
            if self._outages.is_outage(error):
                raise
            return await self._outages.outlast(work, partial(self._fail_segment, segment, error))
        finally:
            self.active.discard(segment.workflow_id)

    async def _execute_steps(self, segment: Segment, steps: Sequence[Step]) -> str:
        """Always walks the same list, so that a recovered segment meets its records in their order."""
        for step in steps:
            if step.type == "approval":
                gate = partial(self._endings.open_gate, segment, step)
                return await self._outages.outlast(segment.workflow_id, gate)
            agent_profile = AgentProfile.model_validate(step.agent_snapshot)
            model = step.model or agent_profile.default_model
            work = partial(self._agent_step, step, agent_profile, model)
            patient = partial(self._outages.outlast, f"{segment.workflow_id} step {step.order_index + 1}", work)
            outcome = await self._engine.checkpoint(f"step-{step.order_index}", patient)
            if outcome != "done":
                return outcome
        return await self._outages.outlast(segment.workflow_id, partial(self._endings.finish_run, segment))

    async def _agent_step(self, step: Step, agent_profile: AgentProfile, model: str | None) -> str:
        async with self._reads() as db:
            known = await step_records.known_outcome(db, step.id)
            if known is not None:
                # Our rows have it; the crash came before the engine's own record.
                return known
            held = await queue_state.holds_back(db, step.id)
            prompt = await prompt_for(db, step, agent_profile)
        try:
            if held and await self._endings.park(step.pipeline_id, step.pipeline.epoch):
                return "paused"
            await self.run_step(step, agent_profile, prompt, model=model)
        except QueuePaused:
            # While its session was opened. It parks now, unless the queue has been resumed again.
            return await self._agent_step(step, agent_profile, model)
        except (StepFailure, InvalidRequest, RetryScheduled) as failure:
            return failure.code
        return "done"

    async def run_step(
        self, step: Step, agent_profile: AgentProfile, prompt: str, model: str | None = None
    ) -> tuple[str, Handoff]:
        """Run one agent step in a session of its own and return its answer and hand-off.

        `step.pipeline` must be loaded: its epoch guards every write. `model` is sent as resolved,
        or as asked while the catalog is unreachable. Raises the StepFailure (or the refusal of
        model or agent) that names how it ended; attempt, step and run are then already `failed`
        with that code, and the session is idle. Raises RetryScheduled instead when the step has a
        try left for that: only the attempt has failed, and a later segment goes on.
        """
        # First of all: what a crash left at work has to be stopped whatever fails from here on.
        left = await self._left_open(step)
        began = step_records.began_of(left) if left is not None else None
        response: MessageResponse | None = None
        idle = True
        agent = agent_profile.opencode_agent
        try:
            resolved = await self._check_before_sending(step.pipeline, agent, model)
            began = await self._open_session(step, prompt, resolved, left)
            outage = Interruption(self._sessions, step, began, partial(self._permit, step.pipeline))
            said = await self._conversation.send(began.session_id, began.prompt, agent, resolved or model, outage)
            response = said.response
            text = accepted_text(response, agent=agent, model=resolved or model)
        except (StepFailure, InvalidRequest) as failure:
            if began is not None and response is None:
                response, idle = await self._stop_own(step.pipeline, began)
            end = partial(self._end_try, step, failure, began, response, idle=idle)
            await self._outages.outlast("a failed step", end)
            raise
        handoff = parse_handoff(text)
        commit = await self._git.commit(began.directory)
        finish = partial(self._endings.complete_step, step, began, response, handoff, note=said.note, commit=commit)
        await self._outages.outlast("a finished step", finish)
        return text, handoff

    async def _end_try(
        self,
        step: Step,
        failure: StepFailure | InvalidRequest,
        began: Began | None,
        response: MessageResponse | None,
        *,
        idle: bool,
    ) -> None:
        """Fail step and run; or only the attempt, when another one may follow: its agent has to be idle for sure."""
        policy = retries.policy_of(step, self._settings.retry)
        if began is not None and idle:
            async with self._reads() as db:
                tries = await attempts.tries(db, step.id, step.pipeline.attempt)
                spent = await attempts.run_cost(db, step.pipeline_id) + ((response and response.cost) or 0)
            pause = retries.pause_before_next(policy, failure, tries)
            if pause is not None and (too_much := self._over_budget(spent)) is not None:
                failure.detail += f" It is not tried again: {too_much}"
                pause = None
            if pause is not None:
                await self._endings.retry_step(
                    step, failure, began, response, tries=tries, allowed=policy.attempts, pause=pause
                )
                raise RetryScheduled(failure.detail) from failure
        await self._endings.fail_step(step, failure, began, response, idle=idle)

    async def _check_before_sending(self, run: Pipeline, agent: str, model: str | None) -> str | None:
        if self._catalog is None:
            return None
        directory = run.directory.real_path
        await self._catalog.check_agent(agent, directory)
        return await self._catalog.check_model(model, directory) if model else None

    async def _left_open(self, step: Step) -> Attempt | None:
        """The attempt that a crash left open, with its session bound again; None when there is none."""
        async with self._reads() as db:
            left = await attempts.open_attempt(db, step.id, step.pipeline.attempt)
        if left is None or left.session_id is None:
            return None
        self._client.attach_session(left.session_id, step_records.binding_of(step, left.message_id, StepLimits(), left))
        return left

    async def _open_session(self, step: Step, prompt: str, resolved: str | None, left: Attempt | None) -> Began:
        """Join the attempt that a crash left open, else begin one: ids are stored before anything is sent."""
        run, at = step.pipeline, step.order_index
        async with self._reads() as db:
            limits = self._limits(step, await attempts.run_cost(db, run.id))
        message_id = left.message_id if left else self._client.new_message_id()
        binding = step_records.binding_of(step, message_id, limits, left)
        if left is not None and left.session_id is not None:
            self._client.attach_session(left.session_id, binding)
            async with unit(self._sessions, "resume-step") as db:
                row = await run_locks.guard(db, run.id, run.epoch)
                return step_records.resume(db, row, at, left)
        session_id = await self._conversation.open(binding, partial(self._permit, run))
        commit = await self._git.commit(binding.directory)
        async with unit(self._sessions, "begin-step") as db:
            paused = await queue_state.is_paused_until_commit(db)
            row = await run_locks.guard(db, run.id, run.epoch)
            if paused and row.steps[at].status == "pending":
                raise QueuePaused("The queue was paused before the step began.")
            return await step_records.begin(
                db, row, at, session_id, binding, prompt,
                resolved_model=resolved, worker=self._settings.worker_id, commit=commit,
            )  # fmt: skip

    def _limits(self, step: Step, spent: float) -> StepLimits:
        limits = retries.limits_of(step, self._settings.limits)
        budget = self._settings.max_cost_usd
        if budget is None:
            return limits
        if (too_much := self._over_budget(spent)) is not None:
            raise BudgetExceeded(too_much)
        return limits.model_copy(update={"budget_usd": budget - spent})

    def _over_budget(self, spent: float) -> str | None:
        """Why a run that has cost so much sends no more prompts; None while it may."""
        budget = self._settings.max_cost_usd
        if budget is None or spent < budget:
            return None
        return f"The run has cost {dollars(spent)}; PACELINE_MAX_COST_USD allows {dollars(budget)}."

    async def _permit(self, run: Pipeline) -> None:
        """Go on only while this server lives for the others and the run is still ours; else StaleEpoch."""
        await self._workers.permit(Release(run.id, run.attempt))
        async with self._reads() as db:
            await run_locks.check_epoch(db, run.id, run.epoch)

    async def _stop_own(self, run: Pipeline, began: Began) -> tuple[MessageResponse | None, bool]:
        """Stop the session after a limit of ours, but only while the run is still ours."""
        await self._permit(run)
        return await self._conversation.stop(began.session_id, began.directory)

    async def _fail_segment(self, segment: Segment, error: Exception) -> str:
        """A defect of ours: stop what may still run, then fail the run with `internal_error`."""
        failure = InternalError(f"Paceline failed in this run ({error!r}). The server's log has the details.")
        try:
            async with self._reads() as db:
                run = await run_locks.read_run(db, segment.pipeline_id, segment.epoch)
            if run.status in FINAL_PIPELINE:
                return failure.code
            first = run_locks.first_open_index(run)
            if first == len(run.steps):
                await self._endings.fail_run(segment, failure)
                return failure.code
            left = await self._left_open(run.steps[first])
            began = step_records.began_of(left) if left is not None else None
            response, idle = (None, True) if began is None else await self._stop_own(run, began)
            await self._endings.fail_step(run.steps[first], failure, began, response, idle=idle)
        except StaleEpoch:
            return "stale"
        return failure.code

"""How a step or a run ends in the rows: each ending is one transaction behind the epoch guard."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.errors import PacelineError
from app.models import Step
from app.schemas.handoff import Handoff
from app.schemas.pipeline import FINAL_PIPELINE
from app.schemas.runtime import MessageResponse
from app.services import attempts, leases, parking, queue_state, run_locks, scheduling, step_records, transitions
from app.services.ports import Engine, Release, Segment
from app.services.step_records import Began
from app.services.units import unit


class RunEndings:
    """Every method may be repeated: a commit whose confirmation was lost is found done."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], engine: Engine) -> None:
        """`engine` takes what has to follow, in the same transaction."""
        self._sessions = sessions
        self._engine = engine

    async def complete_step(
        self,
        step: Step,
        began: Began,
        response: MessageResponse,
        handoff: Handoff,
        *,
        note: str | None,
        commit: str | None,
    ) -> None:
        """Store answer, hand-off and cost; the step is done."""
        async with unit(self._sessions, "complete-step") as db:
            run = await run_locks.guard(db, step.pipeline_id, step.pipeline.epoch)
            row = run.steps[step.order_index]
            if row.status != "done":
                await step_records.complete(db, row, began, response, handoff, note=note, commit=commit)

    async def fail_step(
        self,
        step: Step,
        failure: PacelineError,
        began: Began | None = None,
        response: MessageResponse | None = None,
        *,
        idle: bool = True,
    ) -> None:
        """Attempt, step and run -> failed; the directory goes to the next run once the agent is `idle` for sure.

        Otherwise a release keeps stopping the session and passes the directory on when that is proven.
        """
        async with unit(self._sessions, "fail-step") as db:
            directory = await leases.lock_directory_of(db, step.pipeline_id)
            run = await run_locks.guard(db, step.pipeline_id, step.pipeline.epoch)
            if run.status in FINAL_PIPELINE:
                return
            row = run.steps[step.order_index]
            if began is not None:
                await attempts.close_attempt(
                    db, row, began.attempt_id, failure.code, response, error_message=failure.detail
                )
            transitions.fail_step(db, row, failure.code, failure.detail)
            transitions.fail_pipeline(db, run, failure.code, failure.detail)
            if idle:
                await scheduling.pass_on(db, self._engine, directory, run.id, run.attempt)
            else:
                release = Release(run.id, run.attempt)
                await db.run_sync(lambda session: self._engine.enqueue_release(session, release))

    async def retry_step(
        self,
        step: Step,
        failure: PacelineError,
        began: Began,
        response: MessageResponse | None,
        *,
        tries: int,
        allowed: int,
        pause: timedelta,
    ) -> None:
        """Attempt -> failed, the step waits for its next try: a segment of a higher epoch, which begins after `pause`.

        The session must be proven idle. The run keeps its directory, and nothing waits in memory.
        """
        async with unit(self._sessions, "schedule-retry") as db:
            run = await run_locks.guard(db, step.pipeline_id, step.pipeline.epoch)
            row = run.steps[step.order_index]
            await attempts.close_attempt(
                db, row, began.attempt_id, failure.code, response, error_message=failure.detail
            )
            at = datetime.now(UTC) + pause
            transitions.schedule_retry(db, run, row, failure.code, failure.detail, tries=tries, allowed=allowed, at=at)
            await scheduling.enqueue(db, self._engine, run)

    async def fail_run(self, segment: Segment, failure: PacelineError) -> None:
        """The run -> failed, all of its steps being done already."""
        async with unit(self._sessions, "fail-step") as db:
            directory = await leases.lock_directory_of(db, segment.pipeline_id)
            run = await run_locks.guard(db, segment.pipeline_id, segment.epoch)
            transitions.fail_pipeline(db, run, failure.code, failure.detail)
            await scheduling.pass_on(db, self._engine, directory, run.id, run.attempt)

    async def open_gate(self, segment: Segment, step: Step) -> str:
        """The run waits for a person at `step`."""
        async with unit(self._sessions, "open-gate") as db:
            run = await run_locks.guard(db, segment.pipeline_id, segment.epoch)
            transitions.open_gate(db, run, run.steps[step.order_index])
        return "waiting_for_approval"

    async def park(self, pipeline_id: int, epoch: int) -> bool:
        """The run waits between two steps until the queue is resumed; False when it has been meanwhile."""
        async with unit(self._sessions, "park") as db:
            # Locked, so that whoever resumes either finds the run parked or is seen here.
            if not (await queue_state.lock(db)).paused:
                return False
            parking.park(db, await run_locks.guard(db, pipeline_id, epoch))
        return True

    async def finish_run(self, segment: Segment) -> str:
        """The run is done, and its directory goes to the next in line."""
        async with unit(self._sessions, "finish-run") as db:
            directory = await leases.lock_directory_of(db, segment.pipeline_id)
            run = await run_locks.guard(db, segment.pipeline_id, segment.epoch)
            if run.status in FINAL_PIPELINE:
                return run.status
            transitions.finish_pipeline(db, run)
            await scheduling.pass_on(db, self._engine, directory, run.id, run.attempt)
        return "done"

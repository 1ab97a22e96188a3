"""What people see of an outage of OpenCode in a step: that it waits, why, and that tools may have run twice."""

from collections.abc import Awaitable, Callable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.models import Attempt, Step
from app.services import attempts, run_locks, step_records, transitions
from app.services.step_records import Began
from app.services.units import unit

Sessions = async_sessionmaker[AsyncSession]


class Interruption:
    """The `Outage` of one step, in its rows and events. StaleEpoch as soon as the run has gone on without it."""

    def __init__(self, sessions: Sessions, step: Step, began: Began, permit: Callable[[], Awaitable[None]]) -> None:
        """`step.pipeline` must be loaded: its epoch guards every write. `permit` raises when others took over."""
        self._sessions = sessions
        self._step = step
        self._began = began
        self._permit = permit

    async def begin(self, why: str) -> None:
        """The step shows as interrupted from now on."""
        async with unit(self._sessions, "interrupt-step") as db:
            run = await run_locks.guard(db, self._step.pipeline_id, self._step.pipeline.epoch)
            transitions.interrupt_step(db, run.steps[self._step.order_index], why)
            (await self._attempt(db)).note = attempts.WAITING_NOTE

    async def permit(self) -> None:
        """Writes nothing: only whether the run is still ours."""
        await self._permit()

    async def end(self) -> None:
        """The step goes on."""
        async with unit(self._sessions, "resume-step") as db:
            run = await run_locks.guard(db, self._step.pipeline_id, self._step.pipeline.epoch)
            step_records.resume(db, run, self._step.order_index, await self._attempt(db))

    async def _attempt(self, db: AsyncSession) -> Attempt:
        return (await db.scalars(select(Attempt).where(Attempt.id == self._began.attempt_id))).one()

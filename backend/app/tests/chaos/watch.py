"""Looks at the rows while the server dies and comes back: what must never be true, not even for a moment."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.adapters.database import Database
from app.models import Pipeline
from app.schemas.work import Segment
from app.services import queue_state
from app.services.workers import WorkerQueries
from app.tests.chaos.invariants import ACTIVE

EVERY_SECONDS = 0.5
ALONE_SECONDS = 30.0
_LIVE = "('ENQUEUED', 'PENDING', 'DELAYED')"
_ONLY_WORKER = "local"
"""The name under which the one server of a SQLite file takes up work."""


class Watch:
    """Runs as long as the block; `faults` are sentences."""

    def __init__(
        self, database: Database, alone_seconds: float = ALONE_SECONDS, lives: Callable[[], bool] = lambda: True
    ) -> None:
        """A run may be `running` for `alone_seconds` without work that a living server has or can take up.

        `lives` tells of the only server on a SQLite file; those on PostgreSQL have leases.
        """
        self._lives = lives
        self.faults: list[str] = []
        self.looks = 0
        self._database = database
        self._alone_seconds = alone_seconds
        self._alone: dict[int, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Watch":
        self._task = asyncio.create_task(self._look_again_and_again())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _look_again_and_again(self) -> None:
        while True:
            # A killed server leaves a locked file for a moment.
            with suppress(DBAPIError):
                await self.look()
            await asyncio.sleep(EVERY_SECONDS)

    async def look(self) -> None:
        """One look at everything."""
        self.looks += 1
        table = "workflow_status" if self._database.dialect == "sqlite" else "dbos.workflow_status"
        async with self._database.reads() as db:
            query = select(Pipeline.id, Pipeline.directory_id, Pipeline.status, Pipeline.attempt)
            active = (await db.execute(query.where(Pipeline.status.in_(ACTIVE)))).all()
            forgotten = select(Pipeline.id).where(Pipeline.parked_at.is_not(None), queue_state.not_held_back)
            self.faults += [f"run {run_id} is parked in an open queue" for run_id in await db.scalars(forgotten)]
            parked = set(await db.scalars(select(Pipeline.id).where(Pipeline.parked_at.is_not(None))))
            queued = text(f"SELECT workflow_uuid, status, executor_id FROM {table} WHERE status IN {_LIVE}")
            work = (await db.execute(queued)).all()
        living = await self._living()
        live = [one for one, status, who in work if (who in living if status == "PENDING" else living)]
        places = [run.directory_id for run in active]
        if len(places) != len(set(places)):
            self.faults.append(f"two runs at work in one directory: {[tuple(run) for run in active]}")
        self._note_alone(
            {
                run.id
                for run in active
                if run.status == "running"
                and run.id not in parked
                and not any(one.startswith(Segment.prefix(run.id, run.attempt)) for one in live)
            }
        )

    async def _living(self) -> set[str]:
        if self._database.dialect == "sqlite":
            return {_ONLY_WORKER} if self._lives() else set()
        found = await WorkerQueries(self._database.reads, "").page()
        return {worker.id for worker in found.items if worker.state == "living"}

    def _note_alone(self, alone: set[int]) -> None:
        now = time.monotonic()
        self._alone = {run_id: self._alone.get(run_id, now) for run_id in alone}
        for run_id, since in self._alone.items():
            if now - since > self._alone_seconds:
                self.faults.append(f"run {run_id} is running for {now - since:.0f} s and nothing executes it")

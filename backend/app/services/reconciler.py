"""Compares rows with the engine's live work, at start and every minute, and mends what has drifted apart.

A run that is open in the rows but that nothing executes gets a higher epoch and a new segment; a
finished attempt that still holds its directory is released; gates are reminded and requests of agents
denied when it is time. What a dead server was about to execute counts as executed by nobody: where
several servers share the database, that is looked for every few seconds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.errors import PacelineError
from app.models import AgentRequest, Approval, Directory, Pipeline
from app.schemas.pipeline import FINAL_PIPELINE
from app.services import queue_state, request_transitions, run_locks, scheduling, transitions
from app.services.ports import Colleagues, Engine, Release, Releaser, Segment
from app.services.units import unit
from app.services.workers import OnlyWorker

log = logging.getLogger("paceline.reconciler")

AT_WORK = ("pending", "running", "waiting_for_input")
"""What a segment executes. While an agent asks a person, its session is open and somebody has to watch it."""
RECONCILE_SECONDS = 60.0
REMIND_SECONDS = 5.0
RELEASE_SECONDS = 20.0


class Reconciler:
    """Owns no state; every round starts from the rows."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        reads: async_sessionmaker[AsyncSession],
        engine: Engine,
        work: Releaser,
        workers: Colleagues | None = None,
        pause_seconds: float = REMIND_SECONDS,
    ) -> None:
        """`work` ends releases that the engine has given up; `workers` tells whose work is anybody's."""
        self._workers = workers or OnlyWorker()
        self._pause = pause_seconds
        self._sessions = sessions
        self._reads = reads
        self._engine = engine
        self._work = work

    async def run(self) -> None:
        """Remind every few seconds and reconcile every minute, until cancelled."""
        since = RECONCILE_SECONDS
        while True:
            with _alone("reminding"):
                await self.remind()
            with _alone("denying what nobody answered"):
                await self.deny_overdue()
            with _alone("reconciling"):
                # When the rows cannot be read, a few seconds later is soon enough, and a minute is not.
                if since >= RECONCILE_SECONDS or await self._lost():
                    await self.reconcile()
                    since = 0.0
            with _alone("ending what came late"):
                await self._end_what_came_late()
            await asyncio.sleep(self._pause)
            since += self._pause

    async def reconcile(self) -> None:
        """One round over all runs that should be at work and all directories that are held.

        A run that is parked while the queue is paused waits for the resume; any other parked one is taken up.
        """
        # Rows first: what they show was enqueued by the same commit, so it must be live by now.
        should_run = await self._should_run()
        held = await self._held_by_finished()
        holders = await self._engine.holders()
        lost = await self._lost(holders)
        live = holders.keys() - lost.keys()
        for segment in should_run:
            if not _any_of(live, segment.pipeline_id, segment.attempt):
                left = _any_of(lost.keys(), segment.pipeline_id, segment.attempt)
                with _alone(f"taking run {segment.pipeline_id} up"):
                    await self._enqueue_again(segment, f"{lost[left]} is gone" if left else "no live segment")
        # At once: each may wait for OpenCode, and reminders wait for all of them.
        overdue = [release for release in held if release.workflow_id not in live]
        async with asyncio.TaskGroup() as group:
            for release in overdue:
                group.create_task(self._in_time(self._work.run_release, release))
        if lost:
            await self._forget(lost)

    async def _lost(self, holders: dict[str, str | None] | None = None) -> dict[str, str]:
        """Live work that a dead worker had taken up, with that worker's name."""
        if not self._workers.shared:
            return {}
        holders = await self._engine.holders() if holders is None else holders
        taken = {work: who for work, who in holders.items() if who is not None}
        living = await self._workers.living() if taken else set()
        return {work: who for work, who in taken.items() if who not in living}

    async def _forget(self, lost: dict[str, str]) -> None:
        """Take away what a dead worker had taken up, except what is still to be taken over."""
        needed = {Segment.prefix(run.pipeline_id, run.attempt, run.epoch) for run in await self._should_run()}
        needed |= {release.workflow_id for release in await self._held_by_finished()}
        for work in lost:
            if not any(work.startswith(name) for name in needed):
                await self._engine.cancel(work)

    async def _end_what_came_late(self) -> None:
        """Stop prompts that this server sent when others had taken its work over already, and ended it.

        Where the try goes on, the session is another segment's and is left alone.
        """
        for suspect in self._workers.suspects():
            async with self._reads() as db:
                over = await db.scalar(
                    select(Pipeline.id).where(
                        Pipeline.id == suspect.pipeline_id,
                        Pipeline.status.in_(FINAL_PIPELINE) | (Pipeline.attempt != suspect.attempt),
                    )
                )
            end = self._work.stop_failed_tries if over is None else self._work.run_release
            if await self._in_time(end, suspect):
                self._workers.settled(suspect)

    async def _in_time(self, end: Callable[[Release], Awaitable[str]], release: Release) -> bool:
        """Bounded: it waits for OpenCode, and reminders must not wait with it. False when it is to be done again."""
        with _alone(f"the release of run {release.pipeline_id}"), suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_SECONDS):
                await end(release)
                return True
        return False

    async def _should_run(self) -> Sequence[Segment]:
        query = (
            select(Pipeline.id, Pipeline.attempt, Pipeline.epoch)
            .join(Directory, Directory.id == Pipeline.directory_id)
            .where(
                Pipeline.status.in_(AT_WORK),
                Directory.holder_id == Pipeline.id,
                Directory.holder_attempt == Pipeline.attempt,
                queue_state.not_held_back,
            )
        )
        async with self._reads() as db:
            rows = (await db.execute(query)).all()
        return [Segment(row.id, row.attempt, row.epoch, start=0) for row in rows]

    async def _enqueue_again(self, segment: Segment, reason: str) -> None:
        """Of several servers that try, the epoch lets one."""
        try:
            async with unit(self._sessions, "recover") as db:
                run = await run_locks.guard(db, segment.pipeline_id, segment.epoch)
                if run.status not in AT_WORK or (run.parked_at is not None and await queue_state.is_paused(db)):
                    return
                transitions.recover_pipeline(db, run, reason)
                await scheduling.enqueue(db, self._engine, run)
        except PacelineError as error:
            log.info("run %s was not taken over: %s", segment.pipeline_id, error.detail)

    async def _held_by_finished(self) -> Sequence[Release]:
        query = (
            select(Directory.holder_id, Directory.holder_attempt)
            .join(Pipeline, Pipeline.id == Directory.holder_id)
            .where(Pipeline.status.in_(FINAL_PIPELINE) | (Pipeline.attempt != Directory.holder_attempt))
        )
        async with self._reads() as db:
            rows = (await db.execute(query)).all()
        return [Release(row.holder_id, row.holder_attempt) for row in rows]

    async def remind(self) -> None:
        """Write the one reminder of each open gate whose time has come."""
        due = (Approval.status == "pending", Approval.reminded_at.is_(None), Approval.remind_at <= datetime.now(UTC))
        async with self._reads() as db:
            waiting = (await db.scalars(select(Approval.pipeline_id).where(*due))).all()
        for pipeline_id in waiting:
            with _alone(f"a reminder of run {pipeline_id}"):
                await self._remind(pipeline_id, due)

    async def _remind(self, pipeline_id: int, due: Sequence[ColumnElement[bool]]) -> None:
        async with unit(self._sessions, "remind") as db:
            await run_locks.lock_run(db, pipeline_id)
            for gate in await db.scalars(select(Approval).where(*due, Approval.pipeline_id == pipeline_id)):
                transitions.remind_gate(db, gate)

    async def deny_overdue(self) -> None:
        """Deny what an agent asked and nobody answered in time; whoever waits for the answer sees the row."""
        due = (AgentRequest.status == "pending", AgentRequest.deadline <= datetime.now(UTC))
        async with self._reads() as db:
            waiting = (await db.scalars(select(AgentRequest.pipeline_id).where(*due).distinct())).all()
        for pipeline_id in waiting:
            with _alone(f"a deadline of run {pipeline_id}"):
                await self._deny(pipeline_id, due)

    async def _deny(self, pipeline_id: int, due: Sequence[ColumnElement[bool]]) -> None:
        async with unit(self._sessions, "expire") as db:
            run = await run_locks.lock_run(db, pipeline_id)
            overdue = select(AgentRequest).where(*due, AgentRequest.pipeline_id == pipeline_id)
            for request in await db.scalars(overdue):
                request_transitions.expire(db, run, request)


@contextmanager
def _alone(what: str) -> Iterator[None]:
    """What fails here keeps nothing else from its turn; the next round looks again."""
    try:
        yield
    except Exception:
        log.exception("%s failed", what)


def _any_of(live: Collection[str], pipeline_id: int, attempt: int) -> str | None:
    """The id of a segment of that attempt among these."""
    prefix = Segment.prefix(pipeline_id, attempt)
    return next((work for work in live if work.startswith(prefix)), None)

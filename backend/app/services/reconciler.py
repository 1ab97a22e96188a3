"""Compares rows with the engine's live work, at start and every minute, and mends what has drifted apart.

A run that is open in the rows but that nothing executes gets a higher epoch and a new segment; a
finished attempt that still holds its directory is released; gates are reminded and requests of agents
denied when it is time.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.errors import PacelineError
from app.models import AgentRequest, Approval, Directory, Pipeline
from app.schemas.pipeline import FINAL_PIPELINE
from app.services import request_transitions, run_locks, scheduling, transitions
from app.services.ports import Engine, Release, Segment, WorkHandler
from app.services.units import unit

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
        work: WorkHandler,
    ) -> None:
        """`work` ends releases that the engine has given up."""
        self._sessions = sessions
        self._reads = reads
        self._engine = engine
        self._work = work

    async def run(self) -> None:
        """Remind every few seconds and reconcile every minute, until cancelled."""
        since = RECONCILE_SECONDS
        while True:
            try:
                await self.remind()
                await self.deny_overdue()
                if since >= RECONCILE_SECONDS:
                    await self.reconcile()
                    since = 0.0
            except Exception:
                # The database may be locked or full; the next round, in a few seconds, looks again.
                log.exception("a round of the reconciler failed")
            await asyncio.sleep(REMIND_SECONDS)
            since += REMIND_SECONDS

    async def reconcile(self) -> None:
        """One round over all runs that should be at work and all directories that are held."""
        # Rows first: what they show was enqueued by the same commit, so it must be live by now.
        should_run = await self._should_run()
        held = await self._held_by_finished()
        live = await self._engine.live_workflows()
        for segment in should_run:
            if not _any_of(live, segment.pipeline_id, segment.attempt):
                await self._enqueue_again(segment.pipeline_id, segment.epoch)
        for release in held:
            if release.workflow_id not in live:
                await self._release(release)

    async def _release(self, release: Release) -> None:
        """Bounded: a release waits for OpenCode, and reminders must not wait with it. It may be done again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._work.run_release(release)

    async def _should_run(self) -> Sequence[Segment]:
        query = (
            select(Pipeline.id, Pipeline.attempt, Pipeline.epoch)
            .join(Directory, Directory.id == Pipeline.directory_id)
            .where(
                Pipeline.status.in_(AT_WORK),
                Directory.holder_id == Pipeline.id,
                Directory.holder_attempt == Pipeline.attempt,
            )
        )
        async with self._reads() as db:
            rows = (await db.execute(query)).all()
        return [Segment(row.id, row.attempt, row.epoch, start=0) for row in rows]

    async def _enqueue_again(self, pipeline_id: int, epoch: int) -> None:
        try:
            async with unit(self._sessions, "recover") as db:
                run = await run_locks.guard(db, pipeline_id, epoch)
                if run.status not in AT_WORK:
                    return
                transitions.recover_pipeline(db, run, "no live segment")
                await scheduling.enqueue(db, self._engine, run)
        except PacelineError as error:
            log.info("run %s was not taken over: %s", pipeline_id, error.detail)

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
            async with self._sessions.begin() as db:
                run = await run_locks.lock_run(db, pipeline_id)
                overdue = select(AgentRequest).where(*due, AgentRequest.pipeline_id == pipeline_id)
                for request in await db.scalars(overdue):
                    request_transitions.expire(db, run, request)


def _any_of(live: set[str], pipeline_id: int, attempt: int) -> bool:
    prefix = Segment.prefix(pipeline_id, attempt)
    return any(work.startswith(prefix) for work in live)


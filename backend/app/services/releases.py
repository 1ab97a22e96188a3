"""Ends what an aborted attempt left running, and only then gives its directory to the next run."""

import asyncio
import logging
import time
from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.errors import OpencodeRefusal, OpencodeUnavailable
from app.models import Attempt, Directory, Step
from app.schemas.runtime import MessageResponse, SessionBinding
from app.services import attempts, leases, scheduling
from app.services.ports import AgentRuntime, Colleagues, Engine, Release, Segment
from app.services.units import unit
from app.services.workers import OnlyWorker

log = logging.getLogger("paceline.release")

_POLL_SECONDS = 0.2
# OpenCode answers nothing twice, but it begins again what has failed.
_FAILED = Attempt.outcome != "done"
# A failed one too: its step may have ended before the session was proven idle.
_OPEN_OR_FAILED = Attempt.outcome.is_(None) | _FAILED


class Releases:
    """Runs as durable work, enqueued by the transaction that aborts: a crash behind it heals itself."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        reads: async_sessionmaker[AsyncSession],
        client: AgentRuntime,
        engine: Engine,
        active_segments: set[str],
        workers: Colleagues | None = None,
    ) -> None:
        """`active_segments` holds the workflow ids that this process executes right now."""
        self._workers = workers or OnlyWorker()
        self._sessions = sessions
        self._reads = reads
        self._client = client
        self._engine = engine
        self._active = active_segments

    async def run_release(self, release: Release) -> str:
        """Stop every session of the attempt until no segment of it lives, then free the directory.

        The loop also catches a prompt that went out between the abort and the first stop. It does
        not end while OpenCode is away: a directory is never given on while an agent may be in it.
        """
        left = await self._tries(release, _OPEN_OR_FAILED)
        responses: dict[int, MessageResponse] = {}
        while True:
            quiet = await self._stop_all(left, responses)
            if quiet and not await self._live_segments(release):
                break
            await asyncio.sleep(_POLL_SECONDS)
            left = await self._tries(release, _OPEN_OR_FAILED)
        await self._free(release, left, responses)
        return "released"

    async def stop_failed_tries(self, release: Release) -> str:
        """Stop what a prompt that came late has begun in a try that failed; the attempt goes on with a later one."""
        while not await self._stop_all(await self._tries(release, _FAILED), {}):
            await asyncio.sleep(_POLL_SECONDS)
        return "stopped"

    async def _tries(self, release: Release, which: ColumnElement[bool]) -> Sequence[Attempt]:
        async with self._reads() as db:
            found = await db.scalars(
                select(Attempt)
                .join(Step, Step.id == Attempt.step_id)
                .where(Step.pipeline_id == release.pipeline_id, Attempt.pipeline_attempt == release.attempt, which)
            )
            return found.all()

    async def _stop_all(self, left: Sequence[Attempt], responses: dict[int, MessageResponse]) -> bool:
        quiet = True
        for attempt in left:
            if attempt.session_id is None:
                continue
            try:
                if not await self._client.stop_session(attempt.session_id, attempt.directory):
                    quiet = False
                    continue
                responses[attempt.id] = await self._read(attempt, attempt.session_id)
            except OpencodeRefusal as error:
                # It is proven idle, and what it has cost will never be told, so its directory waits for nothing.
                log.warning("session %s cannot be read any more: %s", attempt.session_id, error.detail)
            except OpencodeUnavailable as error:
                log.warning("waiting for OpenCode to stop session %s: %s", attempt.session_id, error.detail)
                quiet = False
        return quiet

    async def _read(self, attempt: Attempt, session_id: str) -> MessageResponse:
        binding = SessionBinding(
            directory=attempt.directory, message_id=attempt.message_id, title="", pipeline_id=0,
            step_id=attempt.step_id, attempt=attempt.pipeline_attempt,
        )  # fmt: skip
        self._client.attach_session(session_id, binding)
        return await self._client.read_turn(session_id)

    async def _live_segments(self, release: Release) -> bool:
        prefix = Segment.prefix(release.pipeline_id, release.attempt)
        holders = {work: who for work, who in (await self._engine.holders()).items() if work.startswith(prefix)}
        others = await self._workers.living() - {self._workers.me} if any(holders.values()) else set()
        for work, who in holders.items():
            if work not in self._active and who not in others:
                # Enqueued, recovered and not yet begun, or a dead server's: it would only find that its epoch is over.
                await self._engine.cancel(work)
        return bool(holders) or any(work.startswith(prefix) for work in self._active)

    async def _free(self, release: Release, left: Sequence[Attempt], responses: dict[int, MessageResponse]) -> None:
        async with unit(self._sessions, "release") as db:
            directory = await leases.lock_directory_of(db, release.pipeline_id)
            # Read under the lock: two servers may do the same release, and a cost counts once.
            open_now = await db.scalars(
                select(Attempt).where(Attempt.id.in_([attempt.id for attempt in left]), Attempt.outcome.is_(None))
            )
            for attempt in open_now.all():
                step = (await db.scalars(select(Step).where(Step.id == attempt.step_id))).one()
                response = responses.get(attempt.id)
                await attempts.close_attempt(db, step, attempt.id, "aborted", response, error_message="Aborted.")
            await scheduling.pass_on(db, self._engine, directory, release.pipeline_id, release.attempt)

    async def wait_until_free(self, pipeline_id: int, attempt: int, seconds: float) -> bool:
        """True when the attempt no longer holds its directory; False when the time is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            async with self._reads() as db:
                held = await db.scalar(
                    select(Directory.id).where(Directory.holder_id == pipeline_id, Directory.holder_attempt == attempt)
                )
            if held is None:
                return True
            await asyncio.sleep(0.05)
        return False

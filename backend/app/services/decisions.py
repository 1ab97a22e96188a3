"""What people decide about a run: approve, reject, abort, restart. Each is compare-and-set in one transaction."""

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.services import leases, scheduling, transitions
from app.services.ports import Engine, Release
from app.services.releases import Releases

_ABORT_WAIT_SECONDS = 10.0


class Decisions:
    """Of two decisions at once the first wins; the other gets a StateConflict that names the new state."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], engine: Engine, releases: Releases) -> None:
        """`releases` tells when an aborted run has let go of its directory."""
        self._sessions = sessions
        self._engine = engine
        self._releases = releases

    async def approve(self, pipeline_id: int, actor: str, comment: str | None) -> None:
        """Close the open gate and go on with the next step."""
        async with self._sessions.begin() as db:
            run = await transitions.lock_run(db, pipeline_id)
            transitions.approve_gate(db, run, actor, comment)
            await scheduling.enqueue(db, self._engine, run)

    async def reject(self, pipeline_id: int, actor: str, comment: str | None) -> None:
        """Fail the run at its open gate and pass the directory on: no agent works at a gate."""
        async with self._sessions.begin() as db:
            directory = await leases.lock_directory_of(db, pipeline_id)
            run = await transitions.lock_run(db, pipeline_id)
            transitions.reject_gate(db, run, actor, comment)
            await scheduling.pass_on(db, self._engine, directory, run.id, run.attempt)

    async def abort(self, pipeline_id: int, actor: str) -> None:
        """End the run at once in the rows; returns when OpenCode is idle for it, or after 10 s."""
        async with self._sessions.begin() as db:
            directory = await leases.lock_directory_of(db, pipeline_id)
            run = await transitions.lock_run(db, pipeline_id)
            transitions.abort_pipeline(db, run, actor)
            attempt = run.attempt
            holds = (directory.holder_id, directory.holder_attempt) == (run.id, attempt)
            if holds:
                release = Release(run.id, attempt)
                await db.run_sync(lambda session: self._engine.enqueue_release(session, release))
        if holds:
            await self._releases.wait_until_free(pipeline_id, attempt, _ABORT_WAIT_SECONDS)

    async def restart(self, pipeline_id: int, actor: str) -> None:
        """Begin a new attempt at the first step that is not done; old attempts stay."""
        async with self._sessions.begin() as db:
            directory = await leases.lock_directory_of(db, pipeline_id)
            run = await transitions.lock_run(db, pipeline_id)
            transitions.restart_pipeline(db, run, actor)
            await scheduling.start_or_queue(db, self._engine, run, directory, actor)

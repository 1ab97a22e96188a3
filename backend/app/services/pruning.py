"""Deletes old finished runs with everything that was stored of them, and the workspaces made for them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy import delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.errors import NotFound
from app.models import Directory, Pipeline
from app.schemas.pipeline import FINAL_PIPELINE
from app.services import audit, leases, run_locks
from app.services.ports import Release, Segment

log = logging.getLogger("paceline.pruning")


class OwnWorkspaces(Protocol):
    """Directories that were made for runs."""

    def made_for(self, real_path: str) -> int | None:
        """The id of the run it was made for; None when it is not one of ours, or gone."""
        ...

    def left_aside(self) -> list[tuple[str, str]]:
        """What was set aside and neither put back nor deleted: where it is, and where it was."""
        ...

    def set_aside(self, real_path: str) -> str:
        """Rename it so that no new run finds it; the new path."""
        ...

    def put_back(self, aside: str, real_path: str) -> None:
        """Undo that."""
        ...

    def delete(self, aside: str) -> None:
        """Delete what was set aside."""
        ...


class QueueRecords(Protocol):
    """What the engine keeps of work that has ended."""

    async def live_workflows(self) -> set[str]:
        """Ids of all work that has not ended."""
        ...

    async def forget(self, prefixes: Sequence[str]) -> None:
        """Delete the records of all work whose ids begin so. Never call it in a transaction."""
        ...


@dataclass(frozen=True)
class Pruned:
    """What was taken away."""

    runs: int
    workspaces: int


class Pruning:
    """Safe beside a running server: each run goes in a transaction of its own, under the locks of a decision."""

    def __init__(
        self, sessions: async_sessionmaker[AsyncSession], workspaces: OwnWorkspaces, queue: QueueRecords
    ) -> None:
        """Holds nothing between two calls."""
        self._sessions = sessions
        self._workspaces = workspaces
        self._queue = queue

    async def prune(self, older_than_days: int, actor: str) -> Pruned:
        """Delete runs that ended more than `older_than_days` ago: steps, attempts, transcripts, gates, all.

        Their audit events stay and get a `pipeline.pruned`. A workspace goes when no other run is left
        in it; no other directory is ever touched.
        """
        await self.mend()
        before = datetime.now(UTC) - timedelta(days=older_than_days)
        old = (Pipeline.status.in_(FINAL_PIPELINE), Pipeline.finished_at < before)
        async with self._sessions() as db:
            ids = (await db.scalars(select(Pipeline.id).where(*old).order_by(Pipeline.id))).all()
        runs = workspaces = 0
        live = await self._queue.live_workflows() if ids else set()
        for pipeline_id in ids:
            ours = _work_of(pipeline_id)
            if any(work.startswith(ours) for work in live):
                continue
            pruned = await self._prune(pipeline_id, before, actor)
            if pruned is not None:
                await self._queue.forget(ours)
                runs += 1
                workspaces += pruned
        return Pruned(runs, workspaces)

    async def mend(self) -> None:
        """Finish what a death between the renaming of a workspace and the commit has left: the rows decide."""
        for aside, real_path in self._workspaces.left_aside():
            try:
                await self._mend(aside, real_path)
            except OSError as error:
                log.warning("%s was left by a prune that was cut off, and cannot be mended: %s", aside, error)

    async def _mend(self, aside: str, real_path: str) -> None:
        async with self._sessions.begin() as db:
            # Whoever prunes a run in it at this moment has this lock until its rows are gone.
            directory = await leases.lock_directory(db, real_path)
            used = await self._is_used(db, directory)
            if used:
                self._workspaces.put_back(aside, real_path)
        if not used:
            self._workspaces.delete(aside)

    async def _prune(self, pipeline_id: int, before: datetime, actor: str) -> int | None:
        """The number of workspaces that went with the run; None when it stays: somebody restarted it."""
        aside: tuple[str, str] | None = None
        try:
            async with self._sessions.begin() as db:
                directory = await leases.lock_directory_of(db, pipeline_id)
                run = await run_locks.lock_run(db, pipeline_id)
                ended = run.finished_at
                if run.status not in FINAL_PIPELINE or ended is None or ended >= before:
                    return None
                if directory.holder_id == run.id:
                    return None
                title, status = run.title, run.status
                db.expunge_all()
                await db.execute(
                    delete(Pipeline).where(Pipeline.id == pipeline_id).execution_options(synchronize_session=False)
                )
                if await self._is_unused_workspace(db, directory, pipeline_id):
                    aside = (self._workspaces.set_aside(directory.real_path), directory.real_path)
                audit.record(
                    db, "pipeline.pruned", actor=actor, pipeline_id=pipeline_id,
                    title=title, status=status, finished_at=ended.isoformat(), workspace=aside is not None,
                )  # fmt: skip
        except NotFound:
            return None
        except BaseException:
            if aside is not None:
                self._workspaces.put_back(*aside)
            raise
        if aside is not None:
            self._workspaces.delete(aside[0])
        return int(aside is not None)

    async def _is_unused_workspace(self, db: AsyncSession, directory: Directory, pipeline_id: int) -> bool:
        made_for = self._workspaces.made_for(directory.real_path)
        if made_for is None:
            return False
        made_for_other = exists().where(Pipeline.id == made_for)
        if made_for > pipeline_id or await db.scalar(select(made_for_other)):
            return False
        return not await self._is_used(db, directory)

    async def _is_used(self, db: AsyncSession, directory: Directory) -> bool:
        """Whether a run works in it or below it."""
        within = func.substr(Directory.real_path, 1, len(directory.real_path) + 1) == directory.real_path + "/"
        used = exists().where(
            Pipeline.directory_id == Directory.id, (Directory.id == directory.id) | within
        )
        return bool(await db.scalar(select(used)))


def _work_of(pipeline_id: int) -> tuple[str, ...]:
    """What the ids of a run's work begin with, over all its attempts."""
    segments = Segment.prefix(pipeline_id, 1).removesuffix("0001-")
    releases = Release(pipeline_id, 1).workflow_id.removesuffix("0001")
    return segments, releases

"""What `paceline db` does on the database itself, without a server."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from app.adapters.database import Database
from app.adapters.database_errors import sqlite_failure
from app.adapters.database_schema import upgrade_schema
from app.adapters.dbos_engine import DbosEngine
from app.adapters.working_dirs import WorkingDirectories
from app.adapters.workspaces import Workspaces
from app.services.pruning import Pruned, Pruning
from app.services.row_checks import broken_rows, should_be_queued, unqueued
from app.settings import Settings

_SECOND_LOOK_SECONDS = 3.0
"""Beside a running server a run may stand between two pieces of work for a moment."""


async def prune_runs(settings: Settings, older_than_days: int) -> Pruned:
    """Delete old finished runs; the schema is brought up to date before."""
    await upgrade_schema(settings.resolved_database_url)
    folders = WorkingDirectories(settings.fs_roots, settings.data_dir)
    async with _opened(settings) as (database, engine):
        return await Pruning(database.sessions, Workspaces(folders.workspaces), engine).prune(older_than_days, "cli")


async def row_faults(settings: Settings) -> list[str]:
    """A sentence for each row that contradicts another one, or the queue."""
    async with _opened(settings) as (database, engine):
        async with database.reads() as db:
            faults = await broken_rows(db)
        idle = await _unqueued(database, engine)
        if idle:
            await asyncio.sleep(_SECOND_LOOK_SECONDS)
            idle = sorted(set(idle) & set(await _unqueued(database, engine)))
    return faults + [f"Run {run} should be at work, but nothing is enqueued for it." for run in idle]


async def _unqueued(database: Database, engine: DbosEngine) -> list[int]:
    async with database.reads() as db:
        expected = await should_be_queued(db)
    return unqueued(expected, await engine.live_workflows()) if expected else []


def vacuum_file(file: Path) -> None:
    """Write the file anew without its gaps; needs as much free space as it has."""
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("VACUUM")
    except sqlite3.Error as error:
        raise sqlite_failure(error) from error


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Database, DbosEngine]]:
    database = Database(settings.resolved_database_url)
    try:
        yield database, DbosEngine(database, "cli")
    finally:
        await database.dispose()

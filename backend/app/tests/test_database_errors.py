"""What failures of the database are called: each one is provoked for real."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import delete, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.adapters import sqlite_connection
from app.adapters.database import Database
from app.adapters.database_errors import as_unavailable
from app.adapters.database_schema import upgrade_schema
from app.errors import DatabaseUnavailable, StorageFull, Unavailable
from app.models import Directory
from app.tests.factories import eventually, make_directory, make_pipeline


async def failing(database: Database, *statements: str, write: bool = True) -> Unavailable | None:
    """What the failure of these statements, and then of a write, is called."""

    async def fail() -> None:
        async with database.sessions.begin() as db:
            for statement in statements:
                await db.execute(text(statement))
            if write:
                await make_directory(db, "/" + "x" * 1500)

    with pytest.raises(SQLAlchemyError) as caught:
        await fail()
    await database.dispose()
    # A connection that could not be opened ends its thread by itself, and tells the loop, which must still be there.
    await eventually(_no_connection_thread)
    return as_unavailable(caught.value)


async def _no_connection_thread() -> bool:
    return not any("_connection_worker_thread" in thread.name for thread in threading.enumerate())


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite+aiosqlite:///"))


async def test_locked_by_another_process(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_connection, "BUSY_TIMEOUT_MS", 10)
    other = sqlite3.connect(file_of(sqlite_url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    error = await failing(Database(sqlite_url))
    other.close()
    assert isinstance(error, DatabaseUnavailable)
    assert "locked" in error.detail


async def test_read_only_file(sqlite_url: str) -> None:
    error = await failing(Database(f"sqlite+aiosqlite:///file:{file_of(sqlite_url)}?mode=ro&uri=true"))
    assert isinstance(error, DatabaseUnavailable)
    assert "cannot be written" in error.detail


async def test_full_disk(sqlite_url: str) -> None:
    error = await failing(Database(sqlite_url), "PRAGMA max_page_count = 1")
    assert isinstance(error, StorageFull)
    assert error.status == 507


async def test_file_that_is_no_database(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_text("this is no database, however long it is read " * 100)
    error = await failing(Database(f"sqlite+aiosqlite:///{broken}"))
    assert isinstance(error, DatabaseUnavailable)
    assert "cannot be read" in error.detail


async def test_folder_that_is_missing(tmp_path: Path) -> None:
    error = await failing(Database(f"sqlite+aiosqlite:///{tmp_path / 'missing' / 'x.db'}"))
    assert isinstance(error, DatabaseUnavailable)
    assert "cannot be opened" in error.detail


async def test_read_only_server(postgres_url: str) -> None:
    error = await failing(Database(postgres_url), "SET TRANSACTION READ ONLY")
    assert isinstance(error, DatabaseUnavailable)
    assert "cannot be written" in error.detail


async def test_connection_ended_by_the_server(postgres_url: str) -> None:
    error = await failing(Database(postgres_url), "SELECT pg_terminate_backend(pg_backend_pid())", write=False)
    assert isinstance(error, DatabaseUnavailable)
    assert "does not answer" in error.detail


async def test_statement_that_gave_up_waiting_for_a_lock(postgres_url: str) -> None:
    holder = Database(postgres_url)
    async with holder.sessions.begin() as db:
        await db.execute(text("LOCK TABLE directories IN ACCESS EXCLUSIVE MODE"))
        error = await failing(Database(postgres_url), "SET LOCAL lock_timeout = '10ms'")
    await holder.dispose()
    assert isinstance(error, DatabaseUnavailable)
    assert "locked" in error.detail


async def test_server_that_is_not_there(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://postgres@/x?host={tmp_path}"
    error = await failing(Database(url))
    assert isinstance(error, DatabaseUnavailable)
    assert "does not answer" in error.detail
    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        await upgrade_schema(url)


def test_no_free_connection_in_time() -> None:
    assert isinstance(as_unavailable(PoolTimeout()), DatabaseUnavailable)


async def test_defects_of_ours_are_not_excused(database: Database) -> None:
    """A broken constraint or statement is no outage: it must not be answered with 'try again'."""
    assert await failing(database, "SELECT no_such_column FROM directories", write=False) is None
    async with database.sessions() as db:
        await make_pipeline(db)
        with pytest.raises(SQLAlchemyError) as caught:
            await db.execute(delete(Directory))
    assert as_unavailable(caught.value) is None


async def test_a_transaction_that_stands_still_ends_and_gives_its_locks_back(postgres_url: str) -> None:
    still = Database(postgres_url, idle_transaction_seconds=0.3)

    async def stand_still() -> None:
        async with still.sessions.begin() as db:
            await db.execute(text("SELECT pg_advisory_xact_lock(1)"))
            await asyncio.sleep(0.6)
            await db.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError) as stopped:
        await stand_still()
    known = as_unavailable(stopped.value)
    assert known is not None
    assert "does not answer" in known.detail
    async with still.sessions.begin() as db:
        assert await db.scalar(text("SELECT pg_try_advisory_xact_lock(1)"))
    await still.dispose()

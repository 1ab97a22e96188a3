"""The database: transactions, the order of audit ids, settings of SQLite, and what failures are called."""

import asyncio
import sqlite3
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters.database import Database, parse_url
from app.adapters.sqlite_connection import unixepoch, wal_is_safe
from app.errors import DatabaseUnavailable
from app.models import AuditEvent, Directory, Pipeline, Worker
from app.tests.factories import make_directory, make_pipeline


def audit(db: AsyncSession, event_type: str) -> None:
    """What services/audit.py does."""
    event = AuditEvent(at=datetime.now(UTC), type=event_type, actor="test", payload={})
    db.sync_session.info.setdefault("audit", []).append(event)


async def audit_types(database: Database) -> list[str]:
    async with database.reads() as db:
        return list(await db.scalars(select(AuditEvent.type).order_by(AuditEvent.id)))


async def test_reading_then_writing_is_one_unit(database: Database) -> None:
    """Ten writers that read and add one make ten: none of them reads an old value."""
    async with database.sessions.begin() as db:
        directory = await make_directory(db)

    async def add_one() -> None:
        async with database.sessions.begin() as db:
            query = select(Directory).where(Directory.id == directory.id).with_for_update()
            row = (await db.scalars(query)).one()
            row.last_queue_number += 1

    await asyncio.gather(*(add_one() for _ in range(10)))
    async with database.reads() as db:
        assert await db.scalar(select(Directory.last_queue_number)) == 10


async def test_readers_do_not_wait_for_an_open_writer(database: Database) -> None:
    async with database.sessions.begin() as writer:
        await make_directory(writer)
        async with asyncio.timeout(5), database.reads() as reader:
            assert (await reader.scalars(select(Directory))).all() == []


async def test_a_cancelled_transaction_lets_go_of_the_database(database: Database) -> None:
    """Its traceback, which somebody may keep, must not keep the lock too."""
    slow = "select pg_sleep(1)"
    if database.dialect == "sqlite":
        slow = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000) select max(i) from n"

    async def given_up() -> None:
        async with database.sessions.begin() as db:
            await make_directory(db)
            await db.execute(text(slow))

    tasks = [asyncio.create_task(given_up()) for _ in range(2)]
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
    async with asyncio.timeout(5), database.sessions.begin() as db:
        assert (await db.scalars(select(Directory))).all() == []
        await make_directory(db)


async def test_a_reading_session_refuses_to_write(database: Database) -> None:
    async with database.reads() as db:
        db.add(Directory(real_path="/x", last_queue_number=0))
        with pytest.raises(RuntimeError, match="only reads"):
            await db.flush()


async def test_objects_stay_readable_and_relations_refuse_to_load(database: Database) -> None:
    async with database.sessions.begin() as db:
        run = await make_pipeline(db)
    async with database.reads() as db:
        read = (await db.scalars(select(Pipeline))).one()
    assert read.title == run.title
    assert read.created_at.tzinfo is not None
    with pytest.raises(InvalidRequestError, match="raise"):
        _ = read.steps


async def test_foreign_keys_hold(database: Database) -> None:
    async with database.sessions() as db:
        await make_pipeline(db)
        with pytest.raises(IntegrityError):
            await db.execute(delete(Directory))


async def test_audit_is_written_with_the_change_and_told_after_it(database: Database) -> None:
    told: list[list[str]] = []
    tasks: set[asyncio.Task[None]] = set()

    async def look() -> None:
        told.append(await audit_types(database))

    def on_commit() -> None:
        tasks.add(asyncio.get_running_loop().create_task(look()))

    database.on_commit = on_commit
    async with database.sessions.begin() as db:
        await make_directory(db)
        audit(db, "first")
        audit(db, "second")
        audit(db, "third")
    async with database.sessions.begin() as db:
        await db.execute(update(Directory).values(last_queue_number=1))
    await asyncio.gather(*tasks)
    assert told == [["first", "second", "third"]]


async def test_what_is_rolled_back_is_not_reported(database: Database) -> None:
    called: list[None] = []
    database.on_commit = lambda: called.append(None)
    async with database.sessions() as db:
        await make_directory(db)
        audit(db, "lost")
        await db.rollback()
        await make_directory(db)
        await db.commit()
    assert (await audit_types(database), called) == ([], [])


async def test_a_savepoint_keeps_or_loses_its_own_events(database: Database) -> None:
    called: list[None] = []
    database.on_commit = lambda: called.append(None)
    async with database.sessions.begin() as db:
        audit(db, "before")
        async with db.begin_nested():
            audit(db, "kept")
        savepoint = await db.begin_nested()
        audit(db, "lost")
        await savepoint.rollback()
        audit(db, "after")
        with pytest.raises(IntegrityError):
            await break_in_a_savepoint(db)
        assert called == []
    assert await audit_types(database) == ["before", "kept", "after"]
    assert called == [None]


async def break_in_a_savepoint(db: AsyncSession) -> None:
    async with db.begin_nested():
        audit(db, "lost")
        db.add(Worker(id="w"))
        await db.flush()


async def test_who_has_seen_an_audit_id_never_misses_a_smaller_one(database: Database) -> None:
    """While one transaction has an id and has not committed, no other one may overtake it."""

    async def fast() -> None:
        async with database.sessions.begin() as db:
            await make_directory(db)
            audit(db, "fast")

    async with database.sessions() as slow:
        audit(slow, "slow")
        # The first half of the commit: from here on the id is taken.
        await slow.run_sync(lambda session: session.dispatch.before_commit(session))
        overtaking = asyncio.create_task(fast())
        await asyncio.sleep(0.3)
        assert await audit_types(database) == []
        await slow.commit()
    await overtaking
    assert await audit_types(database) == ["slow", "fast"]


async def test_sqlite_is_set_up_for_safety(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    journal = "wal" if wal_is_safe(sqlite3.sqlite_version_info) else "delete"
    expected = {"journal_mode": journal, "synchronous": 2, "foreign_keys": 1, "busy_timeout": 15_000}
    async with database.engine.connect() as connection:
        for pragma, value in expected.items():
            assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar() == value, pragma
        now = (await connection.exec_driver_sql("SELECT unixepoch('subsec') * 1000")).scalar()
    with database.queue_engine.connect() as blocking:
        for pragma, value in expected.items():
            assert blocking.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value, pragma
        later = blocking.exec_driver_sql("SELECT unixepoch('subsec') * 1000").scalar()
    await database.dispose()
    assert now is not None
    assert later is not None
    assert 0 <= later - now < 60_000


def test_wal_is_used_only_where_it_is_safe() -> None:
    safe = [(3, 44, 6), (3, 44, 9), (3, 50, 7), (3, 51, 3), (3, 52, 0), (4, 0, 0)]
    unsafe = [(3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 0), (3, 51, 2)]
    assert [wal_is_safe(version) for version in safe + unsafe] == [True] * 6 + [False] * 6


def test_unixepoch_answers_only_what_is_asked_of_it() -> None:
    assert isinstance(unixepoch(), int)
    assert isinstance(unixepoch("subsec"), float)
    with pytest.raises(ValueError, match="not supported"):
        unixepoch("now", "+1 day")


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:////tmp/x.db", "sqlite+aiosqlite"),
        ("postgresql://me:secret@host/x", "postgresql+psycopg"),
        ("postgresql+psycopg:///x", "postgresql+psycopg"),
    ],
)
def test_addresses_get_our_driver(given: str, driver: str) -> None:
    assert parse_url(given).drivername == driver


@pytest.mark.parametrize("given", ["mysql://me:secret@host/x", "secret nonsense", ""])
def test_other_databases_are_refused_without_repeating_secrets(given: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="PACELINE_DATABASE_URL") as refused:
        parse_url(given)
    assert "secret" not in refused.value.detail

"""The database as sessions: one factory that writes, one that reads, for SQLite and PostgreSQL alike."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, create_engine, event, func, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction

from app.adapters.postgres_connection import prepare_postgres
from app.adapters.sqlite_connection import ClosingConnection, prepare_sqlite
from app.errors import DatabaseUnavailable
from app.models import AuditEvent

AUDIT_LOCK = 0x7061_6365
"""Key of the advisory lock that puts audit ids into commit order on PostgreSQL."""

AUDIT_MAPPER = inspect(AuditEvent)

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


IDLE_TRANSACTION_SECONDS = 15.0
"""How long a transaction on PostgreSQL may stand still; ours never wait for anything but the database."""


def parse_url(url: str) -> URL:
    """The address with the driver that is used; DatabaseUnavailable when it is not one of ours."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseUnavailable("PACELINE_DATABASE_URL is not a database address.") from None
    if parsed.drivername not in DRIVERS:
        raise DatabaseUnavailable(
            f"PACELINE_DATABASE_URL names {parsed.drivername}; "
            "use sqlite+aiosqlite:///FILE or postgresql+psycopg://USER@HOST/NAME."
        )
    return parsed.set(drivername=DRIVERS[parsed.drivername])


def sync_url(url: str) -> URL:
    """The same database for code without asyncio: migrations and the queue."""
    parsed = parse_url(url)
    return parsed.set(drivername="sqlite") if parsed.get_backend_name() == "sqlite" else parsed


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database, every symlink followed; None for any other.

    Its lock, its journal and what a restore replaces belong to the real file, whatever it is called by.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database)).resolve()


class WriteSession(Session):
    """A session whose audit events (`info["audit"]`, a list) are written as the last thing before the commit."""


class ReadSession(Session):
    """A session that refuses to write: its transaction could not be upgraded safely on SQLite."""


class Database:
    """Engines and session factories of one database. Connects at first use; call `dispose` at the end.

    `async with database.sessions.begin() as db:` is the unit of work. It takes SQLite's write lock
    at its first statement, so keep it short: no await on anything but the session inside.
    `async with database.reads() as db:` never waits for writers longer than a commit takes.
    `on_commit` is called, in the event loop, after each commit that wrote audit events; it must
    neither block nor raise.
    """

    def __init__(
        self,
        url: str,
        on_commit: Callable[[], None] | None = None,
        idle_transaction_seconds: float = IDLE_TRANSACTION_SECONDS,
    ) -> None:
        parsed = parse_url(url)
        self.url = url
        self.dialect = parsed.get_backend_name()
        self.on_commit = on_commit or _nothing
        self.on_write: Callable[[], None] = _nothing
        """Called after each commit of a write session, under the same conditions as `on_commit`."""
        own = {"factory": ClosingConnection} if self.dialect == "sqlite" else {}
        self.engine: AsyncEngine = create_async_engine(parsed, connect_args=own)
        self.queue_engine: Engine = create_engine(sync_url(url))
        """For DBOS only: it brings its own transactions."""
        if self.dialect == "sqlite":
            prepare_sqlite(self.engine.sync_engine, "own")
            prepare_sqlite(self.queue_engine, "driver")
        else:
            for engine in (self.engine.sync_engine, self.queue_engine):
                prepare_postgres(engine, idle_transaction_seconds)
        self.sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(
            self.engine, expire_on_commit=False, sync_session_class=WriteSession, info={"database": self}
        )
        self.reads: async_sessionmaker[AsyncSession] = async_sessionmaker(
            self.engine.execution_options(begin="DEFERRED"), expire_on_commit=False, sync_session_class=ReadSession
        )

    async def dispose(self) -> None:
        """Close every connection; the object must not be used afterwards."""
        await self.engine.dispose()
        self.queue_engine.dispose()


def _nothing() -> None:
    """Nobody waits for audit events yet."""


@event.listens_for(WriteSession, "before_commit")
def _write_audit_last(session: Session) -> None:
    """Give out audit ids at the very end, one transaction at a time, so that a reader who has seen
    an id never misses a smaller one. SQLite has one writer anyway."""
    events = session.info.get("audit")
    if not events or session.in_nested_transaction():
        return
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(AUDIT_LOCK)))
    session.add_all(events)
    session.flush()


@event.listens_for(WriteSession, "after_commit")
def _tell_about_audit(session: Session) -> None:
    if session.in_nested_transaction():
        return
    session.info["database"].on_write()
    if session.info.pop("audit", None):
        session.info["database"].on_commit()


@event.listens_for(WriteSession, "after_transaction_create")
def _remember_savepoint(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        session.info.setdefault("audit_marks", {})[transaction] = len(session.info.get("audit", ()))


@event.listens_for(WriteSession, "after_transaction_end")
def _forget_savepoint(session: Session, transaction: SessionTransaction) -> None:
    session.info.get("audit_marks", {}).pop(transaction, None)


@event.listens_for(WriteSession, "after_rollback")
def _drop_audit(session: Session) -> None:
    """What did not happen is not reported: forget the events since the savepoint, or all of them."""
    mark = session.info.get("audit_marks", {}).get(session.get_nested_transaction(), 0)
    del session.info.get("audit", [])[mark:]


@event.listens_for(WriteSession, "before_flush")
def _refuse_to_rewrite_audit(session: Session, _context: object, _instances: object) -> None:
    touched = [row for row in session.deleted if isinstance(row, AuditEvent)]
    touched += [row for row in session.dirty if isinstance(row, AuditEvent) and session.is_modified(row)]
    if touched:
        raise RuntimeError("audit events are append-only")


@event.listens_for(WriteSession, "do_orm_execute")
def _refuse_to_delete_audit(statement: ORMExecuteState) -> None:
    """Only the clean-up may delete, and nothing may update."""
    if not (statement.is_update or statement.is_delete) or statement.bind_mapper is not AUDIT_MAPPER:
        return
    if statement.is_update or not statement.execution_options.get("retention"):
        raise RuntimeError("audit events are append-only")


@event.listens_for(ReadSession, "before_flush")
def _refuse_to_write(_session: Session, _context: object, _instances: object) -> None:
    raise RuntimeError("this session only reads; use Database.sessions to write")

"""How a SQLite connection is set up: durable, patient, with foreign keys, and good enough for DBOS."""

import sqlite3
import time
import weakref
from typing import Any, Literal

from sqlalchemy import Connection, Engine, event

BUSY_TIMEOUT_MS = 15_000
Transactions = Literal["own", "driver"]


class ClosingConnection(sqlite3.Connection):
    """Lets go of the database when it is closed, whoever still holds a cursor of it.

    SQLite keeps a closed connection, and with it the lock of its transaction, until the last statement
    is gone. A cancelled task leaves its cursor in a traceback, so nobody could write until the next
    garbage collection.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()
        self._closed = False

    def cursor(self, *arguments: Any) -> Any:
        """A cursor that `close` ends."""
        cursor = super().cursor(*arguments)
        self._cursors.add(cursor)
        return cursor

    def close(self) -> None:
        """End every statement, roll back what was not committed, close."""
        if self._closed:
            return
        self._closed = True
        for cursor in tuple(self._cursors):
            cursor.close()
        if self.in_transaction:
            self.rollback()
        super().close()


def wal_is_safe(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite is free of the WAL-reset defect that can corrupt a database."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def prepare_sqlite(engine: Engine, transactions: Transactions, *, foreign_keys: bool = True) -> None:
    """Set up every future connection of the engine.

    `own`: a transaction begins with BEGIN IMMEDIATE at its first statement, reads included, or with
    what the execution option `begin` says; so a read and the write that depends on it are one unit.
    `driver`: the driver begins before the first write. DBOS needs that, it emits BEGIN by itself.
    """

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None if transactions == "own" else "IMMEDIATE"
        _register_unixepoch(connection)
        _set_pragmas(connection, foreign_keys)

    if transactions == "own":

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            mode = connection.get_execution_options().get("begin", "IMMEDIATE")
            connection.exec_driver_sql(f"BEGIN {mode}")


def _set_pragmas(connection: Any, foreign_keys: bool) -> None:
    journal = "WAL" if wal_is_safe(sqlite3.sqlite_version_info) else "DELETE"
    cursor = connection.cursor()
    try:
        # First, so that the others wait for a lock instead of failing.
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute(f"PRAGMA journal_mode = {journal}")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
    finally:
        # An open cursor would keep the connection's thread alive.
        cursor.close()


def _register_unixepoch(connection: Any) -> None:
    """DBOS calls unixepoch('subsec'), which SQLite before 3.42 answers with NULL or not at all."""
    if sqlite3.sqlite_version_info < (3, 42):
        connection.create_function("unixepoch", -1, unixepoch)


def unixepoch(*arguments: str) -> float | int:
    """Now, in seconds since 1970: with fraction for `subsec`, else whole; nothing else is asked of it."""
    if any(argument not in ("now", "subsec", "subsecond") for argument in arguments):
        raise ValueError(f"unixepoch{arguments} is not supported on this SQLite")
    now = time.time()
    return round(now, 3) if "subsec" in arguments or "subsecond" in arguments else int(now)

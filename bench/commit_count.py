"""Counts commits that changed something, through SQLAlchemy's events, for the rows' engine and the queue's."""

from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, event

_WRITES = ("INSERT", "UPDATE", "DELETE")


class CommitCount:
    """While the block runs: `rows` for commits of our sessions, `queue` for those of DBOS alone.

    A commit counts when at least one row was inserted, updated or deleted before it. What DBOS
    enqueues inside our transaction is part of our commit.
    """

    def __init__(self) -> None:
        self.by_engine: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Both engines together."""
        return self.by_engine.total()

    def __enter__(self) -> Self:
        event.listen(Engine, "begin", self._began)
        event.listen(Engine, "after_cursor_execute", self._executed)
        event.listen(Engine, "commit", self._committed)
        event.listen(Engine, "rollback", self._ended)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        event.remove(Engine, "begin", self._began)
        event.remove(Engine, "after_cursor_execute", self._executed)
        event.remove(Engine, "commit", self._committed)
        event.remove(Engine, "rollback", self._ended)

    def _began(self, connection: Connection) -> None:
        connection.info["changes"] = _sqlite_changes(connection)

    def _executed(
        self, connection: Connection, cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool
    ) -> None:
        # SQLite counts by itself, and its cursor does not know what RETURNING will return.
        counts_itself = connection.dialect.name == "sqlite"
        if not counts_itself and cursor.rowcount > 0 and statement.lstrip().upper().startswith(_WRITES):
            connection.info["changes"] = -1

    def _committed(self, connection: Connection) -> None:
        before = connection.info.get("changes", 0)
        if before != _sqlite_changes(connection):
            self.by_engine["rows" if connection.dialect.is_async else "queue"] += 1
        self._ended(connection)

    def _ended(self, connection: Connection) -> None:
        connection.info.pop("changes", None)


def _sqlite_changes(connection: Connection) -> int:
    """Rows changed since the connection was opened; 0 on any other database."""
    if connection.dialect.name != "sqlite":
        return 0
    driver: Any = connection.connection.driver_connection
    changes: int = driver.total_changes
    return changes


def file_changes(database: Path) -> int:
    """SQLite's own counter of write transactions, in the file's header; it stands still in WAL mode."""
    with database.open("rb") as file:
        file.seek(24)
        return int.from_bytes(file.read(4), "big")

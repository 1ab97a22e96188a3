"""What happens to a database under several servers: a crash before any statement, no disk to wait for, no rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from app.adapters.database import Database
from app.models import Base


class Crash(BaseException):
    """The process is gone, in the middle of what it did."""


@contextmanager
def crashing(database: Database, after: int | None) -> Iterator[list[str]]:
    """Crash before the statement or commit of that number; without a number nothing happens.

    Gives what came until then, one entry for each statement and commit.
    """
    came: list[str] = []

    def count(*_: Any) -> None:
        came.append("statement or commit")
        if len(came) - 1 == after:
            raise Crash

    engine = database.engine.sync_engine
    places = ("before_cursor_execute", "commit")
    for place in places:
        event.listen(engine, place, count)
    try:
        yield came
    finally:
        for place in places:
            event.remove(engine, place, count)


def careless(database: Database) -> None:
    """Wait for no disk on SQLite: nobody switches the machine off here."""
    if database.dialect == "sqlite":

        @event.listens_for(database.engine.sync_engine, "connect")
        def connected(connection: Any, _record: Any) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA synchronous = OFF")
            cursor.close()


async def empty(database: Database) -> None:
    """Delete every row of ours."""
    async with database.engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            await connection.execute(table.delete())

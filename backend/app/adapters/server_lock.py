"""Who may serve a PostgreSQL database: advisory locks that a dying server loses with its connection.

SQLite files are guarded by a lock file (file_lock.py). A server that manages an OpenCode of its own
holds the database alone: no other server could stop what runs in there. Servers that are attached to
one OpenCode share it. Two of the same name are refused in either case.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.database import Database
from app.errors import DatabaseTaken

SERVER_LOCK = 0x7061_6373
TAKE_SECONDS = 10.0
"""As long as a server may need to end, so that a restart meets no lock of the one before."""

_KEEPALIVE = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}
"""Without them PostgreSQL would believe for two hours in a host that has vanished."""
_MANAGED = (
    "Another Paceline server uses this database. Stop it, then start this one. "
    "Several can share it when all of them have the same PACELINE_OPENCODE_URL."
)
_SHARED = (
    "The Paceline server on this database manages an OpenCode of its own. Stop it, or give every server "
    "the same PACELINE_OPENCODE_URL."
)

log = logging.getLogger("paceline.workers")


class ServerLock:
    """The locks of one server, on a connection of their own."""

    def __init__(self, database: Database, worker_id: str, *, shared: bool) -> None:
        """`shared`: other servers that say so too may work on the database."""
        self._database = database
        self._worker_id = worker_id
        self._shared = shared
        self._connection: AsyncConnection | None = None

    async def take(self, seconds: float = TAKE_SECONDS) -> None:
        """Hold the locks from now on; DatabaseTaken when somebody else keeps one for so long."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                await self._take()
                return
            except DatabaseTaken:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(0.1)

    async def keep(self) -> None:
        """Make sure that the locks are still held; taken again when the connection was lost.

        DatabaseTaken when somebody else has them by now, a database error when it cannot be asked.
        """
        if self._connection is not None:
            try:
                await self._connection.execute(select(1))
                return
            except SQLAlchemyError as error:
                log.warning("the connection that holds this server's lock was lost: %s", error)
                await self.give_back()
        await self._take()

    async def give_back(self) -> None:
        """Let go of everything."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # Back in the pool it would keep the locks.
            with suppress(SQLAlchemyError):
                await connection.invalidate()
            with suppress(SQLAlchemyError):
                await connection.close()

    async def _take(self) -> None:
        connection = await self._database.engine.connect()
        self._connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            for name, seconds in _KEEPALIVE.items():
                await self._connection.execute(text(f"SET {name} = {seconds}"))
            lock = func.pg_try_advisory_lock_shared if self._shared else func.pg_try_advisory_lock
            if not await self._connection.scalar(select(lock(SERVER_LOCK))):
                raise DatabaseTaken(_SHARED if self._shared else _MANAGED)
            own = func.pg_try_advisory_lock(SERVER_LOCK, func.hashtext(self._worker_id))
            if not await self._connection.scalar(select(own)):
                raise DatabaseTaken(
                    f"A server named {self._worker_id} works on this database already. Give each server "
                    "a PACELINE_WORKER_ID of its own, or a data directory of its own."
                )
        except BaseException:
            await self.give_back()
            raise


@asynccontextmanager
async def server_lock(
    database: Database, worker_id: str, *, shared: bool, seconds: float = TAKE_SECONDS
) -> AsyncIterator[ServerLock | None]:
    """Hold the locks while the block runs; None where a lock file does it. DatabaseTaken when they are held."""
    if database.dialect != "postgresql":
        yield None
        return
    lock = ServerLock(database, worker_id, shared=shared)
    await lock.take(seconds)
    try:
        yield lock
    finally:
        await lock.give_back()

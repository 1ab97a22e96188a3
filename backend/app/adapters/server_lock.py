"""One server for one PostgreSQL database: an advisory lock that a dying server loses with its connection.

SQLite files are guarded by a lock file (file_lock.py). Several servers on one database would share its
queue, but not yet their OpenCode servers: one could free a directory in which the other's agent works.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import func, select

from app.adapters.database import Database
from app.errors import DatabaseUnavailable

SERVER_LOCK = 0x7061_6373
_TAKE_SECONDS = 10.0


@asynccontextmanager
async def only_server(database: Database) -> AsyncIterator[None]:
    """Hold the lock while the block runs; DatabaseUnavailable when another server keeps it for 10 s."""
    if database.dialect != "postgresql":
        yield
        return
    async with database.engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        deadline = asyncio.get_running_loop().time() + _TAKE_SECONDS
        while not await connection.scalar(select(func.pg_try_advisory_lock(SERVER_LOCK))):
            if asyncio.get_running_loop().time() > deadline:
                raise DatabaseUnavailable("Another Paceline server uses this database. Stop it, then start this one.")
            await asyncio.sleep(0.1)
        try:
            yield
        finally:
            # Back in the pool the connection would keep the lock.
            await connection.invalidate()

"""The unit of work: one transaction, between two places at which a test can crash the process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.fail_points import reach


@asynccontextmanager
async def unit(sessions: async_sessionmaker[AsyncSession], name: str) -> AsyncIterator[AsyncSession]:
    """Everything in the block or nothing of it; `name` is one of fail_points.COMMITS."""
    async with sessions.begin() as db:
        yield db
        reach(f"before:{name}")
    reach(f"after:{name}")

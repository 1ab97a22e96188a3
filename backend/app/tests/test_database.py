"""The database: transactions, audit order, what is refused, and what a failure is called."""

from sqlalchemy import select

from app.adapters.database import Database
from app.models import Worker


async def test_one(database: Database) -> None:
    async with database.reads() as db:
        assert (await db.scalars(select(Worker))).all() == []

"""The row that says whether the queue is paused, and the locks that make that word hold.

Lock order: this row, then runs; nobody who holds a directory asks for it. Steps begin under a shared
lock, and the queue is paused, runs are parked and the queue is resumed under an exclusive one. So no step
begins once a pause has committed, and a run that is about to park is either found by whoever resumes, or
finds that the queue is resumed: no wake-up is lost. SQLite has one writer anyway.
"""

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Pipeline, QueueState, Step

_ONE = 1
_paused = exists().where(QueueState.id == _ONE, QueueState.paused)

not_held_back = Pipeline.parked_at.is_(None) | ~_paused
"""Condition on runs: not parked, or parked although the queue is not paused."""


async def lock(db: AsyncSession) -> QueueState:
    """The row for whoever pauses, parks or resumes, locked until the transaction ends."""
    return await _locked(db, shared=False)


async def is_paused_until_commit(db: AsyncSession) -> bool:
    """For whoever begins a step: the answer stays true until the transaction ends."""
    return (await _locked(db, shared=True)).paused


async def is_paused(db: AsyncSession) -> bool:
    """Just now, nothing locked; what follows from it must be checked under a lock."""
    return bool(await db.scalar(select(_paused)))


async def holds_back(db: AsyncSession, step_id: int) -> bool:
    """True while the queue is paused and the step has not begun; nothing locked."""
    return await db.scalar(select(Step.id).where(Step.id == step_id, Step.status == "pending", _paused)) is not None


async def read(db: AsyncSession) -> QueueState:
    """The row as it is, not locked."""
    found = await db.scalars(select(QueueState).where(QueueState.id == _ONE))
    return found.one_or_none() or QueueState(id=_ONE, paused=False)


async def _locked(db: AsyncSession, *, shared: bool) -> QueueState:
    query = (
        select(QueueState)
        .where(QueueState.id == _ONE)
        .with_for_update(read=shared)
        .execution_options(populate_existing=True)
    )
    row = (await db.scalars(query)).one_or_none()
    if row is None:
        insert = sqlite_insert if db.get_bind().dialect.name == "sqlite" else postgresql_insert
        await db.execute(insert(QueueState).values(id=_ONE, paused=False).on_conflict_do_nothing())
        row = (await db.scalars(query)).one()
    return row

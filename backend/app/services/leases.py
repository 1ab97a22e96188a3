"""Who holds a directory: one active run per real path, the others wait in order.

Every function expects an open write transaction. Whoever changes the holder locks the permanent
row of the directory first (`lock_directory`), creator and finisher alike: that is what makes a
lost wake-up impossible on PostgreSQL, where both could otherwise commit without seeing each other.
FOR NO KEY UPDATE (`key_share`), because an update of a run that the same transaction has updated
before makes PostgreSQL check its foreign key again: with FOR UPDATE that is a deadlock.
"""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound
from app.models import Directory, Pipeline


async def lock_directory(db: AsyncSession, real_path: str) -> Directory:
    """The directory's row, made when absent, locked until the transaction ends."""
    dialect = db.get_bind().dialect.name
    insert = sqlite_insert if dialect == "sqlite" else postgresql_insert
    statement = insert(Directory).values(real_path=real_path, last_queue_number=0)
    await db.execute(statement.on_conflict_do_nothing(index_elements=["real_path"]))
    found = await db.scalars(
        select(Directory)
        .where(Directory.real_path == real_path)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return found.one()


async def lock_directory_of(db: AsyncSession, pipeline_id: int) -> Directory:
    """The locked row of the directory that a run works in; NotFound when there is no such run."""
    found = await db.scalars(
        select(Directory)
        .join(Pipeline, Pipeline.directory_id == Directory.id)
        .where(Pipeline.id == pipeline_id)
        .with_for_update(of=Directory, key_share=True)
        .execution_options(populate_existing=True)
    )
    directory = found.one_or_none()
    if directory is None:
        raise NotFound(f"There is no run {pipeline_id}. `paceline runs` lists them.")
    return directory


def next_queue_number(directory: Directory) -> int:
    """A number behind all that wait; the caller holds the row's lock."""
    directory.last_queue_number += 1
    return directory.last_queue_number


def take(directory: Directory, pipeline: Pipeline) -> bool:
    """Give a free directory to the run; False when another run (or attempt) still holds it."""
    if directory.holder_id is not None:
        return False
    directory.holder_id = pipeline.id
    directory.holder_attempt = pipeline.attempt
    return True


def keep(directory: Directory, pipeline: Pipeline) -> None:
    """Let the holder go on with its directory as a new attempt."""
    if directory.holder_id == pipeline.id:
        directory.holder_attempt = pipeline.attempt


async def hand_over(db: AsyncSession, directory: Directory, pipeline_id: int, attempt: int) -> Pipeline | None:
    """Free the directory if this attempt of this run holds it, and give it to the next in line.

    Returns the run that got it, for the caller to start in the same transaction. Calling it twice
    changes nothing the second time.
    """
    if (directory.holder_id, directory.holder_attempt) != (pipeline_id, attempt):
        return None
    directory.holder_id = directory.holder_attempt = None
    waiting = await db.scalars(
        select(Pipeline)
        .where(Pipeline.directory_id == directory.id, Pipeline.status == "pending")
        .order_by(Pipeline.queue_number)
        .limit(1)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    successor = waiting.one_or_none()
    if successor is not None:
        take(directory, successor)
    return successor

"""Starts runs when their directory is free, and passes the directory on when one ends.

Expects an open write transaction in which the directory's row is locked; the work is enqueued in
that same transaction, so a run is started exactly if its rows say so.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Directory, Pipeline, Step
from app.services import leases, transitions
from app.services.ports import Engine, Segment


async def start_or_queue(db: AsyncSession, engine: Engine, run: Pipeline, directory: Directory, actor: str) -> None:
    """Give the directory to the run and enqueue its first open step, or let it wait in line."""
    run.queue_number = leases.next_queue_number(directory)
    if leases.take(directory, run):
        await enqueue(db, engine, run)
    else:
        position = await queue_position(db, run)
        transitions.queue_pipeline(db, run, actor, position)
    await db.flush()


async def pass_on(db: AsyncSession, engine: Engine, directory: Directory, pipeline_id: int, attempt: int) -> None:
    """Free the directory of a finished attempt and start the next run in line."""
    await db.flush()
    successor = await leases.hand_over(db, directory, pipeline_id, attempt)
    if successor is not None:
        await enqueue(db, engine, successor)


async def enqueue(db: AsyncSession, engine: Engine, run: Pipeline) -> None:
    """Enqueue a segment from the first step of the run that is not done, not before that step's next try is due."""
    await db.flush()
    first, steps = (
        await db.execute(
            select(
                func.min(Step.order_index).filter(Step.status != "done"),
                func.count(),
            ).where(Step.pipeline_id == run.id)
        )
    ).one()
    segment = Segment(run.id, run.attempt, run.epoch, steps if first is None else first)
    due = await db.scalar(select(Step.retry_at).where(Step.pipeline_id == run.id, Step.order_index == segment.start))
    left = due - datetime.now(UTC) if due is not None else timedelta()
    delay = left if left > timedelta() else None
    await db.run_sync(lambda session: engine.enqueue_segment(session, segment, delay))


async def queue_position(db: AsyncSession, run: Pipeline) -> int:
    """Place among the runs that wait for the directory, from 1."""
    ahead = await db.scalar(
        select(func.count())
        .select_from(Pipeline)
        .join(Directory, Directory.id == Pipeline.directory_id)
        .where(
            Pipeline.directory_id == run.directory_id,
            Pipeline.status == "pending",
            Pipeline.queue_number < run.queue_number,
            # The holder is pending too until its segment begins, but it waits for nobody.
            Directory.holder_id.is_distinct_from(Pipeline.id)
            | Directory.holder_attempt.is_distinct_from(Pipeline.attempt),
        )
    )
    return (ahead or 0) + 1

"""Takes a run for writing: with the epoch guard by a segment, with a plain lock by a person's decision.

`guard` is the first statement of every write of a segment. Whoever also moves the directory's
holder locks the directory before the run (services/leases.py).
"""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from app.errors import NotFound, StaleEpoch
from app.models import Pipeline, Step


async def guard(db: AsyncSession, pipeline_id: int, epoch: int) -> Pipeline:
    """The run with its steps, locked, if `epoch` is still the current one; else StaleEpoch."""
    locked = await db.scalar(
        update(Pipeline)
        .where(Pipeline.id == pipeline_id, Pipeline.epoch == epoch)
        .values(epoch=epoch)
        .returning(Pipeline.id)
        .execution_options(synchronize_session=False)
    )
    if locked is None:
        raise StaleEpoch(f"run {pipeline_id} is no longer in epoch {epoch}")
    return await _load(db, pipeline_id)


async def lock_run(db: AsyncSession, pipeline_id: int) -> Pipeline:
    """The run with its steps, locked for a decision; NotFound when there is none."""
    locked = await db.scalar(
        update(Pipeline)
        .where(Pipeline.id == pipeline_id)
        .values(epoch=Pipeline.epoch)
        .returning(Pipeline.id)
        .execution_options(synchronize_session=False)
    )
    if locked is None:
        raise NotFound(f"There is no run {pipeline_id}. `paceline runs` lists them.")
    return await _load(db, pipeline_id)


async def read_run(db: AsyncSession, pipeline_id: int, epoch: int) -> Pipeline:
    """The run with its steps as they are now, not locked; StaleEpoch when `epoch` is over."""
    run = await _load(db, pipeline_id)
    if run.epoch != epoch:
        raise StaleEpoch(f"run {pipeline_id} is no longer in epoch {epoch}")
    return run


async def check_epoch(db: AsyncSession, pipeline_id: int, epoch: int) -> None:
    """StaleEpoch when `epoch` is over; cheap enough to be asked again and again."""
    if await db.scalar(select(Pipeline.epoch).where(Pipeline.id == pipeline_id)) != epoch:
        raise StaleEpoch(f"run {pipeline_id} is no longer in epoch {epoch}")


async def _load(db: AsyncSession, pipeline_id: int) -> Pipeline:
    found = await db.scalars(
        select(Pipeline)
        .where(Pipeline.id == pipeline_id)
        .options(
            selectinload(Pipeline.steps).selectinload(Step.approvals),
            selectinload(Pipeline.steps).selectinload(Step.open_requests),
            joinedload(Pipeline.directory),
        )
        .execution_options(populate_existing=True)
    )
    run = found.one()
    for step in run.steps:
        set_committed_value(step, "pipeline", run)
    return run


def first_open_index(run: Pipeline) -> int:
    """`order_index` of the first step that is not done; the number of steps when all are."""
    return next((step.order_index for step in run.steps if step.status != "done"), len(run.steps))

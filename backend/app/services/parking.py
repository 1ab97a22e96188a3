"""A run that waits between two steps for the queue to be resumed: its status stays, and nothing executes it.

All functions expect an open write transaction in which the queue's row and then the run were locked.
"""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import StaleEpoch
from app.models import Pipeline
from app.services import audit


def park(db: AsyncSession, run: Pipeline) -> None:
    """Note that the run waits, once. StaleEpoch when it is no longer one that could go on."""
    if run.status not in ("pending", "running"):
        raise StaleEpoch(f"run {run.id} is {run.status}")
    if run.parked_at is None:
        run.parked_at = datetime.now(UTC)
        audit.record(db, "pipeline.parked", pipeline_id=run.id)


def unpark(db: AsyncSession, run: Pipeline, actor: str) -> None:
    """The run goes on where it parked. The epoch is raised: its next segment must not look like the last."""
    run.parked_at = None
    run.epoch += 1
    audit.record(db, "pipeline.unparked", actor=actor, pipeline_id=run.id)

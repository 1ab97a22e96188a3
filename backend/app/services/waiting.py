"""Says which runs could go on and what each waits for: its directory, a place, or the queue to be resumed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Directory, Pipeline, QueueState, Step
from app.schemas.queue import WaitingFor
from app.services import queue_state, workers

_OPEN = ("pending", "running")
_WITH_AGENT = ("running", "waiting_for_input")
_BEGUN = (*_WITH_AGENT, "waiting_for_approval")


@dataclass(frozen=True)
class WaitingRow:
    """A run between two steps that may not go on; `position` is its place in line for the directory."""

    id: int
    title: str
    why: WaitingFor
    position: int
    since: datetime | None
    """When it was parked, or when its next try is due."""
    places: int
    """Of all living servers together: any of them would take it up."""


async def begun_steps(db: AsyncSession) -> tuple[int, int]:
    """How many steps are at work, and how many wait for a person's answer; of one moment."""
    found = await db.execute(
        select(Step.status, func.count())
        .join(Pipeline, Pipeline.id == Step.pipeline_id)
        # The status of the run is indexed, that of a step is not.
        .where(Pipeline.status.in_(_WITH_AGENT), Step.status.in_(_WITH_AGENT))
        .group_by(Step.status)
    )
    counts = {row[0]: row[1] for row in found}
    return counts.get("running", 0), counts.get("waiting_for_input", 0)


async def of_runs(db: AsyncSession, runs: Iterable[Pipeline], places: int) -> dict[int, WaitingRow]:
    """What the given runs wait for, by id; whoever waits for nothing is absent. `places` are those of one server."""
    directories = {run.directory_id for run in runs if run.status in _OPEN}
    if not directories:
        return {}
    return {row.id: row for row in await _rows(db, places, directories)}


async def everything(db: AsyncSession, places: int) -> list[WaitingRow]:
    """Every run that waits, those of a directory in their order."""
    return await _rows(db, places, None)


def sentence(row: WaitingRow, state: QueueState) -> str:
    """Why the run does not go on, for a person."""
    if row.why == "directory":
        return f"Another run has this directory; this one is number {row.position} in line."
    if row.why == "paused":
        who = f" by {state.paused_by}" if state.paused_by else ""
        why = f" ({state.reason})" if state.reason else ""
        return f"The queue is paused{who}{why}; the run goes on when it is resumed."
    return f"All {row.places} places are taken; the run goes on when a step ends or asks a person."


async def _rows(db: AsyncSession, places: int, directories: set[int] | None) -> list[WaitingRow]:
    # A run that waits for its directory is pending; the holder is too until it begins, but it waits for nobody.
    in_line = and_(
        Pipeline.status == "pending",
        Directory.holder_id.is_distinct_from(Pipeline.id) | Directory.holder_attempt.is_distinct_from(Pipeline.attempt),
    )
    place = func.row_number().over(partition_by=[Pipeline.directory_id, in_line], order_by=Pipeline.queue_number)
    retry_at = (
        select(func.max(Step.retry_at))
        .where(Step.pipeline_id == Pipeline.id, Step.status == "pending")
        .scalar_subquery()
        .label("retry_at")
    )
    query = (
        select(Pipeline.id, Pipeline.title, Pipeline.parked_at)
        .add_columns(retry_at, in_line.label("in_line"), place.label("place"))
        .join(Directory, Directory.id == Pipeline.directory_id)
        .where(
            Pipeline.status.in_(_OPEN),
            ~exists().where(Step.pipeline_id == Pipeline.id, Step.status.in_(_BEGUN)),
        )
        .order_by(Pipeline.directory_id, Pipeline.queue_number)
    )
    if directories is not None:
        query = query.where(Pipeline.directory_id.in_(directories))
    found = (await db.execute(query)).all()
    # Servers that share a database have the same number of places each.
    places *= await workers.count_living(db)
    held = await _what_holds(db, places) if any(not row.in_line for row in found) else None
    rows = [_row(row, held, places) for row in found]
    return [row for row in rows if row is not None]


def _row(row: Any, held: WaitingFor | None, places: int) -> WaitingRow | None:
    if row.in_line:
        return WaitingRow(row.id, row.title, "directory", row.place, None, places)
    if row.retry_at is not None and row.retry_at > datetime.now(UTC):
        return WaitingRow(row.id, row.title, "retry", row.place, row.retry_at, places)
    return WaitingRow(row.id, row.title, held, row.place, row.parked_at, places) if held is not None else None


async def _what_holds(db: AsyncSession, places: int) -> WaitingFor | None:
    """What keeps a run from going on that has its directory; None when it is about to."""
    if await queue_state.is_paused(db):
        return "paused"
    active, _ = await begun_steps(db)
    return "limit" if active >= places else None

"""The queue as people see and steer it: what is at work, what waits for what, pause and resume."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.models import Directory, Pipeline
from app.schemas.pipeline import FINAL_PIPELINE
from app.schemas.queue import QueueResponse, WaitingRun, WaitingRuns
from app.services import audit, parking, queue_state, scheduling, waiting
from app.services.ports import Engine
from app.services.units import unit
from app.services.waiting import WaitingRow

SHOWN = 200


class RunQueue:
    """Holds for every server on the database, and through restarts: the state is a row."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        reads: async_sessionmaker[AsyncSession],
        engine: Engine,
        places: int,
    ) -> None:
        """`places`: steps that may be at work at once."""
        self._sessions = sessions
        self._reads = reads
        self._engine = engine
        self._places = places

    async def pause(self, actor: str, reason: str | None) -> None:
        """No step begins once this has returned. A paused queue is left as it is, without a second event."""
        async with unit(self._sessions, "pause") as db:
            state = await queue_state.lock(db)
            if state.paused:
                return
            state.paused = True
            state.paused_by, state.paused_at, state.reason = actor, datetime.now(UTC), reason
            audit.record(db, "queue.paused", actor=actor, reason=reason)

    async def resume(self, actor: str) -> None:
        """Enqueue everything that is parked, in the order in which it parked; nothing when not paused."""
        async with unit(self._sessions, "resume") as db:
            state = await queue_state.lock(db)
            if not state.paused:
                return
            state.paused = False
            state.paused_by = state.paused_at = state.reason = None
            parked = await _lock_parked(db)
            for run in parked:
                parking.unpark(db, run, actor)
            for run in parked:
                await scheduling.enqueue(db, self._engine, run)
            audit.record(db, "queue.resumed", actor=actor, runs=len(parked))

    async def show(self) -> QueueResponse:
        """The queue now."""
        async with self._reads() as db:
            state = await queue_state.read(db)
            active, asking = await waiting.begun_steps(db)
            stopping = await _stopping(db)
            rows = await waiting.everything(db, self._places)
        return QueueResponse(
            paused=state.paused,
            paused_by=state.paused_by,
            paused_at=state.paused_at,
            reason=state.reason,
            active_steps=active,
            asking_steps=asking,
            max_active_steps=self._places,
            waiting=WaitingRuns(count=len(rows), items=await self._items(rows)),
            drained=state.paused and not active and not asking and not stopping,
        )

    async def _items(self, rows: Sequence[WaitingRow]) -> list[WaitingRun]:
        items: list[WaitingRun] = []
        for why in ("paused", "limit", "retry"):
            same = await self._in_turn([row for row in rows if row.why == why])
            items += [_item(row, place) for place, row in enumerate(same, 1)]
        items += [_item(row, row.position) for row in rows if row.why == "directory"]
        return items[:SHOWN]

    async def _in_turn(self, rows: list[WaitingRow]) -> list[WaitingRow]:
        if rows and rows[0].why == "limit":
            turn = {run: number for number, run in enumerate(await self._engine.segments_in_line())}
            # What is not in line has been taken up already and is the next to get a place.
            return sorted(rows, key=lambda row: turn.get(row.id, -1))
        return sorted(rows, key=lambda row: (row.since is None, row.since, row.id))


def _item(row: WaitingRow, place: int) -> WaitingRun:
    return WaitingRun(pipeline_id=row.id, title=row.title, why=row.why, position=place)


async def _lock_parked(db: AsyncSession) -> Sequence[Pipeline]:
    found = await db.scalars(
        select(Pipeline)
        .where(Pipeline.status.in_(("pending", "running")), Pipeline.parked_at.is_not(None))
        .order_by(Pipeline.parked_at, Pipeline.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return found.all()


async def _stopping(db: AsyncSession) -> int:
    """Directories in which the agent of an ended attempt is not proven idle yet."""
    found = await db.scalar(
        select(func.count())
        .select_from(Directory)
        .join(Pipeline, Pipeline.id == Directory.holder_id)
        .where(Pipeline.status.in_(FINAL_PIPELINE) | (Pipeline.attempt != Directory.holder_attempt))
    )
    return found or 0

"""Reads audit events: pages for people, and the tail that the event stream follows."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.models import AuditEvent
from app.schemas.audit import AuditEventResponse, AuditPage
from app.schemas.events import AuditFrame
from app.services.paging import cut_page, older_than

_BATCH = 500


class AuditLog:
    """Read side of the audit events."""

    def __init__(self, reads: async_sessionmaker[AsyncSession]) -> None:
        """Reads only."""
        self._reads = reads

    async def page(
        self,
        *,
        pipeline_id: int | None,
        step_id: int | None,
        types: Sequence[str],
        since: datetime | None,
        until: datetime | None,
        limit: int,
        cursor: str | None,
    ) -> AuditPage:
        """Events, newest first, of all types unless some are given; `since` is included, `until` is not."""
        query = (
            select(AuditEvent).where(older_than(AuditEvent.id, cursor)).order_by(AuditEvent.id.desc()).limit(limit + 1)
        )
        given = {"pipeline_id": pipeline_id, "step_id": step_id}
        query = query.filter_by(**{name: value for name, value in given.items() if value is not None})
        if types:
            query = query.where(AuditEvent.type.in_(types))
        if since is not None:
            query = query.where(AuditEvent.at >= since)
        if until is not None:
            query = query.where(AuditEvent.at < until)
        async with self._reads() as db:
            rows = (await db.scalars(query)).all()
        page, next_cursor = cut_page(rows, limit)
        return AuditPage(items=[AuditEventResponse.model_validate(row) for row in page], next_cursor=next_cursor)

    async def newest_id(self) -> int:
        """Id of the newest event, 0 when there is none."""
        async with self._reads() as db:
            return await db.scalar(select(func.max(AuditEvent.id))) or 0

    async def knows(self, event_id: int) -> bool:
        """True for 0 (the beginning) and for the id of a stored event."""
        if event_id == 0:
            return True
        async with self._reads() as db:
            return await db.scalar(select(AuditEvent.id).where(AuditEvent.id == event_id)) is not None

    async def since(self, event_id: int, pipeline_id: int | None) -> list[AuditFrame]:
        """The next events after an id, oldest first, at most 500."""
        query = select(AuditEvent).where(AuditEvent.id > event_id).order_by(AuditEvent.id).limit(_BATCH)
        if pipeline_id is not None:
            query = query.where(AuditEvent.pipeline_id == pipeline_id)
        async with self._reads() as db:
            rows = (await db.scalars(query)).all()
        return [
            AuditFrame(
                id=row.id,
                type=row.type,
                actor=row.actor,
                payload=row.payload,
                pipeline_id=row.pipeline_id,
                step_id=row.step_id,
                at=row.at,
            )
            for row in rows
        ]

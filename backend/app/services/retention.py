"""Takes old audit events away: the one place that may, and it says in the log itself that it did."""

import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.models import AuditEvent, Pipeline
from app.schemas.audit import RetentionResponse
from app.schemas.pipeline import FINAL_PIPELINE
from app.services import audit

log = logging.getLogger("paceline.retention")

BATCH = 5000
"""Events in one transaction: others get the write lock in between."""


class Retention:
    """Clean-up by age. Repeating it is safe; a crash in the middle leaves a log that is cleaned in part."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        """Holds nothing between two calls."""
        self._sessions = sessions

    async def apply(self, older_than_days: int, actor: str) -> RetentionResponse:
        """Delete the events of finished (or pruned) runs and of no run that are older than `older_than_days`.

        Events of open runs stay whatever their age, and so do the events of earlier clean-ups. Each
        transaction that deletes writes its own `retention.applied` with its count; one at least is written.
        """
        before = datetime.now(UTC) - timedelta(days=older_than_days)
        deleted = await self._batch(before, older_than_days, actor, first=True)
        total = deleted
        while deleted == BATCH:
            deleted = await self._batch(before, older_than_days, actor, first=False)
            total += deleted
        log.info("audit events before %s deleted: %s", before, total)
        return RetentionResponse(older_than_days=older_than_days, before=before, deleted=total)

    async def _batch(self, before: datetime, days: int, actor: str, *, first: bool) -> int:
        is_open = select(Pipeline.id).where(Pipeline.status.not_in(FINAL_PIPELINE))
        old = (
            select(AuditEvent.id)
            .where(
                AuditEvent.at < before,
                AuditEvent.type != "retention.applied",
                or_(AuditEvent.pipeline_id.is_(None), AuditEvent.pipeline_id.not_in(is_open)),
            )
            .limit(BATCH)
        )
        async with self._sessions.begin() as db:
            gone = await db.execute(
                delete(AuditEvent)
                .where(AuditEvent.id.in_(old))
                .returning(AuditEvent.id)
                .execution_options(synchronize_session=False, retention=True)
            )
            deleted = len(gone.all())
            if deleted or first:
                audit.record(
                    db, "retention.applied", actor=actor,
                    older_than_days=days, before=before.isoformat(), deleted=deleted,
                )  # fmt: skip
        return deleted

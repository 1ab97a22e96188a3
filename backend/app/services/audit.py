"""Records audit events inside the transaction of the change that they report."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.models import AuditEvent
from app.schemas.audit import AuditType

PAYLOAD_LIMIT = 4096
SYSTEM = "system"


def record(
    db: AsyncSession,
    event_type: AuditType,
    *,
    actor: str = SYSTEM,
    pipeline_id: int | None = None,
    step_id: int | None = None,
    **payload: Any,
) -> None:
    """Add one event to the open transaction.

    It is written as the last statement before the commit (see adapters/database.py), so that ids
    become visible in their order. Payloads over 4 KB are cut text by text and marked `cut`.
    """
    event = AuditEvent(
        at=datetime.now(UTC),
        type=event_type,
        actor=actor,
        pipeline_id=pipeline_id,
        step_id=step_id,
        payload=_fit(payload),
    )
    db.sync_session.info.setdefault("audit", []).append(event)


def _fit(payload: dict[str, Any]) -> dict[str, Any]:
    clean = {key: value for key, value in payload.items() if value is not None}
    limit = PAYLOAD_LIMIT // 2
    while len(json.dumps(clean).encode()) > PAYLOAD_LIMIT and limit > 16:
        clean = {key: _cut(value, limit) for key, value in clean.items()} | {"cut": True}
        limit //= 2
    return clean if len(json.dumps(clean).encode()) <= PAYLOAD_LIMIT else {"cut": True}


def _cut(value: Any, limit: int) -> Any:
    """Shorter texts and lists at every depth."""
    if isinstance(value, str):
        return value if len(value) <= limit else value[:limit] + "…"
    if isinstance(value, list | tuple):
        return [_cut(item, limit) for item in value[: max(1, limit // 64)]]
    if isinstance(value, dict):
        kept = list(value.items())[: max(1, limit // 32)]
        return {key: _cut(item, limit) for key, item in kept}
    return value

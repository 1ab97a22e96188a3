"""Audit events: their types and how they look on the wire."""

from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

AuditType = Literal[
    "pipeline.created",
    "pipeline.queued",
    "pipeline.started",
    "pipeline.waiting",
    "pipeline.resumed",
    "pipeline.done",
    "pipeline.failed",
    "pipeline.aborted",
    "pipeline.restarted",
    "pipeline.recovered",
    "step.started",
    "step.waiting",
    "step.resumed",
    "step.done",
    "step.failed",
    "step.skipped",
    "step.aborted",
    "step.reset",
    "approval.requested",
    "approval.reminded",
    "approval.approved",
    "approval.rejected",
    "approval.cancelled",
    "registry.reloaded",
    "registry.rejected",
]
AUDIT_TYPES: frozenset[str] = frozenset(get_args(AuditType))


class AuditEventResponse(BaseModel):
    """One change, as it was recorded in the transaction that made it."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    id: int
    at: datetime
    type: AuditType
    actor: str
    pipeline_id: int | None
    step_id: int | None
    payload: dict[str, Any]


class AuditPage(BaseModel):
    """A page of events, newest first."""

    items: list[AuditEventResponse]
    next_cursor: str | None

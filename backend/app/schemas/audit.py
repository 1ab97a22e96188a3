"""Audit events: their types and how they look on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.numbers import NUMBER_ONLY

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
    "pipeline.parked",
    "pipeline.unparked",
    "step.started",
    "step.waiting",
    "step.interrupted",
    "step.resumed",
    "step.done",
    "step.failed",
    "step.skipped",
    "step.aborted",
    "step.reset",
    "step.retry_scheduled",
    "step.model_changed",
    "handoff.edited",
    "approval.requested",
    "approval.reminded",
    "approval.approved",
    "approval.rejected",
    "approval.changes_requested",
    "approval.cancelled",
    "request.asked",
    "request.answered",
    "request.denied",
    "request.expired",
    "request.cancelled",
    "queue.paused",
    "queue.resumed",
    "registry.reloaded",
    "registry.rejected",
    "pipeline.pruned",
    "retention.applied",
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


ExportFormat = Literal["json", "markdown"]


class RetentionRequest(BaseModel):
    """How long events are kept: those of finished runs, and those of no run."""

    model_config = ConfigDict(extra="forbid")

    older_than_days: Annotated[int, Field(ge=1, le=36_500), NUMBER_ONLY]


class RetentionResponse(BaseModel):
    """What a clean-up took away."""

    model_config = ConfigDict(extra="forbid")

    older_than_days: int
    before: datetime
    """Events of this moment and later were left alone."""
    deleted: int

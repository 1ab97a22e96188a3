"""Frames of the event stream, published as schemas so that the front end's types are generated."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.runtime import LivePart, LiveState, ToolCall


class _Frame(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)

    pipeline_id: int | None
    step_id: int | None
    at: datetime


class AuditFrame(_Frame):
    """`event: audit`, with the audit id as `id:`."""

    type: str
    id: int
    actor: str
    payload: dict[str, Any]


class DeltaFrame(_Frame):
    """`event: delta`: text to append to a part, or its whole `text` to replace what was shown."""

    type: Literal["delta"] = "delta"
    part_id: str
    kind: Literal["text", "reasoning"]
    delta: str | None = None
    text: str | None = None


class ToolFrame(_Frame):
    """`event: tool`: the newest state of one tool call."""

    type: Literal["tool"] = "tool"
    part_id: str
    tool: ToolCall


class StateFrame(_Frame):
    """`event: state`: what the step's session does now; `detail` has the words of the provider or about OpenCode."""

    type: Literal["state"] = "state"
    state: LiveState
    detail: str | None = None


class SnapshotFrame(_Frame):
    """`event: snapshot`: all that a running step has shown so far; sent for each on connect."""

    type: Literal["snapshot"] = "snapshot"
    state: LiveState
    detail: str | None = None
    parts: list[LivePart]


class ResetFrame(_Frame):
    """`event: reset`: the Last-Event-ID is unknown; read everything again."""

    type: Literal["reset"] = "reset"


class EventFrames(BaseModel):
    """Every frame the stream can send, as one documented object."""

    audit: AuditFrame | None = None
    delta: DeltaFrame | None = None
    tool: ToolFrame | None = None
    state: StateFrame | None = None
    snapshot: SnapshotFrame | None = None
    reset: ResetFrame | None = None
    heartbeat_seconds: int = Field(default=15, description="A comment is sent this often.")

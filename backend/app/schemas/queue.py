"""The queue on the wire: whether it is paused, what is at work, and what waits for what."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.text import StorableText

WaitingFor = Literal["directory", "limit", "paused", "retry"]
"""directory: another run works there; limit: all places are taken; paused: nobody may begin;
retry: the pause before a step is tried again is not over."""


class PauseRequest(BaseModel):
    """Why the queue is paused, for those who find it so."""

    model_config = ConfigDict(extra="ignore")

    reason: Annotated[StorableText | None, Field(max_length=500)] = None


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True, json_schema_serialization_defaults_required=True)


class WaitingRun(_Response):
    """A run that could go on if it were not for `why`."""

    pipeline_id: int
    title: str
    why: WaitingFor
    position: int
    """From 1: among the runs that wait for the same directory, else among those that wait for the same reason."""


class WaitingRuns(_Response):
    """Everything that waits, the first 200 by name."""

    count: int
    items: list[WaitingRun]


class QueueResponse(_Response):
    """The queue as it is now."""

    paused: bool
    paused_by: str | None
    paused_at: datetime | None
    reason: str | None
    active_steps: int
    """Steps at work now, each in a place."""
    asking_steps: int
    """Steps whose agent waits for a person's answer; they take no place."""
    max_active_steps: int
    """Places of this server: PACELINE_MAX_ACTIVE_STEPS."""
    waiting: WaitingRuns
    drained: bool
    """Paused, and no agent works, asks or is still being stopped: the server and OpenCode can be replaced."""

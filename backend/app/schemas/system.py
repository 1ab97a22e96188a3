"""Health, login, catalog and registry answers on the wire, and the problem document."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

from app.schemas.registry import AgentProfileResponse, TemplateResponse
from app.schemas.runtime import ModelKind


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True, json_schema_serialization_defaults_required=True)


class LoginRequest(BaseModel):
    """The token that `paceline serve` printed."""

    model_config = ConfigDict(extra="ignore")

    token: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class HealthResponse(_Response):
    """`status` is ok when work can be taken."""

    status: Literal["ok", "starting", "unavailable"]
    version: str
    opencode: Literal["starting", "ready", "down", "stopped"]
    database: Literal["ok", "unavailable"]
    reason: str | None
    """What stands in the way and what to do, when not ok."""
    registry: Literal["ok", "broken", "unavailable"]
    """broken: the last good version is in use; GET /registry/status has file, line and column."""
    queued: int
    active: int
    paused: bool
    """Whether the queue is paused: no step begins until it is resumed."""


class OpencodeHealthResponse(_Response):
    """The OpenCode server as it is now."""

    state: Literal["starting", "ready", "down", "stopped"]
    version: str | None
    generation: Literal["v1", "v2"] | None
    url: str | None
    managed: bool
    pid: int | None
    providers: list[str]
    detail: str | None


class WorkerResponse(_Response):
    """A server that works on the same PostgreSQL database. Times are the database's."""

    id: str
    hostname: str
    pid: int
    opencode: str | None
    """The OpenCode that it is attached to; null when it manages its own."""
    state: Literal["living", "stopped", "lost"]
    """lost: no sign of life for too long, so the others take its work over."""
    answers: bool
    """Whether it is the one that gives this answer."""
    started_at: datetime
    heartbeat_at: datetime


class WorkerList(_Response):
    """The servers of the last day, the newest first; none on SQLite, which has one server."""

    items: list[WorkerResponse]
    next_cursor: str | None = None


class ModelResponse(_Response):
    """A model that can be picked, or why it cannot. Prices in USD per million tokens."""

    ref: str
    provider: str
    id: str
    name: str
    context: int | None
    price_input: float | None
    price_output: float | None
    connected: bool
    reason: str | None
    kind: ModelKind


class ModelList(_Response):
    """What OpenCode lists for a directory."""

    items: list[ModelResponse]
    default: str | None
    """`provider/model` for steps without a model, when the configuration names one."""


class AgentList(_Response):
    """Agents of the registry."""

    items: list[AgentProfileResponse]
    next_cursor: str | None = None


class TemplateList(_Response):
    """Templates of the registry."""

    items: list[TemplateResponse]
    next_cursor: str | None = None


class ProblemError(_Response):
    """One wrong place in a request."""

    pointer: str
    message: str
    candidates: list[str] | None = None


class Problem(_Response):
    """application/problem+json."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[ProblemError] = []

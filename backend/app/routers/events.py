"""The event stream: recorded events with ids, live output without."""

from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.routers.deps import ServicesDep
from app.schemas.events import AuditFrame, EventFrames

_UNKNOWN = -1

router = APIRouter(prefix="/events", tags=["events"])


@router.get("", response_class=EventSourceResponse)
async def stream_events(
    services: ServicesDep,
    pipeline_id: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Server-sent events of all runs or of one.

    `audit` frames carry an id and are resumed by Last-Event-ID; `snapshot`, `delta`, `tool` and
    `state` show what runs right now. `reset` means that the Last-Event-ID is unknown: read again.
    """
    reached = _event_id(last_event_id)
    async for frame in services.broker.subscribe(pipeline_id, reached):
        if isinstance(frame, AuditFrame):
            yield ServerSentEvent(data=frame, event="audit", id=str(frame.id))
        else:
            yield ServerSentEvent(data=frame, event=frame.type)


@router.get("/frames")
async def describe_frames() -> EventFrames:
    """The shapes of all frames; always empty, it exists so that clients can generate types."""
    return EventFrames()


def _event_id(text: str | None) -> int | None:
    """What is no id of ours counts as an unknown one: the reader is told to read again, and goes on."""
    if text is None or text == "":
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else _UNKNOWN

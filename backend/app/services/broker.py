"""Fans events out to whoever watches: recorded audit events in order, live output as it comes.

Live output is never stored. The broker folds it into one snapshot for each running step, so that a
reader who joins late sees what has been shown so far.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.schemas.events import AuditFrame, DeltaFrame, ResetFrame, SnapshotFrame, StateFrame, ToolFrame
from app.schemas.runtime import LiveEvent, LivePart
from app.services.audit_log import AuditLog

log = logging.getLogger("paceline.events")

Frame = AuditFrame | DeltaFrame | ToolFrame | StateFrame | SnapshotFrame | ResetFrame

QUEUE_SIZE = 1000
"""Frames that a slow reader may be behind before it is dropped; it resumes by Last-Event-ID."""
SNAPSHOT_TEXT_LIMIT = 256_000
_POLL_SECONDS = 1.0
_FINAL_STEP_EVENTS = frozenset(
    {"step.done", "step.failed", "step.aborted", "step.skipped", "step.reset", "step.retry_scheduled"}
)


class Subscription:
    """One reader's queue. Iterate it; it ends when the reader is too slow or the server stops."""

    def __init__(self, pipeline_id: int | None) -> None:
        """`pipeline_id` None takes the frames of all runs."""
        self._pipeline_id = pipeline_id
        self._queue: asyncio.Queue[Frame | None] = asyncio.Queue(maxsize=QUEUE_SIZE)
        self._ended = False

    def wants(self, frame: Frame) -> bool:
        """True for frames of the reader's run, and for all when it watches all."""
        return self._pipeline_id is None or frame.pipeline_id == self._pipeline_id

    def put(self, frame: Frame) -> None:
        """Queue a frame; a full queue ends the subscription instead of growing."""
        if self._ended or not self.wants(frame):
            return
        try:
            self._queue.put_nowait(frame)
        except asyncio.QueueFull:
            self.end()

    def end(self) -> None:
        """Let the reader finish with what it has not read yet thrown away."""
        self._ended = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Frame]:
        """Frames in the order in which they were published."""
        while (frame := await self._queue.get()) is not None:
            yield frame


@dataclass
class _Shown:
    """What a running step has shown so far."""

    pipeline_id: int
    state: str = "busy"
    detail: str | None = None
    parts: dict[str, LivePart] = field(default_factory=dict)


class Broker:
    """One for each process. `publish` and `wake` are safe to call from any task of its loop."""

    def __init__(self, log: AuditLog) -> None:
        """`log` is read whenever `wake` was called, and once a second for other processes' events."""
        self._log = log
        self._subscriptions: set[Subscription] = set()
        self._shown: dict[int, _Shown] = {}
        self._wake = asyncio.Event()
        self._seen = 0
        self._closed = False

    def wake(self) -> None:
        """Say that audit events were committed."""
        self._wake.set()

    def publish(self, event: LiveEvent) -> None:
        """Take live output of a step; never blocks, never raises."""
        self._fold(event)
        frame = _live_frame(event)
        if frame is not None:
            self._send(frame)

    async def begin(self) -> None:
        """Start from the newest event; call it once, before the first request."""
        self._seen = await self._log.newest_id()

    async def run(self) -> None:
        """Follow the audit log until cancelled; outages of the database are waited out."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._follow()
            except Exception:
                log.exception("audit events could not be read")
                await asyncio.sleep(_POLL_SECONDS)

    async def _follow(self) -> None:
        for frame in await self._log.since(self._seen, None):
            self._seen = frame.id
            if frame.type in _FINAL_STEP_EVENTS and frame.step_id is not None:
                self._shown.pop(frame.step_id, None)
            self._send(frame)

    async def subscribe(self, pipeline_id: int | None, last_event_id: int | None) -> AsyncIterator[Frame]:
        """Snapshots of what runs now, events missed since `last_event_id`, then everything new."""
        if self._closed:
            return
        subscription = Subscription(pipeline_id)
        self._subscriptions.add(subscription)
        try:
            reached = self._seen
            for snapshot in self._snapshots():
                if subscription.wants(snapshot):
                    yield snapshot
            if last_event_id is not None:
                async for missed in self._missed(last_event_id, pipeline_id):
                    reached = max(reached, missed.id) if isinstance(missed, AuditFrame) else reached
                    yield missed
            async for frame in subscription:
                # What the replay has already sent may stand in the queue too.
                if not isinstance(frame, AuditFrame) or frame.id > reached:
                    yield frame
        finally:
            self._subscriptions.discard(subscription)

    async def _missed(self, last_event_id: int, pipeline_id: int | None) -> AsyncIterator[AuditFrame | ResetFrame]:
        if not await self._log.knows(last_event_id):
            yield ResetFrame(pipeline_id=pipeline_id, step_id=None, at=datetime.now(UTC))
            return
        while batch := await self._log.since(last_event_id, pipeline_id):
            for frame in batch:
                last_event_id = frame.id
                yield frame

    def close(self) -> None:
        """End every stream, so that open readers do not hold up the shutdown."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.end()

    def _send(self, frame: Frame) -> None:
        for subscription in list(self._subscriptions):
            subscription.put(frame)

    def _snapshots(self) -> list[SnapshotFrame]:
        now = datetime.now(UTC)
        return [
            SnapshotFrame.model_validate(
                {
                    "pipeline_id": shown.pipeline_id,
                    "step_id": step_id,
                    "at": now,
                    "state": shown.state,
                    "detail": shown.detail,
                    "parts": list(shown.parts.values()),
                }
            )
            for step_id, shown in self._shown.items()
        ]

    def _fold(self, event: LiveEvent) -> None:
        if event.state == "idle":
            # The last thing that is heard of a turn, after its abort too: nothing runs there any more.
            self._shown.pop(event.step_id, None)
            return
        shown = self._shown.setdefault(event.step_id, _Shown(event.pipeline_id))
        if event.type == "state":
            shown.state, shown.detail = event.state or shown.state, event.detail
        elif event.part_id is not None and event.tool is not None:
            shown.parts[event.part_id] = LivePart(part_id=event.part_id, kind="tool", tool=event.tool)
        elif event.part_id is not None:
            before = shown.parts.get(event.part_id)
            text = event.text if event.text is not None else (before.text if before else "") + (event.delta or "")
            kind = event.kind or "text"
            shown.parts[event.part_id] = LivePart(
                part_id=event.part_id, kind=kind, text=text[-SNAPSHOT_TEXT_LIMIT:]
            )


def _live_frame(event: LiveEvent) -> DeltaFrame | ToolFrame | StateFrame | None:
    head = {"pipeline_id": event.pipeline_id, "step_id": event.step_id, "at": event.at}
    if event.type == "state" and event.state is not None:
        return StateFrame.model_validate(head | {"state": event.state, "detail": event.detail})
    if event.type == "tool" and event.part_id is not None and event.tool is not None:
        return ToolFrame.model_validate(head | {"part_id": event.part_id, "tool": event.tool})
    if event.type == "delta" and event.part_id is not None:
        text = {"kind": event.kind or "text", "delta": event.delta, "text": event.text}
        return DeltaFrame.model_validate(head | {"part_id": event.part_id} | text)
    return None

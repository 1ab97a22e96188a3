"""What the fake OpenCode stores: sessions, messages, open requests, and who listens to its events."""

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

LOST_AT_FIRST = 0.02
"""Seconds after its first frame in which a stream of OpenCode loses events."""

_numbers = itertools.count(1)


def identity(prefix: str) -> str:
    """A fresh id in OpenCode's form: later ones sort after earlier ones."""
    stamp = (int(time.time() * 1000) * 0x1000 + next(_numbers) % 0x1000) & (2**48 - 1)
    return f"{prefix}_{stamp:012x}{secrets.token_hex(7)}"


def now() -> int:
    """Epoch milliseconds."""
    return int(time.time() * 1000)


@dataclass(frozen=True)
class Delays:
    """Seconds that things take here and there, in which a stop may come."""

    accept: float = 0
    """From the arrival of a prompt to its 204."""
    abort: float = 0
    """From the arrival of an abort to its effect and answer."""
    lost: float = 0
    """How long after the begin of a turn an abort has no effect."""
    child: float | None = None
    """From the making of a sub-agent's session to the begin of its turn, which no abort of the parent reaches then."""


@dataclass
class Session:
    """One stored session."""

    id: str
    directory: str
    info: Json
    messages: list[Json] = field(default_factory=list)
    doing: Json | None = None
    """None: idle."""
    task: "asyncio.Task[None] | None" = None
    begun: bool = False
    begun_at: float = 0
    arriving: int = 0
    """Prompts that were received and are not accepted yet."""
    deleted: bool = False
    """Unknown by its id; what ran in it goes on."""
    lost: bool = False
    """Its turn ends without a word."""

    @property
    def rules(self) -> list[Json]:
        """The session's own permission rules."""
        return list(self.info.get("permission") or [])

    def message(self, message_id: str) -> Json | None:
        """A stored message."""
        return next((one for one in self.messages if one["info"]["id"] == message_id), None)

    def is_complete(self, message_id: str) -> bool:
        """Whether the turn of a prompt has a whole answer."""
        ids = [one["info"]["id"] for one in self.messages]
        turn = self.messages[ids.index(message_id) :] if message_id in ids else []
        return bool(turn) and turn[-1]["info"].get("finish") == "stop" and "error" not in turn[-1]["info"]


@dataclass
class OpenRequest:
    """A permission that an agent waits for."""

    id: str
    directory: str
    body: Json
    answer: "asyncio.Future[Json]"


class Events:
    """Hands events to every open stream, as `/global/event` does."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Json | None]] = set()

    def emit(self, directory: str, kind: str, properties: Json) -> None:
        """Send one event to everybody who listens; durable ones come twice, as OpenCode sends them."""
        payload = {"id": identity("evt"), "type": kind, "properties": properties}
        frames: list[Json] = [{"directory": directory, "project": "fake", "payload": payload}]
        if kind in ("session.created", "message.updated"):
            copy = {"type": f"{kind}.1", "seq": 0, "aggregateID": properties.get("sessionID"), "data": properties}
            frames.append({"directory": directory, "payload": {"type": "sync", "syncEvent": copy}})
        for queue in self._queues:
            for frame in frames:
                queue.put_nowait(frame)

    def close(self) -> None:
        """End all streams."""
        for queue in self._queues:
            queue.put_nowait(None)

    @contextmanager
    def listener(self) -> Any:
        """A queue that gets every event while the block runs; None in it means the end."""
        queue: asyncio.Queue[Json | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)

    async def frames(self, heartbeat: float = 10) -> AsyncIterator[Json]:
        """Frames of one stream, heartbeats included."""
        yield {"payload": {"id": identity("evt"), "type": "server.connected", "properties": {}}}
        await asyncio.sleep(LOST_AT_FIRST)
        with self.listener() as queue:
            while True:
                try:
                    async with asyncio.timeout(heartbeat):
                        frame = await queue.get()
                except TimeoutError:
                    frame = {"payload": {"id": identity("evt"), "type": "server.heartbeat", "properties": {}}}
                if frame is None:
                    return
                yield frame

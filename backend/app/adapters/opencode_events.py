"""The one reader of OpenCode's event stream: reconnects by itself and hands events to their sessions.

OpenCode replays nothing, so a listener that hears `RECONNECTED` must read the messages again.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.adapters.opencode_http import OpencodeHttp
from app.adapters.task_end import cancel
from app.errors import OpencodeUnavailable

RECONNECTED = "paceline.reconnected"
DISCONNECTED = "paceline.disconnected"

WANTED = frozenset(
    {
        "session.created",
        "session.updated",
        "session.status",
        "session.idle",
        "session.error",
        "message.updated",
        "message.part.updated",
        "message.part.delta",
        "permission.asked",
        "question.asked",
    }
)
"""Events that are handed on; everything else is dropped unread."""

BEGINS_TO_SEND = 0.25
"""Seconds after its first frame from which on OpenCode sends everything: what happens within the first few
milliseconds is lost (7 of 8 events at 0 ms, none at 20 ms)."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """One event of a session. `root` is the session that was subscribed, `session` may be its child."""

    type: str
    root: str
    session: str
    properties: Mapping[str, object] = field(default_factory=dict)


Listener = Callable[[Event], None]


class EventReader:
    """Reads `/global/event` as long as anybody listens."""

    def __init__(self, http: OpencodeHttp, silence: float = 25) -> None:
        """`silence`: seconds without a byte (heartbeats come every 10 s) after which it reconnects."""
        self._http = http
        self._silence = silence
        self._listeners: dict[str, list[Listener]] = {}
        self._parents: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether events arrive now."""
        return self._connected.is_set()

    async def open(self, seconds: float) -> bool:
        """Start reading if that was not done yet; True once events arrive."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._read_forever(), name="opencode-events")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._connected.wait()
        return self.connected

    def subscribe(self, session_id: str, listener: Listener) -> Callable[[], None]:
        """Hear the events of a session and its children; call the result to stop hearing them."""
        listeners = self._listeners.setdefault(session_id, [])
        listeners.append(listener)

        def cancel() -> None:
            listeners.remove(listener)
            if not listeners and self._listeners.get(session_id) is listeners:
                del self._listeners[session_id]
                self._forget_children(session_id)

        return cancel

    def adopt(self, child: str, parent: str) -> None:
        """Remember that a session is the child of another."""
        self._parents[child] = parent

    async def aclose(self) -> None:
        """Stop reading."""
        await cancel(self._task)
        self._task = None

    def dispatch(self, payload: Mapping[str, object]) -> None:
        """Hand one event to the listeners of its session."""
        kind, properties = payload.get("type"), payload.get("properties")
        if kind not in WANTED or not isinstance(properties, Mapping):
            return
        session = str(properties.get("sessionID") or "")
        info = properties.get("info")
        if isinstance(info, Mapping) and str(kind).startswith("session.") and info.get("parentID"):
            self._learn(str(info.get("id")), str(info["parentID"]))
        root = self._root(session)
        self._tell(root, Event(str(kind), root, session, properties))

    def _tell(self, root: str, event: Event) -> None:
        """One listener's trouble with an event must not make all the others deaf."""
        for listener in tuple(self._listeners.get(root, ())):
            try:
                listener(event)
            except Exception:
                _log.exception("an event of type %s could not be taken in", event.type)

    def _learn(self, child: str, parent: str) -> None:
        if self._root(parent) in self._listeners:
            self._parents[child] = parent

    def _root(self, session: str) -> str:
        while session not in self._listeners and session in self._parents:
            session = self._parents[session]
        return session

    def _forget_children(self, root: str) -> None:
        gone = {root}
        while True:
            found = {child for child, parent in self._parents.items() if parent in gone} - gone
            if not found:
                break
            gone |= found
        self._parents = {child: parent for child, parent in self._parents.items() if child not in gone}

    def _announce(self, kind: str) -> None:
        for root in tuple(self._listeners):
            self._tell(root, Event(kind, root, root))

    async def _read_forever(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._read_once()
                pause = _FIRST_PAUSE
            except OpencodeUnavailable as error:
                _log.debug("event stream lost: %s", error)
            except Exception:
                # What OpenCode sends must not make everybody deaf for good.
                _log.exception("the event stream could not be read; it is opened again")
            finally:
                was_connected = self._connected.is_set()
                self._connected.clear()
                if was_connected:
                    self._announce(DISCONNECTED)
                    pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _read_once(self) -> None:
        async with self._http.stream("/global/event", self._silence) as lines:
            listening: asyncio.TimerHandle | None = None
            try:
                async for line in lines:
                    if not line.startswith("data:"):
                        continue
                    frame = _parsed(line[5:])
                    listening = listening or asyncio.get_running_loop().call_later(BEGINS_TO_SEND, self._opened)
                    payload = frame.get("payload") if isinstance(frame, Mapping) else None
                    if isinstance(payload, Mapping):
                        self.dispatch(payload)
            finally:
                if listening is not None:
                    listening.cancel()

    def _opened(self) -> None:
        self._connected.set()
        self._announce(RECONNECTED)


def _parsed(text: str) -> object:
    try:
        frame: object = json.loads(text)
    except (ValueError, RecursionError):
        _log.warning("a frame of the event stream is no JSON: %.80s", text)
        return None
    return frame

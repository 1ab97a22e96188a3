"""Waits for the end of a turn: by events, with polling as the fallback, under the step's limits."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_events import DISCONNECTED, RECONNECTED, Event, EventReader
from app.adapters.opencode_http import OpencodeRefused, ServerGone, TurnLost
from app.adapters.opencode_live import LiveFeed
from app.adapters.opencode_requests import RequestAnswerer, RequestDesk
from app.adapters.opencode_tally import TurnTally
from app.adapters.opencode_transcript import TurnMessages
from app.adapters.opencode_wire import WireMessage
from app.errors import Interrupted, OpencodeUnavailable
from app.schemas.runtime import SessionBinding, TurnError

_URGENT = frozenset({RECONNECTED, DISCONNECTED, "session.idle", "session.error"})
"""What is looked into at once: an end, or a stream that broke, maybe because OpenCode died."""


@dataclass(frozen=True)
class TurnTiming:
    """Seconds."""

    tick: float = 0.5
    """How often limits are checked."""
    poll: float = 3
    """How often OpenCode is asked although events arrive."""
    doubt: float = 5
    """How long, until it is asked whether the prompt named something that does not exist."""
    begin: float = 30
    """How long an accepted prompt may show no sign of work."""
    settle: float = 0.4
    """How long a state that looks like an end must last."""
    gone: float = 8
    """How long OpenCode may be unreachable until the turn is given up."""


class TurnWatch:
    """One running turn. Hears its events from the moment it is made until `close`."""

    def __init__(
        self,
        api: OpencodeApi,
        events: EventReader,
        session_id: str,
        binding: SessionBinding,
        live: LiveFeed,
        timing: TurnTiming,
        desk: RequestDesk,
    ) -> None:
        self.doubt: Callable[[], Awaitable[None]] = _no_doubt
        """Called once when a prompt shows no sign of work: raises if it named what does not exist."""
        self._doubted = False
        self.refused = False
        """The turn ended with an error before any reply to it existed."""
        self.tally = TurnTally(session_id, binding.limits, deaf=not events.connected)
        self.requests = RequestAnswerer(api, session_id, binding, self.tally, desk)
        self._api = api
        self._events = events
        self._session_id = session_id
        self._binding = binding
        self._live = live
        self._timing = timing
        self._before: frozenset[str] = frozenset()
        self._wake = asyncio.Event()
        self._reread = False
        self._urgent = True
        """Something was heard that only a look can explain; stays set when it comes during a look."""
        self._poll_at = 0.0
        self._began = time.monotonic()
        self._last_answer = time.monotonic()
        self._suspect: tuple[str, float] | None = None
        self._cancel: Callable[[], None] = events.subscribe(session_id, self._hear)

    @property
    def stray_error(self) -> TurnError | None:
        """The first error that OpenCode reported beside its messages; repetitions only add its own stack."""
        return self.tally.errors[0] if self.tally.errors else None

    async def take_up(self, messages: list[WireMessage], *, running: bool) -> frozenset[str]:
        """Take in what is stored of a prompt that was sent before, and whoever works for it.

        Returns the replies that mean nothing: unless it is `running`, all of them belong to earlier tries.
        """
        turn = TurnMessages.find(messages, self._binding.message_id)
        if not running:
            self._before = self.tally.dead = _ids(turn.replies)
        if turn.prompt is not None:
            self._live.show(messages)
            self.tally.read_messages(self._session_id, messages)
            await self._read_sub_agents(turn, running=running)
        return self._before

    async def close(self) -> None:
        """Stop listening."""
        self._cancel()
        await self.requests.close()

    async def wait(self) -> None:
        """Return when the turn has ended.

        Raises the `StepFailure` of a passed limit, `TurnLost` when the session stopped working
        without an end, another `OpencodeUnavailable` when the server is gone.
        """
        self._began = self._last_answer = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.tick):
                    await self._wake.wait()
            self._wake.clear()
            if (self._urgent or time.monotonic() >= self._poll_at) and await self._poll():
                return
            failure = self.tally.violation()
            if failure is not None:
                raise failure

    def _hear(self, event: Event) -> None:
        self.tally.hear(event)
        self._live.hear(event)
        self.requests.hear(event)
        if event.type == RECONNECTED:
            self._reread = True
        if event.type in _URGENT and event.session == self._session_id:
            self._urgent = True
            self._wake.set()
        elif event.type == "message.updated":
            self._wake.set()

    async def _poll(self) -> bool:
        self._urgent = False
        try:
            ended = await self._look()
        except (ServerGone, TurnLost):
            raise
        except OpencodeRefused as refused:
            if refused.status_code == 404:
                raise Interrupted("The session was deleted in OpenCode while the step ran.") from refused
            if time.monotonic() - self._last_answer > self._timing.gone:
                raise
            self._poll_at = time.monotonic() + 1
            return False
        except OpencodeUnavailable:
            if not self._events.connected and time.monotonic() - self._last_answer > self._timing.gone:
                raise
            self._poll_at = time.monotonic() + 1
            return False
        self._last_answer = time.monotonic()
        self._poll_at = self._last_answer + (self._timing.settle if self._suspect else self._timing.poll)
        return ended

    async def _look(self) -> bool:
        statuses = await self._api.statuses(self._binding.directory)
        self.tally.read_statuses(statuses)
        deaf = not self._events.connected
        if deaf or self.requests.must_look or self.tally.tool_is_quiet(self._timing.poll):
            await self.requests.look(statuses)
        if self._session_id in statuses:
            self._suspect = None
            if deaf or self._reread:
                await self._read_sub_agents(await self._read(), running=True)
                self.tally.read_statuses(statuses)
            return False
        turn = await self._read()
        if not self._doubted and self._shows_nothing(turn) and time.monotonic() - self._began > self._timing.doubt:
            self._doubted = True
            await self.doubt()
        return self._has_ended(turn)

    def _shows_nothing(self, turn: TurnMessages) -> bool:
        return not self.tally.errors and all(reply.info.id in self._before for reply in turn.replies)

    async def _read(self) -> TurnMessages:
        messages = await self._api.messages(self._session_id)
        self.tally.read_messages(self._session_id, messages)
        if self._reread:
            self._reread = False
            self._live.show(messages)
        return TurnMessages.find(messages, self._binding.message_id)

    async def _read_sub_agents(self, turn: TurnMessages, *, running: bool) -> None:
        """Learn of those whose begin nobody here heard: their calls, costs, silence and requests count too."""
        for child in await self._api.descendants(self._session_id) if turn.has_children else ():
            self._events.adopt(child.id, child.parent_id or self._session_id)
            messages = await self._api.messages(child.id)
            if not running:
                self.tally.dead |= _ids(messages)
            self.tally.read_messages(child.id, messages)

    def _has_ended(self, turn: TurnMessages) -> bool:
        """The session does not work now: has the turn ended, or has it not begun, or was it cut off?"""
        replies = [reply for reply in turn.replies if reply.info.id not in self._before]
        if replies and turn.is_complete and turn.answer is replies[-1]:
            return True
        if replies and replies[-1].info.completed:
            return self._lasts("ended")
        if replies:
            if self._lasts("cut off"):
                raise TurnLost("OpenCode stopped working on the prompt before the answer was complete.")
            return False
        if self.tally.errors:
            self.refused = self._lasts("refused")
            return self.refused
        if time.monotonic() - self._began > self._timing.begin:
            raise TurnLost(f"OpenCode took the prompt and did not begin to work within {self._timing.begin:.0f} s.")
        self._suspect = None
        return False

    def _lasts(self, state: str) -> bool:
        """Whether the session has looked like this for some time, seen at least twice."""
        now = time.monotonic()
        if self._suspect is None or self._suspect[0] != state:
            self._suspect = (state, now)
            return False
        return now - self._suspect[1] >= self._timing.settle * 0.9


def _ids(messages: Iterable[WireMessage]) -> frozenset[str]:
    return frozenset(message.info.id for message in messages)


async def _no_doubt() -> None:
    """Nothing to check."""

"""How long a step has been at work: one clock for all sends of its prompt, across outages and restarts."""

import time
from collections.abc import Callable, Iterator, Sequence

from app.adapters.opencode_requests import RequestDesk
from app.adapters.opencode_transcript import TurnMessages
from app.adapters.opencode_wire import WireMessage
from app.schemas.requests import EarlierRequests
from app.schemas.runtime import SessionBinding


class StepClocks:
    """The wall clock of each bound session. It goes on while OpenCode is away and is sent the prompt again.

    It stands still while a person is asked, and it leaves out the time in which neither we nor OpenCode
    ran: whoever stops Paceline in the evening finds the step in the morning as old as it was.
    """

    def __init__(self, desk: RequestDesk, now: Callable[[], float] = time.time) -> None:
        """`desk` knows how long persons were asked."""
        self._desk = desk
        self._now = now
        self._began: dict[str, float] = {}

    def begin(self, session_id: str) -> None:
        """The first prompt of a session goes out now."""
        self._began.setdefault(session_id, self._now())

    def forget(self, session_id: str) -> None:
        """Nobody asks about this session any more."""
        self._began.pop(session_id, None)

    async def take_up(self, session_id: str, binding: SessionBinding, turn: TurnMessages, *, running: bool) -> float:
        """Seconds at work so far, of a step whose prompt was sent before; `running`: OpenCode works on it now."""
        earlier = await self._desk.earlier(binding)
        if session_id not in self._began:
            began = _beginning(binding, turn, self._now())
            idle = 0.0 if running else self._idle(began, turn.messages, earlier)
            self._began[session_id] = began + idle
        return self._now() - self._began[session_id] - earlier.waited

    async def left(self, session_id: str, binding: SessionBinding) -> float:
        """Seconds that the step may still take; all of them while nothing is known to have been sent."""
        if session_id not in self._began:
            return binding.limits.wall_clock
        waited = (await self._desk.earlier(binding)).waited
        return binding.limits.wall_clock - (self._now() - self._began[session_id] - waited)

    def _idle(self, began: float, messages: Sequence[WireMessage], earlier: EarlierRequests) -> float:
        """Since when nobody worked on a turn that a process before us left; a question counts as waiting anyway."""
        if earlier.pending:
            return 0.0
        answered = earlier.answered_at.timestamp() if earlier.answered_at else 0.0
        return max(0.0, self._now() - max(began, answered, *_signs_of_life(messages)))


def _beginning(binding: SessionBinding, turn: TurnMessages, now: float) -> float:
    if binding.started_at is not None:
        return binding.started_at.timestamp()
    created = turn.prompt.info.time.created if turn.prompt else None
    return now if created is None else created / 1000


def _signs_of_life(messages: Sequence[WireMessage]) -> Iterator[float]:
    yield 0.0
    for message in messages:
        times = [message.info.time, *(part.state.time for part in message.parts)]
        for at in times:
            yield from (moment / 1000 for moment in (at.created, at.completed, at.start, at.end) if moment)

"""What is known about a running turn, and which of its limits it has passed. Pure: no waiting, no network."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from app.adapters.opencode_events import DISCONNECTED, RECONNECTED, Event
from app.adapters.opencode_wire import WireInfo, WireMessage, WirePart, WireStatus, turn_error
from app.errors import BudgetExceeded, RetriesExhausted, Runaway, Stalled, StepFailure, TimedOut
from app.schemas.money import dollars
from app.schemas.runtime import StepLimits, TurnError

ENDINGS_IN_A_ROW = 3
_PROPER = frozenset({"stop", "length", "content-filter", "error"})


@dataclass
class _Session:
    """One session of the turn: the step's own or that of a sub-agent."""

    heard: float
    busy: bool = False
    tools: set[str] = field(default_factory=set)
    tools_ended: set[str] = field(default_factory=set)
    retry: WireStatus | None = None
    retry_since: float = 0
    calls: dict[str, WireInfo] = field(default_factory=dict)
    with_tools: set[str] = field(default_factory=set)

    def endings(self) -> list[WireInfo]:
        """Completed model messages, oldest first."""
        done = [call for call in self.calls.values() if call.completed]
        return sorted(done, key=lambda call: (call.time.created or 0, call.id))

    def improper(self, call: WireInfo) -> bool:
        """Ended without error and without a reason that ends a model's answer."""
        if call.error is not None or call.finish in _PROPER:
            return False
        return not (call.finish == "tool-calls" and call.id in self.with_tools)


class TurnTally:
    """Counts calls, cost, retries and silence of one turn from events and from messages alike."""

    def __init__(
        self,
        root: str,
        limits: StepLimits,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        *,
        deaf: bool = False,
    ) -> None:
        """`deaf`: no events arrive as it begins, so silence means nothing until they do."""
        self.errors: list[TurnError] = []
        self.idle_heard = False
        self.dead: frozenset[str] = frozenset()
        """Replies of earlier tries: a tool of theirs that is still called running does not run."""
        self._root = root
        self._limits = limits
        self._clock = clock
        self._now = now
        self._started = clock()
        self._sessions: dict[str, _Session] = {root: _Session(heard=clock())}
        self._retry_spent = 0.0
        self._deaf = deaf
        self._asked: set[str] = set()
        self._asked_since = 0.0
        self._paused = 0.0

    @property
    def sessions(self) -> set[str]:
        """All sessions heard of in this turn."""
        return set(self._sessions)

    @property
    def busy_heard(self) -> bool:
        """Whether the session was seen at work since this tally began."""
        return self._sessions[self._root].busy

    def started_earlier(self, seconds: float) -> None:
        """The turn was already running for some time when we joined it."""
        self._started -= max(0.0, seconds)

    def tool_is_quiet(self, seconds: float) -> bool:
        """A tool runs and nothing was heard for a while: maybe it waits for a person."""
        now = self._clock()
        return any(one.tools and now - one.heard > seconds for one in self._sessions.values())

    def hear(self, event: Event) -> None:
        """Take in one event of the turn."""
        if event.type in (RECONNECTED, DISCONNECTED):
            self._hear_again(deaf=event.type == DISCONNECTED)
            return
        session = self._session(event.session)
        if event.type not in ("session.updated", "session.created"):
            session.heard = self._clock()
        properties = event.properties
        if event.type == "session.status":
            self._status(session, _status(properties))
        elif event.type == "message.updated":
            self._info(session, properties.get("info"))
        elif event.type == "message.part.updated":
            self._part(session, properties.get("part"))
        elif event.session == self._root:
            self._end(event)

    def read_messages(self, session_id: str, messages: Iterable[WireMessage]) -> None:
        """Take in all messages of a session as they are stored."""
        session = self._session(session_id)
        for message in messages:
            if message.info.role != "assistant":
                continue
            self._call(session, message.info)
            for part in message.parts:
                self._tool(session, part)

    def read_statuses(self, statuses: Mapping[str, WireStatus]) -> None:
        """Take in who is at work now."""
        for session_id, session in self._sessions.items():
            self._status(session, statuses.get(session_id, WireStatus()))

    def asked(self, request_id: str) -> None:
        """A person is asked: the clocks stop."""
        if not self._asked:
            self._asked_since = self._clock()
        self._asked.add(request_id)

    def answered(self, request_id: str) -> None:
        """The request is decided: the clocks go on when it was the last one."""
        if request_id not in self._asked:
            return
        self._asked.discard(request_id)
        if not self._asked:
            self._paused += self._clock() - self._asked_since
            self._hear_again(deaf=self._deaf)

    def violation(self) -> StepFailure | None:
        """The first limit that the turn has passed, as the failure to raise."""
        for check in (self._over_budget, self._over_calls, self._improper_endings, self._over_retries):
            failure = check()
            if failure is not None:
                return failure
        return None if self._asked else self._over_time()

    # What limits mean

    def _over_budget(self) -> StepFailure | None:
        budget = self._limits.budget_usd
        spent = sum(call.cost or 0 for one in self._sessions.values() for call in one.endings())
        if budget is None or spent <= budget:
            return None
        return BudgetExceeded(f"The step has cost {dollars(spent)}; the run had {dollars(budget)} left to spend.")

    def _over_calls(self) -> StepFailure | None:
        calls = sum(len(one.calls) for one in self._sessions.values())
        if calls <= self._limits.model_calls:
            return None
        return Runaway(f"The agent made more than the {self._limits.model_calls} model calls that a step may make.")

    def _improper_endings(self) -> StepFailure | None:
        for one in self._sessions.values():
            last = one.endings()[-ENDINGS_IN_A_ROW:]
            if len(last) == ENDINGS_IN_A_ROW and all(one.improper(call) for call in last):
                return Runaway(
                    f"The model's last {ENDINGS_IN_A_ROW} answers had no proper end "
                    f"(finish: {last[-1].finish or 'none'}) and OpenCode kept asking again."
                )
        return None

    def _over_retries(self) -> StepFailure | None:
        allowed = self._limits.retry_total
        spent = self._retry_spent
        for one in self._sessions.values():
            if one.retry is None:
                continue
            waited = self._clock() - one.retry_since
            ahead = 0.0 if one.retry.next is None else max(0.0, one.retry.next / 1000 - self._now())
            if spent + waited + ahead > allowed:
                return RetriesExhausted(
                    f"The provider kept failing: {one.retry.message} (try {one.retry.attempt}, the next one in "
                    f"{ahead:.0f} s; a step may spend {allowed:.0f} s on retries).",
                    again_in=ahead,
                )
        return None

    def _over_time(self) -> StepFailure | None:
        now = self._clock()
        if now - self._started - self._paused > self._limits.wall_clock:
            return TimedOut(f"The step took longer than the {self._limits.wall_clock:.0f} s that it may take.")
        if self._deaf:
            return None
        for one in self._sessions.values():
            if one.busy and one.retry is None and not one.tools and now - one.heard > self._limits.silence:
                return Stalled(f"A model call was open and nothing came for {self._limits.silence:.0f} s.")
        return None

    # What events and messages mean

    def _session(self, session_id: str) -> _Session:
        return self._sessions.setdefault(session_id, _Session(heard=self._clock()))

    def _hear_again(self, *, deaf: bool) -> None:
        self._deaf = deaf
        for one in self._sessions.values():
            one.heard = self._clock()

    def _status(self, session: _Session, status: WireStatus) -> None:
        was_retrying = session.retry is not None
        session.busy = status.type != "idle"
        session.retry = status if status.type == "retry" else None
        if session.retry is not None and not was_retrying:
            session.retry_since = self._clock()
        if session.retry is None and was_retrying:
            self._retry_spent += self._clock() - session.retry_since
            session.heard = self._clock()

    def _info(self, session: _Session, raw: object) -> None:
        if isinstance(raw, Mapping) and raw.get("role") == "assistant":
            self._call(session, WireInfo.model_validate(raw))

    def _call(self, session: _Session, info: WireInfo) -> None:
        """An answer to a question may be older than an event that came meanwhile: what has ended stays ended."""
        known = session.calls.get(info.id)
        if known is None or not known.completed or info.completed:
            session.calls[info.id] = info

    def _part(self, session: _Session, raw: object) -> None:
        if isinstance(raw, Mapping) and raw.get("type") == "tool":
            self._tool(session, WirePart.model_validate(raw))

    def _tool(self, session: _Session, part: WirePart) -> None:
        if part.type != "tool" or part.message_id in self.dead:
            return
        session.with_tools.add(part.message_id)
        if part.state.status in ("completed", "error"):
            session.tools_ended.add(part.call_id)
            session.tools.discard(part.call_id)
        elif part.state.status == "running" and part.call_id not in session.tools_ended:
            session.tools.add(part.call_id)

    def _end(self, event: Event) -> None:
        if event.type == "session.idle":
            self.idle_heard = True
        elif event.type == "session.error":
            raw = event.properties.get("error")
            error = turn_error(raw if isinstance(raw, Mapping) else {"name": "UnknownError"})
            if error is not None:
                self.errors.append(error)


def _status(properties: Mapping[str, object]) -> WireStatus:
    return WireStatus.model_validate(properties.get("status") or {})

"""The limits of a turn, with a clock that the test sets."""

from collections.abc import Mapping

from app.adapters.opencode_events import DISCONNECTED, RECONNECTED, Event
from app.adapters.opencode_tally import TurnTally
from app.errors import BudgetExceeded, RetriesExhausted, Runaway, Stalled, StepFailure, TimedOut
from app.schemas.runtime import StepLimits

ROOT, CHILD = "ses_root", "ses_child"


class Clock:
    """Seconds that only pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A tally, its clock, and short ways to make events."""

    def __init__(self, limits: StepLimits | None = None) -> None:
        self.clock = Clock()
        self.tally = TurnTally(ROOT, limits or StepLimits(), clock=self.clock, now=self.clock)
        self.status("busy")

    def hear(self, kind: str, session: str = ROOT, **properties: object) -> None:
        """One event."""
        self.tally.hear(Event(kind, ROOT, session, {"sessionID": session, **properties}))

    def status(self, kind: str, session: str = ROOT, **more: object) -> None:
        """A change of status."""
        self.hear("session.status", session, status={"type": kind, **more})

    def message(self, number: int, session: str = ROOT, **more: object) -> None:
        """A completed model message unless said otherwise."""
        info: Mapping[str, object] = {
            "id": f"msg_{number}",
            "sessionID": session,
            "role": "assistant",
            "time": {"created": number, "completed": number + 1},
            **more,
        }
        self.hear("message.updated", session, info=info)

    def tool(self, status: str, session: str = ROOT, message: int = 1) -> None:
        """A change of a tool call."""
        part = {
            "id": "prt_1",
            "type": "tool",
            "tool": "bash",
            "callID": f"call_{message}",
            "messageID": f"msg_{message}",
            "state": {"status": status},
        }
        self.hear("message.part.updated", session, part=part)

    def failure(self) -> type[StepFailure] | None:
        """The kind of limit passed."""
        found = self.tally.violation()
        return None if found is None else type(found)


def test_silence_counts_while_a_model_call_is_open() -> None:
    bench = Bench(StepLimits(silence=10))
    bench.clock.now += 9
    bench.hear("message.part.delta", delta="x")
    bench.clock.now += 9
    assert bench.failure() is None
    bench.clock.now += 2
    assert bench.failure() is Stalled


def test_silence_does_not_count_while_a_tool_runs() -> None:
    bench = Bench(StepLimits(silence=10))
    bench.tool("running")
    bench.clock.now += 600
    assert bench.failure() is None
    bench.tool("completed")
    bench.clock.now += 11
    assert bench.failure() is Stalled


def test_a_child_that_falls_silent_counts_although_the_parents_tool_runs() -> None:
    bench = Bench(StepLimits(silence=10))
    bench.tool("running")
    bench.status("busy", CHILD)
    bench.clock.now += 11
    assert bench.failure() is Stalled
    bench.status("idle", CHILD)
    assert bench.failure() is None


def test_silence_is_not_judged_while_events_are_cut_off() -> None:
    bench = Bench(StepLimits(silence=10))
    bench.hear(DISCONNECTED)
    bench.clock.now += 60
    assert bench.failure() is None
    bench.hear(RECONNECTED)
    assert bench.failure() is None
    bench.clock.now += 11
    assert bench.failure() is Stalled


def test_clocks_stand_still_while_a_person_is_asked() -> None:
    bench = Bench(StepLimits(silence=10, wall_clock=100))
    bench.tally.asked("per_1")
    bench.tally.asked("per_2")
    bench.clock.now += 500
    bench.tally.answered("per_1")
    assert bench.failure() is None
    bench.tally.answered("per_2")
    bench.clock.now += 9
    bench.hear("message.part.delta", delta="x")
    assert bench.failure() is None
    bench.tool("running")
    bench.clock.now += 92
    assert bench.failure() is TimedOut


def test_a_joined_turn_has_used_up_time_already() -> None:
    bench = Bench(StepLimits(wall_clock=100))
    bench.tally.started_earlier(95)
    assert bench.failure() is None
    bench.clock.now += 6
    assert bench.failure() is TimedOut


def test_three_improper_endings_in_a_row_are_a_runaway_two_are_not() -> None:
    bench = Bench()
    bench.message(1, finish="unknown")
    bench.message(2, finish="tool-calls")
    assert bench.failure() is None
    bench.message(3, finish="unknown")
    assert bench.failure() is Runaway


def test_a_tool_call_between_them_is_a_proper_ending() -> None:
    bench = Bench()
    bench.message(1, finish="unknown")
    bench.tool("completed", message=2)
    bench.message(2, finish="tool-calls")
    bench.message(3, finish="unknown")
    bench.message(4, finish="unknown")
    assert bench.failure() is None


def test_model_calls_of_children_count() -> None:
    bench = Bench(StepLimits(model_calls=2))
    bench.message(1, finish="stop")
    bench.message(2, CHILD, finish="stop")
    assert bench.failure() is None
    bench.message(3, CHILD, time={"created": 3})
    assert bench.failure() is Runaway


def test_cost_of_children_counts_and_open_messages_do_not() -> None:
    bench = Bench(StepLimits(budget_usd=1.0))
    bench.message(1, finish="stop", cost=0.6)
    bench.message(2, CHILD, finish="stop", cost=0.6, time={"created": 2})
    assert bench.failure() is None
    bench.message(2, CHILD, finish="stop", cost=0.6)
    assert bench.failure() is BudgetExceeded


def test_an_older_answer_does_not_reopen_what_has_ended() -> None:
    bench = Bench(StepLimits(budget_usd=0.5))
    bench.message(1, finish="stop", cost=0.6)
    bench.message(1, time={"created": 1})
    assert bench.failure() is BudgetExceeded


def test_a_retry_far_ahead_ends_the_turn_at_once_with_the_providers_words() -> None:
    bench = Bench(StepLimits(retry_total=300))
    bench.status("retry", attempt=1, message="slow down", next=(bench.clock.now + 299) * 1000)
    assert bench.failure() is None
    bench.status("retry", attempt=1, message="come back tomorrow", next=(bench.clock.now + 86400) * 1000)
    found = bench.tally.violation()
    assert isinstance(found, RetriesExhausted)
    assert "come back tomorrow" in found.detail


def test_retries_add_up_over_the_turn() -> None:
    bench = Bench(StepLimits(retry_total=10))
    for attempt in range(1, 4):
        bench.status("retry", attempt=attempt, message="busy", next=(bench.clock.now + 4) * 1000)
        assert (bench.failure() is RetriesExhausted) is (attempt == 3)
        bench.clock.now += 4
        bench.status("busy")


def test_waiting_for_a_retry_is_not_silence() -> None:
    bench = Bench(StepLimits(silence=5, retry_total=100))
    bench.status("retry", attempt=1, message="busy", next=(bench.clock.now + 50) * 1000)
    bench.clock.now += 40
    assert bench.failure() is None


def test_a_tool_that_died_with_an_earlier_server_does_not_run() -> None:
    bench = Bench(StepLimits(silence=10))
    bench.tally.dead = frozenset({"msg_1"})
    bench.tool("running", message=1)
    bench.clock.now += 11
    assert bench.failure() is Stalled

"""The wall clock of a step: one for all sends of its prompt, without questions and without our own absence."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.adapters.opencode_clock import StepClocks
from app.adapters.opencode_requests import NobodyThere
from app.adapters.opencode_transcript import TurnMessages
from app.adapters.opencode_wire import WireMessage
from app.schemas.requests import EarlierRequests
from app.schemas.runtime import SessionBinding, StepLimits

STARTED = 1_000_000.0


class Desk(NobodyThere):
    """Knows what was asked before."""

    def __init__(self, **earlier: Any) -> None:
        self._earlier = EarlierRequests(**earlier)

    async def earlier(self, _binding: SessionBinding) -> EarlierRequests:
        """As told."""
        return self._earlier


class Bench:
    """Clocks at a time that the test says."""

    def __init__(self, at: float, **earlier: Any) -> None:
        self.at = at
        self.clocks = StepClocks(Desk(**earlier), lambda: STARTED + self.at)
        self.binding = SessionBinding(
            directory="/d", message_id="msg", title="t", pipeline_id=1, step_id=2, attempt=1,
            limits=StepLimits(wall_clock=600), started_at=datetime.fromtimestamp(STARTED, UTC),
        )  # fmt: skip

    async def take_up(self, *ended_at: float, running: bool = False) -> float:
        """Take a turn up whose replies ended at these seconds."""
        turn = TurnMessages("msg", tuple(_messages(ended_at)))
        return await self.clocks.take_up("ses", self.binding, turn, running=running)

    async def left(self) -> float:
        """What the step may still take."""
        return await self.clocks.left("ses", self.binding)


def _messages(ended_at: Sequence[float]) -> Sequence[WireMessage]:
    def message(role: str, **times: float) -> WireMessage:
        ms = {name: (STARTED + at) * 1000 for name, at in times.items()}
        info = {"id": "m", "sessionID": "ses", "role": role, "time": ms}
        return WireMessage.model_validate({"info": info})

    return [message("user", created=1), *(message("assistant", created=at - 1, completed=at) for at in ended_at)]


async def test_an_outage_counts() -> None:
    bench = Bench(0)
    bench.clocks.begin("ses")
    bench.at = 100
    assert await bench.take_up(50) == 100
    bench.clocks.begin("ses")
    assert await bench.left() == 500


async def test_a_turn_that_went_on_without_us_has_used_that_time() -> None:
    assert await Bench(100).take_up(50, running=True) == 100


async def test_the_time_in_which_nobody_worked_on_it_is_left_out_after_a_restart() -> None:
    bench = Bench(40_000)
    assert await bench.take_up(20, 50) == 50
    bench.at += 10
    assert await bench.left() == 540


async def test_a_prompt_that_was_never_taken_has_used_nothing() -> None:
    bench = Bench(40_000)
    assert await bench.clocks.take_up("ses", bench.binding, TurnMessages("msg", ()), running=False) == 0


async def test_a_question_counts_neither_as_work_nor_twice() -> None:
    answered = datetime.fromtimestamp(STARTED + 90, UTC)
    assert await Bench(40_000, waited=30, answered_at=answered).take_up(50) == 60
    pending = Bench(40_000, waited=39_950, pending=frozenset({"per_1"}))
    assert await pending.take_up(50) == 50


async def test_the_prompt_says_when_it_was_sent_if_nobody_else_knows() -> None:
    bench = Bench(100)
    bench.binding = bench.binding.model_copy(update={"started_at": None})
    assert await bench.take_up(50, running=True) == 99


async def test_a_step_that_was_not_sent_yet_has_all_its_time() -> None:
    assert await Bench(100).left() == 600

"""Stopping for sure at any moment: delays before and after the prompt, lost aborts, children that begin late."""

import asyncio
from dataclasses import dataclass

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.adapters.opencode_client import ClientTiming, OpenCodeClient, new_message_id
from app.adapters.opencode_stop import StopTiming
from app.schemas.runtime import SessionBinding
from app.tests.fake_opencode import FakeOpenCode
from app.tests.fake_opencode_state import Delays

STOP = StopTiming(begin=0.8, pause=0.005, quiet=0.03, total=5)
"""Harder than the real proportions: a turn may begin as late as after nine tenths of `begin` here."""


@dataclass(frozen=True)
class Moment:
    """When the stop comes, and what OpenCode is slow at."""

    wait: float
    """From the sending of the prompt to the stop."""
    begin: float
    delays: Delays
    stranger: bool
    """A process that did not send the prompt stops it."""
    gives_up: bool
    """Whoever waits for the turn is cancelled before the stop."""


def up_to(seconds: float) -> st.SearchStrategy[float]:
    """Some of the time nothing at all."""
    return st.just(0.0) | st.floats(0, seconds)


MOMENTS = st.builds(
    Moment,
    wait=up_to(0.15),
    begin=up_to(0.65),
    delays=st.builds(
        Delays, accept=up_to(0.06), abort=up_to(0.02), lost=up_to(0.01), child=st.none() | up_to(0.1)
    ),
    stranger=st.booleans(),
    gives_up=st.booleans(),
)


class Bench:
    """One fake OpenCode for all examples, each with a session of its own."""

    def __init__(self) -> None:
        self.fake = FakeOpenCode(pace=1)
        self.client = OpenCodeClient(self.fake, timing=ClientTiming(stop=STOP, connect=0))

    async def stop_at(self, moment: Moment) -> None:
        """Send, wait, stop; afterwards nothing works and nothing is about to."""
        self.fake.begin_delay, self.fake.delays = moment.begin, moment.delays
        binding = SessionBinding(
            directory="/tmp", message_id=new_message_id(), title="t", pipeline_id=1, step_id=1, attempt=1
        )
        session = await self.client.create_session(binding)
        order = "[[slow:100:0.5]]"
        if moment.delays.child is not None:
            order = f'[[tool:task:{{"description":"d","prompt":"{order}","subagent_type":"general"}}]]'
        sending = asyncio.create_task(self.client.send_message(session, order, "build", "scripted/alpha"))
        await asyncio.sleep(moment.wait)
        if moment.gives_up:
            sending.cancel()
        stopper = OpenCodeClient(self.fake, timing=ClientTiming(stop=STOP)) if moment.stranger else self.client
        try:
            assert await stopper.stop_session(session, "/tmp"), "it takes some time, but it succeeds"
            self.nothing_will_begin(session)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            if stopper is not self.client:
                await stopper.aclose()

    def nothing_will_begin(self, session: str) -> None:
        """No prompt is on its way, waits for its begin, or works: neither here nor in a child."""
        family = [one for one in self.fake.sessions.values() if session in (one.id, one.info.get("parentID"))]
        assert [one.arriving for one in family] == [0] * len(family), "a prompt is on its way"
        assert [one.task for one in family] == [None] * len(family), "a turn works or is about to begin"
        assert [one.doing for one in family] == [None] * len(family)


def test_whatever_the_moment_nothing_begins_after_a_stop() -> None:
    with asyncio.Runner() as runner:
        bench = Bench()
        serving = bench.fake.serve()
        runner.run(serving.__aenter__())

        @example(moment=Moment(0.1, 0, Delays(child=0.2), stranger=False, gives_up=False))
        @example(moment=Moment(0, 0.65, Delays(accept=0.06), stranger=True, gives_up=True))
        @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
        @given(moment=MOMENTS)
        def stops(moment: Moment) -> None:
            runner.run(bench.stop_at(moment))

        try:
            stops()
        finally:
            runner.run(bench.client.aclose())
            runner.run(serving.__aexit__(None, None, None))

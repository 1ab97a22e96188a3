"""A restarted process joins a turn in which a sub-agent is at work already: it counts, is heard and may ask."""

import asyncio

import pytest

from app.adapters.opencode_client import ClientTiming, OpenCodeClient
from app.adapters.opencode_turn import TurnTiming
from app.errors import BudgetExceeded, Runaway, Stalled, StepFailure
from app.schemas.permissions import PermissionRule
from app.schemas.requests import RequestReply
from app.schemas.runtime import StepLimits
from app.tests.contract.faults import without_events
from app.tests.contract.runtimes import Case
from app.tests.contract.test_requests import Asking, Desk, rules
from app.tests.contract.test_turns import tool

RARELY = ClientTiming(turn=TurnTiming(poll=60))
"""So that what is noticed soon was heard as an event."""


def spending(name: str, last: int) -> str:
    """A sub-agent with five calls of 0.10 USD each: three at once, one four seconds later, one after `last` more."""
    pauses = "".join(tool("bash", command=f"sleep {seconds}", description="d") for seconds in (0, 0, 4, last))
    return f"[[usage:100000]] {pauses} [[say:{name} child]]"


async def left_alone(
    case: Case, inner: str, permissions: tuple[PermissionRule, ...] = (), calls: int = 1
) -> Asking:
    """A turn whose sub-agent has begun, and whose first watcher is gone as after a kill."""
    asking = Asking(case, Desk(), permissions)
    order = tool("task", description="sub", prompt=inner, subagent_type="general") + "[[say:parent done]]"
    turn = asyncio.create_task(asking.send(order))
    # The parent's call holds the words of its child too.
    await case.until_called(inner[-20:], times=1 + calls)
    turn.cancel()
    await asyncio.gather(turn, return_exceptions=True)
    await asking.client.aclose()
    return asking


def heir(case: Case, asking: Asking, limits: StepLimits, desk: Desk | None = None) -> OpenCodeClient:
    """The next process of ours, bound to the same session."""
    client = case.new_client(timing=RARELY, desk=desk)
    client.attach_session(asking.session, asking.binding.model_copy(update={"limits": limits}))
    return client


@pytest.mark.parametrize(
    ("limits", "failure"),
    [(StepLimits(budget_usd=0.35), BudgetExceeded), (StepLimits(model_calls=4), Runaway)],
)
async def test_what_a_sub_agent_spends_counts_before_and_after_the_join(
    case: Case, limits: StepLimits, failure: type[StepFailure]
) -> None:
    asking = await left_alone(case, spending(failure.__name__, 1), calls=3)
    client = heir(case, asking, limits)
    with pytest.raises(failure):
        await client.send_message(asking.session, "unused", "writer", "scripted/alpha")
    assert await client.stop_session(asking.session, asking.binding.directory)


async def test_a_sub_agent_that_says_nothing_is_stalled_after_the_join(case: Case) -> None:
    asking = await left_alone(case, "[[hang:600]] [[say:never from the child]]")
    client = heir(case, asking, StepLimits(silence=1.5))
    async with asyncio.timeout(10):
        with pytest.raises(Stalled):
            await client.send_message(asking.session, "unused", "writer", "scripted/alpha")
    assert await client.stop_session(asking.session, asking.binding.directory)


async def test_what_a_sub_agent_asks_after_the_join_is_heard_at_once(case: Case) -> None:
    outside = case.directory.parent / "outside.txt"
    outside.write_text("from outside")
    inner = tool("bash", command="sleep 5", description="d") + tool("read", filePath=str(outside))
    given = rules(("external_directory", "*", "ask"), ("task", "*", "allow"))
    asking = await left_alone(case, inner + "[[say:child read it]]", given)
    desk = Desk(RequestReply(reply="once"))
    client = heir(case, asking, StepLimits(), desk)
    async with asyncio.timeout(30):
        answer = await client.send_message(asking.session, "unused", "writer", "scripted/alpha")
    assert answer.text == "parent done"
    assert [(one.tool, one.sub_agent) for one in desk.asked] == [("external_directory", True)]


async def test_a_sub_agent_counts_although_no_events_come(case: Case) -> None:
    async with without_events(case.server.source) as blind:
        client = case.new_client(blind, ClientTiming(connect=0.3))
        session, binding = await case.session(StepLimits(budget_usd=0.25))
        client.attach_session(session, binding)
        order = tool("task", description="sub", prompt=spending("unheard", 4), subagent_type="general")
        with pytest.raises(BudgetExceeded):
            await client.send_message(session, order + "[[say:unheard parent]]", "writer", "scripted/alpha")
        assert await client.stop_session(session, binding.directory)
        await client.aclose()


async def test_a_sub_agent_that_began_before_the_events_came_back_is_watched_from_then_on(case: Case) -> None:
    back = asyncio.Event()
    async with without_events(case.server.source, until=back) as broken:
        client = case.new_client(broken, ClientTiming(turn=RARELY.turn, connect=0.3))
        session, binding = await case.session(StepLimits(silence=1.5))
        client.attach_session(session, binding)
        order = tool("task", description="sub", prompt="[[hang:3000]] in the gap", subagent_type="general")
        turn = asyncio.create_task(client.send_message(session, order, "writer", "scripted/alpha"))
        await case.until_called("in the gap", times=2)
        back.set()
        async with asyncio.timeout(20):
            with pytest.raises(Stalled):
                await turn
        assert await client.stop_session(session, binding.directory)
        await client.aclose()

"""Turns that would not end, or not in time: the limit that stops each of them, and what is known afterwards."""

import pytest

from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_client import ClientTiming
from app.adapters.opencode_http import OpencodeHttp
from app.errors import BudgetExceeded, RetriesExhausted, Runaway, Stalled, StepFailure, TimedOut
from app.schemas.runtime import StepLimits
from app.tests.contract.faults import without_events
from app.tests.contract.runtimes import Case
from app.tests.contract.test_turns import tool


async def nothing_works(case: Case, session: str, directory: str) -> None:
    """OpenCode itself names neither the session nor a child of it as being at work."""
    http = OpencodeHttp(case.server.source)
    api = OpencodeApi(http)
    assert not set(await api.family(session)) & set(await api.statuses(directory))
    await http.aclose()


async def stopped(case: Case, prompt: str, failure: type[StepFailure], limits: StepLimits) -> StepFailure:
    """Send, expect the limit, stop the session and see it idle."""
    session, binding = await case.session(limits)
    with pytest.raises(failure) as raised:
        await case.client.send_message(session, prompt, "writer", "scripted/alpha")
    assert await case.client.stop_session(session, binding.directory)
    await nothing_works(case, session, binding.directory)
    calls = len(case.calls(prompt[:40]))
    answer = await case.client.read_turn(session)
    assert answer.message_id == binding.message_id
    assert len(case.calls(prompt[:40])) == calls
    return raised.value


@pytest.mark.parametrize("order", ["[[cut]]", "[[garbage]]", "[[finish:tool_calls]]"])
async def test_answers_without_an_end_are_a_runaway(case: Case, order: str) -> None:
    failure = await stopped(case, f"{order} [[say:again {order[2:6]}]]", Runaway, StepLimits())
    assert "no proper end" in failure.detail


async def test_too_many_model_calls_are_a_runaway(case: Case) -> None:
    order = "".join(tool("bash", command=f"echo {number}", description="d") for number in range(9))
    failure = await stopped(case, order, Runaway, StepLimits(model_calls=4))
    assert "4 model calls" in failure.detail


async def test_an_open_model_call_without_a_word_is_stalled(case: Case) -> None:
    await stopped(case, "[[hang:600]]", Stalled, StepLimits(silence=1.5))


async def test_a_stream_that_falls_silent_is_stalled(case: Case) -> None:
    await stopped(case, "[[say:some words]] [[stall:600]]", Stalled, StepLimits(silence=1.5))


async def test_silence_means_nothing_while_no_events_come_at_all(case: Case) -> None:
    """An answer is stored when it is whole: until then a long one looks like none to whoever only asks."""
    async with without_events(case.server.source) as blind:
        client = case.new_client(blind, ClientTiming(connect=0.3))
        session, binding = await case.session(StepLimits(silence=1.5))
        client.attach_session(session, binding)
        order = f"[[slow:40:{0.1 / case.server.unit:g}]] unheard"
        answer = await client.send_message(session, order, "writer", "scripted/alpha")
        await client.aclose()
    assert (answer.finish, answer.text.count("tick")) == ("stop", 40)


async def test_a_quiet_tool_is_not_stalled(case: Case) -> None:
    answer = await case.send(
        tool("bash", command="sleep 6", description="d") + "[[say:quiet but fine]]", limits=StepLimits(silence=4)
    )
    assert answer.text == "quiet but fine"


async def test_a_sub_agent_that_falls_silent_is_stalled(case: Case) -> None:
    order = tool("task", description="sub", prompt="[[hang:600]]", subagent_type="general")
    await stopped(case, order, Stalled, StepLimits(silence=1.5))


async def test_the_wall_clock_ends_a_step(case: Case) -> None:
    order = tool("bash", command="sleep 60", description="d")
    await stopped(case, order, TimedOut, StepLimits(wall_clock=2))


async def test_a_retry_announced_for_tomorrow_ends_the_step_now_with_the_providers_words(case: Case) -> None:
    failure = await stopped(case, "[[http:429::86400000]]", RetriesExhausted, StepLimits())
    assert "scripted refusal 429" in failure.detail


async def test_retries_may_take_only_so_long_in_all(case: Case) -> None:
    failure = await stopped(case, "[[http:500]]", RetriesExhausted, StepLimits(retry_total=5 * case.server.unit))
    assert "scripted refusal 500" in failure.detail


async def test_the_budget_is_looked_at_after_every_model_message(case: Case) -> None:
    order = "[[usage:100000:21]]" + "".join(tool("bash", command="sleep 1", description="d") for _ in range(5))
    await stopped(case, order, BudgetExceeded, StepLimits(budget_usd=0.15))
    assert 2 <= len(case.calls("[[usage:100000:21]]")) <= 4

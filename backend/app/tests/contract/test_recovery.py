"""After a death on either side: answers are adopted, turns joined, lost work is done again under the same id."""

import asyncio
import os
import signal
import time
from contextlib import suppress

import pytest

from app.adapters.opencode_client import ClientTiming
from app.adapters.opencode_pulse import PulseTiming
from app.errors import OpencodeUnavailable, TimedOut
from app.schemas.runtime import StepLimits
from app.tests.contract.faults import without_events
from app.tests.contract.real_opencode import RealOpenCode
from app.tests.contract.runtimes import Case, real_case
from app.tests.contract.test_turns import tool
from app.tests.factories import eventually


async def test_an_answer_that_came_while_we_were_away_is_adopted(case: Case) -> None:
    session, binding = await case.session()
    waiting = asyncio.create_task(case.client.send_message(session, "[[slow:4:0.5]]", "writer", "scripted/alpha"))
    await case.until_called("[[slow:4:0.5]]")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(4 * case.server.unit + 1)
    heir = case.new_client()
    heir.attach_session(session, binding)
    answer = await heir.send_message(session, "[[slow:4:0.5]]", "writer", "scripted/alpha")
    assert (answer.adopted, answer.finish) == (True, "stop")
    assert answer.text.startswith("tick000")
    assert case.calls("[[slow:4:0.5]]") == ["alpha"]


async def test_a_running_turn_is_joined(case: Case) -> None:
    session, binding = await case.session()
    order = f"[[slow:50:{0.08 / case.server.unit:g}]]"
    waiting = asyncio.create_task(case.client.send_message(session, order, "writer", "scripted/alpha"))
    await case.until_shown(1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    heir = case.new_client()
    heir.attach_session(session, binding)
    answer = await heir.send_message(session, order, "writer", "scripted/alpha")
    assert (answer.adopted, answer.finish) == (False, "stop")
    assert answer.text == "".join(f"tick{number:03d} " for number in range(50))
    assert case.calls(order) == ["alpha"]


async def test_the_wall_clock_of_a_joined_turn_began_with_its_prompt(case: Case) -> None:
    session, binding = await case.session()
    order = tool("bash", command="sleep 30", description="d")
    waiting = asyncio.create_task(case.client.send_message(session, order, "writer", "scripted/alpha"))
    await case.until_called("sleep 30")
    await asyncio.sleep(2)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    heir = case.new_client()
    heir.attach_session(session, binding.model_copy(update={"limits": StepLimits(wall_clock=1)}))
    began = time.monotonic()
    with pytest.raises(TimedOut):
        await heir.send_message(session, order, "writer", "scripted/alpha")
    assert time.monotonic() - began < 2
    assert await heir.stop_session(session, binding.directory)


async def test_an_aborted_turn_is_run_again_under_the_same_id(case: Case) -> None:
    session, binding = await case.session()
    prompt = "[[http:400:1]] [[say:second time]]"
    first = await case.client.send_message(session, prompt, "writer", "scripted/alpha")
    assert first.error is not None
    case.server.take_its_time()
    second = await case.client.send_message(session, prompt, "writer", "scripted/alpha")
    assert (second.text, second.error, second.message_id) == ("second time", None, binding.message_id)
    prompts = [message for message in second.transcript if message.role == "user"]
    assert [message.text for message in prompts] == [prompt]


async def test_kill_of_opencode_in_mid_turn_is_noticed_and_the_turn_is_done_again(case: Case) -> None:
    session, binding = await case.session()
    order = tool("bash", command="echo x >> times; sleep 3", description="d") + "[[say:done after all]]"
    waiting = asyncio.create_task(case.client.send_message(session, order, "writer", "scripted/alpha"))
    async with asyncio.timeout(30):
        while not (case.directory / "times").exists():
            await asyncio.sleep(0.05)
    await case.server.kill()
    began = time.monotonic()
    with pytest.raises(OpencodeUnavailable):
        await waiting
    assert time.monotonic() - began < 10
    await case.server.come_back()
    answer = await case.client.send_message(session, order, "writer", "scripted/alpha")
    assert (answer.text, answer.finish, answer.message_id) == ("done after all", "stop", binding.message_id)
    assert len(case.calls("echo x >> times")) == 2
    assert (case.directory / "times").read_text() == "x\n"


async def test_a_turn_without_events_still_ends(case: Case) -> None:
    """Events are a convenience: with none arriving, polling finds the end, the text and the open requests."""
    async with without_events(case.server.source) as blind:
        client = case.new_client(blind, ClientTiming(connect=0.3))
        session, binding = await case.session()
        client.attach_session(session, binding)
        order = tool("bash", command="touch asked", description="d") + "[[say:found by polling]]"
        answer = await client.send_message(session, order, "asker", "scripted/alpha")
    assert answer.text == "found by polling"
    assert answer.denied_requests == ("bash: touch asked",)


@pytest.mark.contract
async def test_an_opencode_that_hangs_in_mid_turn_is_replaced_and_the_turn_is_done_again(
    real_opencode: RealOpenCode,
) -> None:
    quick = PulseTiming(every=0.2, patience=2, strikes=3)
    async with real_case(real_opencode, quick) as case:
        session, _ = await case.session()
        order = "[[slow:20:0.1]] said by the successor"
        waiting = asyncio.create_task(case.client.send_message(session, order, "writer", "scripted/alpha"))
        await case.until_called(order)
        hung = real_opencode.record()
        os.kill(hung.pid, signal.SIGSTOP)
        with pytest.raises(OpencodeUnavailable):
            await waiting

        # The prompt may find out before the pulse does.
        async def replaced() -> bool:
            with suppress(RuntimeError):
                return real_opencode.record().pid != hung.pid
            return False

        await eventually(replaced, 60)
        assert not hung.identity.alive(), "never two of them on one folder"
        await case.server.come_back()
        answer = await case.client.send_message(session, order, "writer", "scripted/alpha")
        assert (answer.finish, answer.resent) == ("stop", True)
        assert len(case.calls(order)) == 2

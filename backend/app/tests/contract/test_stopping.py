"""Stopping for sure: whatever the moment, nothing runs afterwards."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_http import OpencodeHttp
from app.errors import OpencodeRefusal
from app.tests.contract.runtimes import Case
from app.tests.contract.test_turns import tool


async def nothing_follows(case: Case, text: str) -> None:
    """No model call comes after a stop."""
    calls = len(case.calls(text))
    await asyncio.sleep(1.5)
    assert len(case.calls(text)) == calls


async def prompt_only(case: Case, text: str, directory: Path | None = None) -> tuple[str, str]:
    """Hand a prompt to OpenCode as `send_message` does and do not wait for anything."""
    session, binding = await case.session(directory=directory)
    http = OpencodeHttp(case.server.source)
    await OpencodeApi(http).prompt(session, binding.message_id, [text], "writer", "scripted/alpha")
    await http.aclose()
    return session, binding.directory


async def test_in_the_middle_of_a_stream(case: Case) -> None:
    session, binding = await case.session()
    waiting = asyncio.create_task(case.client.send_message(session, "[[slow:600:0.5]]", "writer", "scripted/alpha"))
    await case.until_shown(3)
    assert await case.client.stop_session(session, binding.directory)
    answer = await waiting
    assert answer.error is not None
    assert answer.error.name == "MessageAbortedError"
    assert answer.text.startswith("tick000")
    await nothing_follows(case, "[[slow:600:0.5]]")


@pytest.mark.parametrize("delay", [0, 0.03])
async def test_right_after_the_prompt_in_a_cold_directory(case: Case, delay: float, tmp_path: Path) -> None:
    case.server.take_its_time()
    session, directory = await prompt_only(case, f"[[slow:600:0.5]] cold {delay}", tmp_path)
    await asyncio.sleep(delay)
    stopper = case.new_client()
    assert await stopper.stop_session(session, directory)
    await nothing_follows(case, f"cold {delay}")


@pytest.mark.parametrize("delay", [0, 0.02])
async def test_right_after_the_prompt_in_a_warm_directory(case: Case, delay: float) -> None:
    await case.send("[[say:warm now]]")
    session, directory = await prompt_only(case, f"[[slow:600:0.5]] warm {delay}")
    await asyncio.sleep(delay)
    assert await case.new_client().stop_session(session, directory)
    await nothing_follows(case, f"warm {delay}")


async def test_a_tool_and_its_processes_end(case: Case) -> None:
    session, binding = await case.session()
    order = tool("bash", command="touch begun; sleep 4 && touch survived", description="d")
    waiting = asyncio.create_task(case.client.send_message(session, order, "writer", "scripted/alpha"))
    async with asyncio.timeout(30):
        while not (case.directory / "begun").exists():
            await asyncio.sleep(0.05)
    assert await case.client.stop_session(session, binding.directory)
    await waiting
    await asyncio.sleep(4.5)
    assert not (case.directory / "survived").exists()


async def test_a_child_session_ends_with_its_parent(case: Case) -> None:
    session, binding = await case.session()
    order = tool("task", description="sub", prompt="[[slow:600:0.5]] child's work", subagent_type="general")
    waiting = asyncio.create_task(case.client.send_message(session, order, "writer", "scripted/alpha"))
    async with asyncio.timeout(30):
        while sum("child's work" in call.prompt for call in case.server.provider.log) < 2:
            await asyncio.sleep(0.02)
    assert await case.client.stop_session(session, binding.directory)
    await waiting
    await nothing_follows(case, "child's work")


async def test_an_idle_session_is_found_idle_quickly(case: Case) -> None:
    session, binding = await case.session()
    await case.client.send_message(session, "[[say:done]]", "writer", "scripted/alpha")
    began = time.monotonic()
    assert await case.new_client().stop_session(session, binding.directory)
    assert time.monotonic() - began < 5


async def test_a_session_without_a_prompt_and_an_unknown_one_are_idle(case: Case) -> None:
    session, binding = await case.session()
    began = time.monotonic()
    assert await case.client.stop_session(session, binding.directory)
    assert await case.client.stop_session("ses_00000000000000000000000000", binding.directory)
    assert time.monotonic() - began < 5


async def delete(case: Case, session: str) -> None:
    """As a person does in OpenCode's own interface."""
    at = case.server.source.endpoint()
    async with httpx.AsyncClient(headers=at.headers()) as http:
        assert (await http.delete(f"{at.url}/session/{session}")).is_success


async def test_a_deleted_session_that_works_on_is_stopped_and_its_turn_is_refused(case: Case) -> None:
    session, directory = await prompt_only(case, "[[slow:600:0.5]] deleted")
    await case.until_called("deleted")
    await delete(case, session)
    api = OpencodeApi(OpencodeHttp(case.server.source))
    assert session in await api.statuses(directory), "it works on, and so it is not idle"
    assert await case.client.stop_session(session, directory)
    assert session not in await api.statuses(directory)
    await nothing_follows(case, "deleted")
    await api.http.aclose()
    with pytest.raises(OpencodeRefusal, match="not found"):
        await case.client.read_turn(session)


async def test_no_request_is_left_open(case: Case) -> None:
    session, directory = await prompt_only(case, "first")
    await case.client.stop_session(session, directory)
    http = OpencodeHttp(case.server.source)
    api = OpencodeApi(http)
    session, binding = await case.session()
    order = tool("bash", command="echo hi", description="d")
    await api.prompt(session, binding.message_id, [order], "asker", "scripted/alpha")
    async with asyncio.timeout(30):
        while not await api.requests(directory):
            await asyncio.sleep(0.05)
    assert await case.client.stop_session(session, directory)
    assert await api.requests(directory) == []
    await http.aclose()

"""Ending tasks of ours: what died does not stop the clean-up, and who cleans up can be cancelled."""

import asyncio

import pytest

from app.adapters.opencode_client import OpenCodeClient
from app.adapters.opencode_http import Endpoint, FixedEndpoint
from app.adapters.task_end import cancel


async def _die() -> None:
    raise RuntimeError("broken")


async def test_a_task_that_died_is_logged_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    dead = asyncio.create_task(_die())
    await asyncio.wait([dead])
    await cancel(dead, None)
    assert "broken" in caplog.text


async def test_who_waits_for_the_end_of_a_task_can_be_cancelled() -> None:
    ending = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ending.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(slow())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(cancel(task))
    await ending.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    await cancel(task)


async def test_a_reader_goes_on_after_an_error_that_nobody_thought_of(monkeypatch: pytest.MonkeyPatch) -> None:
    client = OpenCodeClient(FixedEndpoint(Endpoint("http://127.0.0.1:1")))
    tries, again = list[int](), asyncio.Event()

    async def broken() -> None:
        tries.append(1)
        if len(tries) > 1:
            again.set()
        raise RecursionError("deep")

    monkeypatch.setattr(client._events, "_read_once", broken)
    await client._events.open(0.01)
    async with asyncio.timeout(5):
        await again.wait()
    await client.aclose()

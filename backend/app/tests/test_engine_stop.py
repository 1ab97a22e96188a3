"""The end of the durable queue when something is stuck, and work that is cancelled by nobody."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from app.adapters.database import Database
from app.schemas.work import Segment
from app.tests.factories import eventually
from app.tests.test_dbos_engine import FIRST, SECOND, Handler, asleep, enqueue, started


def stuck_until(released: asyncio.Event) -> Callable[[Segment], Awaitable[str]]:
    """Work that is cancelled and then still takes its time, as a transaction on a locked database does."""

    async def work(_segment: Segment) -> str:
        try:
            await asyncio.sleep(3600)
        finally:
            await released.wait()
        return "never"

    return work


async def begun(handler: Handler) -> bool:
    """A segment is at work."""
    return bool(handler.begun)


async def test_stuck_work_is_left_behind_within_seconds_and_taken_up_by_the_next_start(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    released = asyncio.Event()
    handler = Handler(stuck_until(released))
    async with started(database, handler) as engine:
        await enqueue(database, engine, FIRST)
        await eventually(lambda: begun(handler))
        began = time.monotonic()
        await engine.stop()
        assert time.monotonic() - began < 5
    assert [record.levelname for record in caplog.records if "left behind" in record.message] == ["ERROR"]
    released.set()
    heir = Handler()
    async with started(database, heir) as engine:
        await eventually(lambda: heir.has_done(FIRST))
        await eventually(asleep(engine))


async def test_threads_are_there_for_everybody_while_the_engine_stops(database: Database) -> None:
    async def probe() -> None:
        while True:
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
            await asyncio.sleep(0.005)

    handler = Handler(lambda _segment: asyncio.sleep(3600, "never"))
    # DBOS ends as late as its slowest thread wakes up.
    async with started(database, handler, poll_seconds=0.25) as engine:
        await enqueue(database, engine, FIRST)
        await eventually(lambda: begun(handler))
        probing = asyncio.create_task(probe())
        await asyncio.sleep(0)
        await engine.stop()
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing


async def test_work_that_nobody_cancelled_leaves_the_queue_and_can_be_recovered(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def stray(segment: Segment) -> str:
        if segment == FIRST:
            raise asyncio.CancelledError
        return "done"

    handler = Handler(stray)
    async with started(database, handler) as engine:
        await enqueue(database, engine, FIRST, SECOND)
        await eventually(lambda: handler.has_done(SECOND))
        await eventually(asleep(engine))
    assert "cancelled by nobody" in caplog.text

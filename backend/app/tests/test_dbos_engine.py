"""The durable queue for real: DBOS on SQLite and on PostgreSQL."""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.adapters.database import Database
from app.adapters.dbos_engine import DbosEngine
from app.adapters.work_places import WorkPlaces
from app.models import Directory
from app.schemas.work import Release, Segment
from app.tests.factories import eventually

FIRST = Segment(7, 1, 1, 0)
SECOND = Segment(8, 1, 1, 0)


class Handler:
    """Notes what it is told to do; `during` is what a segment then does."""

    def __init__(self, during: Callable[[Segment], Awaitable[str]] | None = None) -> None:
        self.begun: list[Segment] = []
        self.done: list[Segment | Release] = []
        self._during = during

    async def run_segment(self, segment: Segment) -> str:
        self.begun.append(segment)
        word = await self._during(segment) if self._during else "done"
        self.done.append(segment)
        return word

    async def run_release(self, release: Release) -> str:
        self.done.append(release)
        return "freed"

    async def has_done(self, *work: Segment | Release) -> bool:
        return all(item in self.done for item in work)


@asynccontextmanager
async def started(
    database: Database, handler: Handler, max_active_steps: int = 10, poll_seconds: float = 0.02
) -> AsyncIterator[DbosEngine]:
    """An engine at work, stopped at the end."""
    engine = DbosEngine(database, "tester", WorkPlaces(max_active_steps), poll_seconds)
    await engine.start(handler)
    try:
        yield engine
    finally:
        await engine.stop()


async def enqueue(database: Database, engine: DbosEngine, *work: Segment | Release, delay: float | None = None) -> None:
    """In one transaction."""
    pause = None if delay is None else timedelta(seconds=delay)
    async with database.sessions.begin() as db:
        for item in work:
            if isinstance(item, Segment):
                await db.run_sync(engine.enqueue_segment, item, pause)
            else:
                await db.run_sync(engine.enqueue_release, item, pause)


def asleep(engine: DbosEngine) -> Callable[[], Awaitable[bool]]:
    """Nothing is live any more, so every outcome is written."""

    async def condition() -> bool:
        return not await engine.live_workflows()

    return condition


async def test_rows_and_work_come_and_go_together(database: Database) -> None:
    handler = Handler()
    async with started(database, handler) as engine:
        async with database.sessions() as db:
            db.add(Directory(real_path="/lost", last_queue_number=0))
            await db.flush()
            await db.run_sync(engine.enqueue_segment, FIRST)
            await db.rollback()
        assert await engine.live_workflows() == set()
        async with database.sessions.begin() as db:
            db.add(Directory(real_path="/kept", last_queue_number=0))
            await db.run_sync(engine.enqueue_segment, SECOND)
        await eventually(lambda: handler.has_done(SECOND))
        await eventually(asleep(engine))
    async with database.reads() as db:
        assert (await db.scalars(select(Directory.real_path))).all() == ["/kept"]
    assert handler.done == [SECOND]


async def test_work_runs_once_and_a_known_id_is_absorbed(database: Database) -> None:
    handler = Handler()
    async with started(database, handler) as engine:
        await enqueue(database, engine, FIRST, FIRST, Release(7, 1))
        await eventually(lambda: handler.has_done(FIRST, Release(7, 1)))
        await enqueue(database, engine, FIRST, Segment(7, 1, 2, 0))
        await eventually(lambda: handler.has_done(Segment(7, 1, 2, 0)))
        await eventually(asleep(engine))
    assert sorted(map(str, handler.done)) == sorted(map(str, [FIRST, Release(7, 1), Segment(7, 1, 2, 0)]))


async def test_segments_at_once_are_limited_and_releases_pass_them(database: Database) -> None:
    gate = asyncio.Event()

    async def wait(_segment: Segment) -> str:
        await gate.wait()
        return "done"

    handler = Handler(wait)
    # Left over from a time of a higher limit, so they are found before the queue knows the new one.
    async with started(database, handler, max_active_steps=20, poll_seconds=0.001) as engine:
        pass
    await enqueue(database, engine, *(Segment(n, 1, 1, 0) for n in range(4)), Release(9, 1))
    async with started(database, handler, max_active_steps=2) as engine:
        await eventually(lambda: handler.has_done(Release(9, 1)))
        await asyncio.sleep(0.3)
        assert len(handler.begun) == 2
        gate.set()
        await eventually(asleep(engine))
    assert len(handler.done) == 5


async def test_delayed_work_is_live_and_waits(database: Database) -> None:
    handler = Handler()
    async with started(database, handler) as engine:
        await enqueue(database, engine, Release(7, 1), delay=0.5)
        assert await engine.live_workflows() == {Release(7, 1).workflow_id}
        await asyncio.sleep(0.2)
        assert handler.done == []
        await eventually(lambda: handler.has_done(Release(7, 1)))
        await eventually(asleep(engine))


async def test_a_delayed_segment_takes_no_place_and_can_be_taken_away(database: Database) -> None:
    handler = Handler()
    async with started(database, handler, max_active_steps=1) as engine:
        await enqueue(database, engine, FIRST, delay=3600)
        await enqueue(database, engine, SECOND)
        await eventually(lambda: handler.has_done(SECOND))
        assert FIRST.workflow_id in await engine.live_workflows()
        await engine.cancel(FIRST.workflow_id)
        await eventually(asleep(engine))
    assert handler.done == [SECOND]


async def test_stop_leaves_work_pending_and_a_start_resumes_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []
    hang = asyncio.Event()

    async def two_steps(_segment: Segment) -> str:
        async def first() -> str:
            ran.append("first")
            return "one"

        async def second() -> str:
            ran.append("second")
            await hang.wait()
            return "two"

        return await engine.checkpoint("first", first) + await engine.checkpoint("second", second)

    handler = Handler(two_steps)
    async with started(database, handler) as engine:
        await enqueue(database, engine, FIRST)
        await eventually(lambda: _true(ran == ["first", "second"]))
    assert await engine.live_workflows() == {FIRST.workflow_id}
    # DBOS leaves a dead default executor behind; getaddrinfo and to_thread need a living one.
    assert await asyncio.to_thread(lambda: "alive") == "alive"
    assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    assert handler.done == []

    hang.set()
    async with started(database, handler) as engine:
        await eventually(lambda: handler.has_done(FIRST))
        await eventually(asleep(engine))
    assert ran == ["first", "second", "second"]
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.chaos
async def test_killed_work_is_recovered_and_recorded_steps_are_not_repeated(database_url: str) -> None:
    async with worker_process(database_url, "crash") as dying:
        assert [await said(dying), await said(dying)] == ["first", "second"]
    async with worker_process(database_url, "resume") as heir:
        assert [await said(heir) for _ in range(3)] == ["second", "walked 0 one two", "ended"]
        assert await heir.wait() == 0


@asynccontextmanager
async def worker_process(url: str, mode: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Killed for good at the end of the block, if it still lives."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.tests.crashing_worker", url, mode, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def test_the_same_engine_can_start_again_but_not_twice(database: Database) -> None:
    handler = Handler()
    async with started(database, handler) as engine:
        with pytest.raises(RuntimeError, match="another engine"):
            await DbosEngine(database, "other").start(handler)
        await engine.stop()
        await engine.start(handler)
        await enqueue(database, engine, FIRST)
        await eventually(lambda: handler.has_done(FIRST))
        await eventually(asleep(engine))
        await engine.stop()


async def test_cancel_takes_waiting_and_hung_work_away(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler(lambda _segment: engine.checkpoint("hang", lambda: asyncio.sleep(3600, "never")))
    async with started(database, handler, max_active_steps=1) as engine:
        await enqueue(database, engine, FIRST, SECOND)
        await eventually(lambda: _true(len(handler.begun) == 1))
        await engine.cancel(SECOND.workflow_id)
        assert await engine.live_workflows() == {FIRST.workflow_id}
        await engine.cancel(FIRST.workflow_id)
        await eventually(lambda: _true(not engine._tasks))
        assert await engine.live_workflows() == set()
    assert handler.done == []
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_asking_inside_work_is_not_recorded(database: Database) -> None:
    """A recovered release must see what is true now, not what was recorded before the crash."""
    seen: list[set[str]] = []
    hang = asyncio.Event()

    async def ask(_segment: Segment) -> str:
        seen.append(await engine.live_workflows())
        await engine.checkpoint("wait", hang.wait)  # type: ignore[arg-type]
        return "done"

    handler = Handler(ask)
    async with started(database, handler) as engine:
        await enqueue(database, engine, Release(9, 1), delay=3600)
        await enqueue(database, engine, FIRST)
        await eventually(lambda: _true(len(seen) == 1))
        await engine.cancel(Release(9, 1).workflow_id)
    hang.set()
    async with started(database, handler) as engine:
        await eventually(lambda: handler.has_done(FIRST))
        await eventually(asleep(engine))
    assert seen == [{FIRST.workflow_id, Release(9, 1).workflow_id}, {FIRST.workflow_id}]


async def test_many_at_once_lock_nobody_out(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    async def write(segment: Segment) -> str:
        async def step() -> str:
            async with database.sessions.begin() as db:
                db.add(Directory(real_path=f"/{segment.pipeline_id}", last_queue_number=0))
            return "done"

        return await engine.checkpoint("write", step)

    handler = Handler(write)
    async with started(database, handler, max_active_steps=20) as engine:
        await asyncio.gather(*(enqueue(database, engine, Segment(n, 1, 1, 0)) for n in range(30)))
        await eventually(lambda: _true(len(handler.done) == 30), seconds=60)
        await eventually(asleep(engine))
    async with database.reads() as db:
        assert await db.scalar(select(func.count()).select_from(Directory)) == 30
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


async def _true(value: bool) -> bool:
    return value

"""The limit of steps at work, and a pause across kills, on a real server process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.adapters.database import Database
from app.adapters.dbos_engine import DbosEngine
from app.adapters.work_places import WorkPlaces
from app.schemas.work import Release, Segment
from app.tests.factories import eventually, make_pipeline
from app.tests.fake_opencode import FakeOpenCode
from app.tests.live_server import SETUP, LiveServer, attached_server

BASH = '[[tool:bash:{"command":"echo once >> made.txt","description":"d"}]] [[say:Made it.]]'


@pytest.fixture
async def server(tmp_path: Path, database_url: str) -> AsyncIterator[LiveServer]:
    """A server with one place on a fake OpenCode, and two more projects."""
    async with FakeOpenCode(SETUP, pace=1).serve() as opencode, attached_server(tmp_path, database_url, opencode) as it:
        for name in ("second", "third"):
            (tmp_path / name).mkdir()
        await it.start(PACELINE_MAX_ACTIVE_STEPS="1")
        yield it


async def queue(server: LiveServer, word: str = "") -> dict[str, Any]:
    """GET /queue, or POST to it."""
    answer = await (server.http.post(f"/queue/{word}") if word else server.http.get("/queue"))
    found: dict[str, Any] = answer.json()
    return found


async def test_who_asks_a_person_holds_up_nobody_and_a_pause_outlives_a_kill(server: LiveServer) -> None:
    asking = await server.create(BASH, "careful")
    await server.finished(asking, "waiting_for_input")
    long = await server.create("[[slow:600:0.05]]", "two", working_dir=str(server.folder / "second"))

    async def at_work() -> bool:
        return bool((await queue(server))["active_steps"] == 1 and (await server.run(long))["status"] == "running")

    await server.until(at_work, 30)
    short = await server.create("[[say:Short.]]", working_dir=str(server.folder / "third"))
    now = await queue(server)
    assert (now["active_steps"], now["asking_steps"], now["max_active_steps"]) == (1, 1, 1)
    assert [(one["pipeline_id"], one["why"], one["position"]) for one in now["waiting"]["items"]] == [
        (short, "limit", 1)
    ]
    held = await server.run(short)
    assert (held["waiting_for"], held["waiting_reason"]) == (
        "limit", "All 1 places are taken; the run goes on when a step ends or asks a person."
    )  # fmt: skip
    await queue(server, "pause")
    assert (await server.http.post(f"/pipelines/{long}/abort")).status_code == 200
    request = (await server.run(asking))["requests"][0]["id"]

    async def parked() -> bool:
        return "pipeline.parked" in await server.events(short)

    await server.until(parked, 30)
    server.kill()
    await server.start(PACELINE_MAX_ACTIVE_STEPS="1")
    kept = await queue(server)
    assert (kept["paused"], kept["drained"], kept["asking_steps"]) == (True, False, 1)
    answer = await server.http.post(f"/pipelines/{asking}/requests/{request}/answer", json={"reply": "once"})
    assert answer.status_code == 200
    await server.finished(asking, "done")
    assert (await queue(server))["drained"] is True
    assert (await server.run(short))["status"] == "pending"
    await queue(server, "resume")
    assert (await server.finished(short))["status"] == "done"
    assert (server.project / "made.txt").read_text() == "once\n"


async def soon(condition: Callable[[], bool]) -> None:
    """Wait until something in this process is true."""

    async def holds() -> bool:
        return condition()

    await eventually(holds)


class Asking:
    """The first run asks a person; the others wait until they are let go."""

    def __init__(self, places: WorkPlaces, first: int) -> None:
        self.began: list[int] = []
        self.answered, self.finished = asyncio.Event(), asyncio.Event()
        self._places, self._first = places, first

    def has_begun(self, wanted: int) -> bool:
        """Whether so many have."""
        return len(self.began) == wanted

    async def run_segment(self, segment: Segment) -> str:
        """Until it is let go."""
        self.began.append(segment.pipeline_id)
        if segment.pipeline_id == self._first:
            with self._places.away(segment.pipeline_id):
                await self.answered.wait()
        await self.finished.wait()
        return "done"

    async def run_release(self, release: Release) -> str:
        """Never called."""
        raise NotImplementedError(release)


async def test_a_lent_place_is_taken_back_before_anything_else_begins(database: Database) -> None:
    places = WorkPlaces(1)
    async with database.sessions.begin() as db:
        run = await make_pipeline(db, status="waiting_for_input")
    asking = Asking(places, run.id)
    engine = DbosEngine(database, "tester", places, 0.02)
    await engine.start(asking)
    try:
        for number, wanted in enumerate((1, 2, 2)):
            # One after the other: what is enqueued within a millisecond has no order.
            async with database.sessions.begin() as db:
                await db.run_sync(engine.enqueue_segment, Segment(run.id + number, 1, 1, 0))
            await soon(partial(asking.has_begun, wanted))
        assert await engine.segments_in_line() == [run.id + 2]
        asking.answered.set()
        await soon(lambda: places.at_work == 2)
        assert len(asking.began) == 2, "nothing new begins while more are at work than there are places"
        asking.finished.set()
        await soon(lambda: len(asking.began) == 3)
    finally:
        await engine.stop()


async def test_places_are_given_in_order_and_counted_once_for_a_run() -> None:
    places = WorkPlaces(1)
    order: list[int] = []
    let_go = asyncio.Event()

    async def work(run: int) -> None:
        async with places.hold(run):
            order.append(run)
            await let_go.wait()

    tasks = [asyncio.create_task(work(run)) for run in (1, 2, 3)]
    await asyncio.sleep(0)
    assert (order, places.at_work) == ([1], 1)
    with places.away(1), places.away(1):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (order, places.at_work) == ([1, 2], 1)
    assert places.at_work == 2
    tasks[2].cancel()
    let_go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (order, places.at_work) == ([1, 2], 0)

"""Another process keeps the database locked for seven seconds, while a run works and another one is created."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.tests.fake_opencode import FakeOpenCode
from app.tests.live_server import SETUP, LiveServer, attached_server

SECONDS = 7.0


@pytest.fixture
async def server(tmp_path: Path, sqlite_url: str) -> AsyncIterator[LiveServer]:
    """A real server process, on the fake OpenCode."""
    fake = FakeOpenCode(SETUP)
    async with fake.serve(), attached_server(tmp_path, sqlite_url, fake) as running:
        await running.start()
        yield running


@contextmanager
def locked(file: str) -> Iterator[None]:
    """No one else can write meanwhile."""
    connection = sqlite3.connect(file, isolation_level=None, timeout=10)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def test_a_run_and_a_creation_wait_and_go_on(server: LiveServer, sqlite_url: str) -> None:
    other = server.folder / "other"
    other.mkdir()
    first = await server.create("[[slow:20:0.1]] [[say:Answered behind the lock.]]", "two")
    await server.called(1)
    with locked(sqlite_url.removeprefix("sqlite+aiosqlite:///")):
        began = time.monotonic()
        creation = asyncio.create_task(server.create("[[say:Created behind the lock.]]", working_dir=str(other)))
        while time.monotonic() - began < SECONDS:
            assert (await server.http.get("/health")).status_code == 200, "readers do not wait"
            assert (await server.run(first))["status"] == "running"
            await asyncio.sleep(0.2)
        assert not creation.done(), "it waits for the lock"
    second = await creation
    for run_id in (first, second):
        done = await server.finished(run_id)
        assert done["status"] == "done", done["error_message"]
        assert {step["attempts"] for step in done["steps"]} == {1}
        types = await server.events(run_id)
        assert "pipeline.recovered" not in types
        assert len([name for name in types if name == "step.done"]) == len(done["steps"])
    assert sorted(server.provider.models_called()) == ["alpha", "alpha", "beta"], "no model was asked twice"
    assert "behind the lock" in (await server.run(first))["steps"][0]["latest_handoff"]["text"]
    assert "Traceback" not in (server.folder / "server.log").read_text()

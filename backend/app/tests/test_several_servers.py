"""Several real servers on one PostgreSQL database and one OpenCode: they share the work, and inherit it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from app.adapters.database import Database
from app.cli.doctor_command import _server
from app.models import Attempt, Step
from app.settings import Settings
from app.tests.chaos.invariants import violations
from app.tests.chaos.nursery import Nursery
from app.tests.factories import eventually
from app.tests.fake_opencode import FakeOpenCode
from app.tests.live_server import SETUP, TOKEN, LiveServer, ServerDied, attached_server

pytestmark = pytest.mark.chaos

LEASE = 2
"""Seconds, instead of 30."""


class Several:
    """Servers that share everything but their data directories."""

    def __init__(self, folder: Path, url: str, opencode: FakeOpenCode, stack: AsyncExitStack, nursery: Nursery) -> None:
        self.opencode = opencode
        self.database = Database(url)
        self.servers: dict[str, LiveServer] = {}
        self._folder, self._url, self._stack, self._nursery = folder, url, stack, nursery

    async def server(self, name: str) -> LiveServer:
        """One more, not started yet."""
        folder = self._folder / name
        folder.mkdir()
        server = await self._stack.enter_async_context(
            attached_server(folder, self._url, self.opencode, self._nursery.start)
        )
        self.servers[name] = server
        return server

    async def start(self, name: str, **extra: str) -> LiveServer:
        """Start one (again) with a short lease, under its name."""
        server = self.servers.get(name) or await self.server(name)
        shared = {
            "PACELINE_FS_ROOTS": str(self._folder),
            "PACELINE_WORKER_ID": name,
            "PACELINE_WORKER_LEASE_SECONDS": str(LEASE),
        }
        await server.start(**shared | extra)
        return server

    async def started(self, *names: str) -> list[LiveServer]:
        """Some at once."""
        return list(await asyncio.gather(*[self.start(name) for name in names]))

    def project(self, name: str) -> str:
        """A new directory that all of them reach."""
        made = self._folder / name
        made.mkdir()
        return str(made)

    async def worker_of(self, run_id: int) -> str:
        """Name of the server that has begun the run's newest attempt."""
        query = select(Attempt.worker).join(Step, Step.id == Attempt.step_id).where(Step.pipeline_id == run_id)
        async with self.database.reads() as db:
            return (await db.scalars(query.order_by(Attempt.id.desc()).limit(1))).one()

    async def are(self, server: LiveServer, *states: str) -> None:
        """Wait until the servers are in these states, as one of them tells."""

        async def there() -> bool:
            items = (await server.http.get("/health/workers")).json()["items"]
            return sorted(item["state"] for item in items) == sorted(states)

        await server.until(there, 20)

    async def frozen(self, server: LiveServer) -> None:
        """Wait until the server has reached its stop point."""

        async def stands_still() -> bool:
            return server.is_frozen()

        await eventually(stands_still, 20)

    def busy(self) -> list[str]:
        """Sessions in which OpenCode works."""
        return [session.id for session in self.opencode.sessions.values() if session.doing]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Where the servers of these tests come from."""
    with Nursery() as started:
        yield started


@pytest.fixture
async def several(tmp_path: Path, postgres_url: str, nursery: Nursery) -> AsyncIterator[Several]:
    """None of them started."""
    async with FakeOpenCode(SETUP, pace=1).serve() as opencode, AsyncExitStack() as stack:
        made = Several(tmp_path, postgres_url, opencode, stack, nursery)
        yield made
        for server in made.servers.values():
            if not server.is_dead():
                server.kill()
        await made.database.dispose()


async def test_a_dead_server_is_inherited_and_nothing_runs_twice(several: Several) -> None:
    servers = await several.started("a", "b", "c")
    prompt = "[[slow:40:0.1]] [[say:Slow but sure.]]"
    runs = [await servers[0].create(prompt, "two", working_dir=several.project(f"p{n}")) for n in range(4)]
    waiting = await servers[1].create("[[say:After it.]]", working_dir=str(several._folder / "p0"))
    await servers[0].called(4)
    name = await several.worker_of(runs[0])
    victim = several.servers[name]
    heirs = [server for server in servers if server is not victim]
    victim.kill()
    for run_id in (*runs, waiting):
        done = await heirs[0].finished(run_id)
        assert done["status"] == "done", done["error_message"]
        assert {step["attempts"] for step in done["steps"]} == {1}
    assert sorted(several.opencode.provider.models_called()) == ["alpha"] * 5 + ["beta"] * 4
    assert "pipeline.recovered" in await heirs[1].events(runs[0])
    await several.are(heirs[0], "living", "living", "lost")
    told = await asyncio.to_thread(_server, Settings(data_dir=heirs[0].data_dir, token=SecretStr(TOKEN)))
    assert f"{name} (lost)" in told.detail
    # Back under its name, at once: its old work is nobody's any more.
    await several.start(name)
    await several.are(victim, "living", "living", "living")
    await victim.terminate()
    await several.are(heirs[0], "living", "living", "stopped")


async def test_a_server_that_stood_still_doubles_nothing_aborts_nothing_and_goes_on(several: Several) -> None:
    first, second = await several.started("a", "b")
    prompt = "[[slow:40:0.1]] [[say:Slow but sure.]]"
    runs = [await first.create(prompt, "two", working_dir=several.project(f"p{n}")) for n in range(2)]
    await first.called(2)
    name = await several.worker_of(runs[0])
    still, other = (first, second) if name == "a" else (second, first)
    still.freeze()
    for run_id in runs:
        done = await other.finished(run_id)
        assert done["status"] == "done", done["error_message"]
        assert {step["attempts"] for step in done["steps"]} == {1}
    assert (await other.events(runs[0])).count("pipeline.recovered") == 1
    still.thaw()
    await several.are(other, "living", "living")
    await other.terminate()
    later = await still.create("[[say:Back at work.]]", working_dir=several.project("later"))
    assert (await still.finished(later))["status"] == "done"
    assert await several.worker_of(later) == name
    assert sorted(several.opencode.provider.models_called()) == ["alpha"] * 3 + ["beta"] * 2
    assert await violations(several.database) == []


@pytest.mark.parametrize("place", ["before:prompt-sent", "before:complete-step"])
async def test_a_server_stopped_between_two_statements_keeps_nobody_from_taking_over(
    several: Several, place: str
) -> None:
    still = await several.start("a", PACELINE_STOP_POINT=f"{place}@1")
    run_id = await still.create("[[slow:5:0.1]] [[say:Once.]]", "two", working_dir=several.project("p"))
    await several.frozen(still)
    other = await several.start("b")
    done = await other.finished(run_id)
    assert done["status"] == "done", done["error_message"]
    assert {step["attempts"] for step in done["steps"]} == {1}
    still.thaw()
    await several.are(other, "living", "living")
    later = await still.create("[[say:Back at work.]]", working_dir=several.project("later"))
    assert (await still.finished(later))["status"] == "done"
    assert several.opencode.provider.models_called() == ["alpha", "beta", "alpha"]
    assert several.busy() == []
    assert await violations(several.database) == []


async def test_an_abort_does_not_wait_for_a_server_that_stands_still(several: Several) -> None:
    still = await several.start("a", PACELINE_STOP_POINT="before:prompt-sent@1")
    place = several.project("p")
    run_id = await still.create("[[slow:600:0.1]] [[say:Nobody wants it any more.]]", working_dir=place)
    await several.frozen(still)
    other = await several.start("b")
    assert (await other.http.post(f"/pipelines/{run_id}/abort")).json()["status"] == "aborted"
    next_id = await other.create("[[say:My turn.]]", working_dir=place)
    assert (await other.finished(next_id))["status"] == "done"
    still.thaw()
    await several.are(other, "living", "living")
    later = await still.create("[[say:Back at work.]]", working_dir=place)
    assert (await still.finished(later))["status"] == "done"

    async def quiet() -> bool:
        return several.busy() == []

    await still.until(quiet, 20)
    assert (await other.run(run_id))["status"] == "aborted"
    assert await violations(several.database) == []


async def test_a_server_on_another_opencode_is_refused(several: Several) -> None:
    await several.start("a")
    with pytest.raises(ServerDied, match="need the same PACELINE_OPENCODE_URL"):
        await several.start("b", PACELINE_OPENCODE_URL="http://127.0.0.1:9")

    async def ended() -> bool:
        return several.servers["b"].is_dead()

    await eventually(ended, 20)

"""A whole server while what it needs is away, and while it ends itself: OpenCode, PostgreSQL, SIGTERM."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from app.tests.fake_opencode import FakeOpenCode
from app.tests.live_server import SETUP, LiveServer, attached_server
from app.tests.postgres import libpq_address


@asynccontextmanager
async def started(folder: Path, database_url: str, opencode: FakeOpenCode) -> AsyncIterator[LiveServer]:
    """A server process on a fake OpenCode, taking work."""
    async with attached_server(folder, database_url, opencode) as server:
        await server.start()
        yield server


async def health(server: LiveServer, status: int) -> bool:
    """Whether /health has this status now."""
    return (await server.http.get("/health")).status_code == status


async def test_a_run_that_is_created_while_opencode_is_away_says_so_and_begins_when_it_is_there(
    tmp_path: Path, database_url: str
) -> None:
    opencode = FakeOpenCode(SETUP, pace=1)
    async with opencode.serve():
        port = urlsplit(opencode.endpoint().url).port or 0
        server_of_it = started(tmp_path, database_url, opencode)
        server = await server_of_it.__aenter__()
    try:

        async def down() -> bool:
            return bool((await server.http.get("/health/opencode")).json()["state"] == "down")

        await server.until(down, 30)
        run_id = await server.create("[[say:At last.]]", "two")
        run = await server.run(run_id)
        assert run["status"] == "pending"
        assert str(run["waiting_reason"]).startswith("Waits for OpenCode. OpenCode at http")
        assert [step["status"] for step in run["steps"]] == ["pending"] * 2
        await asyncio.sleep(2)
        later = await server.run(run_id)
        assert (later["status"], later["steps"]) == (run["status"], run["steps"]), "nothing is half begun"
        async with opencode.serve(port):
            done = await server.finished(run_id)
            assert (done["status"], done["error_message"]) == ("done", None)
            assert server.provider.models_called() == ["alpha", "beta"]
    finally:
        await server_of_it.__aexit__(None, None, None)


async def test_postgresql_goes_away_while_a_step_runs(tmp_path: Path, postgres_url: str) -> None:
    async with (
        FakeOpenCode(SETUP, pace=1).serve() as opencode,
        started(tmp_path, postgres_url, opencode) as server,
    ):
        run_id = await server.create("[[slow:20:0.1]]", "two")
        await server.called(1)
        with away(postgres_url):
            await server.until(lambda: health(server, 503), 30)
            refused = await server.http.post("/pipelines", json={"title": "T", "prompt": "p", "template": "one"})
            assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
            # The agent's answer comes while there is nothing to write it into.
            await asyncio.sleep(4)
            assert server.provider.models_called() == ["alpha"]
        await server.until(lambda: health(server, 200), 30)
        done = await server.finished(run_id)
        assert (done["status"], done["error_message"]) == ("done", None)
        assert server.provider.models_called() == ["alpha", "beta"], "the answer was kept, not asked for again"


@contextmanager
def away(url: str) -> Iterator[None]:
    """The database refuses everybody and has dropped all connections, as long as the block runs."""
    address = make_url(url)
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    name = sql.Identifier(str(address.database))
    with psycopg.connect(libpq_address(address.set(database="postgres")), autocommit=True) as connection:
        connection.execute(allow.format(name, sql.SQL("false")))
        try:
            drop = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            connection.execute(drop, [address.database])
            yield
        finally:
            connection.execute(allow.format(name, sql.SQL("true")))


async def test_sigterm_begins_nothing_new_and_the_next_start_goes_on(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeOpenCode(SETUP, pace=1).serve() as opencode,
        started(tmp_path, database_url, opencode) as server,
    ):
        first = await server.create("[[slow:15:0.1]] the first")
        await server.called(1)
        second = await server.create("[[say:x]] the second")
        elsewhere = server.folder / "elsewhere"
        elsewhere.mkdir()
        ended = asyncio.create_task(server.terminate(10))
        late = asyncio.create_task(server.create("[[say:x]] the late one", working_dir=str(elsewhere)))
        await ended
        assert server.provider.models_called("the second") == []
        await asyncio.sleep(2)
        await server.start()
        for run_id in (first, second, *await taken(late)):
            run = await server.finished(run_id)
            assert (run["status"], run["error_message"]) == ("done", None)
        assert server.provider.models_called("the first") == ["alpha"]
        assert server.provider.models_called("the second") == ["alpha"]


async def taken(creation: asyncio.Task[int]) -> list[int]:
    """The run, when the request came in time; what was acknowledged is kept, what was not was refused."""
    try:
        return [await creation]
    except (httpx.TransportError, AssertionError):
        return []

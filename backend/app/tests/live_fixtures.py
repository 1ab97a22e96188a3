"""Real servers as fixtures: each is killed at will by its test and ended after it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.tests.cli_server import Place, ServeProcess, cli_place, serving_process
from app.tests.live_server import LiveServer, live_server


@pytest.fixture
async def server(tmp_path: Path, database_url: str) -> AsyncIterator[LiveServer]:
    """A server on the real OpenCode, on each database."""
    async with live_server(tmp_path, database_url) as running:
        yield running


@pytest.fixture
async def sqlite_server(tmp_path: Path, sqlite_url: str) -> AsyncIterator[LiveServer]:
    """The same where the database makes no difference."""
    async with live_server(tmp_path, sqlite_url) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> AsyncIterator[tuple[Place, ServeProcess]]:
    """One server on the fake OpenCode for all tests of a file, as the command line meets it."""
    async with cli_place(tmp_path_factory.mktemp("cli"), sqlite_template) as place:
        with serving_process(place) as server:
            await server.until_listening()
            yield place, server


@pytest.fixture
def place(served: tuple[Place, ServeProcess], monkeypatch: pytest.MonkeyPatch) -> Place:
    """The environment of the shared server; no calls of the provider yet."""
    served[0].enter(monkeypatch)
    served[0].fake.provider.log.clear()
    return served[0]

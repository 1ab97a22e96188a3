"""Fixtures for every test: an environment of its own, settings, and a database on SQLite and on PostgreSQL."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import MetaData, create_engine
from sqlalchemy.engine import make_url

from app.adapters.database import Database, sync_url
from app.adapters.database_schema import upgrade_schema
from app.adapters.dbos_engine import DbosEngine
from app.schemas.work import Release, Segment
from app.settings import Settings
from app.tests.app_fixtures import api as api
from app.tests.app_fixtures import sqlite_api as sqlite_api
from app.tests.live_fixtures import place as place
from app.tests.live_fixtures import served as served
from app.tests.live_fixtures import server as server
from app.tests.live_fixtures import sqlite_server as sqlite_server
from app.tests.postgres import PostgresServer, libpq_address, running_postgres

DIALECTS = ("sqlite", "postgres")
POLL_SECONDS = 0.02
"""For every engine in tests."""

KEPT_TABLES = {"alembic_version", "dbos_migrations", "queues", "application_versions"}
"""What belongs to the schema rather than to a test."""


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's settings, tokens or home, and none writes there."""
    for name in list(os.environ):
        if name.startswith(("PACELINE_", "XDG_", "OPENCODE_")) or name in ("GITHUB_TOKEN", "GH_TOKEN"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PACELINE_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Defaults with every folder below `tmp_path`; projects go below `tmp_path/projects`."""
    roots = tmp_path / "projects"
    roots.mkdir()
    return Settings(data_dir=tmp_path / "data", fs_roots=(roots,), token=SecretStr("test-token"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the session, started when the first test asks for it."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy: hundreds of times faster than migrating."""
    file = tmp_path_factory.mktemp("template") / "paceline.db"
    prepare_database(f"sqlite+aiosqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a migrated database to clone."""
    name = f"paceline_template_{os.getpid()}"
    prepare_database(postgres_server.create(name))
    yield name
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def postgres_shared(postgres_server: PostgresServer, postgres_template: str) -> Iterator[tuple[str, str]]:
    """The database that all tests use one after the other, and the statement that empties it."""
    name = f"paceline_test_{os.getpid()}"
    url = postgres_server.create(name, postgres_template)
    yield url, _emptying(url)
    postgres_server.drop(name)


@pytest.fixture
def postgres_url(postgres_shared: tuple[str, str]) -> str:
    """An empty, migrated PostgreSQL database. Its sequences go on: no test may count on the id 1."""
    url, emptying = postgres_shared
    with psycopg.connect(libpq_address(make_url(url)), autocommit=True) as connection:
        connection.execute(emptying)
    return url


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """A migrated SQLite file."""
    file = tmp_path / "paceline.db"
    shutil.copy(sqlite_template, file)
    return f"sqlite+aiosqlite:///{file}"


@pytest.fixture(params=DIALECTS)
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database without rows, once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The `Database` of `database_url`, disposed at the end."""
    database = Database(database_url)
    yield database
    await database.dispose()


@pytest.fixture(params=DIALECTS)
def bare_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table, for tests of the migrations."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'bare.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"paceline_bare_{os.getpid()}"
    yield server.create(name)
    server.drop(name)


def prepare_database(url: str) -> None:
    """Bring a new database to what every test starts from: our tables, the queue's, and its queues.

    Queues that are found at the start are looked at once; new ones after a second.
    """

    async def prepare() -> None:
        await upgrade_schema(url)
        database = Database(url)
        engine = DbosEngine(database, "template", poll_seconds=POLL_SECONDS)
        await engine.start(NoWork())
        await engine.stop()
        await database.dispose()

    # In a thread of its own, because the fixture may be asked for while a test's loop is set up.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, prepare()).result()


class NoWork:
    """A handler for an engine that gets nothing to do."""

    async def run_segment(self, segment: Segment) -> str:
        """Never called."""
        raise NotImplementedError(segment)

    async def run_release(self, release: Release) -> str:
        """Never called."""
        raise NotImplementedError(release)


def _emptying(url: str) -> str:
    """One statement list that ends forgotten connections and deletes every row, children first."""
    engine = create_engine(sync_url(url))
    tables = MetaData()
    try:
        for schema in ("public", "dbos"):
            tables.reflect(engine, schema=schema)
    finally:
        engine.dispose()
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    names = [
        f'"{table.schema}"."{table.name}"' for table in reversed(tables.sorted_tables) if table.name not in KEPT_TABLES
    ]
    return "; ".join([f"{others} AND pid <> pg_backend_pid()", *(f"DELETE FROM {name}" for name in names)])

"""The API without a queue: the real app and services on a test's database, OpenCode mocked at the client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest
from fastapi import FastAPI

from app.adapters.database import Database
from app.adapters.opencode_client import OpenCodeClient
from app.main import Joined, create_app, join
from app.schemas.runtime import RuntimeHealth
from app.services.audit_log import AuditLog
from app.services.broker import Broker
from app.settings import Settings
from app.tests.factories import RecordingEngine

AGENTS = """\
agents:
  - {name: developer, description: Writes code., opencode_agent: build}
  - {name: reviewer, description: Reviews., opencode_agent: plan, default_model: gpt-4o}
"""
PIPELINES = """\
pipelines:
  - name: two_steps
    description: Write and review.
    steps:
      - {agent: developer, description: Write it.}
      - {agent: reviewer, description: Review it.}
  - name: gated
    description: Write, ask, review.
    steps:
      - {agent: developer, limits: {timeout_seconds: 60}, retry: {attempts: 2}}
      - {type: approval, description: Go on?, remind_after_hours: 1}
      - {agent: reviewer}
"""


class ServerStandIn:
    """A runtime server that is always ready."""

    async def start(self) -> None:
        """It runs already."""

    async def wait_ready(self, _seconds: float) -> bool:
        """Always."""
        return True

    async def health(self) -> RuntimeHealth:
        """Ready, of the tested version."""
        return RuntimeHealth(state="ready", version="1.18.33", generation="v1", providers=("local",))

    def trouble(self) -> str | None:
        """None."""
        return None

    async def stop(self, *, keep_running: bool = False) -> None:
        """Nothing to stop."""


@dataclass
class Api:
    """One server of a test: its app, an authorised client, and what is behind it."""

    app: FastAPI
    http: httpx.AsyncClient
    joined: Joined
    engine: RecordingEngine
    client: AsyncMock
    projects: Path

    async def create(self, **body: Any) -> httpx.Response:
        """POST /pipelines with a template and texts unless told."""
        given = {"template": "two_steps", "title": "A run", "prompt": "Do it.", "working_dir": str(self.projects)}
        return await self.http.post("/pipelines", json={k: v for k, v in (given | body).items() if v is not None})


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[Api]:
    """The API on each database; OpenCode's lists are empty, so names of models are kept as asked."""
    async with _serving(settings, database) as api:
        yield api


@pytest.fixture
async def sqlite_api(settings: Settings, sqlite_url: str) -> AsyncIterator[Api]:
    """The same where the database makes no difference."""
    database = Database(sqlite_url)
    async with _serving(settings, database) as api:
        yield api
    await database.dispose()


@asynccontextmanager
async def _serving(settings: Settings, database: Database) -> AsyncIterator[Api]:
    folder = settings.resolved_config_dir
    folder.mkdir(parents=True)
    (folder / "agents.yaml").write_text(AGENTS)
    (folder / "pipelines.yaml").write_text(PIPELINES)
    client = AsyncMock(spec=OpenCodeClient)
    engine = RecordingEngine()
    server: Any = ServerStandIn()
    broker = Broker(AuditLog(database.reads))
    database.on_commit = broker.wake
    joined = join(settings, database, engine, client, server, broker)
    app = create_app(settings)
    app.state.services = joined.services
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"authorization": "Bearer test-token"}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as http:
        yield Api(app, http, joined, engine, client, settings.fs_roots[0])

"""A database that is locked, full or read-only while runs are at work: nothing is lost, and all goes on afterwards."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest
from sqlalchemy import Connection, Engine, event, func, select

from app.adapters import sqlite_connection, storage_state
from app.adapters.database import Database
from app.adapters.dbos_engine import DbosEngine
from app.adapters.opencode_client import OpenCodeClient
from app.main import Joined, create_app, join
from app.models import Attempt, AuditEvent, Handoff, Pipeline, Step
from app.schemas.runtime import MessageResponse
from app.services import outages
from app.services.audit_log import AuditLog
from app.services.broker import Broker
from app.settings import Settings
from app.tests.app_fixtures import AGENTS, PIPELINES, ServerStandIn
from app.tests.conftest import POLL_SECONDS
from app.tests.factories import eventually

LONG = "A long answer. " * 10_000
"""Some 150 KB: it does not fit into what is free inside the file."""


class Fault:
    """Lets every transaction of an engine meet a disk that is full or read-only while it is on."""

    def __init__(self, kind: str, *engines: Engine) -> None:
        self.on = False
        self._statements = {
            ("sqlite", "full"): ("PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000"),
            ("sqlite", "read-only"): ("PRAGMA query_only = 1", "PRAGMA query_only = 0"),
            ("postgresql", "read-only"): ("SET TRANSACTION READ ONLY", "SELECT 1"),
        }[engines[0].dialect.name, kind]
        for engine in engines:
            if engine.dialect.name == "sqlite":
                event.listen(engine, "checkout", self._checked_out)
            else:
                event.listen(engine, "begin", self._begun)

    def _checked_out(self, connection: Any, _record: Any, _proxy: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(self._statements[0 if self.on else 1])
        cursor.close()

    def _begun(self, connection: Connection) -> None:
        connection.exec_driver_sql(self._statements[0 if self.on else 1])


@dataclass
class Running:
    """A server at work in this process, on the real queue; OpenCode is mocked at the client."""

    http: httpx.AsyncClient
    database: Database
    joined: Joined
    client: AsyncMock
    answer: asyncio.Event
    """Set: prompts are answered."""
    project: str

    async def create(self, prompt: str = "Do it.", **body: Any) -> httpx.Response:
        """POST a run of two agent steps."""
        given = {"template": "two_steps", "title": "A run", "prompt": prompt, "working_dir": self.project}
        return await self.http.post("/pipelines", json=given | body)

    async def asked(self, times: int = 1) -> None:
        """Wait until a prompt was sent so often."""

        async def there() -> bool:
            return bool(self.client.send_message.call_count >= times)

        await eventually(there)

    async def status(self, run_id: int) -> str:
        """The run's status as the API tells it."""
        return str((await self.http.get(f"/pipelines/{run_id}")).json()["status"])

    async def done(self, run_id: int, seconds: float = 20) -> None:
        """Wait for the end of a run, and see that nothing of it was written twice."""

        async def there() -> bool:
            return await self.status(run_id) in ("done", "failed")

        await eventually(there, seconds)
        async with self.database.reads() as db:
            run = (await db.scalars(select(Pipeline).where(Pipeline.id == run_id))).one()
            assert (run.status, run.error_message) == ("done", None)
            steps = select(Step.id).where(Step.pipeline_id == run_id)
            for table in (Attempt, Handoff):
                counts = select(func.count()).where(table.step_id.in_(steps)).group_by(table.step_id)
                assert list(await db.scalars(counts)) == [1, 1]
            ends = AuditEvent.type.in_(("step.done", "step.failed", "pipeline.done", "pipeline.failed"))
            found = await db.scalars(select(AuditEvent.type).where(ends, AuditEvent.pipeline_id == run_id))
            assert sorted(found) == ["pipeline.done", "step.done", "step.done"]


@asynccontextmanager
async def _running(settings: Settings, database: Database) -> AsyncIterator[Running]:
    folder = settings.resolved_config_dir
    folder.mkdir(parents=True)
    (folder / "agents.yaml").write_text(AGENTS)
    (folder / "pipelines.yaml").write_text(PIPELINES)
    client, answer = AsyncMock(spec=OpenCodeClient), asyncio.Event()
    client.new_message_id.side_effect = [f"msg_{n}" for n in range(100)]
    client.create_session.side_effect = [f"ses_{n}" for n in range(100)]

    async def send_message(
        session_id: str, prompt: str, agent: str | None = None, model: str | None = None
    ) -> MessageResponse:
        del prompt
        await answer.wait()
        used = f"local/{model}" if model else "local/default"
        return MessageResponse(
            session_id=session_id, message_id="m", text=LONG, finish="stop", agent=agent, used_model=used
        )

    client.send_message.side_effect = send_message
    server: Any = ServerStandIn()
    engine = DbosEngine(database, "tester", poll_seconds=POLL_SECONDS)
    joined = join(settings, database, engine, client, server, Broker(AuditLog(database.reads)))
    app = create_app(settings)
    app.state.services = joined.services
    await engine.start(joined.work)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"authorization": "Bearer test-token"}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as http:
        try:
            yield Running(http, database, joined, client, answer, str(settings.fs_roots[0]))
        finally:
            await engine.stop()


@pytest.fixture
async def running(settings: Settings, database: Database) -> AsyncIterator[Running]:
    """On each database."""
    async with _running(settings, database) as server:
        yield server


@pytest.fixture
async def sqlite_running(settings: Settings, sqlite_url: str) -> AsyncIterator[Running]:
    """On SQLite, whose locks are given up after a fifth of a second here."""
    database = Database(sqlite_url)
    async with _running(settings, database) as server:
        yield server
    await database.dispose()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses and a short wait for locks: the test's faults last a second."""
    monkeypatch.setattr(outages, "LONGEST_PAUSE_SECONDS", 0.5)
    monkeypatch.setattr(storage_state, "FRESH_SECONDS", 2.0)
    monkeypatch.setattr(sqlite_connection, "BUSY_TIMEOUT_MS", 200)


async def _during(server: Running, begin: Callable[[], None], end: Callable[[], None], status: int, code: str) -> None:
    """A run is at work when the fault begins, its answer comes meanwhile, others want to create, then it ends."""
    run_id = (await server.create()).json()["id"]
    await server.asked()
    begin()
    server.answer.set()
    refused = await server.create(LONG)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    await asyncio.sleep(0.7)
    health = await server.http.get("/health")
    assert (health.status_code, health.json()["database"]) == (503, "unavailable")
    assert health.json()["reason"] == refused.json()["detail"]
    assert await server.status(run_id) == "running", "it waits; it has not failed"
    end()
    await server.done(run_id)

    async def healthy() -> bool:
        return (await server.http.get("/health")).status_code == 200

    await eventually(healthy)
    assert len((await server.http.get("/pipelines")).json()["items"]) == 1, "what was refused left nothing behind"
    next_id = (await server.create()).json()["id"]
    await server.done(next_id)


async def test_full_disk(sqlite_running: Running) -> None:
    database = sqlite_running.database
    fault = Fault("full", database.engine.sync_engine, database.queue_engine)

    await _during(sqlite_running, lambda: _set(fault, True), lambda: _set(fault, False), 507, "storage_full")


async def test_read_only(running: Running) -> None:
    database = running.database
    fault = Fault("read-only", database.engine.sync_engine, database.queue_engine)
    await _during(running, lambda: _set(fault, True), lambda: _set(fault, False), 503, "database_unavailable")


async def test_locked_by_somebody_for_longer_than_we_wait(sqlite_running: Running) -> None:
    file = sqlite_running.database.url.removeprefix("sqlite+aiosqlite:///")
    other = sqlite3.connect(file, isolation_level=None)
    await _during(
        sqlite_running, lambda: _run(other, "BEGIN IMMEDIATE"), lambda: _run(other, "ROLLBACK"),
        503, "database_unavailable",
    )  # fmt: skip
    other.close()


async def test_a_queue_that_cannot_record_a_finished_step_waits_too(running: Running) -> None:
    """Our rows are written, the engine's are not: its workflow must neither end nor stay behind as if it ran."""
    fault = Fault("read-only", running.database.queue_engine)
    run_id = (await running.create()).json()["id"]
    await running.asked()
    _set(fault, True)
    running.answer.set()

    async def first_step_done() -> bool:
        return bool((await running.http.get(f"/pipelines/{run_id}")).json()["steps"][0]["status"] == "done")

    await eventually(first_step_done)
    await asyncio.sleep(0.5)
    _set(fault, False)
    await running.done(run_id)
    assert running.client.send_message.call_count == 2


async def test_a_gate_and_a_decision_wait_as_well(sqlite_running: Running) -> None:
    fault = Fault("read-only", sqlite_running.database.engine.sync_engine)
    run_id = (await sqlite_running.create(template="gated")).json()["id"]
    sqlite_running.answer.set()

    async def waits() -> bool:
        return await sqlite_running.status(run_id) == "waiting_for_approval"

    await eventually(waits)
    _set(fault, True)
    answer = await sqlite_running.http.post(f"/pipelines/{run_id}/approve")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert await sqlite_running.status(run_id) == "waiting_for_approval"
    _set(fault, False)
    assert (await sqlite_running.http.post(f"/pipelines/{run_id}/approve")).status_code == 200

    async def over() -> bool:
        return await sqlite_running.status(run_id) == "done"

    await eventually(over)


def _set(fault: Fault, on: bool) -> None:
    fault.on = on


def _run(connection: sqlite3.Connection, statement: str) -> None:
    connection.execute(statement)


async def test_a_disk_without_space_is_said_without_trying(
    sqlite_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_state, "LEAST_BYTES", 2**62)
    health = await sqlite_running.http.get("/health")
    assert (health.status_code, "no space left" in health.json()["reason"]) == (503, True)
    monkeypatch.undo()
    assert (await sqlite_running.http.get("/health")).status_code == 200

"""Each action in each state of a run, over HTTP, on a whole server at a fake OpenCode; and all of an abort."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from app.adapters.database import Database
from app.main import create_app
from app.models import AgentRequest, AuditEvent, Directory, Pipeline
from app.schemas.pipeline import FINAL_PIPELINE
from app.settings import Settings
from app.tests.chaos.invariants import violations
from app.tests.conftest import POLL_SECONDS
from app.tests.factories import eventually
from app.tests.fake_opencode import FakeOpenCode
from app.tests.live_server import SETUP

CONFIG = {
    "agents.yaml": "agents: [{name: writer, description: Writes., opencode_agent: build}]\n",
    "pipelines.yaml": "pipelines: [{name: one, description: One step., steps: [{agent: writer}]}]\n",
}
ACTIONS = ("abort", "approve", "reject", "request-changes", "restart", "answer")
TABLE = {
    #                        abort approve reject changes restart answer
    "pending":              (200, 409, 409, 409, 409, 404),
    "queued":               (200, 409, 409, 409, 409, 404),
    "paused":               (200, 409, 409, 409, 409, 404),
    "running":              (200, 409, 409, 409, 409, 404),
    "parked":               (200, 409, 409, 409, 409, 409),
    "waiting_for_retry":    (200, 409, 409, 409, 409, 404),
    "waiting_for_input":    (200, 409, 409, 409, 409, 200),
    "waiting_for_approval": (200, 200, 200, 200, 409, 404),
    "done":                 (409, 409, 409, 409, 409, 409),
    "failed":               (409, 409, 409, 409, 200, 404),
    "aborted":              (409, 409, 409, 409, 200, 409),
}  # fmt: skip
"""Status codes. Those that say 409 to an answer have had a request of their agent, which is decided."""

SAYS = {
    "approve": "approval.approved", "reject": "approval.rejected", "request-changes": "approval.changes_requested",
    "restart": "pipeline.restarted", "answer": "request.answered",
}  # fmt: skip
"""The event of each action that was done."""

BODIES = {"request-changes": {"comment": "Again, please."}, "answer": {"reply": "once"}}
ENDLESS = "[[slow:100000:1]]"
ASKS = '[[tool:bash:{"command":"true","description":"nothing"}]] [[say:Went on.]]'
ASKING = {"agent": "writer", "permissions": [{"tool": "bash", "action": "ask"}]}
WRITER = {"agent": "writer"}


@dataclass
class House:
    """One server, its database and its OpenCode; runs are brought into a state, each in a directory of its own."""

    http: httpx.AsyncClient
    database: Database
    opencode: FakeOpenCode
    projects: Path
    numbers: Any

    def folder(self) -> str:
        """A new directory."""
        made = self.projects / f"p{next(self.numbers)}"
        made.mkdir()
        return str(made)

    async def create(self, prompt: str, *steps: dict[str, Any], folder: str | None = None) -> int:
        """A run of these steps."""
        given = {"title": "T", "prompt": prompt, "working_dir": folder or self.folder(), "custom_steps": list(steps)}
        answer = await self.http.post("/pipelines", json=given)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    async def shown(self, run_id: int) -> dict[str, Any]:
        """The run as its page sees it."""
        found: dict[str, Any] = (await self.http.get(f"/pipelines/{run_id}")).json()
        return found

    async def becomes(self, run_id: int, status: str, waiting_for: str | None = None) -> int:
        """Wait until the run is so; its id."""

        async def there() -> bool:
            run = await self.shown(run_id)
            return (run["status"], run["waiting_for"]) == (status, waiting_for)

        await eventually(there, 20)
        return run_id

    async def parks(self, run_id: int) -> int:
        """Wait until the queue has noticed that the run may not go on; its id."""

        async def noted() -> bool:
            return "pipeline.parked" in await self.events(run_id)

        await eventually(noted)
        return run_id

    async def act(self, action: str, run_id: int) -> int:
        """Do it as the owner does; the status code."""
        path = f"/pipelines/{run_id}/{action}"
        if action == "answer":
            async with self.database.reads() as db:
                known = await db.scalar(select(AgentRequest.id).where(AgentRequest.pipeline_id == run_id))
            path = f"/pipelines/{run_id}/requests/{known or 2**31 - 1}/answer"
        return (await self.http.post(path, json=BODIES.get(action))).status_code

    async def events(self, run_id: int) -> list[str]:
        """Types of the run's events in their order."""
        async with self.database.reads() as db:
            query = select(AuditEvent.type).where(AuditEvent.pipeline_id == run_id).order_by(AuditEvent.id)
            return list(await db.scalars(query))

    async def holder(self, run_id: int) -> int | None:
        """Who has the run's directory."""
        query = select(Directory.holder_id).join(Pipeline, Pipeline.directory_id == Directory.id)
        async with self.database.reads() as db:
            return (await db.scalars(query.where(Pipeline.id == run_id))).one()

    def at_work(self, folder: str) -> list[str]:
        """What OpenCode does in a directory, and what it asks there."""
        sessions = [one.id for one in self.opencode.sessions.values() if one.directory == folder and one.doing]
        return sessions + [one.id for one in self.opencode.requests.values() if one.directory == folder]


# How a run gets into each state; what has to be so before comes from `_prepared`.


async def _pending(house: House) -> int:
    return await house.becomes(await house.create(ENDLESS, WRITER), "pending", "limit")


async def _queued(house: House) -> int:
    folder = house.folder()
    await house.becomes(await house.create(ENDLESS, WRITER, folder=folder), "running")
    return await house.becomes(await house.create(ENDLESS, WRITER, folder=folder), "pending", "directory")


async def _paused(house: House) -> int:
    await house.http.post("/queue/pause")
    return await house.parks(await house.becomes(await house.create(ENDLESS, WRITER), "pending", "paused"))


async def _running(house: House) -> int:
    folder = house.folder()
    run_id = await house.becomes(await house.create(ENDLESS, WRITER, WRITER, folder=folder), "running")

    async def writes() -> bool:
        return bool(house.at_work(folder))

    await eventually(writes)
    return run_id


async def _parked(house: House) -> int:
    await house.http.post("/queue/resume")
    run_id = await house.becomes(await house.create(ASKS, ASKING, WRITER), "waiting_for_input")
    await house.http.post("/queue/pause")
    assert await house.act("answer", run_id) == 200
    return await house.parks(await house.becomes(run_id, "running", "paused"))


async def _retry(house: House) -> int:
    steps = {"agent": "writer", "retry": {"attempts": 2, "backoff_seconds": 3600}}
    return await house.becomes(await house.create("[[empty]]", steps, WRITER), "running", "retry")


async def _asking(house: House) -> int:
    return await house.becomes(await house.create(ASKS, ASKING, WRITER), "waiting_for_input")


async def _gate(house: House) -> int:
    gate = {"type": "approval", "description": "Go on?"}
    return await house.becomes(await house.create("Do it.", WRITER, gate, WRITER), "waiting_for_approval")


async def _done(house: House) -> int:
    run_id = await house.becomes(await house.create(ASKS, ASKING), "waiting_for_input")
    assert await house.act("answer", run_id) == 200
    return await house.becomes(run_id, "done")


async def _failed(house: House) -> int:
    return await house.becomes(await house.create("[[empty]]", WRITER, WRITER), "failed")


async def _aborted(house: House) -> int:
    run_id = await _asking(house)
    assert await house.act("abort", run_id) == 200
    return run_id


REACH: dict[str, Callable[[House], Awaitable[int]]] = {
    "pending": _pending, "queued": _queued, "paused": _paused, "running": _running, "parked": _parked,
    "waiting_for_retry": _retry, "waiting_for_input": _asking, "waiting_for_approval": _gate, "done": _done,
    "failed": _failed, "aborted": _aborted,
}  # fmt: skip


@asynccontextmanager
async def _house(folder: Path, database_url: str, places: int) -> AsyncIterator[House]:
    config, projects = folder / "data" / "config", folder / "projects"
    for made in (config, projects):
        made.mkdir(parents=True)
    for name, text in CONFIG.items():
        (config / name).write_text(text)
    async with FakeOpenCode(SETUP).serve() as opencode:
        endpoint = opencode.endpoint()
        settings = Settings(
            data_dir=folder / "data", fs_roots=(projects,), token=SecretStr("t"), database_url=database_url,
            opencode_url=endpoint.url, opencode_password=SecretStr(endpoint.password or ""), max_active_steps=places,
        )  # fmt: skip
        app, database = create_app(settings, poll_seconds=POLL_SECONDS), Database(database_url)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        http = httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", headers={"authorization": "Bearer t"}
        )
        async with app.router.lifespan_context(app), http:
            yield House(http, database, opencode, projects, count())
        # Only now: while the server works, rows and events may be read at two moments.
        assert await violations(database) == []
        await database.dispose()


@pytest.fixture
async def house(tmp_path: Path, sqlite_url: str, state: str) -> AsyncIterator[House]:
    """A server that has a place for each run, but none at all for one that shall be pending."""
    async with _house(tmp_path, sqlite_url, 1 if state == "pending" else 20) as house:
        if state == "pending":
            await _running(house)
        yield house


@pytest.mark.parametrize("state", list(TABLE))
async def test_each_action_in_each_state(house: House, state: str) -> None:
    """A refusal changes nothing; what is allowed is done, each on a run of its own."""
    codes = dict(zip(ACTIONS, TABLE[state], strict=True))
    run_id = await REACH[state](house)
    before = await house.shown(run_id), await house.events(run_id)
    refused = {action: code for action, code in codes.items() if code != 200}
    assert {action: await house.act(action, run_id) for action in refused} == refused
    assert (await house.shown(run_id), await house.events(run_id)) == before
    for action in codes.keys() - refused.keys():
        run_id = await REACH[state](house)
        holders = await house.holder(run_id)
        assert await house.act(action, run_id) == 200, action
        if action == "abort":
            await _is_over(house, run_id, None if holders == run_id else holders)
        else:
            assert (await house.events(run_id)).count(SAYS[action]) == 1


async def _is_over(house: House, run_id: int, holder: int | None) -> None:
    """All that an abort promises, at the moment of its answer and later."""
    run = await house.shown(run_id)
    steps = [step["status"] for step in run["steps"]]
    assert (run["status"], set(steps) - {"done"}) == ("aborted", {"aborted"}), steps
    assert (run["requests"], run["waiting_for"]) == ([], None)
    if holder is None:
        assert house.at_work(run["working_dir"]) == [], "OpenCode works or asks for a run that is over"
    assert await house.holder(run_id) == holder
    async with house.database.reads() as db:
        query = select(AgentRequest.status).where(AgentRequest.pipeline_id == run_id)
        assert "pending" not in list(await db.scalars(query))
    calls = len(house.opencode.provider.models_called())
    await asyncio.sleep(0.3)
    events = await house.events(run_id)
    assert [one for one in events if one in {f"pipeline.{word}" for word in FINAL_PIPELINE}] == ["pipeline.aborted"]
    assert await house.shown(run_id) == run
    assert len(house.opencode.provider.models_called()) == calls

"""Part two: a step's own cost with an OpenCode that answers at once: commits, and time against a two-commit loop."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import httpx
from commit_count import CommitCount, file_changes
from fastapi import FastAPI
from figures import goal, table
from pydantic import SecretStr
from sqlalchemy import update

from app.adapters.database import Database
from app.adapters.database_schema import upgrade_schema
from app.adapters.opencode_client import OpenCodeClient
from app.main import create_app
from app.models import Attempt, Step
from app.schemas.runtime import SessionBinding
from app.settings import Settings
from app.tests.factories import agent_step, make_pipeline
from app.tests.fake_opencode import FakeOpenCode

TOKEN = "bench-token"
MODEL = "scripted/alpha"
LONG, SHORT = 11, 1
"""Steps of the two runs; their difference is what ten steps cost without what a run costs once."""
COMMITS, TIMES = 6, 4
REGISTRY = {
    "agents.yaml": "agents:\n  - {name: worker, description: Works., opencode_agent: build}\n",
    "pipelines.yaml": "pipelines:\n  - {name: one, description: One step., steps: [{agent: worker}]}\n",
}


@dataclass
class Bench:
    """One server on a fake OpenCode, and the plain loop beside it with a database of its own."""

    folder: Path
    app: FastAPI
    http: httpx.AsyncClient
    loop_database: Database
    client: OpenCodeClient


@dataclass
class StepFigures:
    """Seconds per step and commits of whole runs."""

    ours: list[float] = field(default_factory=list)
    loop: list[float] = field(default_factory=list)
    commits: dict[int, CommitCount] = field(default_factory=dict)
    file_changes: dict[int, int] = field(default_factory=dict)


async def measure(name: str, database_url: str, loop_url: str, folder: Path, rounds: int) -> None:
    """All rounds on one kind of database, and what they say."""
    async with _bench(database_url, loop_url, folder) as bench:
        await _ours(bench, SHORT)
        await _plain_loop(bench, SHORT)
        figures = StepFigures()
        for number in range(rounds):
            arms: list[Callable[[], Awaitable[None]]] = [
                lambda: _append(figures.ours, _ours(bench, LONG)),
                lambda: _append(figures.loop, _plain_loop(bench, LONG)),
            ]
            for arm in arms if number % 2 else reversed(arms):
                await arm()
        for steps in (SHORT, LONG):
            await _count(bench, steps, figures)
    _report(name, figures)


async def _append(times: list[float], run: Awaitable[float]) -> None:
    times.append(await run)


@asynccontextmanager
async def _bench(database_url: str, loop_url: str, folder: Path) -> AsyncIterator[Bench]:
    (folder / "project").mkdir(parents=True)
    (folder / "config").mkdir()
    for file, text in REGISTRY.items():
        (folder / "config" / file).write_text(text)
    await upgrade_schema(loop_url)
    loop_database = Database(loop_url)
    async with FakeOpenCode(pace=0).serve() as fake:
        at = fake.endpoint()
        settings = Settings(
            data_dir=folder / "data", config_dir=folder / "config", fs_roots=(folder,), database_url=database_url,
            opencode_url=at.url, opencode_password=SecretStr(at.password or ""), token=SecretStr(TOKEN),
        )  # fmt: skip
        app = create_app(settings)
        client = OpenCodeClient(fake)
        try:
            async with app.router.lifespan_context(app), _api(app) as http:
                await app.state.services.server.wait_ready(30)
                yield Bench(folder, app, http, loop_database, client)
        finally:
            await client.aclose()
            await loop_database.dispose()


def _api(app: FastAPI) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {TOKEN}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers=headers)


async def _ours(bench: Bench, steps: int) -> float:
    """Seconds per step of a run, from its start to its end as the rows have it."""
    custom = [{"type": "agent", "agent": "worker", "model": MODEL}] * steps
    body = {"title": "Bench", "prompt": "Go.", "working_dir": str(bench.folder / "project"), "custom_steps": custom}
    created = await bench.http.post("/pipelines", json=body)
    assert created.status_code == 201, created.text
    run_id = created.json()["id"]
    async for frame in bench.app.state.services.broker.subscribe(run_id, 0):
        if frame.type in ("pipeline.done", "pipeline.failed"):
            break
    run = (await bench.http.get(f"/pipelines/{run_id}")).json()
    assert run["status"] == "done", run["error_message"]
    began, ended = (datetime.fromisoformat(run[name]) for name in ("started_at", "finished_at"))
    return (ended - began).total_seconds() / steps


async def _plain_loop(bench: Bench, steps: int) -> float:
    """The least that survives a crash: the same client, one commit before the prompt and one after the answer."""
    async with bench.loop_database.sessions.begin() as db:
        run = await make_pipeline(db, [agent_step() for _ in range(steps)])
        ids = [step.id for step in run.steps]
    began = time.perf_counter()
    for step_id in ids:
        await _plain_step(bench, run.id, step_id)
    return (time.perf_counter() - began) / steps


async def _plain_step(bench: Bench, run_id: int, step_id: int) -> None:
    sessions, client = bench.loop_database.sessions, bench.client
    binding = SessionBinding(
        directory=str(bench.folder / "project"), message_id=client.new_message_id(), title="Loop",
        pipeline_id=run_id, step_id=step_id, attempt=1,
    )  # fmt: skip
    session_id = await client.create_session(binding)
    async with sessions.begin() as db:
        attempt = Attempt(
            step_id=step_id, number=1, pipeline_attempt=1, session_id=session_id, message_id=binding.message_id,
            directory=binding.directory, worker="loop", prompt="Go.", started_at=datetime.now(UTC),
        )  # fmt: skip
        db.add(attempt)
        await db.execute(update(Step).where(Step.id == step_id).values(started_at=datetime.now(UTC)))
    response = await client.send_message(session_id, "Go.", "build", MODEL)
    assert response.finish == "stop", response.error
    async with sessions.begin() as db:
        await db.execute(update(Attempt).where(Attempt.step_id == step_id).values(outcome="done"))
        await db.execute(update(Step).where(Step.id == step_id).values(finished_at=datetime.now(UTC)))


async def _count(bench: Bench, steps: int, figures: StepFigures) -> None:
    """Commits of one whole run, the creation and what the queue writes behind its end included."""
    file = bench.folder / "paceline.db"
    before = file_changes(file) if file.exists() else 0
    with CommitCount() as commits:
        await _ours(bench, steps)
        await asyncio.sleep(1)
    figures.commits[steps] = commits
    figures.file_changes[steps] = file_changes(file) - before if file.exists() else 0


def _report(name: str, figures: StepFigures) -> None:
    short, long = figures.commits[SHORT], figures.commits[LONG]
    per_step = (long.total - short.total) / (LONG - SHORT)
    engines = [(long.by_engine[engine] - short.by_engine[engine]) / (LONG - SHORT) for engine in ("rows", "queue")]
    once = short.total - per_step
    ours, loop = median(figures.ours), median(figures.loop)
    ratios = [mine / plain for mine, plain in zip(figures.ours, figures.loop, strict=True)]
    table(
        (name, "per step", "rows", "queue", "once per run"),
        [("commits", f"{per_step:.1f}", f"{engines[0]:.1f}", f"{engines[1]:.1f}", f"{once:.1f}")],
    )
    if figures.file_changes[LONG]:
        print(f"SQLite's own counter of write transactions for the run of {LONG} steps: {figures.file_changes[LONG]}")
        print(f"counted by the hooks: {long.total}\n")
    table(
        ("time per step, median", "ms", "ratio", "smallest and largest"),
        [
            ("two-commit loop", f"{loop * 1000:.1f}", "1.00", ""),
            ("Paceline", f"{ours * 1000:.1f}", f"{ours / loop:.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"),
        ],
    )
    goal("commits per step", per_step, COMMITS)
    goal("time per step against the loop", ours / loop, TIMES, "x")
    print()


async def measure_all(rounds: int) -> None:
    """SQLite, then PostgreSQL, both in folders that are gone afterwards."""
    from app.tests.postgres import running_postgres

    with tempfile.TemporaryDirectory(prefix="paceline-bench-") as name:
        folder = Path(name)
        own = f"sqlite+aiosqlite:///{folder / 'paceline.db'}"
        await measure("SQLite", own, f"sqlite+aiosqlite:///{folder / 'loop.db'}", folder, rounds)
    with tempfile.TemporaryDirectory(prefix="paceline-bench-") as name, running_postgres() as server:
        names = [f"bench_{what}_{os.getpid()}" for what in ("paceline", "loop")]
        urls = [server.create(one) for one in names]
        try:
            await measure("PostgreSQL", urls[0], urls[1], Path(name), rounds)
        finally:
            for one in names:
                server.drop(one)

"""kill -9 of the server, of OpenCode and of both at random moments of several runs, on the real OpenCode."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from secrets import randbelow

import pytest
from sqlalchemy import select

from app.adapters.database import Database
from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_http import Endpoint, FixedEndpoint, OpencodeHttp
from app.models import Step
from app.tests.chaos.invariants import violations
from app.tests.chaos.watch import Watch
from app.tests.live_server import LiveServer, make_project

pytestmark = [pytest.mark.contract, pytest.mark.chaos]

KILLS = ("server", "opencode", "both") * 2
RUNS = 3
BASH = '[[tool:bash:{"command":"sleep 0.5","description":"wait"}]]'


@pytest.mark.timeout(400)
async def test_runs_end_done_and_in_order_whatever_dies_when(server: LiveServer, database_url: str) -> None:
    seed = randbelow(10**6)
    rng = Random(seed)
    projects = [server.folder / f"project-{number}" for number in range(RUNS)]
    for project in projects:
        make_project(project)
    runs = [
        await server.create(f"{BASH} [[slow:15:0.1]] kills{number}", "two", working_dir=str(project))
        for number, project in enumerate(projects)
    ]
    database = Database(database_url)
    try:
        async with Watch(database) as watch:
            lost: Counter[tuple[int, int]] = Counter()
            for kind in rng.sample(KILLS, len(KILLS)):
                await asyncio.sleep(rng.uniform(0.1, 3))
                before = await at_work(database)
                kill(server, kind)
                if kind != "server":
                    lost.update(before | await at_work(database))
                if kind != "opencode":
                    await server.start()
            ends = [await server.finished(run_id, seconds=120) for run_id in runs]
        told = f"seed {seed}"
        assert [(run["status"], run["error_message"]) for run in ends] == [("done", None)] * RUNS, told
        assert [[step["attempts"] for step in run["steps"]] for run in ends] == [[1, 1]] * RUNS, told
        assert (watch.faults, await violations(database)) == ([], []), told
    finally:
        await database.dispose()
    for number, run_id in enumerate(runs):
        called = server.provider.models_called(f"kills{number}")
        assert wrong_calls(called, lost[run_id, 0], lost[run_id, 1]) is None, told
    assert await busy(server, projects) == {}, told


async def at_work(database: Database) -> set[tuple[int, int]]:
    """Run and index of every step that runs."""
    async with database.reads() as db:
        query = select(Step.pipeline_id, Step.order_index).where(Step.status == "running")
        return {(run_id, index) for run_id, index in await db.execute(query)}


def kill(server: LiveServer, kind: str) -> None:
    """The processes of that kind die at once; OpenCode is started again by ours."""
    if kind != "opencode":
        server.kill()
    if kind != "server":
        with suppress(ProcessLookupError, FileNotFoundError):
            # Dead of the kill before, and not started again yet.
            server.kill_opencode()


def wrong_calls(called: Sequence[str], *lost: int) -> str | None:
    """A step makes two model calls, and may repeat them only for each death of OpenCode while it ran (`lost`)."""
    made = [called.count(model) for model in ("alpha", "beta")]
    if list(called) != ["alpha"] * made[0] + ["beta"] * made[1]:
        return f"a step that was done was asked again: {called}"
    if not all(2 <= count <= 2 * (1 + deaths) for count, deaths in zip(made, lost, strict=True)):
        return f"calls were lost or doubled, with {lost} deaths of OpenCode: {called}"
    return None


async def busy(server: LiveServer, projects: Sequence[Path]) -> dict[str, object]:
    """What OpenCode itself says to be at work."""
    record = json.loads((server.data_dir / "opencode-server.json").read_text())
    http = OpencodeHttp(FixedEndpoint(Endpoint(f"http://127.0.0.1:{record['port']}", record["password"])))
    try:
        found = [await OpencodeApi(http).statuses(str(project)) for project in projects]
    finally:
        await http.aclose()
    return {session: status for one in found for session, status in one.items()}

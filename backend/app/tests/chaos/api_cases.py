"""Thousands of generated requests against the running server: no 5xx, and the OpenAPI document tells the truth."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from app.tests.chaos.arena import Arena
from app.tests.chaos.races import CAREFUL, GATE, WORK
from app.tests.live_server import TOKEN

STREAM = "/events"
"""Never ends, so it has no response to be judged; test_events.py reads it."""
# A request that fits the document may still name what does not exist; `announced_refusals` judges those.
NOT_USED = "positive_data_acceptance"


@dataclass(frozen=True)
class Cases:
    """How many requests were sent, and every failure as a text."""

    count: int
    failures: list[str]


async def prepare_runs(arena: Arena) -> int:
    """Runs in every state; the number of the newest."""
    waiting = await arena.create(CAREFUL, prompt="[[tool:bash:{\"command\":\"true\",\"description\":\"d\"}]]")
    gate = await arena.create(WORK, GATE)
    for action in ("reject", "abort", "approve"):
        run_id = await arena.create(GATE)
        await arena.until(run_id, "waiting_for_approval")
        await arena.together((f"/pipelines/{run_id}/{action}", {}))
    long = await arena.create(WORK, prompt="[[slow:6000:0.05]] [[say:Never.]]")
    await arena.until(gate, "waiting_for_approval")
    await arena.until(waiting, "waiting_for_input")
    await arena.until(long, "running")
    return long


async def send_cases(arena: Arena, folder: Path, per_operation: int, seed: int) -> Cases:
    """About `per_operation` fuzzed requests for each operation, and schemathesis' own for each rule of the document."""
    runs = await prepare_runs(arena)
    report = folder / "schemathesis.json"
    url = str(arena.http.base_url).rstrip("/")
    command = [
        str(Path(sys.executable).with_name("st")), "run", f"{url}/openapi.json", "-H", f"Authorization: Bearer {TOKEN}",
        "--checks", "all", "--exclude-checks", NOT_USED, "--mode", "all", "--phases", "coverage,fuzzing",
        "--max-examples", str(per_operation), "--seed", str(seed), "--exclude-path", STREAM, "--no-shrink",
        "--continue-on-failure", "--request-timeout", "30", "--warnings", "off", "--workers", "1",
        "--suppress-health-check", "all", "--report", "json", "--report-json-path", str(report),
    ]  # fmt: skip
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ} | {
        "HOME": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "SCHEMATHESIS_HOOKS": "app.tests.chaos.api_hooks",
        "CHAOS_RUNS": str(runs),
        "CHAOS_PROJECT": str(arena.directory()),
    }
    with (folder / "schemathesis.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=folder, stdout=log, stderr=log)
        code = await process.wait()
    said = (folder / "schemathesis.log").read_text()
    if not report.exists():
        return Cases(0, [f"schemathesis ended with {code}: {said[-3000:]}"])
    found = json.loads(report.read_text())
    return Cases(found["test_cases"]["generated"], [said] if code else [])

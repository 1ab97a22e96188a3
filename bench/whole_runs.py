"""Part one: five messages of two seconds, straight over OpenCode's HTTP API and as a run of Paceline, in turn."""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from figures import goal, spread, table

from app.adapters.opencode_wire import model_object
from app.tests.live_server import LiveServer, live_server

MODELS = ("scripted/alpha", "scripted/beta", "scripted/gamma", "scripted/delta", "scripted/alpha")
TWO_SECONDS = "[[slow:20:0.1]]"
"""Twenty pieces, a tenth of a second apart."""
UNATTENDED = [
    {"permission": name, "pattern": "*", "action": "deny"} for name in ("question", "external_directory", "doom_loop")
]
"""What any script must forbid, so that no agent waits for an answer."""
LIMIT = 1.05


@dataclass
class PickUps:
    """Seconds from a request of a person to the next prompt."""

    stored: list[float] = field(default_factory=list)
    """Until the attempt's row is written, right before the prompt is sent."""
    asked: list[float] = field(default_factory=list)
    """Until the provider is called; OpenCode's own start is in it."""


@dataclass
class Figures:
    """Everything that the rounds measured, in seconds."""

    straight: list[float] = field(default_factory=list)
    paceline: list[float] = field(default_factory=list)
    steps_only: list[float] = field(default_factory=list)
    """From the first stored prompt to the end: a run without its pick-up."""
    created: PickUps = field(default_factory=PickUps)
    approved: PickUps = field(default_factory=PickUps)
    straight_asked: list[float] = field(default_factory=list)


async def compare(rounds: int) -> None:
    """Run all rounds after one that is thrown away, and print what they say."""
    with tempfile.TemporaryDirectory(prefix="paceline-bench-") as name:
        folder = Path(name)
        url = f"sqlite+aiosqlite:///{folder / 'paceline.db'}"
        async with live_server(folder, url) as server, _opencode(server) as opencode:
            await _round(server, opencode, Figures(), ours_first=True)
            figures = Figures()
            for number in range(rounds):
                await _round(server, opencode, figures, ours_first=number % 2 == 0)
                ours, straight = figures.paceline[-1], figures.straight[-1]
                print(f"round {number + 1}: straight {straight:.2f} s, Paceline {ours:.2f} s")
    _report(figures)


def _opencode(server: LiveServer) -> httpx.AsyncClient:
    """The same OpenCode that the server started and uses."""
    record = json.loads((server.data_dir / "opencode-server.json").read_text())
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{record['port']}", auth=("opencode", record["password"]), timeout=120
    )


async def _round(server: LiveServer, opencode: httpx.AsyncClient, figures: Figures, *, ours_first: bool) -> None:
    if ours_first:
        await _paceline(server, figures)
        await _straight(server, opencode, figures)
    else:
        await _straight(server, opencode, figures)
        await _paceline(server, figures)
    await _gate(server, figures.approved)


async def _straight(server: LiveServer, opencode: httpx.AsyncClient, figures: Figures) -> None:
    """What the shortest script would do: a session and one blocking message for each step."""
    calls = len(server.provider.log)
    began = time.time()
    for number, model in enumerate(MODELS):
        where = {"directory": str(server.project)}
        session = {"title": f"straight {number}", "permission": UNATTENDED}
        created = (await opencode.post("/session", params=where, json=session)).json()
        message = {"agent": "build", "model": model_object(model), "parts": [{"type": "text", "text": TWO_SECONDS}]}
        answer = (await opencode.post(f"/session/{created['id']}/message", json=message)).json()
        assert answer["info"]["finish"] == "stop", answer["info"]
    figures.straight.append(time.time() - began)
    figures.straight_asked.append(server.provider.log[calls].at - began)


async def _paceline(server: LiveServer, figures: Figures) -> None:
    calls = len(server.provider.log)
    began = time.time()
    steps = [{"type": "agent", "agent": "first", "model": model} for model in MODELS]
    body = {"title": "Bench", "prompt": TWO_SECONDS, "working_dir": str(server.project), "custom_steps": steps}
    run_id = int((await server.http.post("/pipelines", json=body)).raise_for_status().json()["id"])
    await _event(server, run_id, "pipeline.done")
    ended = time.time()
    stored = await _prompt_stored(server, run_id, 0)
    figures.paceline.append(ended - began)
    figures.steps_only.append(ended - stored)
    figures.created.stored.append(stored - began)
    figures.created.asked.append(server.provider.log[calls].at - began)


async def _gate(server: LiveServer, figures: PickUps) -> None:
    run_id = await server.create("[[say:ok]]", template="gated")
    await _event(server, run_id, "pipeline.waiting")
    calls = len(server.provider.log)
    began = time.time()
    (await server.http.post(f"/pipelines/{run_id}/approve")).raise_for_status()
    await _event(server, run_id, "pipeline.done")
    figures.stored.append(await _prompt_stored(server, run_id, 2) - began)
    figures.asked.append(server.provider.log[calls].at - began)


async def _event(server: LiveServer, run_id: int, wanted: str) -> None:
    """Follow the event stream of a run from its beginning to an event."""
    stream = server.http.stream(
        "GET", "/events", params={"pipeline_id": run_id}, headers={"last-event-id": "0"}, timeout=120
    )
    async with stream as response:
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                kind = json.loads(line.removeprefix("data:"))["type"]
                assert kind in (wanted, "pipeline.waiting") or kind not in ("pipeline.failed", "pipeline.aborted"), kind
                if kind == wanted:
                    return
    raise AssertionError(f"the stream ended before {wanted}")


async def _prompt_stored(server: LiveServer, run_id: int, order_index: int) -> float:
    step: dict[str, Any] = (await server.run(run_id))["steps"][order_index]
    answer = await server.http.get(f"/pipelines/{run_id}/steps/{step['id']}/attempts")
    return datetime.fromisoformat(answer.json()["items"][0]["started_at"]).timestamp()


def _report(figures: Figures) -> None:
    straight, ours, steps = (median(found) for found in (figures.straight, figures.paceline, figures.steps_only))
    table(
        ("five messages of 2 s, median", "seconds", "ratio", "smallest and largest ratio of a round"),
        [
            ("straight over OpenCode's API", f"{straight:.2f}", "1.000", ""),
            _row("Paceline, from create to done", ours, straight, _ratios(figures.paceline, figures)),
            _row("  without the pick-up", steps, straight, _ratios(figures.steps_only, figures)),
        ],
    )
    table(
        ("pick-up, median (smallest to largest)", "prompt stored", "provider called"),
        [
            ("create to first prompt", spread(figures.created.stored), spread(figures.created.asked)),
            ("approve to next prompt", spread(figures.approved.stored), spread(figures.approved.asked)),
            ("straight: session to first prompt", "-", spread(figures.straight_asked)),
        ],
    )
    goal("whole run against the bare API", ours / straight, LIMIT, "x")


def _row(what: str, seconds: float, straight: float, ratios: str) -> tuple[str, str, str, str]:
    return what, f"{seconds:.2f}", f"{seconds / straight:.3f}", ratios


def _ratios(times: Sequence[float], figures: Figures) -> str:
    found = [time / straight for time, straight in zip(times, figures.straight, strict=True)]
    return f"{min(found):.3f} to {max(found):.3f}"

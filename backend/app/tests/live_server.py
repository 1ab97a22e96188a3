"""A real `paceline serve` in a process of its own, on real OpenCode with the scripted provider: to be killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from app.demo.provider import ScriptedProvider
from app.demo.provider_config import ScriptedModel, ScriptedSetup, opencode_config
from app.demo.provider_server import serving
from app.tests.fake_opencode import FakeOpenCode

AGENTS = """\
agents:
  - {name: first, description: Begins., opencode_agent: build, default_model: scripted/alpha}
  - {name: second, description: Goes on., opencode_agent: build, default_model: beta}
"""
PIPELINES = """\
pipelines:
  - {name: one, description: One step., steps: [{agent: first}]}
  - {name: two, description: Two steps., steps: [{agent: first}, {agent: second}]}
  - name: gated
    description: A gate between two steps.
    steps: [{agent: first}, {type: approval, description: Go on?, remind_after_hours: 0.0001}, {agent: second}]
  - {name: careful, description: Asks first., steps: [{agent: first, permissions: [{tool: bash, action: ask}]}]}
"""
NAMES = ("alpha", "beta", "gamma", "delta")
SETUP = ScriptedSetup([ScriptedModel(name, name.title(), price_input=1, price_output=2) for name in NAMES])
TOKEN = "live-token"
FINAL = ("done", "failed", "aborted")


class LiveServer:
    """One data directory and the server processes that use it one after the other."""

    def __init__(self, folder: Path, provider: ScriptedProvider, environment: dict[str, str]) -> None:
        """`provider` is the one that its OpenCode asks; `environment` is all that the server sees."""
        self.folder = folder
        self.provider = provider
        self.project = folder / "project"
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._opencode_pids: set[int] = set()
        self.http = httpx.AsyncClient()

    @property
    def data_dir(self) -> Path:
        """PACELINE_DATA_DIR of this server."""
        return self.folder / "data"

    async def start(self, **extra: str) -> None:
        """Start the server, with more variables if given, and wait until it takes work."""
        log = (self.folder / "server.log").open("a")
        self._process = subprocess.Popen(
            [Path(sys.executable).with_name("paceline"), "serve", "--port", "0"],
            env=self._environment | extra, stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.folder,
        )  # fmt: skip
        log.close()
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        assert line, (self.folder / "server.log").read_text()[-3000:]
        await self.http.aclose()
        self.http = httpx.AsyncClient(
            base_url=line.partition("/ui/")[0], headers={"authorization": f"Bearer {TOKEN}"}, timeout=30
        )
        await self.until(self._ready, 60)

    async def _ready(self) -> bool:
        answer = await self.http.get("/health/opencode")
        health = answer.json()
        if health.get("managed") and health.get("pid"):
            self._opencode_pids.add(health["pid"])
        return answer.status_code == 200 and health["state"] == "ready"

    def is_dead(self) -> bool:
        """True when the process has ended by itself, as it does at a fail point."""
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """kill -9 of the server; OpenCode lives on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def opencode_pid(self) -> int:
        """The managed OpenCode, as the state file names it."""
        record = json.loads((self.data_dir / "opencode-server.json").read_text())
        pid: int = record["pid"]
        self._opencode_pids.add(pid)
        return pid

    def kill_opencode(self) -> None:
        """kill -9 of the managed OpenCode alone, not of what it started."""
        os.kill(self.opencode_pid(), signal.SIGKILL)

    async def terminate(self, seconds: float = 10) -> None:
        """SIGTERM, and an end within `seconds`; nothing when it is dead already."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.terminate()
            await asyncio.to_thread(self._process.wait, seconds)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    async def close(self) -> None:
        """End everything, whatever the test left running."""
        if (self.data_dir / "opencode-server.json").exists():
            self.opencode_pid()
        await self.http.aclose()
        await self.terminate()
        for pid in self._opencode_pids:
            # Gone already, or a zombie of a server that was killed: nothing to end.
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if "opencode" in " ".join(process.cmdline()):
                    process.kill()

    async def create(self, prompt: str, template: str | None = "one", **body: Any) -> int:
        """Create a run in the project and return its id."""
        given = {"template": template, "title": "T", "prompt": prompt, "working_dir": str(self.project)}
        answer = await self.http.post("/pipelines", json=given | body)
        assert answer.status_code == 201, answer.text
        run_id: int = answer.json()["id"]
        return run_id

    async def run(self, run_id: int) -> dict[str, Any]:
        """The run as the API shows it."""
        answer: dict[str, Any] = (await self.http.get(f"/pipelines/{run_id}")).json()
        return answer

    async def finished(self, run_id: int, *states: str, seconds: float = 60) -> dict[str, Any]:
        """The run once it is in one of the states (any final one unless told)."""

        async def there() -> bool:
            return (await self.run(run_id))["status"] in (states or FINAL)

        await self.until(there, seconds)
        return await self.run(run_id)

    async def events(self, run_id: int) -> list[str]:
        """Types of the run's audit events in their order."""
        page = (await self.http.get("/audit", params={"pipeline_id": run_id, "limit": 200})).json()
        return [event["type"] for event in reversed(page["items"])]

    async def called(self, count: int, seconds: float = 30) -> None:
        """Wait until the provider was asked for `count` answers in all."""

        async def there() -> bool:
            return len(self.provider.models_called()) >= count

        await self.until(there, seconds)

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
        """Wait for a condition; connection errors count as not yet."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                if await condition():
                    return
            except httpx.TransportError:
                pass
            log = self.folder / "server.log"
            tail = log.read_text()[-3000:] if log.exists() else ""
            assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s\n{tail}"
            await asyncio.sleep(0.05)


def _environment(folder: Path, database_url: str, extra: dict[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PACELINE_DATA_DIR": str(folder / "data"),
        "PACELINE_DATABASE_URL": database_url,
        "PACELINE_TOKEN": TOKEN,
        "PACELINE_FS_ROOTS": str(folder),
        "PACELINE_OPENCODE_CONFIG": str(folder / "opencode.json"),
        **extra,
    }


def _make_project(project: Path) -> None:
    project.mkdir()
    (project / "readme.txt").write_text("A project.\n")
    name = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*name, "commit", "-qm", "Begin"]):
        subprocess.run(["git", "-C", str(project), *command], check=True)


@asynccontextmanager
async def live_server(folder: Path, database_url: str, **extra: str) -> AsyncIterator[LiveServer]:
    """A started server with a git project and a real OpenCode of its own; `extra` are environment variables."""
    provider = ScriptedProvider()
    async with serving(provider.app) as provider_url:
        (folder / "opencode.json").write_text(json.dumps(opencode_config(provider_url, SETUP)))
        server = LiveServer(folder, provider, _environment(folder, database_url, extra))
        _lay_out(folder)
        try:
            await server.start()
            yield server
        finally:
            await server.close()


@asynccontextmanager
async def attached_server(folder: Path, database_url: str, opencode: FakeOpenCode) -> AsyncIterator[LiveServer]:
    """A server that is not started yet, on an OpenCode that outlives it."""
    endpoint = opencode.endpoint()
    attach = {"PACELINE_OPENCODE_URL": endpoint.url, "PACELINE_OPENCODE_PASSWORD": endpoint.password or ""}
    server = LiveServer(folder, opencode.provider, _environment(folder, database_url, attach))
    _lay_out(folder)
    try:
        yield server
    finally:
        await server.close()


def _lay_out(folder: Path) -> None:
    config = folder / "data" / "config"
    config.mkdir(parents=True)
    (config / "agents.yaml").write_text(AGENTS)
    (config / "pipelines.yaml").write_text(PIPELINES)
    (folder / "home").mkdir(exist_ok=True)
    _make_project(folder / "project")

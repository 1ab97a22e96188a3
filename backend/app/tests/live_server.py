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
from typing import IO, Any, Protocol

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
  - {name: twice, description: Tries again., steps: [{agent: first, retry: {attempts: 2, backoff_seconds: 0.1}}]}
  - {name: careful, description: Asks first., steps: [{agent: first, permissions: [{tool: bash, action: ask}]}]}
"""
NAMES = ("alpha", "beta", "gamma", "delta")
SETUP = ScriptedSetup([ScriptedModel(name, name.title(), price_input=1, price_output=2) for name in NAMES])
TOKEN = "live-token"
FINAL = ("done", "failed", "aborted")


class ServerProcess(Protocol):
    """What is needed of `subprocess.Popen`."""

    pid: int
    stdout: IO[str] | None

    def poll(self) -> int | None:
        """None while it lives."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def terminate(self) -> None:
        """SIGTERM."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        ...


StartServer = Callable[[dict[str, str], Path, IO[str]], ServerProcess]
"""Starts `paceline serve --port 0` with an environment in a folder, standard error into a file."""


def start_paceline(environment: dict[str, str], folder: Path, log: IO[str]) -> ServerProcess:
    """As a person does it."""
    return subprocess.Popen(
        [Path(sys.executable).with_name("paceline"), "serve", "--port", "0"],
        env=environment, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder,
    )  # fmt: skip


class ServerDied(AssertionError):
    """It ended before it took work."""


class LiveServer:
    """One data directory and the server processes that use it one after the other."""

    def __init__(
        self,
        folder: Path,
        provider: ScriptedProvider,
        environment: dict[str, str],
        start_process: StartServer = start_paceline,
    ) -> None:
        """`provider` is the one that its OpenCode asks; `environment` is all that the server sees."""
        self.folder = folder
        self.provider = provider
        self.project = folder / "project"
        self._environment = environment
        self._start_process = start_process
        self._process: ServerProcess | None = None
        self._opencode_pids: set[int] = set()
        self.http = httpx.AsyncClient()

    @property
    def data_dir(self) -> Path:
        """PACELINE_DATA_DIR of this server."""
        return self.folder / "data"

    async def start(self, **extra: str) -> None:
        """Start the server, with more variables if given, and wait until it takes work; ServerDied if it never does."""
        with (self.folder / "server.log").open("a") as log:
            self._process = self._start_process(self._environment | extra, self.folder, log)
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        if not line:
            raise ServerDied((self.folder / "server.log").read_text()[-3000:])
        await self.http.aclose()
        self.http = httpx.AsyncClient(
            base_url=line.partition("/ui/")[0], headers={"authorization": f"Bearer {TOKEN}"}, timeout=30
        )
        await self.until(self._ready, 60)

    async def _ready(self) -> bool:
        if self.is_dead():
            raise ServerDied((self.folder / "server.log").read_text()[-3000:])
        answer = await self.http.get("/health/opencode")
        health = answer.json()
        if health.get("managed") and health.get("pid"):
            self._opencode_pids.add(health["pid"])
        return answer.status_code == 200 and health["state"] == "ready"

    @property
    def pid(self) -> int:
        """Of the process that lives now."""
        assert self._process is not None
        return self._process.pid

    def is_dead(self) -> bool:
        """True when the process has ended by itself, as it does at a fail point."""
        return self._process is None or self._process.poll() is not None

    def freeze(self) -> None:
        """SIGSTOP: nothing runs in it any more, and nobody is told."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on as if no time had passed."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def is_frozen(self) -> bool:
        """True when it is stopped, as it is at a stop point."""
        assert self._process is not None
        return bool(psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED)

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
                self.thaw()
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


def make_project(project: Path) -> None:
    """A git repository with one commit."""
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
async def attached_server(
    folder: Path, database_url: str, opencode: FakeOpenCode, start_process: StartServer = start_paceline, **extra: str
) -> AsyncIterator[LiveServer]:
    """A server that is not started yet, on an OpenCode that outlives it; `extra` are environment variables."""
    endpoint = opencode.endpoint()
    attach = {"PACELINE_OPENCODE_URL": endpoint.url, "PACELINE_OPENCODE_PASSWORD": endpoint.password or ""}
    server = LiveServer(folder, opencode.provider, _environment(folder, database_url, attach | extra), start_process)
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
    make_project(folder / "project")

"""A `paceline serve` process on the fake OpenCode, and the command line as a script sees it."""

import asyncio
import contextlib
import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.demo.provider_config import ScriptedModel, ScriptedSetup
from app.tests.fake_opencode import FakeOpenCode

AGENTS = """\
agents:
  - {name: first, description: Begins., opencode_agent: build, default_model: scripted/alpha}
  - {name: second, description: Goes on., opencode_agent: build, default_model: beta}
"""
PIPELINES = """\
pipelines:
  - {name: one, description: One step., steps: [{agent: first}]}
  - name: gated
    description: A gate between two steps.
    steps: [{agent: first}, {type: approval, description: Shall it go on?}, {agent: second}]
  - {name: stubborn, description: Tries again., steps: [{agent: first, retry: {attempts: 2, backoff_seconds: 0.5}}]}
  - {name: patient, description: Much later., steps: [{agent: first, retry: {attempts: 3, backoff_seconds: 7200}}]}
  - name: careful
    description: Asks before each command.
    steps: [{agent: first, permissions: [{tool: bash, action: ask}, {tool: question, action: ask}]}]
"""
MODELS = ScriptedSetup([ScriptedModel(name, name.title(), price_input=1, price_output=2) for name in ("alpha", "beta")])


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def paceline(*arguments: str | int) -> Said:
    """Run a command in this process, exactly as the program does it."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code
    return Said(int(code or 0), out.getvalue(), err.getvalue())


async def cli(*arguments: str | int) -> Said:
    """The same, while this loop goes on serving the fake OpenCode."""
    return await asyncio.to_thread(paceline, *arguments)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Logging as it was before the test."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


@dataclass
class ServeProcess:
    """One `paceline serve` in an environment of its own."""

    log: Path
    environment: dict[str, str]
    arguments: tuple[str, ...] = ("--port", "0")
    process: "subprocess.Popen[str]" = field(init=False)
    login_url: str = ""

    def __post_init__(self) -> None:
        """Starts it; `until_listening` waits."""
        program = Path(sys.executable).with_name("paceline")
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [program, "serve", *self.arguments],
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    async def until_listening(self) -> str:
        """The address with the login that it prints; fails with its log when it ends instead."""
        assert self.process.stdout is not None
        self.login_url = (await asyncio.to_thread(self.process.stdout.readline)).strip()
        assert self.login_url, self.log.read_text()[-3000:]
        return self.login_url

    @property
    def url(self) -> str:
        """Its address."""
        return self.login_url.partition("/ui/")[0]

    async def ended(self, seconds: float = 30) -> int:
        """Its exit code."""
        return await asyncio.to_thread(self.process.wait, seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def close(self) -> None:
        """End it, however it is."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(12)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def serving_process(place: "Place", *arguments: str, log: str = "serve.log") -> Iterator[ServeProcess]:
    """A server process that ends with the block; its logs are appended to a file of the place."""
    server = ServeProcess(place.folder / log, place.environment, arguments or ("--port", "0"))
    try:
        yield server
    finally:
        server.close()


@dataclass
class Place:
    """What servers and commands of a test share: an environment, a git project, the fake OpenCode."""

    folder: Path
    fake: FakeOpenCode
    environment: dict[str, str]

    @property
    def project(self) -> Path:
        """A repository with one commit."""
        return self.folder / "project"

    @property
    def data_dir(self) -> Path:
        """PACELINE_DATA_DIR."""
        return self.folder / "data"

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let commands of this process run in the project, in this environment."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(self.project)

    async def json(self, *arguments: str | int) -> Any:
        """The data that a command prints with --json."""
        said = await cli(*arguments, "--json")
        assert said.code == 0, said.err
        return json.loads(said.out)


@asynccontextmanager
async def cli_place(folder: Path, sqlite_template: Path) -> AsyncIterator[Place]:
    """A place with a migrated database; nothing of Paceline runs yet."""
    _make_project(folder / "project")
    config = folder / "data" / "config"
    config.mkdir(parents=True)
    (folder / "home").mkdir(exist_ok=True)
    (config / "agents.yaml").write_text(AGENTS)
    (config / "pipelines.yaml").write_text(PIPELINES)
    shutil.copy(sqlite_template, folder / "data" / "paceline.db")
    fake = FakeOpenCode(MODELS)
    async with fake.serve():
        at = fake.endpoint()
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        yield Place(folder, fake, kept | {
            "HOME": str(folder / "home"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PACELINE_DATA_DIR": str(folder / "data"),
            "PACELINE_FS_ROOTS": str(folder),
            "PACELINE_OPENCODE_URL": at.url,
            "PACELINE_OPENCODE_PASSWORD": at.password or "",
        })  # fmt: skip


def _make_project(project: Path) -> None:
    project.mkdir()
    (project / "readme.txt").write_text("A project.\n")
    person = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid")
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*person, "commit", "-qm", "Begin"]):
        subprocess.run(["git", "-C", str(project), *command], check=True)

"""`paceline demo`: everything for real but the models, in a folder of its own that is gone afterwards."""

import asyncio
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from app.adapters import data_dir
from app.cli.connection import Connection, ServerAddress
from app.cli.exits import CommandError, ExitCode
from app.cli.following import Follower, say_outcome
from app.cli.logs import log_to_stderr
from app.cli.output import put, say
from app.cli.server_commands import StartedServer, failures_as_sentences, serve_until_signal
from app.settings import Settings

_OPENCODE_SECONDS = 90.0
_LAST_RESORT_SECONDS = 30.0


def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the page.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder with everything that was made.")] = False,
) -> None:
    """Watch a run of four agents, without a key.

    The models are scripts; OpenCode, the server, the page, the tools and the changed files are real.
    Ctrl-C ends everything.
    """
    before = dict(os.environ)
    with failures_as_sentences(), demo_folder(keep) as folder:
        own_environment(folder)
        say("[1/4] a small git repository to work on, and agents and a template for it")
        place = prepare(folder)
        guide = Guide(place, before, browser=not no_browser)
        asyncio.run(_run(place, port, guide))
        say("Ended; nothing runs any more.")


@dataclass(frozen=True)
class DemoPlace:
    """Where the demo keeps everything."""

    folder: Path

    @property
    def project(self) -> Path:
        """The repository that the run works on."""
        return self.folder / "corner-shop"

    @property
    def opencode_config(self) -> Path:
        """OpenCode's configuration: the scripted provider and nothing else."""
        return self.folder / "opencode.json"

    def settings(self) -> Settings:
        """Settings of a server that touches nothing outside the folder and runs the pinned OpenCode."""
        from app.adapters.opencode_binary import find_binary

        binary, _ = find_binary(search_path=False)
        return Settings(
            data_dir=self.folder / "data",
            config_dir=self.folder / "config",
            fs_roots=(self.folder,),
            opencode_config=self.opencode_config,
            opencode_bin=binary,
        )


@contextmanager
def demo_folder(keep: bool) -> Iterator[Path]:
    """A new folder in the system's temporary one, removed at the end unless it shall be kept."""
    folder = Path(tempfile.mkdtemp(prefix="paceline-demo-")).resolve()
    try:
        yield folder
    finally:
        if keep:
            say(f"Kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def own_environment(folder: Path) -> None:
    """Nothing of the user's Paceline, OpenCode or home is seen or touched from here on."""
    for name in list(os.environ):
        if name.startswith(("PACELINE_", "OPENCODE_", "XDG_", "GIT_")):
            del os.environ[name]
    for variable, name in (("HOME", "home"), ("TMPDIR", "tmp")):
        (folder / name).mkdir()
        os.environ[variable] = str(folder / name)
    os.environ["PACELINE_DATA_DIR"] = str(folder / "data")
    # What the scripted models call `python3` is the Python that Paceline itself runs on.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    os.environ["OPENCODE_DISABLE_MODELS_FETCH"] = "1"
    os.environ["OPENCODE_DISABLE_LSP_DOWNLOAD"] = "1"


def prepare(folder: Path) -> DemoPlace:
    """Write the sample project and the registry."""
    from app.demo.demo_project import make_project
    from app.demo.demo_registry import write_registry

    place = DemoPlace(folder)
    make_project(place.project)
    write_registry(folder / "config")
    return place


async def _run(place: DemoPlace, port: int, guide: "Guide") -> None:
    from app.cli.web_server import bind
    from app.demo.demo_registry import SETUP
    from app.demo.provider import ScriptedProvider
    from app.demo.provider_config import opencode_config
    from app.demo.provider_server import serving
    from app.demo.scenario import demo_scenario

    say("[2/4] the scripted model provider")
    async with serving(ScriptedProvider(demo_scenario).app) as provider:
        place.opencode_config.write_text(json.dumps(opencode_config(provider, SETUP), indent=2), encoding="utf-8")
        settings = place.settings()
        listener = bind("127.0.0.1", port)
        data_dir.prepare(settings.data_dir)
        token = data_dir.token(settings.data_dir, None)
        log_to_stderr("warning", (token,))
        started = StartedServer.at(listener, settings, token)
        say("[3/4] the server, and a real OpenCode (5 to 20 seconds)")
        await serve_until_signal(settings, listener, started, guide.start, _LAST_RESORT_SECONDS)


class Guide:
    """Creates the run as soon as the server can take it, and says what happens and what can be done.

    Works in a thread of its own, over HTTP like everybody else, and ends with the process.
    """

    def __init__(self, place: DemoPlace, environment: Mapping[str, str], *, browser: bool) -> None:
        """`environment` is the user's own, for the page's browser and for commands in another terminal."""
        self._place = place
        self._environment = environment
        has_display = sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(environment))
        self._opens_browser = browser and has_display

    def start(self, started: StartedServer) -> None:
        """Called by the server once it answers."""
        threading.Thread(target=self._guide, args=(started,), daemon=True, name="demo-guide").start()

    def _guide(self, started: StartedServer) -> None:
        connection = Connection(ServerAddress(started.url, started.token))
        try:
            self._wait_for_opencode(connection)
            run = connection.post("/pipelines", _request(self._place))
            self._tell(started, run["id"])
            follower = Follower(connection, run["id"], patience=0)
            if say_outcome(follower.follow()) is ExitCode.WAITING:
                say(f"Or here: {self._command('approve', run['id'])}")
                say_outcome(follower.follow(through_gates=True))
            say(f"What has changed: {self._command('show', run['id'])} --diff")
            say("The server goes on; Ctrl-C ends it.")
        except CommandError as error:
            # The server is being ended, or it has said more in its log than could be said here.
            if error.code is not ExitCode.UNREACHABLE:
                say(f"{error.sentence} {' '.join(error.lines)}")
        finally:
            connection.close()

    def _wait_for_opencode(self, connection: Connection) -> None:
        deadline = time.monotonic() + _OPENCODE_SECONDS
        while (health := connection.health())["opencode"] != "ready":
            if time.monotonic() > deadline:
                say(f"OpenCode is not ready: {health['reason']} The run waits for it.")
                return
            time.sleep(0.25)

    def _tell(self, started: StartedServer, run_id: int) -> None:
        say(f"[4/4] run {run_id}: four agents, each on another model, with a decision before the last")
        say("")
        say("Open this address to watch and to decide (it holds the login):")
        put(started.login_url)
        say("")
        if self._opens_browser:
            _open(f"http://{started.name}/ui/runs/{run_id}#token={started.token}", self._environment)

    def _command(self, action: str, run_id: int) -> str:
        """A command for another terminal."""
        program = os.path.abspath(sys.argv[0])
        name = os.path.basename(program)
        known = shutil.which(name, path=self._environment.get("PATH")) == program
        command = shlex.join([name if known else os.path.relpath(program), action, str(run_id)])
        return f"PACELINE_DATA_DIR={shlex.quote(str(self._place.folder / 'data'))} {command}"


def _request(place: DemoPlace) -> dict[str, Any]:
    from app.demo.demo_project import TASK_PROMPT, TASK_TITLE
    from app.demo.demo_registry import STEP_MODELS, TEMPLATE

    return {
        "template": TEMPLATE,
        "title": TASK_TITLE,
        "prompt": TASK_PROMPT,
        "working_dir": str(place.project),
        "branch": "main",
        "step_models": STEP_MODELS,
    }


def _open(url: str, environment: Mapping[str, str]) -> None:
    """Open the page with the user's own home, so that their browser is the one they know."""
    subprocess.Popen(
        [sys.executable, "-m", "webbrowser", url],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


COMMANDS = (demo,)

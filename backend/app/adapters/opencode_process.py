"""Our own `opencode serve`: started, watched, found again after our death, ended with all it started."""

import asyncio
import json
import logging
import os
import secrets
import socket
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from app.adapters.data_dir import write_private
from app.adapters.opencode_attached import ServerStatus
from app.adapters.opencode_binary import find_binary
from app.adapters.opencode_children import ProcessIdentity, ServerRecord, end_server, end_strays, spawn
from app.adapters.opencode_claim import FolderClaim
from app.adapters.opencode_environment import ChildSetup, child_environment, disables_third_party, opencode_data_dir
from app.adapters.opencode_http import Endpoint
from app.adapters.opencode_pulse import PulseTiming, until_silent
from app.adapters.task_end import cancel
from app.errors import OpencodeUnavailable

_log = logging.getLogger(__name__)
STATE_FILE = "opencode-server.json"
LOG_FILE = "opencode.log"
PATIENCE = 3.0
"""Seconds between asking a server to end and killing it. Idle ones end within a second; in mid-turn
OpenCode does not answer TERM at all (measured), and our own stop has to take less than ten seconds."""


@dataclass(frozen=True)
class ManagedSettings:
    """How the managed server is run."""

    data_dir: Path
    setup: ChildSetup
    binary: Path | None = None
    search_path: bool = True
    """Whether an OpenCode on PATH may be used when this installation has none."""
    start_seconds: float = 60
    lasting_seconds: float = 60
    """How long it must have lived until its end is no reason to wait longer before the next start."""
    pulse: PulseTiming = field(default_factory=PulseTiming)


class OpenCodeServer(ServerStatus):
    """Our own `opencode serve`: found again after our death, restarted after its own."""

    def __init__(self, settings: ManagedSettings) -> None:
        super().__init__(managed=True)
        self._settings = settings
        self._record: ServerRecord | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._binary: Path | None = None
        self._instance = 0
        self._changing = asyncio.Lock()
        """Two starts at once would make two supervisors, and two servers on one folder."""
        self._environment = child_environment(os.environ, settings.setup, "", "")
        self._claim = FolderClaim(opencode_data_dir(self._environment), settings.data_dir)

    @property
    def disables_third_party(self) -> bool:
        """Whether OpenCode's hosted provider is switched off because nothing says where prompts go."""
        return disables_third_party(self._environment)

    async def start(self) -> None:
        """Re-attach to the server of an earlier process of ours, or start one; returns at once."""
        async with self._changing:
            if self._task is None or self._task.done() or self._state == "down":
                await cancel(self._task)
                self._set("starting", "OpenCode is starting.")
                self._task = asyncio.create_task(self._supervise(), name="opencode-server")

    async def stop(self, *, keep_running: bool = False) -> None:
        """End the server and everything it started, or leave it for the next process of ours."""
        async with self._changing:
            await self._stop(keep_running)

    async def _stop(self, keep_running: bool) -> None:
        await cancel(self._task)
        self._task = None
        record, self._record, self._endpoint = self._record, None, None
        if record is not None and not keep_running:
            await asyncio.to_thread(end_server, record.identity, record.mark, PATIENCE)
            self._state_file.unlink(missing_ok=True)
        self._reap(keep_running)
        self._claim.give_back(keep_running=keep_running)
        self._set("stopped", "OpenCode was stopped.")

    @property
    def _state_file(self) -> Path:
        return self._settings.data_dir / STATE_FILE

    def _pid(self) -> int | None:
        return self._record.pid if self._record else None

    def _note(self, version: str | None) -> str | None:
        notes = [super()._note(version)]
        if self.disables_third_party:
            notes.append("No model or provider list is configured: the hosted provider `opencode` is switched off.")
        return " ".join(note for note in notes if note) or None

    async def _supervise(self) -> None:
        pause = 0.5
        while True:
            try:
                await self._bring_up()
                answered = asyncio.get_running_loop().time()
                died = await self._until_over()
                if asyncio.get_running_loop().time() - answered >= self._settings.lasting_seconds:
                    pause = 0.5
                if died:
                    self._set("down", "OpenCode ended unexpectedly; it is being started again.")
                else:
                    await self._end_hung()
            except OpencodeUnavailable as error:
                self._set("down", error.detail)
            except (OSError, psutil.Error) as error:
                # A full disk, a folder that is gone: it may be mended while we wait.
                self._set("down", f"OpenCode could not be started: {error}.")
            except Exception as error:
                # A defect of ours must not leave every run waiting for a supervisor that is gone.
                _log.exception("the supervision of OpenCode failed")
                self._set("down", f"OpenCode could not be supervised ({error!r}); it is being started again.")
            self._endpoint = None
            await asyncio.sleep(pause)
            pause = min(pause * 2, 30)

    async def _bring_up(self) -> None:
        self._claim.take()
        if await self._found_again():
            return
        await self._clear_away(self._record or ServerRecord.read(self._state_file))
        await self._launch(await self._find_binary())

    async def _find_binary(self) -> Path:
        if self._binary is not None and self._binary.exists():
            return self._binary
        chosen, on_path = self._settings.binary, self._settings.search_path
        found, _ = await asyncio.to_thread(find_binary, chosen, search_path=on_path)
        self._binary = found
        return found

    async def _found_again(self) -> bool:
        """Whether the server of an earlier process of ours still runs and answers; a busy one gets some time."""
        record = ServerRecord.read(self._state_file)
        tries = 10
        while record is not None and tries and record.identity.alive():
            with suppress(OpencodeUnavailable):
                await self._adopt(record)
                return True
            await asyncio.sleep(0.5)
            tries -= 1
        return False

    async def _launch(self, binary: Path) -> None:
        settings, port = self._settings, _free_port()
        password, mark = secrets.token_urlsafe(24), secrets.token_hex(8)
        self._environment = child_environment(os.environ, settings.setup, password, mark)
        command = [str(binary), "serve", "--hostname", "127.0.0.1", "--port", str(port)]
        folder, log = settings.setup.own_folder, settings.data_dir / LOG_FILE
        self._process = spawn(command, self._environment, folder, log)
        identity = ProcessIdentity.of(self._process.pid)
        self._record = ServerRecord(identity.pid, identity.start_time, port, password, mark)
        self._write()
        deadline = asyncio.get_running_loop().time() + settings.start_seconds
        while asyncio.get_running_loop().time() < deadline:
            if self._process.poll() is not None:
                raise OpencodeUnavailable(f"OpenCode ended while it started; {log} says why.")
            with suppress(OpencodeUnavailable):
                # A connection that is taken while it still starts may never be answered: ask again soon.
                await self._adopt(self._record, patience=1.5)
                return
            await asyncio.sleep(0.2)
        raise OpencodeUnavailable(f"OpenCode did not answer within {settings.start_seconds:.0f} s; see {log}.")

    async def _adopt(self, record: ServerRecord, patience: float = 5) -> None:
        self._instance += 1
        await self._check(Endpoint(record.url, record.password, instance=self._instance), patience)
        self._record = replace(record, version=self._version)
        self._write()

    def _write(self) -> None:
        if self._record is not None:
            write_private(self._state_file, json.dumps(asdict(self._record)))
            self._claim.note(self._record.identity)

    async def _until_over(self) -> bool:
        """Wait for the end of a server that answered: True when it died, False when it lives and does not answer."""
        record, at = self._record, self.endpoint()
        providers = asyncio.create_task(self._ask_providers(30))
        pulse = asyncio.create_task(until_silent(at, self._settings.pulse))
        try:
            while record is not None and record.identity.alive():
                if self._process is not None:
                    self._process.poll()
                await asyncio.wait([pulse], timeout=0.25)
                if pulse.done():
                    return False
            return True
        finally:
            await cancel(providers)
            await cancel(pulse)

    async def _end_hung(self) -> None:
        seconds = self._settings.pulse.in_all
        self._set("down", f"OpenCode lived and did not answer for {seconds:.0f} s; it is ended and started again.")
        self._endpoint = None
        await self._clear_away(self._record)

    async def _clear_away(self, record: ServerRecord | None) -> None:
        """End what is left of an earlier server: a second one on its data would run prompts twice."""
        if record is not None:
            await asyncio.to_thread(end_server, record.identity, record.mark, PATIENCE)
        await asyncio.to_thread(end_strays, opencode_data_dir(self._environment))
        self._record = None
        self._state_file.unlink(missing_ok=True)
        self._reap(keep_running=False)

    def _reap(self, keep_running: bool) -> None:
        if self._process is not None and keep_running:
            _left_running.append(self._process)
        elif self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
        self._process = None


_left_running: list["subprocess.Popen[bytes]"] = []
"""Keeps Python from complaining about servers that go on without us on purpose."""


def _free_port() -> int:
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        port: int = probe_socket.getsockname()[1]
        return port

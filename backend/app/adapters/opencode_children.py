"""Processes of the managed OpenCode: starting it, recognising it again, ending it with all it started."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from app.adapters.opencode_environment import MARK, opencode_data_dir

_LOG_LIMIT = 5_000_000


@dataclass(frozen=True)
class ProcessIdentity:
    """A process that no other one can be mistaken for: pids are used again, start times are not."""

    pid: int
    start_time: float

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity":
        """The identity of a living process. Raises `psutil.NoSuchProcess`."""
        return cls(pid, psutil.Process(pid).create_time())

    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.start_time) < 1
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False


@dataclass(frozen=True)
class ServerRecord:
    """What is written down about a managed server, so that the next process of ours finds it again."""

    pid: int
    start_time: float
    port: int
    password: str
    mark: str
    version: str | None = None

    @property
    def identity(self) -> ProcessIdentity:
        """The process."""
        return ProcessIdentity(self.pid, self.start_time)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    def read(cls, path: Path) -> "ServerRecord | None":
        """The record in a file, None when there is none that can be read."""
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return found if found._is_plausible() else None

    def _is_plausible(self) -> bool:
        """A file that something else wrote or cut must not make us end a process that is not ours."""
        numbers = isinstance(self.pid, int) and isinstance(self.port, int) and isinstance(self.start_time, int | float)
        texts = isinstance(self.password, str) and isinstance(self.mark, str) and self.mark != ""
        return numbers and texts and 1 < self.pid < 2**31 and 0 < self.port < 2**16


def spawn(command: list[str], environment: Mapping[str, str], folder: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Start a server in a session of its own, so that a Ctrl-C in our terminal does not reach it first."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)


def end_server(server: ProcessIdentity, mark: str, patience: float = 3) -> None:
    """End a server and everything it started: TERM, some patience, KILL. Blocks; nothing is left afterwards.

    Idle servers end within a second; in the middle of a turn OpenCode does not answer TERM at all,
    and what is left of that turn is the same as after KILL.
    """
    family = _descendants(server)
    if server.alive():
        _signal([server.pid], signal.SIGTERM)
        _wait([server], patience)
    _kill([server, *family])
    end_marked(mark)


def end_marked(mark: str) -> None:
    """Kill whatever carries the mark of a server that is gone, tools of its agents for example."""
    for _ in range(3):
        marked = list(_marked(mark))
        if not marked:
            return
        _kill(marked)


def end_strays(folder: Path) -> None:
    """Kill every server that we started on this OpenCode folder, with its tools, whatever its mark.

    For whoever holds the folder's lock and knows of no server: the record of one may have been lost.
    """
    for mark in {mark for mark in _marks_on(folder) if mark}:
        end_marked(mark)


def _marks_on(folder: Path) -> Iterable[str]:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            environment = process.environ()
            if MARK in environment and process.pid != os.getpid() and opencode_data_dir(environment) == folder:
                yield environment[MARK]


def _marked(mark: str) -> Iterable[ProcessIdentity]:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.pid != os.getpid():
                yield ProcessIdentity(process.pid, process.create_time())


def _descendants(server: ProcessIdentity) -> list[ProcessIdentity]:
    if not server.alive():
        return []
    found = []
    with suppress(psutil.Error):
        for child in psutil.Process(server.pid).children(recursive=True):
            with suppress(psutil.Error):
                found.append(ProcessIdentity(child.pid, child.create_time()))
    return found


def _kill(processes: list[ProcessIdentity]) -> None:
    _signal([process.pid for process in processes if process.alive()], signal.SIGKILL)
    _wait(processes, 5)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _wait(processes: list[ProcessIdentity], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(process.alive() for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)

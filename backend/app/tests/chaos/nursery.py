"""Starts `paceline serve` from a process that has read the third-party packages already: a start costs half the time.

Nothing of ours is shared: the child forks before any module of `app` but this one is read, so each
server reads its own settings, fail points and tables, as one started from a shell does.
"""

import asyncio
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO

import psutil  # type: ignore[import-untyped]

_PACKAGES = (
    "alembic.command", "dbos", "fastapi", "httpx", "platformdirs", "psutil", "psycopg", "pydantic_settings",
    "rich.console", "ruamel.yaml", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.ext.asyncio", "structlog", "typer", "uvicorn.loops.auto", "uvicorn.protocols.http.auto", "watchfiles",
)  # fmt: skip

_TASKS = "tasks-of-the-server"
"""A file in the server's folder."""


class ForkedServer:
    """A server process that is no child of ours; what `subprocess.Popen` has of it and we need."""

    def __init__(self, pid: int, stdout: IO[str]) -> None:
        self.pid = pid
        self.stdout: IO[str] | None = stdout
        self._process: psutil.Process | None = None
        with suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(pid)

    def poll(self) -> int | None:
        """None while it lives; how it ended is not known here."""
        try:
            alive = self._process is not None and self._process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return 0
        return None if alive else 0

    def kill(self) -> None:
        """SIGKILL, if it still lives."""
        if self.poll() is None and self._process is not None:
            self._process.kill()

    def terminate(self) -> None:
        """SIGTERM, if it still lives."""
        if self.poll() is None and self._process is not None:
            self._process.terminate()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; psutil.TimeoutExpired when it takes longer."""
        if self._process is not None and self.poll() is None:
            self._process.wait(timeout)
        return 0


class Nursery:
    """One process that forks servers for as long as the block runs; what still lives at its end is killed."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        environment["PYTHONPATH"] = str(Path(__file__).parents[3])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.tests.chaos.nursery"], stdin=theirs.fileno(), env=environment
            )

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()
        self._process.wait(20)

    def start(self, environment: dict[str, str], folder: Path, log: IO[str]) -> ForkedServer:
        """`paceline serve --port 0` with exactly this environment."""
        read, write = os.pipe()
        order = json.dumps({"environment": environment, "folder": str(folder)}).encode()
        socket.send_fds(self._ours, [order], [write, log.fileno()])
        os.close(write)
        return ForkedServer(int(self._ours.recv(32)), os.fdopen(read))


def _fork_on_demand(orders: socket.socket, children: set[int]) -> None:
    """Returns in a child, as a server that has ended, and at the end of the orders; `children` live until then."""
    while True:
        if select.select([orders], [], [], 0.02)[0]:
            order, handles, _, _ = socket.recv_fds(orders, 1 << 20, 2)
            if not order:
                break
            pid = os.fork()
            if pid == 0:
                children.clear()
                orders.close()
                _become_server(json.loads(order), *handles)
                return
            for handle in handles:
                os.close(handle)
            children.add(pid)
            orders.send(str(pid).encode())
        children -= {pid for pid in children if os.waitpid(pid, os.WNOHANG)[0]}


def tasks_of(process: psutil.Process, folder: Path) -> int:
    """How many asyncio tasks a server of a nursery has that are not done."""
    told = folder / _TASKS
    told.unlink(missing_ok=True)
    process.send_signal(signal.SIGUSR1)
    end = time.monotonic() + 10
    while not told.exists():
        assert time.monotonic() < end, "the server does not say how many tasks it has"
        time.sleep(0.01)
    return int(told.read_text())


def _tell_tasks(*_: object) -> None:
    """The tasks of every event loop: those that DBOS has in its own thread too."""
    alive = sum(isinstance(one, asyncio.Task) and not one.done() for one in gc.get_objects())
    new = Path(_TASKS + ".new")
    new.write_text(str(alive))
    new.replace(_TASKS)


def _become_server(order: dict[str, object], stdout: int, stderr: int) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGUSR1, _tell_tasks)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nowhere, 0), (stdout, 1), (stderr, 2)):
        os.dup2(source, target)
        os.close(source)
    environment = order["environment"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(order["folder"]))
    sys.argv = ["paceline", "serve", "--port", "0"]
    from app.cli import main

    main()


def _nurse() -> None:
    for name in _PACKAGES:
        import_module(name)
    ours = {name for name in sys.modules if name.startswith("app")}
    assert ours <= {"app", "app.tests", "app.tests.chaos"}, f"read before the fork: {ours}"
    # Whoever started us may be told to end, and we with it: servers are never left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    children: set[int] = set()
    try:
        _fork_on_demand(socket.socket(fileno=os.dup(0)), children)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _nurse()

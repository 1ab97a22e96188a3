"""`paceline serve`: one server for one database, with its address and login on standard output."""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from socket import socket
from typing import Annotated, Self

import typer

from app.adapters import data_dir
from app.adapters.file_lock import AlreadyLocked, FileLock
from app.cli.connection import load_settings
from app.cli.exits import CommandError, ExitCode
from app.cli.logs import log_to_stderr
from app.cli.output import put
from app.errors import DatabaseTaken, PacelineError
from app.settings import Settings, supported_platform

log = logging.getLogger("paceline.server")


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8000,
) -> None:
    """Start Paceline and print its address.

    The address has the login in it. Ctrl-C or SIGTERM ends it; what runs goes on at the next start.

    Exit codes: 1 it could not start, 2 wrong usage or the port is taken, 3 another server has the database.
    """
    settings = load_settings()
    run_server(settings, host, port, lambda started: put(started.login_url))


@dataclass(frozen=True)
class StartedServer:
    """Where a server of ours is."""

    url: str
    """Reaches it from this machine."""
    name: str
    """Host and port as its Host check wants them."""
    token: str

    @classmethod
    def at(cls, listener: socket, settings: Settings, token: str) -> Self:
        """The server on this socket."""
        host, port = listener.getsockname()[:2]
        reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        names = [name.lower() for name in settings.allowed_hosts]
        name = reached if reached.lower() in names else names[0]
        return cls(f"http://{reached}:{port}", f"{name}:{port}", token)

    @property
    def login_url(self) -> str:
        """The page, with the token in the fragment: browsers send no fragment to anybody."""
        return f"http://{self.name}/ui/#token={self.token}"

    def as_json(self) -> str:
        """What `server.json` holds."""
        known = {"url": self.url, "pid": os.getpid(), "version": version("paceline")}
        named = {} if self.url == f"http://{self.name}" else {"host": self.name}
        return json.dumps(known | named) + "\n"


def run_server(settings: Settings, host: str, port: int, ready: Callable[[StartedServer], None]) -> None:
    """Serve until a signal comes. `ready` is called once requests are answered, in the server's loop."""
    _check(settings, host)
    secret = settings.token.get_secret_value() if settings.token else None
    with failures_as_sentences():
        data_dir.prepare(settings.data_dir)
        token = data_dir.token(settings.data_dir, secret)
        log_to_stderr(settings.log_level, _secrets(settings, token))
        with _only_server(settings):
            from app.cli.web_server import bind

            listener = bind(host, port)
            started = StartedServer.at(listener, settings, token)
            asyncio.run(serve_until_signal(settings, listener, started, ready))


async def serve_until_signal(
    settings: Settings,
    listener: socket,
    started: StartedServer,
    ready: Callable[[StartedServer], None],
    last_resort: float = 9.5,
) -> None:
    """The server on a socket that listens already; while it works, `server.json` says where it is."""
    from app.cli.web_server import serve_app
    from app.main import create_app

    file = settings.data_dir / data_dir.SERVER_FILE

    def listening() -> None:
        data_dir.write_private(file, started.as_json())
        log.info("listening", extra={"url": started.url, "data_dir": str(settings.data_dir)})
        ready(started)

    try:
        await serve_app(create_app(settings), listener, listening, last_resort)
    finally:
        listener.close()
        _forget(file)
    log.info("stopped")


def _check(settings: Settings, host: str) -> None:
    from app.cli.web_server import is_loopback

    if not supported_platform():
        raise CommandError("Paceline needs Linux or macOS; on Windows use WSL.", ExitCode.REFUSED)
    if not settings.allowed_hosts:
        raise CommandError("PACELINE_ALLOWED_HOSTS names no host, so nothing could be served.", ExitCode.REFUSED)
    if not is_loopback(host) and "allowed_hosts" not in settings.model_fields_set:
        raise CommandError(
            f"{host} can be reached by other machines. Say under which names they call this one, "
            "such as PACELINE_ALLOWED_HOSTS=paceline.example, or stay with --host 127.0.0.1.",
            ExitCode.REFUSED,
        )


def _secrets(settings: Settings, token: str) -> tuple[str, ...]:
    password = settings.opencode_password
    return (token, password.get_secret_value()) if password else (token,)


@contextmanager
def _only_server(settings: Settings) -> Iterator[None]:
    """Holds the lock of an SQLite file; who may share a PostgreSQL database is seen when it is open."""
    from app.adapters.database import sqlite_file

    file = sqlite_file(settings.resolved_database_url)
    if file is None:
        yield
        return
    lock = FileLock.beside(file)
    try:
        lock.acquire()
    except AlreadyLocked as error:
        who = f"process {error.pid}" if error.pid else "another process"
        raise CommandError(
            f"A Paceline server ({who}) already works on {file}. Use that one, or stop it; "
            "a second server needs another PACELINE_DATA_DIR, or both share a PostgreSQL database.",
            ExitCode.WAITING,
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def failures_as_sentences() -> Iterator[None]:
    """What keeps a server from starting is a sentence; only our own defects leave a traceback."""
    try:
        yield
    except DatabaseTaken as error:
        raise CommandError(f"Paceline cannot start: {error.detail}", ExitCode.WAITING) from None
    except PacelineError as error:
        raise CommandError(f"Paceline cannot start: {error.detail}", ExitCode.FAILED) from None
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise CommandError(f"Paceline cannot start: {error.strerror or error}{place}.", ExitCode.FAILED) from None


def _forget(file: Path) -> None:
    """Remove what we wrote; a server that has followed us keeps its own."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads(file.read_text(encoding="utf-8"))["pid"] == os.getpid():
            file.unlink()


COMMANDS = (serve,)

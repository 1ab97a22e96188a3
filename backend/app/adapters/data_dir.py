"""The data directory: made private, with the token and the name of this worker kept in it."""

import os
import re
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from app.errors import Unavailable

TOKEN_FILE = "token"
WORKER_FILE = "worker-id"
SERVER_FILE = "server.json"

_WORD = re.compile(r"[!-~]+")


def prepare(data_dir: Path) -> None:
    """Create the directory for its owner alone; Unavailable when that is not possible."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Unavailable(f"The data directory {data_dir} cannot be made: {error.strerror}.") from error


def token(data_dir: Path, given: str | None) -> str:
    """The API token: the given one, else the kept one, else a new one of 256 bits, kept with mode 0600.

    Unavailable when the file holds something that cannot be sent in a header.
    """
    return given or _kept(data_dir / TOKEN_FILE, lambda: secrets.token_urlsafe(32))


def worker_id(data_dir: Path, given: str | None) -> str:
    """The name of this worker, the same after every restart."""
    return given or _kept(data_dir / WORKER_FILE, lambda: f"{socket.gethostname()[:60]}-{secrets.token_hex(4)}")


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner alone."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _kept(path: Path, make: Callable[[], str]) -> str:
    try:
        found = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        found = ""
    except UnicodeDecodeError:
        found = "\0"
    if found and not _WORD.fullmatch(found):
        raise Unavailable(f"{path} is damaged: it should hold one word. Delete it; the next start makes a new one.")
    if found:
        return found
    made = make()
    write_private(path, made + "\n")
    return made

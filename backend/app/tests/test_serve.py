"""`paceline serve` as a process: its address, its file, one server for one database, signals, refused starts."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.tests.cli_server import Place, cli, cli_place, paceline, serving_process
from app.tests.cli_server import own_logging as own_logging


@pytest.fixture
async def place(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """An environment in which nothing runs yet."""
    folder = tmp_path / "place"
    folder.mkdir()
    async with cli_place(folder, sqlite_template) as made:
        made.enter(monkeypatch)
        yield made


async def test_it_prints_the_login_writes_where_it_is_and_ends_at_sigterm_with_a_reader_connected(place: Place) -> None:
    with serving_process(place) as server:
        login = await server.until_listening()
        token = (place.data_dir / "token").read_text().strip()
        assert login == f"{server.url}/ui/#token={token}"
        file = place.data_dir / "server.json"
        assert json.loads(file.read_text()) == {"url": server.url, "pid": server.process.pid, "version": "0.1.0"}
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        async with httpx.AsyncClient(base_url=server.url) as http:
            assert (await http.post("/login", json={"token": token})).status_code == 204
            async with http.stream("GET", "/events") as stream:
                assert stream.status_code == 200
                began = time.monotonic()
                server.signal(signal.SIGTERM)
                server.signal(signal.SIGINT)
                ended = asyncio.create_task(server.ended())
                assert [line async for line in stream.aiter_lines() if line.startswith("data")] == []
                assert await ended == 0
                assert time.monotonic() - began < 10
    assert not file.exists()
    log = (place.folder / "serve.log").read_text()
    assert token not in log
    assert [json.loads(line)["event"] for line in log.splitlines()][-1] == "stopped"
    assert "Traceback" not in log


async def test_one_server_for_one_database_and_a_killed_one_leaves_no_lock(place: Place) -> None:
    with serving_process(place) as first:
        await first.until_listening()
        with serving_process(place, "--port", "0", log="second.log") as second:
            assert await second.ended() == 3
        said = (place.folder / "second.log").read_text()
        assert f"process {first.process.pid}" in said
        assert "Traceback" not in said
        first.process.kill()
        await first.ended()
        refused = await cli("runs")
        assert (refused.code, "No Paceline server runs" in refused.err) == (5, True)
        port = first.url.rpartition(":")[2]
        with serving_process(place, "--port", port, log="third.log") as third:
            await third.until_listening()
            assert (await cli("runs")).code == 0
            third.signal(signal.SIGINT)
            assert await third.ended() == 0


@pytest.mark.parametrize("linked", ["paceline.db", ""])
async def test_nothing_is_restored_under_a_server_on_a_linked_database(place: Place, linked: str) -> None:
    """Whether the file is a symlink or its folder."""
    seen = place.data_dir / linked
    real = place.folder / "elsewhere"
    seen.rename(real)
    seen.symlink_to(real)
    copy = place.folder / "copy.db"
    assert (await cli("db", "backup", str(copy))).code == 0
    with serving_process(place) as server:
        await server.until_listening()
        said = await cli("db", "restore", str(copy), "--force")
        assert (said.code, f"process {server.process.pid}" in said.err) == (3, True), said.err
        assert (await cli("db", "prune", "--older-than-days", 1, "--vacuum")).code == 3
        assert (await cli("runs")).code == 0
    assert (await cli("db", "restore", str(copy), "--force")).code == 0
    assert seen.is_symlink(), "what is replaced is the database, not the link to it"


async def test_watching_goes_on_over_a_kill_and_a_restart_of_the_server(place: Place) -> None:
    place.fake.pace = 1
    with serving_process(place) as first:
        await first.until_listening()
        run_id = (await cli("run", "one", "[[slow:30:0.1]]")).out.strip()
        watching = asyncio.create_task(cli("watch", run_id))
        while not place.fake.provider.models_called():
            await asyncio.sleep(0.05)
        first.process.kill()
        await first.ended()
        with serving_process(place, log="second.log") as second:
            # Another port: the watcher asks the data directory where the server is.
            await second.until_listening()
            said = await watching
    assert (said.code, said.out) == (0, "done\n"), said.err
    assert "The server went away" in said.err
    assert place.fake.provider.models_called() == ["alpha"]


async def test_a_name_that_is_served_is_printed_and_known_to_the_commands(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.environment["PACELINE_ALLOWED_HOSTS"] = "paceline.example"
    with serving_process(place, "--host", "0.0.0.0", "--port", "0") as server:
        login = await server.until_listening()
        assert login.startswith("http://paceline.example:")
        monkeypatch.delenv("PACELINE_TOKEN", raising=False)
        assert (await cli("runs")).code == 0
        port = login.removeprefix("http://paceline.example:").partition("/")[0]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            assert (await http.get("/health")).status_code == 421


def refused_start(*arguments: str) -> str:
    """What a start says that must be refused as wrong usage, without a traceback."""
    said = paceline("serve", *arguments)
    assert said.code == 2, said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


def test_addresses_that_cannot_be_used_are_refused_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "PACELINE_ALLOWED_HOSTS" in refused_start("--host", "0.0.0.0", "--port", "0")
    assert "PACELINE_ALLOWED_HOSTS" in refused_start("--host", "::", "--port", "0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "--port 0" in refused_start("--port", str(taken.getsockname()[1]))
    monkeypatch.setenv("PACELINE_ALLOWED_HOSTS", "a.example")
    assert "no address to listen on" in refused_start("--host", "999.1.1.1", "--port", "0")
    # 192.0.2.0/24 is for documentation: no machine has such an address.
    assert "Cannot listen on 192.0.2.1" in refused_start("--host", "192.0.2.1", "--port", "0")


def start_failure() -> str:
    """The one sentence of a server that cannot start."""
    said = paceline("serve", "--port", "0")
    assert said.code == 1, said.err
    sentences = [line for line in said.err.splitlines() if line.startswith("paceline: ")]
    assert len(sentences) == 1, said.err
    assert "Traceback" not in said.err
    return sentences[0]


@pytest.mark.usefixtures("own_logging")
def test_a_database_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = tmp_path / "newer.db"
    newer.write_bytes(sqlite_template.read_bytes())
    with sqlite3.connect(newer) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    monkeypatch.setenv("PACELINE_DATABASE_URL", f"sqlite+aiosqlite:///{newer}")
    assert "A newer Paceline has used this database (schema 9999)" in start_failure()
    monkeypatch.setenv("PACELINE_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path}")
    assert "cannot be opened" in start_failure()
    (tmp_path / "text.db").write_text("This is no database. " * 100)
    monkeypatch.setenv("PACELINE_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'text.db'}")
    assert "cannot be read" in start_failure()
    monkeypatch.setenv("PACELINE_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:9/none")
    assert "does not answer" in start_failure()
    monkeypatch.setenv("PACELINE_DATABASE_URL", "mysql://x/y")
    assert "PACELINE_DATABASE_URL names mysql" in start_failure()
    blocked = Path(os.environ["PACELINE_DATA_DIR"]).with_name("a-file")
    blocked.write_text("")
    monkeypatch.setenv("PACELINE_DATA_DIR", str(blocked / "data"))
    assert str(blocked / "data") in start_failure()

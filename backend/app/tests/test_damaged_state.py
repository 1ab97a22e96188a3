"""Files of the data directory that are damaged or of another version: a sentence, never a traceback."""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.adapters import data_dir as data_dir_adapter
from app.adapters.opencode_children import ServerRecord, end_strays
from app.adapters.opencode_environment import MARK, ChildSetup, opencode_data_dir
from app.adapters.opencode_process import STATE_FILE, ManagedSettings, OpenCodeServer
from app.errors import Unavailable
from app.tests.cli_server import cli_place, paceline, serving_process
from app.tests.cli_server import own_logging as own_logging

pytestmark = pytest.mark.usefixtures("own_logging")


@pytest.fixture
def folder(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of the environment. Nothing can be started: what is asked for fails before."""
    made = tmp_path / "data"
    made.mkdir()
    shutil.copy(sqlite_template, made / "paceline.db")
    monkeypatch.setenv("PACELINE_OPENCODE_URL", "http://127.0.0.1:9")
    return made


def sql(file: Path, *statements: str) -> None:
    """Change a SQLite file."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def _newer(folder: Path) -> None:
    sql(folder / "paceline.db", "UPDATE alembic_version SET version_num = '9999'")


def _without_version(folder: Path) -> None:
    sql(folder / "paceline.db", "DELETE FROM alembic_version")


def _of_somebody_else(folder: Path) -> None:
    (folder / "paceline.db").unlink()
    sql(folder / "paceline.db", "CREATE TABLE pipelines (oil TEXT)")


def _half_migrated(folder: Path) -> None:
    sql(folder / "paceline.db", "UPDATE alembic_version SET version_num = '0001'")


def _no_database(folder: Path) -> None:
    (folder / "paceline.db").write_text("Dear diary, " * 1000)


def _cut_short(folder: Path) -> None:
    (folder / "paceline.db").write_bytes((folder / "paceline.db").read_bytes()[: 4096 * 5 + 7])


def _a_folder(folder: Path) -> None:
    (folder / "paceline.db").unlink()
    (folder / "paceline.db").mkdir()


def _token_of_bytes(folder: Path) -> None:
    (folder / "token").write_bytes(b"\xff\xfe\x00")


def _token_of_lines(folder: Path) -> None:
    (folder / "token").write_text("two words\nand a line\n")


def _token_folder(folder: Path) -> None:
    (folder / "token").mkdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_newer, "newer Paceline"),
        (_without_version, "no database of Paceline"),
        (_of_somebody_else, "no database of Paceline"),
        (_half_migrated, "could not be brought up to date, and is as it was"),
        (_no_database, "cannot be read"),
        (_cut_short, "cannot be read"),
        (_a_folder, "cannot be opened"),
        (_token_of_bytes, "damaged: it should hold one word"),
        (_token_of_lines, "damaged: it should hold one word"),
        (_token_folder, "Is a directory"),
    ],
)
def test_a_start_says_what_is_wrong_and_changes_nothing(
    folder: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(folder)
    file = folder / "paceline.db"
    before = file.read_bytes() if file.is_file() else b""
    said = paceline("serve", "--port", 0)
    assert said.code == 1
    assert words in said.err
    assert "Traceback" not in said.err
    assert (file.read_bytes() if file.is_file() else b"") == before
    assert not (folder / "server.json").exists()


def test_an_empty_token_file_is_filled_and_a_given_token_wins(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("\n")
    made = data_dir_adapter.token(tmp_path, None)
    assert len(made) > 40
    assert file.read_text() == made + "\n"
    file.write_bytes(b"\xff")
    assert data_dir_adapter.token(tmp_path, "given") == "given"
    with pytest.raises(Unavailable, match="Delete it"):
        data_dir_adapter.token(tmp_path, None)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b"[" * 100_000, b'{"url": "http://127.0.0.1:9", "version": "1"}',
        b'{"url": "http://127.0.0.1:9", "pid": "x", "version": "1"}',
        b'{"url": "http://127.0.0.1:9", "pid": 0, "version": "1"}',
        b'{"url": "http://127.0.0.1:9", "pid": 1e400, "version": "1"}',
        b'{"url": "http://127.0.0.1:9", "pid": 99999999999999999999999, "version": "1"}',
    ],
)  # fmt: skip
def test_a_damaged_server_file_counts_as_no_server(folder: Path, content: bytes) -> None:
    (folder / "server.json").write_bytes(content)
    said = paceline("runs")
    assert said.code == 5
    assert "No Paceline server runs" in said.err


RECORD = {"pid": 4242, "start_time": 1.5, "port": 4096, "password": "p", "mark": "abcdef0123456789", "version": None}


@pytest.mark.parametrize(
    "change",
    [
        {"pid": "4242"}, {"pid": 0}, {"pid": 1}, {"pid": -1}, {"pid": 2**40}, {"start_time": "x"}, {"port": None},
        {"port": 0}, {"password": None}, {"mark": ""}, {"mark": 5}, {"more": 1},
    ],
)  # fmt: skip
def test_a_record_of_opencode_that_cannot_be_true_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    file = tmp_path / STATE_FILE
    file.write_text(json.dumps(RECORD))
    assert ServerRecord.read(file) is not None
    file.write_text(json.dumps(RECORD | change))
    assert ServerRecord.read(file) is None, "nothing is ended because of it"


def sleeper(environment: dict[str, str]) -> "subprocess.Popen[str]":
    """A process that does nothing in this environment; it has begun when this returns."""
    program = "print('here', flush=True); import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', json.dumps(RECORD | {"pid": "x"})])
async def test_a_damaged_record_does_not_keep_opencode_from_starting(tmp_path: Path, content: str) -> None:
    """It ends the old one and gets as far as looking for the binary; a dead supervisor would say nothing for ever."""
    lost = sleeper({"HOME": os.environ["HOME"], MARK: "lost"})
    (tmp_path / STATE_FILE).write_text(content)
    setup = ChildSetup(own_folder=tmp_path / "own")
    server = OpenCodeServer(ManagedSettings(tmp_path, setup, binary=tmp_path / "none", search_path=False))
    await server.start()
    for _ in range(100):
        health = await server.health()
        if health.state == "down":
            break
        await asyncio.sleep(0.05)
    await server.stop()
    ended = lost.poll() is not None
    lost.kill()
    lost.wait()
    assert (health.state, ended) == ("down", True)
    assert str(tmp_path / "none") in (health.detail or "")


async def test_a_record_that_cannot_be_replaced_is_said_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).mkdir()
    setup = ChildSetup(own_folder=tmp_path / "own")
    server = OpenCodeServer(ManagedSettings(tmp_path, setup, binary=tmp_path / "none", search_path=False))
    await server.start()
    await asyncio.sleep(0.3)
    health = await server.health()
    assert (health.state, "could not be started" in (health.detail or "")) == ("down", True)
    await server.stop()


async def test_a_server_starts_over_what_its_predecessor_left_damaged(
    tmp_path: Path, sqlite_template: Path
) -> None:
    place_folder = tmp_path / "place"
    place_folder.mkdir()
    async with cli_place(place_folder, sqlite_template) as place:
        for name in ("server.json", "opencode-server.json", "paceline.db.lock", "worker-id"):
            (place.data_dir / name).write_text("")
        (place.data_dir / "server.json").write_text('{"pid": ')
        (place.data_dir / "paceline.db.lock").write_bytes(os.urandom(40))
        with serving_process(place) as server:
            await server.until_listening()
        assert "Traceback" not in (place.folder / "serve.log").read_text()


def test_a_server_whose_record_was_lost_is_ended_and_no_other(tmp_path: Path) -> None:
    """Two servers on one folder would run prompts twice; the mark in its environment finds the old one."""
    folders = [tmp_path / name for name in ("ours", "theirs")]
    environments = [{"XDG_DATA_HOME": str(folder), MARK: folder.name, "HOME": str(tmp_path)} for folder in folders]
    unmarked = {"XDG_DATA_HOME": str(folders[0]), "HOME": str(tmp_path)}
    sleepers = [sleeper(environment) for environment in (*environments, unmarked)]
    try:
        end_strays(opencode_data_dir(environments[0]))
        assert [process.poll() is None for process in sleepers] == [False, True, True]
    finally:
        for process in sleepers:
            process.kill()
            process.wait()

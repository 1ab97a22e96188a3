"""`paceline db`: copies under load, what restore refuses, faults that a check finds, what prune takes and leaves."""

import json
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from app.adapters.database import Database
from app.adapters.dbos_engine import DbosEngine
from app.adapters.file_lock import FileLock
from app.models import AgentRequest, Approval, Attempt, AuditEvent, Directory, Handoff, Pipeline, Step
from app.schemas.work import Segment
from app.tests.cli_server import Said, cli, paceline
from app.tests.factories import agent_step, approval_step, make_directory, make_pipeline

NOW = datetime.now(UTC)


@pytest.fixture
def data_dir(tmp_path: Path, sqlite_template: Path) -> Path:
    """The data directory of the environment, with a migrated database."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(sqlite_template, folder / "paceline.db")
    return folder


def paceline_db(*arguments: str | int | Path) -> Said:
    """Run `paceline db …`."""
    return paceline("db", *map(str, arguments))


def rows(file: Path, query: str) -> list[Any]:
    """The answer of a SQLite file."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def execute(file: Path, *statements: str) -> None:
    """Change a SQLite file, whatever its rules say."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def add_directory(file: Path, path: str) -> None:
    """A row to be found again."""
    execute(file, f"INSERT INTO directories (real_path, last_queue_number) VALUES ('{path}', 0)")


@pytest.fixture
def writer(data_dir: Path) -> Iterator[list[int]]:
    """Somebody who writes pairs of rows all the time; how many so far."""
    written, stop = [0], threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(data_dir / "paceline.db", isolation_level=None, timeout=30)) as connection:
            while not stop.is_set():
                connection.execute("BEGIN IMMEDIATE")
                for side in "ab":
                    path = f"/{side}/{written[0]}/" + "x" * 1500
                    connection.execute("INSERT INTO directories (real_path, last_queue_number) VALUES (?, 0)", (path,))
                connection.execute("COMMIT")
                written[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    yield written
    stop.set()
    thread.join()


def test_a_backup_under_load_is_one_moment_private_and_sound(data_dir: Path, writer: list[int]) -> None:
    while writer[0] < 20:
        pass
    before = writer[0]
    said = paceline_db("backup")
    assert said.code == 0, said.err
    copy = Path(said.out.strip())
    assert copy.parent == data_dir / "backups"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    pairs = rows(copy, "SELECT count(*), sum(real_path LIKE '/a/%') FROM directories")[0]
    assert pairs[0] == 2 * pairs[1] >= 2 * before, "all that was committed, and no half of a transaction"
    assert [name for name in os.listdir(copy.parent) if name != copy.name] == []
    assert "not in it" in said.err


def test_a_backup_overwrites_nothing_and_leaves_nothing_behind(data_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.db"
    target.write_text("mine")
    said = paceline_db("backup", target)
    assert (said.code, target.read_text()) == (2, "mine")
    with (data_dir / "paceline.db").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)
    folder = tmp_path / "out"
    folder.mkdir()
    said = paceline_db("backup", folder)
    assert said.code == 1
    assert "damaged" in said.err or "cannot be read" in said.err
    assert "Traceback" not in said.err
    assert os.listdir(folder) == []
    (data_dir / "paceline.db").unlink()
    assert paceline_db("backup").code == 2


def _newer(file: Path) -> None:
    execute(file, "UPDATE alembic_version SET version_num = '9999'")


def _not_ours(file: Path) -> None:
    execute(file, "DROP TABLE alembic_version")


def _damaged(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: 4096 * 5])


def _no_database(file: Path) -> None:
    file.write_text("Dear diary, " * 1000)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [(_newer, "newer"), (_not_ours, "no database of Paceline"), (_damaged, ""), (_no_database, "cannot be read")],
)
def test_a_restore_refuses_what_it_cannot_use(data_dir: Path, tmp_path: Path, spoil: Any, word: str) -> None:
    file, copy = data_dir / "paceline.db", tmp_path / "copy.db"
    shutil.copy(file, copy)
    spoil(copy)
    before = file.read_bytes()
    said = paceline_db("restore", copy, "--force")
    assert said.code == 2
    assert word in said.err
    assert "Traceback" not in said.err
    assert file.read_bytes() == before
    assert sorted(os.listdir(data_dir)) == ["paceline.db", "paceline.db.lock"]


def test_nothing_is_restored_under_a_running_server(data_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(data_dir / "paceline.db", copy)
    with FileLock.beside(data_dir / "paceline.db"):
        said = paceline_db("restore", copy, "--force")
        assert (said.code, str(os.getpid()) in said.err) == (3, True)
        assert paceline_db("prune", "--older-than-days", 1, "--vacuum").code == 3
        assert paceline_db("backup", tmp_path / "second.db").code == 0
        assert paceline_db("check").code == 0


@pytest.mark.parametrize("command", [("backup",), ("restore", "file.dump")])
def test_on_postgresql_its_own_tools_are_named(monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    monkeypatch.setenv("PACELINE_DATABASE_URL", "postgresql+psycopg://me:geheim@db.invalid:5433/paceline")
    said = paceline_db(*command)
    assert said.code == 2
    assert f"pg_{'dump' if command[0] == 'backup' else 'restore'}" in said.err
    assert "'postgresql://me@db.invalid:5433/paceline'" in said.err
    assert "geheim" not in said.err


async def check(database: Database, monkeypatch: pytest.MonkeyPatch) -> Said:
    """`paceline db check` on this database."""
    monkeypatch.setenv("PACELINE_DATABASE_URL", database.url)
    return await cli("db", "check", "--json")


async def seed(database: Database) -> Pipeline:
    """One run of each kind, all as they should be; the finished one."""
    async with database.sessions.begin() as db:
        done = await make_pipeline(
            db, [agent_step(status="done"), approval_step(status="done")], status="done", finished_at=NOW
        )
        db.add(Handoff(step_id=done.steps[0].id, text="Yes.", structured=False, sections={}, created_at=NOW))
        about = {"pipeline_id": done.id, "step_id": done.steps[1].id}
        decided = {"status": "approved", "decided_at": NOW, "decided_by": "owner"}
        db.add(Approval(pipeline_attempt=1, requested_at=NOW, **about, **decided))
        db.add(AuditEvent(at=NOW, type="approval.approved", actor="owner", payload={}, **about))
        db.add(
            AgentRequest(
                **about, pipeline_attempt=1, opencode_id="per_1", session_id="s", sub_agent=False, directory="/d",
                kind="permission", tool="bash", patterns=[], details={}, status="allowed", asked_at=NOW, deadline=NOW,
            )
        )  # fmt: skip
        directory = await make_directory(db)
        gate = approval_step(status="waiting_for_approval")
        waiting = await make_pipeline(db, [gate], directory, status="waiting_for_approval")
        directory.holder_id, directory.holder_attempt = waiting.id, 1
        await make_pipeline(db, None, directory, queue_number=2)
    return done


async def test_a_sound_database_passes_the_check(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await seed(database)
    said = await check(database, monkeypatch)
    assert (said.code, json.loads(said.out)["ok"]) == (0, True), said.out + said.err


BREAKS = {
    "UPDATE steps SET status = 'running' WHERE order_index = 1": "is running",
    "UPDATE pipelines SET finished_at = NULL WHERE status = 'done'": "no time of its end",
    "UPDATE pipelines SET status = 'running' WHERE status = 'pending'": "2 runs are at work",
    "UPDATE directories SET holder_id = 999999 WHERE holder_id IS NOT NULL": "does not exist",
    "UPDATE directories SET holder_id = NULL": "does not hold its directory",
    "UPDATE approvals SET status = 'pending'": "its decision says otherwise",
    "UPDATE approvals SET status = 'pending', decided_at = NULL, decided_by = NULL": "its run",
    "INSERT INTO audit_events (at, type, actor, pipeline_id, step_id, payload) SELECT at, 'approval.rejected', "
    "actor, pipeline_id, step_id, payload FROM audit_events": "decided more often",
    "DELETE FROM handoffs": "without an answer",
    "UPDATE agent_requests SET status = 'pending'": "Request",
    "UPDATE steps SET retry_at = CURRENT_TIMESTAMP": "waits for its next try",
}


@pytest.mark.parametrize("statement", BREAKS)
async def test_each_contradiction_is_found(
    database: Database, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    await seed(database)
    async with database.engine.begin() as connection:
        await connection.execute(text(statement))
    said = await check(database, monkeypatch)
    assert said.code == 1
    faults = [item["detail"] for item in json.loads(said.out)["findings"] if item["state"] == "fault"]
    assert any(BREAKS[statement] in fault for fault in faults), faults


async def test_a_run_that_nothing_executes_is_found(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.db_work._SECOND_LOOK_SECONDS", 0)
    async with database.sessions.begin() as db:
        directory = await make_directory(db)
        run = await make_pipeline(db, None, directory, status="running")
        directory.holder_id, directory.holder_attempt = run.id, 1
    assert "nothing is enqueued" in (await check(database, monkeypatch)).out
    async with database.sessions.begin() as db:
        engine = DbosEngine(database, "test")
        await db.run_sync(lambda session: engine.enqueue_segment(session, Segment(run.id, 1, 1, 0)))
    assert (await check(database, monkeypatch)).code == 0


@pytest.mark.parametrize(("spoil", "word"), [(_newer, "newer"), (_not_ours, "no database of Paceline")])
def test_another_schema_is_a_fault(data_dir: Path, spoil: Any, word: str) -> None:
    spoil(data_dir / "paceline.db")
    said = paceline_db("check")
    assert (said.code, word in said.out) == (1, True)


def test_a_damaged_file_is_a_fault_and_no_file_is_a_refusal(data_dir: Path) -> None:
    file = data_dir / "paceline.db"
    _damaged(file)
    said = paceline_db("check")
    assert said.code in (1, 5)
    assert "Traceback" not in said.err
    _no_database(file)
    assert paceline_db("check").code == 5
    file.unlink()
    assert paceline_db("check").code == 2
    assert not file.exists()


class Old:
    """Rows of old runs, and the folders they worked in."""

    def __init__(self, database: Database, workspaces: Path) -> None:
        self.database = database
        self.workspaces = workspaces

    async def run(self, folder: Path | None = None, days: float = 40, status: str = "done", **columns: Any) -> int:
        """A run of so many days ago in a folder, or in a workspace of its own, with something in it."""
        async with self.database.sessions.begin() as db:
            found = await db.scalars(select(Directory).where(Directory.real_path == str(folder)))
            directory = found.one_or_none() or await make_directory(db, str(folder) if folder else None)
            ended = NOW - timedelta(days=days) if status in ("done", "failed", "aborted") else None
            run = await make_pipeline(
                db, [agent_step(status="done")], directory, status=status, finished_at=ended, **columns
            )
            db.add(
                Attempt(
                    step_id=run.steps[0].id, number=1, pipeline_attempt=1, message_id="m", directory="/d", worker="w",
                    prompt="p", started_at=NOW, outcome="done", transcript=b"x" * 1000,
                )
            )  # fmt: skip
            if folder is None:
                folder = self.workspaces / str(run.id)
                directory.real_path = str(folder)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "file.txt").write_text("made by an agent")
        return run.id

    async def ids(self) -> list[int]:
        """Of the runs that are left."""
        async with self.database.reads() as db:
            return list(await db.scalars(select(Pipeline.id).order_by(Pipeline.id)))


@pytest.fixture
def old(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Old:
    """On each database."""
    monkeypatch.setenv("PACELINE_DATABASE_URL", database.url)
    return Old(database, tmp_path / "data" / "workspaces")


async def test_prune_takes_old_finished_runs_with_everything_of_them(old: Old) -> None:
    gone = [await old.run(status=status) for status in ("done", "failed", "aborted")]
    kept = [await old.run(days=3), await old.run(status="running"), await old.run(status="waiting_for_approval")]
    engine = DbosEngine(old.database, "test")
    async with old.database.sessions.begin() as db:
        await db.run_sync(lambda session: engine.enqueue_segment(session, Segment(gone[0], 1, 1, 0)))
        await db.run_sync(lambda session: engine.enqueue_segment(session, Segment(kept[0], 1, 1, 0)))
    said = await cli("db", "prune", "--older-than-days", 30)
    assert (said.code, said.out) == (0, "2\n"), said.err
    assert await old.ids() == [gone[0], *kept], "work that is still enqueued keeps its run"
    await engine.cancel(Segment(gone[0], 1, 1, 0).workflow_id)
    assert (await cli("db", "prune", "--older-than-days", 30)).out == "1\n"
    assert await old.ids() == kept
    assert sorted(path.name for path in old.workspaces.iterdir()) == sorted(map(str, kept))
    async with old.database.reads() as db:
        assert len((await db.scalars(select(Step.id))).all()) == len((await db.scalars(select(Attempt.id))).all()) == 3
        events = (await db.scalars(select(AuditEvent).order_by(AuditEvent.id))).all()
    assert {(event.type, event.actor, event.payload["status"]) for event in events} == {
        ("pipeline.pruned", "cli", status) for status in ("done", "failed", "aborted")
    }
    found = await engine._client.list_workflows_async()
    assert [workflow.workflow_id for workflow in found] == [Segment(kept[0], 1, 1, 0).workflow_id]


async def test_prune_touches_no_directory_but_workspaces_of_pruned_runs(old: Old, tmp_path: Path) -> None:
    mine, elsewhere = tmp_path / "projects" / "7", tmp_path / "elsewhere"
    by_hand, linked = old.workspaces / "notes", old.workspaces / "3"
    elsewhere.mkdir()
    old.workspaces.mkdir(parents=True)
    linked.symlink_to(elsewhere)
    for folder in (mine, by_hand, linked, old.workspaces / "987654321"):
        await old.run(folder)
    shared = await old.run()
    await old.run(old.workspaces / str(shared), days=1)
    around = await old.run()
    await old.run(old.workspaces / str(around) / "deeper", days=1)
    said = await cli("db", "prune", "--older-than-days", 30)
    assert said.code == 0, said.err
    assert "6 runs and 0 workspaces" in said.err
    for folder in (mine, by_hand, linked, elsewhere, old.workspaces / "987654321"):
        assert (folder / "file.txt").exists()
    assert (old.workspaces / str(shared) / "file.txt").exists(), "a younger run works there"
    assert (old.workspaces / str(around) / "deeper" / "file.txt").exists(), "or below it"


async def test_a_workspace_goes_with_the_last_run_in_it(old: Old) -> None:
    first = await old.run()
    await old.run(old.workspaces / str(first))
    assert "2 runs and 1 workspaces" in (await cli("db", "prune", "--older-than-days", 30)).err
    assert list(old.workspaces.iterdir()) == []


def test_vacuum_makes_the_file_smaller(data_dir: Path) -> None:
    file = data_dir / "paceline.db"
    execute(file, "CREATE TABLE big (x)", "INSERT INTO big VALUES (zeroblob(3000000))", "DROP TABLE big")
    before = file.stat().st_size
    assert paceline_db("prune", "--older-than-days", 30, "--vacuum").code == 0
    assert file.stat().st_size < before - 2_000_000


@pytest.mark.parametrize("days", ["0", "-1", "x"])
def test_days_that_are_no_days_are_refused(data_dir: Path, days: str) -> None:
    assert paceline_db("prune", "--older-than-days", days).code == 2
    assert rows(data_dir / "paceline.db", "SELECT id FROM audit_events") == []


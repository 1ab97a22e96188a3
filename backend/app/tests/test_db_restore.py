"""`paceline db restore`: the former database is kept whole, at every moment, and what goes on is counted."""

import stat
from pathlib import Path

import pytest

from app.tests.test_db_commands import NOW, add_directory, execute, paceline_db, rows
from app.tests.test_db_commands import data_dir as data_dir


def test_a_restore_keeps_the_former_database_with_its_journal(data_dir: Path, tmp_path: Path) -> None:
    file, copy = data_dir / "paceline.db", tmp_path / "copy.db"
    add_directory(file, "/before")
    assert paceline_db("backup", copy).code == 0
    add_directory(file, "/after")
    said = paceline_db("restore", copy)
    assert said.code == 2
    assert "--force" in said.err
    (data_dir / "paceline.db-journal").write_bytes(b"of the former database")
    said = paceline_db("restore", copy, "--force")
    assert said.code == 0, said.err
    assert rows(file, "SELECT real_path FROM directories") == [("/before",)]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (kept,) = data_dir.glob("paceline.db.before-*[0-9]")
    assert str(kept) in said.err
    journal = kept.with_name(kept.name + "-journal")
    assert journal.read_bytes() == b"of the former database"
    journal.unlink()
    assert rows(kept, "SELECT real_path FROM directories ORDER BY id") == [("/before",), ("/after",)]
    file.unlink()
    assert paceline_db("restore", copy).code == 0, "without a database there is nothing to force"


def test_a_restore_that_is_cut_off_leaves_the_former_database_whole(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, copy = data_dir / "paceline.db", tmp_path / "copy.db"
    assert paceline_db("backup", copy).code == 0
    (data_dir / "paceline.db-journal").write_bytes(b"of the former database")
    before = file.read_bytes()
    unlink = Path.unlink

    def cut(path: Path, missing_ok: bool = False) -> None:
        if path.name == "paceline.db-journal":
            raise OSError("The power went away.")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", cut)
    assert paceline_db("restore", copy, "--force").code == 1
    assert (file.read_bytes(), (data_dir / "paceline.db-journal").exists()) == (before, True)
    (kept,) = data_dir.glob("paceline.db.before-*[0-9]")
    assert (kept.read_bytes(), kept.with_name(kept.name + "-journal").exists()) == (before, True)


def test_a_restore_counts_every_run_that_goes_on(data_dir: Path, tmp_path: Path) -> None:
    file, copy = data_dir / "paceline.db", tmp_path / "copy.db"
    holding = ("running", "waiting_for_input", "pending", "waiting_for_approval")
    for status in (*holding, "pending", "done"):
        execute(
            file,
            "INSERT INTO directories (real_path, last_queue_number) SELECT '/' || count(*), 0 FROM directories",
            "INSERT INTO pipelines (title, prompt, working_dir, directory_id, status, attempt, epoch, warnings,"
            f" created_by, created_at, queue_number) SELECT 't', 'p', '/d', max(id), '{status}', 1, 1, '[]', 'owner',"
            f" '{NOW}', 1 FROM directories",
        )
    execute(file, "UPDATE directories SET holder_id = id, holder_attempt = 1 WHERE id <= 4")
    assert paceline_db("backup", copy).code == 0
    file.unlink()
    assert "3 runs were under way" in paceline_db("restore", copy).err, "not the gate, the line, or what is over"

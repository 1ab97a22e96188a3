"""Copies of a SQLite database: taken while it is in use, examined, and put back."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from alembic.script import ScriptDirectory

from app.adapters.database_errors import sqlite_failure
from app.adapters.database_schema import migrations_folder
from app.errors import DatabaseUnavailable, Unavailable

PAGES = 2000
"""Copied at once; writers get their turn in between, and a write makes the copy begin anew."""
RESTARTS = 20
"""After so many the rest is copied in one go, during which writers wait."""
SIDE_FILES = ("-journal", "-wal", "-shm")
LOCK_SECONDS = 30
_GOES_ON = """
    SELECT count(*) FROM pipelines JOIN directories ON directories.id = pipelines.directory_id
    WHERE pipelines.status IN ('pending', 'running', 'waiting_for_input') AND directories.holder_id = pipelines.id
"""
"""What the next start takes up: runs that have their directory, also between two steps or while an agent asks."""


class _TooBusy(Exception):
    """Others write all the time."""


@dataclass(frozen=True)
class Restored:
    """What a restore has done."""

    schema: str
    set_aside: Path | None
    """Where the former database is now."""
    at_work: int
    """Runs that the next start goes on with, or the end of the pause that the backup contains."""


def copy_database(source: Path, target: Path) -> str:
    """Copy a database that may be in use to a file of mode 0600, and return its schema.

    The copy is one moment of the database, checked before it gets its name; a file of that name is
    replaced. Unavailable says what is wrong, and nothing is left behind then.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with _failures(source), closing(_open(source)) as reader, closing(_open(temporary)) as writer:
            _copy(reader, writer)
            # One file is all there is to it, whatever mode the original is in.
            writer.execute("PRAGMA journal_mode = DELETE")
        schema = examine(temporary, source)
        _flush(temporary)
        temporary.replace(target)
        _flush(target.parent)
        return schema
    finally:
        for leftover in (temporary, *_side_files(temporary)):
            leftover.unlink(missing_ok=True)


def examine(file: Path, called: Path | None = None) -> str:
    """The schema of a database file; Unavailable when it is damaged, not ours, or of a newer version."""
    name = called or file
    with _failures(name), closing(_open(file)) as connection:
        damage = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
        if damage != ["ok"]:
            raise DatabaseUnavailable(f"{name} is damaged: {'; '.join(damage)}")
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"alembic_version", "pipelines", "steps", "directories"} <= tables:
            raise DatabaseUnavailable(f"{name} is no database of Paceline.")
        if broken := connection.execute("PRAGMA foreign_key_check").fetchone():
            raise DatabaseUnavailable(f"{name} is damaged: table {broken[0]} refers to rows that are not there.")
        schema = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return _known(name, str(schema[0]) if schema else "none")


def restore_database(backup: Path, target: Path, aside: Path | None) -> Restored:
    """Put a backup in the place of a database that nobody uses; the caller holds its lock.

    The former database stays as `aside` with its journal, complete before anything is taken away. At every
    moment there is a file at `target`: the old one, then the new one. Only where a crash had left a journal,
    the old one lacks it just before the new one comes, and then `aside` is the whole of it.
    """
    arrived = target.with_name(f".{target.name}.{os.getpid()}.restored")
    try:
        schema = copy_database(backup, arrived)
        with closing(_open(arrived)) as connection:
            at_work = connection.execute(_GOES_ON).fetchone()[0]
        if aside is not None:
            _set_aside(target, aside)
        # A journal of the old database would be replayed into the new one.
        for journal in _side_files(target):
            journal.unlink(missing_ok=True)
        arrived.replace(target)
        _flush(target.parent)
    finally:
        arrived.unlink(missing_ok=True)
    return Restored(schema, aside, at_work)


def _set_aside(target: Path, aside: Path) -> None:
    pairs = [*zip(_side_files(target), _side_files(aside), strict=True), (target, aside)]
    there = [(old, new) for old, new in pairs if old.exists()]
    try:
        for old, new in there:
            os.link(old, new)
    except OSError:
        # A file system without hard links: for a moment there is no database.
        for old, new in there:
            old.replace(new)


def _copy(reader: sqlite3.Connection, writer: sqlite3.Connection) -> None:
    restarts, before = 0, 0

    def watch(_status: int, remaining: int, _total: int) -> None:
        nonlocal restarts, before
        restarts += before != 0 and remaining >= before
        before = remaining
        if restarts > RESTARTS:
            raise _TooBusy

    try:
        reader.backup(writer, pages=PAGES, progress=watch, sleep=0.05)
    except _TooBusy:
        reader.backup(writer)


def _known(name: Path, schema: str) -> str:
    known = {script.revision for script in ScriptDirectory(str(migrations_folder())).walk_revisions()}
    if schema not in known:
        raise DatabaseUnavailable(f"{name} was written by a newer Paceline (schema {schema}); use that version.")
    return schema


def _open(file: Path) -> sqlite3.Connection:
    """An existing file; never made, and written to only when its journal must be rolled back."""
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=rw", uri=True, timeout=LOCK_SECONDS)


def _side_files(file: Path) -> list[Path]:
    return [file.with_name(file.name + ending) for ending in SIDE_FILES]


def _flush(path: Path) -> None:
    """Onto the disk. Folders cannot be flushed everywhere."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _failures(name: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        known: Unavailable = sqlite_failure(error)
        raise type(known)(f"{name}: {known.detail}") from error

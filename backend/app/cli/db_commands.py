"""`paceline db`: back the database up, put a backup back, look it over, delete old runs."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.adapters.file_lock import AlreadyLocked, FileLock
from app.cli.connection import load_settings
from app.cli.exits import CommandError, ExitCode
from app.cli.findings import Finding, fault, note, ok
from app.cli.output import put, put_json, say
from app.cli.run_commands import AsJson
from app.errors import PacelineError
from app.settings import Settings

group = typer.Typer(name="db", no_args_is_help=True, rich_markup_mode=None, help="Back up, restore, check, prune.")


@group.command()
def backup(
    file: Annotated[
        Path | None, typer.Argument(help="Where to; default: a new file below `backups` in the data directory.")
    ] = None,
) -> None:
    """Copy the database while the server works, check the copy, and print its path.

    Exit codes: 1 it failed, 2 the file exists already or the database is on PostgreSQL.
    """
    settings = load_settings()
    source = _sqlite_file(settings, "pg_dump --format=custom --file=paceline.dump {url}")
    folder = settings.data_dir / "backups"
    name = f"paceline-{datetime.now(UTC):%Y%m%d-%H%M%S}.db"
    target = folder / name if file is None else file / name if file.is_dir() else file
    if target.exists():
        raise CommandError(f"{target} exists already; choose another name.", ExitCode.REFUSED)
    with _failures("The backup failed"):
        from app.adapters.sqlite_backup import copy_database

        if file is None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        schema = copy_database(source, target)
        size = target.stat().st_size
    say(f"{size / 1e6:.1f} MB, schema {schema}, checked. Token, registry and workspaces are not in it.")
    put(str(target))


@group.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `paceline db backup` made.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also when there is a database; that one is kept under another name.")
    ] = False,
) -> None:
    """Put a backup in the place of the database; the server must not run.

    Exit codes: 1 it failed, 2 refused (damaged, newer, or a database is there), 3 a server runs.
    """
    settings = load_settings()
    target = _sqlite_file(settings, "pg_restore --clean --if-exists --dbname={url} paceline.dump", must_exist=False)
    if not file.is_file():
        raise CommandError(f"There is no file {file}.", ExitCode.REFUSED)
    with _failures("The restore failed"), _nobody_else(target):
        from app.adapters.sqlite_backup import examine, restore_database

        with _refusals():
            examine(file)
        if target.exists() and not force:
            raise CommandError(
                f"{target} exists. With --force it is kept under another name and replaced.", ExitCode.REFUSED
            )
        aside = _free_name(target) if target.exists() else None
        done = restore_database(file, target, aside)
    if done.set_aside is not None:
        say(f"The former database is kept as {done.set_aside}.")
    if done.at_work:
        say(
            f"{done.at_work} runs were under way when the backup was taken. The next start goes on with them, "
            "and their tools may do again what they have done since: abort those that shall not."
        )
    put(str(target))


@group.command()
def check(as_json: AsJson = False) -> None:
    """Look for damage, broken references, an unknown schema, and rows that contradict each other.

    Changes nothing; a server may run. Exit codes: 0 all is well, 1 there are faults, 2 there is no
    database, 5 it cannot be opened.
    """
    settings = load_settings()
    _existing(settings)
    with _failures("The check failed", ExitCode.UNREACHABLE):
        found = list(_findings(settings))
    faults = sum(finding.state == "fault" for finding in found)
    if as_json:
        put_json({"ok": faults == 0, "findings": [asdict(finding) for finding in found]})
    else:
        for finding in found:
            put(f"{finding.state.upper() if finding.state == 'fault' else finding.state}: {finding.detail}")
            if finding.fix:
                put(f"  -> {finding.fix}")
    raise typer.Exit(ExitCode.FAILED if faults else ExitCode.OK)


@group.command()
def prune(
    older_than_days: Annotated[
        int, typer.Option("--older-than-days", metavar="N", min=1, max=36_500, help="Runs that ended before that.")
    ],
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Make the SQLite file smaller afterwards; no server may run.")
    ] = False,
) -> None:
    """Delete finished runs with their attempts and transcripts, and the workspaces made for them.

    Your own directories are never touched, and audit events stay. A server may run. Prints the number
    of runs. Exit codes: 1 it failed, 2 there is no database, 3 --vacuum while a server runs.
    """
    settings = load_settings()
    _existing(settings)
    with _failures("Pruning failed"):
        from app.cli.db_work import prune_runs, vacuum_file

        pruned = asyncio.run(prune_runs(settings, older_than_days))
        say(f"{pruned.runs} runs and {pruned.workspaces} workspaces deleted.")
        file = _file_of(settings)
        if vacuum and file is not None:
            with _nobody_else(file):
                vacuum_file(file)
        elif pruned.runs and file is not None:
            say("The file keeps its size and fills the gaps; with the server stopped, --vacuum makes it smaller.")
    put(str(pruned.runs))


def _findings(settings: Settings) -> Iterator[Finding]:
    from app.adapters.database_check import file_faults, schema_of
    from app.cli.db_work import row_faults

    url = settings.resolved_database_url
    damage = file_faults(url)
    if damage:
        for sentence in damage:
            yield fault("file", sentence, "Restore a backup: `paceline db restore FILE --force`.")
    else:
        yield ok("file", "pages and references are sound")
    schema, state = schema_of(url)
    if state == "current":
        yield ok("schema", f"schema {schema}")
        rows = asyncio.run(row_faults(settings))
        for sentence in rows:
            yield fault("rows", sentence, "Please report it, with the events of that run: `/audit/export`.")
        if not rows:
            yield ok("rows", "no row contradicts another one")
    elif state == "older":
        yield note("schema", f"schema {schema} is older; rows are not checked", "The next start brings it up to date.")
    elif state == "newer":
        yield fault("schema", f"schema {schema} is of a newer Paceline", "Use that version.")
    else:
        yield fault("schema", "it is no database of Paceline", "Mend PACELINE_DATABASE_URL.")


def _file_of(settings: Settings) -> Path | None:
    """The SQLite file; None on PostgreSQL."""
    from app.adapters.database import sqlite_file

    with _refusals():
        return sqlite_file(settings.resolved_database_url)


def _existing(settings: Settings) -> None:
    file = _file_of(settings)
    if file is not None and not file.exists():
        raise CommandError(f"There is no database {file} yet.", ExitCode.REFUSED)


def _sqlite_file(settings: Settings, otherwise: str, *, must_exist: bool = True) -> Path:
    """The SQLite file; on PostgreSQL a sentence with the command that does it there."""
    file = _file_of(settings)
    if file is None:
        from sqlalchemy.engine import URL

        from app.adapters.database import parse_url

        url = parse_url(settings.resolved_database_url)
        shown = URL.create("postgresql", url.username, None, url.host, url.port, url.database)
        command = otherwise.format(url=f"'{shown.render_as_string()}'")
        raise CommandError(f"The database is on PostgreSQL, whose own tools do this: {command}", ExitCode.REFUSED)
    if must_exist and not file.exists():
        raise CommandError(f"There is no database {file} yet.", ExitCode.REFUSED)
    return file


def _free_name(target: Path) -> Path:
    moment = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    endings = ("", *(f".{number}" for number in range(1, 100)))
    names = (target.with_name(f"{target.name}.before-{moment}{ending}") for ending in endings)
    return next(name for name in names if not name.exists())


@contextmanager
def _nobody_else(file: Path) -> Iterator[None]:
    """Holds the lock that a server on this file holds."""
    lock = FileLock.beside(file)
    try:
        lock.acquire()
    except AlreadyLocked as error:
        who = f"process {error.pid}" if error.pid else "another process"
        raise CommandError(f"A Paceline server ({who}) works on {file}; stop it first.", ExitCode.WAITING) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _refusals() -> Iterator[None]:
    """What is wrong with a file that was named is the caller's to mend."""
    try:
        yield
    except PacelineError as error:
        raise CommandError(error.detail, ExitCode.REFUSED) from None


@contextmanager
def _failures(what: str, code: ExitCode = ExitCode.FAILED) -> Iterator[None]:
    from sqlalchemy.exc import SQLAlchemyError

    from app.adapters.database_errors import as_unavailable

    try:
        yield
    except PacelineError as error:
        raise CommandError(f"{what}: {error.detail}", code) from None
    except SQLAlchemyError as error:
        known = as_unavailable(error)
        if known is None:
            raise
        raise CommandError(f"{what}: {known.detail}", code) from None
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise CommandError(f"{what}: {error.strerror or error}{place}.", code) from None

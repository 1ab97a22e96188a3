"""What `paceline doctor` looks at on this machine: folders, git, the database, the registry, the page."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.database import sync_url
from app.adapters.database_errors import as_unavailable
from app.adapters.database_schema import migrations_folder
from app.adapters.registry_files import RegistryFiles
from app.adapters.working_dirs import WorkingDirectories
from app.cli.findings import Finding, fault, note, ok
from app.errors import DatabaseUnavailable, InvalidWorkingDir
from app.settings import Settings


def machine_findings(settings: Settings) -> Iterator[Finding]:
    """Everything that needs neither OpenCode nor a server."""
    yield _python()
    yield _data_dir(settings.data_dir)
    yield _git()
    yield _database(settings.resolved_database_url)
    yield from _registry(settings.resolved_config_dir)
    yield _working_dir(settings)
    yield _page()


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return ok("Python", f"{version} with SQLite {sqlite3.sqlite_version}")


def _data_dir(folder: Path) -> Finding:
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return fault(
            "data directory", f"{folder} cannot be written to", f"Make {existing} yours, or set PACELINE_DATA_DIR."
        )
    if existing != folder:
        return ok("data directory", f"{folder}, made at the first start")
    if folder.stat().st_mode & 0o077:
        return note("data directory", f"{folder} can be read by others", f"chmod 700 {folder}")
    return ok("data directory", str(folder))


def _git() -> Finding:
    try:
        done = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return fault("git", "not found", "Install git; without it no changes are shown and branches cannot be checked.")
    return ok("git", done.stdout.strip().removeprefix("git version "))


def _database(url: str) -> Finding:
    try:
        parsed = sync_url(url)
    except DatabaseUnavailable as error:
        return fault("database", error.detail, "Mend PACELINE_DATABASE_URL.")
    shown = parsed.render_as_string(hide_password=True)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and parsed.database and not Path(parsed.database).exists():
        return ok("database", f"{parsed.database}, made at the first start")
    try:
        current = _schema(url)
    except SQLAlchemyError as error:
        known = as_unavailable(error)
        return fault("database", f"{shown}: {known.detail if known else error}", "See PACELINE_DATABASE_URL.")
    return _schema_finding(str(parsed.database) if sqlite else shown, current)


def _schema(url: str) -> set[str]:
    """The schema that the database says it has; nothing is written."""
    engine = create_engine(sync_url(url), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return set(MigrationContext.configure(connection).get_current_heads())
    finally:
        engine.dispose()


def _schema_finding(place: str, current: set[str]) -> Finding:
    scripts = ScriptDirectory(str(migrations_folder()))
    known = {script.revision for script in scripts.walk_revisions()}
    if current - known:
        return fault(
            "database",
            f"{place} was used by a newer Paceline (schema {', '.join(sorted(current))})",
            "Start that version, or use another PACELINE_DATABASE_URL.",
        )
    if current != set(scripts.get_heads()):
        had = ", ".join(sorted(current)) or "none"
        return ok("database", f"{place}, schema {had}: brought up to date at the next start")
    return ok("database", f"{place}, schema {', '.join(sorted(current))}")


def _registry(folder: Path) -> Iterator[Finding]:
    files = RegistryFiles(folder)
    if not any(Path(path).exists() for path in files.paths):
        yield ok("registry", f"{folder}, filled with the shipped agents and templates at the first start")
        return
    reading = files.parse(files.read())
    for problem in reading.problems:
        yield fault("registry", str(problem), f"Mend the file in {folder}; a running server keeps the last good one.")
    if reading.config is not None:
        agents, templates = len(reading.config.agents), len(reading.config.pipelines)
        yield ok("registry", f"{agents} agents, {templates} templates in {folder}")


def _working_dir(settings: Settings) -> Finding:
    roots = [root for root in settings.fs_roots if root.is_dir()]
    if not roots:
        named = ", ".join(str(root) for root in settings.fs_roots) or "none"
        return fault("directories", f"none of those to work in exists: {named}", "Set PACELINE_FS_ROOTS.")
    try:
        here = WorkingDirectories(settings.fs_roots, settings.data_dir).resolve(os.getcwd())
    except InvalidWorkingDir as error:
        return note("directories", error.detail, "Give one of these with -C, or add it to PACELINE_FS_ROOTS.")
    except OSError:
        return note("directories", "the current directory is gone", "Change to another.")
    return ok("directories", f"{here} can be worked in, below {', '.join(str(root) for root in roots)}")


def _page() -> Finding:
    page = Path(__file__).parents[1] / "static" / "index.html"
    if page.is_file():
        return ok("web page", "built")
    return fault("web page", "not built", "Run `make setup` in the checkout.")

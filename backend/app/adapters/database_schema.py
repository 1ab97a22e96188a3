"""Brings a database to the schema of this version, and refuses one from a newer version."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, func, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.database import sync_url
from app.adapters.database_errors import as_unavailable
from app.adapters.sqlite_connection import prepare_sqlite
from app.errors import DatabaseUnavailable
from app.models import Base

SCHEMA_LOCK = 0x7061_6364
"""Key of the advisory lock under which a PostgreSQL database is migrated."""


async def upgrade_schema(url: str) -> None:
    """Create the database's tables or bring them up to date; safe to repeat and to do from several processes.

    All or nothing. DatabaseUnavailable when it cannot be reached or a newer version has used it.
    """
    await asyncio.to_thread(upgrade_schema_blocking, url)


def upgrade_schema_blocking(url: str) -> None:
    """`upgrade_schema` for callers without an event loop."""
    try:
        with migration_connection(url) as connection:
            config = Config()
            config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
            config.attributes["connection"] = connection
            _refuse_newer(connection, ScriptDirectory.from_config(config))
            _refuse_others(connection)
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        known = as_unavailable(error)
        if known is None:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            known = DatabaseUnavailable(f"The database could not be brought up to date, and is as it was: {reason}.")
        raise known from error


def migrations_folder() -> Path:
    """The migrations of the checkout; those shipped inside the package when there is none."""
    package = Path(__file__).parents[1]
    # The checkout first: an editable installation carries an old copy below `shipped`.
    checkout = package.parent / "migrations"
    return checkout if (checkout / "env.py").is_file() else package / "shipped" / "migrations"


@contextmanager
def migration_connection(url: str) -> Iterator[Connection]:
    """One transaction that migrates: it commits as a whole, and nobody else migrates meanwhile.

    On SQLite foreign keys are off inside, because a table that is rebuilt would take its children along.
    """
    parsed = sync_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, poolclass=NullPool)
    if sqlite:
        prepare_sqlite(engine, "own", foreign_keys=False)
    try:
        with engine.begin() as connection:
            if not sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(SCHEMA_LOCK)))
            yield connection
            if sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
                raise DatabaseUnavailable(f"The migration would leave table {broken[0]} with broken references.")
    finally:
        engine.dispose()


def _refuse_others(connection: Connection) -> None:
    """A database without a schema of ours must be empty but for what the queue keeps there."""
    if MigrationContext.configure(connection).get_current_heads():
        return
    foreign = set(inspect(connection).get_table_names()) & set(Base.metadata.tables)
    if foreign:
        raise DatabaseUnavailable(
            f"This is no database of Paceline: it has the table {min(foreign)}, but no schema version. "
            "Give another PACELINE_DATABASE_URL, or restore a backup."
        )


def _refuse_newer(connection: Connection, scripts: ScriptDirectory) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - known
    if unknown:
        raise DatabaseUnavailable(
            f"A newer Paceline has used this database (schema {', '.join(sorted(unknown))}); "
            "start that version, or give this one another PACELINE_DATABASE_URL."
        )

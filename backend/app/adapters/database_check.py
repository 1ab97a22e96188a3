"""Looks a database over without changing it: pages, references, schema."""

from collections.abc import Iterator

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.database import sync_url
from app.adapters.database_errors import as_unavailable
from app.adapters.database_schema import migrations_folder
from app.errors import DatabaseUnavailable

MOST = 20
"""Faults of one kind that are worth reading."""


def file_faults(url: str) -> list[str]:
    """What is wrong with the file and its references; nothing to find on PostgreSQL, which checks both itself.

    Unavailable when it cannot be opened at all.
    """
    parsed = sync_url(url)
    if parsed.get_backend_name() != "sqlite":
        return []
    engine = create_engine(parsed, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return list(_sqlite_faults(connection))
    except SQLAlchemyError as error:
        raise as_unavailable(error) or DatabaseUnavailable(f"The database cannot be read: {error}") from error
    finally:
        engine.dispose()


def _sqlite_faults(connection: Connection) -> Iterator[str]:
    for row in connection.exec_driver_sql(f"PRAGMA integrity_check({MOST})"):
        if row[0] != "ok":
            yield f"The file is damaged: {row[0]}"
    for row in list(connection.exec_driver_sql("PRAGMA foreign_key_check"))[:MOST]:
        yield f"Row {row[1]} of table {row[0]} refers to a row of {row[2]} that is not there."


def schema_of(url: str) -> tuple[str, str]:
    """The database's schema, and how it is: `current`, `older`, `newer` or `none`."""
    engine = create_engine(sync_url(url), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            heads = set(MigrationContext.configure(connection).get_current_heads())
    except SQLAlchemyError as error:
        raise as_unavailable(error) or DatabaseUnavailable(f"The database cannot be read: {error}") from error
    finally:
        engine.dispose()
    scripts = ScriptDirectory(str(migrations_folder()))
    name = ", ".join(sorted(heads)) or "none"
    if not heads:
        return name, "none"
    if heads == set(scripts.get_heads()):
        return name, "current"
    return name, "older" if heads <= {script.revision for script in scripts.walk_revisions()} else "newer"

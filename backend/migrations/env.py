"""Joins Alembic to our tables: used by the `alembic` command and by the server's own upgrade."""

from logging.config import fileConfig
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

from app.adapters.database import sync_url
from app.adapters.database_schema import migration_connection
from app.models import Base, UtcDateTime
from app.settings import Settings


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Only our own tables: DBOS keeps its in the same SQLite file, and in a schema of its own elsewhere."""
    if kind == "schema":
        return name is None
    if kind == "table":
        return name in Base.metadata.tables and parents["schema_name"] is None
    return True


def render_item(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write plain types into migrations: an old migration must not change with our models."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run(connection: Connection) -> None:
    """Do what was asked on this connection, whose transaction belongs to the caller."""
    sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=include_name,
        render_item=render_item,
        render_as_batch=sqlite,
        # SQLite can do it; Alembic only assumes that Python's driver gets in the way.
        transactional_ddl=True,
        process_revision_directives=_number,
    )
    with context.begin_transaction():
        context.run_migrations()


def _number(migration: Any, _revision: Any, directives: list[Any]) -> None:
    """Number the migrations 0001, 0002, … so that their order is seen in the folder."""
    head = migration.script.get_current_head()
    for directive in directives:
        directive.rev_id = f"{int(head or 0) + 1:04d}"


def main() -> None:
    """On the given connection, else on one of our own, else as SQL on standard output."""
    given: Connection | None = context.config.attributes.get("connection")
    if given is not None:
        run(given)
        return
    if context.config.config_file_name:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    url = Settings().resolved_database_url
    if context.is_offline_mode():
        context.configure(url=sync_url(url), target_metadata=Base.metadata, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    with migration_connection(url) as connection:
        run(connection)


main()

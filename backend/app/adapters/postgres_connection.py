"""How a PostgreSQL connection is set up: a transaction that its process has forgotten ends by itself."""

from typing import Any

from sqlalchemy import Engine, event


def prepare_postgres(engine: Engine, idle_transaction_seconds: float) -> None:
    """End transactions in which nothing happens for so long, on every future connection of the engine.

    A process that is stopped between two statements would otherwise keep its locks, that on the audit
    log among them, and with them every other server from working.
    """

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {int(idle_transaction_seconds * 1000)}")
        connection.commit()

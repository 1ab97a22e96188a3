"""A second server on one PostgreSQL database is refused; a dead one keeps nobody out."""

import pytest

from app.adapters import server_lock
from app.adapters.database import Database
from app.adapters.server_lock import only_server
from app.errors import DatabaseUnavailable


async def test_a_second_server_is_refused_until_the_first_is_gone(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_lock, "_TAKE_SECONDS", 0.3)
    first, second = Database(postgres_url), Database(postgres_url)
    try:
        async with only_server(first):
            with pytest.raises(DatabaseUnavailable, match="Another Paceline server"):
                async with only_server(second):
                    pass
        async with only_server(second):
            pass
    finally:
        await first.dispose()
        await second.dispose()


async def test_on_sqlite_the_lock_file_does_it(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    async with only_server(database), only_server(database):
        pass
    await database.dispose()

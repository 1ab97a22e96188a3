"""Who may share a PostgreSQL database: attached servers do, one with an OpenCode of its own is alone."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from app.adapters.database import Database
from app.adapters.opencode_address import shared_address
from app.adapters.server_lock import ServerLock, server_lock
from app.cli.exits import CommandError, ExitCode
from app.cli.server_commands import failures_as_sentences
from app.errors import DatabaseTaken


@pytest.fixture
async def databases(postgres_url: str) -> AsyncIterator[list[Database]]:
    """The same database, as three servers see it."""
    made = [Database(postgres_url) for _ in range(3)]
    yield made
    for database in made:
        await database.dispose()


async def taken(database: Database, name: str, *, shared: bool) -> ServerLock:
    """A lock that is held at once, or not at all."""
    lock = ServerLock(database, name, shared=shared)
    await lock.take(0.2)
    return lock


async def test_a_second_server_is_refused_until_the_first_is_gone(databases: list[Database]) -> None:
    first = await taken(databases[0], "a", shared=False)
    with pytest.raises(DatabaseTaken, match="Another Paceline server"):
        await taken(databases[1], "b", shared=False)
    with pytest.raises(DatabaseTaken, match="manages an OpenCode of its own"):
        await taken(databases[1], "b", shared=True)
    await first.give_back()
    await (await taken(databases[1], "b", shared=False)).give_back()


async def test_attached_servers_share_but_no_name_twice(databases: list[Database]) -> None:
    held = [await taken(databases[0], "a", shared=True), await taken(databases[1], "b", shared=True)]
    with pytest.raises(DatabaseTaken, match="A server named b"):
        await taken(databases[2], "b", shared=True)
    with pytest.raises(DatabaseTaken, match="same PACELINE_OPENCODE_URL"):
        await taken(databases[2], "c", shared=False)
    for lock in held:
        await lock.give_back()


async def test_a_lock_whose_connection_broke_is_taken_again_or_known_to_be_lost(databases: list[Database]) -> None:
    lock = await taken(databases[0], "a", shared=False)
    await lock.keep()
    await break_connections(databases[2])
    await lock.keep()
    with pytest.raises(DatabaseTaken):
        await taken(databases[1], "b", shared=False)
    await break_connections(databases[2])
    other = await taken(databases[1], "b", shared=False)
    for _ in range(2):
        with pytest.raises(DatabaseTaken):
            await lock.keep()
    await other.give_back()
    await lock.keep()
    await lock.give_back()


async def break_connections(database: Database) -> None:
    """What a restart of PostgreSQL does to those who hold a lock."""
    async with database.engine.connect() as connection:
        holders = "SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory'"
        await connection.execute(text(f"SELECT pg_terminate_backend(pid, 5000) FROM ({holders}) AS holders"))


async def test_on_sqlite_the_lock_file_does_it(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    async with server_lock(database, "a", shared=False) as one, server_lock(database, "a", shared=False) as two:
        assert (one, two) == (None, None)
    await database.dispose()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://opencode:4096", "http://OpenCode:4096/", True),
        ("https://opencode", "https://user:secret@opencode:443", True),
        ("http://127.0.0.1:4096", "http://localhost:4096", True),
        ("http://opencode:4096", "http://opencode:4097", False),
        ("http://opencode:4096", "https://opencode:4096", False),
    ],
)
def test_one_opencode_has_one_spelling(one: str, other: str, same: bool) -> None:
    assert (shared_address(one, "host") == shared_address(other, "host")) is same


def test_a_loopback_address_is_another_opencode_on_another_host() -> None:
    assert shared_address("http://127.0.0.1:4096", "one") != shared_address("http://127.0.0.1:4096", "two")
    assert shared_address("http://[fd00::1]:4096", "one") == shared_address("http://[FD00::1]:4096", "two")


def test_a_database_that_is_taken_ends_the_start_as_a_second_server_does() -> None:
    with pytest.raises(CommandError, match=r"cannot start: Stop it\.") as refused, failures_as_sentences():
        raise DatabaseTaken("Stop it.")
    assert refused.value.code == ExitCode.WAITING

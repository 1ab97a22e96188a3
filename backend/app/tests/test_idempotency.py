"""The same request again with the same Idempotency-Key creates nothing and gets the first one's run."""

import asyncio

import httpx
import pytest
from sqlalchemy import func, select

from app.adapters.database import Database
from app.cli.connection import Connection, ServerAddress
from app.models import Directory, Pipeline
from app.tests.app_fixtures import Api

KEY = {"idempotency-key": "6f1f6a0e-submission"}


async def create(api: Api, key: dict[str, str] = KEY, **body: object) -> httpx.Response:
    given = {"template": "two_steps", "title": "A run", "prompt": "Do it.", "working_dir": str(api.projects)} | body
    return await api.http.post("/pipelines", json=given, headers=key)


async def count(database: Database, table: type[Pipeline] | type[Directory] = Pipeline) -> int:
    async with database.reads() as db:
        return await db.scalar(select(func.count()).select_from(table)) or 0


async def test_a_repeated_creation_is_one_run(api: Api, database: Database) -> None:
    first, second = await create(api), await create(api)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert await count(database) == 1
    assert len(api.engine.segments) == 1


async def test_eight_at_once_are_one_run(api: Api, database: Database) -> None:
    # A workspace of its own each: nothing but the key keeps them apart.
    answers = await asyncio.gather(*(create(api, working_dir=None) for _ in range(8)))
    assert [answer.status_code for answer in answers] == [201] * 8
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (await count(database), await count(database, Directory)) == (1, 1)


async def test_another_request_under_the_key_is_refused(api: Api, database: Database) -> None:
    first = await create(api)
    other = await create(api, prompt="Something else.")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert str(first.json()["id"]) in other.json()["detail"]
    assert await count(database) == 1


async def test_the_answer_shows_the_run_as_it_is_now(api: Api) -> None:
    run_id = (await create(api)).json()["id"]
    await api.http.post(f"/pipelines/{run_id}/abort")
    again = await create(api)
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (201, run_id, "aborted")


async def test_a_refused_request_does_not_use_the_key_up(api: Api) -> None:
    assert (await create(api, template="none")).status_code == 422
    assert (await create(api)).status_code == 201


async def test_without_a_key_or_with_another_there_are_two_runs(api: Api, database: Database) -> None:
    for key in ({}, {}, KEY, {"idempotency-key": "another"}):
        assert (await create(api, key)).status_code == 201
    assert await count(database) == 4


async def test_a_repeated_duplicate_is_one_run(api: Api, database: Database) -> None:
    run_id = (await create(api, {})).json()["id"]
    first, second = [await api.http.post(f"/pipelines/{run_id}/duplicate", headers=KEY) for _ in range(2)]
    assert (first.status_code, first.json()["id"]) == (201, second.json()["id"])
    assert await count(database) == 2
    assert (await create(api)).json()["code"] == "idempotency_mismatch"


@pytest.mark.parametrize("key", ["", "two words", "x" * 201, "tab\there"])
async def test_a_key_is_visible_characters(sqlite_api: Api, key: str) -> None:
    answer = await create(sqlite_api, {"idempotency-key": key})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/idempotency-key")


async def test_the_command_line_asks_again_under_its_key_when_the_answer_is_lost() -> None:
    keys: list[str] = []

    async def lose_the_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        keys.append(next(line for line in head.splitlines() if line.lower().startswith("idempotency-key: ")))
        if len(keys) > 1:
            writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 8\r\nconnection: close\r\n\r\n{\"id\":1}")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(lose_the_first, "127.0.0.1", 0)
    async with server:
        connection = Connection(ServerAddress(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "token"))
        assert await asyncio.to_thread(connection.create, "/pipelines", {}) == {"id": 1}
        assert await asyncio.to_thread(connection.create, "/pipelines", {}) == {"id": 1}
        connection.close()
    assert keys[0] == keys[1] != keys[2]

"""Some thousand generated requests: no 5xx, and everything that is answered stands in the OpenAPI document."""

from pathlib import Path
from random import Random
from secrets import randbelow

import pytest

from app.tests.chaos.api_cases import send_cases
from app.tests.chaos.arena import open_arena
from app.tests.chaos.nursery import Nursery

pytestmark = pytest.mark.chaos


@pytest.mark.timeout(600)
async def test_no_request_breaks_the_server_or_the_document(sqlite_url: str, tmp_path: Path) -> None:
    # The rules of the document one by one; `make chaos` adds thousands of random cases on both databases.
    seed = randbelow(10**6)
    with Nursery() as nursery:
        async with open_arena(tmp_path / "arena", sqlite_url, nursery, Random(seed)) as (arena, faults):
            cases = await send_cases(arena, tmp_path, 1, seed)
    assert cases.failures == [], f"seed {seed}: {cases.failures[0]}"
    assert cases.count > 500
    assert faults == []

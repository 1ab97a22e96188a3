"""Eight clients at once: at most one gets what it wants, the others hear 409, and the log has one event.

Afterwards the server holds no more files, threads, tasks and memory than it did."""

from pathlib import Path
from random import Random
from secrets import randbelow

import pytest

from app.tests.chaos.arena import open_arena
from app.tests.chaos.nursery import Nursery
from app.tests.chaos.races import run_races

pytestmark = pytest.mark.chaos

ROUNDS = 5


@pytest.mark.timeout(600)
async def test_each_race_has_at_most_one_winner(database_url: str, tmp_path: Path) -> None:
    seed = randbelow(10**6)
    with Nursery() as nursery:
        async with open_arena(tmp_path / "arena", database_url, nursery, Random(seed)) as (arena, faults):
            faults += await run_races(arena, 1)
            before = await arena.usage()
            faults += await run_races(arena, ROUNDS - 1)
            faults += (await arena.usage(back_to=before)).beyond(before)
    assert faults == [], f"seed {seed}"

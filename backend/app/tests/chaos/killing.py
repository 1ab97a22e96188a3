"""Kills the server at every fail point, as often as asked, on both databases at the same time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from app.fail_points import ALL
from app.tests.chaos.ledger import Ledger
from app.tests.chaos.nursery import Nursery
from app.tests.chaos.programs import PROGRAMS
from app.tests.chaos.world import World, open_world

FRUITLESS_WAVES = 6
"""So many waves without a kill at a named place, and what is left counts as never reached."""


@dataclass
class Killed:
    """What came of it on one database."""

    database: str
    kills: Counter[str]
    unreached: list[str]
    faults: list[str]
    runs: int
    steps: int
    lost: int
    doubled: int
    outages: Counter[int]
    """Answers of the living server with 503 or 507, after which everybody asked again."""


def shares(kills: int, databases: int) -> list[Counter[str]]:
    """`kills` at each place in all, dealt to the databases in turn."""
    dealt = [Counter[str]() for _ in range(databases)]
    for number, place in enumerate(ALL):
        for one in range(kills):
            dealt[(number + number // 2 + one) % databases][place] += 1
    return dealt


async def kill_everywhere(
    folder: Path, urls: Sequence[str], kills: int, seed: int, nursery: Nursery
) -> list[Killed]:
    """`kills` at each place over all databases; each of them has a world of its own."""
    work = [
        kill_on(folder / f"world{number}", url, owed, Random(f"{seed}-{number}"), nursery)
        for number, (url, owed) in enumerate(zip(urls, shares(kills, len(urls)), strict=True))
    ]
    return await asyncio.gather(*work)


async def kill_on(folder: Path, url: str, owed: Counter[str], rng: Random, nursery: Nursery) -> Killed:
    """Kill at what is owed, on one migrated database; `folder` must not exist."""
    folder.mkdir()
    ledger = Ledger(owed)
    async with open_world(folder, url, nursery, ledger, rng) as world:
        await _waves(world, ledger)
    return Killed(
        world.name, ledger.kills, sorted(ledger.owed), world.faults, world.runs, world.steps, world.lost, world.doubled,
        world.outages,
    )  # fmt: skip


async def _waves(world: World, ledger: Ledger) -> None:
    fruitless = 0
    while ledger.owed and fruitless < FRUITLESS_WAVES:
        before = ledger.owed.total()
        names = {place.partition(":")[2] for place in ledger.owed}
        await world.wave(program for program in PROGRAMS if names & set(program.commits))
        fruitless = 0 if ledger.owed.total() < before else fruitless + 1

"""`make chaos`: kills, races and generated requests on both databases; exit code 1 when anything is lost or a lie."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from secrets import randbelow
from typing import TypeVar

from app.tests.chaos.api_cases import Cases, send_cases
from app.tests.chaos.arena import open_arena
from app.tests.chaos.killing import kill_everywhere
from app.tests.chaos.nursery import Nursery
from app.tests.chaos.races import run_races
from app.tests.chaos.report import Figures
from app.tests.conftest import DIALECTS, prepare_database
from app.tests.postgres import PostgresServer, running_postgres

DOCUMENT = Path(__file__).parents[4] / "docs" / "reliability.md"
PARTS = ("kills", "races", "cases")
# What schemathesis makes of the document itself on each database, before anything is random.
FIXED_CASES = 1650
OPERATIONS = 31

T = TypeVar("T")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Chaos:
    """One run of everything; `figures` grows part by part."""

    def __init__(self, folder: Path, server: PostgresServer, nursery: Nursery, seed: int) -> None:
        """`folder` is thrown away afterwards, `server` gets databases of its own."""
        self.figures = Figures(seed)
        self._folder = folder
        self._server = server
        self._nursery = nursery
        self._seed = seed

    def _databases(self, part: str) -> list[str]:
        urls = [f"sqlite+aiosqlite:///{self._folder / f'{part}.db'}", self._server.create(f"chaos_{part}")]
        for url in urls:
            prepare_database(url)
        return urls

    async def _timed(self, part: str, work: Awaitable[T]) -> T:
        _say(f"{part} …")
        begin = time.monotonic()
        try:
            return await work
        finally:
            self.figures.seconds[part] = time.monotonic() - begin

    async def kills(self, urls: list[str], times: int) -> None:
        """Kill at every place, `times` times over both databases."""
        work = kill_everywhere(self._folder, urls, times, self._seed, self._nursery)
        self.figures.killed = await self._timed("kills", work)
        self.figures.faults += [fault for one in self.figures.killed for fault in one.faults]
        _say(self.figures.table())

    async def races(self, urls: list[str], rounds: int) -> None:
        """Run every race, `rounds` times over both databases."""
        each = -(-rounds // len(urls))
        found = await self._timed("races", asyncio.gather(*(self._race(url, each) for url in urls)))
        self.figures.rounds = each * len(urls)
        for name, (growth, faults) in zip(DIALECTS, found, strict=True):
            self.figures.growth.append(f"{name}: {growth}")
            self.figures.faults += [f"{name}, {fault}" for fault in faults]

    async def _race(self, url: str, rounds: int) -> tuple[str, list[str]]:
        number = DIALECTS[0] if url.startswith("sqlite") else DIALECTS[1]
        rng = Random(f"{self._seed}-{number}")
        async with open_arena(self._folder / f"races-{number}", url, self._nursery, rng) as (arena, faults):
            faults += await run_races(arena, 1)
            before = await arena.usage()
            faults += await run_races(arena, rounds - 1)
            after = await arena.usage(back_to=before)
            faults += after.beyond(before)
        return after.since(before, rounds), faults

    async def cases(self, urls: list[str], count: int) -> None:
        """Send about `count` generated requests, half of them on each database."""
        each = max(1, (count // len(urls) - FIXED_CASES) // OPERATIONS + 1)
        found = await self._timed("cases", asyncio.gather(*(self._send(url, each) for url in urls)))
        self.figures.cases = sum(cases.count for cases in found)
        self.figures.faults += [failure for cases in found for failure in cases.failures]

    async def _send(self, url: str, per_operation: int) -> Cases:
        number = DIALECTS[0] if url.startswith("sqlite") else DIALECTS[1]
        folder = self._folder / f"cases-{number}"
        async with open_arena(folder, url, self._nursery, Random(self._seed)) as (arena, faults):
            cases = await send_cases(arena, folder, per_operation, self._seed)
        return Cases(cases.count, cases.failures + faults)

    async def run(self, given: argparse.Namespace) -> None:
        """The parts that were asked for."""
        for part, amount in (("kills", given.kills), ("races", given.rounds), ("cases", given.cases)):
            if part in given.parts:
                await getattr(self, part)(await asyncio.to_thread(self._databases, part), amount)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="of an earlier run; the order of events still differs")
    parser.add_argument("--kills", type=int, default=5, help="at each named place, over both databases")
    parser.add_argument("--rounds", type=int, default=50, help="of each race, over both databases")
    parser.add_argument("--cases", type=int, default=5200, help="generated requests, about so many")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--write", action="store_true", help="put the figures into docs/reliability.md")
    return parser.parse_args()


@contextmanager
def _chaos(seed: int) -> Iterator[Chaos]:
    with (
        tempfile.TemporaryDirectory(prefix="paceline-chaos-", ignore_cleanup_errors=True) as folder,
        running_postgres() as server,
        Nursery() as nursery,
    ):
        yield Chaos(Path(folder), server, nursery, seed)


def main() -> int:
    """0 when every promise held."""
    given = _arguments()
    seed = randbelow(10**6) if given.seed is None else given.seed
    _say(f"seed {seed}")
    with _chaos(seed) as chaos:
        asyncio.run(chaos.run(given))
    figures = chaos.figures
    _say("\n".join(figures.sentences()))
    for fault in figures.wrong():
        _say(f"FAULT {fault}")
    if figures.wrong():
        _say(f"Repeat it with: make chaos SEED={seed}")
        return 1
    if given.write:
        figures.write_into(DOCUMENT)
        _say(f"wrote the figures into {DOCUMENT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

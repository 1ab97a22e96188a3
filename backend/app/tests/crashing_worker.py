"""A worker for the crash test, run as a process of its own: says what it does, and hangs until it is killed.

Arguments: the database's address, and `crash` to enqueue and hang in the second step, or `resume`.
"""

import asyncio
import sys

from app.adapters.database import Database
from app.adapters.dbos_engine import DbosEngine
from app.schemas.work import Release, Segment

WORK = Segment(7, 1, 1, 0)


def say(word: str) -> None:
    """Tell the test, at once."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


class Worker:
    """Walks two steps; the second one hangs in the process that shall die."""

    def __init__(self, hang: bool) -> None:
        self.engine: DbosEngine | None = None
        self.finished = asyncio.Event()
        self._hang = hang

    async def run_segment(self, segment: Segment) -> str:
        """One recorded step, and one that is interrupted."""
        assert self.engine is not None
        words = [
            await self.engine.checkpoint("first", self._first),
            await self.engine.checkpoint("second", self._second),
        ]
        say(f"walked {segment.start} {' '.join(words)}")
        self.finished.set()
        return "done"

    async def run_release(self, release: Release) -> str:
        """Not part of this."""
        raise NotImplementedError(release)

    async def _first(self) -> str:
        say("first")
        return "one"

    async def _second(self) -> str:
        say("second")
        if self._hang:
            await asyncio.sleep(3600)
        return "two"


async def main(url: str, mode: str) -> None:
    """Enqueue and hang, or take up what is left and end."""
    database = Database(url)
    worker = Worker(hang=mode == "crash")
    engine = worker.engine = DbosEngine(database, "crashing", poll_seconds=0.02)
    await engine.start(worker)
    if mode == "crash":
        async with database.sessions.begin() as db:
            await db.run_sync(engine.enqueue_segment, WORK)
    await worker.finished.wait()
    while await engine.live_workflows():
        await asyncio.sleep(0.02)
    await engine.stop()
    await database.dispose()
    say("ended")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

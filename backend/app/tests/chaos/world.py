"""One server that dies again and again, the agents' OpenCode that lives on, and everybody who uses both."""

import asyncio
import json
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import httpx
from sqlalchemy import text, update

from app.adapters.database import Database
from app.fail_points import KILLED
from app.models import AgentRequest
from app.schemas.work import Segment
from app.tests.chaos.invariants import Kept, final_sessions, unkept, violations
from app.tests.chaos.ledger import PLANNED, RANDOM, Ledger
from app.tests.chaos.nursery import Nursery
from app.tests.chaos.person import Person
from app.tests.chaos.programs import Program
from app.tests.chaos.watch import Watch
from app.tests.fake_opencode import FakeOpenCode
from app.tests.live_server import SETUP, LiveServer, ServerDied, attached_server

REST_SECONDS = 20.0
LEASE_SECONDS = "9"
"""The servers look for reminders and deadlines six times in it: a wave waits for both."""
RANDOM_SHARE = 0.1
"""How many of the servers are killed at a random moment instead of a named place."""


class World:
    """`faults` is empty as long as nothing was lost, doubled or left lying."""

    def __init__(
        self, name: str, server: LiveServer, opencode: FakeOpenCode, database: Database, ledger: Ledger, rng: Random
    ) -> None:
        """`name` is told in faults; `rng` decides which places are armed and when."""
        self.name = name
        self.faults: list[str] = []
        self.acknowledged: list[Kept] = []
        self.outages: Counter[int] = Counter()
        self.lost = self.doubled = self.steps = self.runs = 0
        self.provider = opencode.provider
        self._server = server
        self._opencode = opencode
        self._database = database
        self._ledger = ledger
        self._rng = rng
        self._reachable: set[str] = set()
        self._reviving = asyncio.Lock()
        self._since = 0.0
        self._log_read = 0
        self._killed: str | None = None
        """What the server was killed for, when it was no fail point."""
        self._killer: asyncio.Task[None] | None = None
        self._people = 0
        self.watch = Watch(database, lives=lambda: not server.is_dead())

    @property
    def http(self) -> httpx.AsyncClient:
        """A client of the server that lives now."""
        return self._server.http

    def alive_seconds(self) -> float:
        """How long the server has lived now."""
        return time.monotonic() - self._since

    async def revive(self) -> None:
        """Start the server if it is dead, armed with what is still owed; counts why it died."""
        async with self._reviving:
            while self._server.is_dead():
                if self._killer is not None:
                    self._killer.cancel()
                self._note_death()
                await self._server.terminate()
                with suppress(ServerDied):
                    await self._server.start(PACELINE_FAIL_POINT=self._ledger.arm(self._rng, self._reachable))
                    self._since = time.monotonic()
                    self._killer = asyncio.create_task(self._kill_sometimes())

    async def _kill_sometimes(self) -> None:
        if self._reachable and self._rng.random() < RANDOM_SHARE:
            await asyncio.sleep(self._rng.uniform(0.05, 1.5))
            self._kill(RANDOM)

    def _kill(self, why: str) -> None:
        if not self._server.is_dead():
            self._killed = why
            self._server.kill()

    def _note_death(self) -> None:
        """Read from the log which fail point it was; a death that nobody ordered is a fault."""
        log = self._server.folder / "server.log"
        new = log.read_text()[self._log_read :] if log.exists() else ""
        self._log_read += len(new)
        last = new.rstrip().rpartition("\n")[2]
        if last.startswith(KILLED):
            self._ledger.count(last.removeprefix(KILLED))
        elif self._killed is not None:
            self._ledger.count(self._killed)
        elif self._since:
            self.faults.append(f"{self.name}: the server died by itself: {new[-1500:]}")
        self._killed = None

    async def lose_work(self, run_id: int) -> None:
        """Kill the server and take what it had queued for a run out of the queue."""
        async with self._reviving:
            self._kill(PLANNED)
            table = "workflow_status" if self._database.dialect == "sqlite" else "dbos.workflow_status"
            statement = f"UPDATE {table} SET status = 'CANCELLED' WHERE status = 'PENDING' AND workflow_uuid LIKE :ours"
            async with self._database.sessions.begin() as db:
                await db.execute(text(statement), {"ours": f"{Segment.prefix(run_id, 1)}%"})
        await self.revive()

    async def lose_turn(self, marker: str) -> bool:
        """OpenCode stops working on the prompt with this marker and says nothing; False when it had finished."""
        return await self._opencode.lose_turn(marker)

    async def answer_elsewhere(self, marker: str) -> None:
        """Somebody allows at OpenCode itself what the run with this marker asks there."""
        sessions = [one.id for one in self._opencode.sessions.values() if marker in json.dumps(one.messages)]
        for request in list(self._opencode.requests.values()):
            if request.body["sessionID"] in sessions:
                del self._opencode.requests[request.id]
                request.answer.set_result({"reply": "once"})

    async def let_time_run_out(self, run_id: int) -> None:
        """The deadline of what the agent of a run asks comes now."""
        is_open = (AgentRequest.pipeline_id == run_id, AgentRequest.status == "pending")
        async with self._database.sessions.begin() as db:
            await db.execute(update(AgentRequest).where(*is_open).values(deadline=datetime.now(UTC)))

    async def wave(self, programs: Iterable[Program]) -> None:
        """All programs at the same time, on a server that dies wherever it is owed; then a look at everything."""
        programs = list(programs)
        self._reachable = {name for program in programs for name in program.commits}
        self._kill(PLANNED)
        await self.revive()
        await asyncio.gather(*(self._play(program) for program in programs))
        await self.rest()

    async def _play(self, program: Program) -> None:
        self._people += 1
        marker = f"marker{self._people:04d}"
        project = self._server.folder / marker
        shutil.copytree(self._server.project, project)
        person = Person(self, marker, project)
        try:
            expected = await program.run(person)
        except AssertionError as error:
            self.faults.append(f"{self.name}, {program.run.__name__}: {error}")
            return
        finally:
            self.acknowledged += person.acknowledged
            self.outages += person.outages
            self.runs += 1
        self._compare(program, expected, self.provider.models_called(marker))

    def _compare(self, program: Program, expected: list[str], called: list[str]) -> None:
        self.steps += len(expected)
        for model in set(expected) | set(called):
            more = called.count(model) - expected.count(model)
            self.doubled += max(more, 0)
            self.lost += max(-more, 0)
            if more:
                self.faults.append(f"{self.name}, {program.run.__name__}: {model} was called {more:+d} times")

    async def rest(self) -> None:
        """Wait until every invariant holds; what does not hold in time is a fault."""
        found: list[str] = ["never looked"]
        while found:
            await self.revive()
            found = await self._look()
            if self.alive_seconds() > REST_SECONDS:
                break
            await asyncio.sleep(0.1)
        self.faults += [f"{self.name}: {sentence}" for sentence in [*found, *self.watch.faults]]
        self.watch.faults.clear()

    async def _look(self) -> list[str]:
        found = await violations(self._database) + await unkept(self._database, self.acknowledged)
        over = await final_sessions(self._database)
        busy = [session.id for session in self._opencode.sessions.values() if session.doing]
        return found + [f"session {one} is busy for a run that is over" for one in busy if one in over]

    async def close(self) -> None:
        """Stop killing."""
        if self._killer is not None:
            self._killer.cancel()


@asynccontextmanager
async def open_world(
    folder: Path, database_url: str, nursery: Nursery, ledger: Ledger, rng: Random
) -> AsyncIterator[World]:
    """A world on a migrated database; its server is started by the first wave."""
    database = Database(database_url)
    try:
        async with (
            FakeOpenCode(SETUP, pace=1).serve() as opencode,
            attached_server(
                folder, database_url, opencode, nursery.start, PACELINE_WORKER_LEASE_SECONDS=LEASE_SECONDS
            ) as server,
        ):
            world = World(database.dialect, server, opencode, database, ledger, rng)
            async with world.watch:
                yield world
            await world.close()
    finally:
        await database.dispose()

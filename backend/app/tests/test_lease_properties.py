"""Whatever several servers and people do, and wherever they die: no two holders, no lost wake-up, epochs only rise.

Quick by default; PACELINE_TEST_EXAMPLES makes it as long and as random as wanted.
"""

import asyncio
import os
from collections.abc import Awaitable
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from app.adapters.database import Database
from app.models import AuditEvent, Directory, Pipeline
from app.schemas.pipeline import FINAL_PIPELINE
from app.schemas.work import Release, Segment
from app.tests.chaos.invariants import violations
from app.tests.lease_database import Crash, careless, crashing, empty
from app.tests.lease_world import Server, SharedQueue, decide, pass_time

EXAMPLES = os.environ.get("PACELINE_TEST_EXAMPLES")
"""Read at import: each test takes the variables of Paceline out of its environment."""

T = TypeVar("T")
PATHS = ("/one", "/two")
ACTIONS = ("approve", "reject", "request_changes", "abort", "restart")
STARTED = ("running", "waiting_for_approval", "waiting_for_input")
WHICH = st.integers(0, 5)
PLACES = 24
"""More than any operation has statements and commits (20 were counted): a crash may come before each of them."""

CRASH = st.one_of(st.none(), st.none(), st.integers(0, PLACES - 1))


class Servers(RuleBasedStateMachine):
    """Three servers on two directories."""

    database: Database
    runner: asyncio.Runner

    @initialize()
    def begin(self) -> None:
        self.queue = SharedQueue()
        self.servers = [Server(self.database, self.queue, name) for name in "abc"]
        self.epochs: dict[int, tuple[int, int]] = {}
        self.turns: dict[int, int] = {}
        self.run(empty(self.database))
        for server in self.servers:
            self.run(server.start())
        for server, path in zip(self.servers, PATHS, strict=False):
            self.run(server.create(path, True))
            self.take(0, 0)

    def run(self, work: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await work

        return self.runner.run(awaited())

    def up(self, which: int) -> Server:
        """One of those that work; if none does, one is started."""
        if not any(server.state == "up" for server in self.servers):
            server = self.servers[which % 3]
            server.state = "dead"
            self.run(server.start())
        working = [server for server in self.servers if server.state == "up"]
        return working[which % len(working)]

    def does(self, server: Server, work: Awaitable[Any], crash: int | None, most: int = PLACES) -> None:
        """Let a server do something of at most so many statements, and die before that one of them."""
        with crashing(self.database, crash) as came:
            try:
                self.run(work)
            except Crash:
                server.state = "dead"
        assert len(came) <= most, f"{len(came)} statements: no crash comes before the last ones, raise PLACES"

    # What people do

    @rule(path=st.sampled_from(PATHS), gated=st.booleans(), which=WHICH, crash=CRASH)
    def create(self, path: str, gated: bool, which: int, crash: int | None) -> None:
        server = self.up(which)
        self.does(server, server.create(path, gated), crash)

    @rule(action=st.sampled_from(ACTIONS), which=WHICH, number=WHICH, crash=CRASH)
    def decide(self, action: str, which: int, number: int, crash: int | None) -> None:
        server, run_id = self.up(which), _pick(list(self.epochs), number)
        if run_id is not None:
            self.does(server, decide(server, action, run_id), crash)

    # What servers do

    @rule(which=WHICH, number=WHICH)
    def take(self, which: int, number: int) -> None:
        server, work = self.up(which), _pick(self.queue.waiting(), number)
        if work is not None:
            server.take(work)

    @rule(number=WHICH, crash=CRASH)
    def go_on(self, number: int, crash: int | None) -> None:
        self._move(number, crash)

    @rule(number=WHICH)
    def go_on_for_a_while(self, number: int) -> None:
        for _ in range(4):
            self._move(number, None)

    @rule(number=WHICH)
    def look(self, number: int) -> None:
        found = self._at_work(number)
        if found is not None and isinstance(found[1], Segment):
            self.run(found[0].look(found[1]))

    @rule(number=WHICH, idle=st.booleans(), crash=CRASH)
    def fail(self, number: int, idle: bool, crash: int | None) -> None:
        found = self._at_work(number)
        if found is not None and isinstance(found[1], Segment):
            self.does(found[0], found[0].fail(found[1], idle), crash)

    @rule(which=WHICH, crash=CRASH)
    def reconcile(self, which: int, crash: int | None) -> None:
        server = self.up(which)
        # It does the same for each run: there is no number that bounds it.
        self.does(server, server.reconciler.reconcile(), crash, most=1000)

    @rule()
    def all_reconcile_at_once(self) -> None:
        async def together() -> None:
            await asyncio.gather(*(one.reconciler.reconcile() for one in self.servers if one.state == "up"))

        self.run(together())

    @rule(path=st.sampled_from(PATHS), number=WHICH)
    def one_ends_while_another_is_created(self, path: str, number: int) -> None:
        found, creator = self._at_work(number), self.up(number + 1)
        if found is None or isinstance(found[1], Release):
            return
        server, segment = found[0], found[1]

        async def together() -> None:
            await asyncio.gather(server.fail(segment, True), creator.create(path, False))

        self.run(together())

    # What happens to servers and their work

    @rule(which=WHICH, happens=st.sampled_from(("freeze", "thaw", "kill", "start", "start", "start")))
    def fate(self, which: int, happens: str) -> None:
        server = self.servers[which % 3]
        if happens == "start" and server.state == "dead":
            self.run(server.start())
        elif (happens, server.state) == ("freeze", "up"):
            server.state = "frozen"
        elif (happens, server.state) == ("thaw", "frozen"):
            server.state = "up"
        elif happens == "kill":
            server.state = "dead"

    @rule(number=WHICH, looked=st.booleans())
    def one_stands_still_and_goes_on(self, number: int, looked: bool) -> None:
        found = self._at_work(number)
        if found is None:
            return
        server, work = found
        if looked and isinstance(work, Segment):
            self.run(server.look(work))
        server.state = "frozen"
        self.time_passes()
        self.all_reconcile_at_once()
        server.state = "up"
        self._move(number, None)

    @rule()
    def time_passes(self) -> None:
        self.run(pass_time(self.database, self.servers))

    @rule(number=WHICH)
    def work_is_lost(self, number: int) -> None:
        work = _pick(self.queue.waiting(), number)
        if work is not None:
            self.queue.drop(work)

    # What must hold

    @invariant()
    def rows_agree(self) -> None:
        runs, directories = self.run(self._rows())
        holders = {row.id: (row.holder_id, row.holder_attempt) for row in directories}
        for run in runs:
            holds = holders[run.directory_id] == (run.id, run.attempt)
            assert holds or run.status not in STARTED, (
                f"run {run.id} is {run.status} in a directory that is not its own"
            )
            waits = run.status == "pending" and not holds
            assert not waits or holders[run.directory_id][0] is not None, f"run {run.id} waits for a free directory"
            assert self.epochs.get(run.id, (0, 0)) <= (run.attempt, run.epoch), f"the epoch of run {run.id} fell"
            assert self.epochs.get(run.id, (0, 0))[1] <= run.epoch, f"the epoch of run {run.id} fell"
            self.epochs[run.id] = (run.attempt, run.epoch)
            if holds:
                assert self.turns.get(run.directory_id, 0) <= run.queue_number, f"run {run.id} was passed over"
                self.turns[run.directory_id] = run.queue_number

    def teardown(self) -> None:
        """Let everybody who can work do so: all of it ends, and nothing is left."""
        if not hasattr(self, "servers"):
            return
        for one in self.servers:
            one.state = "up" if one.state == "frozen" else one.state
        server = self.up(0)
        for _ in range(2):
            self.time_passes()
            self.all_reconcile_at_once()
            self._work_off(server)
        while gates := [run.id for run in self.run(self._rows())[0] if run.status == "waiting_for_approval"]:
            self.run(decide(server, "reject", gates[0]))
            self._work_off(server)
        runs, directories = self.run(self._rows())
        assert [(run.id, run.status) for run in runs if run.status not in FINAL_PIPELINE] == []
        assert [row.holder_id for row in directories if row.holder_id is not None] == []
        assert self.run(self.queue.holders()) == {}
        assert self.run(violations(self.database)) == []

    def _work_off(self, server: Server) -> None:
        for _ in range(400):
            work = _pick(self.queue.waiting(), 0)
            if work is not None:
                server.take(work)
            if self._at_work(0) is None:
                return
            self._move(0, None)
            self.rows_agree()
        raise AssertionError("the work does not end")

    def _at_work(self, number: int) -> tuple[Server, Segment | Release] | None:
        """Something that a server which works has taken up; if there is nothing, one takes something."""
        if not any(server.active for server in self.servers if server.state == "up"):
            self.take(number, number)
        working = [server for server in self.servers if server.state == "up"]
        return _pick([(server, work) for server in working for work in server.active.values()], number)

    def _move(self, number: int, crash: int | None) -> None:
        found = self._at_work(number)
        if found is None:
            return
        server, work = found
        if isinstance(work, Release):
            self._end_segments_of(work)
            self.does(server, server.release(work), crash)
            return
        stale, before = self.run(self._is_stale(work)), self.run(self._events())
        self.does(server, server.move(work), crash)
        assert not stale or self.run(self._events()) == before, f"{work} has written though its epoch is over"

    def _end_segments_of(self, release: Release) -> None:
        """The stop of a session ends the turn in it, and with it the segments that wait for it."""
        prefix = Segment.prefix(release.pipeline_id, release.attempt)
        for server in self.servers:
            for name, work in list(server.active.items()):
                if server.state == "up" and name.startswith(prefix) and isinstance(work, Segment):
                    self.run(server.move(work))
                    assert name not in server.active, "an attempt that is over goes on"

    async def _rows(self) -> tuple[list[Pipeline], list[Directory]]:
        async with self.database.reads() as db:
            runs = await db.scalars(select(Pipeline).options(selectinload(Pipeline.steps)).order_by(Pipeline.id))
            return list(runs), list(await db.scalars(select(Directory)))

    async def _events(self) -> int:
        async with self.database.reads() as db:
            return await db.scalar(select(func.count()).select_from(AuditEvent)) or 0

    async def _is_stale(self, segment: Segment) -> bool:
        async with self.database.reads() as db:
            return bool(
                await db.scalar(select(Pipeline.epoch).where(Pipeline.id == segment.pipeline_id)) != segment.epoch
            )


def _pick(found: list[T], which: int) -> T | None:
    return found[which % len(found)] if found else None


# Twelve whole stories in one test; hypothesis reports a passed time limit as another fault.
@pytest.mark.timeout(400)
def test_servers_keep_their_promises_whatever_happens(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR")
    profile = settings(
        max_examples=int(EXAMPLES or 12),
        stateful_step_count=40,
        derandomize=EXAMPLES is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # To find the smallest example takes many times as long as to find one.
        phases=[Phase.generate] if EXAMPLES is None else [Phase.generate, Phase.shrink],
        print_blob=True,
    )
    with asyncio.Runner() as runner:
        database = Database(database_url)
        careless(database)
        place = {"database": database, "runner": runner}
        try:
            run_state_machine_as_test(type("Servers", (Servers,), place), settings=profile)
        finally:
            runner.run(database.dispose())

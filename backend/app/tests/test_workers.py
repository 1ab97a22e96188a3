"""Leases of servers that share a database: who counts as living, who takes what over, what came too late."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSessionTransaction

from app.adapters.database import Database
from app.errors import DatabaseTaken, StaleEpoch
from app.models import Attempt, Directory, Pipeline, Worker
from app.schemas.work import Release, Segment
from app.services import run_locks
from app.services.reconciler import Reconciler
from app.services.releases import Releases
from app.services.workers import Identity, WorkerQueries, Workers
from app.tests.factories import RecordingEngine, agent_step
from app.tests.test_reconciler import Runtime, held_run

SHARED = "http://opencode:4096"


class SharedEngine(RecordingEngine):
    """A queue of which some work was taken up by servers that are not this one."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: dict[str, str] = {}
        """Workflow id -> the server that has it."""

    async def holders(self) -> dict[str, str | None]:
        return {**await super().holders(), **self.taken}

    async def cancel(self, workflow_id: str) -> None:
        await super().cancel(workflow_id)
        self.taken.pop(workflow_id, None)


def server(database: Database, name: str, opencode: str | None = SHARED, lease: float = 30, **more: Any) -> Workers:
    """One that has not joined yet."""
    return Workers(database.sessions, database.reads, Identity(name, "host", 7, opencode, lease), **more)


async def joined(database: Database, *names: str) -> list[Workers]:
    """Servers that are attached to one OpenCode."""
    made = [server(database, name) for name in names]
    for one in made:
        await one.join()
    return made


async def silent(database: Database, name: str, seconds: float = 31) -> None:
    """Let so much time pass without a heartbeat of this server."""
    async with database.sessions.begin() as db:
        row = await db.get_one(Worker, name)
        row.heartbeat_at -= timedelta(seconds=seconds)


async def states(database: Database) -> dict[str, str]:
    """As the API shows them."""
    return {one.id: one.state for one in (await WorkerQueries(database.reads, "a").page()).items}


async def test_a_server_lives_while_it_beats_and_until_it_leaves(database: Database) -> None:
    first, second = await joined(database, "a", "b")
    assert await first.living() == {"a", "b"}
    await silent(database, "b", 29)
    assert await first.living() == {"a", "b"}
    await silent(database, "b", 2)
    assert await first.living() == {"a"}
    assert await second.living() == {"a", "b"}, "to itself it lives"
    assert await states(database) == {"a": "living", "b": "lost"}
    await second.beat()
    assert await first.living() == {"a", "b"}
    await second.leave()
    assert await states(database) == {"a": "living", "b": "stopped"}
    assert await first.living() == {"a"}
    (third,) = await joined(database, "b")
    await second.leave()
    assert await third.living() == {"a", "b"}, "who was replaced ends nobody's lease"


async def test_only_servers_on_the_same_opencode_join(database: Database) -> None:
    await joined(database, "a")
    for other in ("http://elsewhere:4096", None):
        with pytest.raises(DatabaseTaken, match="PACELINE_OPENCODE_URL"):
            await server(database, "b", other).join()
    assert await states(database) == {"a": "living"}
    await server(database, "a", "http://elsewhere:4096").join()
    await silent(database, "a")
    await joined(database, "b")


async def test_a_server_that_was_replaced_or_lost_its_lock_sends_nothing(database: Database) -> None:
    class Lock:
        held = True

        async def keep(self) -> None:
            if not self.held:
                raise DatabaseTaken("Another one has it.")

    lock = Lock()
    one = server(database, "a", lease=1, lock=lock)
    await one.join()
    async with asyncio.timeout(0.5):
        await one.permit(Release(1, 1))
    lock.held = False
    beating = asyncio.create_task(one.run())
    await asyncio.sleep(1)
    waiting = asyncio.create_task(one.permit(Release(2, 1)))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    lock.held = True
    async with asyncio.timeout(5):
        await waiting
    beating.cancel()
    await server(database, "a", lease=1).join()
    async with database.sessions.begin() as db:
        (await db.get_one(Worker, "a")).started_at += timedelta(seconds=1)
    with pytest.raises(DatabaseTaken, match="has taken the name a"):
        await one.beat()


async def test_what_was_permitted_before_a_lapse_is_suspect_until_it_is_settled(database: Database) -> None:
    (one,) = await joined(database, "a")
    await one.permit(Release(1, 1))
    await one.beat()
    assert one.suspects() == set()
    await silent(database, "a")
    await one.beat()
    assert one.suspects() == one.suspects() == {Release(1, 1)}
    one.settled(Release(1, 1))
    assert one.suspects() == set()


async def test_what_was_permitted_before_a_lapse_is_suspect_although_the_answer_to_the_heartbeat_is_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = await joined(database, "a")
    await one.permit(Release(1, 1))
    await silent(database, "a")
    leave = AsyncSessionTransaction.__aexit__

    async def lost(transaction: AsyncSessionTransaction, *error: Any) -> None:
        await leave(transaction, *error)
        raise ConnectionError("The answer to the commit never came.")

    with monkeypatch.context() as broken:
        broken.setattr(AsyncSessionTransaction, "__aexit__", lost)
        with pytest.raises(ConnectionError):
            await one.beat()
    await one.beat()
    assert one.suspects() == {Release(1, 1)}


def reconcilers(
    database: Database, engine: RecordingEngine, workers: list[Workers], runtime: Runtime | None = None
) -> list[Reconciler]:
    """One for each server."""
    client: Any = runtime or Runtime()
    made = []
    for one in workers:
        releases = Releases(database.sessions, database.reads, client, engine, set(), one)
        work: Any = SimpleNamespace(run_release=releases.run_release, stop_failed_tries=releases.stop_failed_tries)
        made.append(Reconciler(database.sessions, database.reads, engine, work, one))
    return made


async def test_the_work_of_a_dead_server_goes_to_exactly_one_other(database: Database) -> None:
    engine = SharedEngine()
    workers = await joined(database, "a", "b", "c")
    run = await held_run(database, "running", agent_step(status="done"), agent_step("qa"))
    old = Segment(run.id, 1, 1, 0)
    engine.taken[old.workflow_id] = "a"
    rounds = reconcilers(database, engine, workers[1:])
    for one in rounds:
        await one.reconcile()
    assert (engine.history, engine.cancelled) == ([], []), "it lives"
    await silent(database, "a")
    await asyncio.gather(*(one.reconcile() for one in rounds))
    assert engine.segments == [Segment(run.id, 1, 2, 1)]
    assert set(engine.cancelled) == {old.workflow_id}
    async with database.sessions() as db:
        with pytest.raises(StaleEpoch):
            await run_locks.guard(db, run.id, old.epoch)


async def test_the_release_of_a_dead_server_is_done_by_another(database: Database) -> None:
    engine = SharedEngine()
    workers = await joined(database, "a", "b")
    run = await held_run(database, "aborted")
    engine.taken = {Release(run.id, 1).workflow_id: "a", Segment(run.id, 1, 1, 0).workflow_id: "a"}
    (heir,) = reconcilers(database, engine, workers[1:])
    await heir.reconcile()
    async with database.reads() as db:
        assert (await db.get_one(Directory, run.directory_id)).holder_id == run.id, "a does it"
    await silent(database, "a")
    await heir.reconcile()
    async with database.reads() as db:
        assert (await db.get_one(Directory, run.directory_id)).holder_id is None
    assert engine.taken == {}


async def test_a_release_waits_for_a_living_colleague(database: Database) -> None:
    engine = SharedEngine()
    workers = await joined(database, "a", "b")
    run = await held_run(database, "aborted")
    theirs = Segment(run.id, 1, 1, 0).workflow_id
    engine.taken[theirs] = "a"
    client: Any = Runtime()
    releases = Releases(database.sessions, database.reads, client, engine, set(), workers[1])
    releasing = asyncio.create_task(releases.run_release(Release(run.id, 1)))
    await asyncio.sleep(0.3)
    assert (releasing.done(), engine.cancelled) == (False, [])
    del engine.taken[theirs]
    assert await releasing == "released"


@pytest.mark.parametrize(
    ("status", "outcome", "stopped"),
    [("aborted", None, 1), ("running", None, 0), ("running", "done", 0), ("running", "empty_output", 1)],
)
async def test_a_prompt_that_was_sent_too_late_is_ended_when_nobody_wants_it(
    database: Database, status: str, outcome: str | None, stopped: int
) -> None:
    engine, runtime = SharedEngine(), Runtime()
    (one,) = await joined(database, "a")
    run = await held_run(database, status, agent_step(status=status))
    async with database.sessions.begin() as db:
        db.add(
            Attempt(
                step_id=run.steps[0].id, number=1, pipeline_attempt=1, session_id="ses", message_id="msg",
                directory="/d", worker="a", prompt="p", outcome=outcome, started_at=run.created_at,
            )
        )  # fmt: skip
        (await db.get_one(Directory, run.directory_id)).holder_id = None
    await one.permit(Release(run.id, 1))
    await silent(database, "a")
    await one.beat()
    (round_,) = reconcilers(database, engine, [one], runtime)
    await round_._end_what_came_late()
    assert (runtime.stopped, one.suspects()) == (stopped, set())
    async with database.reads() as db:
        assert (await db.get_one(Pipeline, run.id)).status == status


async def test_a_late_prompt_that_could_not_be_ended_is_looked_after_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = await joined(database, "a")
    run = await held_run(database, "aborted", agent_step(status="aborted"))
    release = Release(run.id, 1)
    await one.permit(release)
    await silent(database, "a")
    await one.beat()
    (round_,) = reconcilers(database, SharedEngine(), [one])

    async def breaks(_release: Release) -> str:
        raise ConnectionError("The database went away.")

    with monkeypatch.context() as broken:
        broken.setattr(round_._work, "run_release", breaks)
        await round_._end_what_came_late()
    assert one.suspects() == {release}
    await round_._end_what_came_late()
    assert one.suspects() == set()

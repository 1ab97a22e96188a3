"""Rows and the queue drifting apart, reminders, and the release of what an abort left behind."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from app.adapters.database import Database
from app.adapters.opencode_client import OpenCodeClient
from app.errors import OpencodeUnavailable
from app.models import Approval, Attempt, AuditEvent, Directory, Pipeline, Step
from app.schemas.runtime import MessageResponse, SessionBinding, Tokens
from app.schemas.work import Release, Segment
from app.services import run_locks
from app.services.reconciler import Reconciler
from app.services.releases import Releases
from app.services.workers import OnlyWorker
from app.tests.factories import RecordingEngine, agent_step, approval_step, make_directory, make_pipeline
from app.tests.fake_opencode import FakeOpenCode


class Runtime:
    """Stops sessions, but only after `refusals` failures."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.stopped = 0

    async def stop_session(self, _session_id: str, _directory: str) -> bool:
        """Not before it has failed often enough."""
        if self.refusals:
            self.refusals -= 1
            raise OpencodeUnavailable("OpenCode is away.")
        self.stopped += 1
        return True

    def attach_session(self, _session_id: str, _binding: SessionBinding) -> None:
        """Nothing to bind."""

    async def read_turn(self, session_id: str) -> MessageResponse:
        """A turn that was cut off."""
        return MessageResponse(session_id=session_id, message_id="m", text="half", cost=0.5, tokens=Tokens(input=7))


def reconciler(database: Database, engine: RecordingEngine, runtime: Runtime | None = None) -> Reconciler:
    """A reconciler whose releases run on `runtime`."""
    client: Any = runtime or Runtime()
    releases = Releases(database.sessions, database.reads, client, engine, set())
    work: Any = SimpleNamespace(run_release=releases.run_release)
    return Reconciler(database.sessions, database.reads, engine, work)


async def held_run(database: Database, status: str, *steps: Step, **columns: Any) -> Pipeline:
    """A run that holds its directory."""
    async with database.sessions.begin() as db:
        directory = await make_directory(db)
        run = await make_pipeline(db, list(steps) or None, directory, status=status, **columns)
        directory.holder_id, directory.holder_attempt = run.id, run.attempt
    return run


async def all_of(database: Database, query: Any) -> list[Any]:
    """The rows of a query."""
    async with database.reads() as db:
        return list(await db.scalars(query))


@pytest.mark.parametrize("status", ["pending", "running", "waiting_for_input"])
async def test_an_open_run_that_nothing_executes_is_enqueued_again(database: Database, status: str) -> None:
    engine = RecordingEngine()
    run = await held_run(database, status, agent_step(status="done"), agent_step("qa"))
    await reconciler(database, engine).reconcile()
    assert engine.segments == [Segment(run.id, 1, 2, 1)]
    assert await all_of(database, select(AuditEvent.type)) == ["pipeline.recovered"]
    await reconciler(database, engine).reconcile()
    assert len(engine.segments) == 1, "it is live now"


@pytest.mark.parametrize("status", ["waiting_for_approval", "done", "failed", "aborted"])
async def test_a_run_that_waits_or_is_over_is_left_alone(database: Database, status: str) -> None:
    engine = RecordingEngine()
    await held_run(database, status)
    await reconciler(database, engine).reconcile()
    assert engine.history == []


async def test_a_live_segment_is_left_alone(database: Database) -> None:
    engine = RecordingEngine()
    run = await held_run(database, "running")
    async with database.sessions.begin() as db:
        await db.run_sync(lambda session: engine.enqueue_segment(session, Segment(run.id, 1, 1, 0)))
    await reconciler(database, engine).reconcile()
    assert [segment.epoch for segment in engine.segments] == [1]


async def test_a_directory_of_a_finished_run_is_passed_on(database: Database) -> None:
    engine = RecordingEngine()
    run = await held_run(database, "aborted")
    async with database.sessions.begin() as db:
        directory = await db.get_one(Directory, run.directory_id)
        waiting = await make_pipeline(db, None, directory, queue_number=1)
    await reconciler(database, engine).reconcile()
    assert [segment.pipeline_id for segment in engine.segments] == [waiting.id]


async def left_open(database: Database, run: Pipeline, session_id: str) -> None:
    """A try at the first step of the run that was at work in this session and has no end yet."""
    attempt = Attempt(
        step_id=run.steps[0].id, number=1, pipeline_attempt=1, session_id=session_id, message_id="msg",
        directory="/d", worker="w", prompt="p", started_at=datetime.now(UTC),
    )  # fmt: skip
    async with database.sessions.begin() as db:
        db.add(attempt)


async def test_a_release_waits_for_opencode_and_closes_the_attempt(database: Database) -> None:
    engine, runtime = RecordingEngine(), Runtime(refusals=3)
    run = await held_run(database, "aborted", agent_step(status="aborted"))
    await left_open(database, run, "ses")
    client: Any = runtime
    releases = Releases(database.sessions, database.reads, client, engine, set())
    assert await releases.run_release(Release(run.id, 1)) == "released"
    attempt = (await all_of(database, select(Attempt)))[0]
    assert (attempt.outcome, attempt.cost, attempt.tokens["input"]) == ("aborted", 0.5, 7)
    assert await all_of(database, select(Directory.holder_id)) == [None]
    assert await releases.run_release(Release(run.id, 1)) == "released", "twice changes nothing"


async def test_a_release_ends_although_opencode_has_forgotten_the_session(database: Database) -> None:
    run = await held_run(database, "aborted", agent_step(status="aborted"))
    await left_open(database, run, "ses_forgotten")
    async with FakeOpenCode().serve() as fake:
        client = OpenCodeClient(fake)
        releases = Releases(database.sessions, database.reads, client, RecordingEngine(), set())
        async with asyncio.timeout(10):
            assert await releases.run_release(Release(run.id, 1)) == "released"
        await client.aclose()
    attempt = (await all_of(database, select(Attempt)))[0]
    assert (attempt.outcome, attempt.cost) == ("aborted", None)
    assert await all_of(database, select(Directory.holder_id)) == [None]


async def test_a_release_that_two_servers_do_at_once_counts_the_cost_once(database: Database) -> None:
    run = await held_run(database, "aborted", agent_step(status="aborted"))
    await left_open(database, run, "ses")
    both = asyncio.Barrier(2)

    class Together(Runtime):
        async def read_turn(self, session_id: str) -> MessageResponse:
            await both.wait()
            return await super().read_turn(session_id)

    client: Any = Together()
    releases = Releases(database.sessions, database.reads, client, RecordingEngine(), set())
    async with asyncio.timeout(10):
        await asyncio.gather(*(releases.run_release(Release(run.id, 1)) for _ in range(2)))
    step = (await all_of(database, select(Step)))[0]
    assert (step.cost, step.tokens["input"]) == (0.5, 7)


async def test_a_release_takes_enqueued_segments_away(database: Database) -> None:
    engine = RecordingEngine()
    run = await held_run(database, "aborted")
    segment = Segment(run.id, 1, 1, 0)
    async with database.sessions.begin() as db:
        await db.run_sync(lambda session: engine.enqueue_segment(session, segment))
    client: Any = Runtime()
    await Releases(database.sessions, database.reads, client, engine, set()).run_release(Release(run.id, 1))
    assert engine.cancelled == [segment.workflow_id]
    assert engine.segments == []


async def test_an_open_gate_is_reminded_once_when_it_is_time(database: Database) -> None:
    now = datetime.now(UTC)
    async with database.sessions.begin() as db:
        for due in (now - timedelta(seconds=1), now + timedelta(hours=1), None):
            run = await make_pipeline(db, [approval_step(status="waiting_for_approval")], status="waiting_for_approval")
            db.add(
                Approval(
                    pipeline_id=run.id, step_id=run.steps[0].id, pipeline_attempt=1, status="pending",
                    requested_at=now, remind_at=due,
                )
            )  # fmt: skip
    for _ in range(2):
        await reconciler(database, RecordingEngine()).remind()
    assert await all_of(database, select(AuditEvent.type)) == ["approval.reminded"]
    assert len([gate for gate in await all_of(database, select(Approval)) if gate.reminded_at]) == 1


async def test_a_release_that_waits_for_opencode_does_not_keep_the_others_waiting(database: Database) -> None:
    runs = [await held_run(database, "aborted") for _ in range(2)]
    both = asyncio.Event()
    begun: list[int] = []

    async def run_release(release: Release) -> str:
        begun.append(release.pipeline_id)
        if len(begun) == len(runs):
            both.set()
        await both.wait()
        return "released"

    work: Any = SimpleNamespace(run_release=run_release)
    async with asyncio.timeout(10):
        await Reconciler(database.sessions, database.reads, RecordingEngine(), work).reconcile()
    assert sorted(begun) == sorted(run.id for run in runs)


class Broken:
    """Ends no release of the first run; those of others wait until they are cancelled."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.begun: list[int] = []
        self.ended: list[int] = []

    async def run_release(self, release: Release) -> str:
        self.begun.append(release.pipeline_id)
        if release.pipeline_id == self.first:
            raise ValueError("This release is beyond help.")
        try:
            await asyncio.sleep(0.3)
        finally:
            self.ended.append(release.pipeline_id)
        return "released"


class Suspicious(OnlyWorker):
    """Counts how often it was asked for prompts that came late."""

    asked = 0

    def suspects(self) -> set[Release]:
        self.asked += 1
        return set()


async def test_a_release_that_breaks_keeps_nothing_else_from_its_turn(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [await held_run(database, "aborted") for _ in range(2)]
    work: Any = Broken(runs[0].id)
    workers = Suspicious()
    made = Reconciler(database.sessions, database.reads, RecordingEngine(), work, workers, 0.01)
    rounds = asyncio.create_task(made.run())
    async with asyncio.timeout(20):
        while workers.asked < 5:
            await asyncio.sleep(0.01)
    rounds.cancel()
    await asyncio.wait([rounds])
    assert sorted(work.begun) == [run.id for run in runs], "five rounds of reminders hold one of reconciling"
    assert work.ended == [runs[1].id]
    assert "beyond help" in caplog.text


async def test_releases_end_with_the_reconciler(database: Database) -> None:
    runs = [await held_run(database, "aborted") for _ in range(2)]
    work: Any = Broken(runs[0].id)
    rounds = asyncio.create_task(Reconciler(database.sessions, database.reads, RecordingEngine(), work).run())
    async with asyncio.timeout(20):
        while runs[1].id not in work.begun:
            await asyncio.sleep(0.001)
    rounds.cancel()
    await asyncio.wait([rounds])
    assert work.ended == [runs[1].id]
    assert [task for task in asyncio.all_tasks() if "_in_time" in repr(task.get_coro())] == []


async def test_a_reminder_that_breaks_delays_no_deadline_and_no_takeover(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    gated = []
    async with database.sessions.begin() as db:
        for _ in range(2):
            run = await make_pipeline(db, [approval_step(status="waiting_for_approval")], status="waiting_for_approval")
            gated.append(run.id)
            db.add(
                Approval(
                    pipeline_id=run.id, step_id=run.steps[0].id, pipeline_attempt=1, status="pending",
                    requested_at=now, remind_at=now - timedelta(seconds=1),
                )
            )  # fmt: skip
    lost = await held_run(database, "running", agent_step(status="done"), agent_step("qa"))
    lock_run = run_locks.lock_run

    async def breaks(db: Any, pipeline_id: int) -> Pipeline:
        if pipeline_id == gated[0]:
            raise ValueError("This row is beyond help.")
        return await lock_run(db, pipeline_id)

    monkeypatch.setattr(run_locks, "lock_run", breaks)
    engine, workers = RecordingEngine(), Suspicious()
    work: Any = Broken(0)
    rounds = asyncio.create_task(Reconciler(database.sessions, database.reads, engine, work, workers, 0.01).run())
    async with asyncio.timeout(20):
        while not workers.asked:
            await asyncio.sleep(0.01)
    rounds.cancel()
    await asyncio.wait([rounds])
    assert [segment.pipeline_id for segment in engine.segments] == [lost.id]
    reminded = await all_of(database, select(Approval.pipeline_id).where(Approval.reminded_at.is_not(None)))
    assert reminded == [gated[1]]

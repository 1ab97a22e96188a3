"""Steps that fail and are tried again, on the fake of OpenCode: what the rows say meanwhile, and who may end it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from app.adapters.database import Database
from app.models import AuditEvent, Directory, Pipeline, Step
from app.schemas.git import GitState
from app.schemas.runtime import StepLimits
from app.schemas.step_policy import RetryPolicy
from app.schemas.work import Segment
from app.services.decisions import Decisions
from app.services.pipeline_runner import PipelineRunner, RunnerSettings
from app.services.reconciler import Reconciler
from app.services.releases import Releases
from app.services.row_checks import broken_rows
from app.services.run_queue import RunQueue
from app.services.work import Work
from app.tests.chaos.invariants import violations
from app.tests.contract.runtimes import Case, FakeServer, fake_case
from app.tests.contract.test_turns import tool
from app.tests.factories import RecordingEngine, agent, agent_step, eventually, make_directory, make_pipeline


class NoRepository:
    """Git's answer for a directory that is none of its repositories."""

    async def state(self, _directory: str) -> GitState:
        """Nothing known."""
        return GitState(is_repository=False)

    async def commit(self, _directory: str) -> None:
        """None."""


class Bench:
    """A runner on the fake, with an engine that remembers what it was given instead of waiting."""

    def __init__(self, database: Database, case: Case, **settings: Any) -> None:
        git: Any = NoRepository()
        self.database = database
        self.case = case
        self.engine = RecordingEngine()
        known = RunnerSettings(worker_id="w1", **settings)
        self.runner = PipelineRunner(database.sessions, database.reads, case.client, self.engine, git, known)
        releases = Releases(database.sessions, database.reads, case.client, self.engine, self.runner.active)
        self.work = Work(self.runner, releases)
        catalog: Any = None
        self.decisions = Decisions(database.sessions, database.reads, self.engine, releases, catalog)
        self.reconciler = Reconciler(database.sessions, database.reads, self.engine, self.work)

    async def create(self, prompt: str, **step: Any) -> Pipeline:
        """A run of one step that holds its directory, with its first segment enqueued."""
        snapshot = agent().model_dump(mode="json") | {"opencode_agent": "writer"}
        async with self.database.sessions.begin() as db:
            directory = await make_directory(db, str(self.case.directory))
            row = agent_step(model="scripted/alpha", agent_snapshot=snapshot, **step)
            run = await make_pipeline(db, [row], directory, prompt=prompt)
            directory.holder_id, directory.holder_attempt = run.id, run.attempt
        return run

    async def first(self, run: Pipeline) -> str:
        """What the run's first segment says."""
        return await self.runner.run_segment(Segment(run.id, 1, 1, 0))

    async def step(self) -> Step:
        """The only step, with its run and attempts."""
        query = select(Step).options(selectinload(Step.attempts), selectinload(Step.pipeline))
        async with self.database.reads() as db:
            return (await db.scalars(query)).one()

    async def events(self) -> list[str]:
        """Types of all events, in order."""
        async with self.database.reads() as db:
            return list(await db.scalars(select(AuditEvent.type).order_by(AuditEvent.id)))

    async def has_release(self) -> bool:
        """Whether something waits to be released."""
        return bool(self.engine.releases)

    def at_work(self) -> list[str]:
        """Sessions in which the fake is doing something."""
        assert isinstance(self.case.server, FakeServer)
        return [session.id for session in self.case.server.fake.sessions.values() if session.doing]


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    """A fake of its own."""
    async with fake_case(tmp_path) as made:
        yield made


@pytest.fixture
async def sqlite_database(sqlite_url: str) -> AsyncIterator[Database]:
    """Where the database makes no difference."""
    database = Database(sqlite_url)
    yield database
    await database.dispose()


async def test_a_failed_try_waits_in_the_rows_and_the_next_one_finishes_the_run(database: Database, case: Case) -> None:
    bench = Bench(database, case)
    run = await bench.create("[[say:At last.]] [[empty:1]]", retry={"attempts": 3, "backoff_seconds": 40})
    assert await bench.first(run) == "waiting_for_retry"
    step = await bench.step()
    assert (step.status, step.error_code, step.started_at, step.finished_at) == ("pending", "empty_output", None, None)
    assert step.retry_at is not None
    assert timedelta(seconds=35) < step.retry_at - datetime.now(UTC) <= timedelta(seconds=40)
    assert (step.pipeline.status, step.pipeline.epoch, step.pipeline.error_code) == ("running", 2, None)
    following = Segment(run.id, 1, 2, 0)
    assert bench.engine.segments == [following]
    assert timedelta(seconds=35) < bench.engine.delays[following.workflow_id] <= timedelta(seconds=40)
    assert await violations(database) == []

    assert await bench.first(run) == "stale", "the segment whose try failed has nothing more to say"
    assert await bench.engine.drain(bench.work) == ["done"]
    step = await bench.step()
    assert (step.status, step.error_code, step.error_message, step.retry_at) == ("done", None, None, None)
    failed, done = step.attempts
    assert (failed.outcome, done.outcome, done.number) == ("empty_output", "done", 2)
    assert failed.prompt == done.prompt
    assert failed.session_id != done.session_id
    assert failed.message_id != done.message_id
    assert step.cost == (failed.cost or 0) + (done.cost or 0)
    assert case.calls("At last.") == ["alpha", "alpha"]
    assert await bench.events() == [
        "pipeline.started", "step.started", "step.retry_scheduled", "step.started", "step.done", "pipeline.done",
    ]  # fmt: skip
    assert await violations(database) == []


async def test_when_no_try_is_left_the_step_fails_once(database: Database, case: Case) -> None:
    bench = Bench(database, case, retry=RetryPolicy(attempts=3, backoff=1))
    run = await bench.create("[[empty]]")
    assert await bench.first(run) == "waiting_for_retry"
    assert await bench.engine.drain(bench.work) == ["waiting_for_retry", "empty_output"]
    step = await bench.step()
    assert (step.status, step.pipeline.status, len(step.attempts)) == ("failed", "failed", 3)
    assert (await bench.events()).count("step.failed") == 1
    assert [round(delay.total_seconds()) for delay in bench.engine.delays.values()] == [1, 2]
    async with database.reads() as db:
        assert (await db.scalars(select(Directory.holder_id))).one() is None


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ("[[finish:length]] [[say:cut]]", "truncated"),
        ("[[finish:content_filter]] [[say:no]]", "content_filtered"),
        ("[[http:400]]", "provider_error"),
        ("[[http:429::86400000]]", "retries_exhausted"),
        ("[[finish:tool_calls]] [[say:again]]", "runaway"),
    ],
)
async def test_what_would_come_again_fails_at_the_first_try(
    sqlite_database: Database, case: Case, order: str, code: str
) -> None:
    bench = Bench(sqlite_database, case, retry=RetryPolicy(attempts=3))
    assert await bench.first(await bench.create(order)) == code
    assert len((await bench.step()).attempts) == 1
    assert bench.engine.segments == []
    assert bench.at_work() == []


async def test_an_outcome_that_the_step_does_not_name_is_not_tried_again(sqlite_database: Database, case: Case) -> None:
    bench = Bench(sqlite_database, case)
    run = await bench.create("[[empty]]", retry={"attempts": 3, "on": ["stalled"]})
    assert await bench.first(run) == "empty_output"


@pytest.mark.parametrize(
    ("limits", "order", "code"),
    [
        ({"timeout_seconds": 0.7}, "[[hang:600]]", "timed_out"),
        ({"silence_seconds": 0.7}, "[[hang:600]]", "stalled"),
        ({"max_model_calls": 2}, tool("bash", command="echo", description="d") * 9, "runaway"),
        ({"retry_total_seconds": 0}, "[[http:500]]", "retries_exhausted"),
    ],
)
async def test_each_limit_of_a_step_stops_it_and_leaves_its_session_idle(
    sqlite_database: Database, case: Case, limits: dict[str, Any], order: str, code: str
) -> None:
    bench = Bench(sqlite_database, case, limits=StepLimits(wall_clock=60, silence=60, retry_total=60))
    again = code != "runaway"
    run = await bench.create(order, limits=limits, retry={"attempts": 2, "backoff_seconds": 40})
    assert await bench.first(run) == ("waiting_for_retry" if again else code)
    step = await bench.step()
    assert (step.error_code, step.attempts[0].outcome) == (code, code)
    assert bench.at_work() == []


async def test_an_agent_that_may_still_work_is_not_joined_by_a_second_one(
    sqlite_database: Database, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_session_id: str, _directory: str) -> bool:
        return False

    bench = Bench(sqlite_database, case, retry=RetryPolicy(attempts=3))
    monkeypatch.setattr(case.client, "stop_session", never)
    run = await bench.create("[[hang:600]]", limits={"silence_seconds": 0.5})
    assert await bench.first(run) == "stalled"
    assert bench.engine.segments == []
    assert len(bench.engine.releases) == 1


async def test_an_abort_while_the_next_try_waits_takes_it_away(database: Database, case: Case) -> None:
    bench = Bench(database, case)
    run = await bench.create("[[empty]]", retry={"attempts": 3})
    assert await bench.first(run) == "waiting_for_retry"
    waiting = bench.engine.segments[0]
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.decisions.abort(run.id, "owner"))
        await eventually(bench.has_release)
        await bench.work.run_release(bench.engine.releases.pop()[0])
    step = await bench.step()
    assert (step.status, step.error_code, step.retry_at) == ("aborted", "aborted", None)
    assert step.pipeline.status == "aborted"
    assert bench.engine.cancelled == [waiting.workflow_id]
    assert [attempt.outcome for attempt in step.attempts] == ["empty_output"]
    assert await bench.runner.run_segment(waiting) == "stale", "even if it had begun"
    assert await violations(database) == []

    await bench.decisions.restart(run.id, "owner")
    again = bench.engine.segments[0]
    assert again.workflow_id not in bench.engine.delays, "a restart waits for nothing"
    assert await bench.runner.run_segment(again) == "waiting_for_retry", "its tries are counted anew"


async def test_a_lost_segment_is_replaced_and_still_waits(database: Database, case: Case) -> None:
    bench = Bench(database, case)
    run = await bench.create("[[say:x]] [[empty:1]]", retry={"attempts": 2, "backoff_seconds": 40})
    assert await bench.first(run) == "waiting_for_retry"
    await bench.reconciler.reconcile()
    assert [segment.epoch for segment in bench.engine.segments] == [2], "a waiting segment is live"
    bench.engine.segments.clear()
    await bench.reconciler.reconcile()
    assert [segment.epoch for segment in bench.engine.segments] == [3]
    assert bench.engine.delays[bench.engine.segments[0].workflow_id] > timedelta(seconds=30)
    assert await bench.engine.drain(bench.work) == ["done"]


async def test_a_budget_that_is_passed_ends_the_tries(sqlite_database: Database, case: Case) -> None:
    """Whether the last answer was heard to pass it while it ran, or was found to have when it had ended."""
    bench = Bench(sqlite_database, case, retry=RetryPolicy(attempts=5), max_cost_usd=0.05)
    run = await bench.create("[[empty]] [[usage:40000]]")
    assert await bench.first(run) == "waiting_for_retry"
    last = await bench.engine.drain(bench.work)
    assert [attempt.outcome for attempt in (await bench.step()).attempts] == ["empty_output", *last]
    assert len(case.calls("[[usage:40000]]")) == 2
    assert last in (["budget"], ["empty_output"])


async def test_a_budget_that_is_spent_allows_no_further_try(sqlite_database: Database, case: Case) -> None:
    bench = Bench(sqlite_database, case, retry=RetryPolicy(attempts=5), max_cost_usd=0.05)
    run = await bench.create("[[empty]] [[usage:50000:0]]")
    assert await bench.first(run) == "empty_output", "all of it, and not more"
    step = await bench.step()
    assert (step.status, len(step.attempts), len(case.calls("[[usage:50000:0]]"))) == ("failed", 1, 1)
    assert "It is not tried again: The run has cost $0.05" in (step.error_message or "")


async def test_a_pause_of_the_queue_holds_the_next_try_and_a_resume_begins_it(
    sqlite_database: Database, case: Case
) -> None:
    bench = Bench(sqlite_database, case)
    queue = RunQueue(sqlite_database.sessions, sqlite_database.reads, bench.engine, places=1)
    run = await bench.create("[[say:x]] [[empty:1]]", retry={"attempts": 2, "backoff_seconds": 0})
    assert await bench.first(run) == "waiting_for_retry"
    await queue.pause("owner", None)
    assert await bench.engine.drain(bench.work) == ["paused"]
    assert (await bench.step()).status == "pending"
    async with sqlite_database.reads() as db:
        assert await broken_rows(db) == []
    await queue.resume("owner")
    assert await bench.engine.drain(bench.work) == ["done"]
    assert [one.outcome for one in (await bench.step()).attempts] == ["empty_output", "done"]

"""The runner with a mocked client: what it sends for each step, what it stores, how it fails."""

import shutil
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from app.adapters.database import Database
from app.adapters.git_repository import GitRepository
from app.adapters.opencode_client import OpenCodeClient
from app.errors import EmptyOutput, ModelMismatch, StaleEpoch, TimedOut
from app.models import Approval, Attempt, Directory, Handoff, Pipeline, Step
from app.schemas.git import GitState
from app.schemas.registry import AgentProfile, AgentStep
from app.schemas.runtime import MessageResponse, Tokens
from app.schemas.work import Segment
from app.services import run_locks, transitions
from app.services.pipeline_runner import PipelineRunner, RunnerSettings
from app.services.releases import Releases
from app.services.work import Work
from app.tests.factories import RecordingEngine, agent, agent_step, approval_step, make_directory, make_pipeline


class NoRepository:
    """Git's answer for a directory that is none of its repositories."""

    async def state(self, _directory: str) -> GitState:
        """Nothing known."""
        return GitState(is_repository=False)

    async def commit(self, _directory: str) -> None:
        """None."""


def answer(text: str = "Done.\n\n## What was done\nAll of it.", **fields: Any) -> MessageResponse:
    """A finished turn of OpenCode's `build` agent."""
    values = {
        "session_id": "ses_1",
        "message_id": "msg_1",
        "text": text,
        "agent": "build",
        "finish": "stop",
        "tokens": Tokens(input=100, output=20),
        "cost": 0.25,
        "model_calls": 1,
    }
    return MessageResponse.model_validate(values | fields)


@pytest.fixture
def client() -> AsyncMock:
    """OpenCode answers every prompt at once, on whatever model was asked."""
    numbers = count(1)
    mock = AsyncMock(spec=OpenCodeClient)
    mock.new_message_id.side_effect = lambda: f"msg_{next(numbers)}"
    mock.create_session.side_effect = lambda _binding: f"ses_{next(numbers)}"

    async def send_message(
        session_id: str, prompt: str, agent: str | None = None, model: str | None = None
    ) -> MessageResponse:
        assert prompt
        return answer(session_id=session_id, agent=agent, used_model=f"local/{model}" if model else "local/default")

    mock.send_message.side_effect = send_message
    return mock


@pytest.fixture
def engine() -> RecordingEngine:
    """Work is done when the test says so."""
    return RecordingEngine()


@pytest.fixture
def runner(database: Database, client: AsyncMock, engine: RecordingEngine) -> PipelineRunner:
    """A runner without a catalog: names of models are sent as asked."""
    git: Any = NoRepository()
    return PipelineRunner(database.sessions, database.reads, client, engine, git, RunnerSettings(worker_id="w1"))


@pytest.fixture
def create(database: Database, tmp_path: Any) -> Callable[..., Any]:
    """Stores a run that holds its directory and returns it as a segment would load it."""

    async def make(*steps: Step, **columns: Any) -> Pipeline:
        async with database.sessions.begin() as db:
            (tmp_path / "project").mkdir(exist_ok=True)
            directory = await make_directory(db, str(tmp_path / "project"))
            run = await make_pipeline(db, list(steps) or None, directory, **columns)
            directory.holder_id, directory.holder_attempt = run.id, run.attempt
        async with database.reads() as db:
            return await run_locks.read_run(db, run.id, run.epoch)

    return make


async def stored(database: Database, run: Pipeline) -> Pipeline:
    """The run as it is in the database now."""
    async with database.reads() as db:
        steps = selectinload(Pipeline.steps)
        query = select(Pipeline).where(Pipeline.id == run.id).options(
            steps.selectinload(Step.attempts), steps.selectinload(Step.handoffs), steps.selectinload(Step.approvals)
        )  # fmt: skip
        return (await db.scalars(query)).one()


def first(run: Pipeline) -> Segment:
    """The segment that a creation would enqueue."""
    return Segment(run.id, run.attempt, run.epoch, 0)


def test_agent_profile_default_model_defaults_to_none() -> None:
    profile = AgentProfile(name="x", description="d", opencode_agent="x")
    assert profile.default_model is None


def test_agent_step_model_defaults_to_none() -> None:
    assert AgentStep(agent="developer").model is None


async def test_step_model_column_nullable(database: Database) -> None:
    async with database.sessions.begin() as db:
        run = await make_pipeline(db, [agent_step()])
    async with database.reads() as db:
        step = (await db.scalars(select(Step).where(Step.pipeline_id == run.id))).one()
    assert step.model is None
    assert Step.__table__.c.model.nullable


async def test_run_step_passes_model_to_send_message(
    runner: PipelineRunner, client: AsyncMock, create: Callable[..., Any]
) -> None:
    run = await create(status="running")
    await runner.run_step(run.steps[0], agent(), "the prompt", model="claude-opus-4-5")
    assert client.send_message.call_args.kwargs == {
        "prompt": "the prompt",
        "agent": "build",
        "model": "claude-opus-4-5",
    }


async def test_run_step_passes_model_none_when_not_set(
    runner: PipelineRunner, client: AsyncMock, create: Callable[..., Any]
) -> None:
    run = await create(status="running")
    await runner.run_step(run.steps[0], agent(), "the prompt")
    assert client.send_message.call_args.kwargs["model"] is None


async def test_execute_steps_uses_agent_default_model(
    runner: PipelineRunner, client: AsyncMock, create: Callable[..., Any]
) -> None:
    run = await create(agent_step(default_model="gpt-4o"))
    assert run.steps[0].model is None
    assert await runner.run_segment(first(run)) == "done"
    assert client.send_message.call_args.kwargs["model"] == "gpt-4o"


async def test_execute_steps_uses_step_model_over_agent_default(
    runner: PipelineRunner, client: AsyncMock, create: Callable[..., Any]
) -> None:
    run = await create(agent_step(default_model="gpt-4o", model="claude-sonnet"))
    assert await runner.run_segment(first(run)) == "done"
    assert client.send_message.call_args.kwargs["model"] == "claude-sonnet"


async def test_run_step_returns_text_and_handoff(runner: PipelineRunner, create: Callable[..., Any]) -> None:
    run = await create(status="running")
    text, handoff = await runner.run_step(run.steps[0], agent(), "the prompt")
    assert text.startswith("Done.")
    assert handoff.structured
    assert handoff.sections.what_was_done == "All of it."


async def test_a_finished_run_stores_everything_about_its_steps(
    database: Database, runner: PipelineRunner, create: Callable[..., Any]
) -> None:
    run = await create(agent_step("architect", model="a"), agent_step("developer", model="b"))
    assert await runner.run_segment(first(run)) == "done"
    after = await stored(database, run)
    assert (after.status, [step.status for step in after.steps]) == ("done", ["done", "done"])
    assert [step.used_model for step in after.steps] == ["local/a", "local/b"]
    assert [step.cost for step in after.steps] == [0.25, 0.25]
    attempt = after.steps[1].attempts[0]
    assert (attempt.outcome, attempt.model_calls, attempt.worker) == ("done", 1, "w1")
    assert "All of it." in attempt.prompt
    assert "Do the task." in attempt.prompt
    assert after.steps[0].handoffs[0].structured


async def test_the_ids_are_stored_before_the_prompt_is_sent(
    database: Database, runner: PipelineRunner, client: AsyncMock, create: Callable[..., Any]
) -> None:
    run = await create()
    seen: list[tuple[str | None, str, str]] = []

    async def send_message(
        session_id: str, prompt: str, agent: str | None = None, model: str | None = None
    ) -> MessageResponse:
        async with database.reads() as db:
            row = (await db.scalars(select(Attempt))).one()
            seen.append((row.session_id, row.message_id, row.prompt))
        assert (row.session_id, row.prompt, model) == (session_id, prompt, None)
        return answer(agent=agent)

    client.send_message.side_effect = send_message
    await runner.run_segment(first(run))
    assert len(seen) == 1


async def test_an_attempt_left_open_is_joined_with_its_own_ids_and_prompt(
    database: Database, runner: PipelineRunner, client: AsyncMock, create: Callable[..., Any]
) -> None:
    run = await create()

    async def die(*_: Any, **__: Any) -> MessageResponse:
        raise KeyboardInterrupt

    answering = client.send_message.side_effect
    client.send_message.side_effect = die
    with pytest.raises(KeyboardInterrupt):
        await runner.run_segment(first(run))
    client.send_message.side_effect = answering
    assert await runner.run_segment(first(run)) == "done"
    sessions = [call.args[0] for call in client.send_message.call_args_list]
    prompts = [call.kwargs["prompt"] for call in client.send_message.call_args_list]
    assert len(set(sessions)) == len(set(prompts)) == 1
    assert client.attach_session.call_args.args[1].message_id == client.create_session.call_args.args[0].message_id
    assert len((await stored(database, run)).steps[0].attempts) == 1


async def test_a_step_that_is_recorded_runs_no_second_time(
    runner: PipelineRunner, client: AsyncMock, create: Callable[..., Any]
) -> None:
    run = await create(agent_step(), approval_step())
    assert await runner.run_segment(first(run)) == "waiting_for_approval"
    assert await runner.run_segment(first(run)) == "waiting_for_approval"
    assert client.send_message.call_count == 1


async def test_a_gate_opens_once_and_stops_the_segment(
    database: Database, runner: PipelineRunner, create: Callable[..., Any]
) -> None:
    run = await create(agent_step(), approval_step("Ship it?", remind_after_hours=2.0), agent_step("qa"))
    assert await runner.run_segment(first(run)) == "waiting_for_approval"
    await runner.run_segment(first(run))
    after = await stored(database, run)
    assert after.status == "waiting_for_approval"
    assert [step.status for step in after.steps] == ["done", "waiting_for_approval", "pending"]
    async with database.reads() as db:
        gate = (await db.scalars(select(Approval))).one()
    assert (gate.status, gate.question) == ("pending", "Ship it?")
    assert gate.remind_at is not None
    assert (gate.remind_at - gate.requested_at).total_seconds() == 7200


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (answer(text="  \n"), EmptyOutput),
        (answer(used_model="local/other"), ModelMismatch),
    ],
)
async def test_a_step_without_a_usable_answer_fails_the_run(
    database: Database,
    runner: PipelineRunner,
    client: AsyncMock,
    create: Callable[..., Any],
    response: MessageResponse,
    failure: type[Exception],
) -> None:
    run = await create(agent_step(model="asked"), agent_step("qa"))
    client.send_message.side_effect = None
    client.send_message.return_value = response
    code = failure.code  # type: ignore[attr-defined]
    assert await runner.run_segment(first(run)) == code
    after = await stored(database, run)
    assert (after.status, after.error_code) == ("failed", code)
    assert [step.status for step in after.steps] == ["failed", "skipped"]
    assert after.steps[0].attempts[0].outcome == code
    assert after.steps[0].cost == 0.25, "what it cost is known although it failed"
    assert after.steps[0].handoffs == []


async def test_a_limit_stops_the_session_before_the_failure_is_written(
    database: Database, runner: PipelineRunner, client: AsyncMock, create: Callable[..., Any]
) -> None:
    run = await create()
    client.send_message.side_effect = TimedOut("The step took longer than 7200 s.")
    client.stop_session.return_value = True
    client.read_turn.return_value = answer(text="half", finish=None, cost=0.5)
    assert await runner.run_segment(first(run)) == "timed_out"
    client.stop_session.assert_awaited_once()
    after = await stored(database, run)
    assert (after.error_code, after.steps[0].cost) == ("timed_out", 0.5)


async def test_an_old_epoch_writes_and_stops_nothing(
    database: Database, runner: PipelineRunner, client: AsyncMock, create: Callable[..., Any]
) -> None:
    run = await create()

    async def taken_over(*_: Any, **__: Any) -> MessageResponse:
        async with database.sessions.begin() as db:
            transitions.recover_pipeline(db, await run_locks.lock_run(db, run.id), "test")
        raise TimedOut("too late")

    client.send_message.side_effect = taken_over
    assert await runner.run_segment(first(run)) == "stale"
    client.stop_session.assert_not_awaited()
    after = await stored(database, run)
    assert (after.status, after.steps[0].status, after.steps[0].attempts[0].outcome) == ("running", "running", None)
    with pytest.raises(StaleEpoch):
        async with database.sessions.begin() as db:
            await run_locks.guard(db, run.id, run.epoch)


async def test_a_defect_of_ours_fails_the_run_and_frees_the_directory(
    database: Database, runner: PipelineRunner, client: AsyncMock, create: Callable[..., Any]
) -> None:
    run = await create()
    client.send_message.side_effect = ZeroDivisionError("a defect")
    client.stop_session.return_value = True
    client.read_turn.return_value = answer(text="", finish=None)
    assert await runner.run_segment(first(run)) == "internal_error"
    after = await stored(database, run)
    assert (after.status, after.error_code) == ("failed", "internal_error")
    async with database.reads() as db:
        assert (await db.scalars(select(Directory.holder_id))).one() is None


async def test_the_next_run_of_a_directory_starts_when_one_ends(
    database: Database, runner: PipelineRunner, engine: RecordingEngine, create: Callable[..., Any]
) -> None:
    run = await create()
    async with database.sessions.begin() as db:
        directory = await db.get_one(Directory, run.directory_id)
        later = await make_pipeline(db, [agent_step()], directory, queue_number=2)
        sooner = await make_pipeline(db, [agent_step()], directory, queue_number=1)
    assert await runner.run_segment(first(run)) == "done"
    assert [segment.pipeline_id for segment in engine.segments] == [sooner.id]
    await engine.drain(SimpleNamespace(run_segment=runner.run_segment))
    assert (await stored(database, later)).status == "done"


async def test_a_budget_that_is_spent_sends_nothing_more(
    database: Database, client: AsyncMock, engine: RecordingEngine, create: Callable[..., Any]
) -> None:
    git: Any = NoRepository()
    settings = RunnerSettings(worker_id="w1", max_cost_usd=0.25)
    runner = PipelineRunner(database.sessions, database.reads, client, engine, git, settings)
    run = await create(agent_step(), agent_step("qa"))
    assert await runner.run_segment(first(run)) == "budget"
    assert client.send_message.call_count == 1
    assert client.create_session.call_args.args[0].limits.budget_usd == 0.25
    after = await stored(database, run)
    assert (after.error_code, [step.status for step in after.steps]) == ("budget", ["done", "failed"])


async def test_the_prompt_of_a_step_holds_the_nearest_handoff(
    database: Database, runner: PipelineRunner, create: Callable[..., Any]
) -> None:
    run = await create(agent_step("architect"), agent_step("developer"))
    await runner.run_segment(first(run))
    async with database.reads() as db:
        prompts = (await db.scalars(select(Attempt.prompt).order_by(Attempt.id))).all()
        texts = (await db.scalars(select(Handoff.text))).all()
    assert texts[0] not in prompts[0]
    assert texts[0] in prompts[1]


async def test_a_paid_answer_survives_a_directory_that_vanished(
    database: Database, client: AsyncMock, engine: RecordingEngine, create: Callable[..., Any], tmp_path: Any
) -> None:
    runner = PipelineRunner(
        database.sessions, database.reads, client, engine, GitRepository(), RunnerSettings(worker_id="w1")
    )
    run = await create()

    async def send_message(*_: Any, **__: Any) -> MessageResponse:
        shutil.rmtree(tmp_path / "project")
        return answer(agent="build")

    client.send_message.side_effect = send_message
    assert await runner.run_segment(first(run)) == "done"
    assert (await stored(database, run)).steps[0].handoffs


async def test_a_session_left_at_work_is_stopped_although_the_budget_is_spent(
    database: Database, client: AsyncMock, engine: RecordingEngine, create: Callable[..., Any]
) -> None:
    git: Any = NoRepository()
    runner = PipelineRunner(database.sessions, database.reads, client, engine, git, RunnerSettings(worker_id="w1"))
    run = await create(agent_step(), agent_step("qa"))
    answering = client.send_message.side_effect
    client.send_message.side_effect = [answer(used_model="local/x"), KeyboardInterrupt]
    with pytest.raises(KeyboardInterrupt):
        await runner.run_segment(first(run))
    client.send_message.side_effect = answering
    client.stop_session.return_value = True
    client.read_turn.return_value = answer(text="half", finish=None, cost=0.5)
    settings = RunnerSettings(worker_id="w1", max_cost_usd=0.1)
    poorer = PipelineRunner(database.sessions, database.reads, client, engine, git, settings)
    assert await poorer.run_segment(first(run)) == "budget"
    client.stop_session.assert_awaited_once()
    attempt = (await stored(database, run)).steps[1].attempts[0]
    assert (attempt.outcome, attempt.cost) == ("budget", 0.5)


async def test_a_directory_stays_held_until_the_agent_is_proven_idle(
    database: Database, runner: PipelineRunner, client: AsyncMock, engine: RecordingEngine, create: Callable[..., Any]
) -> None:
    run = await create()
    client.send_message.side_effect = TimedOut("too long")
    client.stop_session.return_value = False
    client.read_turn.return_value = answer(text="half", finish=None)
    assert await runner.run_segment(first(run)) == "timed_out"
    assert (await stored(database, run)).status == "failed"
    async with database.reads() as db:
        assert (await db.scalars(select(Directory.holder_id))).one() == run.id
    client.stop_session.return_value = True
    releases = Releases(database.sessions, database.reads, client, engine, runner.active)
    await engine.drain(Work(runner, releases))
    async with database.reads() as db:
        assert (await db.scalars(select(Directory.holder_id))).one() is None
    assert client.stop_session.await_count == 2
    assert (await stored(database, run)).steps[0].attempts[0].outcome == "timed_out"

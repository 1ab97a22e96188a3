"""Approve, reject, abort and restart: what each does in every state, and who wins when two come at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select

from app.adapters.database import Database
from app.errors import InvalidRequest, InvalidStepModel, NotFound, OpencodeUnavailable, StateConflict
from app.models import Approval, AuditEvent, Directory, Handoff, Pipeline, Step
from app.schemas.registry import AgentProfile
from app.schemas.runtime import MessageResponse, ModelEntry, RuntimeAgent, SessionBinding
from app.services import run_locks
from app.services.decisions import Decisions
from app.services.model_catalog import ModelCatalog
from app.services.releases import Releases
from app.services.step_prompt import prompt_for
from app.tests.factories import RecordingEngine, agent_step, approval_step, make_directory, make_pipeline

STATES = ("pending", "running", "waiting_for_approval", "waiting_for_input", "done", "failed", "aborted")
ALLOWED = {
    "approve": {"waiting_for_approval"},
    "reject": {"waiting_for_approval"},
    "abort": {"pending", "running", "waiting_for_approval", "waiting_for_input"},
    "restart": {"failed", "aborted"},
}


class QuietRuntime:
    """A runtime in which nothing runs; remembers what it was asked to stop."""

    def __init__(self) -> None:
        self.stopped: list[str] = []

    async def stop_session(self, session_id: str, _directory: str) -> bool:
        """Idle at once."""
        self.stopped.append(session_id)
        return True

    async def list_models(self, _directory: str) -> list[ModelEntry]:
        """It cannot be asked."""
        raise OpencodeUnavailable("away")

    async def list_agents(self, _directory: str) -> list[RuntimeAgent]:
        """It cannot be asked."""
        raise OpencodeUnavailable("away")

    def attach_session(self, _session_id: str, _binding: SessionBinding) -> None:
        """Nothing to bind."""

    async def read_turn(self, session_id: str) -> MessageResponse:
        """Half an answer that cost something."""
        return MessageResponse(session_id=session_id, message_id="msg", text="half", cost=0.1)


class Desk:
    """The decisions of a test, with the engine that records what they enqueue."""

    def __init__(self, database: Database) -> None:
        runtime: Any = QuietRuntime()
        self.runtime = runtime
        self.database = database
        self.engine = RecordingEngine()
        self.releases = Releases(database.sessions, database.reads, runtime, self.engine, set())
        self.decisions = Decisions(
            database.sessions, database.reads, self.engine, self.releases, ModelCatalog(runtime)
        )

    async def run(self, status: str, *steps: Step, holds: bool = True) -> Pipeline:
        """A run in a state, with the steps and the gate that fit to it."""
        async with self.database.sessions.begin() as db:
            directory = await make_directory(db)
            rows = list(steps) or [agent_step(status="done"), approval_step(status=status), agent_step("qa")]
            run = await make_pipeline(db, rows, directory, status=status)
            if holds and status not in {"done", "failed", "aborted"}:
                directory.holder_id, directory.holder_attempt = run.id, run.attempt
            if status == "waiting_for_approval":
                db.add(_gate(run, rows[1]))
        return run

    async def decide(self, action: str, pipeline_id: int) -> None:
        """Do it as the owner, with the queue at work beside it when the decision waits for it."""
        calls: dict[str, Callable[[], Awaitable[None]]] = {
            "approve": lambda: self.decisions.approve(pipeline_id, "owner", "looks good"),
            "reject": lambda: self.decisions.reject(pipeline_id, "owner", "not yet"),
            "abort": lambda: self.decisions.abort(pipeline_id, "owner"),
            "restart": lambda: self.decisions.restart(pipeline_id, "owner"),
        }
        decision = asyncio.create_task(_coroutine(calls[action]()))
        while not decision.done():
            await self.do_releases()
            await asyncio.sleep(0.005)
        await decision

    async def do_releases(self) -> None:
        """Be the queue for releases; segments stay where the test can see them."""
        while self.engine.releases:
            release, _ = self.engine.releases.pop(0)
            await self.releases.run_release(release)

    async def state(self, pipeline_id: int) -> tuple[str, list[str]]:
        """Status of the run and of its steps."""
        async with self.database.reads() as db:
            status = await db.scalar(select(Pipeline.status).where(Pipeline.id == pipeline_id))
            steps = await db.scalars(
                select(Step.status).where(Step.pipeline_id == pipeline_id).order_by(Step.order_index)
            )
            return str(status), list(steps)

    async def events(self, pipeline_id: int) -> list[str]:
        """Types of the run's audit events in their order."""
        async with self.database.reads() as db:
            query = select(AuditEvent.type).where(AuditEvent.pipeline_id == pipeline_id).order_by(AuditEvent.id)
            return list(await db.scalars(query))

    async def holder(self, run: Pipeline) -> int | None:
        """Who has the run's directory."""
        async with self.database.reads() as db:
            return await db.scalar(select(Directory.holder_id).where(Directory.id == run.directory_id))


async def _coroutine(call: Awaitable[None]) -> None:
    await call


def _gate(run: Pipeline, step: Step) -> Approval:
    return Approval(
        pipeline_id=run.id, step_id=step.id, pipeline_attempt=run.attempt, status="pending", question="?",
        requested_at=run.created_at,
    )  # fmt: skip


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk on an empty database."""
    return Desk(database)


@pytest.mark.parametrize("action", list(ALLOWED))
@pytest.mark.parametrize("status", STATES)
async def test_each_decision_in_each_state(desk: Desk, action: str, status: str) -> None:
    run = await desk.run(status)
    before = await desk.state(run.id)
    if status in ALLOWED[action]:
        await desk.decide(action, run.id)
        assert await desk.state(run.id) != before
        return
    with pytest.raises(StateConflict, match=status.replace("_", " ")) as refused:
        await desk.decide(action, run.id)
    offered = {one for one in ALLOWED if one in refused.value.detail.partition(" now. ")[2].lower()}
    assert offered == {one for one, states in ALLOWED.items() if status in states}, "the refusal says what is possible"
    assert await desk.state(run.id) == before
    assert await desk.events(run.id) == []


@pytest.mark.parametrize("action", list(ALLOWED))
async def test_a_decision_about_no_run_is_not_found(desk: Desk, action: str) -> None:
    with pytest.raises(NotFound):
        await desk.decide(action, 2**31 - 1)


async def test_approve_goes_on_with_the_next_step(desk: Desk) -> None:
    run = await desk.run("waiting_for_approval")
    await desk.decide("approve", run.id)
    assert await desk.state(run.id) == ("running", ["done", "done", "pending"])
    assert [(segment.pipeline_id, segment.start) for segment in desk.engine.segments] == [(run.id, 2)]
    assert await desk.events(run.id) == ["approval.approved", "step.done", "pipeline.resumed"]
    async with desk.database.reads() as db:
        gate = (await db.scalars(select(Approval))).one()
    assert (gate.status, gate.decided_by, gate.comment) == ("approved", "owner", "looks good")


async def test_reject_fails_the_run_and_frees_its_directory(desk: Desk) -> None:
    run = await desk.run("waiting_for_approval")
    await desk.decide("reject", run.id)
    assert await desk.state(run.id) == ("failed", ["done", "failed", "skipped"])
    assert await desk.events(run.id) == ["approval.rejected", "step.failed", "step.skipped", "pipeline.failed"]
    assert await desk.holder(run) is None


async def test_abort_at_a_gate_cancels_it(desk: Desk) -> None:
    run = await desk.run("waiting_for_approval")
    await desk.decide("abort", run.id)
    assert await desk.state(run.id) == ("aborted", ["done", "aborted", "aborted"])
    async with desk.database.reads() as db:
        assert (await db.scalars(select(Approval.status))).one() == "cancelled"
    assert await desk.holder(run) is None


async def test_abort_of_a_waiting_run_leaves_the_holder_alone(desk: Desk) -> None:
    holder = await desk.run("running")
    async with desk.database.sessions.begin() as db:
        directory = await db.get_one(Directory, holder.directory_id)
        waiting = await make_pipeline(db, [agent_step()], directory, queue_number=1)
    await desk.decisions.abort(waiting.id, "owner")
    assert await desk.state(waiting.id) == ("aborted", ["aborted"])
    assert await desk.holder(holder) == holder.id
    assert desk.engine.releases == []


async def test_restart_begins_at_the_first_step_that_is_not_done(desk: Desk) -> None:
    run = await desk.run("failed", agent_step(status="done"), agent_step("qa", status="failed"), approval_step())
    await desk.decide("restart", run.id)
    assert await desk.state(run.id) == ("pending", ["done", "pending", "pending"])
    segment = desk.engine.segments[0]
    assert (segment.attempt, segment.epoch, segment.start) == (2, 2, 1)
    assert await desk.holder(run) == run.id


async def test_restart_waits_until_the_aborted_attempt_has_let_go(desk: Desk) -> None:
    run = await desk.run("running")
    async with asyncio.TaskGroup() as group:
        group.create_task(desk.decisions.abort(run.id, "owner"))
        while not desk.engine.releases:
            await asyncio.sleep(0.005)
        await desk.decisions.restart(run.id, "owner")
        assert desk.engine.segments == [], "the first attempt still holds the directory"
        await desk.do_releases()
    segments = [entry for entry in desk.engine.history if entry.startswith("run-")]
    assert segments == [f"run-{run.id:010d}-0002-000003-001"]
    async with desk.database.reads() as db:
        row = (await db.scalars(select(Directory).where(Directory.id == run.directory_id))).one()
    assert (row.holder_id, row.holder_attempt) == (run.id, 2)


@pytest.mark.parametrize(
    ("status", "one", "other"),
    [
        ("waiting_for_approval", "approve", "approve"),
        ("waiting_for_approval", "approve", "reject"),
        ("waiting_for_approval", "approve", "abort"),
        ("failed", "restart", "restart"),
    ],
)
async def test_of_two_decisions_at_once_exactly_one_or_an_order_wins(
    desk: Desk, status: str, one: str, other: str
) -> None:
    for _ in range(5):
        run = await desk.run(status)
        outcomes = await asyncio.gather(
            *(desk.decide(action, run.id) for action in (one, other) * 2), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if outcome is not None]
        assert [outcome for outcome in refused if not isinstance(outcome, StateConflict)] == []
        events = await desk.events(run.id)
        decided = [event for event in events if event.startswith("approval.")]
        if status == "waiting_for_approval":
            assert len(decided) == 1
        else:
            assert events.count("pipeline.restarted") == 1
        # An abort may follow an approval: both are then true, in that order.
        assert len(refused) == (2 if "approval.approved" in events and "pipeline.aborted" in events else 3)


async def reviewed(desk: Desk) -> Pipeline:
    """A run at its gate, with a hand-off of the step before and one to come after."""
    run = await desk.run(
        "waiting_for_approval",
        agent_step("architect", status="done"),
        approval_step(status="waiting_for_approval"),
        agent_step("developer"),
    )
    async with desk.database.sessions.begin() as db:
        db.add(
            Handoff(
                step_id=run.steps[0].id, text="## What was done\nA plan.", structured=True,
                sections={"what_was_done": "A plan."}, created_at=run.created_at,
            )
        )  # fmt: skip
    return run


async def loaded(desk: Desk, run: Pipeline) -> Pipeline:
    """The run with its steps, as a segment would load it."""
    async with desk.database.reads() as db:
        epoch = await db.scalar(select(Pipeline.epoch).where(Pipeline.id == run.id))
        return await run_locks.read_run(db, run.id, epoch or 0)


async def prompt_of(desk: Desk, run: Pipeline, index: int) -> str:
    """The prompt that a step would get now."""
    step = (await loaded(desk, run)).steps[index]
    async with desk.database.reads() as db:
        return await prompt_for(db, step, AgentProfile.model_validate(step.agent_snapshot))


async def test_request_changes_sends_the_run_back_with_the_comment(desk: Desk) -> None:
    run = await reviewed(desk)
    await desk.decisions.request_changes(run.id, "owner", "Use the other library.", None)
    assert await desk.state(run.id) == ("running", ["pending", "pending", "pending"])
    segment = desk.engine.segments[0]
    assert (segment.attempt, segment.epoch, segment.start) == (2, 2, 0)
    async with desk.database.reads() as db:
        row = (await db.scalars(select(Directory).where(Directory.id == run.directory_id))).one()
        gate = (await db.scalars(select(Approval))).one()
    assert (row.holder_id, row.holder_attempt) == (run.id, 2), "it keeps its directory"
    assert (gate.status, gate.decision, gate.return_to) == ("rejected", "request_changes", 0)
    prompt = await prompt_of(desk, run, 0)
    assert "Use the other library." in prompt
    assert "A plan." in prompt, "the agent sees what it had handed over"
    assert "Use the other library." not in await prompt_of(desk, run, 2)
    assert (await desk.events(run.id))[0] == "approval.changes_requested"
    async with desk.database.sessions.begin() as db:
        (await run_locks.lock_run(db, run.id)).attempt += 1
    assert "Use the other library." in await prompt_of(desk, run, 0), "a restart does not forget what was asked"


async def test_a_decision_about_a_gate_that_another_one_has_followed_decides_nothing(desk: Desk) -> None:
    run = await reviewed(desk)
    open_gate = (await loaded(desk, run)).steps[1].approvals[0].id
    old, about = open_gate - 1, desk.decisions
    for late in (
        about.approve(run.id, "owner", None, approval_id=old),
        about.reject(run.id, "owner", None, approval_id=old),
        about.request_changes(run.id, "owner", "Again.", None, approval_id=old),
    ):
        with pytest.raises(StateConflict, match="not open any more"):
            await late
    assert (await desk.state(run.id))[0] == "waiting_for_approval"
    await about.approve(run.id, "owner", None, approval_id=open_gate)
    assert (await desk.state(run.id))[0] == "running"


@pytest.mark.parametrize("step", [1, 2, 7])
async def test_changes_are_asked_of_an_agent_step_before_the_gate(desk: Desk, step: int) -> None:
    run = await reviewed(desk)
    with pytest.raises(InvalidRequest, match="agent steps before the gate: 1"):
        await desk.decisions.request_changes(run.id, "owner", "Again.", step)
    assert (await desk.state(run.id))[0] == "waiting_for_approval"


async def test_an_edited_handoff_goes_on_and_the_own_version_stays(desk: Desk) -> None:
    run = await reviewed(desk)
    await desk.decisions.approve(run.id, "owner", None, "## What was done\nA better plan.")
    prompt = await prompt_of(desk, run, 2)
    assert "A better plan." in prompt
    async with desk.database.reads() as db:
        rows = (await db.scalars(select(Handoff).order_by(Handoff.id))).all()
    assert [(row.text, row.edited_by) for row in rows] == [
        ("## What was done\nA plan.", None),
        ("## What was done\nA better plan.", "owner"),
    ]
    assert "handoff.edited" in await desk.events(run.id)


async def test_the_next_steps_model_can_be_changed_at_the_gate(desk: Desk) -> None:
    run = await reviewed(desk)
    await desk.decisions.approve(run.id, "owner", None, None, {2: "local/better"})
    step = (await loaded(desk, run)).steps[2]
    assert (step.model, step.model_origin) == ("local/better", "run")


@pytest.mark.parametrize("index", [0, 1, 9])
async def test_a_model_of_a_step_that_is_over_or_a_gate_stays(desk: Desk, index: int) -> None:
    run = await reviewed(desk)
    with pytest.raises(InvalidStepModel):
        await desk.decisions.approve(run.id, "owner", None, None, {index: "local/better"})
    assert (await desk.state(run.id))[0] == "waiting_for_approval", "nothing of the decision was stored"


async def test_restart_from_a_chosen_step_with_another_model(desk: Desk) -> None:
    run = await desk.run("failed", agent_step(status="done"), agent_step("qa", status="failed"), agent_step("dev"))
    with pytest.raises(InvalidRequest, match="comes after step 2"):
        await desk.decisions.restart(run.id, "owner", 2)
    await desk.decisions.restart(run.id, "owner", 0, {1: "local/better"})
    assert await desk.state(run.id) == ("pending", ["pending", "pending", "pending"])
    assert desk.engine.segments[0].start == 0
    assert (await loaded(desk, run)).steps[1].model == "local/better"

"""What agents ask, as rows: policy, waiting, answers, deadline, abort and restart, without any OpenCode."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.adapters.database import Database
from app.models import AgentRequest, Attempt, AuditEvent, Pipeline, Step
from app.schemas.permissions import DEFAULT_RULES, PermissionRule
from app.schemas.requests import AskedRequest, EarlierRequests, RequestReply
from app.schemas.runtime import SessionBinding
from app.services import run_locks, transitions
from app.services.reconciler import Reconciler
from app.services.requests import AgentRequests
from app.tests.app_fixtures import Api
from app.tests.factories import RecordingEngine, agent_step, eventually, make_directory, make_pipeline

ASK_BASH = (*DEFAULT_RULES, PermissionRule(tool="bash", action="ask"), PermissionRule(tool="question", action="ask"))
QUESTION = {"question": "Which?", "header": "DB", "options": [{"label": "pg", "description": "A server."}]}


def asked(number: int = 1, **fields: Any) -> AskedRequest:
    """A request of OpenCode about a command unless told."""
    values = {
        "opencode_id": f"per_{number}", "session_id": "ses_1", "sub_agent": False, "kind": "permission",
        "tool": "bash", "patterns": ("rm -rf build",), "metadata": {"command": "rm -rf build"}, "call_id": "call_1",
    }  # fmt: skip
    return AskedRequest.model_validate(values | fields)


def question(number: int = 1) -> AskedRequest:
    """A question with two options."""
    return asked(number, opencode_id=f"que_{number}", kind="question", tool="question", patterns=(), metadata={},
                 questions=(QUESTION,))  # fmt: skip


def attempt(run: Pipeline, number: int, message_id: str) -> Attempt:
    """A try at the only step, begun now; no session, so nothing is there to be stopped."""
    return Attempt(
        step_id=run.steps[0].id, number=number, pipeline_attempt=1, message_id=message_id,
        directory="/d", worker="w", prompt="p", started_at=datetime.now(UTC),
    )  # fmt: skip


class World:
    """One run at work on the API's database, and what its runtime would do."""

    def __init__(self, api: Api, database: Database, run: Pipeline) -> None:
        self.api = api
        self.database = database
        self.run = run
        self.desk: AgentRequests = api.joined.services.requests
        self.binding = SessionBinding(
            directory="/d", message_id="msg", title="t", pipeline_id=run.id, step_id=run.steps[0].id,
            attempt=run.attempt, epoch=run.epoch, permissions=ASK_BASH,
        )  # fmt: skip
        self.waiting: list[asyncio.Task[RequestReply | None]] = []

    async def ask(self, request: AskedRequest, desk: AgentRequests | None = None) -> asyncio.Task[RequestReply | None]:
        """The runtime hears it; returns when the row is there."""
        task = asyncio.create_task((desk or self.desk).reply_to(self.binding, request))
        self.waiting.append(task)

        async def stored() -> bool:
            return await self.count(AgentRequest.opencode_id == request.opencode_id) == 1

        await eventually(stored)
        return task

    async def count(self, *conditions: Any) -> int:
        """How many rows there are."""
        async with self.database.reads() as db:
            return await db.scalar(select(func.count()).select_from(AgentRequest).where(*conditions)) or 0

    async def shown(self) -> dict[str, Any]:
        """The run as its page sees it."""
        answer: dict[str, Any] = (await self.api.http.get(f"/pipelines/{self.run.id}")).json()
        return answer

    async def states(self) -> tuple[str, str]:
        """Status of the run and of its step."""
        run = await self.shown()
        return run["status"], run["steps"][0]["status"]

    async def open_id(self) -> int:
        """The id of the oldest open request."""
        requests = (await self.shown())["requests"]
        number: int = requests[0]["id"]
        return number

    async def answer(self, request_id: int, **body: Any) -> tuple[int, dict[str, Any]]:
        """POST an answer."""
        path = f"/pipelines/{self.run.id}/requests/{request_id}/answer"
        answer = await self.api.http.post(path, json=body)
        return answer.status_code, answer.json()

    async def events(self) -> list[str]:
        """Types of the run's audit events in their order."""
        async with self.database.reads() as db:
            query = select(AuditEvent.type).where(AuditEvent.pipeline_id == self.run.id).order_by(AuditEvent.id)
            return list(await db.scalars(query))


@pytest.fixture
async def world(api: Api, database: Database) -> AsyncIterator[World]:
    """A run whose only step is at work."""
    async with database.sessions.begin() as db:
        directory = await make_directory(db)
        run = await make_pipeline(db, [agent_step(status="running")], directory, status="running")
        directory.holder_id, directory.holder_attempt = run.id, run.attempt
        db.add(attempt(run, 1, "msg"))
    world = World(api, database, run)
    yield world
    for task in world.waiting:
        task.cancel()
    await asyncio.gather(*world.waiting, return_exceptions=True)


async def test_the_policy_answers_without_a_row(world: World) -> None:
    rules = (*DEFAULT_RULES, PermissionRule(tool="bash", pattern="rm *", action="allow"))
    world.binding = world.binding.model_copy(update={"permissions": rules})
    assert await world.desk.reply_to(world.binding, asked()) == RequestReply(reply="once")
    for refused in (asked(tool="edit"), asked(tool="external_directory"), question()):
        reply = await world.desk.reply_to(world.binding, refused)
        assert reply is not None
        assert reply.reply == "reject"
        assert "permissions of this step" in reply.message
    assert (await world.count(), await world.states(), await world.events()) == (0, ("running", "running"), [])


async def test_a_person_is_asked_and_the_yes_arrives(world: World) -> None:
    waiting = await world.ask(asked())
    run = await world.shown()
    assert (run["status"], run["steps"][0]["status"]) == ("waiting_for_input", "waiting_for_input")
    row = run["requests"][0]
    assert (row["tool"], row["patterns"], row["details"]["command"]) == ("bash", ["rm -rf build"], "rm -rf build")
    assert (row["status"], row["details"]["call_id"], row["attempt"]) == ("pending", "call_1", 1)
    status, run = await world.answer(row["id"], reply="once")
    assert (status, run["status"], run["requests"]) == (200, "running", [])
    async with asyncio.timeout(0.9):
        assert await waiting == RequestReply(reply="once"), "the bell rings, no poll is waited for"
    assert await world.events() == [
        "request.asked", "step.waiting", "pipeline.waiting", "request.answered", "step.resumed", "pipeline.resumed",
    ]  # fmt: skip
    page = (await world.api.http.get("/requests", params={"pipeline_id": world.run.id})).json()
    assert [(one["status"], one["reply"], one["answered_by"]) for one in page["items"]] == [
        ("answered", "once", "owner")
    ]


async def test_a_no_carries_its_message(world: World) -> None:
    waiting = await world.ask(asked())
    assert (await world.answer(await world.open_id(), reply="reject", message="Use make clean."))[0] == 200
    assert await waiting == RequestReply(reply="reject", message="Use make clean.")
    assert "request.denied" in await world.events()


async def test_a_no_without_a_message_still_lets_the_model_go_on(world: World) -> None:
    waiting = await world.ask(asked())
    await world.answer(await world.open_id(), reply="reject")
    reply = await waiting
    assert reply is not None
    assert reply.message


async def test_a_question_is_answered_with_one_list_for_each_question(world: World) -> None:
    waiting = await world.ask(question())
    number = await world.open_id()
    shown = (await world.shown())["requests"][0]["details"]["questions"][0]
    assert (shown["question"], shown["options"][0]["label"], shown["multiple"]) == ("Which?", "pg", False)
    misfits: tuple[dict[str, Any], ...] = (
        {}, {"answers": []}, {"answers": [["a"], ["b"]]}, {"answers": [["pg"]], "remember": True},
    )  # fmt: skip
    for wrong in misfits:
        status, problem = await world.answer(number, reply="once", **wrong)
        assert (status, problem["code"]) == (422, "invalid_request")
    assert (await world.answer(number, reply="once", answers=[["pg"]]))[0] == 200
    assert await waiting == RequestReply(reply="once", answers=(("pg",),))


async def test_answers_keep_to_what_each_question_allows(world: World) -> None:
    options = [{"label": "pg"}, {"label": "my"}]
    questions = ({"question": "One?", "options": options, "custom": False}, {"question": "Any?", "multiple": True},
                 {"question": "Some?", "options": options, "multiple": True, "custom": False})  # fmt: skip
    waiting = await world.ask(question().model_copy(update={"questions": questions}))
    number = await world.open_id()
    right = [["pg"], ["own words", "more"], ["pg", "my"]]
    for index, wrong, hint in ((0, ["lite"], "pg, my"), (0, ["pg", "my"], "takes one"), (1, [], "no answer")):
        answers = [wrong if place == index else answer for place, answer in enumerate(right)]
        status, problem = await world.answer(number, reply="once", answers=answers)
        assert (status, problem["errors"][0]["pointer"]) == (422, f"/answers/{index}")
        assert hint in problem["detail"]
    assert (await world.answer(number, reply="once", answers=right))[0] == 200
    reply = await waiting
    assert reply is not None
    assert reply.answers == (("pg",), ("own words", "more"), ("pg", "my"))


@pytest.mark.parametrize(
    "body",
    [{}, {"reply": "always"}, {"reply": "once", "answers": [["x"]]}, {"reply": "reject", "remember": True}],
)
async def test_answers_that_do_not_fit_are_refused(world: World, body: dict[str, Any]) -> None:
    await world.ask(asked())
    assert (await world.answer(await world.open_id(), **body))[0] == 422
    assert await world.states() == ("waiting_for_input", "waiting_for_input")


async def test_of_many_answers_the_first_counts(world: World) -> None:
    for number in range(1, 6):
        waiting = await world.ask(asked(number))
        request_id = await world.open_id()
        answers = [world.answer(request_id, reply=word) for word in ("once", "reject") * 4]
        statuses = sorted(status for status, _ in await asyncio.gather(*answers))
        assert statuses == [200] + [409] * 7
        async with world.database.reads() as db:
            row = await db.get_one(AgentRequest, request_id)
        reply = await waiting
        assert reply is not None
        assert (reply.reply, row.reply) in (("once", "once"), ("reject", "reject"))
    assert len([event for event in await world.events() if event in ("request.answered", "request.denied")]) == 5
    status, problem = await world.answer(request_id, reply="once")
    assert (status, problem["code"]) == (409, "state_conflict")
    assert row.status in problem["detail"]


async def test_a_request_of_another_run_is_not_found(world: World, database: Database) -> None:
    await world.ask(asked())
    async with database.sessions.begin() as db:
        other = await make_pipeline(db)
    path = f"/pipelines/{other.id}/requests/{await world.open_id()}/answer"
    assert (await world.api.http.post(path, json={"reply": "once"})).status_code == 404


async def test_a_lasting_yes_is_for_the_same_and_for_this_run(world: World, database: Database) -> None:
    waiting = await world.ask(asked(patterns=("rm *",)))
    assert (await world.answer(await world.open_id(), reply="once", remember=True))[0] == 200
    await waiting
    assert await world.desk.reply_to(world.binding, asked(2, patterns=("rm *",))) == RequestReply(reply="once")
    await world.ask(asked(3, patterns=("rm -rf /",)))
    async with database.sessions.begin() as db:
        other = await make_pipeline(db, [agent_step(status="running")], status="running")
    world.binding = world.binding.model_copy(update={"pipeline_id": other.id, "step_id": other.steps[0].id})
    await world.ask(asked(4, patterns=("rm *",)))
    assert await world.count(AgentRequest.status == "pending") == 2


async def test_with_two_open_requests_the_run_waits_for_both(world: World) -> None:
    await world.ask(asked(1))
    await world.ask(asked(2, sub_agent=True, session_id="ses_child"))
    first, second = [row["id"] for row in (await world.shown())["requests"]]
    assert (await world.answer(first, reply="once"))[1]["status"] == "waiting_for_input"
    assert (await world.answer(second, reply="once"))[1]["status"] == "running"
    assert (await world.events()).count("pipeline.waiting") == 1


async def test_nobody_answers_in_time(world: World) -> None:
    waiting = await world.ask(asked())
    reconciler = Reconciler(world.database.sessions, world.database.reads, world.api.engine, world.api.joined.work)
    await reconciler.deny_overdue()
    assert await world.states() == ("waiting_for_input", "waiting_for_input"), "not before its time"
    async with world.database.sessions.begin() as db:
        await db.execute(update(AgentRequest).values(deadline=datetime.now(UTC) - timedelta(seconds=1)))
    await reconciler.deny_overdue()
    await reconciler.deny_overdue()
    reply = await waiting
    assert reply is not None
    assert (reply.reply, "in time" in reply.message) == ("reject", True)
    assert await world.states() == ("running", "running")
    assert (await world.events()).count("request.expired") == 1


async def test_the_next_process_finds_the_row_and_the_answer(world: World) -> None:
    first = await world.ask(asked(1))
    second = await world.ask(asked(2))
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    given = await world.answer(await world.open_id(), reply="once")
    assert given[0] == 200, given
    successor = AgentRequests(world.database.sessions, world.database.reads, 60)
    earlier = await successor.earlier(world.binding)
    assert earlier.pending == {"per_2"}
    assert 0 < earlier.waited < 60
    assert await successor.reply_to(world.binding, asked(1)) == RequestReply(reply="once"), "given while we were away"
    again = await world.ask(asked(2), successor)
    assert await world.count() == 2, "the same request is the same row"
    assert (await world.events()).count("request.asked") == 2
    assert (await world.answer(await world.open_id(), reply="reject", message="No."))[0] == 200
    async with asyncio.timeout(5):
        assert await again == RequestReply(reply="reject", message="No.")


async def test_the_next_try_does_not_get_the_time_in_which_the_one_before_asked(world: World) -> None:
    await world.ask(asked(1))
    await world.answer(await world.open_id(), reply="once")
    assert (await world.desk.earlier(world.binding)).waited > 0
    async with world.database.sessions.begin() as db:
        db.add(attempt(world.run, 2, "msg_2"))
    second = world.binding.model_copy(update={"message_id": "msg_2"})
    assert await world.desk.earlier(second) == EarlierRequests()
    await world.ask(asked(2))
    assert (await world.desk.earlier(second)).pending == {"per_2"}


async def test_what_opencode_no_longer_asks_is_cancelled(world: World) -> None:
    await world.ask(asked(1))
    await world.ask(asked(2))
    await world.desk.withdraw(world.binding, {"per_1", "per_unknown"})
    assert await world.states() == ("waiting_for_input", "waiting_for_input")
    await world.desk.withdraw(world.binding, {"per_1", "per_2"})
    assert await world.states() == ("running", "running")
    assert (await world.events()).count("request.cancelled") == 2


async def test_an_abort_takes_the_requests_with_it(world: World) -> None:
    waiting = await world.ask(asked())
    number = await world.open_id()
    abort = asyncio.create_task(world.api.http.post(f"/pipelines/{world.run.id}/abort"))
    while not world.api.engine.releases:
        await asyncio.sleep(0.005)
    await world.api.engine.drain(world.api.joined.work)
    run = (await abort).json()
    assert (run["status"], run["steps"][0]["status"], run["requests"]) == ("aborted", "aborted", [])
    assert await waiting is None, "nobody is answered: the session is stopped"
    assert (await world.answer(number, reply="once"))[0] == 409
    events = await world.events()
    assert events.count("request.cancelled") == 1
    assert "step.resumed" not in events


async def test_a_segment_that_lost_the_run_asks_nobody(world: World) -> None:
    world.binding = world.binding.model_copy(update={"epoch": 0})
    assert await world.desk.reply_to(world.binding, asked()) is None
    assert await world.count() == 0


async def test_a_step_that_ends_leaves_no_open_request(world: World) -> None:
    await world.ask(asked())
    async with world.database.sessions.begin() as db:
        run = await run_locks.guard(db, world.run.id, world.run.epoch)
        transitions.fail_step(db, run.steps[0], "budget", "Too much.")
        transitions.fail_pipeline(db, run, "budget", "Too much.")
    assert await world.states() == ("failed", "failed")
    assert await world.count(AgentRequest.status == "cancelled") == 1


async def test_the_reconciler_leaves_a_watched_run_alone_and_takes_up_a_lost_one(world: World) -> None:
    await world.ask(asked())
    engine = RecordingEngine()
    reconciler = Reconciler(world.database.sessions, world.database.reads, engine, world.api.joined.work)
    await reconciler.reconcile()
    assert [segment.epoch for segment in engine.segments] == [2]
    await reconciler.reconcile()
    assert len(engine.segments) == 1
    assert await world.states() == ("waiting_for_input", "waiting_for_input")
    segment = engine.segments[0]
    assert replace(segment, epoch=1).start == 0


async def test_models_may_write_what_no_database_holds(world: World) -> None:
    await world.ask(asked(metadata={"command": "printf '\x00' \ud800"}, patterns=("printf '\x00' \ud800",)))
    shown = (await world.shown())["requests"][0]
    assert "printf" in shown["details"]["command"]


async def test_requests_are_listed_by_state_and_in_pages(world: World) -> None:
    for number in range(1, 4):
        await world.ask(asked(number))
    await world.answer(await world.open_id(), reply="once")
    http = world.api.http
    page = (await http.get("/requests", params={"status": "pending", "limit": 1})).json()
    assert ([one["patterns"] for one in page["items"]], page["next_cursor"] is None) == ([["rm -rf build"]], False)
    rest = (await http.get("/requests", params={"status": "pending", "cursor": page["next_cursor"]})).json()
    assert (len(rest["items"]), rest["next_cursor"]) == (1, None)
    assert (await http.get("/requests", params={"status": "nonsense"})).status_code == 422
    assert (await http.get("/requests", params={"cursor": "x"})).status_code == 422


async def test_rules_of_agent_and_step_are_kept_with_the_run(api: Api, database: Database) -> None:
    own = [{"tool": "bash", "pattern": "git *", "action": "allow"}]
    created = await api.create(template=None, custom_steps=[{"agent": "developer", "permissions": own}])
    assert created.status_code == 201, created.text
    async with database.reads() as db:
        step = (await db.scalars(select(Step).where(Step.pipeline_id == created.json()["id"]))).one()
    assert step.permissions == own
    again = (await api.http.post(f"/pipelines/{created.json()['id']}/duplicate")).json()
    async with database.reads() as db:
        copy = (await db.scalars(select(Step).where(Step.pipeline_id == again["id"]))).one()
    assert copy.permissions == own
    wrong = await api.create(template=None, custom_steps=[{"agent": "developer", "permissions": [{"tool": "bash"}]}])
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["pointer"].startswith("/custom_steps/0")

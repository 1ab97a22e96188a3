"""OpenCode goes away under a step: who sees what, what is sent again and what is not, and when the wait ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.adapters.database import Database
from app.adapters.git_repository import GitRepository
from app.adapters.opencode_client import OpenCodeClient
from app.adapters.opencode_http import ServerGone
from app.models import AuditEvent, Pipeline
from app.schemas.pipeline import PipelineResponse
from app.schemas.runtime import LiveEvent, RuntimeHealth, StepLimits
from app.schemas.work import Segment
from app.services import conversation
from app.services.attempts import INTERRUPTED_NOTE
from app.services.pipeline_runner import PipelineRunner, RunnerSettings
from app.services.run_queries import RunQueries
from app.tests.factories import RecordingEngine, agent_step, eventually, make_directory, make_pipeline
from app.tests.fake_opencode import FakeOpenCode

LONG = "[[slow:2000:1]]"


class Server:
    """What `OpenCodeServer` is to the services, for a fake that comes and goes in the test's loop."""

    def __init__(self, fake: FakeOpenCode) -> None:
        self._fake = fake

    async def start(self) -> None:
        """The test does that."""

    async def stop(self, *, keep_running: bool = False) -> None:
        """The test does that."""

    def trouble(self) -> str | None:
        """Whether the fake is away."""
        try:
            self._fake.endpoint()
        except ServerGone as gone:
            return gone.detail
        return None

    async def wait_ready(self, seconds: float) -> bool:
        """As soon as the fake is back."""
        deadline = time.monotonic() + seconds
        while self.trouble() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return self.trouble() is None

    async def health(self) -> RuntimeHealth:
        """Ready or down."""
        trouble = self.trouble()
        return RuntimeHealth(state="ready" if trouble is None else "down", detail=trouble)


class World:
    """One run on one fake, executed by the real runner through the real client."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.fake = FakeOpenCode()
        self.server = Server(self.fake)
        self.shown: list[LiveEvent] = []
        self.client = OpenCodeClient(self.fake, self.shown.append)
        self.up = AsyncExitStack()
        self.run_id = 0

    async def come_up(self) -> None:
        """OpenCode answers from now on."""
        await self.up.enter_async_context(self.fake.serve())

    async def begin(self, prompt: str, limits: StepLimits | None = None) -> "asyncio.Task[str]":
        """Create the run and execute its segment beside the test."""
        async with self.database.sessions.begin() as db:
            directory = await make_directory(db, str(self.folder))
            run = await make_pipeline(db, [agent_step()], directory, prompt=prompt)
            directory.holder_id, directory.holder_attempt = run.id, run.attempt
        self.run_id = run.id
        return self.go_on(run, limits)

    def go_on(self, run: Pipeline, limits: StepLimits | None = None) -> "asyncio.Task[str]":
        """Execute its segment, as a process of ours does that was just started."""
        runner = PipelineRunner(
            self.database.sessions, self.database.reads, self.client, RecordingEngine(), GitRepository([]),
            RunnerSettings("w1", limits or StepLimits()), server=self.server,
        )  # fmt: skip
        return asyncio.create_task(runner.run_segment(Segment(run.id, run.attempt, run.epoch, 0)))

    async def detail(self) -> PipelineResponse:
        """The run as the API shows it."""
        return await RunQueries(self.database.reads, self.server).detail(self.run_id)

    async def events(self) -> list[str]:
        """Types of the step's events."""
        async with self.database.reads() as db:
            query = select(AuditEvent.type).where(AuditEvent.type.like("step.%")).order_by(AuditEvent.id)
            return list(await db.scalars(query))

    async def writing(self) -> None:
        """Wait until the agent has written something."""

        async def there() -> bool:
            return any(event.type == "delta" for event in self.shown)

        await eventually(there)

    async def interrupted(self) -> None:
        """Wait until the step shows that it waits."""

        async def there() -> bool:
            return "Interrupted" in ((await self.detail()).steps[0].note or "")

        # Longer than one question that the dying fake took and never answers.
        await eventually(there, 12)


@pytest.fixture
async def world(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """OpenCode runs at first."""
    monkeypatch.setattr(conversation, "LOOK_SECONDS", 0.05)
    database = Database(sqlite_url)
    world = World(database, tmp_path)
    await world.come_up()
    yield world
    await world.client.aclose()
    await world.up.aclose()
    await database.dispose()


async def test_a_step_shows_as_interrupted_while_it_waits_and_says_afterwards_that_tools_may_have_run_twice(
    world: World,
) -> None:
    segment = await world.begin("[[slow:80:1]]")
    await world.writing()
    assert ((await world.detail()).waiting_reason, (await world.detail()).steps[0].note) == (None, None)
    await world.up.aclose()
    await world.interrupted()
    run = await world.detail()
    assert (run.status, run.steps[0].status) == ("running", "running")
    assert run.waiting_reason == "Waits for OpenCode. The fake OpenCode is not running."
    assert [event.state for event in world.shown if event.type == "state"][-1] == "interrupted"
    await world.come_up()
    assert await segment == "done"
    run = await world.detail()
    assert (run.waiting_reason, run.steps[0].attempts) == (None, 1)
    assert run.steps[0].note == INTERRUPTED_NOTE
    assert await world.events() == ["step.started", "step.interrupted", "step.resumed", "step.done"]
    assert world.fake.provider.models_called() == ["alpha", "alpha"]


async def test_a_run_that_was_aborted_while_opencode_was_away_is_not_sent_again(world: World) -> None:
    segment = await world.begin(LONG)
    await world.writing()
    await world.up.aclose()
    await world.interrupted()
    async with world.database.sessions.begin() as db:
        await db.execute(update(Pipeline).values(epoch=Pipeline.epoch + 1))
    assert await segment == "stale", "noticed although OpenCode is still away"
    await world.come_up()
    assert world.fake.provider.models_called() == ["alpha"]


async def test_a_run_that_was_aborted_before_it_began_does_not_wait_for_opencode(world: World) -> None:
    await world.up.aclose()
    segment = await world.begin(LONG)
    await asyncio.sleep(0.1)
    assert not segment.done()
    async with world.database.sessions.begin() as db:
        await db.execute(update(Pipeline).values(epoch=Pipeline.epoch + 1))
    async with asyncio.timeout(5):
        assert await segment == "stale", "noticed although OpenCode is still away"


async def test_the_wait_for_opencode_ends_with_the_wall_clock_of_the_step(world: World) -> None:
    segment = await world.begin(LONG, StepLimits(wall_clock=2))
    await world.writing()
    await world.up.aclose()
    await world.interrupted()
    assert await segment == "timed_out"
    run = await world.detail()
    assert (run.status, run.error_code) == ("failed", "timed_out")
    assert run.steps[0].note == INTERRUPTED_NOTE, "nothing is said about going on any more"


async def test_a_resend_does_not_start_the_wall_clock_again(world: World) -> None:
    segment = await world.begin(LONG, StepLimits(wall_clock=4))
    await world.writing()
    await asyncio.sleep(2.5)
    await world.up.aclose()
    await world.interrupted()
    await world.come_up()
    again = time.monotonic()
    assert await segment == "timed_out"
    assert time.monotonic() - again < 3.9, "the clock began anew"


async def test_what_opencode_refuses_ends_the_step_at_once_in_its_own_words(world: World) -> None:
    (world.folder / "opencode.json").write_text('{ broken "apiKey": "sk-canary"')
    assert await (await world.begin("Do it.")) == "opencode_refused"
    run = await world.detail()
    assert run.error_message == (
        f"OpenCode refused this step (400): its configuration {world.folder}/opencode.json is not valid: "
        "InvalidSymbol at line 1, column 3"
    )
    assert await world.events() == ["step.failed"]


async def test_an_answer_that_is_no_refusal_is_asked_for_again(world: World) -> None:
    world.fake.broken_answers = 2
    assert await (await world.begin("[[say:Third time lucky.]]")) == "done"
    assert world.fake.broken_answers == 0

"""Several servers in one process, on real rows and a queue in memory: each moves when it is told, and may die anywhere.

What a server does is the real thing down to the transaction: leases, epochs, directories, decisions,
endings, releases and the reconciler. Only the walk of a segment is cut into single moves here.
"""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.adapters.database import Database
from app.errors import InternalError, PacelineError, StaleEpoch
from app.models import Pipeline, Step, Worker
from app.schemas.pipeline import FINAL_PIPELINE
from app.schemas.runtime import MessageResponse, SessionBinding, TranscriptMessage, TranscriptPart
from app.schemas.work import Release, Segment
from app.services import attempts, leases, run_locks, scheduling, step_records, transitions
from app.services.decisions import Decisions
from app.services.handoffs import parse_handoff
from app.services.reconciler import Reconciler
from app.services.releases import Releases
from app.services.run_endings import RunEndings
from app.services.step_records import Began
from app.services.workers import Identity, Workers
from app.tests.factories import RecordingEngine, agent_step, approval_step, make_pipeline
from app.tests.test_reconciler import Runtime

Work = Segment | Release


class SharedQueue(RecordingEngine):
    """A queue that knows who has taken up what; work appears exactly when its transaction commits."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: dict[str, tuple[str, Work]] = {}

    def waiting(self) -> list[Work]:
        """What nobody has taken up, oldest first."""
        return [*self.segments, *(release for release, _ in self.releases)]

    def take(self, work: Work, who: str) -> None:
        """Give it to a server."""
        self.drop(work)
        self.taken[work.workflow_id] = (who, work)

    def give_back(self, who: str) -> None:
        """What a server that starts again does with what it had."""
        for name, (holder, work) in list(self.taken.items()):
            if holder == who:
                del self.taken[name]
                if isinstance(work, Segment):
                    self.segments.append(work)
                else:
                    self.releases.append((work, None))

    def drop(self, work: Work) -> None:
        """It has ended, or was lost."""
        self.taken.pop(work.workflow_id, None)
        self.segments = [one for one in self.segments if one != work]
        self.releases = [one for one in self.releases if one[0] != work]

    def enqueue_release(self, db: Session, release: Release, delay: timedelta | None = None) -> None:
        """As before; one that has ended may be asked for again by whoever lost it."""
        super().enqueue_release(db, release, delay)

    async def holders(self) -> dict[str, str | None]:
        """All that is live."""
        waiting: dict[str, str | None] = {work.workflow_id: None for work in self.waiting()}
        return waiting | {name: who for name, (who, _) in self.taken.items()}

    async def live_workflows(self) -> set[str]:
        """The same without the servers."""
        return set(await self.holders())

    async def cancel(self, workflow_id: str) -> None:
        """Whoever has it."""
        await super().cancel(workflow_id)
        self.taken.pop(workflow_id, None)


class Server:
    """One server: `up`, `frozen` or `dead`."""

    def __init__(self, database: Database, queue: SharedQueue, name: str) -> None:
        self.name, self.state = name, "dead"
        self._database, self._queue = database, queue
        self.active: dict[str, Work] = {}
        """What it executes, whatever the queue knows of it by now."""
        self._seen: dict[str, Pipeline] = {}
        sessions, reads = database.sessions, database.reads
        self.workers = Workers(sessions, reads, Identity(name, "host", 1, "http://opencode:1"))
        client: Any = Runtime()
        self._releases = Releases(sessions, reads, client, queue, set(), self.workers)
        self._endings = RunEndings(sessions, queue)
        work: Any = SimpleNamespace(run_release=self.release)
        self.reconciler = Reconciler(sessions, reads, queue, work, self.workers)
        nobody_waits: Any = SimpleNamespace(wait_until_free=_at_once)
        catalog: Any = None
        self.decisions = Decisions(sessions, reads, queue, nobody_waits, catalog)

    async def start(self) -> None:
        """Join, and take up what was left under this name."""
        await self.workers.join()
        self._queue.give_back(self.name)
        self._seen.clear()
        self.active.clear()
        self.state = "up"

    def take(self, work: Work) -> None:
        """Begin to execute it."""
        self._queue.take(work, self.name)
        self.active[work.workflow_id] = work

    def _end(self, work: Work) -> None:
        self._queue.drop(work)
        self.active.pop(work.workflow_id, None)

    async def create(self, path: str, gated: bool) -> None:
        """A run of two steps, with a gate between them if wanted."""
        async with self._database.sessions.begin() as db:
            directory = await leases.lock_directory(db, path)
            steps = [agent_step("one"), *([approval_step()] if gated else []), agent_step("two")]
            run = await make_pipeline(db, steps, directory)
            await scheduling.start_or_queue(db, self._queue, run, directory, "token")

    async def look(self, segment: Segment) -> None:
        """Read the run now and act on it later, as a server does that is stopped in between."""
        try:
            self._seen[segment.workflow_id] = await self._read(segment)
        except StaleEpoch:
            self._end(segment)

    async def move(self, segment: Segment) -> None:
        """The next thing that a segment does; at its end it leaves the queue."""
        try:
            over = await self._walk(segment)
        except StaleEpoch:
            over = True
        if over:
            self._end(segment)

    async def fail(self, segment: Segment, idle: bool) -> None:
        """The step that is at work fails; without `idle` its session is still to be stopped."""
        try:
            run = await self._read(segment)
            first = run_locks.first_open_index(run)
            if first < len(run.steps) and run.status == "running":
                step = run.steps[first]
                await self._endings.fail_step(step, InternalError("It broke."), await self._began(step), idle=idle)
            else:
                return
        except StaleEpoch:
            pass
        self._end(segment)

    async def release(self, release: Release) -> str:
        """Free a directory, unless a server that counts as living still works on the attempt."""
        prefix = Segment.prefix(release.pipeline_id, release.attempt)
        living = await self.workers.living()
        at_work = [entry for name, entry in self._queue.taken.items() if name.startswith(prefix)]
        if any(who in living for who, _ in at_work):
            return "waits"
        await self._releases.run_release(release)
        self._end(release)
        return "released"

    async def _read(self, segment: Segment) -> Pipeline:
        seen = self._seen.pop(segment.workflow_id, None)
        if seen is not None:
            return seen
        async with self._database.reads() as db:
            run = await run_locks.read_run(db, segment.pipeline_id, segment.epoch)
        if run.status in FINAL_PIPELINE:
            raise StaleEpoch("over")
        return run

    async def _walk(self, segment: Segment) -> bool:
        """True when the segment has ended."""
        run = await self._read(segment)
        first = run_locks.first_open_index(run)
        step = run.steps[first] if first < len(run.steps) else None
        if run.status == "pending":
            async with self._database.sessions.begin() as db:
                transitions.start_pipeline(db, await run_locks.guard(db, run.id, run.epoch))
        elif step is None:
            await self._endings.finish_run(segment)
            return True
        elif step.type == "approval":
            await self._endings.open_gate(segment, step)
            return True
        elif (began := await self._began(step)) is None or step.status == "pending":
            await self._begin(run, step)
        else:
            handoff = parse_handoff("Done.")
            await self._endings.complete_step(step, began, _answer(began), handoff, note=None, commit=None)
        return False

    async def _began(self, step: Step) -> Began | None:
        async with self._database.reads() as db:
            left = await attempts.open_attempt(db, step.id, step.pipeline.attempt)
        return step_records.began_of(left) if left is not None else None

    async def _begin(self, run: Pipeline, step: Step) -> None:
        message = f"msg_{step.id}_{run.attempt}"
        binding = SessionBinding(
            directory=run.directory.real_path, message_id=message, title="", pipeline_id=run.id, step_id=step.id,
            attempt=run.attempt, epoch=run.epoch,
        )  # fmt: skip
        async with self._database.sessions.begin() as db:
            row = await run_locks.guard(db, run.id, run.epoch)
            await step_records.begin(
                db, row, step.order_index, f"ses_{message}", binding, "Do it.", resolved_model=None,
                worker=self.name, commit=None,
            )  # fmt: skip


async def decide(server: Server, action: str, run_id: int) -> None:
    """What a person asks of a server; a refusal is an answer too."""
    asked = {
        "approve": lambda: server.decisions.approve(run_id, "token", None),
        "reject": lambda: server.decisions.reject(run_id, "token", None),
        "request_changes": lambda: server.decisions.request_changes(run_id, "token", "Again.", None),
        "abort": lambda: server.decisions.abort(run_id, "token"),
        "restart": lambda: server.decisions.restart(run_id, "token"),
    }
    try:
        await asked[action]()
    except StaleEpoch:
        raise AssertionError("a person's decision has no epoch") from None
    except PacelineError:
        pass


async def pass_time(database: Database, servers: list[Server]) -> None:
    """A lease's time: who works beats, who does not is silent."""
    async with database.sessions.begin() as db:
        for row in await db.scalars(select(Worker)):
            row.heartbeat_at -= timedelta(seconds=row.lease_seconds + 1)
    for server in servers:
        if server.state == "up":
            await server.workers.beat()


def _answer(began: Began) -> MessageResponse:
    now, said = datetime.now(UTC), TranscriptPart(type="text", text="Done.")
    message = TranscriptMessage(
        id="msg_answer", session_id=began.session_id, role="assistant", finish="stop", created_at=now,
        completed_at=now, parts=(said,),
    )  # fmt: skip
    return MessageResponse(session_id=began.session_id, message_id="msg", text="Done.", transcript=(message,))


async def _at_once(*_: Any) -> bool:
    return True

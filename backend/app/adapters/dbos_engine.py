"""The durable queue, on DBOS: embedded in this process, its tables in the database of the rows.

Each rule below comes from a trap; docs/decisions has them at length. The names of the workflows,
of the queues and of the version are part of the stored data: changing one leaves old work behind.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Protocol

from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, EnqueueOptions
from sqlalchemy import event, func, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.orm import Session

from app.adapters.database import Database
from app.adapters.database_errors import is_lasting
from app.adapters.dbos_end import destroy_dbos
from app.adapters.dbos_log import quiet_dbos
from app.adapters.task_end import cancel
from app.adapters.work_places import WorkPlaces
from app.models import Pipeline
from app.schemas.work import Release, Segment

APPLICATION = "paceline"
VERSION = "1"
"""Constant: DBOS takes up work of its own version only. A changed walk gets a new workflow name instead."""
SEGMENT, RELEASE = "paceline.segment.v1", "paceline.release.v1"
SEGMENTS, RELEASES = "segments", "releases"
LIVE = ["ENQUEUED", "PENDING", "DELAYED"]
THREADS = 32
STOP_SECONDS = 2.5
"""For the end of all work and of DBOS. OpenCode is ended after us, and a process has ten seconds in all."""
DESTROY_SECONDS = 1.0
"""How much of that is kept for DBOS, whose threads may wait for a locked database."""
ADMIT_RETRY_SECONDS = 2.0

log = logging.getLogger("paceline.engine")


class WorkHandler(Protocol):
    """Who does the work: `services.ports.WorkHandler`, which this layer must not import."""

    async def run_segment(self, segment: Segment) -> str:
        """Walk the segment's steps; returns a word for the record."""
        ...

    async def run_release(self, release: Release) -> str:
        """Free the directory of a finished attempt; returns a word for the record."""
        ...


class DbosEngine:
    """The `Engine` port. One started engine in a process: DBOS is global.

    `enqueue_*` work as soon as the queue's tables exist, so from the first `start` of any process on.
    """

    _started: ClassVar["DbosEngine | None"] = None

    def __init__(
        self, database: Database, worker_id: str, places: WorkPlaces | None = None, poll_seconds: float = 0.25
    ) -> None:
        """`places` is the limit of this process; DBOS only bounds how much work is taken up."""
        self._database = database
        # A SQLite file has one server. Under a fixed name it finds its work again even if it is renamed.
        self.worker_id = worker_id if database.dialect == "postgresql" else "local"
        self._places = places or WorkPlaces(10)
        self._admitting: asyncio.Task[None] | None = None
        self._poll_seconds = poll_seconds
        self._serializer = DBOSPortableJSONSerializer()
        self._client = DBOSClient(
            system_database_engine=database.queue_engine,
            serializer=self._serializer,
            application_name=APPLICATION,
            # Raise at once when the database is gone: the caller's transaction must not wait for it.
            retry_connection_errors=False,
            lazy=True,
        )
        self._handler: WorkHandler | None = None
        self._closing = False
        self._at_work: set[asyncio.Task[Any]] = set()
        """Tasks inside our own code: cancelled at the end."""
        self._tasks: set[asyncio.Task[Any]] = set()
        """The same tasks until DBOS has written their outcome: awaited at the end."""

    async def start(self, handler: WorkHandler) -> None:
        """Take up work, left-overs of the last process first.

        Everything that `handler` uses must stand before: recovery begins inside. Blocks the loop for
        some 100 ms, so nobody may hold a write transaction meanwhile.
        """
        if DbosEngine._started is not None:
            raise RuntimeError("another engine runs in this process")
        DbosEngine._started = self
        self._handler = handler
        self._closing = False
        try:
            self._launch()
            for queue, limit in ((SEGMENTS, self._places.limit), (RELEASES, None)):
                # Counted in this process: what a dead worker left behind takes nobody's place.
                await DBOS.register_queue_async(
                    queue,
                    worker_concurrency=limit,
                    polling_interval_sec=self._poll_seconds,
                    on_conflict="always_update",
                )
        except BaseException:
            await self.stop()
            raise
        # Not before: a start on a full disk shall fail with a sentence instead of waiting.
        event.listen(self._database.queue_engine, "handle_error", _treat_as_gone)
        self._places.changed.set()
        self._admitting = asyncio.create_task(self._admit())

    async def _admit(self) -> None:
        """Let DBOS take up as much more as there are runs that wait for a person.

        Counted in the rows: the number is one for all servers on the database. It only bounds what is
        taken up; how much is at work is decided by the places of each process.
        """
        asking = select(func.count()).select_from(Pipeline).where(Pipeline.status == "waiting_for_input")
        while await self._places.changed.wait():
            self._places.changed.clear()
            try:
                async with self._database.reads() as db:
                    limit = self._places.limit + (await db.scalar(asking) or 0)
                queue = await DBOS.retrieve_queue_async(SEGMENTS)
                if queue is not None:
                    await queue.set_worker_concurrency_async(limit)
            except Exception:
                # The database may be locked or away; new work waits a little longer for that.
                log.warning("could not tell the queue about free places", exc_info=True)
                self._places.changed.set()
                await asyncio.sleep(ADMIT_RETRY_SECONDS)

    def _launch(self) -> None:
        # Closures, because DBOS can neither wrap a bound method nor forget a decorated function.
        async def segment(pipeline_id: int, attempt: int, epoch: int, start: int) -> str:
            return await self._work(Segment(pipeline_id, attempt, epoch, start))

        async def release(pipeline_id: int, attempt: int) -> str:
            return await self._work(Release(pipeline_id, attempt))

        quiet_dbos(lambda: self._closing)
        # A crash is never the work's fault: recover it however often it takes.
        DBOS.workflow(name=SEGMENT, max_recovery_attempts=None)(segment)
        DBOS.workflow(name=RELEASE, max_recovery_attempts=None)(release)
        config: DBOSConfig = {
            "name": APPLICATION,
            "application_version": VERSION,
            "executor_id": self.worker_id,
            "system_database_engine": self._database.queue_engine,
            "serializer": self._serializer,
            "max_executor_threads": THREADS,
            "use_listen_notify": False,
            # Nothing listens; the thread only ends as late as it wakes up.
            "notification_listener_polling_interval_sec": min(self._poll_seconds, 0.25),
            "log_level": "WARNING",
        }
        DBOS(config=config)
        DBOS.launch()

    async def stop(self) -> None:
        """Leave work to the next start: what runs is cancelled, unrecorded, and stays pending.

        Whatever is stuck is left behind after `STOP_SECONDS`. The engine can be started again, unless DBOS was.
        """
        if DbosEngine._started is not self:
            return
        self._closing = True
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        if event.contains(self._database.queue_engine, "handle_error", _treat_as_gone):
            event.remove(self._database.queue_engine, "handle_error", _treat_as_gone)
        for task in self._at_work:
            task.cancel()
        await cancel(self._admitting, seconds=STOP_SECONDS - DESTROY_SECONDS)
        self._admitting = None
        await self._gather(deadline - DESTROY_SECONDS)
        destroyed = await destroy_dbos(deadline)
        for task in await self._gather(deadline):
            log.error("left behind at the end, still at work: %s", task)
        if destroyed:
            DbosEngine._started = None

    async def _gather(self, deadline: float) -> set[asyncio.Task[Any]]:
        """Wait for the ends of all work; what has not ended by then."""
        if not self._tasks:
            return set()
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        return (await asyncio.wait(self._tasks, timeout=left))[1]

    async def _work(self, work: Segment | Release) -> str:
        if self._closing or self._handler is None:
            # Claimed while we stop: cancellation is what keeps it pending.
            raise asyncio.CancelledError
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("work must run in a task")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._at_work.add(task)
        try:
            if isinstance(work, Release):
                return await self._handler.run_release(work)
            async with self._places.hold(work.pipeline_id):
                return await self._handler.run_segment(work)
        except asyncio.CancelledError as stray:
            if self._closing:
                raise
            # DBOS would leave the row pending with nobody at work on it, and nobody could tell.
            raise RuntimeError(f"{work.workflow_id} was cancelled by nobody") from stray
        finally:
            self._at_work.discard(task)

    def enqueue_segment(self, db: Session, segment: Segment, delay: timedelta | None = None) -> None:
        """Enqueue inside the caller's transaction. An id that exists already is left as it is."""
        options = _options(SEGMENT, SEGMENTS, segment.workflow_id, delay)
        arguments = (segment.pipeline_id, segment.attempt, segment.epoch, segment.start)
        self._client.enqueue_in_transaction(db, options, *arguments)

    def enqueue_release(self, db: Session, release: Release, delay: timedelta | None = None) -> None:
        """Enqueue inside the caller's transaction. An id that exists already is left as it is."""
        options = _options(RELEASE, RELEASES, release.workflow_id, delay)
        self._client.enqueue_in_transaction(db, options, release.pipeline_id, release.attempt)

    async def checkpoint(self, name: str, step: Callable[[], Awaitable[str]]) -> str:
        """Run `step` unless its outcome is on record; cancelling the workflow cancels it within a second."""

        # DBOS looks for a coroutine function, which a partial or a lambda is not.
        async def run() -> str:
            return await step()

        recorded: Coroutine[Any, Any, str] = DBOS.run_step_async({"name": name, "preemptible": True}, run)
        return await recorded

    async def live_workflows(self) -> set[str]:
        """Ids of all segments and releases that are enqueued, delayed or running, of every worker.

        Asked through the client: inside a workflow DBOS's own function would become a recorded step,
        and a recovered release would be told what was true before the crash.
        """
        return set(await self.holders())

    async def holders(self) -> dict[str, str | None]:
        """The same ids, each with the worker that has taken it up; None while it waits for one."""
        found = await self._client.list_workflows_async(status=LIVE, load_input=False, load_output=False)
        return {work.workflow_id: work.executor_id if work.status == "PENDING" else None for work in found}

    async def segments_in_line(self) -> list[int]:
        """Runs whose segments nobody has taken up yet, in the order in which they will be."""
        found = await self._client.list_workflows_async(
            status="ENQUEUED", queue_name=SEGMENTS, load_input=False, load_output=False
        )
        return [Segment.run_of(workflow.workflow_id) for workflow in found]

    async def forget(self, prefixes: Sequence[str]) -> None:
        """Delete the records of all work whose ids begin so. Never call it in a transaction."""
        found = await self._client.list_workflows_async(
            workflow_id_prefix=list(prefixes), load_input=False, load_output=False
        )
        if found:
            await self._client.delete_workflows_async([workflow.workflow_id for workflow in found])

    async def cancel(self, workflow_id: str) -> None:
        """Take enqueued or hung work away; nothing happens when it has ended. Never call it in a transaction."""
        await self._client.cancel_workflow_async(workflow_id)


def _treat_as_gone(context: ExceptionContext) -> None:
    """DBOS waits for a lost connection, but ends a workflow whose record meets a full or read-only disk.

    Its row would then say PENDING, nothing would run, and nobody could tell. So both are one to it.
    """
    error = context.sqlalchemy_exception
    if error is not None and is_lasting(error):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False


def _options(workflow: str, queue: str, workflow_id: str, delay: timedelta | None) -> EnqueueOptions:
    options: EnqueueOptions = {
        "workflow_name": workflow,
        "queue_name": queue,
        "workflow_id": workflow_id,
        # Without the version the work would wait for ever, silently.
        "app_version": VERSION,
    }
    if delay is not None:
        options["delay_seconds"] = delay.total_seconds()
    return options

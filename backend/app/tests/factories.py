"""Makes rows and stand-ins for tests: plain rows through the models, and an engine without a queue."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from app.models import Directory, Pipeline, Step
from app.schemas.registry import AgentProfile
from app.services.ports import Release, Segment, WorkHandler

_numbers = count(1)


def agent(name: str = "developer", default_model: str | None = None) -> AgentProfile:
    """A profile on OpenCode's `build` agent."""
    return AgentProfile(name=name, description=f"The {name}.", opencode_agent="build", default_model=default_model)


def agent_step(name: str = "developer", default_model: str | None = None, **columns: Any) -> Step:
    """An agent step with the snapshot that a creation would store; `columns` win."""
    snapshot = agent(name, default_model).model_dump(mode="json")
    return Step(**{"type": "agent", "agent_name": name, "agent_snapshot": snapshot, "status": "pending", **columns})


def approval_step(description: str = "Go on?", **columns: Any) -> Step:
    """A gate; `columns` win."""
    return Step(**{"type": "approval", "description": description, "status": "pending", **columns})


async def make_directory(db: AsyncSession, real_path: str | None = None, **columns: Any) -> Directory:
    """A flushed directory row, with a path of its own unless told."""
    row = Directory(**{"real_path": real_path or f"/work/{next(_numbers)}", "last_queue_number": 0, **columns})
    db.add(row)
    await db.flush()
    return row


async def make_pipeline(
    db: AsyncSession, steps: Sequence[Step] | None = None, directory: Directory | None = None, **columns: Any
) -> Pipeline:
    """A flushed run with `steps` (one agent step unless told) in their order; `columns` win.

    Statuses are taken as given: nothing is checked, recorded or enqueued.
    """
    directory = directory or await make_directory(db)
    steps = [agent_step()] if steps is None else steps
    for index, step in enumerate(steps):
        step.order_index = index
    values = {
        "title": "A run",
        "prompt": "Do the task.",
        "status": "pending",
        "attempt": 1,
        "epoch": 1,
        "working_dir": directory.real_path,
        "directory_id": directory.id,
        "warnings": [],
        "created_by": "token",
        "created_at": datetime.now(UTC),
    }
    run = Pipeline(**{**values, **columns}, steps=list(steps))
    db.add(run)
    await db.flush()
    return run


class RecordingEngine:
    """The `Engine` port without a queue: remembers what committed transactions enqueued.

    `drain` does that work in the test's own task; checkpoints are plain calls.
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.delays: dict[str, timedelta] = {}
        """Of the segments that were enqueued with one, by id."""
        self.releases: list[tuple[Release, timedelta | None]] = []
        self.history: list[str] = []
        """Ids of everything ever enqueued, in order."""
        self.cancelled: list[str] = []
        self.checkpoints: list[str] = []
        """Names of the steps that really ran."""
        self._running: set[str] = set()

    def enqueue_segment(self, db: Session, segment: Segment, delay: timedelta | None = None) -> None:
        """Remembered when the transaction commits; a known id is left as it is."""

        def append() -> None:
            self.segments.append(segment)
            if delay is not None:
                self.delays[segment.workflow_id] = delay

        _when_committed(db, lambda: self._add(segment.workflow_id, append))

    def enqueue_release(self, db: Session, release: Release, delay: timedelta | None = None) -> None:
        """Remembered when the transaction commits; a known id is left as it is."""
        _when_committed(db, lambda: self._add(release.workflow_id, lambda: self.releases.append((release, delay))))

    def _add(self, workflow_id: str, append: Callable[[], None]) -> None:
        if workflow_id not in self.history:
            self.history.append(workflow_id)
            append()

    async def checkpoint(self, name: str, step: Callable[[], Awaitable[str]]) -> str:
        """Just runs the step."""
        self.checkpoints.append(name)
        return await step()

    async def live_workflows(self) -> set[str]:
        """What waits here and what `drain` is running."""
        waiting = {segment.workflow_id for segment in self.segments}
        return waiting | {release.workflow_id for release, _ in self.releases} | self._running

    async def holders(self) -> dict[str, str | None]:
        """What runs is this process's."""
        return {work: "local" if work in self._running else None for work in await self.live_workflows()}

    async def segments_in_line(self) -> list[int]:
        """What `drain` has not begun."""
        return [segment.pipeline_id for segment in self.segments]

    async def cancel(self, workflow_id: str) -> None:
        """Forget what has not begun."""
        self.cancelled.append(workflow_id)
        self.segments = [segment for segment in self.segments if segment.workflow_id != workflow_id]
        self.releases = [entry for entry in self.releases if entry[0].workflow_id != workflow_id]

    async def drain(self, handler: WorkHandler) -> list[str]:
        """Do everything that waits, what it enqueues included, delays ignored; the handler's words in order."""
        words: list[str] = []
        while self.segments or self.releases:
            if self.segments:
                segment = self.segments.pop(0)
                words.append(await self._run(segment.workflow_id, handler.run_segment(segment)))
            else:
                release, _ = self.releases.pop(0)
                words.append(await self._run(release.workflow_id, handler.run_release(release)))
        return words

    async def _run(self, workflow_id: str, work: Awaitable[str]) -> str:
        self._running.add(workflow_id)
        try:
            return await work
        finally:
            self._running.discard(workflow_id)


def _when_committed(db: Session, action: Callable[[], None]) -> None:
    """Once, unless the transaction is rolled back before."""
    open_actions = [action]

    def committed(session: Session) -> None:
        while open_actions and not session.in_nested_transaction():
            open_actions.pop()()

    event.listen(db, "after_commit", committed)
    event.listen(db, "after_rollback", lambda _session: open_actions.clear())


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Wait until the condition holds; AssertionError when it does not in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.01)

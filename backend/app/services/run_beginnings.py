"""How a segment begins: OpenCode is there, the queue is open, the directory is as it was, the run is running."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.errors import InvalidRequest, QueuePaused, StaleEpoch, StepFailure
from app.models import Pipeline, Step
from app.schemas.pipeline import FINAL_PIPELINE
from app.services import queue_state, run_locks, transitions
from app.services.conversation import Conversation
from app.services.ports import GitReader, Segment
from app.services.run_endings import RunEndings
from app.services.run_place import check_place
from app.services.units import unit


class RunBeginnings:
    """May be repeated: a run that has begun is found so."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        reads: async_sessionmaker[AsyncSession],
        git: GitReader,
        conversation: Conversation,
        endings: RunEndings,
    ) -> None:
        """`endings` fails or parks what cannot begin."""
        self._sessions = sessions
        self._reads = reads
        self._git = git
        self._conversation = conversation
        self._endings = endings

    async def begin(self, segment: Segment) -> Sequence[Step]:
        """Wait for OpenCode, check the directory once more, mark the run as running."""
        await self._conversation.wait_for_server(partial(self._still_ours, segment))
        async with self._reads() as db:
            run = await run_locks.read_run(db, segment.pipeline_id, segment.epoch)
            held = run.status == "pending" and await queue_state.is_paused(db)
        if run.status in FINAL_PIPELINE:
            raise StaleEpoch(f"run {run.id} is {run.status}")
        if held and await self._endings.park(run.id, run.epoch):
            raise QueuePaused("The queue is paused; the run has not begun.")
        if run.status == "pending":
            await self._start(run)
        return run.steps[segment.start :]

    async def _still_ours(self, segment: Segment) -> None:
        """What was aborted, or taken over by another server, must not wait for OpenCode."""
        async with self._reads() as db:
            await run_locks.check_epoch(db, segment.pipeline_id, segment.epoch)

    async def _start(self, run: Pipeline) -> None:
        try:
            place = await check_place(self._git, run)
        except (StepFailure, InvalidRequest) as failure:
            first = run.steps[run_locks.first_open_index(run)]
            await self._endings.fail_step(first, failure)
            raise StaleEpoch("the run ended before its first step") from failure
        async with unit(self._sessions, "start-run") as db:
            row = await run_locks.guard(db, run.id, run.epoch)
            if row.started_at is None:
                # Runs that went before in this directory may have committed since the creation.
                row.base_commit = place.commit
            transitions.start_pipeline(db, row)

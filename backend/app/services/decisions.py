"""What people decide about a run: approve, send back, reject, abort, restart; each in one compare-and-set."""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import selectinload

from app.errors import FieldError, InvalidRequest, NotFound, StateConflict
from app.models import Directory, Handoff, Pipeline, Step
from app.services import audit, leases, run_locks, scheduling, step_models, transitions
from app.services.handoffs import parse_handoff
from app.services.model_catalog import ModelCatalog
from app.services.ports import Engine, Release
from app.services.releases import Releases
from app.services.step_models import ChosenModel
from app.services.units import unit

_ABORT_WAIT_SECONDS = 10.0


class Decisions:
    """Of two decisions at once the first wins; the other gets a StateConflict that names the new state."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        reads: async_sessionmaker[AsyncSession],
        engine: Engine,
        releases: Releases,
        catalog: ModelCatalog,
    ) -> None:
        """`releases` tells when an aborted run has let go of its directory; `catalog` checks changed models."""
        self._sessions = sessions
        self._reads = reads
        self._engine = engine
        self._releases = releases
        self._catalog = catalog

    async def approve(
        self,
        pipeline_id: int,
        actor: str,
        comment: str | None,
        handoff: str | None = None,
        models: Mapping[int, str] | None = None,
        *,
        approval_id: int | None = None,
    ) -> None:
        """Close the open gate and go on with the next step, with another hand-off or other models if given.

        `approval_id`, here and below: the gate that the person looked at; StateConflict when another is open.
        """
        chosen = await self._choose(pipeline_id, models)
        async with unit(self._sessions, "approve") as db:
            run = await run_locks.lock_run(db, pipeline_id)
            transitions.open_gate_of(run, "approved", approval_id)
            step = transitions.approve_gate(db, run, actor, comment)
            step_models.apply(db, run, chosen, actor)
            if handoff is not None:
                await _replace_handoff(db, run, step, handoff, actor)
            await scheduling.enqueue(db, self._engine, run)

    async def request_changes(
        self, pipeline_id: int, actor: str, comment: str, start: int | None, *, approval_id: int | None = None
    ) -> None:
        """Send the run back from its open gate to a step before it; later steps run again as new attempts."""
        async with unit(self._sessions, "request-changes") as db:
            directory = await leases.lock_directory_of(db, pipeline_id)
            run = await run_locks.lock_run(db, pipeline_id)
            gate, _ = transitions.open_gate_of(run, "sent back", approval_id)
            transitions.request_changes(db, run, actor, comment, _step_before(run, gate, start))
            leases.keep(directory, run)
            await scheduling.enqueue(db, self._engine, run)

    async def reject(
        self, pipeline_id: int, actor: str, comment: str | None, *, approval_id: int | None = None
    ) -> None:
        """Fail the run at its open gate and pass the directory on: no agent works at a gate."""
        async with unit(self._sessions, "reject") as db:
            directory = await leases.lock_directory_of(db, pipeline_id)
            run = await run_locks.lock_run(db, pipeline_id)
            transitions.open_gate_of(run, "rejected", approval_id)
            transitions.reject_gate(db, run, actor, comment)
            await scheduling.pass_on(db, self._engine, directory, run.id, run.attempt)

    async def abort(self, pipeline_id: int, actor: str) -> None:
        """End the run at once in the rows; returns when OpenCode is idle for it, or after 10 s."""
        async with unit(self._sessions, "abort") as db:
            directory = await leases.lock_directory_of(db, pipeline_id)
            run = await run_locks.lock_run(db, pipeline_id)
            transitions.abort_pipeline(db, run, actor)
            attempt = run.attempt
            holds = (directory.holder_id, directory.holder_attempt) == (run.id, attempt)
            if holds:
                release = Release(run.id, attempt)
                await db.run_sync(lambda session: self._engine.enqueue_release(session, release))
        if holds:
            await self._releases.wait_until_free(pipeline_id, attempt, _ABORT_WAIT_SECONDS)

    async def restart(
        self, pipeline_id: int, actor: str, start: int | None = None, models: Mapping[int, str] | None = None
    ) -> None:
        """Begin a new attempt at a step (default: the first that is not done); old attempts stay."""
        chosen = await self._choose(pipeline_id, models)
        async with unit(self._sessions, "restart") as db:
            directory = await leases.lock_directory_of(db, pipeline_id)
            run = await run_locks.lock_run(db, pipeline_id)
            first = run_locks.first_open_index(run)
            if start is not None and start > first:
                raise _wrong_step(f"Step {start + 1} comes after step {first + 1}, which is not done yet.")
            transitions.restart_pipeline(db, run, actor, first if start is None else start)
            step_models.apply(db, run, chosen, actor)
            await scheduling.start_or_queue(db, self._engine, run, directory, actor)

    async def _choose(self, pipeline_id: int, models: Mapping[int, str] | None) -> dict[int, ChosenModel]:
        """Ask OpenCode about changed models before anything is locked."""
        if not models:
            return {}
        query = select(Pipeline).where(Pipeline.id == pipeline_id).options(selectinload(Pipeline.steps))
        async with self._reads() as db:
            run = (await db.scalars(query)).one_or_none()
            if run is None:
                raise NotFound(f"There is no run {pipeline_id}. `paceline runs` lists them.")
            path = (await db.scalars(select(Directory.real_path).where(Directory.id == run.directory_id))).one()
        return await step_models.choose(self._catalog, models, run.steps, path)


def _step_before(run: Pipeline, gate: Step, start: int | None) -> int:
    """The index to go back to: the given one, else the nearest agent step before the gate."""
    before = [step.order_index for step in run.steps[: gate.order_index] if step.type == "agent"]
    if start is None and before:
        return before[-1]
    if start not in before:
        detail = f"Changes can be asked of the agent steps before the gate: {', '.join(str(i + 1) for i in before)}."
        raise _wrong_step(detail if before else "There is no agent step before this gate; reject it instead.")
    return start


def _wrong_step(detail: str) -> InvalidRequest:
    return InvalidRequest(detail, (FieldError("/step", detail),))


async def _replace_handoff(db: AsyncSession, run: Pipeline, gate: Step, text: str, actor: str) -> None:
    """Store the edited hand-off beside the agent's own; the next step gets the newer one."""
    before = [step for step in run.steps[: gate.order_index] if step.type == "agent"]
    if not before:
        raise StateConflict(f"Run {run.id} has no hand-off before this gate.")
    parsed = parse_handoff(text)
    db.add(
        Handoff(
            step_id=before[-1].id,
            text=parsed.text,
            structured=parsed.structured,
            sections=parsed.sections.model_dump(),
            edited_by=actor,
            created_at=datetime.now(UTC),
        )
    )
    audit.record(db, "handoff.edited", actor=actor, pipeline_id=run.id, step_id=before[-1].id, characters=len(text))

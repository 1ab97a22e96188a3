"""Creates runs: everything is checked before one transaction stores the run and enqueues its first step."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import selectinload

from app.errors import (
    FieldError,
    InvalidBranch,
    InvalidRequest,
    InvalidStepModel,
    NotFound,
    PacelineError,
    PayloadTooLarge,
    UnknownOpencodeAgent,
)
from app.models import Pipeline, Step
from app.schemas.model_resolution import ModelOrigin, resolve_model
from app.schemas.pipeline import MAX_PROMPT_BYTES, PipelineCreateRequest
from app.schemas.registry import AgentProfile, AgentStep, ApprovalStep, RegistryConfig, StepDefinition
from app.services import audit, leases, scheduling, step_models
from app.services.idempotency import RequestName, created_before
from app.services.model_catalog import ModelCatalog
from app.services.ports import Engine, GitReader, GitState, WorkingDirs
from app.services.registry import Registry
from app.services.run_place import check_branch
from app.services.units import unit


@dataclass(frozen=True)
class _PlannedStep:
    """A step as it will be stored."""

    definition: StepDefinition
    profile: AgentProfile | None
    model: str | None
    origin: ModelOrigin | None
    resolved: str | None = None


@dataclass(frozen=True)
class _Draft:
    """A run before anything was asked of git or OpenCode."""

    title: str
    prompt: str
    template: str | None
    branch: str | None
    working_dir: str | None
    steps: list[_PlannedStep]


@dataclass(frozen=True)
class _Place:
    """Where a run will work; without `given` in a workspace that is made with the run."""

    given: str | None
    real_path: str
    git: GitState


class Pipelines:
    """Use case: create a run."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        registry: Registry,
        catalog: ModelCatalog,
        git: GitReader,
        working_dirs: WorkingDirs,
        engine: Engine,
    ) -> None:
        """The collaborators; nothing is held between two calls."""
        self._sessions = sessions
        self._registry = registry
        self._catalog = catalog
        self._git = git
        self._working_dirs = working_dirs
        self._engine = engine

    async def create(self, request: PipelineCreateRequest, actor: str, key: str | None = None) -> int:
        """Store a run with the snapshot of its agents and models and start it or put it in line.

        Returns its id. Refuses with a 4xx and stores nothing when anything named in the request
        is unknown; models and agents are checked against OpenCode while it can be reached. The same
        request again under the same `key` returns the run of the first one, whatever became of it.
        """
        name = RequestName.of(key, "create", request)
        if before := await created_before(self._sessions, name, actor):
            return before
        _check_size(request)
        config = await self._registry.current()
        draft = _Draft(
            title=request.title.strip(),
            prompt=request.prompt,
            template=request.template,
            branch=request.branch,
            working_dir=request.working_dir,
            steps=_plan(request, config),
        )
        return await self._store(draft, actor, name)

    async def duplicate(self, pipeline_id: int, actor: str, key: str | None = None) -> int:
        """Create a new run from an old one: the same task, steps, agents and models, whatever the registry says now.

        `key` as for `create`.
        """
        name = RequestName.of(key, f"duplicate {pipeline_id}")
        if before := await created_before(self._sessions, name, actor):
            return before
        query = select(Pipeline).where(Pipeline.id == pipeline_id).options(selectinload(Pipeline.steps))
        async with self._sessions() as db:
            old = (await db.scalars(query)).one_or_none()
        if old is None:
            raise NotFound(f"There is no run {pipeline_id}. `paceline runs` lists them.")
        own = self._working_dirs.is_workspace(old.working_dir)
        draft = _Draft(
            title=old.title,
            prompt=old.prompt,
            template=old.template,
            branch=old.branch,
            working_dir=None if own else old.working_dir,
            steps=[_planned_again(step) for step in old.steps],
        )
        return await self._store(draft, actor, name)

    async def _store(self, draft: _Draft, actor: str, name: RequestName | None) -> int:
        place = await self._place(draft)
        checked = [await self._check(step, index, place.real_path) for index, step in enumerate(draft.steps)]
        try:
            return await self._insert(draft, place, checked, actor, name)
        except IntegrityError:
            # Of two at once with one key, the second finds what the first has stored.
            if before := await created_before(self._sessions, name, actor):
                return before
            raise

    async def _insert(
        self, draft: _Draft, place: _Place, steps: list[_PlannedStep], actor: str, name: RequestName | None
    ) -> int:
        async with unit(self._sessions, "create-run") as db:
            # A workspace is named after the run, so its row gets the real path as soon as the run has an id.
            path = place.real_path if place.given else f"new workspace {uuid4()}"
            directory = await leases.lock_directory(db, path)
            run = _row(draft, place, steps, directory.id, actor)
            if name is not None:
                run.idempotency_key, run.request_digest = name.key, name.digest
            db.add(run)
            await db.flush()
            if place.given is None:
                directory.real_path = run.working_dir = self._working_dirs.new_workspace(str(run.id))
            _record_creation(db, run, actor)
            await scheduling.start_or_queue(db, self._engine, run, directory, actor)
            return run.id

    async def _place(self, request: "_Draft") -> _Place:
        if request.branch is not None and not await self._git.is_branch_name(request.branch):
            detail = f"{request.branch!r} is not a branch name that git accepts."
            raise InvalidBranch(detail, (FieldError("/branch", detail),))
        if request.working_dir is None:
            if request.branch is not None:
                detail = "A branch needs a working_dir: a new workspace is no git repository."
                raise InvalidBranch(detail, (FieldError("/branch", detail),))
            return _Place(None, self._working_dirs.neutral(), GitState(is_repository=False))
        real_path = self._working_dirs.resolve(request.working_dir)
        state = await self._git.state(real_path)
        try:
            check_branch(state, real_path, request.branch)
        except InvalidRequest as error:
            raise type(error)(error.detail, (FieldError("/branch", error.detail),)) from error
        return _Place(request.working_dir, real_path, state)

    async def _check(self, step: _PlannedStep, index: int, directory: str) -> _PlannedStep:
        """Ask OpenCode about agent and model; an unreachable catalog accepts the name as asked."""
        if step.profile is None:
            return step
        try:
            await self._catalog.check_agent(step.profile.opencode_agent, directory)
            if step.model is None:
                return step
            resolved = await self._catalog.check_model(step.model, directory)
        except InvalidRequest as error:
            raise _at_step(error, index, step) from error
        return _PlannedStep(step.definition, step.profile, step.model, step.origin, resolved)


def _check_size(request: PipelineCreateRequest) -> None:
    size = len(request.prompt.encode())
    if size > MAX_PROMPT_BYTES:
        raise PayloadTooLarge(f"The prompt has {size} bytes; {MAX_PROMPT_BYTES} are allowed. Put material into files.")
    if request.github_issue_repo is not None:
        detail = "Taking the task from a GitHub issue is not available in this version; paste its text as the prompt."
        raise InvalidRequest(detail, (FieldError("/github_issue_repo", detail),))


def _plan(request: PipelineCreateRequest, config: RegistryConfig) -> list[_PlannedStep]:
    custom = request.custom_steps is not None
    steps = request.custom_steps or config.get_template(request.template or "").steps
    overrides = request.step_models or {}
    step_models.check_keys(overrides, steps)
    return [_planned(step, index, overrides.get(index), config, custom=custom) for index, step in enumerate(steps)]


def _planned(
    step: StepDefinition, index: int, override: str | None, config: RegistryConfig, *, custom: bool
) -> _PlannedStep:
    if not isinstance(step, AgentStep):
        return _PlannedStep(step, None, None, None)
    profile = config.get_agent(step.agent, f"/custom_steps/{index}/agent" if custom else "/template")
    try:
        model, origin = resolve_model(override, step.model, profile.default_model, custom)
    except InvalidStepModel as error:
        raise InvalidStepModel(error.detail, (FieldError(f"/step_models/{index}", error.detail),)) from error
    return _PlannedStep(step, profile, model, origin)


def _planned_again(step: Step) -> _PlannedStep:
    """A stored step as it was planned; its agent is the old run's snapshot."""
    if step.type == "approval":
        gate = ApprovalStep(description=step.description, remind_after_hours=step.remind_after_hours)
        return _PlannedStep(gate, None, None, None)
    profile = AgentProfile.model_validate(step.agent_snapshot)
    own = {"permissions": step.permissions or [], "limits": step.limits, "retry": step.retry}
    definition = AgentStep.model_validate({"agent": profile.name, "description": step.description, **own})
    return _PlannedStep(definition, profile, step.model, cast(ModelOrigin, step.model_origin))


def _at_step(error: InvalidRequest, index: int, step: _PlannedStep) -> PacelineError:
    """The same refusal with the step's number and a pointer to where the name came from."""
    if isinstance(error, UnknownOpencodeAgent):
        pointer = f"/custom_steps/{index}/agent" if step.origin == "custom_step" else "/template"
    else:
        origins = {"run": f"/step_models/{index}", "custom_step": f"/custom_steps/{index}/model"}
        pointer = origins.get(step.origin or "", "/template")
    candidates = error.errors[0].candidates if error.errors else ()
    detail = f"Step {index + 1}: {error.detail}"
    return type(error)(detail, (FieldError(pointer, error.detail, candidates),))


def _row(draft: _Draft, place: _Place, planned: list[_PlannedStep], directory_id: int, actor: str) -> Pipeline:
    return Pipeline(
        title=draft.title,
        prompt=draft.prompt,
        template=draft.template,
        working_dir=place.given or "",
        directory_id=directory_id,
        branch=draft.branch,
        base_commit=place.git.commit,
        warnings=_warnings(place.git),
        created_by=actor,
        created_at=datetime.now(UTC),
        steps=[_step_row(step, index) for index, step in enumerate(planned)],
    )


def _step_row(step: _PlannedStep, index: int) -> Step:
    agent = step.definition if isinstance(step.definition, AgentStep) else None
    gate = step.definition if isinstance(step.definition, ApprovalStep) else None
    return Step(
        order_index=index,
        type=step.definition.type,
        description=step.definition.description,
        agent_name=step.profile.name if step.profile else None,
        agent_snapshot=step.profile.model_dump() if step.profile else None,
        permissions=[rule.model_dump() for rule in agent.permissions] if agent else None,
        limits=agent.limits.model_dump(exclude_none=True) if agent and agent.limits else None,
        retry=agent.retry.model_dump(mode="json", exclude_none=True) if agent and agent.retry else None,
        remind_after_hours=gate.remind_after_hours if gate else None,
        model=step.model,
        model_origin=step.origin,
        resolved_model=step.resolved,
    )


def _warnings(state: GitState) -> list[str]:
    if not state.dirty_files:
        return []
    files = "1 file" if state.dirty_files == 1 else f"{state.dirty_files} files"
    return [f"The checkout has uncommitted changes in {files}; the run's diff will contain them too."]


def _record_creation(db: AsyncSession, run: Pipeline, actor: str) -> None:
    models = {
        str(step.order_index): {"model": step.model, "resolved": step.resolved_model, "origin": step.model_origin}
        for step in run.steps
        if step.type == "agent"
    }
    audit.record(
        db, "pipeline.created", actor=actor, pipeline_id=run.id,
        title=run.title, template=run.template, working_dir=run.working_dir, branch=run.branch, models=models,
    )  # fmt: skip

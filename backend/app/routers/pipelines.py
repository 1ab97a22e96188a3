"""Runs: create, list, read, decide."""

from typing import Annotated

from fastapi import APIRouter, Body, Header, Query

from app.routers.deps import ActorDep, Cursor, Limit, PipelineId, ServicesDep, StepId
from app.schemas.decisions import ApproveRequest, ChangesRequest, DecisionRequest, GateRequest, RestartRequest
from app.schemas.pipeline import (
    AttemptList,
    ConflictList,
    DiffResponse,
    PipelineCreateRequest,
    PipelinePage,
    PipelineResponse,
    PipelineStatus,
)
from app.schemas.text import StorableText

router = APIRouter(prefix="/pipelines", tags=["runs"])

Decision = Annotated[DecisionRequest | None, Body()]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="1 to 200 visible ASCII characters, a new one for each run that is wanted, such as a UUID.",
    ),
]
Filter = Annotated[StorableText | None, Query(max_length=300)]


@router.get("")
async def list_pipelines(
    services: ServicesDep,
    status: Annotated[list[PipelineStatus] | None, Query(max_length=7)] = None,
    template: Filter = None,
    q: Filter = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PipelinePage:
    """Runs, newest first. `status` may be repeated; `q` searches titles and prompts."""
    return await services.queries.page(status=status or [], template=template, text=q, limit=limit, cursor=cursor)


@router.post("", status_code=201)
async def create_pipeline(
    body: PipelineCreateRequest, services: ServicesDep, actor: ActorDep, idempotency_key: IdempotencyKey = None
) -> PipelineResponse:
    """Create a run and start it, or put it in line for its directory.

    The same request again with the same `Idempotency-Key` creates nothing and answers with the first one's run.
    """
    pipeline_id = await services.pipelines.create(body, actor, idempotency_key)
    return await services.queries.detail(pipeline_id)


@router.get("/conflicts")
async def list_conflicts(
    services: ServicesDep, working_dir: Annotated[StorableText, Query(max_length=4096)]
) -> ConflictList:
    """Active runs on a directory, by its real path."""
    return await services.queries.conflicts(services.working_dirs.resolve(working_dir))


@router.get("/{pipeline_id}")
async def get_pipeline(pipeline_id: PipelineId, services: ServicesDep) -> PipelineResponse:
    """One run with its steps, hand-offs and gates."""
    return await services.queries.detail(pipeline_id)


@router.get("/{pipeline_id}/diff")
async def get_diff(pipeline_id: PipelineId, services: ServicesDep) -> DiffResponse:
    """What changed in the run's directory since its base commit, untracked files included."""
    return await services.changes.of(pipeline_id)


@router.get("/{pipeline_id}/steps/{step_id}/attempts")
async def list_attempts(pipeline_id: PipelineId, step_id: StepId, services: ServicesDep) -> AttemptList:
    """All tries at a step with the exact prompt and, once ended, the transcript."""
    return await services.queries.attempts(pipeline_id, step_id)


@router.post("/{pipeline_id}/approve")
async def approve_pipeline(
    pipeline_id: PipelineId,
    services: ServicesDep,
    actor: ActorDep,
    body: Annotated[ApproveRequest | None, Body()] = None,
) -> PipelineResponse:
    """Approve the open gate; the comment goes into the next step's prompt."""
    given = body or ApproveRequest()
    if given.seen is not None:
        await services.changes.require_seen(pipeline_id, given.seen)
    await services.decisions.approve(
        pipeline_id, actor, given.comment, given.handoff, given.step_models, approval_id=given.approval_id
    )
    return await services.queries.detail(pipeline_id)


@router.post("/{pipeline_id}/request-changes")
async def request_changes(
    pipeline_id: PipelineId, services: ServicesDep, actor: ActorDep, body: ChangesRequest
) -> PipelineResponse:
    """Send the run back from its open gate to a step before it, with a comment."""
    await services.decisions.request_changes(pipeline_id, actor, body.comment, body.step, approval_id=body.approval_id)
    return await services.queries.detail(pipeline_id)


@router.post("/{pipeline_id}/reject")
async def reject_pipeline(
    pipeline_id: PipelineId,
    services: ServicesDep,
    actor: ActorDep,
    body: Annotated[GateRequest | None, Body()] = None,
) -> PipelineResponse:
    """Reject the open gate; the run fails with `rejected`."""
    given = body or GateRequest()
    await services.decisions.reject(pipeline_id, actor, given.comment, approval_id=given.approval_id)
    return await services.queries.detail(pipeline_id)


@router.post("/{pipeline_id}/duplicate", status_code=201)
async def duplicate_pipeline(
    pipeline_id: PipelineId, services: ServicesDep, actor: ActorDep, idempotency_key: IdempotencyKey = None
) -> PipelineResponse:
    """Create a new run from an old one: the same task, steps, agents and models."""
    new_id = await services.pipelines.duplicate(pipeline_id, actor, idempotency_key)
    return await services.queries.detail(new_id)


@router.post("/{pipeline_id}/abort")
async def abort_pipeline(
    pipeline_id: PipelineId, services: ServicesDep, actor: ActorDep, _body: Decision = None
) -> PipelineResponse:
    """End the run; answers when OpenCode is idle for it, or after 10 s."""
    await services.decisions.abort(pipeline_id, actor)
    return await services.queries.detail(pipeline_id)


@router.post("/{pipeline_id}/restart")
async def restart_pipeline(
    pipeline_id: PipelineId,
    services: ServicesDep,
    actor: ActorDep,
    body: Annotated[RestartRequest | None, Body()] = None,
) -> PipelineResponse:
    """Begin a new attempt of a failed or aborted run, at its first step that is not done unless told."""
    given = body or RestartRequest()
    await services.decisions.restart(pipeline_id, actor, given.step, given.step_models)
    return await services.queries.detail(pipeline_id)

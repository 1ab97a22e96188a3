"""What agents ask people: the requests of all runs, and the answer to one."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.routers.deps import ActorDep, Cursor, Limit, PipelineId, ServicesDep
from app.schemas.pipeline import PipelineResponse
from app.schemas.requests import AnswerRequest, RequestPage, RequestStatus

router = APIRouter(tags=["runs"])

RequestId = Annotated[int, Path(ge=1, lt=2**31)]
OfRun = Annotated[int | None, Query(ge=1, lt=2**31)]


@router.get("/requests")
async def list_requests(
    services: ServicesDep,
    status: RequestStatus | None = None,
    pipeline_id: OfRun = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> RequestPage:
    """Permissions and questions of agents, newest first."""
    return await services.requests.page(status=status, pipeline_id=pipeline_id, limit=limit, cursor=cursor)


@router.post("/pipelines/{pipeline_id}/requests/{request_id}/answer")
async def answer_request(
    pipeline_id: PipelineId, request_id: RequestId, services: ServicesDep, actor: ActorDep, body: AnswerRequest
) -> PipelineResponse:
    """Answer an open request; the first answer counts, a second one is refused with 409."""
    await services.requests.answer(pipeline_id, request_id, actor, body)
    return await services.queries.detail(pipeline_id)

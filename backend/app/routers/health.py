"""Health of the server and of OpenCode."""

from fastapi import APIRouter, Response

from app.routers.deps import ServicesDep
from app.schemas.runtime import RuntimeHealth
from app.schemas.system import HealthResponse, OpencodeHealthResponse, WorkerList

router = APIRouter(prefix="/health", tags=["health"])


@router.get("", responses={503: {"model": HealthResponse, "description": "No work can be taken; it says why."}})
async def get_health(services: ServicesDep, response: Response) -> HealthResponse:
    """200 when work can be taken, 503 with the reason otherwise; needs no login."""
    health = await services.health.check()
    response.status_code = 200 if health.status == "ok" else 503
    return health


@router.get("/opencode")
async def get_opencode_health(services: ServicesDep) -> OpencodeHealthResponse:
    """Version, address and providers of the OpenCode server."""
    return _response(await services.server.health())


@router.post("/opencode/start")
async def start_opencode(services: ServicesDep) -> OpencodeHealthResponse:
    """Start the managed server if it is not running; answers when it does, or after 30 s."""
    await services.server.start()
    await services.server.wait_ready(30)
    return _response(await services.server.health())


@router.get("/workers")
async def list_workers(services: ServicesDep) -> WorkerList:
    """The servers that share a PostgreSQL database, and whether they live."""
    return await services.workers.page()


def _response(health: RuntimeHealth) -> OpencodeHealthResponse:
    return OpencodeHealthResponse(**(health.model_dump() | {"providers": list(health.providers)}))

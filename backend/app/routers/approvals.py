"""Gates of all runs."""

from fastapi import APIRouter

from app.routers.deps import Cursor, Limit, ServicesDep
from app.schemas.pipeline import ApprovalPage, ApprovalStatus

router = APIRouter(prefix="/approvals", tags=["runs"])


@router.get("")
async def list_approvals(
    services: ServicesDep, status: ApprovalStatus | None = None, limit: Limit = 50, cursor: Cursor = None
) -> ApprovalPage:
    """Gates, newest first."""
    return await services.queries.approvals(status=status, limit=limit, cursor=cursor)

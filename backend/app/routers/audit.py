"""The audit log."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from app.routers.deps import Cursor, Limit, ServicesDep
from app.schemas.audit import AuditPage, AuditType

router = APIRouter(prefix="/audit", tags=["audit"])

Id = Annotated[int | None, Query(ge=1, lt=2**31)]


@router.get("")
async def list_audit_events(
    services: ServicesDep,
    pipeline_id: Id = None,
    step_id: Id = None,
    type: AuditType | None = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> AuditPage:
    """Events, newest first; `since` is included, `until` is not."""
    return await services.audit.page(
        pipeline_id=pipeline_id, step_id=step_id, event_type=type, since=since, until=until, limit=limit, cursor=cursor
    )

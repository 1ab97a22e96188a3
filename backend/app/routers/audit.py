"""The audit log: read, download, clean up."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from app.routers.deps import ActorDep, Cursor, Limit, ServicesDep
from app.schemas.audit import AUDIT_TYPES, AuditPage, AuditType, ExportFormat, RetentionRequest, RetentionResponse
from app.services.audit_export import ExportFilter

router = APIRouter(prefix="/audit", tags=["audit"])

Id = Annotated[int | None, Query(ge=1, lt=2**31)]


def _no_number(value: object) -> object:
    """Pydantic would read a number as seconds since 1970; the description says a date and a time."""
    if isinstance(value, str) and value.lstrip("+-").replace(".", "", 1).isdigit():
        raise ValueError("must be a date and a time with a zone, such as 2026-01-31T12:00:00Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("this moment lies outside the calendar in UTC") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_no_number), AfterValidator(_in_utc)]

_MEDIA = {"json": ("application/json", "json"), "markdown": ("text/markdown; charset=utf-8", "md")}


@router.get("")
async def list_audit_events(
    services: ServicesDep,
    pipeline_id: Id = None,
    step_id: Id = None,
    type: Annotated[list[AuditType] | None, Query(max_length=len(AUDIT_TYPES))] = None,
    since: Moment | None = None,
    until: Moment | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> AuditPage:
    """Events, newest first. `type` may be repeated; `since` is included, `until` is not."""
    return await services.audit.page(
        pipeline_id=pipeline_id, step_id=step_id, types=type or [], since=since, until=until, limit=limit, cursor=cursor
    )


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/json": {}, "text/markdown": {}}, "description": "The document."}},
)
async def export_audit_events(
    services: ServicesDep,
    pipeline_id: Id = None,
    since: Moment | None = None,
    until: Moment | None = None,
    format: ExportFormat = "json",
) -> StreamingResponse:
    """Download all events, or those of a run or a time, oldest first."""
    pieces = await services.audit_export.open(ExportFilter(pipeline_id, since, until), format)
    media_type, ending = _MEDIA[format]
    run = f"-run-{pipeline_id}" if pipeline_id is not None else ""
    name = f"paceline-audit{run}-{datetime.now(UTC):%Y%m%d-%H%M%S}.{ending}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, media_type=media_type, headers=headers)


@router.post("/retention")
async def apply_retention(body: RetentionRequest, services: ServicesDep, actor: ActorDep) -> RetentionResponse:
    """Delete old events of finished runs and of no run; `retention.applied` records it."""
    return await services.retention.apply(body.older_than_days, actor)

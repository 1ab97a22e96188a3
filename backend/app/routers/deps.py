"""What routes may ask for: the services, who calls, and the parameters that lists share."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request

from app.services.audit_export import AuditExport
from app.services.audit_log import AuditLog
from app.services.broker import Broker
from app.services.changes import RunChanges
from app.services.decisions import Decisions
from app.services.model_catalog import ModelCatalog
from app.services.pipelines import Pipelines
from app.services.ports import AgentRuntime, RuntimeServer, WorkingDirs
from app.services.registry import Registry
from app.services.requests import AgentRequests
from app.services.retention import Retention
from app.services.run_queries import RunQueries
from app.services.run_queue import RunQueue
from app.services.system_health import SystemHealth
from app.services.workers import WorkerQueries


@dataclass(frozen=True)
class Services:
    """Everything the routes call; built once in main.py."""

    pipelines: Pipelines
    decisions: Decisions
    queries: RunQueries
    changes: RunChanges
    registry: Registry
    catalog: ModelCatalog
    runtime: AgentRuntime
    server: RuntimeServer
    working_dirs: WorkingDirs
    audit: AuditLog
    audit_export: AuditExport
    retention: Retention
    broker: Broker
    requests: AgentRequests
    health: SystemHealth
    workers: WorkerQueries
    run_queue: RunQueue


def _services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


def _actor(request: Request) -> str:
    """Who is logged in, as the guard in front of the routes found out."""
    return cast(str, request.scope["paceline_actor"])


ServicesDep = Annotated[Services, Depends(_services)]
ActorDep = Annotated[str, Depends(_actor)]
PipelineId = Annotated[int, Path(ge=1, lt=2**31)]
StepId = Annotated[int, Path(ge=1, lt=2**31)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$")]
"""What a page named as `next_cursor`."""

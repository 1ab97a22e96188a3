"""Composition root: the only file that knows all parts and joins them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.adapters import data_dir
from app.adapters.database import Database
from app.adapters.database_errors import as_unavailable
from app.adapters.database_schema import upgrade_schema
from app.adapters.dbos_engine import DbosEngine
from app.adapters.git_repository import GitRepository
from app.adapters.opencode_runtime import open_runtime
from app.adapters.registry_files import RegistryFiles, fill_registry_folder
from app.adapters.server_lock import only_server
from app.adapters.storage_state import StorageState
from app.adapters.working_dirs import WorkingDirectories
from app.routers import approvals, audit, events, health, login, models, page, pipelines, registry, requests
from app.routers.deps import Services
from app.routers.guard import Login, RequestGuard
from app.routers.problems import add_handlers
from app.schemas.runtime import StepLimits
from app.services import audit as audit_records
from app.services.audit_export import AuditExport
from app.services.audit_log import AuditLog
from app.services.broker import Broker
from app.services.decisions import Decisions
from app.services.model_catalog import ModelCatalog
from app.services.outages import Outages
from app.services.pipeline_runner import PipelineRunner, RunnerSettings
from app.services.pipelines import Pipelines
from app.services.ports import AgentRuntime, Engine, RuntimeServer
from app.services.reconciler import Reconciler
from app.services.registry import Registry, RegistryChange
from app.services.releases import Releases
from app.services.requests import AgentRequests
from app.services.retention import Retention
from app.services.run_queries import RunQueries
from app.services.system_health import SystemHealth
from app.services.work import Work
from app.settings import Settings

log = logging.getLogger("paceline")

ROUTERS = (pipelines, approvals, requests, audit, events, registry, models, health, login, page)


@dataclass(frozen=True)
class Joined:
    """All services of one server, and the work that its queue does."""

    services: Services
    work: Work
    reconciler: Reconciler
    registry: Registry
    broker: Broker


def create_app(settings: Settings, *, poll_seconds: float = 0.25) -> FastAPI:
    """The whole server; it starts and stops with the app's lifespan. Makes the data directory and the token."""
    data_dir.prepare(settings.data_dir)
    secret = settings.token.get_secret_value() if settings.token else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.services = await _start(settings, stack, poll_seconds)
            yield

    app = FastAPI(
        title="Paceline",
        description="Runs pipelines of OpenCode agents, each step with its own model.",
        version=version("paceline"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )
    app.state.login = Login(data_dir.token(settings.data_dir, secret))
    app.add_middleware(RequestGuard, login=app.state.login, allowed_hosts=settings.allowed_hosts)
    add_handlers(app, as_unavailable)
    for part in ROUTERS:
        app.include_router(part.router)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def join(
    settings: Settings,
    database: Database,
    engine: Engine,
    client: AgentRuntime,
    server: RuntimeServer,
    broker: Broker,
    requests: AgentRequests | None = None,
) -> Joined:
    """Give every service what it needs. Starts nothing. `requests`: the desk that `client` has, if it has one."""
    sessions, reads = database.sessions, database.reads
    catalog = ModelCatalog(client)
    folders = WorkingDirectories(settings.fs_roots, settings.data_dir)
    # A workspace of ours is no part of a repository that happens to lie around the data directory.
    git = GitRepository([folders.workspaces])
    files = Registry(RegistryFiles(settings.resolved_config_dir), _recorder(database))
    storage = StorageState(database)
    outages = Outages(storage.is_outage)
    runner = PipelineRunner(sessions, reads, client, engine, git, _runner_settings(settings), catalog, server, outages)
    releases = Releases(sessions, reads, client, engine, runner.active)
    work = Work(runner, releases, outages)
    queries = RunQueries(reads, server, settings.max_cost_usd)
    services = Services(
        pipelines=Pipelines(sessions, files, catalog, git, folders, engine),
        decisions=Decisions(sessions, reads, engine, releases, catalog),
        queries=queries,
        registry=files,
        catalog=catalog,
        runtime=client,
        server=server,
        git=git,
        working_dirs=folders,
        audit=AuditLog(reads),
        audit_export=AuditExport(reads),
        retention=Retention(sessions),
        broker=broker,
        requests=requests or AgentRequests(sessions, reads, settings.request_deadline_seconds),
        health=SystemHealth(queries, files, server, storage),
    )
    return Joined(services, work, Reconciler(sessions, reads, engine, work), files, broker)


def _runner_settings(settings: Settings) -> RunnerSettings:
    limits = StepLimits(
        wall_clock=settings.step_timeout_seconds,
        silence=settings.step_silence_seconds,
        model_calls=settings.max_model_calls,
        retry_total=settings.retry_total_seconds,
    )
    worker = data_dir.worker_id(settings.data_dir, settings.worker_id)
    return RunnerSettings(worker_id=worker, limits=limits, max_cost_usd=settings.max_cost_usd)


def _recorder(database: Database) -> Any:
    async def record(change: RegistryChange) -> None:
        async with database.sessions.begin() as db:
            audit_records.record(db, change.type, **change.payload())

    return record


async def _start(settings: Settings, stack: AsyncExitStack, poll_seconds: float) -> Services:
    """Rows, then OpenCode, then the queue: recovery begins with the queue and needs all before it."""
    url = settings.resolved_database_url
    await upgrade_schema(url)
    database = Database(url)
    stack.push_async_callback(database.dispose)
    await stack.enter_async_context(only_server(database))
    broker = Broker(AuditLog(database.reads))
    database.on_commit = broker.wake
    requests = AgentRequests(database.sessions, database.reads, settings.request_deadline_seconds)
    runtime = open_runtime(settings, broker.publish, requests)
    stack.push_async_callback(runtime.close)
    await runtime.server.start()
    worker = data_dir.worker_id(settings.data_dir, settings.worker_id)
    engine = DbosEngine(database, worker, settings.max_active_steps, poll_seconds)
    fill_registry_folder(settings.resolved_config_dir)
    joined = join(settings, database, engine, runtime.client, runtime.server, broker, requests)
    await joined.registry.reload_if_changed()
    await broker.begin()
    await engine.start(joined.work)
    stack.push_async_callback(engine.stop)
    for name, task in (("events", broker.run()), ("registry", joined.registry.watch())):
        stack.push_async_callback(_cancel, _spawn(task, name))
    stack.push_async_callback(_cancel, _spawn(joined.reconciler.run(), "reconciler"))
    stack.callback(broker.close)
    return joined.services


def _spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("the task %s ended", task.get_name(), exc_info=task.exception())


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

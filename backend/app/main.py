"""Composition root: the only file that knows all parts and joins them."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.adapters import data_dir
from app.adapters.database import IDLE_TRANSACTION_SECONDS, Database
from app.adapters.database_errors import as_unavailable
from app.adapters.database_schema import upgrade_schema
from app.adapters.dbos_engine import DbosEngine
from app.adapters.git_repository import GitRepository
from app.adapters.opencode_address import shared_address
from app.adapters.opencode_runtime import open_runtime
from app.adapters.registry_files import RegistryFiles, fill_registry_folder
from app.adapters.server_lock import server_lock
from app.adapters.storage_state import StorageState
from app.adapters.task_end import cancel
from app.adapters.work_places import WorkPlaces
from app.adapters.working_dirs import WorkingDirectories
from app.routers import approvals, audit, events, health, login, models, page, pipelines, queue, registry, requests
from app.routers.deps import Services
from app.routers.description import describe_truthfully
from app.routers.guard import COOKIE, Login, RequestGuard
from app.routers.problems import add_handlers
from app.schemas.runtime import StepLimits
from app.schemas.step_policy import LONGEST_PAUSE, RetryPolicy
from app.services import audit as audit_records
from app.services.audit_export import AuditExport
from app.services.audit_log import AuditLog
from app.services.broker import Broker
from app.services.changes import RunChanges
from app.services.decisions import Decisions
from app.services.model_catalog import ModelCatalog
from app.services.outages import Outages
from app.services.pipeline_runner import PipelineRunner, RunnerSettings
from app.services.pipelines import Pipelines
from app.services.ports import AgentRuntime, Colleagues, Engine, RuntimeServer
from app.services.reconciler import REMIND_SECONDS, Reconciler
from app.services.registry import Registry, RegistryChange
from app.services.releases import Releases
from app.services.requests import AgentRequests
from app.services.retention import Retention
from app.services.run_queries import RunQueries
from app.services.run_queue import RunQueue
from app.services.system_health import SystemHealth
from app.services.work import Work
from app.services.workers import BEATS_IN_A_LEASE, Identity, OnlyWorker, WorkerQueries, Workers
from app.settings import Settings

log = logging.getLogger("paceline")

BACKGROUND_SECONDS = 0.5
"""How long the end waits for background tasks: they end at once, unless the database hangs, and OpenCode is ended
after them."""

ROUTERS = (pipelines, queue, approvals, requests, audit, events, registry, models, health, login, page)


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
    describe_truthfully(app, COOKIE)
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
    workers: Colleagues | None = None,
) -> Joined:
    """Give every service what it needs. Starts nothing. `requests`: the desk that `client` has, if it has one."""
    sessions, reads, workers = database.sessions, database.reads, workers or OnlyWorker()
    catalog, storage = ModelCatalog(client), StorageState(database)
    folders = WorkingDirectories(settings.fs_roots, settings.data_dir)
    # A workspace of ours is no part of a repository that happens to lie around the data directory.
    git = GitRepository([folders.workspaces])
    files = Registry(RegistryFiles(settings.resolved_config_dir), _recorder(database))
    work = _work(settings, database, engine, client, git, catalog, server, storage, workers)
    queries = _run_queries(settings, database, server)
    services = Services(
        pipelines=Pipelines(sessions, files, catalog, git, folders, engine),
        decisions=Decisions(sessions, reads, engine, work.releases, catalog),
        queries=queries,
        changes=RunChanges(queries, git),
        registry=files,
        catalog=catalog,
        runtime=client,
        server=server,
        working_dirs=folders,
        audit=AuditLog(reads),
        audit_export=AuditExport(reads),
        retention=Retention(sessions),
        broker=broker,
        requests=requests or AgentRequests(sessions, reads, settings.request_deadline_seconds),
        health=SystemHealth(queries, files, server, storage),
        workers=WorkerQueries(reads, workers.me),
        run_queue=RunQueue(sessions, reads, engine, settings.max_active_steps),
    )
    pause = min(REMIND_SECONDS, settings.worker_lease_seconds / BEATS_IN_A_LEASE)
    return Joined(services, work, Reconciler(sessions, reads, engine, work, workers, pause), files, broker)


def _work(
    settings: Settings,
    database: Database,
    engine: Engine,
    client: AgentRuntime,
    git: GitRepository,
    catalog: ModelCatalog,
    server: RuntimeServer,
    storage: StorageState,
    workers: Colleagues,
) -> Work:
    sessions, reads, given = database.sessions, database.reads, _runner_settings(settings)
    outages = Outages(storage.is_outage)
    runner = PipelineRunner(sessions, reads, client, engine, git, given, catalog, server, outages, workers)
    return Work(runner, Releases(sessions, reads, client, engine, runner.active, workers), outages)


def _run_queries(settings: Settings, database: Database, server: RuntimeServer) -> RunQueries:
    shown = settings.max_cost_usd, _retry_policy(settings), settings.max_active_steps
    return RunQueries(database.reads, server, *shown)


def _runner_settings(settings: Settings) -> RunnerSettings:
    limits = StepLimits(
        wall_clock=settings.step_timeout_seconds,
        silence=settings.step_silence_seconds,
        model_calls=settings.max_model_calls,
        retry_total=settings.retry_total_seconds,
    )
    worker = data_dir.worker_id(settings.data_dir, settings.worker_id)
    retry = _retry_policy(settings)
    return RunnerSettings(worker_id=worker, limits=limits, retry=retry, max_cost_usd=settings.max_cost_usd)


def _retry_policy(settings: Settings) -> RetryPolicy:
    pause = settings.step_backoff_seconds
    return RetryPolicy(attempts=settings.step_attempts, backoff=pause, longest_pause=max(pause, LONGEST_PAUSE))


def _recorder(database: Database) -> Any:
    async def record(change: RegistryChange) -> None:
        async with database.sessions.begin() as db:
            audit_records.record(db, change.type, **change.payload())

    return record


async def _start(settings: Settings, stack: AsyncExitStack, poll_seconds: float) -> Services:
    """Rows, then OpenCode, then the queue: recovery begins with the queue and needs all before it."""
    url = settings.resolved_database_url
    await upgrade_schema(url)
    # When others take the work of a stopped server over, it holds no row any more.
    database = Database(url, idle_transaction_seconds=min(settings.worker_lease_seconds, IDLE_TRANSACTION_SECONDS))
    stack.push_async_callback(database.dispose)
    worker = data_dir.worker_id(settings.data_dir, settings.worker_id)
    workers = await _join_workers(settings, stack, database, worker)
    broker = Broker(AuditLog(database.reads))
    database.on_commit = broker.wake
    places = WorkPlaces(settings.max_active_steps)
    requests = AgentRequests(database.sessions, database.reads, settings.request_deadline_seconds, places)
    runtime = open_runtime(settings, broker.publish, requests)
    stack.push_async_callback(runtime.close)
    await runtime.server.start()
    engine = DbosEngine(database, worker, places, poll_seconds)
    fill_registry_folder(settings.resolved_config_dir)
    joined = join(settings, database, engine, runtime.client, runtime.server, broker, requests, workers)
    await joined.registry.reload_if_changed()
    await broker.begin()
    await engine.start(joined.work)
    stack.push_async_callback(engine.stop)
    tasks = {"events": broker.run(), "registry": joined.registry.watch(), "reconciler": joined.reconciler.run()}
    spawned = [_spawn(task, name) for name, task in tasks.items()]
    stack.push_async_callback(cancel, *spawned, seconds=BACKGROUND_SECONDS)
    stack.callback(broker.close)
    return joined.services


async def _join_workers(settings: Settings, stack: AsyncExitStack, database: Database, worker: str) -> Colleagues:
    """Take the place of this server on its database; it is left last of all, when nothing is at work any more."""
    url = settings.opencode_url
    lock = await stack.enter_async_context(server_lock(database, worker, shared=url is not None))
    if lock is None:
        return OnlyWorker()
    host = socket.gethostname()
    opencode = None if url is None else shared_address(url, host)
    identity = Identity(worker, host, os.getpid(), opencode, settings.worker_lease_seconds)
    workers = Workers(database.sessions, database.reads, identity, lock)
    await workers.join()
    stack.push_async_callback(workers.leave)
    stack.push_async_callback(cancel, _spawn(workers.run(), "workers"), seconds=BACKGROUND_SECONDS)
    return workers


def _spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("the task %s ended", task.get_name(), exc_info=task.exception())

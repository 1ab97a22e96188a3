"""Says whether work can be taken, and what stands in the way."""

import time
from importlib.metadata import version
from typing import Literal

from app.errors import PacelineError
from app.schemas.system import HealthResponse
from app.services.ports import RuntimeServer, Storage
from app.services.registry import Registry
from app.services.run_queries import RunQueries

_START_GRACE_SECONDS = 60.0


class SystemHealth:
    """Not ready until OpenCode answered once or 60 s have passed; later outages of it stay `ok`."""

    def __init__(self, queries: RunQueries, registry: Registry, server: RuntimeServer, storage: Storage) -> None:
        """The clock starts now."""
        self._storage = storage
        self._queries = queries
        self._registry = registry
        self._server = server
        self._started = time.monotonic()
        self._was_ready = False

    async def check(self) -> HealthResponse:
        """Ask database, registry and OpenCode; never raises."""
        opencode = await self._server.health()
        self._was_ready = self._was_ready or opencode.state == "ready"
        starting = not self._was_ready and time.monotonic() - self._started < _START_GRACE_SECONDS
        queued, active, paused, database_problem = await self._database()
        reason = database_problem or (opencode.detail if opencode.state != "ready" else None)
        status: Literal["ok", "starting", "unavailable"] = "starting" if starting else "ok"
        if database_problem:
            status = "unavailable"
        return HealthResponse(
            status=status,
            version=version("paceline"),
            opencode=opencode.state,
            database="unavailable" if database_problem else "ok",
            reason=reason or ("OpenCode is starting." if starting else None),
            registry=self._registry_state(),
            queued=queued,
            active=active,
            paused=paused,
        )

    async def _database(self) -> tuple[int, int, bool, str | None]:
        """Queued and active runs, whether the queue is paused, and what keeps the database from reading or storing."""
        try:
            queued, active, paused = await self._queries.load()
        except Exception as error:
            known = error if isinstance(error, PacelineError) else self._storage.explain(error)
            return 0, 0, False, known.detail if known else "The database does not answer."
        problem = self._storage.problem()
        return queued, active, paused, problem.detail if problem else None

    def _registry_state(self) -> Literal["ok", "broken", "unavailable"]:
        status = self._registry.status
        if status.loaded_at is None:
            return "unavailable"
        return "broken" if status.problems else "ok"

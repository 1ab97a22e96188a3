"""Says whether work can be taken, and what stands in the way."""

import time
from importlib.metadata import version
from typing import Literal

from app.errors import PacelineError
from app.schemas.system import HealthResponse
from app.services.ports import RuntimeServer
from app.services.registry import Registry
from app.services.run_queries import RunQueries

_START_GRACE_SECONDS = 60.0


class SystemHealth:
    """Not ready until OpenCode answered once or 60 s have passed; later outages of it stay `ok`."""

    def __init__(self, queries: RunQueries, registry: Registry, server: RuntimeServer) -> None:
        """The clock starts now."""
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
        try:
            queued, active = await self._queries.load()
            database_problem = None
        except Exception as error:
            queued = active = 0
            database_problem = error.detail if isinstance(error, PacelineError) else "The database does not answer."
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
        )

    def _registry_state(self) -> Literal["ok", "broken", "unavailable"]:
        status = self._registry.status
        if status.loaded_at is None:
            return "unavailable"
        return "broken" if status.problems else "ok"

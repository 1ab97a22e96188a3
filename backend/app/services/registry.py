"""The registry in use: the last good reading of the files, kept whatever happens to them afterwards."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from app.errors import RegistryUnavailable
from app.schemas.registry import AgentProfile, PipelineTemplate, RegistryConfig
from app.schemas.registry_errors import RegistryProblem, RegistryReading, RegistrySources, RegistryStatus

log = logging.getLogger("paceline.registry")

SETTLE_SECONDS = 0.03
SETTLE_TRIES = 10
SHOWN_PROBLEMS = 10


class RegistrySource(Protocol):
    """Where the files are. Implemented by `RegistryFiles`."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The files, for messages."""
        ...

    def read(self) -> RegistrySources:
        """The files as they are now; cheap, never raises."""
        ...

    def parse(self, sources: RegistrySources) -> RegistryReading:
        """What they mean; never raises, may take long."""
        ...

    def changes(self) -> AsyncGenerator[None, None]:
        """Yields when the files may have changed; never ends."""
        ...


@dataclass(frozen=True)
class RegistryChange:
    """The files became another registry, or stopped being one; reported once."""

    type: Literal["registry.reloaded", "registry.rejected"]
    agents: int
    pipelines: int
    problems: tuple[RegistryProblem, ...] = ()

    def payload(self) -> dict[str, Any]:
        """For the audit event: counts of the registry in use, and the first problems."""
        shown = [str(problem)[:300] for problem in self.problems[:SHOWN_PROBLEMS]]
        more = {"problems": shown, "problem_count": len(self.problems)} if shown else {}
        return {"agents": self.agents, "pipelines": self.pipelines, **more}


ChangeCallback = Callable[[RegistryChange], Awaitable[None]]


class Registry:
    """Holds the last good registry. One instance per process; safe to use from many tasks."""

    def __init__(self, source: RegistrySource, on_change: ChangeCallback | None = None) -> None:
        """`on_change` hears of every later change and of a broken first reading; it may raise, and is asked again."""
        self._source = source
        self._on_change = on_change
        self._config: RegistryConfig | None = None
        self._seen: str | None = None
        self._problems: tuple[RegistryProblem, ...] = ()
        self._loaded_at: datetime | None = None
        self._checked_at: datetime | None = None
        self._unreported: deque[RegistryChange] = deque(maxlen=100)
        self._lock = asyncio.Lock()

    @property
    def config(self) -> RegistryConfig:
        """The registry in use, without a look at the disk; RegistryUnavailable when none was ever good."""
        if self._config is None:
            why = str(self._problems[0]) if self._problems else "the files have not been read yet"
            raise RegistryUnavailable(f"No registry could be loaded: {why}. Fix the file; it is read again at once.")
        return self._config

    @property
    def status(self) -> RegistryStatus:
        """What is in use and what is wrong with the files."""
        return RegistryStatus(
            loaded_at=self._loaded_at,
            checked_at=self._checked_at,
            agents=len(self._config.agents) if self._config else 0,
            pipelines=len(self._config.pipelines) if self._config else 0,
            problems=list(self._problems),
            sources=list(self._source.paths),
        )

    async def current(self) -> RegistryConfig:
        """The registry of this moment: call it at each creation of a run and each read through the API."""
        await self.reload_if_changed()
        return self.config

    def get_agent(self, name: str) -> AgentProfile:
        """An agent of the registry in use; UnknownAgent with the nearest names."""
        return self.config.get_agent(name)

    def get_template(self, name: str) -> PipelineTemplate:
        """A template of the registry in use; UnknownTemplate with the nearest names."""
        return self.config.get_template(name)

    async def reload_if_changed(self) -> None:
        """Look at the files and take them over if they changed and are good. Never raises for what is in them."""
        async with self._lock:
            sources = await asyncio.to_thread(self._source.read)
            if sources.fingerprint != self._seen:
                sources = await self._settled(sources)
            if sources.fingerprint != self._seen:
                self._take(await asyncio.to_thread(self._source.parse, sources))
                self._seen = sources.fingerprint
            self._checked_at = datetime.now(UTC)
            await self._report()

    async def watch(self) -> None:
        """Follow the files until cancelled."""
        async with aclosing(self._source.changes()) as changes:
            async for _ in changes:
                try:
                    await self.reload_if_changed()
                except Exception:
                    # A defect of ours; the next change deserves another look all the same.
                    log.exception("the registry could not be looked at")

    async def _settled(self, sources: RegistrySources) -> RegistrySources:
        """Wait until two looks agree: an editor that writes in place shows half a file for a moment."""
        for _ in range(SETTLE_TRIES):
            await asyncio.sleep(SETTLE_SECONDS)
            again = await asyncio.to_thread(self._source.read)
            if again.fingerprint == sources.fingerprint:
                break
            sources = again
        return sources

    def _take(self, reading: RegistryReading) -> None:
        first = self._seen is None
        self._problems = reading.problems
        if reading.config is not None:
            self._config = reading.config
            self._loaded_at = datetime.now(UTC)
        if first and reading.config is not None:
            return
        agents = len(self._config.agents) if self._config else 0
        pipelines = len(self._config.pipelines) if self._config else 0
        kind: Literal["registry.reloaded", "registry.rejected"] = (
            "registry.reloaded" if reading.config is not None else "registry.rejected"
        )
        change = RegistryChange(kind, agents, pipelines, reading.problems)
        log.info("%s: %s", change.type, "; ".join(map(str, change.problems[:SHOWN_PROBLEMS])) or "registry in use")
        self._unreported.append(change)

    async def _report(self) -> None:
        """Hand over what has not been heard yet; what fails is kept for the next look."""
        while self._unreported:
            if self._on_change is not None:
                try:
                    await self._on_change(self._unreported[0])
                except Exception:
                    log.exception("a registry change could not be recorded, it will be tried again")
                    return
            self._unreported.popleft()

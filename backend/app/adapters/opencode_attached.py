"""Somebody else's OpenCode at an address, and what every kind of server of ours can tell about itself."""

import asyncio
import logging
from contextlib import suppress
from typing import Literal

from app.adapters.opencode_binary import TESTED_VERSION
from app.adapters.opencode_http import Endpoint, FixedEndpoint, OpencodeHttp, ServerGone, probe
from app.adapters.task_end import cancel
from app.errors import OpencodeUnavailable
from app.schemas.runtime import RuntimeHealth

_log = logging.getLogger(__name__)
State = Literal["starting", "ready", "down", "stopped"]


class ServerStatus:
    """State, address and a sentence; what both kinds of server share."""

    def __init__(self, *, managed: bool) -> None:
        self._managed = managed
        self._state: State = "stopped"
        self._detail: str | None = "OpenCode was not started yet."
        self._version: str | None = None
        self._generation: Literal["v1", "v2"] | None = None
        self._endpoint: Endpoint | None = None
        self._ready = asyncio.Event()
        self._providers: tuple[str, ...] = ()

    def endpoint(self) -> Endpoint:
        """Where it listens. Raises `ServerGone` while it does not."""
        if self._endpoint is None:
            raise ServerGone(self._detail or "OpenCode is not running.")
        return self._endpoint

    async def wait_ready(self, seconds: float) -> bool:
        """True as soon as it answers, False when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        return self._ready.is_set()

    def trouble(self) -> str | None:
        """Why it cannot be used, as last seen; None while it answers."""
        return None if self._ready.is_set() else self._detail or "OpenCode does not answer."

    async def health(self) -> RuntimeHealth:
        """Ask it now, for a few seconds at most; never raises."""
        state, detail = self._state, self._detail
        if self._endpoint is not None:
            try:
                await _first_generation(self._endpoint)
                await self._ask_providers(4)
            except OpencodeUnavailable as error:
                state, detail = "down", error.detail
                self._generation = "v2" if isinstance(error, NewerGeneration) else self._generation
        return RuntimeHealth(
            state=state,
            version=self._version,
            generation=self._generation,
            url=self._endpoint.url if self._endpoint else None,
            managed=self._managed,
            pid=self._pid(),
            providers=self._providers,
            detail=detail,
        )

    async def _ask_providers(self, seconds: float) -> None:
        """Refresh the list of providers; the first question makes OpenCode load a lot and takes its time."""
        with suppress(OpencodeUnavailable):
            if self._endpoint is not None:
                self._providers = await _providers(self._endpoint, seconds)

    def _pid(self) -> int | None:
        return None

    async def _check(self, endpoint: Endpoint, patience: float = 5) -> None:
        """Make an address that answers the current one."""
        version = await _first_generation(endpoint, patience)
        self._generation, self._version = "v1", version
        self._endpoint = endpoint
        self._set("ready", self._note(version))
        self._ready.set()

    def _note(self, version: str | None) -> str | None:
        if version == TESTED_VERSION:
            return None
        return f"OpenCode {version or 'of unknown version'} runs; Paceline was tested with {TESTED_VERSION}."

    def _set(self, state: State, detail: str | None) -> None:
        self._state, self._detail = state, detail
        if state != "ready":
            self._ready.clear()


class AttachedServer(ServerStatus):
    """Somebody else's OpenCode, at an address: asked, never started or ended."""

    def __init__(
        self, url: str, password: str | None = None, check_seconds: float = 5, patience: float = 10
    ) -> None:
        """`patience`: a server that is dead refuses at once, one that is busy may take some seconds to answer."""
        super().__init__(managed=False)
        self._patience = patience
        self._asking: asyncio.Task[None] | None = None
        self._at = Endpoint(url.rstrip("/"), password)
        self._check_seconds = check_seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look whether it answers."""
        if self._task is None or self._task.done():
            self._set("starting", f"Waiting for OpenCode at {self._at.url}.")
            self._endpoint = self._at
            self._task = asyncio.create_task(self._watch(), name="opencode-attached")

    async def stop(self, *, keep_running: bool = False) -> None:
        """Stop looking; the server is not ours."""
        del keep_running
        await cancel(self._task)
        await cancel(self._asking)
        self._task = None
        self._endpoint = None
        self._set("stopped", "Not attached to OpenCode.")

    async def _watch(self) -> None:
        while True:
            try:
                was_ready = self._ready.is_set()
                await self._check(self._at, self._patience)
                if not was_ready:
                    # Beside the watch: the first question takes long, and OpenCode may hang in it.
                    await cancel(self._asking)
                    self._asking = asyncio.create_task(self._ask_providers(30))
            except OpencodeUnavailable as error:
                self._set("down", error.detail)
            except Exception as error:
                # A defect of ours must not leave every run waiting for a watch that is gone.
                _log.exception("OpenCode could not be watched")
                self._set("down", f"OpenCode could not be watched ({error!r}); it is asked again.")
            await asyncio.sleep(self._check_seconds if self._ready.is_set() else 0.5)


async def _first_generation(endpoint: Endpoint, patience: float = 5) -> str | None:
    """The version of a V1 server. Raises `OpencodeUnavailable`, with a sentence of its own for a newer one."""
    generation, version = await probe(endpoint, patience)
    if generation == "v2":
        raise NewerGeneration(
            f"The OpenCode at {endpoint.url} is of the newer generation (V2); Paceline works with 1.x "
            f"(tested with {TESTED_VERSION})."
        )
    return version


class NewerGeneration(OpencodeUnavailable):
    """A server that answers, and that we cannot talk to."""


async def _providers(endpoint: Endpoint, seconds: float) -> tuple[str, ...]:
    http = OpencodeHttp(FixedEndpoint(endpoint), timeout=seconds)
    try:
        answer = await http.get("/config/providers")
    finally:
        await http.aclose()
    listed = answer.get("providers") if isinstance(answer, dict) else None
    return tuple(str(one.get("id")) for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()

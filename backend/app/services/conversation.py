"""One prompt with the agent runtime: patient while OpenCode is away, stopped for sure when it must end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from app.errors import Interrupted, OpencodeUnavailable
from app.schemas.runtime import MessageResponse, SessionBinding
from app.services.ports import AgentRuntime, RuntimeServer

log = logging.getLogger("paceline.runner")

T = TypeVar("T")

RESEND_LIMIT = 5
SERVER_WAIT_SECONDS = 900.0
INTERRUPTED_NOTE = "OpenCode went away while this step ran and was asked again: tools may have run twice."


@dataclass
class Said:
    """What came back, and whether the prompt had to be sent again on the way."""

    response: MessageResponse
    note: str | None = None


class Conversation:
    """Wraps the runtime for one step at a time; holds no state of its own."""

    def __init__(self, client: AgentRuntime, server: RuntimeServer | None = None) -> None:
        """Without a `server` nothing is waited for: the first outage is raised."""
        self._client = client
        self._server = server

    async def wait_for_server(self) -> None:
        """Return when OpenCode answers. Waits without a limit: a queued run is better than a failed one."""
        if self._server is None:
            return
        while not await self._server.wait_ready(30):
            log.warning("waiting for OpenCode: %s", (await self._server.health()).detail)

    async def open(self, binding: SessionBinding) -> str:
        """Create the session, again if OpenCode goes away meanwhile."""
        session_id, _ = await self._patiently(lambda: self._client.create_session(binding))
        return session_id

    async def send(self, session_id: str, prompt: str, agent: str, model: str | None) -> Said:
        """Send and wait for the end of the turn.

        Raises what `AgentRuntime.send_message` raises; `Interrupted` when OpenCode went away too
        often. The same message id goes out each time, so a finished answer is adopted.
        """
        response, outages = await self._patiently(
            lambda: self._client.send_message(session_id, prompt=prompt, agent=agent, model=model)
        )
        return Said(response, INTERRUPTED_NOTE if outages else None)

    async def stop(self, session_id: str, directory: str) -> tuple[MessageResponse | None, bool]:
        """End the turn and read what it left (None when that fails); True when the session is proven idle."""
        idle = False
        try:
            idle = await self._client.stop_session(session_id, directory)
            if not idle:
                log.error("session %s did not become idle", session_id)
            return await self._client.read_turn(session_id), idle
        except OpencodeUnavailable as error:
            log.warning("session %s could not be stopped or read: %s", session_id, error.detail)
            return None, idle

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> tuple[T, int]:
        said = ""
        for outages in range(RESEND_LIMIT):
            try:
                return await call(), outages
            except OpencodeUnavailable as error:
                said = error.detail
                log.warning("OpenCode went away: %s", error.detail)
                if self._server is None or not await self._server.wait_ready(SERVER_WAIT_SECONDS):
                    raise Interrupted(f"OpenCode went away and did not come back: {error.detail}") from error
                await asyncio.sleep(min(2.0**outages * 0.1, 5.0))
        raise Interrupted(f"OpenCode failed {RESEND_LIMIT} times in this step, at last with: {said}")

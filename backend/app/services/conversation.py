"""One prompt with the agent runtime: patient while OpenCode is away, stopped for sure when it must end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from app.errors import Interrupted, OpencodeRefusal, OpencodeUnavailable, TimedOut
from app.schemas.runtime import MessageResponse, SessionBinding
from app.services.attempts import INTERRUPTED_NOTE
from app.services.ports import AgentRuntime, RuntimeServer

log = logging.getLogger("paceline.runner")

RESEND_LIMIT = 5
"""Outages in one step: a prompt that brings OpenCode down each time must not do so for ever."""
LOOK_SECONDS = 5.0
"""How often a step that waits for OpenCode looks whether it still has time and the run is still its own."""


Permit = Callable[[], Awaitable[None]]
"""Raises when the run is no longer ours to wait for."""


@dataclass
class Said:
    """What came back, and whether the prompt had to be sent again on the way."""

    response: MessageResponse
    note: str | None = None


class Outage(Protocol):
    """Who is told that a step waits for OpenCode. Every call may raise `StaleEpoch`: the run is no longer ours."""

    async def begin(self, why: str) -> None:
        """OpenCode went away in the middle of the step."""
        ...

    async def permit(self) -> None:
        """Whether the prompt may go out, or OpenCode still be waited for; asked before each of both."""
        ...

    async def end(self) -> None:
        """It is back, and the prompt goes out again when this returns."""
        ...


class Conversation:
    """Wraps the runtime for one step at a time; holds no state of its own."""

    def __init__(self, client: AgentRuntime, server: RuntimeServer | None = None) -> None:
        """Without a `server` nothing is waited for: the first outage is raised."""
        self._client = client
        self._server = server

    async def wait_for_server(self, permit: Permit) -> None:
        """Return when OpenCode answers. Waits without a limit: a queued run is better than a failed one.

        `permit` is asked before and all the while; what it raises ends the wait.
        """
        if self._server is None:
            return
        await permit()
        said: str | None = None
        while not await self._answers(LOOK_SECONDS):
            if (why := self._server.trouble()) != said:
                log.warning("waiting for OpenCode: %s", why)
            said = why
            await permit()

    async def _answers(self, seconds: float) -> bool:
        """Whether it answers within that time: asked anew, as one that has just died counts as ready for a while."""
        assert self._server is not None
        if not await self._server.wait_ready(seconds):
            return False
        if (await self._server.health()).state == "ready":
            return True
        await asyncio.sleep(0.5)
        return False

    async def open(self, binding: SessionBinding, permit: Permit) -> str:
        """Create the session, as late as OpenCode makes it: nothing was sent yet that could run out of time."""
        for _ in range(RESEND_LIMIT):
            try:
                return await self._client.create_session(binding)
            except OpencodeUnavailable as error:
                said = self._outage(error)
                await self.wait_for_server(permit)
                await asyncio.sleep(0.5)
        raise Interrupted(f"OpenCode failed {RESEND_LIMIT} times to create a session, at last with: {said}")

    async def send(self, session_id: str, prompt: str, agent: str, model: str | None, outage: Outage) -> Said:
        """Send and wait for the end of the turn, through outages for as long as the step's wall clock allows.

        Raises what `AgentRuntime.send_message` raises; `TimedOut` when OpenCode stayed away,
        `Interrupted` when it went away too often. The same message id goes out each time, so a
        finished answer is adopted.
        """
        for times in range(RESEND_LIMIT):
            await outage.permit()
            try:
                response = await self._client.send_message(session_id, prompt=prompt, agent=agent, model=model)
            except OpencodeUnavailable as error:
                said = self._outage(error)
                await outage.begin(said)
                await self._until_back(session_id, outage)
                await asyncio.sleep(min(2.0**times * 0.1, 5.0))
                await outage.end()
            else:
                return Said(response, INTERRUPTED_NOTE if times or response.resent else None)
        raise Interrupted(f"OpenCode failed {RESEND_LIMIT} times in this step, at last with: {said}")

    async def stop(self, session_id: str, directory: str) -> tuple[MessageResponse | None, bool]:
        """End the turn and read what it left (None when that fails); True when the session is proven idle."""
        idle = False
        try:
            idle = await self._client.stop_session(session_id, directory)
            if not idle:
                log.error("session %s did not become idle", session_id)
            return await self._client.read_turn(session_id), idle
        except (OpencodeUnavailable, OpencodeRefusal) as error:
            log.warning("session %s could not be stopped or read: %s", session_id, error.detail)
            return None, idle

    def _outage(self, error: OpencodeUnavailable) -> str:
        """The reason to wait. Without a server that may come back there is nothing to wait for."""
        log.warning("OpenCode went away: %s", error.detail)
        if self._server is None:
            raise Interrupted(f"OpenCode went away: {error.detail}") from error
        return error.detail

    async def _until_back(self, session_id: str, outage: Outage) -> None:
        """Return when OpenCode answers for sure: one that hangs still counts as ready for a while."""
        while True:
            await outage.permit()
            left = await self._client.time_left(session_id)
            if left <= 0:
                raise TimedOut("OpenCode went away in this step and did not come back before its time was over.")
            if await self._answers(min(left, LOOK_SECONDS)):
                return

"""Ends what runs in a session, for sure: OpenCode's abort always says yes, and one that comes too early is lost."""

import asyncio
import time
from dataclasses import dataclass

from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_requests import DENIAL
from app.adapters.opencode_wire import WireMessage, WireSession


@dataclass(frozen=True)
class SentPrompt:
    """A prompt that this process sent, and the replies that were there before."""

    at: float
    """On the monotonic clock."""
    replies_before: frozenset[str] = frozenset()


NEVER_SENT = SentPrompt(at=float("-inf"))
"""For a session that this process made and gave no prompt."""


@dataclass(frozen=True)
class StopTiming:
    """Seconds. The defaults rest on measurements: a cold directory takes 2 to 9 s to begin a turn."""

    begin: float = 10
    """How long a prompt without reply and without work may still be about to begin."""
    pause: float = 0.1
    quiet: float = 0.5
    """How long it must stay quiet until it counts as idle."""
    total: float = 40


class SessionStopper:
    """Aborts a session and its children until all of them have proven to be idle."""

    def __init__(self, api: OpencodeApi, timing: StopTiming | None = None) -> None:
        self._api = api
        self._timing = timing or StopTiming()

    async def stop(self, session_id: str, sent: SentPrompt | None = None) -> bool:
        """True when nothing runs in the session or its children any more; an unknown session is idle."""
        session = await self._api.session(session_id)
        if session is None:
            return True
        began = time.monotonic()
        aborted = False
        quiet_since: float | None = None
        while (now := time.monotonic()) - began < self._timing.total:
            if await self._abort_what_runs(session):
                aborted, quiet_since = True, None
            elif not aborted and await self._may_begin(session, sent, now - began):
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since >= self._timing.quiet:
                await self._drop_requests(session)
                return True
            await asyncio.sleep(self._timing.pause)
        return False

    async def _abort_what_runs(self, session: WireSession) -> bool:
        family = await self._api.family(session.id)
        statuses = await self._api.statuses(session.directory)
        running = [member for member in family if member in statuses]
        for member in running:
            await self._api.abort(member)
        return bool(running)

    async def _may_begin(self, session: WireSession, sent: SentPrompt | None, waited: float) -> bool:
        """Whether a prompt was accepted that shows no sign of work yet."""
        if waited > self._timing.begin:
            return False
        if sent is not None and time.monotonic() - sent.at > self._timing.begin:
            return False
        messages = await self._api.messages(session.id)
        if sent is not None:
            replies = {message.info.id for message in messages if message.info.role == "assistant"}
            return not replies - sent.replies_before
        return self._age(session, messages) < self._timing.begin

    def _age(self, session: WireSession, messages: list[WireMessage]) -> float:
        """Seconds since the unanswered prompt, or since the session was made if it has none; infinite if answered."""
        if messages and messages[-1].info.role == "assistant":
            return float("inf")
        created = messages[-1].info.time.created if messages else session.time.created
        return time.time() - (created or 0) / 1000

    async def _drop_requests(self, session: WireSession) -> None:
        """What an aborted turn asked stays in OpenCode's list unless somebody answers it."""
        requests = await self._api.requests(session.directory)
        if not requests:
            return
        family = set(await self._api.family(session.id))
        for request in requests:
            if request.session_id in family:
                await self._api.deny(request, session.directory, DENIAL)

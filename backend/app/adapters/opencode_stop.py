"""Ends what runs in a session, for sure: OpenCode's abort always says yes, and one that comes too early is lost."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_requests import DENIAL
from app.adapters.opencode_wire import WireMessage, WireSession


@dataclass(frozen=True)
class SentPrompt:
    """A prompt that this process sent, and the replies that were there before."""

    at: float
    """When OpenCode took it, on the monotonic clock; infinite while it has not said so."""
    replies_before: frozenset[str] = frozenset()


NEVER_SENT = SentPrompt(at=float("-inf"))
"""For a session that this process made and gave no prompt, and for a prompt that OpenCode refused."""
UNCONFIRMED = float("inf")
"""A prompt on its way: it may be taken at any moment, also after we have given up waiting for the answer."""
ABOUT_TO_SEND = SentPrompt(UNCONFIRMED)
"""Somebody in this process is on the way to sending one."""


@dataclass(frozen=True)
class StopTiming:
    """Seconds. The defaults rest on measurements: a cold directory takes 2 to 9 s to begin a turn."""

    begin: float = 20
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
        self._born = time.time()

    async def stop(self, session_id: str, directory: str, sent: Callable[[], SentPrompt | None]) -> bool:
        """True when nothing runs in the session or its children any more.

        `sent` is asked again and again; None: whatever was sent was sent before this stopper was made.
        `directory` matters only for a session that OpenCode has forgotten.
        """
        session = await self._api.session(session_id)
        if session is None:
            return await self._stop_forgotten(session_id, directory)
        began = time.monotonic()
        aborted: set[str] = set()
        quiet_since: float | None = None
        while (now := time.monotonic()) - began < self._timing.total:
            children = await self._api.descendants(session.id)
            running = await self._abort_what_runs(session, children)
            aborted.update(running)
            if running or await self._may_begin(session, children, aborted, sent(), now - began):
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since >= self._timing.quiet:
                await self._drop_requests(session)
                return True
            await asyncio.sleep(self._timing.pause)
        return False

    async def _stop_forgotten(self, session_id: str, directory: str) -> bool:
        """A turn outlives the deletion of its session: only the status still shows it, until an abort ends it."""
        began = time.monotonic()
        while session_id in await self._api.statuses(directory):
            if time.monotonic() - began > self._timing.total:
                return False
            await self._api.abort(session_id, directory)
            await asyncio.sleep(self._timing.pause)
        return True

    async def _abort_what_runs(self, session: WireSession, children: list[WireSession]) -> list[str]:
        statuses = await self._api.statuses(session.directory)
        running = [member.id for member in (session, *children) if member.id in statuses]
        for member in running:
            await self._api.abort(member)
        return running

    async def _may_begin(
        self,
        session: WireSession,
        children: list[WireSession],
        aborted: set[str],
        sent: SentPrompt | None,
        waited: float,
    ) -> bool:
        """Whether a prompt of the family was accepted, or is on its way, that shows no sign of work yet."""
        if session.id not in aborted and await self._root_may_begin(session, sent, waited):
            return True
        for child in children:
            # The abort of a parent does not reach a child that has not begun.
            young = time.time() - (child.time.created or 0) / 1000 < self._timing.begin
            if young and child.id not in aborted and not _replies(await self._api.messages(child.id)):
                return True
        return False

    async def _root_may_begin(self, session: WireSession, sent: SentPrompt | None, waited: float) -> bool:
        confirmed = sent is not None and sent.at != UNCONFIRMED
        if (time.monotonic() - sent.at if sent is not None and confirmed else waited) > self._timing.begin:
            return False
        if sent is ABOUT_TO_SEND:
            return True
        messages = await self._api.messages(session.id)
        if sent is not None:
            return not _replies(messages) - sent.replies_before
        return self._age(session, messages) < self._timing.begin

    def _age(self, session: WireSession, messages: list[WireMessage]) -> float:
        """Seconds since the unanswered prompt was sent at the latest; infinite if it was answered."""
        if messages and messages[-1].info.role == "assistant":
            return float("inf")
        if messages:
            return time.time() - (messages[-1].info.time.created or 0) / 1000
        return time.time() - max(self._born, (session.time.created or 0) / 1000)

    async def _drop_requests(self, session: WireSession) -> None:
        """What an aborted turn asked stays in OpenCode's list unless somebody answers it."""
        requests = await self._api.requests(session.directory)
        if not requests:
            return
        family = set(await self._api.family(session.id))
        for request in requests:
            if request.session_id in family:
                await self._api.deny(request, session.directory, DENIAL)


def _replies(messages: list[WireMessage]) -> set[str]:
    return {message.info.id for message in messages if message.info.role == "assistant"}

"""Answers what an agent asks while nobody is there: every permission and question is denied, with a reason.

A request is heard as an event or found by asking; either way it is answered once. Never `always`:
that would hold for every other run in the directory too.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_events import Event
from app.adapters.opencode_tally import TurnTally
from app.adapters.opencode_wire import WireRequest
from app.errors import OpencodeUnavailable
from app.schemas.runtime import ToolCall, TranscriptMessage

SESSION_RULES: tuple[Mapping[str, str], ...] = tuple(
    {"permission": name, "pattern": "*", "action": "deny"} for name in ("question", "external_directory", "doom_loop")
)
"""Rules of every session we create. No `* allow`: it would lift what a read-only agent may not do."""

DENIAL = (
    "Denied by Paceline: nobody is here to decide about this. "
    "Go on without it, or finish with what you have and say what is missing."
)
_RULED_OUT = "The user has specified a rule which prevents"
_REJECTED = "The user rejected permission"
_SUBJECTS = ("command", "filePath", "path", "url", "pattern")
_log = logging.getLogger(__name__)


def denied_calls(transcript: Iterable[TranscriptMessage], asked: Mapping[str, str]) -> tuple[str, ...]:
    """Every call of a turn that was not allowed: by a rule, or by an answer of ours (`asked`, by call id)."""
    found = dict(asked)
    for part in (part for message in transcript for part in message.parts):
        call = part.tool
        if call is not None and (call.error or "").startswith((_RULED_OUT, _REJECTED)):
            found.setdefault(call.call_id, _describe(call))
    return tuple(found.values())


def _describe(call: ToolCall) -> str:
    subject = next((call.input[name] for name in _SUBJECTS if name in call.input), "")
    return f"{call.tool}: {subject}"


class RequestDenier:
    """Denies the requests of one turn and remembers what they were."""

    def __init__(self, api: OpencodeApi, root: str, directory: str, tally: TurnTally) -> None:
        self._api = api
        self._root = root
        self._directory = directory
        self._tally = tally
        self._handled: dict[str, WireRequest] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def denied(self) -> dict[str, str]:
        """What was asked and denied, in order, by the tool call that asked."""
        return {request.call_id: request.describe() for request in self._handled.values()}

    def hear(self, event: Event) -> None:
        """Answer the request that an event brings."""
        if event.type in ("permission.asked", "question.asked"):
            self._answer(WireRequest.model_validate(event.properties))

    async def look(self) -> None:
        """Ask OpenCode what is open: an event may have been missed."""
        for request in await self._api.requests(self._directory):
            if request.id not in self._handled and await self._is_ours(request.session_id):
                self._answer(request)

    async def settle(self) -> None:
        """Wait until every answer has been given."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _answer(self, request: WireRequest) -> None:
        if request.id in self._handled:
            return
        self._handled[request.id] = request
        self._tally.asked(request.id)
        task = asyncio.create_task(self._deny(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deny(self, request: WireRequest) -> None:
        try:
            await self._api.deny(request, self._directory, DENIAL)
        except OpencodeUnavailable as error:
            _log.warning("could not answer %s: %s", request.describe(), error)
            del self._handled[request.id]
        finally:
            self._tally.answered(request.id)

    async def _is_ours(self, session_id: str) -> bool:
        known = self._tally.sessions
        while session_id not in known:
            session = await self._api.session(session_id)
            if session is None or session.parent_id is None:
                return False
            session_id = session.parent_id
        return True

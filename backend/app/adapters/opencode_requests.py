"""Answers what an agent asks: finds each open request, asks the desk what to say, and passes the answer on.

A request is heard as an event or found by asking; either way it is answered once. Never `always`:
that would hold for every other run in the directory too.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_events import Event
from app.adapters.opencode_tally import TurnTally
from app.adapters.opencode_wire import WireRequest
from app.errors import OpencodeUnavailable
from app.schemas.permissions import PermissionRule, decide
from app.schemas.requests import AskedRequest, EarlierRequests, RequestReply
from app.schemas.runtime import SessionBinding, ToolCall, TranscriptMessage

DENIAL = (
    "Denied by Paceline: nobody is here to decide about this. "
    "Go on without it, or finish with what you have and say what is missing."
)
_RULED_OUT = "The user has specified a rule which prevents"
_REJECTED = "The user rejected permission"
LAST_WORDS_SECONDS = 1.0
"""How long a turn that is given up waits for answers on their way; an OpenCode that lives takes milliseconds."""
_SUBJECTS = ("command", "filePath", "path", "url", "pattern")
_log = logging.getLogger(__name__)


class RequestDesk(Protocol):
    """Who decides: `services.ports.RequestDesk`, which this layer must not import."""

    async def earlier(self, binding: SessionBinding) -> EarlierRequests:
        """What this try at the step has asked so far, of earlier processes too."""
        ...

    async def reply_to(self, binding: SessionBinding, asked: AskedRequest) -> RequestReply | None:
        """The answer, as soon as there is one; None when nobody shall answer."""
        ...

    async def withdraw(self, binding: SessionBinding, opencode_ids: Collection[str]) -> None:
        """These requests are no longer open in OpenCode."""
        ...


class NobodyThere:
    """A desk without people: the policy alone decides, and what it would ask a person is denied."""

    async def earlier(self, _binding: SessionBinding) -> EarlierRequests:
        """Nothing is kept."""
        return EarlierRequests()

    async def reply_to(self, binding: SessionBinding, asked: AskedRequest) -> RequestReply | None:
        """At once."""
        allowed = asked.kind == "permission" and decide(binding.permissions, asked.tool, asked.patterns) == "allow"
        return RequestReply(reply="once") if allowed else RequestReply(reply="reject", message=DENIAL)

    async def withdraw(self, _binding: SessionBinding, _opencode_ids: Collection[str]) -> None:
        """Nothing is kept."""


def session_rules(rules: Iterable[PermissionRule]) -> list[Mapping[str, str]]:
    """The rules in OpenCode's form: it allows and denies by itself, and asks us about the rest."""
    return [{"permission": rule.permission, "pattern": rule.pattern, "action": rule.action} for rule in rules]


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


class RequestAnswerer:
    """Answers the requests of one turn and remembers what was denied."""

    def __init__(
        self, api: OpencodeApi, root: str, binding: SessionBinding, tally: TurnTally, desk: RequestDesk
    ) -> None:
        self.denied: dict[str, str] = {}
        """What was asked and denied, in order, by the tool call that asked."""
        self._api = api
        self._root = root
        self._binding = binding
        self._tally = tally
        self._desk = desk
        self._looked = False
        self._handled: set[str] = set()
        self._waiting: set[str] = set()
        """Those of them that have no answer yet."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._deliveries: set[asyncio.Task[None]] = set()

    @property
    def must_look(self) -> bool:
        """At first, for what an earlier process left open; then while a person is asked: OpenCode may forget it."""
        return not self._looked or bool(self._waiting)

    def hear(self, event: Event) -> None:
        """Answer the request that an event brings."""
        if event.type in ("permission.asked", "question.asked"):
            self._answer(WireRequest.model_validate(event.properties))

    async def look(self, busy: Collection[str]) -> None:
        """Ask OpenCode what is open: an event may have been missed, or have come before our time.

        What a session that is not `busy` still shows was asked by an aborted turn and means nothing.
        """
        known = set(self._waiting)
        if not self._looked:
            known |= (await self._desk.earlier(self._binding)).pending
        found = await self._api.requests(self._binding.directory)
        gone = known - {request.id for request in found}
        if gone:
            await self._desk.withdraw(self._binding, gone)
        for request in found:
            new = request.id not in self._handled and request.session_id in busy
            if new and await self._is_ours(request.session_id):
                self._answer(request)
        self._looked = True

    async def close(self) -> None:
        """Stop waiting for answers; those that are on their way still arrive, unless OpenCode hangs.

        Nothing is withdrawn, and what could not be delivered is found and answered again by whoever goes on.
        """
        for task in self._tasks:
            task.cancel()
        left: set[asyncio.Task[None]] = self._tasks | self._deliveries
        if left:
            _, late = await asyncio.wait(left, timeout=LAST_WORDS_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _answer(self, request: WireRequest) -> None:
        if request.id in self._handled:
            return
        self._handled.add(request.id)
        self._waiting.add(request.id)
        self._tally.asked(request.id)
        task = asyncio.create_task(self._serve(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: WireRequest) -> None:
        try:
            reply = await self._desk.reply_to(self._binding, self._in_our_words(request))
            self._waiting.discard(request.id)
            if reply is not None:
                # In a task of its own, so that an answer on its way arrives although the turn is given up.
                delivery = asyncio.create_task(self._deliver(request, reply))
                self._deliveries.add(delivery)
                delivery.add_done_callback(self._deliveries.discard)
                await asyncio.shield(delivery)
        except Exception:
            # Our rows or OpenCode could not be reached: the next look finds the request again.
            _log.exception("could not answer %s", request.describe())
            self._handled.discard(request.id)
        finally:
            self._waiting.discard(request.id)
            self._tally.answered(request.id)

    def _in_our_words(self, request: WireRequest) -> AskedRequest:
        return AskedRequest(
            opencode_id=request.id,
            session_id=request.session_id,
            sub_agent=request.session_id != self._root,
            kind="question" if request.is_question else "permission",
            tool=request.permission or "question",
            patterns=tuple(request.patterns),
            call_id=request.tool.call_id if request.tool is not None else None,
            metadata=request.metadata,
            questions=tuple(request.questions),
        )

    async def _deliver(self, request: WireRequest, reply: RequestReply) -> None:
        try:
            taken = await self._api.answer(request, self._binding.directory, reply)
            if taken and reply.reply == "reject":
                self.denied[request.call_id] = request.describe()
        except OpencodeUnavailable as error:
            _log.warning("could not answer %s: %s", request.describe(), error)
            self._handled.discard(request.id)

    async def _is_ours(self, session_id: str) -> bool:
        known = self._tally.sessions
        while session_id not in known:
            session = await self._api.session(session_id)
            if session is None or session.parent_id is None:
                return False
            session_id = session.parent_id
        return True

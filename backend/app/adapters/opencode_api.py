"""The dozen V1 calls that we use, typed: what goes over the wire and what comes back, no decisions."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from app.adapters.opencode_http import OpencodeHttp, OpencodeRefused
from app.adapters.opencode_wire import WireMessage, WireRequest, WireSession, WireStatus, model_object
from app.errors import OpencodeUnavailable
from app.fail_points import reach
from app.schemas.requests import RequestReply

_SESSION = TypeAdapter(WireSession)
_MESSAGES = TypeAdapter(list[WireMessage])
_SESSIONS = TypeAdapter(list[WireSession])
_STATUSES = TypeAdapter(dict[str, WireStatus])
_REQUESTS = TypeAdapter(list[WireRequest])

Answer = TypeVar("Answer")

QUICK = 8.0
"""Seconds that a question about the state of things may take."""


class OpencodeApi:
    """Typed calls. Raises `OpencodeUnavailable`, or its child `OpencodeRefused` for error answers."""

    def __init__(self, http: OpencodeHttp) -> None:
        self.http = http

    async def create_session(self, directory: str, body: Mapping[str, object]) -> WireSession:
        """Create a session in a directory."""
        reach("before:session-created")
        answer = await self.http.post("/session", body, directory)
        reach("after:session-created")
        return _read(_SESSION, answer)

    async def session(self, session_id: str) -> WireSession | None:
        """A session, None when the server does not know it."""
        try:
            return _read(_SESSION, await self.http.get(f"/session/{session_id}", timeout=QUICK))
        except OpencodeRefused as refused:
            if refused.status_code == 404:
                return None
            raise

    async def children(self, session_id: str) -> list[WireSession]:
        """The sessions that sub-agents of this one work in, grandchildren not included."""
        return _read(_SESSIONS, await self.http.get(f"/session/{session_id}/children", timeout=QUICK) or [])

    async def descendants(self, session_id: str) -> list[WireSession]:
        """The sessions of sub-agents and of theirs, parents first."""
        found = await self.children(session_id)
        for known in found:
            ids = {session_id, *(one.id for one in found)}
            found.extend(child for child in await self.children(known.id) if child.id not in ids)
        return found

    async def family(self, session_id: str) -> list[str]:
        """The session and all its descendants, parents first."""
        return [session_id, *(one.id for one in await self.descendants(session_id))]

    async def messages(self, session_id: str) -> list[WireMessage]:
        """All messages of a session, oldest first."""
        return _read(_MESSAGES, await self.http.get(f"/session/{session_id}/message") or [])

    async def statuses(self, directory: str) -> dict[str, WireStatus]:
        """The sessions of a directory that are not idle."""
        found = _read(_STATUSES, await self.http.get("/session/status", directory, timeout=QUICK) or {})
        return {session: status for session, status in found.items() if status.type != "idle"}

    async def prompt(
        self, session_id: str, message_id: str, texts: Sequence[str], agent: str | None, model: str | None
    ) -> None:
        """Accept a prompt and return at once; without texts a known message is run again."""
        body: dict[str, object] = {
            "messageID": message_id,
            "parts": [{"type": "text", "text": text} for text in texts],
        }
        if agent is not None:
            body["agent"] = agent
        if model is not None:
            body["model"] = model_object(model)
        reach("before:prompt-sent")
        await self.http.post(f"/session/{session_id}/prompt_async", body)
        reach("after:prompt-sent")

    async def abort(self, session_id: str, directory: str | None = None) -> None:
        """Ask for an end; the answer says nothing, look at the status. A deleted session needs its directory."""
        reach("before:abort-sent")
        await self.http.post(f"/session/{session_id}/abort", directory=directory)
        reach("after:abort-sent")

    async def requests(self, directory: str) -> list[WireRequest]:
        """Permissions and questions that are open in a directory, leftovers of aborted turns included."""
        permissions = await self.http.get("/permission", directory, timeout=QUICK)
        questions = await self.http.get("/question", directory, timeout=QUICK)
        return _read(_REQUESTS, permissions or []) + _read(_REQUESTS, questions or [])

    async def deny(self, request: WireRequest, directory: str, message: str) -> bool:
        """Refuse a request; False when it is no longer open."""
        return await self.answer(request, directory, RequestReply(reply="reject", message=message))

    async def answer(self, request: WireRequest, directory: str, reply: RequestReply) -> bool:
        """Answer a request; False when it is no longer open."""
        path, body = f"/permission/{request.id}/reply", dict[str, object](reply=reply.reply)
        if request.is_question:
            path = f"/question/{request.id}/{'reply' if reply.reply == 'once' else 'reject'}"
            body = {"answers": reply.answers} if reply.reply == "once" else {}
        elif reply.message:
            body["message"] = reply.message
        try:
            reach("before:answer-sent")
            await self.http.post(path, body or None, directory)
            reach("after:answer-sent")
        except OpencodeRefused as refused:
            if refused.status_code == 404:
                return False
            raise
        return True


def _read(shape: TypeAdapter[Answer], answer: object) -> Answer:
    try:
        return shape.validate_python(answer)
    except ValidationError as error:
        raise OpencodeUnavailable(
            f"OpenCode's answer has a shape we do not know: {error.errors()[0]['msg']}."
        ) from error

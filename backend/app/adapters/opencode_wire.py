"""OpenCode's V1 answers as it writes them, and their translation into the words of the domain.

The only place that knows `{"providerID": …, "modelID": …}`. Everything is read tolerantly: unknown
keys, parts and events are ignored, so that a newer 1.x does not break a run.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.runtime import Tokens, ToolCall, TranscriptMessage, TranscriptPart, TurnError

OUTPUT_LIMIT = 16 * 1024
"""Characters of a tool's output that a transcript keeps."""

_STACK = re.compile(r"\n\s+at [^\n]*")
"""Lines of OpenCode's own stack traces, which it appends to some messages."""

ToolStatus = Literal["pending", "running", "completed", "error"]


class Wire(BaseModel):
    """Base of everything read from OpenCode."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class WireCache(Wire):
    """Cached tokens."""

    read: float = 0
    write: float = 0


class WireTokens(Wire):
    """Token counts of one message."""

    input: float = 0
    output: float = 0
    reasoning: float = 0
    cache: WireCache = WireCache()

    def domain(self) -> Tokens:
        """The same counts in our words."""
        return Tokens(
            input=int(self.input),
            output=int(self.output),
            reasoning=int(self.reasoning),
            cache_read=int(self.cache.read),
            cache_write=int(self.cache.write),
        )


class WireTime(Wire):
    """Epoch milliseconds; parts have start and end, messages created and completed."""

    created: float | None = None
    completed: float | None = None
    start: float | None = None
    end: float | None = None


class WireModel(Wire):
    """A model as messages name it."""

    provider: str = Field(alias="providerID")
    model: str = Field(alias="modelID")


class WireInfo(Wire):
    """The head of a message."""

    id: str
    session_id: str = Field(alias="sessionID")
    role: str
    parent_id: str | None = Field(None, alias="parentID")
    agent: str | None = None
    provider: str | None = Field(None, alias="providerID")
    model_id: str | None = Field(None, alias="modelID")
    model: WireModel | None = None
    """User messages carry the model like this."""
    finish: str | None = None
    error: Mapping[str, object] | None = None
    summary: object = None
    """True on the message of a compaction; user messages hold an object of diffs here."""
    cost: float | None = None
    tokens: WireTokens = WireTokens()
    time: WireTime = WireTime()

    @property
    def model_ref(self) -> str | None:
        """`provider/model` of this message."""
        if self.provider and self.model_id:
            return join_model(self.provider, self.model_id)
        return join_model(self.model.provider, self.model.model) if self.model else None

    @property
    def is_answer(self) -> bool:
        """An assistant message that no compaction wrote."""
        return self.role == "assistant" and self.summary is not True

    @property
    def completed(self) -> bool:
        """Nothing will be added to it."""
        return self.time.completed is not None

    @property
    def is_aborted(self) -> bool:
        """It was stopped before its end."""
        return self.error is not None and self.error.get("name") == "MessageAbortedError"

    @property
    def ended_properly(self) -> bool:
        """Completed without error with the finish of a whole answer."""
        return self.completed and self.error is None and self.finish == "stop"


class WireToolState(Wire):
    """The state of a tool call."""

    status: str = "pending"
    input: Mapping[str, object] | None = None
    title: str | None = None
    output: str | None = None
    error: str | None = None
    time: WireTime = WireTime()


class WirePart(Wire):
    """One part of a message; only text, reasoning and tool are shown."""

    id: str = ""
    session_id: str = Field("", alias="sessionID")
    message_id: str = Field("", alias="messageID")
    type: str
    text: str = ""
    synthetic: bool = False
    tool: str = ""
    call_id: str = Field("", alias="callID")
    state: WireToolState = WireToolState()

    def tool_call(self) -> ToolCall:
        """The part as a tool call of the domain."""
        status = self.state.status if self.state.status in ("pending", "running", "completed", "error") else "running"
        return ToolCall(
            call_id=self.call_id,
            tool=self.tool,
            status=cast(ToolStatus, status),
            title=self.state.title,
            input=self.state.input or {},
            output=_cut(self.state.output),
            error=_cut(self.state.error),
            started_at=moment(self.state.time.start),
            finished_at=moment(self.state.time.end),
        )

    def domain(self) -> TranscriptPart | None:
        """The part as a transcript keeps it; None for parts without content to show."""
        if self.type == "tool":
            return TranscriptPart(type="tool", tool=self.tool_call())
        if self.type == "text" and self.text:
            return TranscriptPart(type="text", text=self.text)
        if self.type == "reasoning" and self.text:
            return TranscriptPart(type="reasoning", text=self.text)
        return None


class WireMessage(Wire):
    """A message with its parts."""

    info: WireInfo
    parts: Sequence[WirePart] = ()

    @property
    def has_tools(self) -> bool:
        """Whether the model called a tool in this message."""
        return any(part.type == "tool" for part in self.parts)

    def domain(self, *, child: bool = False, cost: float | None = None) -> TranscriptMessage:
        """The message as a transcript keeps it."""
        info = self.info
        return TranscriptMessage(
            id=info.id,
            session_id=info.session_id,
            role="user" if info.role == "user" else "assistant",
            agent=info.agent,
            model=info.model_ref,
            finish=info.finish,
            error=turn_error(info.error),
            summary=info.summary is True,
            child=child,
            tokens=info.tokens.domain(),
            cost=cost,
            created_at=moment(info.time.created),
            completed_at=moment(info.time.completed),
            parts=tuple(part for part in (part.domain() for part in self.parts) if part is not None),
        )


class WireSession(Wire):
    """A session, as far as we need it."""

    id: str
    directory: str = ""
    parent_id: str | None = Field(None, alias="parentID")
    time: WireTime = WireTime()


class WireStatus(Wire):
    """What a session does now; absent from the list means idle."""

    type: str = "idle"
    attempt: int = 0
    message: str = ""
    next: float | None = None


class WireAsker(Wire):
    """The tool call that a request comes from."""

    call_id: str = Field("", alias="callID")


class WireRequest(Wire):
    """A permission or question that an agent waits for."""

    id: str
    session_id: str = Field(alias="sessionID")
    permission: str = ""
    patterns: Sequence[str] = ()
    metadata: Mapping[str, object] = Field(default_factory=dict)
    questions: Sequence[Mapping[str, object]] = ()
    tool: WireAsker | None = None

    @property
    def call_id(self) -> str:
        """The tool call that asks, or the request itself when it names none."""
        return self.tool.call_id if self.tool is not None and self.tool.call_id else self.id

    @property
    def is_question(self) -> bool:
        """Whether a person is asked for an answer and not for a permission."""
        return not self.permission

    def describe(self) -> str:
        """What is asked, in a few words."""
        if self.is_question:
            return "question: " + "; ".join(str(question.get("question", "")) for question in self.questions)
        return f"{self.permission}: " + ", ".join(self.patterns)


def join_model(provider: str, model: str) -> str:
    """`provider/model`, as people write it."""
    return f"{provider}/{model}"


def model_object(ref: str) -> dict[str, str]:
    """The object that a prompt needs; the first slash divides, model ids may contain more of them."""
    provider, _, model = ref.partition("/")
    return {"providerID": provider, "modelID": model}


def turn_error(raw: Mapping[str, object] | None) -> TurnError | None:
    """An error without response headers and bodies, which may hold secrets."""
    if raw is None:
        return None
    data = raw.get("data")
    data = data if isinstance(data, Mapping) else {}
    status, retryable = data.get("statusCode"), data.get("isRetryable")
    message = data.get("message") or raw.get("message") or raw.get("name") or "unknown error"
    return TurnError(
        name=str(raw.get("name") or "UnknownError"),
        message=_STACK.sub("", str(message)).strip()[:4000],
        status_code=status if isinstance(status, int) else None,
        retryable=retryable if isinstance(retryable, bool) else None,
    )


def moment(milliseconds: float | None) -> datetime | None:
    """A time in UTC from epoch milliseconds."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= OUTPUT_LIMIT:
        return text
    return f"{text[:OUTPUT_LIMIT]}\n[cut: {len(text) - OUTPUT_LIMIT} more characters]"

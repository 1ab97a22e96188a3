"""Requests of agents: what OpenCode asks, what we answer, and how both look on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from app.schemas.text import FilledText, StorableText

RequestKind = Literal["permission", "question"]
RequestStatus = Literal["pending", "answered", "denied", "expired", "cancelled"]
RequestReplyWord = Literal["once", "reject"]

MAX_DIFF = 200_000


class AskedRequest(BaseModel):
    """A permission or question as the runtime reports it. `patterns` are what the tool is used on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opencode_id: str
    session_id: str
    sub_agent: bool
    kind: RequestKind
    tool: str
    patterns: tuple[str, ...] = ()
    call_id: str | None = None
    metadata: Mapping[str, Any] = Field(default_factory=dict)
    questions: tuple[Mapping[str, Any], ...] = ()

    @field_validator("*", mode="before")
    @classmethod
    def _storable(cls, value: object) -> object:
        return _cleaned(value)


def _cleaned(value: Any) -> Any:
    """Models write anything; what no database holds is replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    if isinstance(value, Mapping):
        return {_cleaned(key): _cleaned(inner) for key, inner in value.items()}
    return [_cleaned(inner) for inner in value] if isinstance(value, list | tuple) else value


class RequestReply(BaseModel):
    """What the runtime passes on; `answers` has the chosen labels or texts of each question."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reply: RequestReplyWord
    message: str = ""
    answers: tuple[tuple[str, ...], ...] = ()


class EarlierRequests(BaseModel):
    """What one try at a step has asked so far, of earlier processes too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pending: frozenset[str] = frozenset()
    """OpenCode's ids of those that nobody has decided."""
    waited: float = 0
    """Seconds in which a person was asked, until now."""
    answered_at: datetime | None = None
    """When the newest of them was decided."""


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class QuestionOption(_Wire):
    """One answer to choose."""

    label: str
    description: str = ""


class Question(_Wire):
    """One question of an agent."""

    question: str
    header: str = ""
    options: list[QuestionOption] = Field(default_factory=list)
    multiple: bool = False
    """Whether several options may be chosen."""
    custom: bool = True
    """Whether an own text may be given instead."""


class RequestDetails(_Wire):
    """What a person needs to see to decide; what does not apply is None or empty."""

    command: str | None = None
    """bash: the whole command."""
    file_path: str | None = None
    diff: str | None = None
    """edit: what would change, cut at 200 KB."""
    call_id: str | None = None
    """The tool call that waits, as the event stream names it."""
    questions: list[Question] = Field(default_factory=list)


def details_of(asked: AskedRequest) -> RequestDetails:
    """What is shown of a request; unknown shapes are left out, never an error."""
    diff = _text(asked.metadata, "diff")
    return RequestDetails(
        command=_text(asked.metadata, "command") or (asked.patterns[0] if _is_one_command(asked) else None),
        file_path=_text(asked.metadata, "filepath") or _text(asked.metadata, "filePath"),
        diff=diff if diff is None or len(diff) <= MAX_DIFF else diff[:MAX_DIFF] + "\n… (cut)",
        call_id=asked.call_id,
        questions=[_question(raw) for raw in asked.questions],
    )


def _is_one_command(asked: AskedRequest) -> bool:
    return asked.tool == "bash" and len(asked.patterns) == 1


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    return value if isinstance(value, str) and value else None


def _question(raw: Mapping[str, Any]) -> Question:
    given = raw.get("options")
    options = [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []
    return Question(
        question=_text(raw, "question") or "",
        header=_text(raw, "header") or "",
        options=[
            QuestionOption(label=_text(one, "label") or "", description=_text(one, "description") or "")
            for one in options
        ],
        multiple=raw.get("multiple") is True,
        custom=raw.get("custom") is not False,
    )


class AgentRequestResponse(_Wire):
    """A request of an agent, open or decided."""

    id: int
    pipeline_id: int
    step_id: int
    attempt: int
    kind: RequestKind
    tool: str
    patterns: list[str]
    details: RequestDetails
    sub_agent: bool
    """Whether a sub-agent of the step asks."""
    status: RequestStatus
    reply: RequestReplyWord | None
    message: str | None
    answers: list[list[str]] | None
    remember: bool
    answered_by: str | None
    asked_at: datetime
    answered_at: datetime | None
    deadline: datetime
    """Denied then, if nobody has answered."""


class RequestPage(_Wire):
    """A page of requests, newest first."""

    items: list[AgentRequestResponse]
    next_cursor: str | None


Answer = Annotated[FilledText, StringConstraints(max_length=20_000)]


class AnswerRequest(BaseModel):
    """Body of an answer. `answers` (for each question its labels or own text) belong to a question.

    `remember` allows exactly the same for the rest of this run.
    """

    model_config = ConfigDict(extra="ignore")

    reply: RequestReplyWord
    message: Annotated[StorableText, StringConstraints(max_length=20_000)] | None = None
    answers: Annotated[list[Annotated[list[Answer], Field(max_length=50)]], Field(max_length=50)] | None = None
    remember: bool = False

    @model_validator(mode="after")
    def _only_a_yes_lasts(self) -> Self:
        if self.reply == "reject" and (self.remember or self.answers):
            raise ValueError("remember and answers go with the reply once")
        return self

"""What an agent runtime (OpenCode) is asked and what it answers, free of any wire format."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.permissions import DEFAULT_RULES, PermissionRule


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tokens(_Frozen):
    """Token counts of one model call or a sum of them."""

    input: int = 0
    output: int = 0
    reasoning: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            input=self.input + other.input,
            output=self.output + other.output,
            reasoning=self.reasoning + other.reasoning,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
        )


class StepLimits(_Frozen):
    """Where a turn is cut off. Times in seconds; clocks stand still while a person is asked."""

    wall_clock: float = 7200
    silence: float = 300
    """Nothing heard while a model call is open (not while a tool runs)."""
    model_calls: int = 500
    retry_total: float = 300
    """Time that provider retries may take in all; a retry announced beyond it ends the turn at once."""
    budget_usd: float | None = None
    """What the run may still spend; checked after every model message with known cost."""


class SessionBinding(_Frozen):
    """Everything about a step's session that `send_message` does not take as a parameter."""

    directory: str
    message_id: str
    title: str
    pipeline_id: int
    step_id: int
    attempt: int
    epoch: int = 0
    """Of the segment that works in it; a request that another segment has taken over is not answered."""
    limits: StepLimits = StepLimits()
    started_at: datetime | None = None
    """When an attempt that goes on was begun; None for one that begins now."""
    permissions: tuple[PermissionRule, ...] = DEFAULT_RULES


class TurnError(_Frozen):
    """An error that the runtime reports inside a turn, scrubbed of headers and bodies."""

    name: str
    """APIError, MessageAbortedError, ContentFilterError, ContextOverflowError, UnknownError, …"""
    message: str
    status_code: int | None = None
    retryable: bool | None = None


class ToolCall(_Frozen):
    """One tool call of a turn. `input` is the tool's arguments, `output` its text (cut at 16 KB)."""

    call_id: str
    tool: str
    status: Literal["pending", "running", "completed", "error"]
    title: str | None = None
    input: Mapping[str, object] = Field(default_factory=dict)
    output: str | None = None
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class TranscriptPart(_Frozen):
    """One visible piece of a message, in the order it was produced."""

    type: Literal["text", "reasoning", "tool"]
    text: str = ""
    tool: ToolCall | None = None


class TranscriptMessage(_Frozen):
    """One message of the turn; `model` is `provider/model`, cost in USD or None for unknown."""

    id: str
    session_id: str
    role: Literal["user", "assistant"]
    agent: str | None = None
    model: str | None = None
    finish: str | None = None
    error: TurnError | None = None
    summary: bool = False
    """True for the message that a compaction of the context wrote."""
    child: bool = False
    """True when it belongs to a sub-agent's session."""
    tokens: Tokens = Tokens()
    cost: float | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    parts: tuple[TranscriptPart, ...] = ()

    @property
    def text(self) -> str:
        """The message's own text, parts joined."""
        return "".join(part.text for part in self.parts if part.type == "text")


class MessageResponse(_Frozen):
    """The whole turn that one prompt led to, read after the session was idle.

    Says what happened and judges nothing: a provider error, an empty text or a cut answer arrive
    here too; `services/outcome.py` decides what is `done`.
    """

    session_id: str
    message_id: str
    """Of our user message."""
    text: str = ""
    """Text of the answer alone; earlier chatter of the turn is in the transcript."""
    agent: str | None = None
    used_model: str | None = None
    """`provider/model` from the answer, or from the newest own message when there is no answer."""
    finish: str | None = None
    error: TurnError | None = None
    denied_requests: tuple[str, ...] = ()
    """What was asked and denied in this turn, e.g. `bash: rm -rf /`."""
    tokens: Tokens = Tokens()
    """Over the whole turn, compaction and child sessions included."""
    cost: float | None = None
    """USD over the whole turn; None when the runtime knows no prices for a model that ran."""
    model_calls: int = 0
    adopted: bool = False
    """True when a stored answer was found and nothing was sent."""
    resent: bool = False
    """True when a turn that was cut off was begun again: its tools may have run twice."""
    transcript: tuple[TranscriptMessage, ...] = ()


class ModelKind(StrEnum):
    """Where prompts go when this model is picked."""

    OWN_KEY = "own_key"
    LOCAL = "local"
    THIRD_PARTY_FREE = "third_party_free"


class ModelEntry(_Frozen):
    """One model that OpenCode lists for a directory. Prices in USD per million tokens, None unknown."""

    provider: str
    id: str
    name: str
    context: int | None = None
    price_input: float | None = None
    price_output: float | None = None
    connected: bool = True
    reason: str | None = None
    """Why it cannot be used, when not connected."""
    kind: ModelKind = ModelKind.OWN_KEY

    @property
    def ref(self) -> str:
        """`provider/model`, as people write it."""
        return f"{self.provider}/{self.id}"


class RuntimeAgent(_Frozen):
    """An agent that OpenCode knows in a directory."""

    name: str
    mode: str
    description: str | None = None
    model: str | None = None


class RuntimeHealth(_Frozen):
    """What is known about the OpenCode server right now."""

    state: Literal["starting", "ready", "down", "stopped"]
    version: str | None = None
    generation: Literal["v1", "v2"] | None = None
    url: str | None = None
    managed: bool = True
    """True when this installation started it."""
    pid: int | None = None
    providers: tuple[str, ...] = ()
    detail: str | None = None
    """What is wrong and what to do, when it is not ready."""


LiveState = Literal["busy", "retry", "waiting", "interrupted", "idle"]
"""interrupted: OpenCode went away, and the step waits for it."""


class LiveEvent(_Frozen):
    """Something to show while a step runs. Never stored; a reader that missed it re-reads the snapshot."""

    pipeline_id: int
    step_id: int
    type: Literal["delta", "tool", "state"]
    at: datetime
    part_id: str | None = None
    """delta and tool: the part it belongs to; the newest text or tool of a part replaces the older one."""
    kind: Literal["text", "reasoning"] | None = None
    delta: str | None = None
    """delta: text to append to that part."""
    text: str | None = None
    """delta: the part's whole text so far, when it replaces what was shown."""
    tool: ToolCall | None = None
    state: LiveState | None = None
    detail: str | None = None
    """state: the provider's words while it retries, what became of OpenCode when it was interrupted."""


class LiveSnapshot(_Frozen):
    """What a running step has shown so far, for a reader that joins late."""

    pipeline_id: int
    step_id: int
    state: LiveState = "idle"
    detail: str | None = None
    parts: tuple["LivePart", ...] = ()


class LivePart(_Frozen):
    """One part of a running step's output."""

    part_id: str
    kind: Literal["text", "reasoning", "tool"]
    text: str = ""
    tool: ToolCall | None = None

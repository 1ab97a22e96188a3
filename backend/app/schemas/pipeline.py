"""Runs on the wire: what creates one, what a list shows, what the run page shows."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.schemas.handoff import HandoffSections
from app.schemas.model_resolution import ModelOrigin
from app.schemas.numbers import NUMBER_ONLY
from app.schemas.queue import WaitingFor
from app.schemas.registry import MAX_STEPS, StepDefinition
from app.schemas.requests import AgentRequestResponse
from app.schemas.runtime import Tokens, TranscriptMessage
from app.schemas.text import FilledText, Line, StorableText

PipelineStatus = Literal[
    "pending", "running", "waiting_for_approval", "waiting_for_input", "done", "failed", "aborted"
]
StepStatus = Literal[
    "pending", "running", "waiting_for_approval", "waiting_for_input", "done", "failed", "aborted", "skipped"
]
ApprovalStatus = Literal["pending", "approved", "rejected", "cancelled"]

FINAL_PIPELINE: frozenset[str] = frozenset({"done", "failed", "aborted"})
FINAL_STEP: frozenset[str] = frozenset({"done", "failed", "aborted", "skipped"})

POSSIBLE: dict[str, str] = {
    "pending": "It can be aborted.",
    "running": "Wait for its end or its next gate, or abort it.",
    "waiting_for_approval": "Approve it, request changes, reject it or abort it.",
    "waiting_for_input": "Answer its agent, or abort it.",
    "done": "It can be duplicated.",
    "failed": "It can be restarted or duplicated.",
    "aborted": "It can be restarted or duplicated.",
}
"""What can be decided about a run in each state, for whoever wanted something else."""

MAX_PROMPT_BYTES = 1_000_000

RepoName = Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$", max_length=200)]


StepModels = Annotated[
    dict[int, StorableText], Field(json_schema_extra={"propertyNames": {"pattern": "^[0-9]{1,3}$"}})
]
"""Models by the index of their step, from 0."""


class PipelineCreateRequest(BaseModel):
    """A new run. Exactly one of `template` and `custom_steps`; unknown keys are refused.

    `step_models` maps the index of a step (from 0) to a model, `provider/model` or a bare name.
    """

    model_config = ConfigDict(extra="forbid")

    template: StorableText | None = None
    title: Line
    prompt: FilledText
    branch: StorableText | None = None
    step_models: StepModels | None = None
    custom_steps: Annotated[list[StepDefinition], Field(min_length=1, max_length=MAX_STEPS)] | None = None
    working_dir: StorableText | None = None
    github_issue_repo: RepoName | None = None
    github_issue_number: Annotated[int, Field(ge=1, lt=2**31), NUMBER_ONLY] | None = None

    @model_validator(mode="after")
    def _one_source_of_steps(self) -> Self:
        if (self.template is None) == (self.custom_steps is None):
            raise ValueError("give exactly one of template and custom_steps")
        if (self.github_issue_repo is None) != (self.github_issue_number is None):
            raise ValueError("give both of github_issue_repo and github_issue_number, or neither")
        return self


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True, json_schema_serialization_defaults_required=True)


class HandoffResponse(_Response):
    """What an agent left for the next one; `text` is always whole."""

    text: str
    structured: bool
    sections: HandoffSections
    created_at: datetime
    edited_by: str | None
    """Who changed it at a gate; `original` is then what the agent wrote."""
    original: str | None


class ApprovalResponse(_Response):
    """A gate of a run."""

    id: int
    pipeline_id: int
    step_id: int
    status: ApprovalStatus
    question: str
    comment: str | None
    decision: Literal["approve", "reject", "request_changes"] | None
    return_to: int | None
    """request_changes: index of the step that began again."""
    decided_by: str | None
    requested_at: datetime
    decided_at: datetime | None
    remind_at: datetime | None
    reminded_at: datetime | None


class StepStatusResponse(_Response):
    """One step with its three facts about the model: asked, resolved, used."""

    id: int
    type: Literal["agent", "approval"]
    agent_name: str | None
    description: str
    order_index: int
    status: StepStatus
    model: str | None = None
    resolved_model: str | None = None
    model_origin: ModelOrigin | None = None
    used_model: str | None = None
    started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None
    error_message: str | None
    """While the step waits for its next try: of the one that failed last."""
    tokens: Tokens
    cost: float | None
    attempts: int
    """All tries, in every attempt of the run."""
    attempts_made: int
    """Tries in this attempt of the run."""
    attempts_allowed: int
    """Tries that the step has in each attempt of the run; 0 for a gate."""
    retry_at: datetime | None
    """When the next try begins, while the step is `pending` after a failed one."""
    note: str | None
    """What happened to its newest attempt on the way, such as an interruption after which tools may have run twice."""
    latest_handoff: HandoffResponse | None


class StepPip(_Response):
    """A step as the runs list draws it."""

    id: int
    type: Literal["agent", "approval"]
    agent_name: str | None
    order_index: int
    status: StepStatus
    retry_at: datetime | None
    model: str | None
    used_model: str | None


class _PipelineHead(_Response):
    id: int
    title: str
    template: str | None
    status: PipelineStatus
    error_code: str | None
    error_message: str | None
    working_dir: str
    branch: str | None
    attempt: int
    queue_position: int | None
    """Place among the runs waiting for the directory, from 1; None when it does not wait."""
    waiting_for: WaitingFor | None
    """What keeps it from going on: its directory, a place, the paused queue; None when nothing does."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    created_by: str
    tokens: Tokens
    cost: float | None
    """USD over all attempts, None while nothing with a known price ran."""


class PipelineSummary(_PipelineHead):
    """A run as a row of the list."""

    steps: list[StepPip]


class PipelineResponse(_PipelineHead):
    """A run with everything its page needs but prompts and transcripts of attempts."""

    prompt: str
    base_commit: str | None
    warnings: list[str]
    waiting_reason: str | None
    """Why a pending run has not begun or a running one does not go on, as a sentence; None when nothing is missing."""
    max_cost_usd: float | None
    approval: ApprovalResponse | None
    """The newest gate: the open one while the run waits."""
    approvals: list[ApprovalResponse]
    """Every gate that was opened, of all attempts, oldest first."""
    requests: list[AgentRequestResponse]
    """What its agents ask right now, oldest first."""
    steps: list[StepStatusResponse]


class PipelinePage(_Response):
    """A page of runs, newest first."""

    items: list[PipelineSummary]
    next_cursor: str | None


class ApprovalPage(_Response):
    """A page of gates, newest first."""

    items: list[ApprovalResponse]
    next_cursor: str | None


class AttemptResponse(_Response):
    """One try at a step, with the exact prompt and, once it ended, the transcript."""

    number: int
    pipeline_attempt: int
    outcome: str | None
    error_message: str | None
    note: str | None
    prompt: str
    session_id: str | None
    used_model: str | None
    tokens: Tokens
    cost: float | None
    model_calls: int
    started_at: datetime
    finished_at: datetime | None
    transcript: list[TranscriptMessage] | None


class AttemptList(_Response):
    """All tries at a step, oldest first."""

    items: list[AttemptResponse]


class DiffResponse(_Response):
    """What changed in the run's directory since its base commit, cut at 1 MB."""

    available: bool
    reason: str | None
    """Why there is no diff, such as a directory without git."""
    base: str | None
    digest: str | None
    """Stands for exactly these changes; `seen` of an approval. None when there is no diff."""
    text: str
    files: int
    additions: int
    deletions: int
    truncated: bool

    @classmethod
    def nothing(cls, reason: str) -> "DiffResponse":
        """The answer when there can be no diff."""
        return cls(
            available=False, reason=reason, base=None, digest=None, text="", files=0, additions=0, deletions=0,
            truncated=False,
        )


class ConflictItem(_Response):
    """An active run on a directory."""

    id: int
    title: str
    status: PipelineStatus


class ConflictList(_Response):
    """Runs that a new run on this directory would wait for, in their order."""

    real_path: str
    items: list[ConflictItem]

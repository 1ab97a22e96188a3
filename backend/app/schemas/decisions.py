"""Bodies of the decisions about a run."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.schemas.numbers import NUMBER_ONLY
from app.schemas.pipeline import MAX_PROMPT_BYTES, StepModels
from app.schemas.registry import MAX_STEPS
from app.schemas.text import FilledText, StorableText

Comment = Annotated[StorableText, StringConstraints(max_length=20_000)]
GateId = Annotated[int, Field(ge=1, lt=2**31), NUMBER_ONLY]
StepIndex = Annotated[int, Field(ge=0, lt=MAX_STEPS), NUMBER_ONLY]


class DecisionRequest(BaseModel):
    """Body of abort; optional. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore")

    comment: Comment | None = None


class GateRequest(DecisionRequest):
    """Body of reject; optional."""

    approval_id: GateId | None = None
    """The gate that was looked at: refused with 409 when another one is open by now. None means the open one."""


class ApproveRequest(GateRequest):
    """Body of approve; optional. `handoff` replaces what goes on, both versions are kept."""

    handoff: Annotated[FilledText, StringConstraints(max_length=MAX_PROMPT_BYTES)] | None = None
    step_models: StepModels | None = None
    """Other models for steps that are still to come, by index from 0."""
    seen: Annotated[StorableText, StringConstraints(max_length=100)] | None = None
    """The `digest` of the diff that was looked at: refused as `stale_diff` when the files differ by now."""


class ChangesRequest(BaseModel):
    """Body of request-changes: what shall change, and which step does it (default: the agent step before the gate)."""

    model_config = ConfigDict(extra="ignore")

    approval_id: GateId | None = None
    """As in approve."""
    comment: Annotated[FilledText, StringConstraints(max_length=20_000)]
    step: StepIndex | None = None


class RestartRequest(BaseModel):
    """Body of restart; optional. `step` is an index from 0 (default: the first step that is not done)."""

    model_config = ConfigDict(extra="ignore")

    step: StepIndex | None = None
    step_models: StepModels | None = None

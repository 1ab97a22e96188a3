"""The error tree: everything Paceline raises on purpose, with one stable code each.

PacelineError
├── RequestError            the caller can mend it (4xx)
│   ├── InvalidRequest      422 invalid_request
│   │   ├── UnknownTemplate · UnknownAgent · UnknownModel · AmbiguousModel · UnknownOpencodeAgent
│   │   └── InvalidStepModel · InvalidWorkingDir · InvalidBranch · BranchMismatch · IdempotencyMismatch
│   ├── Unauthorized 401 · ForbiddenOrigin 403 · NotFound 404 · MethodNotAllowed 405
│   └── StateConflict (StaleDiff) 409 · PayloadTooLarge 413 · UnsupportedMediaType 415 · MisdirectedHost 421
├── Unavailable             a part of the system is down; the same call works later (5xx)
│   ├── OpencodeUnavailable · DatabaseUnavailable (DatabaseTaken) · RegistryUnavailable   503
│   └── StorageFull 507
├── StepFailure             how a step ended without a result; stored on the step, never an HTTP answer
│   ├── ProviderError · EmptyOutput · Truncated · ContentFiltered · ModelMismatch · AgentMismatch
│   ├── TimedOut · Stalled · Runaway · RetriesExhausted · BudgetExceeded   (our own limits)
│   ├── OpencodeRefusal · Interrupted                  (what became of OpenCode itself)
│   └── RequestDenied · Rejected · WorkingDirMissing · InternalError
├── RetryScheduled          the step failed and waits for its next try; the segment ends
├── QueuePaused             no step may begin now; the run parks
└── StaleEpoch              another segment owns the run now; stop silently

`docs/errors.md` lists every code with its cure; a gate compares the two.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    """One wrong place in a request: a JSON pointer, a sentence, and what was probably meant."""

    pointer: str
    message: str
    candidates: tuple[str, ...] = ()


class PacelineError(Exception):
    """Base of the tree. `detail` is one sentence that says what to do next."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class RequestError(PacelineError):
    """The caller can mend it."""

    code = "bad_request"
    status = 400
    title = "Bad request"


class InvalidRequest(RequestError):
    """The body or a parameter does not fit; nothing was stored."""

    code = "invalid_request"
    status = 422
    title = "Invalid request"


class UnknownTemplate(InvalidRequest):
    """No template of that name is in the registry."""

    code = "unknown_template"
    title = "Unknown template"


class UnknownAgent(InvalidRequest):
    """No agent of that name is in the registry."""

    code = "unknown_agent"
    title = "Unknown agent"


class UnknownModel(InvalidRequest):
    """OpenCode lists no such model for the run's directory."""

    code = "unknown_model"
    title = "Unknown model"


class AmbiguousModel(InvalidRequest):
    """A bare model name exists at several providers."""

    code = "ambiguous_model"
    title = "Ambiguous model"


class UnknownOpencodeAgent(InvalidRequest):
    """The profile's `opencode_agent` is not an agent that OpenCode knows."""

    code = "unknown_opencode_agent"
    title = "Unknown OpenCode agent"


class InvalidStepModel(InvalidRequest):
    """A key of `step_models` is no agent step, or its value is blank."""

    code = "invalid_step_model"
    title = "Invalid step model"


class InvalidWorkingDir(InvalidRequest):
    """The directory does not exist, is no directory, or lies outside the allowed roots."""

    code = "invalid_working_dir"
    title = "Invalid working directory"


class InvalidBranch(InvalidRequest):
    """Not a branch name by git's own rules, or the directory is no git repository."""

    code = "invalid_branch"
    title = "Invalid branch"


class BranchMismatch(InvalidRequest):
    """The directory is on another branch than the run asks for."""

    code = "branch_mismatch"
    title = "Directory is on another branch"


class IdempotencyMismatch(InvalidRequest):
    """The `Idempotency-Key` belongs to another request already."""

    code = "idempotency_mismatch"
    title = "Idempotency key used before"


class Unauthorized(RequestError):
    """No or a wrong token."""

    code = "unauthorized"
    status = 401
    title = "Login needed"


class ForbiddenOrigin(RequestError):
    """A write with a cookie came from another origin."""

    code = "forbidden_origin"
    status = 403
    title = "Request from another origin"


class NotFound(RequestError):
    """No such thing."""

    code = "not_found"
    status = 404
    title = "Not found"


class MethodNotAllowed(RequestError):
    """The path exists, the method does not."""

    code = "method_not_allowed"
    status = 405
    title = "Method not allowed"


class StateConflict(RequestError):
    """The state of the run forbids it; `detail` names that state."""

    code = "state_conflict"
    status = 409
    title = "Not possible in this state"


class StaleDiff(StateConflict):
    """The files have changed since the person who approves was shown the changes."""

    code = "stale_diff"
    title = "Changed since it was shown"


class PayloadTooLarge(RequestError):
    """Body over 8 MB or prompt over 1 MB."""

    code = "payload_too_large"
    status = 413
    title = "Too large"


class UnsupportedMediaType(RequestError):
    """A body that is not declared as JSON."""

    code = "unsupported_media_type"
    status = 415
    title = "JSON expected"


class MisdirectedHost(RequestError):
    """The Host header is not on the allow-list."""

    code = "misdirected_host"
    status = 421
    title = "Unknown host name"


class Unavailable(PacelineError):
    """A part of the system is down; the same call works later."""

    code = "unavailable"
    status = 503
    title = "Not available now"


class OpencodeUnavailable(Unavailable):
    """OpenCode does not answer, or answers something that is not its API."""

    code = "opencode_unavailable"
    title = "OpenCode is not available"


class DatabaseUnavailable(Unavailable):
    """The database is locked, read-only or gone."""

    code = "database_unavailable"
    title = "The database is not available"


class DatabaseTaken(DatabaseUnavailable):
    """Another server works on the database and cannot share it with this one."""


class RegistryUnavailable(Unavailable):
    """The registry files were never readable since the start."""

    code = "registry_unavailable"
    title = "The registry could not be loaded"


class StorageFull(Unavailable):
    """No space left for the database, or for a directory of Paceline's own."""

    code = "storage_full"
    status = 507
    title = "No space left"


class StepFailure(PacelineError):
    """How a step ended without a result. `detail` is what the run page shows."""

    code = "step_failed"
    title = "Step failed"
    may_pass = True
    """False when the same prompt would meet the same end, whatever the step's policy says about its code."""
    again_in: float = 0
    """Seconds until the provider wants to be asked again, if it said so."""


class ProviderError(StepFailure):
    """The provider refused or broke; `detail` holds its own words and status."""

    code = "provider_error"

    def __init__(self, detail: str, *, may_pass: bool = True) -> None:
        """`may_pass` is False for a mistake of ours: a wrong key, an unknown model, a prompt that is too long."""
        super().__init__(detail)
        self.may_pass = may_pass


class EmptyOutput(StepFailure):
    """The answer has no text of its own."""

    code = "empty_output"


class Truncated(StepFailure):
    """The answer ended at the model's output limit (`finish: length`)."""

    code = "truncated"


class ContentFiltered(StepFailure):
    """The provider's content filter ended the answer."""

    code = "content_filtered"


class ModelMismatch(StepFailure):
    """Another model answered than the one that was asked."""

    code = "model_mismatch"


class AgentMismatch(StepFailure):
    """Another OpenCode agent answered than the one that was asked."""

    code = "agent_mismatch"


class TimedOut(StepFailure):
    """The step's wall clock ran out."""

    code = "timed_out"


class Stalled(StepFailure):
    """A model call was open and nothing came for too long."""

    code = "stalled"


class Runaway(StepFailure):
    """Too many model calls, or several in a row without a proper end."""

    code = "runaway"


class RetriesExhausted(StepFailure):
    """The provider's retries would take, or took, longer than allowed."""

    code = "retries_exhausted"

    def __init__(self, detail: str, *, again_in: float = 0) -> None:
        super().__init__(detail)
        self.again_in = again_in


class BudgetExceeded(StepFailure):
    """The run's known cost passed PACELINE_MAX_COST_USD."""

    code = "budget"


class RequestDenied(StepFailure):
    """A denied permission or question ended the turn without an answer."""

    code = "denied"


class OpencodeRefusal(StepFailure):
    """OpenCode answers, and says no to what the step needs; `detail` holds its own words."""

    code = "opencode_refused"


class Interrupted(StepFailure):
    """OpenCode went away or the turn was aborted from outside."""

    code = "interrupted"


class Rejected(StepFailure):
    """A person rejected the gate."""

    code = "rejected"


class WorkingDirMissing(StepFailure):
    """The run's directory vanished, or is no longer on the run's branch."""

    code = "working_dir_missing"


class InternalError(StepFailure):
    """A defect of ours; the log has the traceback."""

    code = "internal_error"


class RetryScheduled(PacelineError):
    """The step's attempt failed and the next one is enqueued, under a higher epoch: write nothing, return."""

    code = "waiting_for_retry"
    title = "Waiting for the next try"


class QueuePaused(PacelineError):
    """The queue is paused: the step does not begin, its run waits in a row."""

    code = "queue_paused"
    title = "Queue paused"


class StaleEpoch(PacelineError):
    """Another segment owns the run now: write nothing, stop nothing, return."""

    code = "stale_epoch"
    title = "Superseded"

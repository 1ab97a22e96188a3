"""Decides what a turn was: `done` only with a finished, non-empty answer by the right model and agent."""

from app.errors import (
    AgentMismatch,
    ContentFiltered,
    EmptyOutput,
    Interrupted,
    ModelMismatch,
    ProviderError,
    RequestDenied,
    StepFailure,
    Truncated,
)
from app.schemas.runtime import MessageResponse, TurnError

_ERRORS: dict[str, type[StepFailure]] = {
    "ContentFilterError": ContentFiltered,
    "MessageAbortedError": Interrupted,
    "MessageOutputLengthError": Truncated,
}
_LASTING = frozenset({"ContextOverflowError", "ProviderAuthError", "StructuredOutputError"})
"""Errors of the provider that the same prompt would meet again."""
_PASSING = frozenset({408, 409, 425, 429})
"""Answers below 500 that are no mistake of the caller."""
_ENDINGS: dict[str, tuple[type[StepFailure], str]] = {
    "length": (Truncated, "The answer was cut off at the model's output limit. Use a model with a larger one."),
    "content-filter": (ContentFiltered, "The provider's content filter ended the answer."),
}


def accepted_text(response: MessageResponse, *, agent: str, model: str | None) -> str:
    """The answer's text if the turn is `done`; otherwise raises the StepFailure that names the reason.

    `model` is `provider/model` as resolved, or None when none was asked; a name without provider
    (resolved by the runtime itself) is compared by its model part.
    """
    if response.error is not None:
        raise _failure_of(response.error)
    _check_ran_as_asked(response, agent, model)
    if response.finish == "stop":
        if not response.text.strip():
            raise EmptyOutput("The model finished without writing an answer. Restart, or choose another model.")
        return response.text
    if response.finish in _ENDINGS:
        failure, sentence = _ENDINGS[response.finish]
        raise failure(sentence)
    if response.denied_requests:
        asked = "; ".join(response.denied_requests)
        raise RequestDenied(f"The agent stopped after a request was denied: {asked}.")
    raise Interrupted(f"The turn ended without a finished answer (finish: {response.finish or 'none'}).")


def _failure_of(error: TurnError) -> StepFailure:
    failure = _ERRORS.get(error.name, ProviderError)
    if failure is Interrupted:
        return Interrupted("The session was aborted from outside Paceline.")
    status = f" (HTTP {error.status_code})" if error.status_code else ""
    said = f"{error.name}: {error.message}{status}"
    return ProviderError(said, may_pass=_may_pass(error)) if failure is ProviderError else failure(said)


def _may_pass(error: TurnError) -> bool:
    if error.name in _LASTING:
        return False
    if error.status_code is None:
        return error.retryable is not False
    return error.status_code >= 500 or error.status_code in _PASSING


def _check_ran_as_asked(response: MessageResponse, agent: str, model: str | None) -> None:
    used = response.used_model
    if model is not None and used is not None:
        same = used == model if "/" in model else used.partition("/")[2] == model
        if not same:
            raise ModelMismatch(f"{model} was asked, but {used} answered. Check the agent's own model in OpenCode.")
    if response.agent is not None and response.agent != agent:
        raise AgentMismatch(f"The agent {agent} was asked, but {response.agent} answered.")

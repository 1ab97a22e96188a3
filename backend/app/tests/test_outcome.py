"""Which turn is `done` and which is what kind of failure; what a person reads about it."""

from typing import Any

import pytest

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
from app.services.outcome import accepted_text


def turn(**fields: Any) -> MessageResponse:
    """A good turn unless told."""
    values: dict[str, Any] = {"session_id": "s", "message_id": "m", "text": "An answer.", "finish": "stop"}
    return MessageResponse(**(values | {"agent": "build", "used_model": "p/m/x"} | fields))


def test_a_finished_answer_is_done() -> None:
    assert accepted_text(turn(), agent="build", model="p/m/x") == "An answer."


@pytest.mark.parametrize("asked", [None, "m/x"])
def test_no_model_or_a_bare_name_accepts_what_opencode_chose(asked: str | None) -> None:
    # A bare name with slashes cannot be told from provider/model, so it is compared as such.
    if asked is None:
        assert accepted_text(turn(), agent="build", model=None)
    assert accepted_text(turn(used_model="p/gpt-4o"), agent="build", model="gpt-4o")


@pytest.mark.parametrize(
    ("fields", "failure", "words"),
    [
        ({"text": " \n"}, EmptyOutput, "without writing"),
        ({"finish": "length"}, Truncated, "cut off"),
        ({"finish": "content-filter"}, ContentFiltered, "filter"),
        ({"finish": None}, Interrupted, "none"),
        ({"finish": "unknown"}, Interrupted, "unknown"),
        ({"finish": "tool-calls", "denied_requests": ("bash: rm -rf /",)}, RequestDenied, "rm -rf /"),
        ({"finish": "tool-calls"}, Interrupted, "tool-calls"),
        ({"used_model": "p/other"}, ModelMismatch, "p/other answered"),
        ({"used_model": "q/m/x"}, ModelMismatch, "q/m/x"),
        ({"agent": "plan"}, AgentMismatch, "plan"),
        ({"error": TurnError(name="MessageAbortedError", message="Aborted")}, Interrupted, "outside"),
        ({"error": TurnError(name="ContentFilterError", message="no")}, ContentFiltered, "no"),
        ({"error": TurnError(name="MessageOutputLengthError", message="long")}, Truncated, "long"),
        ({"error": TurnError(name="APIError", message="quota", status_code=429)}, ProviderError, "quota (HTTP 429)"),
        ({"error": TurnError(name="ContextOverflowError", message="too long")}, ProviderError, "too long"),
        ({"error": TurnError(name="SomethingNew", message="?")}, ProviderError, "SomethingNew"),
    ],
)
def test_everything_else_is_a_failure_with_a_reason(
    fields: dict[str, Any], failure: type[StepFailure], words: str
) -> None:
    with pytest.raises(failure) as raised:
        accepted_text(turn(**fields), agent="build", model="p/m/x")
    assert words in raised.value.detail

"""A step's own limits and retry policy: what may stand in a template, what holds over the settings, who tries again."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from app.errors import (
    AgentMismatch,
    BudgetExceeded,
    ContentFiltered,
    EmptyOutput,
    InternalError,
    Interrupted,
    ModelMismatch,
    PacelineError,
    ProviderError,
    RequestDenied,
    RetriesExhausted,
    Runaway,
    Stalled,
    TimedOut,
    Truncated,
    UnknownModel,
    UnknownOpencodeAgent,
    WorkingDirMissing,
)
from app.schemas.registry import AgentStep
from app.schemas.runtime import MessageResponse, StepLimits, TurnError
from app.schemas.step_policy import RetryPolicy
from app.services.outcome import accepted_text
from app.services.retries import pause_before_next


def step(**fields: Any) -> AgentStep:
    """An agent step with a policy."""
    return AgentStep.model_validate({"agent": "developer", **fields})


@pytest.mark.parametrize(
    ("own", "place"),
    [
        ({"limits": {"timeout_seconds": 0}}, "timeout_seconds"),
        ({"limits": {"timeout_seconds": 8 * 86_400}}, "timeout_seconds"),
        ({"limits": {"silence_seconds": -1}}, "silence_seconds"),
        ({"limits": {"silence_seconds": float("nan")}}, "silence_seconds"),
        ({"limits": {"max_model_calls": 0}}, "max_model_calls"),
        ({"limits": {"max_model_calls": 2.5}}, "max_model_calls"),
        ({"limits": {"retry_total_seconds": "60"}}, "retry_total_seconds"),
        ({"limits": {"timeout": 5}}, "timeout"),
        ({"retry": {"attempts": 0}}, "attempts"),
        ({"retry": {"attempts": 11}}, "attempts"),
        ({"retry": {"attempts": True}}, "attempts"),
        ({"retry": {"backoff_seconds": 100_000}}, "backoff_seconds"),
        ({"retry": {"backoff_seconds": 60, "max_backoff_seconds": 5}}, "max_backoff_seconds must not be less"),
        ({"retry": {"on": []}}, "on"),
        ({"retry": {"on": ["truncated"]}}, "on"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(own: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as refused:
        step(**own)
    assert place in str(refused.value)


def test_what_a_step_leaves_out_comes_from_the_settings() -> None:
    settings = StepLimits(wall_clock=100, silence=10, model_calls=5, retry_total=7, budget_usd=1)
    own = step(limits={"silence_seconds": 60, "retry_total_seconds": 0}).limits
    assert own is not None
    assert own.over(settings) == StepLimits(wall_clock=100, silence=60, model_calls=5, retry_total=0, budget_usd=1)

    own_retry = step(retry={"attempts": 4, "on": ["stalled"]}).retry
    assert own_retry is not None
    policy = RetryPolicy(attempts=2, backoff=3, longest_pause=9).under(own_retry)
    assert policy == RetryPolicy(attempts=4, backoff=3, longest_pause=9, outcomes=frozenset({"stalled"}))


def test_a_step_can_switch_the_retries_of_the_settings_off() -> None:
    own = step(retry={"attempts": 1}).retry
    assert own is not None
    assert RetryPolicy(attempts=5).under(own).pause_after(1, "stalled") is None


def test_pauses_double_up_to_the_longest_one() -> None:
    policy = RetryPolicy(attempts=6, backoff=10, longest_pause=60)
    pauses = [policy.pause_after(tries, "stalled") for tries in range(1, 7)]
    assert pauses == [*(timedelta(seconds=seconds) for seconds in (10, 20, 40, 60, 60)), None]


def test_a_pause_that_was_asked_for_is_not_cut_by_a_default() -> None:
    own = step(retry={"attempts": 3, "backoff_seconds": 3600}).retry
    assert own is not None
    assert RetryPolicy().under(own).pause_after(2, "stalled") == timedelta(hours=1)


@pytest.mark.parametrize(
    "failure",
    [Interrupted("x"), Stalled("x"), TimedOut("x"), ProviderError("x"), EmptyOutput("x"), RetriesExhausted("x")],
)
def test_what_may_pass_is_tried_again(failure: PacelineError) -> None:
    assert pause_before_next(RetryPolicy(attempts=2, backoff=0), failure, 1) == timedelta(0)
    assert pause_before_next(RetryPolicy(attempts=2, backoff=0), failure, 2) is None
    assert pause_before_next(RetryPolicy(), failure, 1) is None, "nothing costs money twice unless asked for"


@pytest.mark.parametrize(
    "failure",
    [
        RequestDenied("x"), ContentFiltered("x"), ModelMismatch("x"), AgentMismatch("x"), Runaway("x"), Truncated("x"),
        BudgetExceeded("x"), UnknownModel("x"), UnknownOpencodeAgent("x"), WorkingDirMissing("x"), InternalError("x"),
    ],
)  # fmt: skip
def test_what_would_come_again_is_never_tried_again(failure: PacelineError) -> None:
    assert pause_before_next(RetryPolicy(attempts=10), failure, 1) is None


def test_the_next_try_waits_as_long_as_the_provider_asks_but_not_for_ever() -> None:
    policy = RetryPolicy(attempts=3, backoff=10, longest_pause=600)
    assert pause_before_next(policy, RetriesExhausted("x", again_in=90), 1) == timedelta(seconds=90)
    assert pause_before_next(policy, RetriesExhausted("x", again_in=86_400), 1) is None


@pytest.mark.parametrize(
    ("error", "again"),
    [
        ({"name": "APIError", "status_code": 400}, False),
        ({"name": "APIError", "status_code": 401}, False),
        ({"name": "APIError", "status_code": 403, "retryable": True}, False),
        ({"name": "APIError", "status_code": 404}, False),
        ({"name": "APIError", "status_code": 408}, True),
        ({"name": "APIError", "status_code": 429}, True),
        ({"name": "APIError", "status_code": 500}, True),
        ({"name": "APIError", "status_code": 529, "retryable": False}, True),
        ({"name": "APIError", "retryable": False}, False),
        ({"name": "UnknownError"}, True),
        ({"name": "ContextOverflowError"}, False),
        ({"name": "ProviderAuthError"}, False),
    ],
)
def test_a_mistake_of_the_caller_is_not_sent_to_the_provider_again(error: dict[str, Any], again: bool) -> None:
    turn = MessageResponse(session_id="s", message_id="m", error=TurnError(message="no", **error))
    with pytest.raises(ProviderError) as raised:
        accepted_text(turn, agent="build", model=None)
    assert (pause_before_next(RetryPolicy(attempts=2), raised.value, 1) is not None) is again

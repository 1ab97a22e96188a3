"""What a step may set for itself: where it is cut off, and how often it is tried. Settings hold for the rest."""

from datetime import timedelta
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.schemas.numbers import WHOLE_NUMBER_ONLY
from app.schemas.runtime import StepLimits

RetryOutcome = Literal["interrupted", "stalled", "timed_out", "provider_error", "retries_exhausted", "empty_output"]
"""Ends of a step behind which the same prompt may succeed. Every other one would come again, or was a decision."""
RETRY_OUTCOMES: frozenset[str] = frozenset(get_args(RetryOutcome))

MAX_ATTEMPTS = 10
MAX_CALLS = 10_000
DAY = 86_400
LONGEST_PAUSE = 600.0
"""Where doubling ends, unless a step says otherwise."""

Seconds = Annotated[float, Field(gt=0, le=7 * DAY, allow_inf_nan=False, strict=True)]
SecondsOrNone = Annotated[float, Field(ge=0, le=7 * DAY, allow_inf_nan=False, strict=True)]
Pause = Annotated[float, Field(ge=0, le=DAY, allow_inf_nan=False, strict=True)]


class _Policy(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsOfStep(_Policy):
    """Limits of one step; what is left out comes from the settings."""

    timeout_seconds: Seconds | None = None
    """Wall clock of one attempt."""
    silence_seconds: Seconds | None = None
    """Silence while a model call is open."""
    max_model_calls: Annotated[int, Field(ge=1, le=MAX_CALLS), WHOLE_NUMBER_ONLY] | None = None
    retry_total_seconds: SecondsOrNone | None = None
    """Time that the provider's own retries may take in one attempt."""

    def over(self, settings: StepLimits) -> StepLimits:
        """The limits that hold: these, and the settings for the rest."""
        own = {
            "wall_clock": self.timeout_seconds,
            "silence": self.silence_seconds,
            "model_calls": self.max_model_calls,
            "retry_total": self.retry_total_seconds,
        }
        return settings.model_copy(update={name: value for name, value in own.items() if value is not None})


class RetryOfStep(_Policy):
    """How often one step is tried, and how long it waits between; what is left out comes from the settings."""

    attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS), WHOLE_NUMBER_ONLY] | None = None
    """Tries in all, the first one included."""
    backoff_seconds: Pause | None = None
    """Pause before the second try; it doubles for each further one."""
    max_backoff_seconds: Pause | None = None
    """Where doubling ends."""
    on: Annotated[tuple[RetryOutcome, ...], Field(min_length=1)] | None = None
    """The outcomes behind which it is tried again; all that make sense unless told."""

    @model_validator(mode="after")
    def _pause_below_its_end(self) -> Self:
        first, longest = self.backoff_seconds, self.max_backoff_seconds
        if first is not None and longest is not None and first > longest:
            raise ValueError("max_backoff_seconds must not be less than backoff_seconds")
        return self


class RetryPolicy(_Policy):
    """What holds for a step: its own retry over the settings."""

    attempts: int = 1
    backoff: float = 10
    longest_pause: float = LONGEST_PAUSE
    outcomes: frozenset[str] = RETRY_OUTCOMES

    def under(self, own: RetryOfStep) -> "RetryPolicy":
        """The policy with what a step sets for itself."""
        backoff = self.backoff if own.backoff_seconds is None else own.backoff_seconds
        # A pause that was asked for is never cut by a default.
        longest = max(self.longest_pause, backoff) if own.max_backoff_seconds is None else own.max_backoff_seconds
        return RetryPolicy(
            attempts=own.attempts or self.attempts,
            backoff=min(backoff, longest),
            longest_pause=longest,
            outcomes=self.outcomes if own.on is None else frozenset(own.on),
        )

    def pause_after(self, tries: int, code: str, *, wanted: float = 0) -> timedelta | None:
        """How long to wait after `tries` failed ones, the last with `code`; None when there is no further try.

        `wanted` is when the provider wants to be asked again: later than the longest pause is never.
        """
        if tries >= self.attempts or code not in self.outcomes or wanted > self.longest_pause:
            return None
        doubled = self.backoff * 2.0 ** min(tries - 1, MAX_ATTEMPTS)
        return timedelta(seconds=max(min(doubled, self.longest_pause), wanted))

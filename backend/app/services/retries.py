"""What a step of a run may do before it is cut off, and whether it is tried again: its own policy over the settings."""

from datetime import timedelta

from app.errors import PacelineError, StepFailure
from app.models import Step
from app.schemas.runtime import StepLimits
from app.schemas.step_policy import LimitsOfStep, RetryOfStep, RetryPolicy


def limits_of(step: Step, settings: StepLimits) -> StepLimits:
    """The limits of each attempt at the step, as they were when the run was created, over the settings of now."""
    return LimitsOfStep.model_validate(step.limits or {}).over(settings)


def policy_of(step: Step, settings: RetryPolicy) -> RetryPolicy:
    """The retry policy of the step, as it was when the run was created, over the settings of now."""
    return settings.under(RetryOfStep.model_validate(step.retry or {}))


def pause_before_next(policy: RetryPolicy, failure: PacelineError, tries: int) -> timedelta | None:
    """How long to wait until the next try after this failure; None when there is none.

    A refusal of the request (an unknown model, say) is no StepFailure and never tried again.
    """
    if not isinstance(failure, StepFailure) or not failure.may_pass:
        return None
    return policy.pause_after(tries, failure.code, wanted=failure.again_in)

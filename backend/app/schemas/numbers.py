"""Numbers as JSON Schema has them: 3.0 is an integer; "3" and true, which pydantic would take, are none."""

from pydantic import BeforeValidator


def _number(value: object) -> object:
    if isinstance(value, str | bool):
        raise ValueError("must be a number")
    return value


def _whole_number(value: object) -> object:
    if isinstance(value, str | bool):
        raise ValueError("must be a whole number")
    return value


NUMBER_ONLY = BeforeValidator(_number)
"""Last in an `Annotated`: in front of a limit it would keep it out of the OpenAPI document."""
WHOLE_NUMBER_ONLY = BeforeValidator(_whole_number)
"""The same for an integer, in its own words."""

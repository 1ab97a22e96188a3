"""What every refusal is on the wire: a problem document (RFC 9457)."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def _left_out(schema: dict[str, Any]) -> None:
    """Without candidates there is no such key."""
    schema.pop("default")


class ProblemPlace(BaseModel):
    """One wrong place in a request: a JSON pointer, a sentence, and sometimes what was probably meant."""

    model_config = ConfigDict(extra="forbid")

    pointer: str
    message: str
    candidates: list[str] | None = Field(default=None, json_schema_extra=_left_out)


class Problem(BaseModel):
    """`code` is stable, `detail` is one sentence that says what to do next."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[ProblemPlace]

"""Text that every database can store: no NUL, no half of a surrogate pair."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints


def storable(value: str) -> str:
    """The value itself; ValueError for characters that PostgreSQL or UTF-8 cannot hold."""
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("must not contain half of a surrogate pair") from error
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


# The patterns only tell readers of the OpenAPI document what the functions check.
_STORABLE = Field(json_schema_extra={"pattern": "^[^\\u0000]*$"})
_FILLED = Field(json_schema_extra={"pattern": "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$"})

StorableText = Annotated[str, AfterValidator(storable), _STORABLE]
FilledText = Annotated[str, AfterValidator(storable), AfterValidator(_not_blank), _FILLED]
Line = Annotated[str, StringConstraints(max_length=300), AfterValidator(storable), AfterValidator(_not_blank), _FILLED]

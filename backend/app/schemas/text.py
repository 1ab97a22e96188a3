"""Text that every database can store: no NUL, no half of a surrogate pair."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints


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


StorableText = Annotated[str, AfterValidator(storable)]
FilledText = Annotated[str, AfterValidator(storable), AfterValidator(_not_blank)]
Line = Annotated[str, StringConstraints(max_length=300), AfterValidator(storable), AfterValidator(_not_blank)]

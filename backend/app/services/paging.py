"""Keyset pages: newest first by id, the cursor is the last id seen."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from app.errors import FieldError, InvalidRequest

_MAX_ID = 2**63 - 1


class HasId(Protocol):
    """A row with an integer key."""

    id: int


Row = TypeVar("Row", bound=HasId)


def before_id(cursor: str | None) -> int:
    """The id that a page ends before; InvalidRequest for a cursor that we did not give out."""
    if cursor is None:
        return _MAX_ID
    if not (cursor.isascii() and cursor.isdigit()) or int(cursor) > _MAX_ID:
        detail = "The cursor is not one that a page of this list named as next_cursor."
        raise InvalidRequest(detail, (FieldError("/cursor", detail),))
    return int(cursor)


def cut_page(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], str | None]:
    """The page out of `limit + 1` rows, and the cursor of the next one if there is one."""
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, str(page[-1].id)

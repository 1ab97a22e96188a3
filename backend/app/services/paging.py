"""Keyset pages: newest first by id, the cursor is the last id seen."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from sqlalchemy import BigInteger, ColumnElement, literal, true
from sqlalchemy.orm import InstrumentedAttribute

from app.errors import FieldError, InvalidRequest

_MAX_ID = 2**63 - 1


class HasId(Protocol):
    """A row with an integer key."""

    id: int


Row = TypeVar("Row", bound=HasId)


def older_than(column: InstrumentedAttribute[int], cursor: str | None) -> ColumnElement[bool]:
    """What a page's rows fulfil; InvalidRequest for a cursor that we did not give out."""
    if cursor is None:
        return true()
    if not (cursor.isascii() and cursor.isdigit()) or int(cursor) > _MAX_ID:
        detail = "The cursor is not one that a page of this list named as next_cursor."
        raise InvalidRequest(detail, (FieldError("/cursor", detail),))
    # A big one whatever the column is: PostgreSQL refuses to compare an integer with a larger number.
    return column < literal(int(cursor), BigInteger)


def cut_page(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], str | None]:
    """The page out of `limit + 1` rows, and the cursor of the next one if there is one."""
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, str(page[-1].id)

"""Sums of money as people read them: short, and never a false 0."""

import pytest

from app.schemas.money import dollars


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"), (2, "$2.00"), (0.25, "$0.25"), (1234.5, "$1234.50"), (1.00421, "$1.0042"), (0.0004, "$0.0004"),
        (0.00002, "$0.00002"), (0.0000034, "$0.000003"),
    ],
)  # fmt: skip
def test_sums_of_money(amount: float, text: str) -> None:
    assert dollars(amount) == text

"""Sums of money as people read them."""

_DIGITS = 4
_MOST_DIGITS = 12


def dollars(amount: float) -> str:
    """`$0.25`, `$1.0042`: two to four digits after the point, more where those alone would be a false 0."""
    digits = _DIGITS
    while amount > 0 and round(amount, digits) == 0 and digits < _MOST_DIGITS:
        digits += 1
    whole, _, part = f"{amount:.{digits}f}".partition(".")
    return f"${whole}.{part.rstrip('0').ljust(2, '0')}"

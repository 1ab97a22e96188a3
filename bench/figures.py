"""Medians and tables of what was measured, and the line that says whether a goal was met."""

import os
import platform
import sqlite3
from collections.abc import Sequence
from statistics import median


def machine() -> str:
    """What the figures were made on, in one line."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), load {load}; {platform.system()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as they need to be, numbers to the right of the first one."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        others = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join([line[0].ljust(widths[0]), *others]).rstrip())
    print()


def spread(values: Sequence[float], unit: str = "ms", factor: float = 1000) -> str:
    """`median (smallest to largest)`."""
    low, middle, high = (value * factor for value in (min(values), median(values), max(values)))
    return f"{middle:.0f} {unit} ({low:.0f} to {high:.0f})"


def goal(what: str, value: float, limit: float, unit: str = "") -> None:
    """Print a goal with its result."""
    word = "met" if value <= limit else "MISSED"
    print(f"goal {what}: at most {limit:g}{unit}, measured {value:.2f}{unit}: {word}")

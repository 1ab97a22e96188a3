"""What commands print: data on standard output, everything else on standard error."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

from app.schemas.money import dollars

# Everything that could move a terminal's cursor or colour, and marks that reverse the reading direction.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # tab and newline stay
)


def clean(text: str) -> str:
    """Text of others (titles, agents' words, files) without what a terminal would act on."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def say(text: str) -> None:
    """A line of progress, on standard error, at once."""
    sys.stderr.write(clean(text) + "\n")
    sys.stderr.flush()


def put(text: str) -> None:
    """A line of data, on standard output, at once; never longer or shorter than it is."""
    typer.echo(clean(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def put_json(value: Any) -> None:
    """The API's own answer."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def put_table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
    """A table for people on a terminal; elsewhere the same, tab-separated, for `cut` and `awk`."""
    if not sys.stdout.isatty():
        for row in [headings, *rows]:
            typer.echo("\t".join(_cell(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(cell)) for cell in row))
    Console(highlight=False).print(table)


def _cell(text: str) -> str:
    return clean(text).replace("\t", " ").replace("\n", " ")


def ago(moment: str | None) -> str:
    """How long ago a time of the API was: 12 s, 5 min, 3 h, 8 d."""
    if moment is None:
        return "-"
    return span((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())


def until(moment: str) -> str:
    """How long from now to a time of the API; 0 s when it is over."""
    return span((datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds())


def span(seconds: float) -> str:
    """A duration with one unit, as short as it can be said."""
    whole = max(0, round(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= 2 * size or (whole >= size and unit != "min"):
            return f"{whole // size} {unit}"
    return f"{whole} s"


def money(cost: float | None) -> str:
    """A cost in USD; a dash where it is unknown, never a false 0."""
    return "-" if cost is None else dollars(cost)


def count(number: int) -> str:
    """A number of tokens: 950, 12.3k, 4.1M."""
    if number < 1000:
        return str(number)
    return f"{number / 1000:.1f}k" if number < 1_000_000 else f"{number / 1_000_000:.1f}M"

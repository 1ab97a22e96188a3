"""What `paceline doctor` says about one thing it looked at."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One line of the report: `note` is worth knowing, `fault` keeps runs from working."""

    subject: str
    state: Literal["ok", "note", "fault"]
    detail: str
    fix: str | None = None


def ok(subject: str, detail: str) -> Finding:
    """As it should be."""
    return Finding(subject, "ok", detail)


def note(subject: str, detail: str, fix: str | None = None) -> Finding:
    """Not wrong, but perhaps not what was wanted."""
    return Finding(subject, "note", detail, fix)


def fault(subject: str, detail: str, fix: str) -> Finding:
    """Wrong, with what to do."""
    return Finding(subject, "fault", detail, fix)

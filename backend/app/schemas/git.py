"""What git says about a directory, free of how it was asked."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GitState:
    """What git says about a directory; all None when it is no repository."""

    is_repository: bool
    branch: str | None = None
    """Checked-out branch, None when detached."""
    commit: str | None = None
    dirty_files: int = 0
    problem: str | None = None
    """Git's own words when a repository is there but cannot be read, such as one of another owner."""


@dataclass(frozen=True)
class GitDiff:
    """A unified diff against a commit, untracked files included; cut at `limit` bytes."""

    base: str | None
    digest: str
    """The same as long as the difference is; lines beyond a cut count by their number in each file."""
    text: str
    files: int
    additions: int
    deletions: int
    truncated: bool

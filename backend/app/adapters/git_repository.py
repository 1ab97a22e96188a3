"""Reads a git repository for the services: state, branch names and the difference to a commit. Never writes to it."""

import asyncio
import re
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from app.adapters.git_commands import GitAnswer, GitCommands
from app.adapters.git_index import EMPTY_TREE, PrivateIndex
from app.errors import NotFound, PacelineError, Unavailable
from app.schemas.git import GitDiff, GitState

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_DIFF = (
    "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--find-renames", "--no-relative",
    "--src-prefix=a/", "--dst-prefix=b/", "--ignore-submodules=dirty", "--submodule=short",
)  # fmt: skip
_STATUS = ("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=dirty")
_RUNNING_FILTERS = re.compile(r"filter\..*\.(clean|smudge|process|required)", re.DOTALL)


class GitRepository:
    """Implements `services.ports.GitReader` with the git on PATH."""

    def __init__(self, ceilings: Sequence[Path] = ()) -> None:
        """`ceilings`: folders (the workspaces) whose contents never belong to a repository around them."""
        self._git = GitCommands(ceilings)

    async def state(self, directory: str) -> GitState:
        """Branch, commit and number of changed files; not a repository when git says so, with its reason."""
        inside = await self._git.run(directory, "rev-parse", "--is-inside-work-tree")
        if inside.code != 0 or inside.line != "true":
            reason = None if "not a git repository" in inside.error or inside.code == 0 else inside.complaint
            return GitState(is_repository=False, problem=reason)
        variables = await self._without_filters(directory)
        branch, commit, status = await asyncio.gather(
            self._git.run(directory, "symbolic-ref", "--quiet", "--short", "HEAD"),
            self._git.run(directory, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"),
            self._git.run(directory, *_STATUS, variables=variables),
        )
        if status.code != 0:
            raise Unavailable(f"git cannot read {directory}: {status.complaint}.")
        return GitState(
            is_repository=True,
            branch=branch.line if branch.code == 0 else None,
            commit=commit.line if commit.code == 0 else None,
            dirty_files=status.output.count(b"\0"),
        )

    async def commit(self, directory: str) -> str | None:
        """The commit that is checked out; None when there is none or git cannot say. One process, never raises."""
        try:
            answer = await self._git.run(directory, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except PacelineError:
            return None
        return answer.line if answer.code == 0 else None

    async def is_branch_name(self, name: str) -> bool:
        """Git's own rules for branch names; nothing that could be an option or an expression gets near it."""
        if not name.isprintable() or name.startswith("-") or "@{" in name:
            return False
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            return False
        answer = await self._git.run("/", "check-ref-format", "--branch", name)
        return answer.code == 0 and answer.line == name

    async def diff(self, directory: str, base: str | None, limit: int) -> GitDiff:
        """Everything in the working tree that differs from `base`, untracked files included, ignored ones not.

        Without `base` everything is new. The whole repository counts, also when the directory is
        only a part of it. `text` has at most `limit` bytes and ends with a whole line; the counts
        are always those of the whole difference. Raises NotFound for no repository or no such commit.
        """
        top, object_format = await self._top(directory)
        variables = await self._without_filters(top)
        if base is not None:
            await self._check_commit(top, base)
        tree = base or EMPTY_TREE[object_format]
        with tempfile.TemporaryDirectory(prefix="paceline-git-", ignore_cleanup_errors=True) as folder:
            index = PrivateIndex(self._git, top, Path(folder), variables)
            await index.fill(object_format)
            patch, numbers = await asyncio.gather(
                self._git.run(top, *_DIFF, "--unified=3", tree, "--", variables=index.variables, limit=limit),
                self._git.run(top, *_DIFF, "--numstat", "-z", tree, "--", variables=index.variables),
            )
        for answer in (patch, numbers):
            if answer.code != 0:
                raise Unavailable(f"git cannot compare {top}: {answer.complaint}.")
        files, additions, deletions = _counts(numbers.output)
        truncated = patch.truncated or not index.complete
        digest = sha256(b"\0".join([tree.encode(), patch.output, numbers.output])).hexdigest()
        return GitDiff(base, digest, _text(patch, limit), files, additions, deletions, truncated)

    async def _top(self, directory: str) -> tuple[str, str]:
        top = await self._git.run(directory, "rev-parse", "--show-toplevel")
        object_format = await self._git.run(directory, "rev-parse", "--show-object-format")
        if top.code != 0 or object_format.line not in EMPTY_TREE:
            raise NotFound(f"{directory} is no git repository: {top.complaint}.")
        return top.line, object_format.line

    async def _check_commit(self, top: str, base: str) -> None:
        if _COMMIT.fullmatch(base):
            found = await self._git.run(top, "cat-file", "-e", f"{base}^{{commit}}")
            if found.code == 0:
                return
        raise NotFound(f"The commit {base[:64]!r} does not exist in {top} (any more).")

    async def _without_filters(self, directory: str) -> dict[str, str]:
        """Variables that empty the programs named by the repository's own filters.

        An agent that may write files could name any program there, and git would start it for us.
        Filters of the user's own configuration (git-lfs) stay as they are.
        """
        listed = await self._git.run(directory, "config", "--list", "--show-scope", "--name-only", "-z")
        words = listed.output.decode("utf-8", errors="surrogateescape").split("\0")
        keys = sorted({
            key
            for scope, key in zip(words[::2], words[1::2], strict=False)
            if scope in ("local", "worktree") and _RUNNING_FILTERS.fullmatch(key)
        })  # fmt: skip
        variables = {"GIT_CONFIG_COUNT": str(len(keys))}
        for number, key in enumerate(keys):
            variables[f"GIT_CONFIG_KEY_{number}"] = key
            variables[f"GIT_CONFIG_VALUE_{number}"] = "false" if key.endswith(".required") else ""
        return variables if keys else {}


def _counts(numstat: bytes) -> tuple[int, int, int]:
    """Files, added and deleted lines; binary files have no lines."""
    files = additions = deletions = 0
    fields = iter(numstat.split(b"\0"))
    for field in fields:
        if not field:
            continue
        added, deleted, path = field.split(b"\t", 2)
        if not path:
            # A rename: the old and the new name follow.
            next(fields)
            next(fields)
        files += 1
        additions += 0 if added == b"-" else int(added)
        deletions += 0 if deleted == b"-" else int(deleted)
    return files, additions, deletions


def _text(patch: GitAnswer, limit: int) -> str:
    data = patch.output
    if patch.truncated:
        data = data[: data.rfind(b"\n") + 1]
    text = data.decode("utf-8", errors="replace").replace("\0", "\ufffd")
    while len(text.encode("utf-8")) > limit:
        # Bytes that are no UTF-8 take three bytes each as U+FFFD.
        text = text[: text.rfind("\n", 0, len(text) * 9 // 10) + 1]
    return text

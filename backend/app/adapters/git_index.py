"""A private copy of a repository's index that hides nothing: it has the untracked files and no hiding flags.

Comparing a commit with the working tree through this copy shows every change without writing a
single byte into the repository, not even an object.
"""

import asyncio
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from app.adapters.git_commands import GitAnswer, GitCommands
from app.errors import Unavailable

MAX_UNTRACKED = 10_000

# Ids that git knows without storing them, by the repository's object format.
EMPTY_TREE = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
EMPTY_BLOB = {
    "sha1": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "sha256": "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
}


class PrivateIndex:
    """The copy, in a folder that its owner deletes."""

    def __init__(self, git: GitCommands, top: str, folder: Path, variables: dict[str, str]) -> None:
        """`top` is the top of the working tree; `variables` go to every git command."""
        self._git = git
        self._top = top
        self._file = folder / "index"
        self.variables = {**variables, "GIT_INDEX_FILE": str(self._file)}
        self.complete = True
        """False when there were more untracked files than are looked at."""

    async def fill(self, object_format: str) -> None:
        """Copy the index, take the hiding flags away, add what is untracked."""
        # Asked without our variables: git answers with GIT_INDEX_FILE when it is set.
        index = await self._git.run(self._top, "rev-parse", "--git-path", "index")
        await asyncio.to_thread(self._copy, index.line)
        await self._unhide()
        await self._add_untracked(EMPTY_BLOB[object_format])

    def _copy(self, index: str) -> None:
        source = Path(self._top, index)
        if source.is_file():
            # With its time: git distrusts entries that are not older than the index.
            shutil.copy2(source, self._file)

    async def _unhide(self) -> None:
        """An agent could mark a file as unchanged; a file that sparse checkout left out stays out."""
        listed = await self._read("ls-files", "-v", "-z")
        assumed, skipped = [], []
        for entry in filter(None, listed.output.split(b"\0")):
            tag, path = entry[:1], entry[2:]
            if tag.islower():
                assumed.append(path)
            if tag in (b"S", b"s") and os.path.lexists(Path(self._top, os.fsdecode(path))):
                skipped.append(path)
        for option, paths in (("--no-assume-unchanged", assumed), ("--no-skip-worktree", skipped)):
            if paths:
                await self._read(
                    "update-index", option, "-z", "--stdin", stdin=b"".join(path + b"\0" for path in paths)
                )

    async def _add_untracked(self, empty_blob: str) -> None:
        listed = await self._read("ls-files", "--others", "--exclude-standard", "-z")
        paths = [path for path in listed.output.split(b"\0") if path]
        self.complete = not listed.truncated and len(paths) <= MAX_UNTRACKED
        lines = await asyncio.to_thread(lambda: b"".join(self._entries(paths[:MAX_UNTRACKED], empty_blob)))
        if lines:
            await self._read("update-index", "--replace", "-z", "--index-info", stdin=lines)

    def _entries(self, paths: list[bytes], empty_blob: str) -> Iterator[bytes]:
        """Entries without content: git takes that from the working tree, since their times fit to nothing."""
        for path in paths:
            mode = self._mode(os.fsdecode(path))
            if mode:
                yield b"%s %s\t%s\0" % (mode, empty_blob.encode(), path.rstrip(b"/"))

    def _mode(self, path: str) -> bytes | None:
        full = Path(self._top, path)
        try:
            found = full.lstat()
        except OSError:
            return None
        if stat.S_ISLNK(found.st_mode):
            return b"120000"
        if stat.S_ISDIR(found.st_mode):
            # A repository inside the repository: shown as one line, like a submodule.
            return b"160000"
        # What we may not read would end the whole comparison.
        return b"100644" if stat.S_ISREG(found.st_mode) and os.access(full, os.R_OK) else None

    async def _read(self, *arguments: str, stdin: bytes | None = None) -> GitAnswer:
        answer = await self._git.run(self._top, *arguments, stdin=stdin, variables=self.variables)
        if answer.code != 0:
            raise Unavailable(f"git cannot read {self._top}: {answer.complaint}.")
        return answer

"""The files that a gate looks at: everything git knows or would add, with what each gate may ask about them."""

import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

SOURCE_ENDINGS = {".py", ".ts", ".tsx", ".mjs", ".css", ".sh"}


@dataclass(frozen=True)
class SourceFile:
    """One file of the tree; `name` is its path below the root, with slashes."""

    root: Path
    name: str

    @cached_property
    def text(self) -> str | None:
        """The content, or None where the file is no UTF-8 text."""
        try:
            return (self.root / self.name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return None

    @property
    def path(self) -> PurePosixPath:
        return PurePosixPath(self.name)

    @property
    def is_source(self) -> bool:
        """Written by hand in one of our languages; what a tool writes is not."""
        return self.path.suffix in SOURCE_ENDINGS and not self.name.endswith(".gen.ts")

    @property
    def is_test(self) -> bool:
        folders = self.path.parts[:-1]
        return "tests" in folders or "e2e" in folders or ".test." in self.path.name

    @property
    def is_migration(self) -> bool:
        return self.name.startswith("backend/migrations/versions/")


def files(root: Path) -> list[SourceFile]:
    """All files below `root` that are committed or could be: what git ignores is left out."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = sorted({name for name in listing.split("\0") if name})
    return [SourceFile(root, name) for name in names if (root / name).is_file()]

"""Where runs may work: real directories below the allowed roots, and new workspaces of our own."""

import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.errors import FieldError, InvalidWorkingDir


class WorkingDirectories:
    """Turns what a person writes into the one real path that everybody else uses."""

    def __init__(self, roots: Sequence[Path], data_dir: Path) -> None:
        """`roots` need not exist yet; workspaces below `data_dir` are always allowed, its other contents never."""
        self._roots = tuple(roots)
        self._data_dir = data_dir
        self._workspaces = data_dir / "workspaces"

    @property
    def workspaces(self) -> Path:
        """The folder of the workspaces; it may not exist yet."""
        return self._workspaces

    def resolve(self, working_dir: str) -> str:
        """The real path, with every symlink followed; InvalidWorkingDir with a sentence that says what is wrong."""
        given = _clean(working_dir)
        try:
            real = os.path.realpath(given, strict=True)
        except FileNotFoundError:
            raise _refused(f"The directory {given} does not exist.") from None
        except (OSError, ValueError) as error:
            raise _refused(f"The directory {given} cannot be opened: {_reason(error)}.") from None
        if not os.path.isdir(real):
            raise _refused(f"{given} is a file, not a directory.")
        self._check_place(given, real)
        if not os.access(real, os.R_OK | os.W_OK | os.X_OK):
            raise _refused(f"The directory {given} may not be read and written by Paceline.")
        return real

    def new_workspace(self, name: str | None = None) -> str:
        """A new, empty directory `<data dir>/workspaces/<name>`; its real path.

        Without a name it is called after the moment. A name that is taken by a directory with
        something in it gets an ending, so that no run finds another one's files.
        """
        self._workspaces.mkdir(parents=True, exist_ok=True, mode=0o700)
        stem = name or datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        wanted = self._workspaces / stem
        if name is not None and _made_or_empty(wanted):
            return os.path.realpath(wanted)
        return os.path.realpath(tempfile.mkdtemp(prefix=f"{stem}-", dir=self._workspaces))

    def is_workspace(self, path: str) -> bool:
        """True for a directory that `new_workspace` made, whether it still exists or not."""
        return Path(os.path.realpath(path)).parent == Path(os.path.realpath(self._workspaces))

    def neutral(self) -> str:
        """An empty directory of our own that holds no project and never becomes a run's; its real path."""
        folder = self._data_dir / "neutral"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.path.realpath(folder)

    def _check_place(self, given: str, real: str) -> None:
        if _below(real, self._workspaces):
            return
        if _below(real, self._data_dir):
            raise _refused(f"{given} belongs to Paceline itself; choose a directory of your own.")
        if any(_below(real, root) for root in self._roots):
            return
        where = f"{given} (really {real})" if real != os.path.normpath(given) else given
        allowed = ", ".join(str(root) for root in self._roots) or "none"
        raise _refused(f"{where} lies outside the directories to work in: {allowed}. PACELINE_FS_ROOTS sets them.")


def _clean(working_dir: str) -> str:
    given = working_dir.strip()
    if not given:
        raise _refused("The working directory must not be blank; leave it out for a new empty one.")
    if "\x00" in given:
        raise _refused("The working directory must not contain NUL characters.")
    if not os.path.isabs(given):
        raise _refused(f"The working directory {given!r} must be an absolute path.")
    return given


def _below(real: str, root: Path) -> bool:
    """True for the root itself and everything inside it; an unreadable or missing root holds nothing."""
    try:
        real_root = os.path.realpath(root, strict=True)
    except OSError:
        return False
    return os.path.commonpath([real, real_root]) == real_root


def _made_or_empty(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())
    return True


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)


def _refused(detail: str) -> InvalidWorkingDir:
    return InvalidWorkingDir(detail, (FieldError("/working_dir", detail),))

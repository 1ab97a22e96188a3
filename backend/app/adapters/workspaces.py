"""Takes away workspaces that we made for runs; never a directory of anybody else's."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

# As `WorkingDirectories.new_workspace` names them: the run's id, with an ending when that was taken.
_NAME = re.compile(r"(\d{1,9})(?:-[a-z0-9_]{8})?")

_ASIDE = ".pruned-"


class Workspaces:
    """The folder `<data dir>/workspaces`."""

    def __init__(self, folder: Path) -> None:
        """It may not exist."""
        self._folder = folder

    def made_for(self, real_path: str) -> int | None:
        """The id of the run that this workspace was made for; None when it is not one of ours.

        Only a real directory directly in the folder is ours, never a link and never what it leads to.
        """
        path = Path(real_path)
        named = _NAME.fullmatch(path.name)
        if named is None or os.path.realpath(self._folder) != str(path.parent):
            return None
        return int(named.group(1)) if path.is_dir() and not path.is_symlink() else None

    def left_aside(self) -> list[tuple[str, str]]:
        """What was set aside and neither put back nor deleted: where it is, and where it was."""
        if not self._folder.is_dir():
            return []
        folder = Path(os.path.realpath(self._folder))
        found = [path for path in folder.iterdir() if path.name.startswith(_ASIDE) and not path.is_symlink()]
        named = [(path, path.name.removeprefix(_ASIDE)) for path in sorted(found) if path.is_dir()]
        return [(str(path), str(folder / name)) for path, name in named if _NAME.fullmatch(name)]

    def set_aside(self, real_path: str) -> str:
        """Rename a workspace of ours so that no new run finds it; returns the new path."""
        path = Path(real_path)
        aside = path.with_name(_ASIDE + path.name)
        path.rename(aside)
        return str(aside)

    def put_back(self, aside: str, real_path: str) -> None:
        """Undo `set_aside`."""
        if not os.path.lexists(real_path):
            os.rename(aside, real_path)

    def delete(self, aside: str) -> None:
        """Delete what was set aside. Links in it are removed, not followed."""
        with suppress(FileNotFoundError):
            # Another process that prunes may be at it too.
            shutil.rmtree(aside)

"""Takes away workspaces that we made for runs; never a directory of anybody else's."""

import os
import re
import shutil
from pathlib import Path

# As `WorkingDirectories.new_workspace` names them: the run's id, with an ending when that was taken.
_NAME = re.compile(r"(\d{1,9})(?:-[a-z0-9_]{8})?")


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

    def set_aside(self, real_path: str) -> str:
        """Rename a workspace of ours so that no new run finds it; returns the new path."""
        path = Path(real_path)
        aside = path.with_name(f".pruned-{path.name}")
        path.rename(aside)
        return str(aside)

    def put_back(self, aside: str, real_path: str) -> None:
        """Undo `set_aside`."""
        os.rename(aside, real_path)

    def delete(self, aside: str) -> None:
        """Delete what was set aside. Links in it are removed, not followed."""
        shutil.rmtree(aside)

"""The right to run an OpenCode on an OpenCode folder: one Paceline at a time, also when it died before its OpenCode.

A lock file alone is not enough. It ends with us, while the server that we started goes on: another
Paceline, which cannot find that server again because its record lies in our data directory, would
start a second one on the same sessions. So the folder itself says which server runs on it, and for whom.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from app.adapters.data_dir import write_private
from app.adapters.file_lock import AlreadyLocked, FileLock
from app.adapters.opencode_children import ProcessIdentity
from app.errors import OpencodeUnavailable

LOCK_FILE = "paceline.lock"
OWNER_FILE = "paceline-server.json"


@dataclass(frozen=True)
class _Owner:
    """What a folder says about the server on it."""

    pid: int
    start_time: float
    data_dir: str

    @classmethod
    def read(cls, path: Path) -> "_Owner | None":
        """None when nothing is said that can be read."""
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        whole = isinstance(found.pid, int) and isinstance(found.start_time, int | float) and found.pid > 1
        return found if whole else None


class FolderClaim:
    """Held from `take` to `give_back`; what `note` says of the server stays on the folder after our death."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        """`data_dir`: whose server it is, and where its record lies."""
        self._folder = folder
        self._data_dir = str(data_dir.resolve())
        self._lock = FileLock(folder / LOCK_FILE)
        self._held = False

    def take(self) -> None:
        """Claim the folder; nothing when that was done. OpencodeUnavailable says who has it."""
        if self._held:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except AlreadyLocked as held:
            raise OpencodeUnavailable(
                f"Process {held.pid} already runs an OpenCode on {self._folder}; two on one folder would run prompts "
                "twice. Stop it, or attach to it with PACELINE_OPENCODE_URL."
            ) from held
        owner = _Owner.read(self._folder / OWNER_FILE)
        if owner is not None and owner.data_dir != self._data_dir and _lives(owner):
            self._lock.release()
            raise OpencodeUnavailable(
                f"The OpenCode of another Paceline still works on {self._folder}: process {owner.pid}, data directory "
                f"{owner.data_dir}. Start and stop that Paceline, or end the process; two would run prompts twice."
            )
        self._held = True

    def note(self, server: ProcessIdentity) -> None:
        """This server runs on the folder now. Before that it has no work, and may be ended by anybody."""
        owner = _Owner(server.pid, server.start_time, self._data_dir)
        write_private(self._folder / OWNER_FILE, json.dumps(asdict(owner)))

    def give_back(self, *, keep_running: bool) -> None:
        """Let go of the folder; of a server that goes on it still says whose it is."""
        if self._held:
            if not keep_running:
                (self._folder / OWNER_FILE).unlink(missing_ok=True)
            self._lock.release()
            self._held = False


def _lives(owner: _Owner) -> bool:
    return ProcessIdentity(owner.pid, owner.start_time).alive()

"""A lock file that its process loses by dying: one server per SQLite file, one OpenCode per data directory."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class AlreadyLocked(Exception):
    """Another process holds the lock. `pid` is 0 when it has not said yet who it is."""

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(f"{path} is held by process {pid or 'unknown'}")
        self.path = path
        self.pid = pid


class FileLock:
    """Exclusive between processes and within one; released by `release`, by leaving `with`, or by any death.

    Children do not inherit it. The file stays behind on purpose: removing it would let two
    processes lock two files of the same name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @classmethod
    def beside(cls, target: Path) -> Self:
        """The lock that guards this file or folder: its name with `.lock` appended."""
        return cls(target.with_name(target.name + ".lock"))

    def acquire(self) -> None:
        """Take the lock now and write our pid into the file; AlreadyLocked names the one who has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = _read_pid(descriptor)
            os.close(descriptor)
            raise AlreadyLocked(self.path, holder) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not ours."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _read_pid(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0

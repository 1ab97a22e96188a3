"""Lock files: exclusive between processes, lost by dying, never inherited."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.adapters.file_lock import AlreadyLocked, FileLock

HOLDER = """
import subprocess, sys, pathlib
from app.adapters.file_lock import FileLock
FileLock.beside(pathlib.Path(sys.argv[1])).acquire()
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_second_holder_is_told_who_has_it(tmp_path: Path) -> None:
    target = tmp_path / "new" / "paceline.db"
    with FileLock.beside(target) as lock:
        assert lock.path == tmp_path / "new" / "paceline.db.lock"
        with pytest.raises(AlreadyLocked) as refused:
            FileLock.beside(target).acquire()
        assert refused.value.pid == os.getpid()
        assert str(os.getpid()) in str(refused.value)
    FileLock.beside(target).acquire()


def test_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    for _ in range(2):
        lock.acquire()
        lock.release()
        lock.release()


def test_death_releases_it_though_a_child_lives_on(tmp_path: Path) -> None:
    target = tmp_path / "opencode-data"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(AlreadyLocked) as refused:
            FileLock.beside(target).acquire()
        assert refused.value.pid == holder.pid
        holder.kill()
        holder.wait()
        with FileLock.beside(target):
            os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        holder.kill()
        holder.wait()
        holder.stdout.close()
        assert holder.stdin is not None
        holder.stdin.close()

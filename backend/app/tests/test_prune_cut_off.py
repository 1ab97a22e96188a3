"""A prune that dies between the renaming of a workspace and the end: the next one puts it back, or finishes."""

from pathlib import Path

import pytest

from app.adapters.dbos_engine import DbosEngine
from app.adapters.workspaces import Workspaces
from app.services import audit
from app.services.pruning import Pruned, Pruning
from app.tests.test_db_commands import Old
from app.tests.test_db_commands import old as old


class _Killed(BaseException):
    """The process is gone."""


class _Dying(Workspaces):
    """Nothing is tidied up after the death."""

    def put_back(self, aside: str, real_path: str) -> None:
        """Nobody is left to do it."""

    def delete(self, aside: str) -> None:
        """It dies just before."""
        raise _Killed(aside)


def pruning(old: Old, folders: Workspaces) -> Pruning:
    """One process that prunes."""
    return Pruning(old.database.sessions, folders, DbosEngine(old.database, "test"))


def die(*_: object, **__: object) -> None:
    """Between the renaming and the commit."""
    raise _Killed


async def test_before_the_commit_the_files_come_back(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await old.run()
    place = old.workspaces / str(run)
    with monkeypatch.context() as killed:
        killed.setattr(audit, "record", die)
        with pytest.raises(_Killed):
            await pruning(old, _Dying(old.workspaces)).prune(30, "cli")
    assert (await old.ids(), place.exists()) == ([run], False)
    assert await pruning(old, Workspaces(old.workspaces)).prune(50, "cli") == Pruned(0, 0), "the run is too young"
    assert (place / "file.txt").read_text() == "made by an agent"


async def test_after_the_commit_the_files_go(old: Old) -> None:
    run = await old.run()
    kept = old.workspaces / ".pruned-notes"
    kept.mkdir()
    (old.workspaces / ".pruned-77").symlink_to(kept)
    with pytest.raises(_Killed):
        await pruning(old, _Dying(old.workspaces)).prune(30, "cli")
    assert (await old.ids(), (old.workspaces / f".pruned-{run}").exists()) == ([], True)
    await pruning(old, Workspaces(old.workspaces)).prune(50, "cli")
    left = sorted(path.name for path in old.workspaces.iterdir())
    assert left == [".pruned-77", ".pruned-notes"], "what nobody set aside is none of its business"


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert Workspaces(tmp_path / "nowhere").left_aside() == []

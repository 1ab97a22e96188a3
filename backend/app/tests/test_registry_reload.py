"""The registry while its files change: every way of saving is seen, a broken file changes nothing and is told once."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from app.adapters.registry_files import RegistryFiles
from app.errors import RegistryUnavailable, UnknownAgent
from app.schemas.registry_errors import RegistrySources
from app.services.registry import Registry, RegistryChange

PIPELINES = "pipelines: [{name: fix, description: d, steps: [{agent: a}]}]\n"


def agents(description: str = "one") -> str:
    return f"agents: [{{name: a, description: {description}, opencode_agent: build}}]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = tmp_path / "config"
    config.mkdir()
    (config / "agents.yaml").write_text(agents())
    (config / "pipelines.yaml").write_text(PIPELINES)
    return config


class Heard:
    """The audit's place: takes changes, or fails on demand."""

    def __init__(self) -> None:
        self.changes: list[RegistryChange] = []
        self.broken = False

    async def __call__(self, change: RegistryChange) -> None:
        if self.broken:
            raise OSError("database is away")
        self.changes.append(change)

    @property
    def types(self) -> list[str]:
        return [change.type.removeprefix("registry.") for change in self.changes]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def registry_of(folder: Path, heard: Heard | None = None) -> Registry:
    return Registry(RegistryFiles(folder), heard)


@asynccontextmanager
async def watching(registry: Registry) -> AsyncIterator[None]:
    await registry.reload_if_changed()
    task = asyncio.create_task(registry.watch())
    await asyncio.sleep(0.3)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(seen: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not seen():
            await asyncio.sleep(0.02)


def description(registry: Registry) -> str:
    return registry.get_agent("a").description


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def by_rename(path: Path, text: str) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(text)
    draft.replace(path)


def by_backup_and_new_file(path: Path, text: str) -> None:
    path.rename(path.with_suffix(".yaml~"))
    path.write_text(text)


def by_delete_and_restore(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def with_the_old_time_and_size(path: Path, text: str) -> None:
    before = path.stat()
    assert len(text) == before.st_size
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_symlink(path: Path, text: str) -> None:
    elsewhere = path.parent.parent / "elsewhere.yaml"
    elsewhere.write_text(text)
    path.unlink()
    path.symlink_to(elsewhere)


def by_new_folder(path: Path, text: str) -> None:
    old = Path(tempfile.mkdtemp(dir=path.parent.parent)) / "old"
    path.parent.rename(old)
    shutil.copytree(old, path.parent)
    path.write_text(text)


SAVES = [
    in_place,
    by_rename,
    by_backup_and_new_file,
    by_delete_and_restore,
    with_the_old_time_and_size,
    by_symlink,
    by_new_folder,
]
Save = Callable[[Path, str], None]


@pytest.mark.parametrize("save", SAVES)
async def test_every_way_of_saving_is_seen_by_the_next_look(folder: Path, heard: Heard, save: Save) -> None:
    registry = registry_of(folder, heard)
    assert (await registry.current()).get_agent("a").description == "one"
    assert heard.changes == []
    save(folder / "agents.yaml", agents("two"))
    assert (await registry.current()).get_agent("a").description == "two"
    save(folder / "agents.yaml", agents("six"))
    assert (await registry.current()).get_agent("a").description == "six"
    assert heard.types == ["reloaded", "reloaded"]


@pytest.mark.parametrize("save", SAVES)
async def test_every_way_of_saving_is_seen_by_the_watcher(folder: Path, heard: Heard, save: Save) -> None:
    registry = registry_of(folder, heard)
    async with watching(registry):
        save(folder / "agents.yaml", agents("two"))
        await until(lambda: description(registry) == "two")
        in_place(folder / "agents.yaml", agents("six"))
        await until(lambda: description(registry) == "six")
    assert heard.types[-1] == "reloaded"
    assert registry.status.problems == []


async def test_a_broken_file_changes_nothing_and_is_told_once(folder: Path, heard: Heard) -> None:
    registry = registry_of(folder, heard)
    await registry.reload_if_changed()
    loaded_at = registry.status.loaded_at
    (folder / "agents.yaml").write_text(agents() + "x: 1\n")
    for _ in range(3):
        assert (await registry.current()).get_agent("a").description == "one"
    assert heard.types == ["rejected"]
    assert heard.changes[0].payload() == {
        "agents": 1,
        "pipelines": 1,
        "problems": ["agents.yaml:2:1: unknown key `x`"],
        "problem_count": 1,
    }
    status = registry.status
    assert (status.loaded_at, status.agents, status.pipelines) == (loaded_at, 1, 1)
    assert [(found.file, found.line, found.column) for found in status.problems] == [("agents.yaml", 2, 1)]
    assert status.sources == [str(folder / "agents.yaml"), str(folder / "pipelines.yaml")]
    (folder / "agents.yaml").write_text(agents())
    await registry.reload_if_changed()
    assert registry.status.problems == []
    assert heard.types == ["rejected", "reloaded"]


async def test_a_vanished_file_and_a_vanished_folder(folder: Path, heard: Heard) -> None:
    registry = registry_of(folder, heard)
    async with watching(registry):
        (folder / "pipelines.yaml").unlink()
        await until(lambda: heard.types == ["rejected"])
        assert str(registry.status.problems[0]) == "pipelines.yaml: the file is missing"
        assert registry.get_template("fix").name == "fix"
        shutil.rmtree(folder)
        await until(lambda: len(registry.status.problems) == 2)
        folder.mkdir()
        (folder / "agents.yaml").write_text(agents("two"))
        (folder / "pipelines.yaml").write_text(PIPELINES)
        await until(lambda: description(registry) == "two")
        (folder / "agents.yaml").write_text(agents("three"))
        await until(lambda: description(registry) == "three")


async def test_never_loaded(folder: Path, heard: Heard) -> None:
    (folder / "agents.yaml").write_text("agents: [")
    registry = registry_of(folder, heard)
    with pytest.raises(RegistryUnavailable, match="have not been read yet"):
        _ = registry.config
    with pytest.raises(RegistryUnavailable, match=r"agents\.yaml:1:10"):
        await registry.current()
    with pytest.raises(RegistryUnavailable):
        registry.get_agent("a")
    assert heard.types == ["rejected"]
    assert registry.status.loaded_at is None
    (folder / "agents.yaml").write_text(agents())
    assert (await registry.current()).get_agent("a").name == "a"
    with pytest.raises(UnknownAgent):
        registry.get_agent("b")
    assert heard.types == ["rejected", "reloaded"]


async def test_a_change_that_could_not_be_recorded_is_told_later(
    folder: Path, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    registry = registry_of(folder, heard)
    await registry.reload_if_changed()
    heard.broken = True
    for text in ("two", "six"):
        (folder / "agents.yaml").write_text(agents(text))
        assert (await registry.current()).get_agent("a").description == text
    assert "could not be recorded" in caplog.text
    heard.broken = False
    await registry.reload_if_changed()
    await registry.reload_if_changed()
    assert heard.types == ["reloaded", "reloaded"]


class BeingWritten(RegistryFiles):
    """An editor that is a little further with writing at every look."""

    def __init__(self, folder: Path, text: str) -> None:
        super().__init__(folder)
        self._path = folder / "agents.yaml"
        self._ends = iter(range(0, len(text), len(text) // 6))
        self._text = text

    def read(self) -> RegistrySources:
        self._path.write_text(self._text[: next(self._ends, len(self._text))])
        return super().read()


async def test_half_written_files_are_not_taken(folder: Path, heard: Heard) -> None:
    registry = Registry(BeingWritten(folder, agents("two")), heard)
    await registry.reload_if_changed()
    assert description(registry) == "two"
    assert heard.types == []


async def test_a_storm_of_a_hundred_saves_ends_with_the_last_one(folder: Path, heard: Heard) -> None:
    registry = registry_of(folder, heard)
    async with watching(registry):
        for number in range(100):
            SAVES[number % 4](folder / "agents.yaml", agents(f"n{number}") if number % 3 else "agents: [")
            if number % 10 == 0:
                assert (await registry.current()).get_agent("a").name == "a"
            await asyncio.sleep(0.005)
        in_place(folder / "agents.yaml", agents("last"))
        await until(lambda: description(registry) == "last")
    assert registry.status.problems == []
    assert heard.types[-1] == "reloaded"


async def test_many_looks_at_once_read_a_change_once(folder: Path, heard: Heard) -> None:
    registry = registry_of(folder, heard)
    await registry.reload_if_changed()
    (folder / "agents.yaml").write_text(agents("two"))
    looks: list[Awaitable[None]] = [registry.reload_if_changed() for _ in range(50)]
    await asyncio.gather(*looks)
    assert heard.types == ["reloaded"]

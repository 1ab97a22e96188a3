"""Working directories: one real path for every spelling, and nothing outside the roots."""

import os
from pathlib import Path

import pytest

from app.adapters.working_dirs import WorkingDirectories
from app.errors import InvalidWorkingDir


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "projects"
    (folder / "shop" / "src").mkdir(parents=True)
    return folder


@pytest.fixture
def dirs(tmp_path: Path, root: Path) -> WorkingDirectories:
    return WorkingDirectories([tmp_path / "missing", root], tmp_path / "data")


def refusal(dirs: WorkingDirectories, given: str) -> str:
    with pytest.raises(InvalidWorkingDir) as caught:
        dirs.resolve(given)
    assert caught.value.errors[0].pointer == "/working_dir"
    return caught.value.detail


def test_every_spelling_gives_the_same_real_path(dirs: WorkingDirectories, root: Path) -> None:
    (root / "link").symlink_to(root / "shop")
    (root / "up").symlink_to("shop/src/..")
    shop = str(root / "shop")
    for given in (shop, f"{shop}/", f"{shop}/.", f"{shop}/src/..", f"{root}//shop", f" {shop}\n"):
        assert dirs.resolve(given) == shop
    assert dirs.resolve(str(root / "link")) == shop
    assert dirs.resolve(str(root / "up")) == shop
    assert dirs.resolve(str(root)) == str(root)


def test_a_root_may_be_a_symlink(tmp_path: Path, root: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    dirs = WorkingDirectories([tmp_path / "alias"], tmp_path / "data")
    assert dirs.resolve(str(tmp_path / "alias" / "shop")) == str(root / "shop")
    assert dirs.resolve(str(root / "shop")) == str(root / "shop")


def test_what_is_no_directory(dirs: WorkingDirectories, root: Path) -> None:
    (root / "file").write_text("x")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere")
    assert refusal(dirs, str(root / "none")) == f"The directory {root}/none does not exist."
    assert refusal(dirs, str(root / "dangling")) == f"The directory {root}/dangling does not exist."
    assert refusal(dirs, str(root / "file")) == f"{root}/file is a file, not a directory."
    assert "cannot be opened: too many levels of symbolic links" in refusal(dirs, str(root / "loop"))
    assert "cannot be opened: not a directory" in refusal(dirs, str(root / "file" / "x"))
    assert "cannot be opened: file name too long" in refusal(dirs, str(root / ("x" * 5000)))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "must not be blank"),
        (" \t", "must not be blank"),
        ("shop", "absolute"),
        ("./shop", "absolute"),
        ("~/shop", "absolute"),
        ("/a\x00b", "NUL"),
        ("/\ud800", "cannot be opened"),
    ],
)
def test_what_is_no_path(dirs: WorkingDirectories, given: str, reason: str) -> None:
    assert reason in refusal(dirs, given)


def test_outside_the_roots(dirs: WorkingDirectories, root: Path, tmp_path: Path) -> None:
    beside = tmp_path / "projects-other"
    beside.mkdir()
    (root / "out").symlink_to(beside)
    (root / "rootfs").symlink_to("/")
    assert "lies outside the directories to work in" in refusal(dirs, str(beside))
    assert f"(really {beside})" in refusal(dirs, str(root / "out"))
    for given in ("/", "/etc", str(root / ".."), str(root / "rootfs"), str(root / "rootfs" / "etc")):
        assert "PACELINE_FS_ROOTS" in refusal(dirs, given)


def test_without_roots_nothing_is_allowed(tmp_path: Path, root: Path) -> None:
    assert "directories to work in: none" in refusal(WorkingDirectories([], tmp_path / "data"), str(root))


def test_the_data_directory_is_taboo_but_its_workspaces_are_not(tmp_path: Path) -> None:
    dirs = WorkingDirectories([tmp_path], tmp_path / "data")
    workspace = dirs.new_workspace()
    assert dirs.resolve(workspace) == workspace
    (tmp_path / "data" / "config").mkdir()
    assert "belongs to Paceline itself" in refusal(dirs, str(tmp_path / "data"))
    assert "belongs to Paceline itself" in refusal(dirs, str(tmp_path / "data" / "config"))
    (Path(workspace) / "config").symlink_to(tmp_path / "data" / "config")
    assert "belongs to Paceline itself" in refusal(dirs, f"{workspace}/config")


def test_workspaces_are_new_empty_private_and_resolvable_without_roots(tmp_path: Path) -> None:
    dirs = WorkingDirectories([], tmp_path / "data")
    made = [dirs.new_workspace() for _ in range(5)]
    assert len(set(made)) == 5
    for folder in made:
        assert os.listdir(folder) == []
        assert os.stat(folder).st_mode & 0o777 == 0o700
        assert Path(folder).parent == dirs.workspaces
        assert dirs.resolve(folder) == folder


def test_a_named_workspace_never_shows_another_ones_files(tmp_path: Path) -> None:
    dirs = WorkingDirectories([], tmp_path / "data")
    first = dirs.new_workspace("7")
    assert first == str(tmp_path / "data" / "workspaces" / "7")
    assert dirs.new_workspace("7") == first
    (Path(first) / "left").write_text("x")
    second = dirs.new_workspace("7")
    assert second.startswith(f"{first}-")
    assert os.listdir(second) == []


def test_the_neutral_directory_is_empty_and_no_place_for_a_run(tmp_path: Path) -> None:
    dirs = WorkingDirectories([tmp_path], tmp_path / "data")
    folder = dirs.neutral()
    assert dirs.neutral() == folder
    assert os.listdir(folder) == []
    assert "belongs to Paceline itself" in refusal(dirs, folder)

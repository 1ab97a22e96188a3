"""Reading real repositories: state, branch names, and differences that hide nothing and write nothing."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest

from app.adapters.git_repository import GitRepository
from app.errors import NotFound, Unavailable
from app.schemas.git import GitState

LIMIT = 1_000_000


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    found = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, check=True)
    return found.stdout.decode().strip()


def commit(folder: Path, message: str = "change") -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time and content, to see that nothing was written."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.txt").write_text("one\ntwo\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_text("b\n")
    commit(folder)
    return folder


@pytest.fixture
def reader() -> GitRepository:
    return GitRepository()


async def test_state_of_a_clean_and_a_changed_checkout(reader: GitRepository, repo: Path) -> None:
    head = git(repo, "rev-parse", "HEAD")
    assert await reader.state(str(repo)) == GitState(is_repository=True, branch="main", commit=head)
    git(repo, "checkout", "-q", "-b", "feature/ü-1")
    (repo / "a.txt").write_text("changed\n")
    (repo / "sub" / "b.txt").unlink()
    (repo / "new\nline").write_text("x")
    (repo / "dir").mkdir()
    (repo / "dir" / "1").write_text("x")
    (repo / "dir" / "2").write_text("x")
    found = await reader.state(str(repo / "sub"))
    assert found == GitState(is_repository=True, branch="feature/ü-1", commit=head, dirty_files=5)


async def test_state_when_detached_unborn_bare_or_no_repository(
    reader: GitRepository, repo: Path, tmp_path: Path
) -> None:
    head = git(repo, "rev-parse", "HEAD")
    git(repo, "checkout", "-q", "--detach")
    assert await reader.state(str(repo)) == GitState(is_repository=True, branch=None, commit=head)
    unborn = tmp_path / "unborn"
    unborn.mkdir()
    assert await reader.state(str(unborn)) == GitState(is_repository=False)
    git(unborn, "init", "-q")
    (unborn / "x").write_text("x")
    assert await reader.state(str(unborn)) == GitState(is_repository=True, branch="main", commit=None, dirty_files=1)
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    assert await reader.state(str(tmp_path / "bare.git")) == GitState(is_repository=False)
    assert await reader.state(str(repo / ".git")) == GitState(is_repository=False)


async def test_state_of_what_cannot_be_read(reader: GitRepository, repo: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not exist"):
        await reader.state(str(tmp_path / "missing"))
    (repo / ".git" / "config").write_text("[core\n")
    found = await reader.state(str(repo))
    assert not found.is_repository
    assert "bad config line 1" in str(found.problem)


async def test_a_workspace_inside_a_repository_is_none_of_it(repo: Path) -> None:
    workspaces = repo / "workspaces"
    (workspaces / "1").mkdir(parents=True)
    assert (await GitRepository().state(str(workspaces / "1"))).is_repository
    assert not (await GitRepository([workspaces]).state(str(workspaces / "1"))).is_repository


@pytest.mark.parametrize("name", ["main", "feature/x", "fix-1", "ü/日本", "a.b", "v1.0", "refs/heads/x", "a@b"])
async def test_branch_names(reader: GitRepository, name: str) -> None:
    assert await reader.is_branch_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "-", "-x", "--upload-pack=touch /tmp/x", "--help", "@{-1}", "a@{1}", "HEAD", "a..b", "a b", "a~1",
        "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a\n",
        "a\x00b", "a\x7f", "\ud800", "a\tb", "$(x)\n",
    ],
)  # fmt: skip
async def test_what_is_no_branch_name(reader: GitRepository, name: str) -> None:
    assert not await reader.is_branch_name(name)


async def test_a_difference_has_commits_edits_and_untracked_files(reader: GitRepository, repo: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    (repo / "committed.txt").write_text("c\n")
    commit(repo)
    (repo / "a.txt").write_text("one\n2\n")
    (repo / "staged.txt").write_text("s\n")
    git(repo, "add", "staged.txt")
    (repo / "sub" / "b.txt").unlink()
    (repo / "untracked.txt").write_text("u\nv\n")
    (repo / ".gitignore").write_text("*.log\n")
    (repo / "x.log").write_text("noise")
    before = everything(repo)
    found = await reader.diff(str(repo / "sub"), base, LIMIT)
    assert everything(repo) == before
    assert (found.base, found.truncated) == (base, False)
    assert (found.files, found.additions, found.deletions) == (6, 6, 2)
    for line in ("+c", "-two", "+2", "+s", "-b", "+u", "+v", "+*.log"):
        assert f"\n{line}\n" in found.text
    assert "diff --git a/untracked.txt b/untracked.txt\nnew file mode 100644\n" in found.text
    assert "deleted file mode 100644" in found.text
    assert "noise" not in found.text
    assert git(repo, "status", "--porcelain").count("\n") == 4


async def test_no_difference(reader: GitRepository, repo: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    os.utime(repo / "a.txt", (1, 1))
    found = await reader.diff(str(repo), base, LIMIT)
    assert (found.text, found.files, found.additions, found.deletions, found.truncated) == ("", 0, 0, 0, False)


async def test_a_digest_stands_for_what_is_shown_and_for_nothing_else(reader: GitRepository, repo: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    (repo / "untracked.txt").write_text("u\n")
    (repo / "image").write_bytes(b"\0\1")
    digests = [(await reader.diff(str(repo), base, LIMIT)).digest]
    os.utime(repo / "a.txt", (1, 1))
    git(repo, "add", "image")
    (repo / "sub").chmod(0o700)
    commit(repo, "all of it")
    assert (await reader.diff(str(repo), base, LIMIT)).digest == digests[0]
    for name, content in (("untracked.txt", b"v\n"), ("image", b"\0\2"), ("a.txt", b"one\n"), ("more", b"")):
        (repo / name).write_bytes(content)
        digests.append((await reader.diff(str(repo), base, LIMIT)).digest)
    (repo / "a.txt").chmod(0o755)
    digests.append((await reader.diff(str(repo), base, LIMIT)).digest)
    assert len(set(digests)) == 6


async def test_without_a_base_everything_is_new(reader: GitRepository, repo: Path, tmp_path: Path) -> None:
    assert (await reader.diff(str(repo), None, LIMIT)).additions == 3
    unborn = tmp_path / "unborn"
    unborn.mkdir()
    git(unborn, "init", "-q")
    assert (await reader.diff(str(unborn), None, LIMIT)).files == 0
    (unborn / "x").write_text("x\n")
    (unborn / "empty").touch()
    found = await reader.diff(str(unborn), None, LIMIT)
    assert (found.files, found.additions) == (2, 1)
    assert "+x\n" in found.text


async def test_repositories_with_long_ids(reader: GitRepository, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256", "long")
    (tmp_path / "long" / "a").write_text("a\n")
    assert (await reader.diff(str(tmp_path / "long"), None, LIMIT)).additions == 1
    base = commit(tmp_path / "long")
    (tmp_path / "long" / "b").write_text("b\n")
    assert (await reader.diff(str(tmp_path / "long"), base, LIMIT)).additions == 1


@pytest.mark.parametrize(
    "name",
    [
        "with space", "ü", "new\nline", "tab\there", "quote\"'", "back\\slash", "-rf", "--output=x", ":(top)x", "*",
        "[a]", "a:b", "#", "~", "$HOME", os.fsdecode(b"\xff\xfe"), "x" * 255, "deep/er/file",
    ],
)  # fmt: skip
async def test_odd_file_names(reader: GitRepository, repo: Path, name: str) -> None:
    base = git(repo, "rev-parse", "HEAD")
    (repo / name).parent.mkdir(parents=True, exist_ok=True)
    (repo / name).write_text("content\n")
    found = await reader.diff(str(repo), base, LIMIT)
    assert (found.files, found.additions) == (1, 1)
    assert "+content" in found.text
    assert (await reader.state(str(repo))).dirty_files == 1


async def test_odd_directory_names(reader: GitRepository, tmp_path: Path) -> None:
    folder = tmp_path / "a:b \"c\" 'd' $e\nü"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a").write_text("a\n")
    base = commit(folder)
    (folder / "b").write_text("b\n")
    assert (await reader.diff(str(folder), base, LIMIT)).additions == 1


async def test_binary_files_links_modes_renames_and_nested_repositories(reader: GitRepository, repo: Path) -> None:
    (repo / "long.txt").write_text("".join(f"line {n}\n" for n in range(50)))
    base = commit(repo)
    (repo / "image").write_bytes(bytes(range(256)) * 10)
    (repo / "link").symlink_to("/etc/passwd")
    (repo / "folder-link").symlink_to("sub")
    (repo / "long.txt").rename(repo / "renamed.txt")
    (repo / "a.txt").chmod(0o755)
    os.mkfifo(repo / "pipe")
    git(repo, "init", "-q", "nested")
    (repo / "nested" / "x").write_text("x")
    found = await reader.diff(str(repo), base, LIMIT)
    assert "Binary files /dev/null and b/image differ" in found.text
    assert "new file mode 120000" in found.text
    assert "+/etc/passwd\n" in found.text
    assert "root:" not in found.text
    assert "rename from long.txt\nrename to renamed.txt" in found.text
    assert "old mode 100644\nnew mode 100755" in found.text
    assert "b/nested" in found.text
    assert "pipe" not in found.text
    assert found.files == 6


async def test_a_file_in_place_of_a_folder_and_the_other_way_round(reader: GitRepository, repo: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    (repo / "sub" / "b.txt").unlink()
    (repo / "sub").rmdir()
    (repo / "sub").write_text("now a file\n")
    (repo / "a.txt").unlink()
    (repo / "a.txt").mkdir()
    (repo / "a.txt" / "inner").write_text("now a folder\n")
    found = await reader.diff(str(repo), base, LIMIT)
    assert "+now a file\n" in found.text
    assert "+now a folder\n" in found.text
    assert "-two\n" in found.text
    assert found.files == 4


async def test_changes_that_flags_hide_are_shown(reader: GitRepository, repo: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    git(repo, "update-index", "--assume-unchanged", "a.txt")
    git(repo, "update-index", "--skip-worktree", "sub/b.txt")
    (repo / "a.txt").write_text("hidden 1\n")
    (repo / "sub" / "b.txt").write_text("hidden 2\n")
    found = await reader.diff(str(repo), base, LIMIT)
    assert "+hidden 1\n" in found.text
    assert "+hidden 2\n" in found.text
    assert git(repo, "ls-files", "-v").splitlines() == ["h a.txt", "S sub/b.txt"]


async def test_a_tracked_file_that_is_ignored_counts(reader: GitRepository, repo: Path) -> None:
    (repo / ".gitignore").write_text("*.txt\n")
    base = commit(repo)
    (repo / "a.txt").write_text("one\n")
    found = await reader.diff(str(repo), base, LIMIT)
    assert (found.files, found.deletions) == (1, 1)


async def test_what_sparse_checkout_left_out_is_not_deleted(reader: GitRepository, repo: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    git(repo, "sparse-checkout", "set", "--no-cone", "/a.txt")
    assert not (repo / "sub").exists()
    assert (await reader.diff(str(repo), base, LIMIT)).files == 0


async def test_a_change_of_the_same_size_right_after_the_commit(reader: GitRepository, repo: Path) -> None:
    for number in range(10):
        (repo / "a.txt").write_text(f"{number}\n")
        base = commit(repo)
        (repo / "a.txt").write_text(f"{9 - number}\n")
        (repo / f"new{number}").write_text("x\n")
        assert f"+{9 - number}\n" in (await reader.diff(str(repo), base, LIMIT)).text


async def test_a_linked_worktree(reader: GitRepository, repo: Path, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    tree = tmp_path / "tree"
    (tree / "w").write_text("w\n")
    assert (await reader.state(str(tree))).branch == "other"
    assert (await reader.diff(str(tree), git(repo, "rev-parse", "HEAD"), LIMIT)).additions == 1


async def test_a_large_difference_is_cut_at_a_line_and_counted_in_full(reader: GitRepository, repo: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    with (repo / "big.txt").open("w") as file:
        file.writelines(f"line {n:06d} ümlaut\n" for n in range(250_001))
    assert (repo / "big.txt").stat().st_size > 5_000_000
    (repo / "bytes.txt").write_bytes(b"\xe4\xf6\xfc line\n" * 1000)
    found = await reader.diff(str(repo), base, 100_000)
    assert found.truncated
    assert 90_000 < len(found.text.encode()) <= 100_000
    assert found.text.endswith("ümlaut\n")
    assert (found.files, found.additions) == (2, 251_001)


async def test_bytes_that_are_no_text_stay_below_the_limit(reader: GitRepository, repo: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    (repo / "latin.txt").write_bytes(b"\xe4\xf6\xfc\xdf\n" * 2000)
    found = await reader.diff(str(repo), base, 10_000)
    assert len(found.text.encode()) <= 10_000
    assert "+\ufffd\ufffd\ufffd\ufffd\n" in found.text


@pytest.mark.parametrize("base", ["0" * 40, "HEAD", "main", "--output=x", "", "deadbeef", "a" * 65, "; ls", "é"])
async def test_a_base_that_is_no_commit(reader: GitRepository, repo: Path, base: str) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        await reader.diff(str(repo), base, LIMIT)
    assert not (repo / "x").exists()


async def test_a_difference_of_no_repository(reader: GitRepository, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is no git repository"):
        await reader.diff(str(tmp_path), None, LIMIT)


async def test_many_untracked_files(reader: GitRepository, repo: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    for number in range(3000):
        (repo / f"f{number}").write_text("x\n")
    started = time.monotonic()
    found = await reader.diff(str(repo), base, LIMIT)
    assert (found.files, found.truncated) == (3000, False)
    assert time.monotonic() - started < 20


async def test_reading_in_parallel(reader: GitRepository, repo: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    (repo / "n").write_text("n\n")
    found = await asyncio.gather(*(reader.diff(str(repo), base, LIMIT) for _ in range(5)))
    assert {diff.additions for diff in found} == {1}


async def test_the_commit_alone_is_never_a_failure(reader: GitRepository, repo: Path, tmp_path: Path) -> None:
    assert await reader.commit(str(repo / "sub")) == git(repo, "rev-parse", "HEAD")
    assert await reader.commit(str(tmp_path)) is None
    assert await reader.commit(str(tmp_path / "missing")) is None

"""What a repository must not be able to do while it is read: run programs, see our secrets, or hold us up."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from app.adapters.git_commands import GitCommands
from app.adapters.git_repository import GitRepository
from app.errors import Unavailable
from app.tests.test_git_repository import LIMIT, commit, git


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.txt").write_text("one\n")
    (folder / "b.bin").write_bytes(b"\x00\x01")
    commit(folder)
    return folder


def program(folder: Path, name: str, body: str = "") -> Path:
    """A program outside of the repository that leaves a mark when it runs."""
    script = folder / name
    script.write_text(f"#!/bin/sh\necho $0 >> '{folder}/ran'\n{body}\ncat\n")
    script.chmod(0o755)
    return script


TRAPS = {
    "fsmonitor": ["core.fsmonitor"],
    "hook": ["core.hooksPath"],
    "pager": ["core.pager", "pager.diff", "pager.status"],
    "external-diff": ["diff.external", "diff.trap.command"],
    "textconv": ["diff.trap.textconv"],
    "clean": ["filter.trap.clean"],
    "process": ["filter.trap.process"],
    "odd-clean": ["filter.a=b.c.clean"],
}


@pytest.mark.parametrize("trap", TRAPS)
async def test_no_program_named_by_the_repository_is_started(tmp_path: Path, repo: Path, trap: str) -> None:
    base = git(repo, "rev-parse", "HEAD")
    script = program(tmp_path, trap)
    (repo / ".gitattributes").write_text(f"* diff=trap filter={'a=b.c' if trap == 'odd-clean' else 'trap'}\n")
    if trap == "hook":
        hooks = tmp_path / "hooks"
        hooks.mkdir()
        for name in ("post-index-change", "pre-commit", "post-checkout"):
            program(tmp_path, name).rename(hooks / name)
        script = hooks
    for key in TRAPS[trap]:
        git(repo, "config", key, str(script))
    git(repo, "config", "filter.trap.required", "true")
    (tmp_path / "ran").unlink(missing_ok=True)
    (repo / "a.txt").write_text("two\n")
    (repo / "new.txt").write_text("new\n")
    reader = GitRepository()
    assert (await reader.state(str(repo))).dirty_files == 3
    found = await reader.diff(str(repo), base, LIMIT)
    assert (found.files, found.additions) == (3, 3)
    assert await reader.is_branch_name("main")
    assert not (tmp_path / "ran").exists()


async def test_the_traps_would_have_run(tmp_path: Path, repo: Path) -> None:
    git(repo, "config", "core.fsmonitor", str(program(tmp_path, "fsmonitor")))
    git(repo, "config", "filter.trap.clean", str(program(tmp_path, "clean")))
    (repo / ".gitattributes").write_text("* filter=trap\n")
    (repo / "a.txt").write_text("two\n")
    git(repo, "diff", "HEAD")
    assert {Path(line).name for line in (tmp_path / "ran").read_text().splitlines()} == {"fsmonitor", "clean"}


async def test_a_filter_of_the_user_still_works(repo: Path) -> None:
    git(repo, "config", "--global", "filter.up.clean", "tr a-z A-Z")
    (repo / ".gitattributes").write_text("*.txt filter=up\n")
    base = commit(repo)
    (repo / "a.txt").write_text("loud\n")
    assert "+LOUD\n" in (await GitRepository().diff(str(repo), base, LIMIT)).text


async def test_programs_of_the_user_do_not_see_our_environment(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PACELINE_TOKEN", "GITHUB_TOKEN", "OPENCODE_SERVER_PASSWORD"):
        monkeypatch.setenv(name, "canary")
    script = program(tmp_path, "clean", f"env > '{tmp_path}/env'")
    git(repo, "config", "--global", "filter.up.clean", str(script))
    (repo / ".gitattributes").write_text("*.txt filter=up\n")
    (repo / "a.txt").write_text("two\n")
    await GitRepository().diff(str(repo), git(repo, "rev-parse", "HEAD"), LIMIT)
    seen = (tmp_path / "env").read_text()
    assert "PATH=" in seen
    assert "canary" not in seen


async def test_variables_of_git_around_us_change_nothing(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "-q", "-b", "elsewhere")
    base = git(repo, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nothing"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(program(tmp_path, "external")))
    assert (await GitRepository().state(str(repo))).branch == "main"
    assert (await GitRepository().diff(str(repo), base, LIMIT)).files == 0


def running(folder: Path) -> list[str]:
    """Command lines of processes that work in the folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and os.readlink(process / "cwd") == str(folder):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


async def test_a_slow_git_is_ended_with_its_children(repo: Path) -> None:
    git(repo, "config", "--global", "alias.slow", "!sleep 60")
    started = time.monotonic()
    with pytest.raises(Unavailable, match=r"git slow took longer than 0\.3 s"):
        await GitCommands(seconds=0.3).run(repo, "slow")
    assert time.monotonic() - started < 5
    assert running(repo) == []


async def test_a_cancelled_question_leaves_no_process(repo: Path) -> None:
    git(repo, "config", "--global", "alias.slow", "!sleep 60")
    asking = asyncio.create_task(GitCommands().run(repo, "slow", stdin=b"x" * 1_000_000))
    async with asyncio.timeout(10):
        while not any("sleep" in line for line in running(repo)):
            await asyncio.sleep(0.02)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert running(repo) == []


async def test_endless_output_is_cut(repo: Path) -> None:
    git(repo, "config", "--global", "alias.endless", "!yes")
    answer = await GitCommands().run(repo, "endless", limit=100_000)
    assert (len(answer.output), answer.truncated) == (100_000, True)
    assert running(repo) == []


async def test_endless_complaints_do_not_block(repo: Path) -> None:
    git(repo, "config", "--global", "alias.moan", "!yes moan 2>/dev/null | head -c 3000000 >&2; exit 7")
    answer = await GitCommands().run(repo, "moan")
    assert (answer.code, answer.complaint, len(answer.error)) == (7, "moan", 8192)


async def test_without_git(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="git was not found; install it"):
        await GitRepository().state(str(repo))

"""The managed server's life, with a stand-in binary: found again, restarted, ended with all it started."""

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from app.adapters.opencode_attached import AttachedServer
from app.adapters.opencode_binary import find_binary
from app.adapters.opencode_children import ProcessIdentity, ServerRecord
from app.adapters.opencode_environment import ChildSetup
from app.adapters.opencode_process import STATE_FILE, ManagedSettings, OpenCodeServer
from app.adapters.opencode_pulse import PulseTiming
from app.errors import OpencodeUnavailable

Make = Callable[..., OpenCodeServer]


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    """The stand-in as an executable file."""
    script = tmp_path / "opencode"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent / "odd_opencode.py"} "$@"\n')
    script.chmod(0o755)
    return script


@pytest.fixture
async def make(tmp_path: Path, binary: Path) -> AsyncIterator[Make]:
    """Makes servers on one data directory; all of them are ended with the test."""
    config = tmp_path / "opencode.json"
    config.write_text('{"model": "a/b"}')
    async with AsyncExitStack() as stack:

        def one(
            odd: str = "", data_dir: Path = tmp_path, pulse: PulseTiming | None = None, **extra: str
        ) -> OpenCodeServer:
            setup = ChildSetup(tmp_path / "own", config, {"ODD": odd, **extra})
            server = OpenCodeServer(
                ManagedSettings(data_dir, setup, binary, start_seconds=20, pulse=pulse or PulseTiming())
            )
            stack.push_async_callback(server.stop)
            return server

        yield one


def record(tmp_path: Path) -> ServerRecord:
    """What is written down about the running server."""
    found = ServerRecord.read(tmp_path / STATE_FILE)
    assert found is not None
    return found


async def started(server: OpenCodeServer) -> OpenCodeServer:
    """Start and wait until it answers."""
    await server.start()
    assert await server.wait_ready(20), (await server.health()).detail
    return server


def alive(pid: int) -> bool:
    """Whether a process runs."""
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


async def test_it_starts_with_a_fresh_password_and_ends_without_a_trace(make: Make, tmp_path: Path) -> None:
    server = await started(make())
    health = await server.health()
    assert (health.state, health.version, health.managed, health.detail) == ("ready", "1.18.33", True, None)
    state = tmp_path / STATE_FILE
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert health.pid == record(tmp_path).pid
    assert server.endpoint().password == record(tmp_path).password
    seen = json.loads((tmp_path / "own" / "environment.json").read_text())
    assert seen["OPENCODE_SERVER_PASSWORD"] == record(tmp_path).password
    assert not any(name.startswith("PACELINE_") for name in seen)
    await server.stop()
    assert health.pid is not None
    assert not alive(health.pid)
    assert not state.exists()
    with pytest.raises(OpencodeUnavailable):
        server.endpoint()


async def test_the_next_process_of_ours_finds_it_again(make: Make, tmp_path: Path) -> None:
    first = await started(make())
    before = record(tmp_path)
    await first.stop(keep_running=True)
    second = await started(make())
    assert record(tmp_path) == before
    assert second.endpoint().url == before.url


async def test_two_of_us_never_share_its_data(make: Make) -> None:
    await started(make())
    second = make()
    await second.start()
    assert not await second.wait_ready(1)
    detail = (await second.health()).detail
    assert detail is not None
    assert "already runs an OpenCode" in detail


async def test_its_death_is_noticed_and_a_successor_started_after_its_children_have_ended(
    make: Make, tmp_path: Path
) -> None:
    server = await started(make("litter"))
    first, litter = record(tmp_path), int((tmp_path / "own" / "litter.pid").read_text())
    assert alive(litter)
    os.kill(first.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while record_or_none(tmp_path) in (None, first) or not await server.wait_ready(1):
            await asyncio.sleep(0.05)
    assert record(tmp_path).pid != first.pid
    assert record(tmp_path).password != first.password
    assert not alive(litter)


async def test_one_that_lives_and_does_not_answer_is_ended_with_its_children_and_replaced(
    make: Make, tmp_path: Path
) -> None:
    server = await started(make("litter", pulse=PulseTiming(every=0.05, patience=0.2, strikes=2)))
    first, litter = record(tmp_path), int((tmp_path / "own" / "litter.pid").read_text())
    os.kill(first.pid, signal.SIGSTOP)
    async with asyncio.timeout(5):
        while (said := server.trouble()) is None:
            await asyncio.sleep(0.01)
    assert "lived and did not answer" in said
    async with asyncio.timeout(10):
        while record_or_none(tmp_path) in (None, first) or not await server.wait_ready(1):
            await asyncio.sleep(0.05)
    assert not alive(first.pid)
    assert not alive(litter)


async def test_one_that_is_only_busy_is_left_alone(make: Make, tmp_path: Path) -> None:
    server = await started(make(pulse=PulseTiming(every=0.05, patience=0.4, strikes=3)))
    pid = record(tmp_path).pid
    for _ in range(3):
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(0.7)
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(0.5)
    assert server.trouble() is None
    assert alive(record(tmp_path).pid)
    assert record(tmp_path).pid == pid


async def test_an_attached_one_that_hangs_is_down_until_it_goes_on(make: Make, tmp_path: Path) -> None:
    managed = await started(make())
    attached = AttachedServer(managed.endpoint().url, check_seconds=0.05, patience=0.3)
    await attached.start()
    assert await attached.wait_ready(5)
    os.kill(record(tmp_path).pid, signal.SIGSTOP)
    async with asyncio.timeout(5):
        while attached.trouble() is None:
            await asyncio.sleep(0.01)
    assert "did not answer in time" in (attached.trouble() or "")
    os.kill(record(tmp_path).pid, signal.SIGCONT)
    assert await attached.wait_ready(5)
    await attached.stop()


async def test_another_data_directory_is_refused_while_the_server_of_a_dead_process_of_ours_lives(
    make: Make, tmp_path: Path
) -> None:
    first = await started(make())
    left = record(tmp_path)
    # As kill -9 does it: the lock is free, the server goes on.
    await first.stop(keep_running=True)
    other = make(data_dir=tmp_path / "other")
    (tmp_path / "other").mkdir()
    await other.start()
    assert not await other.wait_ready(1)
    assert f"process {left.pid}, data directory {tmp_path}." in (other.trouble() or "")
    assert alive(left.pid)
    heir = await started(make())
    assert heir.endpoint().url == left.url, "the Paceline of that data directory takes it up"
    await heir.stop()
    assert await other.wait_ready(20), "and the other one goes on when it is over"


def record_or_none(tmp_path: Path) -> ServerRecord | None:
    """What is written down at the moment."""
    return ServerRecord.read(tmp_path / STATE_FILE)


async def test_children_end_with_it_even_in_sessions_of_their_own(make: Make, tmp_path: Path) -> None:
    server = await started(make("litter"))
    litter = int((tmp_path / "own" / "litter.pid").read_text())
    await server.stop()
    assert not alive(litter)


async def test_a_server_of_a_dead_process_of_ours_that_does_not_answer_is_ended_first(
    make: Make, tmp_path: Path
) -> None:
    first = await started(make("litter"))
    old = record(tmp_path)
    await first.stop(keep_running=True)
    os.kill(old.pid, signal.SIGKILL)
    litter = int((tmp_path / "own" / "litter.pid").read_text())
    await started(make())
    assert not alive(litter)
    assert record(tmp_path).pid != old.pid


async def test_a_process_that_got_the_pid_of_a_dead_server_is_left_alone(make: Make, tmp_path: Path) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    identity = ProcessIdentity.of(bystander.pid)
    stale = ServerRecord(identity.pid, identity.start_time - 1000, 1, "old", "mark-of-the-old-one")
    (tmp_path / STATE_FILE).write_text(json.dumps(stale.__dict__))
    await started(make())
    assert bystander.returncode is None
    assert alive(bystander.pid)
    bystander.kill()
    await bystander.wait()


async def test_one_that_does_not_hear_term_is_killed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.adapters import opencode_process

    monkeypatch.setattr(opencode_process, "PATIENCE", 0.5)
    server = await started(make("deaf"))
    pid = (await server.health()).pid
    assert pid is not None
    await server.stop()
    assert not alive(pid)


async def test_one_that_dies_while_it_starts_is_reported(make: Make) -> None:
    server = make("dying")
    await server.start()
    assert not await server.wait_ready(1.5)
    detail = (await server.health()).detail
    assert detail is not None
    assert "ended while it started" in detail


async def test_one_that_answers_and_dies_at_once_is_started_again_ever_more_seldom(make: Make, tmp_path: Path) -> None:
    await make("brief").start()
    starts = tmp_path / "own" / "starts"
    async with asyncio.timeout(40):
        while not starts.exists() or len(starts.read_text().split()) < 4:
            await asyncio.sleep(0.05)
    at = [float(moment) for moment in starts.read_text().split()]
    # Each of them lives for half a second; the pauses between are 0.5, 1 and 2 s.
    assert at[3] - at[2] >= 2.4
    assert at[2] - at[1] >= 1.4


async def test_a_connection_that_is_taken_too_early_and_never_answered_does_not_block_the_start(make: Make) -> None:
    await started(make("slow"))


async def test_another_version_is_used_with_a_warning(make: Make) -> None:
    server = await started(make(ODD_VERSION="1.99.0"))
    health = await server.health()
    assert (health.state, health.version) == ("ready", "1.99.0")
    assert health.detail == "OpenCode 1.99.0 runs; Paceline was tested with 1.18.33."


def test_a_binary_that_does_not_work_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "opencode"
    broken.write_text("#!/bin/sh\necho 'not installed' >&2; exit 1\n")
    broken.chmod(0o755)
    with pytest.raises(OpencodeUnavailable, match="PACELINE_OPENCODE_BIN"):
        find_binary(broken)


def test_the_binary_of_this_installation_comes_before_the_one_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "opencode"
    other.write_text("#!/bin/sh\necho 0.0.1\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found, version = find_binary()
    assert "node_modules" in found.parts
    assert version == "1.18.33"

"""Runs git as a reader: argv only, bounded in time and size, and nothing a repository says is ever executed."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.errors import Unavailable

SECONDS = 30.0
OUTPUT_LIMIT = 64 * 1024 * 1024
ERROR_LIMIT = 8 * 1024
CHUNK = 64 * 1024

_KEPT_VARIABLES = ("PATH", "HOME", "XDG_CONFIG_HOME", "USER", "LOGNAME", "TMPDIR")
_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_LITERAL_PATHSPECS": "1",
}
# What a repository's own configuration could make git run, fetch or write, and what would change the output.
_CONFIG = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.splitIndex": "false",
    "core.pager": "cat",
    "core.quotePath": "false",
    "core.trustctime": "true",
    "core.checkStat": "default",
    "core.bigFileThreshold": "16m",
    "protocol.allow": "never",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "color.ui": "false",
}


@dataclass(frozen=True)
class GitAnswer:
    """What a git command said; `truncated` when it had more to say than it was allowed."""

    code: int
    output: bytes
    error: str
    truncated: bool = False

    @property
    def line(self) -> str:
        """The output without its line end, as text (paths may hold any bytes)."""
        return os.fsdecode(self.output.removesuffix(b"\n"))

    @property
    def complaint(self) -> str:
        """The first line of what git complained about."""
        lines = self.error.strip().splitlines()
        return lines[0].removeprefix("fatal: ") if lines else f"exit code {self.code}"


class GitCommands:
    """Starts git processes. Raises Unavailable when git is missing or takes too long."""

    def __init__(self, ceilings: Sequence[Path] = (), seconds: float = SECONDS) -> None:
        """`ceilings`: folders whose own repository, if they lie in one, is not that of what they hold."""
        self._ceilings = os.pathsep.join(os.path.realpath(folder) for folder in ceilings)
        self._seconds = seconds

    async def run(
        self,
        directory: str | Path,
        *arguments: str,
        stdin: bytes | None = None,
        variables: Mapping[str, str] | None = None,
        limit: int = OUTPUT_LIMIT,
    ) -> GitAnswer:
        """Run `git <arguments>` in the directory; any exit code is an answer."""
        config = [part for key, value in _CONFIG.items() for part in ("-c", f"{key}={value}")]
        try:
            process = await asyncio.create_subprocess_exec(
                "git", *config, *arguments,
                cwd=directory, env=self._environment(variables or {}), start_new_session=True,
                stdin=DEVNULL if stdin is None else PIPE, stdout=PIPE, stderr=PIPE,
            )  # fmt: skip
        except FileNotFoundError as error:
            missing = "git was not found; install it" if os.path.isdir(directory) else f"{directory} does not exist"
            raise Unavailable(f"{missing}.") from error
        except OSError as error:
            raise Unavailable(f"git could not be started in {directory}: {error.strerror}.") from error
        try:
            async with asyncio.timeout(self._seconds):
                return await _conversation(process, stdin, limit)
        except TimeoutError as error:
            what = next((word for word in arguments if not word.startswith("-")), "")
            raise Unavailable(f"git {what} took longer than {self._seconds:g} s in {directory}.") from error
        finally:
            await _end(process)

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        ceilings = {"GIT_CEILING_DIRECTORIES": self._ceilings} if self._ceilings else {}
        return {**kept, **_ENVIRONMENT, **ceilings, **variables}


async def _conversation(process: Process, stdin: bytes | None, limit: int) -> GitAnswer:
    assert process.stdout is not None
    assert process.stderr is not None
    feeding = asyncio.create_task(_feed(process, stdin))
    complaining = asyncio.create_task(_read(process.stderr, ERROR_LIMIT, keep_reading=True))
    try:
        output = await _read(process.stdout, limit + 1, keep_reading=False)
        if len(output) > limit:
            _kill(process)
            return GitAnswer(0, output[:limit], "", truncated=True)
        await feeding
        error = await complaining
        return GitAnswer(await process.wait(), output, error.decode("utf-8", errors="replace"))
    finally:
        for task in (feeding, complaining):
            task.cancel()
        await asyncio.gather(feeding, complaining, return_exceptions=True)


async def _feed(process: Process, stdin: bytes | None) -> None:
    if process.stdin is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(stdin or b"")
        await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()


async def _read(stream: asyncio.StreamReader, limit: int, *, keep_reading: bool) -> bytes:
    kept = bytearray()
    while chunk := await stream.read(CHUNK):
        kept += chunk[: limit - len(kept)]
        if len(kept) >= limit and not keep_reading:
            break
    return bytes(kept)


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _end(process: Process) -> None:
    """Leave no process and no open pipe behind, also when we are cancelled."""
    if process.returncode is None:
        _kill(process)
    for stream in (process.stdout, process.stderr):
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                while stream is not None and await stream.read(CHUNK):
                    pass
    if process.stdin is not None:
        process.stdin.close()
    with suppress(TimeoutError):
        # What hangs in the file system of a dead server outlives SIGKILL.
        async with asyncio.timeout(2):
            await process.wait()

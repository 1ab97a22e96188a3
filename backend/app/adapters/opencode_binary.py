"""Finds the OpenCode binary that works: the configured one, this installation's, or one on PATH."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from app.errors import OpencodeUnavailable

TESTED_VERSION = "1.18.33"


def find_binary(chosen: Path | None = None, *, search_path: bool = True) -> tuple[Path, str]:
    """Path and version of the first candidate that answers `--version`.

    A chosen binary is the only candidate. Raises `OpencodeUnavailable` with what was tried.
    """
    tried = []
    for candidate in [chosen] if chosen is not None else _candidates(search_path):
        version = _version(candidate)
        if version is not None:
            return candidate, version
        tried.append(str(candidate))
    if chosen is not None:
        raise OpencodeUnavailable(f"{chosen} is no working OpenCode; mend PACELINE_OPENCODE_BIN or remove it.")
    where = f" (tried {', '.join(tried)})" if tried else ""
    raise OpencodeUnavailable(f"No working OpenCode was found{where}; run `make setup` or set PACELINE_OPENCODE_BIN.")


def _candidates(search_path: bool) -> Iterator[Path]:
    for folder in Path(__file__).resolve().parents:
        modules = folder / "node_modules"
        if modules.is_dir():
            yield from (path for path in _installed(modules) if path.exists())
    on_path = shutil.which("opencode") if search_path else None
    if on_path is not None:
        yield Path(on_path)


def _installed(modules: Path) -> Iterator[Path]:
    """The package of this system first: without install scripts `.bin/opencode` is a text that only complains."""
    system = "darwin" if sys.platform == "darwin" else "linux"
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine())
    for flavour in ("", "-baseline", "-musl", "-baseline-musl"):
        yield modules / f"opencode-{system}-{machine}{flavour}" / "bin" / "opencode"
    yield modules / ".bin" / "opencode"


def _version(binary: Path) -> str | None:
    try:
        done = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split()
    return words[-1] if done.returncode == 0 and words else None

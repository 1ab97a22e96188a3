"""The registry folder on disk: reads it, notices any way of saving, and fills it at the first start."""

import asyncio
import hashlib
import logging
import os
import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from watchfiles import awatch

from app.adapters.registry_parsing import AGENTS, PIPELINES, parse_registry
from app.adapters.registry_yaml import MAX_BYTES
from app.schemas.registry_errors import RegistryReading, RegistrySources, SourceFile

log = logging.getLogger("paceline.registry")

FILES = (AGENTS, PIPELINES)
LOOK_AGAIN_SECONDS = 2.0
"""How late a change is seen that the system does not report: network folders, symlinks to elsewhere."""


class RegistryFiles:
    """`agents.yaml` and `pipelines.yaml` in one folder. Implements `services.registry.RegistrySource`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def paths(self) -> tuple[str, ...]:
        """The files, for messages."""
        return tuple(str(self._folder / name) for name in FILES)

    def read(self) -> RegistrySources:
        """Both files as they are now; under a millisecond for files of usual size, and never raises.

        The fingerprint is of the content itself: times and sizes can stay the same over a change.
        """
        files = tuple(_read(self._folder / name) for name in FILES)
        digest = hashlib.sha256()
        for file in files:
            content = file.content if file.content is not None else b""
            digest.update(f"{file.name} {file.problem} {len(content)}\n".encode(errors="surrogateescape"))
            digest.update(content)
        return RegistrySources(digest.hexdigest(), files)

    def parse(self, sources: RegistrySources) -> RegistryReading:
        """What the files mean; never raises. Up to some seconds for a file of 1 MB."""
        return parse_registry(sources)

    async def changes(self) -> AsyncGenerator[None, None]:
        """Yields when something in the folder changed, and every few seconds in any case.

        Goes on whatever happens to the folder: renamed, deleted, put back, out of watches.
        """
        while True:
            try:
                async with aclosing(self._watch()) as seen:
                    async for _ in seen:
                        yield
            except (OSError, RuntimeError) as error:
                # The folder is missing, or the system has no watches left: look by the clock.
                log.debug("the registry folder cannot be watched: %s", error)
            yield
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _watch(self) -> AsyncGenerator[None, None]:
        """Watches the folder as long as it is the same folder."""
        watched = _identity(self._folder)
        timeout = int(LOOK_AGAIN_SECONDS * 1000)
        notices = awatch(
            self._folder,
            watch_filter=None,
            debounce=200,
            rust_timeout=timeout,
            yield_on_timeout=True,
            recursive=False,
        )
        async with aclosing(notices):
            async for _ in notices:
                yield
                if _identity(self._folder) != watched:
                    return


def fill_registry_folder(folder: Path) -> bool:
    """Put the shipped files into a folder that has neither; True when it did. Never overwrites anything.

    A folder that cannot be written is left alone: the registry then says which file is missing.
    """
    if any(os.path.lexists(folder / name) for name in FILES):
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shipped = shipped_registry()
        fresh = [(folder / f".{name}.new", folder / name) for name in FILES]
        for draft, target in fresh:
            draft.write_bytes((shipped / target.name).read_bytes())
        for draft, target in fresh:
            draft.replace(target)
    except OSError as error:
        log.warning("the shipped agents and templates could not be put into %s: %s", folder, error)
        return False
    return True


def shipped_registry() -> Path:
    """The folder with the shipped files: the checkout's, else the copy inside the package."""
    package = Path(__file__).resolve().parents[1]
    # The checkout first: an editable installation carries an old copy below `shipped`.
    checkout = package.parents[1] / "config"
    return checkout if (checkout / AGENTS).is_file() else package / "shipped" / "config"


def _read(path: Path) -> SourceFile:
    try:
        # A pipe or a device would block the reader for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            return SourceFile(path.name, None, "this is not a regular file")
        with path.open("rb") as file:
            return SourceFile(path.name, file.read(MAX_BYTES + 1))
    except FileNotFoundError:
        return SourceFile(path.name, None, "the file is missing")
    except OSError as error:
        return SourceFile(path.name, None, f"the file cannot be read: {error.strerror or error}")


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino

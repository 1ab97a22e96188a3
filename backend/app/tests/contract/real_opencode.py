"""One real `opencode serve` for a whole test session, with the scripted provider in a thread beside it."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.adapters.opencode_children import ServerRecord, end_server
from app.adapters.opencode_environment import ChildSetup
from app.adapters.opencode_process import STATE_FILE, ManagedSettings
from app.demo.provider import ScriptedProvider
from app.demo.provider_config import ScriptedSetup, opencode_config
from app.demo.provider_script import Scenario, directives
from app.demo.provider_server import serving


class ProviderThread:
    """The scripted provider in an event loop of its own, so that it outlives the loops of single tests."""

    def __init__(self, scenario: Scenario = directives) -> None:
        self.provider = ScriptedProvider(scenario)
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scripted-provider")

    def start(self) -> None:
        """Serve; the address is known afterwards."""
        self._thread.start()
        if not self._ready.wait(20):
            raise RuntimeError("the scripted provider did not start")

    def stop(self) -> None:
        """End it and its thread."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with serving(self.provider.app) as self.url:
            self._ready.set()
            await self._end.wait()


class RealOpenCode:
    """Settings of a managed server; every test re-attaches to the process that the first one started."""

    def __init__(self, folder: Path, provider: ProviderThread, setup: ScriptedSetup) -> None:
        self.provider = provider.provider
        self.folder = folder
        config = folder / "opencode.json"
        config.write_text(json.dumps(opencode_config(provider.url, setup)))
        self.project = folder / "project"
        home = folder / "home"
        for made in (self.project, home):
            made.mkdir()
        extra = {
            "HOME": str(home),
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        }
        child = ChildSetup(folder / "opencode", config, extra)
        self.settings = ManagedSettings(folder, child, search_path=False)

    def record(self) -> ServerRecord:
        """The running server."""
        record = ServerRecord.read(self.folder / STATE_FILE)
        if record is None:
            raise RuntimeError("no server runs")
        return record

    def end(self) -> None:
        """End the process, if there is one."""
        with suppress(RuntimeError):
            record = self.record()
            end_server(record.identity, record.mark)


@contextmanager
def running_opencode(folder: Path, setup: ScriptedSetup, scenario: Scenario = directives) -> Iterator[RealOpenCode]:
    """Provider and settings now, the server process with the first test that starts it; both end with the block."""
    thread = ProviderThread(scenario)
    thread.start()
    real = RealOpenCode(folder, thread, setup)
    try:
        yield real
    finally:
        real.end()
        thread.stop()

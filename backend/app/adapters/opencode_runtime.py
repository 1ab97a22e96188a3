"""OpenCode as the settings want it: an attached or a managed server, and the client that talks to it."""

from dataclasses import dataclass

from app.adapters.opencode_attached import AttachedServer
from app.adapters.opencode_client import OpenCodeClient
from app.adapters.opencode_environment import ChildSetup
from app.adapters.opencode_live import Sink
from app.adapters.opencode_process import ManagedSettings, OpenCodeServer
from app.adapters.opencode_requests import RequestDesk
from app.settings import Settings


@dataclass(frozen=True)
class OpenCodeRuntime:
    """Server and client; `close` ends both, and a managed server with its children."""

    server: OpenCodeServer | AttachedServer
    client: OpenCodeClient

    async def close(self) -> None:
        """Close the client first, so that nothing asks a server that is going away."""
        try:
            await self.client.aclose()
        finally:
            await self.server.stop()


def open_runtime(settings: Settings, sink: Sink, desk: RequestDesk) -> OpenCodeRuntime:
    """Starts nothing: `server.start()` does. `sink` takes the live events of every session, `desk` answers agents."""
    server = _server(settings)
    return OpenCodeRuntime(server, OpenCodeClient(server, sink, desk=desk))


def _server(settings: Settings) -> OpenCodeServer | AttachedServer:
    if settings.opencode_url is not None:
        password = settings.opencode_password.get_secret_value() if settings.opencode_password else None
        return AttachedServer(settings.opencode_url, password)
    setup = ChildSetup(settings.data_dir / "opencode", settings.opencode_config)
    return OpenCodeServer(ManagedSettings(settings.data_dir, setup, settings.opencode_bin))

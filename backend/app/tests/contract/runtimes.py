"""The two servers under test behind one face: the real one and the fake."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from app.adapters.opencode_client import ClientTiming, OpenCodeClient, new_message_id
from app.adapters.opencode_http import EndpointSource
from app.adapters.opencode_process import OpenCodeServer
from app.adapters.opencode_pulse import PulseTiming
from app.adapters.opencode_requests import RequestDesk
from app.demo.provider import ScriptedProvider
from app.demo.provider_config import ScriptedModel, ScriptedSetup
from app.schemas.runtime import LiveEvent, MessageResponse, SessionBinding, StepLimits
from app.tests.contract.real_opencode import RealOpenCode
from app.tests.fake_opencode import FakeOpenCode

SETUP = ScriptedSetup(
    models=[
        ScriptedModel("alpha", "Alpha", price_input=1, price_output=2),
        ScriptedModel("beta", "Beta"),
        ScriptedModel("gratis", "Gratis", price_input=0, price_output=0),
        ScriptedModel("org/slashed", "Slashed", price_input=3, price_output=4),
    ],
    agents={
        "writer": {"mode": "primary", "description": "writes", "prompt": "You are the writer."},
        "asker": {"mode": "primary", "description": "asks", "prompt": "You ask.", "permission": {"bash": "ask"}},
        "reader": {"mode": "primary", "description": "reads", "prompt": "You read.", "permission": {"edit": "deny"}},
    },
)


class ServerUnderTest(Protocol):
    """What a case may do to a server."""

    source: EndpointSource
    provider: ScriptedProvider
    unit: float
    """How long a scripted second really takes."""

    async def kill(self) -> None:
        """kill -9; the server is gone when this returns."""

    async def come_back(self) -> None:
        """A successor on the same data answers when this returns."""

    def take_its_time(self) -> None:
        """Begin prompts as late as in a directory that was never used: the real one needs no order for that."""


class RealServer:
    """The process, watched by an `OpenCodeServer` that re-attached to it."""

    unit = 1.0

    def __init__(self, real: RealOpenCode, pulse: PulseTiming | None = None) -> None:
        self._real = real
        self.server = OpenCodeServer(replace(real.settings, pulse=pulse or real.settings.pulse))
        self.source: EndpointSource = self.server
        self.provider = real.provider

    async def kill(self) -> None:
        os.kill(self._real.record().pid, signal.SIGKILL)
        while (await self.server.health()).state == "ready":
            await asyncio.sleep(0.05)

    async def come_back(self) -> None:
        assert await self.server.wait_ready(60)

    def take_its_time(self) -> None:
        pass


class FakeServer:
    """The fake, served in the loop of the test."""

    unit = 0.02

    def __init__(self, stack: AsyncExitStack) -> None:
        self.fake = FakeOpenCode(SETUP, pace=self.unit, begin_delay=0.05)
        self.source: EndpointSource = self.fake
        self.provider = self.fake.provider
        self._outer = stack
        self._stack = AsyncExitStack()

    async def kill(self) -> None:
        await self._stack.aclose()

    async def come_back(self) -> None:
        await self._stack.enter_async_context(self.fake.serve())

    def take_its_time(self) -> None:
        self.fake.begin_delay = 1.5


class Case:
    """A server, a client, a directory, and the shortcuts that the cases share."""

    def __init__(self, server: ServerUnderTest, directory: Path, stack: AsyncExitStack) -> None:
        self.server = server
        self.directory = directory
        self.shown: list[LiveEvent] = []
        self._stack = stack
        self.client = self.new_client()

    def new_client(
        self,
        source: EndpointSource | None = None,
        timing: ClientTiming | None = None,
        desk: RequestDesk | None = None,
    ) -> OpenCodeClient:
        """Another client of the same server, as a restarted process of ours would have."""
        client = OpenCodeClient(source or self.server.source, self.shown.append, timing, desk)
        self._stack.push_async_callback(client.aclose)
        return client

    async def session(
        self, limits: StepLimits | None = None, directory: Path | None = None
    ) -> tuple[str, SessionBinding]:
        """A fresh session with its binding."""
        binding = SessionBinding(
            directory=str(directory or self.directory),
            message_id=new_message_id(),
            title="Contract",
            pipeline_id=1,
            step_id=2,
            attempt=1,
            limits=limits or StepLimits(),
        )
        return await self.client.create_session(binding), binding

    async def send(
        self, prompt: str, agent: str = "writer", model: str | None = "scripted/alpha", limits: StepLimits | None = None
    ) -> MessageResponse:
        """One prompt in a session of its own."""
        session, _ = await self.session(limits)
        return await self.client.send_message(session, prompt, agent, model)

    def calls(self, text: str) -> list[str]:
        """Models that the provider was called with for prompts that contain a text."""
        return self.server.provider.models_called(text)

    async def until_called(self, text: str, times: int = 1) -> None:
        """Wait until the provider has been called."""
        async with asyncio.timeout(30):
            while len(self.calls(text)) < times:
                await asyncio.sleep(0.02)

    async def until_shown(self, count: int) -> None:
        """Wait for some live events with text."""
        async with asyncio.timeout(30):
            while sum(event.type == "delta" for event in self.shown) < count:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def fake_case(folder: Path) -> AsyncIterator[Case]:
    """A case on a fake of its own."""
    (folder / "project").mkdir()
    async with AsyncExitStack() as stack:
        server = FakeServer(stack)
        await server.come_back()
        stack.push_async_callback(server.kill)
        yield Case(server, folder / "project", stack)


@asynccontextmanager
async def real_case(real: RealOpenCode, pulse: PulseTiming | None = None) -> AsyncIterator[Case]:
    """A case on the real server, which goes on for the next one. `pulse`: when it counts as hung."""
    for left in real.project.iterdir():
        left.unlink()
    async with AsyncExitStack() as stack:
        server = RealServer(real, pulse)
        await server.server.start()
        stack.push_async_callback(server.server.stop, keep_running=True)
        await server.come_back()
        yield Case(server, real.project, stack)

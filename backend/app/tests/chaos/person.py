"""A person who uses a server that dies and comes back: asks until answered, and remembers what was answered."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from app.demo.provider import ScriptedProvider
from app.tests.chaos.invariants import Kept
from app.tests.live_server import FINAL

CRASH_SECONDS = 30.0
OUTAGES = (503, 507)
"""What a server may answer that lives and cannot: OpenCode or the database is away, the disk is full."""


class Patient(Protocol):
    """The server as a person meets it: it may be dead, and somebody brings it back."""

    provider: ScriptedProvider

    @property
    def http(self) -> httpx.AsyncClient:
        """A client of the server that lives now."""
        ...

    async def revive(self) -> None:
        """Start it again if it is dead."""
        ...

    def alive_seconds(self) -> float:
        """How long it has lived now."""
        ...

    async def lose_work(self, run_id: int) -> None:
        """Kill the server and take what it had queued for a run out of the queue."""
        ...

    async def lose_turn(self, marker: str) -> bool:
        """OpenCode stops working on the prompt with this marker and says nothing; False when it had finished."""
        ...

    async def answer_elsewhere(self, marker: str) -> None:
        """Somebody allows at OpenCode itself what the run with this marker asks there."""
        ...

    async def let_time_run_out(self, run_id: int) -> None:
        """The deadline of what the agent of a run asks comes now."""
        ...


@dataclass
class Person:
    """Asks again until it is answered; remembers what it was told."""

    server: Patient
    marker: str
    """In the title and the prompt of its run, and in nobody else's."""
    project: Path
    acknowledged: list[Kept] = field(default_factory=list)
    """What everything that was answered with 2xx must have left."""
    outages: Counter[int] = field(default_factory=Counter)
    """Answers of a living server that said that it cannot now."""

    async def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """The first answer that is none of an outage; AssertionError when the server breaks instead."""
        while True:
            try:
                answer = await self.server.http.request(method, path, json=body, headers=headers)
                if answer.status_code not in OUTAGES:
                    assert answer.status_code < 500, f"{method} {path}: {answer.status_code} {answer.text}"
                    return answer
                self.outages[answer.status_code] += 1
            except (httpx.TransportError, RuntimeError):
                # RuntimeError: somebody else has revived the server, and with it closed this client.
                pass
            await asyncio.sleep(0.05)
            await self.server.revive()

    async def create(self, prompt: str, template: str, **more: Any) -> int:
        """Create a run; asked again under the same key when the answer was lost with the server."""
        given = {"template": template, "title": f"Chaos {self.marker}", "prompt": f"{prompt} ({self.marker})"}
        return await self._new("/pipelines", given | {"working_dir": str(self.project)} | more, self.marker)

    async def duplicate(self, run_id: int) -> int:
        """Create the same run once more, in the same way."""
        return await self._new(f"/pipelines/{run_id}/duplicate", None, f"{self.marker}-again")

    async def _new(self, path: str, body: dict[str, Any] | None, key: str) -> int:
        answer = await self.ask("POST", path, body, headers={"idempotency-key": key})
        assert answer.status_code == 201, answer.text
        run_id: int = answer.json()["id"]
        self.acknowledged.append(Kept(run_id, "pipeline.created"))
        return run_id

    async def run(self, run_id: int) -> dict[str, Any]:
        """The run as the API shows it."""
        answer: dict[str, Any] = (await self.ask("GET", f"/pipelines/{run_id}")).json()
        return answer

    async def ended(self, run_id: int, status: str, code: str | None = None) -> None:
        """Wait for the end of the run; AssertionError when it is another one than this."""
        run = await self.until(run_id)
        assert (run["status"], run["error_code"]) == (status, code), f"{self.marker} ended {run['status']}: {run}"

    async def until(self, run_id: int, *states: str) -> dict[str, Any]:
        """The run in one of the states, any final one unless told."""
        run: dict[str, Any] = {}

        async def there() -> bool:
            run.update(await self.run(run_id))
            return run["status"] in (states or FINAL)

        await self.eventually(there, f"{states or FINAL}")
        return run

    async def eventually(self, condition: Callable[[], Awaitable[bool]], wish: str) -> None:
        """Wait for a condition; AssertionError when one and the same server had time enough for it."""
        while not await condition():
            assert self.server.alive_seconds() < CRASH_SECONDS, f"{self.marker}: never {wish}"
            await asyncio.sleep(0.1)

    async def decide(self, run_id: int, action: str, body: dict[str, Any] | None = None, event: str = "") -> None:
        """Decide until the run has left the state that the decision is for; 409 says that it has.

        `event`: the audit type that an accepted decision leaves.
        """
        answer = await self.ask("POST", f"/pipelines/{run_id}/{action}", body)
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 200 and event:
            given = body or {}
            self.acknowledged.append(Kept(run_id, event, given.get("comment") or given.get("message") or ""))
            if "handoff" in given:
                self.acknowledged.append(Kept(run_id, "handoff.edited", given["handoff"]))

    async def asked(self, run_id: int, before: int = 0) -> int:
        """Wait until the agent has an open request behind this one; its id."""
        found: list[int] = []

        async def there() -> bool:
            run = await self.run(run_id)
            found[:] = [request["id"] for request in run["requests"] if request["id"] > before]
            assert run["status"] not in FINAL, f"{self.marker} ended without asking: {run}"
            return bool(found)

        await self.eventually(there, "asked")
        return found[0]

    async def closed(self, run_id: int) -> list[str]:
        """How each request of the run's agents ended, oldest first."""
        listed = (await self.ask("GET", f"/requests?pipeline_id={run_id}")).json()["items"]
        return [request["status"] for request in reversed(listed)]

    async def called(self, count: int = 1) -> None:
        """Wait until the model was asked that often for this person's run."""

        async def there() -> bool:
            await self.server.revive()
            return len(self.server.provider.models_called(self.marker)) >= count

        await self.eventually(there, f"called {count} times")

"""What a stubborn person does with runs while the server keeps dying: each program reaches some fail points."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from app.tests.live_server import FINAL, LiveServer

CRASH_SECONDS = 30.0


class Person:
    """Asks again until it is answered, and starts the server again when it is dead."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.crashes = 0

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """The first answer that is none of an outage."""
        while True:
            try:
                answer = await self.server.http.request(method, path, json=body)
                if answer.status_code < 500:
                    return answer
            except httpx.TransportError:
                pass
            await self.revive()

    async def revive(self) -> None:
        """Start the server again if it is dead, this time without a fail point."""
        await asyncio.sleep(0.05)
        if self.server.is_dead():
            self.crashes += 1
            await self.server.terminate()
            await self.server.start()

    async def create(self, prompt: str, template: str) -> int:
        """Create a run; when the answer was lost with the server, look whether it exists before asking again."""
        body = {"template": template, "title": "Chaos", "prompt": prompt, "working_dir": str(self.server.project)}
        known = {item["id"] for item in (await self.ask("GET", "/pipelines")).json()["items"]}
        while True:
            try:
                answer = await self.server.http.request("POST", "/pipelines", json=body)
                if answer.status_code == 201:
                    run_id: int = answer.json()["id"]
                    return run_id
            except httpx.TransportError:
                pass
            await self.revive()
            now = [item["id"] for item in (await self.ask("GET", "/pipelines")).json()["items"]]
            new = [run_id for run_id in now if run_id not in known]
            if new:
                return int(new[0])

    async def until(self, run_id: int, *states: str) -> dict[str, Any]:
        """The run in one of the states, any final one unless told."""
        deadline = asyncio.get_running_loop().time() + CRASH_SECONDS
        while True:
            run: dict[str, Any] = (await self.ask("GET", f"/pipelines/{run_id}")).json()
            if run["status"] in (states or FINAL):
                return run
            assert asyncio.get_running_loop().time() < deadline, (run["status"], run["steps"], states)
            await asyncio.sleep(0.05)

    async def decide(self, run_id: int, action: str, body: dict[str, Any] | None = None) -> None:
        """Decide until the run has left the state that the decision is for; 409 says that it has."""
        answer = await self.ask("POST", f"/pipelines/{run_id}/{action}", body)
        assert answer.status_code in (200, 409), answer.text


async def gate_and_done(person: Person) -> tuple[int, list[str]]:
    """Two steps around a gate."""
    run_id = await person.create("[[slow:4:0.05]] [[say:A part.]]", "gated")
    await person.until(run_id, "waiting_for_approval", *FINAL)
    await person.decide(run_id, "approve", {"comment": "Go on."})
    assert (await person.until(run_id))["status"] == "done"
    return run_id, ["alpha", "beta"]


async def reminded(person: Person) -> tuple[int, list[str]]:
    """A gate whose reminder falls due."""
    run_id = await person.create("[[say:A part.]]", "gated")
    await person.until(run_id, "waiting_for_approval", *FINAL)

    async def noted() -> bool:
        return (await person.ask("GET", f"/pipelines/{run_id}")).json()["approval"]["reminded_at"] is not None

    await _eventually(noted)
    await person.decide(run_id, "reject")
    events = (await person.ask("GET", f"/audit?pipeline_id={run_id}&type=approval.reminded")).json()["items"]
    assert len(events) == 1, "reminded once, whatever happens"
    return run_id, ["alpha"]


async def back_and_rejected(person: Person) -> tuple[int, list[str]]:
    """Sent back once, then rejected."""
    run_id = await person.create("[[say:A part.]]", "gated")
    before = await person.until(run_id, "waiting_for_approval", *FINAL)
    await person.decide(run_id, "request-changes", {"comment": "Once more."})

    async def again() -> bool:
        run = (await person.ask("GET", f"/pipelines/{run_id}")).json()
        return bool(run["status"] == "waiting_for_approval" and run["approval"]["id"] != before["approval"]["id"])

    await _eventually(again)
    await person.decide(run_id, "reject", {"comment": "No."})
    assert (await person.until(run_id))["error_code"] == "rejected"
    return run_id, ["alpha", "alpha"]


async def aborted_and_restarted(person: Person) -> tuple[int, list[str]]:
    """Aborted in mid-step, restarted, done."""
    run_id = await person.create("[[slow:400:0.05]] [[say:Long.]] [[after:x]]", "one")

    async def asked() -> bool:
        await person.revive()
        return bool(person.server.provider.models_called())

    await _eventually(asked)
    await person.decide(run_id, "abort")
    assert (await person.until(run_id))["status"] == "aborted"
    await person.decide(run_id, "restart")
    await person.until(run_id, "running", *FINAL)
    await person.decide(run_id, "abort")
    assert (await person.until(run_id))["status"] == "aborted"
    return run_id, []


async def failed_step(person: Person) -> tuple[int, list[str]]:
    """A step without an answer."""
    run_id = await person.create("[[empty]]", "two")
    assert (await person.until(run_id))["error_code"] == "empty_output"
    return run_id, ["alpha"]


async def asked_and_allowed(person: Person) -> tuple[int, list[str]]:
    """A command that a person allows once; it runs once."""
    bash = '[[tool:bash:{"command":"echo once >> made.txt","description":"d"}]]'
    run_id = await person.create(f"{bash} [[say:Made it.]]", "careful")
    run = await person.until(run_id, "waiting_for_input", *FINAL)
    for request in run["requests"]:
        await person.decide(run_id, f"requests/{request['id']}/answer", {"reply": "once"})
    done = await person.until(run_id)
    assert done["status"] == "done", done["error_message"]
    assert (person.server.project / "made.txt").read_text() == "once\n"
    listed = (await person.ask("GET", f"/requests?pipeline_id={run_id}")).json()["items"]
    assert [request["status"] for request in listed] == ["answered"]
    return run_id, ["alpha", "alpha"]


async def _eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = asyncio.get_running_loop().time() + CRASH_SECONDS
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Program:
    """A program and the fail points that it reaches."""

    run: Callable[[Person], Awaitable[tuple[int, list[str]]]]
    commits: tuple[str, ...]


PROGRAMS = (
    Program(
        gate_and_done,
        (
            "create-run", "start-run", "session-created", "begin-step", "prompt-sent", "complete-step", "open-gate",
            "approve", "finish-run",
        ),
    ),
    Program(reminded, ("remind",)),
    Program(back_and_rejected, ("request-changes", "reject")),
    Program(aborted_and_restarted, ("abort", "abort-sent", "release", "restart")),
    Program(failed_step, ("fail-step",)),
    Program(asked_and_allowed, ("ask-person", "answer-agent")),
)  # fmt: skip

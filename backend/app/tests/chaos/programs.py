"""What a stubborn person does with runs while the server keeps dying: each program reaches some fail points."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import httpx

from app.demo.provider import ScriptedProvider
from app.tests.live_server import FINAL

CRASH_SECONDS = 30.0


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


@dataclass
class Person:
    """Asks again until it is answered; remembers what it was told."""

    server: Patient
    marker: str
    """In the title and the prompt of its run, and in nobody else's."""
    project: Path
    acknowledged: list[tuple[int, str]] = field(default_factory=list)
    """Run and audit type of everything that was answered with 2xx."""

    async def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """The first answer that is none of an outage."""
        while True:
            try:
                answer = await self.server.http.request(method, path, json=body, headers=headers)
                if answer.status_code < 500:
                    return answer
            except (httpx.TransportError, RuntimeError):
                # RuntimeError: somebody else has revived the server, and with it closed this client.
                pass
            await asyncio.sleep(0.05)
            await self.server.revive()

    async def create(self, prompt: str, template: str, **more: Any) -> int:
        """Create a run; asked again under the same key when the answer was lost with the server."""
        given = {"template": template, "title": f"Chaos {self.marker}", "prompt": f"{prompt} ({self.marker})"}
        body = given | {"working_dir": str(self.project)} | more
        answer = await self.ask("POST", "/pipelines", body, headers={"idempotency-key": self.marker})
        assert answer.status_code == 201, answer.text
        run_id: int = answer.json()["id"]
        self.acknowledged.append((run_id, "pipeline.created"))
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
            await asyncio.sleep(0.05)

    async def decide(self, run_id: int, action: str, body: dict[str, Any] | None = None, event: str = "") -> None:
        """Decide until the run has left the state that the decision is for; 409 says that it has.

        `event`: the audit type that an accepted decision leaves.
        """
        answer = await self.ask("POST", f"/pipelines/{run_id}/{action}", body)
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 200 and event:
            self.acknowledged.append((run_id, event))

    async def called(self, count: int = 1) -> None:
        """Wait until the model was asked that often for this person's run."""

        async def there() -> bool:
            await self.server.revive()
            return len(self.server.provider.models_called(self.marker)) >= count

        await self.eventually(there, f"called {count} times")


async def gate_and_done(person: Person) -> list[str] | None:
    """Two steps around a gate."""
    run_id = await person.create("[[slow:4:0.05]] [[say:A part.]]", "gated")
    await person.until(run_id, "waiting_for_approval", *FINAL)
    await person.decide(run_id, "approve", {"comment": "Go on."}, "approval.approved")
    await person.ended(run_id, "done")
    return ["alpha", "beta"]


async def reminded(person: Person) -> list[str] | None:
    """A gate whose reminder falls due."""
    run_id = await person.create("[[say:A part.]]", "gated")
    await person.until(run_id, "waiting_for_approval", *FINAL)

    async def noted() -> bool:
        return (await person.run(run_id))["approval"]["reminded_at"] is not None

    await person.eventually(noted, "reminded")
    await person.decide(run_id, "reject", event="approval.rejected")
    events = (await person.ask("GET", f"/audit?pipeline_id={run_id}&type=approval.reminded")).json()["items"]
    assert len(events) == 1, "reminded once, whatever happens"
    return ["alpha"]


async def back_and_rejected(person: Person) -> list[str] | None:
    """Sent back once, then rejected."""
    run_id = await person.create("[[say:A part.]]", "gated")
    before = await person.until(run_id, "waiting_for_approval", *FINAL)
    await person.decide(run_id, "request-changes", {"comment": "Once more."}, "approval.changes_requested")

    async def again() -> bool:
        run = await person.run(run_id)
        return bool(run["status"] == "waiting_for_approval" and run["approval"]["id"] != before["approval"]["id"])

    await person.eventually(again, "asked again")
    await person.decide(run_id, "reject", {"comment": "No."}, "approval.rejected")
    await person.ended(run_id, "failed", "rejected")
    return ["alpha", "alpha"]


async def aborted_and_restarted(person: Person) -> list[str] | None:
    """Aborted in mid-step, restarted, done."""
    run_id = await person.create("[[slow:6000:0.05]]", "one")

    await person.called()
    await person.decide(run_id, "abort", event="pipeline.aborted")
    await person.ended(run_id, "aborted", "aborted")
    await person.decide(run_id, "restart", event="pipeline.restarted")
    await person.until(run_id, "running", *FINAL)
    await person.decide(run_id, "abort", event="pipeline.aborted")
    await person.ended(run_id, "aborted", "aborted")
    return None


async def in_line(person: Person) -> list[str] | None:
    """Three runs for one directory, each working when the one before has ended."""
    own = [replace(person, marker=f"{person.marker}-{place}") for place in range(3)]
    runs = [await one.create("[[slow:4:0.05]]", "one") for one in own]
    for run_id in runs:
        await person.ended(run_id, "done")
    times = [(run["started_at"], run["finished_at"]) for run in [await person.run(run_id) for run_id in runs]]
    assert [moment for pair in times for moment in pair] == sorted(moment for pair in times for moment in pair), times
    return ["alpha"] * 3


async def failed_step(person: Person) -> list[str] | None:
    """A step without an answer."""
    run_id = await person.create("[[empty]]", "two")
    await person.ended(run_id, "failed", "empty_output")
    return ["alpha"]


async def tried_again(person: Person) -> list[str] | None:
    """A step whose first try has no answer, and whose second one does."""
    run_id = await person.create("[[say:At last.]] [[empty:1]]", "twice")
    done = await person.until(run_id)
    assert (done["status"], done["steps"][0]["attempts"]) == ("done", 2), done["error_message"]
    return ["alpha", "alpha"]


async def asked_and_allowed(person: Person) -> list[str] | None:
    """A command that a person allows once; it runs once."""
    bash = '[[tool:bash:{"command":"echo once >> made.txt","description":"d"}]]'
    run_id = await person.create(f"{bash} [[say:Made it.]]", "careful")
    run = await person.until(run_id, "waiting_for_input", *FINAL)
    for request in run["requests"]:
        await person.decide(run_id, f"requests/{request['id']}/answer", {"reply": "once"}, "request.answered")
    await person.ended(run_id, "done")
    assert (person.project / "made.txt").read_text() == "once\n"
    listed = (await person.ask("GET", f"/requests?pipeline_id={run_id}")).json()["items"]
    assert [request["status"] for request in listed] == ["answered"]
    return ["alpha", "alpha"]


async def lost_work(person: Person) -> list[str] | None:
    """A step whose work vanished from the queue while the server was dead."""
    run_id = await person.create("[[slow:20:0.05]] [[say:A part.]]", "one")
    await person.called()
    await person.server.lose_work(run_id)
    await person.ended(run_id, "done")
    return ["alpha"]


async def lost_turn(person: Person) -> list[str]:
    """A step whose turn OpenCode lost: it is asked again."""
    run_id = await person.create("[[slow:40:0.05]]", "one")
    await person.called()
    lost = await person.server.lose_turn(person.marker)
    await person.ended(run_id, "done")
    return ["alpha", "alpha"] if lost else ["alpha"]


async def paused_and_resumed(person: Person) -> list[str]:
    """Created while the queue is paused, parked, and resumed; others may steer the queue at the same time."""
    assert (await person.ask("POST", "/queue/pause")).status_code == 200
    run_id = await person.create("[[say:A part.]]", "two")

    async def parked() -> bool:
        events = (await person.ask("GET", f"/audit?pipeline_id={run_id}&type=pipeline.parked")).json()["items"]
        return bool(events) or not (await person.ask("GET", "/queue")).json()["paused"]

    await person.eventually(parked, "parked")
    assert (await person.ask("POST", "/queue/resume")).status_code == 200
    await person.ended(run_id, "done")
    return ["alpha", "beta"]


@dataclass(frozen=True)
class Program:
    """What a person does, and the fail points that it reaches.

    `run` returns the models that must have been called, in any order; None when that depends on the moment.
    """

    run: Callable[[Person], Awaitable[list[str] | None]]
    commits: tuple[str, ...]


PROGRAMS = (
    Program(
        gate_and_done,
        (
            "create-run", "start-run", "resume-step", "session-created", "begin-step", "prompt-sent", "complete-step",
            "open-gate", "approve", "finish-run",
        ),
    ),
    Program(in_line, ("create-run", "finish-run")),
    Program(reminded, ("remind",)),
    Program(back_and_rejected, ("request-changes", "reject")),
    Program(aborted_and_restarted, ("abort", "abort-sent", "release", "restart")),
    Program(failed_step, ("fail-step",)),
    Program(tried_again, ("schedule-retry",)),
    Program(asked_and_allowed, ("ask-person", "answer-agent")),
    Program(lost_work, ("recover",)),
    Program(lost_turn, ("interrupt-step",)),
    Program(paused_and_resumed, ("pause", "park", "resume")),
)  # fmt: skip

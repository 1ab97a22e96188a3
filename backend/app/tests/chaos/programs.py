"""What a stubborn person does with runs while the server keeps dying: each program reaches some fail points."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from app.tests.chaos.person import Person
from app.tests.live_server import FINAL

EDITED = "What a person wrote instead."


async def gate_and_done(person: Person) -> list[str]:
    """Two steps around a gate."""
    run_id = await person.create("[[slow:4:0.05]] [[say:A part.]]", "gated")
    await person.until(run_id, "waiting_for_approval", *FINAL)
    await person.decide(run_id, "approve", {"comment": "Go on."}, "approval.approved")
    await person.ended(run_id, "done")
    return ["alpha", "beta"]


async def reminded(person: Person) -> list[str]:
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


async def back_rejected_and_restarted(person: Person) -> list[str]:
    """Sent back once, rejected, begun anew at a chosen step, approved with another hand-off and another model."""
    run_id = await person.create("[[say:A part.]]", "gated")
    first = await _at_gate(person, run_id)
    # Each names its gate: asked again after a crash, it must not count for the next one.
    more = {"comment": "Once more.", "approval_id": first}
    await person.decide(run_id, "request-changes", more, "approval.changes_requested")
    second = await _at_gate(person, run_id, first)
    await person.decide(run_id, "reject", {"comment": "No.", "approval_id": second}, "approval.rejected")
    await person.ended(run_id, "failed", "rejected")
    await person.decide(run_id, "restart", {"step": 0}, "pipeline.restarted")
    await _at_gate(person, run_id, second)
    changed = {"comment": "So be it.", "handoff": EDITED, "step_models": {"2": "scripted/gamma"}}
    await person.decide(run_id, "approve", changed, "approval.approved")
    await person.ended(run_id, "done")
    prompts = [call.prompt for call in person.server.provider.log if call.model == "gamma"]
    told = [prompt for prompt in prompts if person.marker in prompt]
    assert all(EDITED in prompt and "So be it." in prompt for prompt in told), told
    return ["alpha", "alpha", "alpha", "gamma"]


async def _at_gate(person: Person, run_id: int, before: int = 0) -> int:
    """Wait for a gate that is younger than this one; its id."""
    found: list[int] = []

    async def there() -> bool:
        run = await person.run(run_id)
        assert run["status"] != "done", f"{person.marker} went through its gate: {run}"
        found[:] = [run["approval"]["id"]] if run["status"] == "waiting_for_approval" else []
        return bool(found) and found[0] > before

    await person.eventually(there, "at a new gate")
    return found[0]


async def aborted_and_restarted(person: Person) -> list[str]:
    """Aborted in mid-step, restarted, aborted again; each try calls the model once."""
    run_id = await person.create("[[slow:6000:0.05]]", "one")
    for calls, action in ((1, "restarted"), (2, "")):
        await person.called(calls)
        await person.decide(run_id, "abort", event="pipeline.aborted")
        await person.ended(run_id, "aborted", "aborted")
        if action:
            await person.decide(run_id, "restart", event=f"pipeline.{action}")
    return ["alpha", "alpha"]


async def in_line(person: Person) -> list[str]:
    """Three runs for one directory, each working when the one before has ended."""
    own = [replace(person, marker=f"{person.marker}-{place}") for place in range(3)]
    runs = [await one.create("[[slow:4:0.05]]", "one") for one in own]
    for run_id in runs:
        await person.ended(run_id, "done")
    times = [(run["started_at"], run["finished_at"]) for run in [await person.run(run_id) for run_id in runs]]
    assert [moment for pair in times for moment in pair] == sorted(moment for pair in times for moment in pair), times
    return ["alpha"] * 3


async def failed_step(person: Person) -> list[str]:
    """A step without an answer."""
    run_id = await person.create("[[empty]]", "two")
    await person.ended(run_id, "failed", "empty_output")
    return ["alpha"]


async def tried_again(person: Person) -> list[str]:
    """A step whose first try has no answer, and whose second one does."""
    run_id = await person.create("[[say:At last.]] [[empty:1]]", "twice")
    done = await person.until(run_id)
    assert (done["status"], done["steps"][0]["attempts"]) == ("done", 2), done["error_message"]
    return ["alpha", "alpha"]


def _command(word: str) -> str:
    return f'[[tool:bash:{{"command":"echo {word} >> made.txt","description":"d"}}]]'


async def asked_and_allowed(person: Person) -> list[str]:
    """Two commands: a person allows one here and somebody the other at OpenCode itself; each runs once."""
    run_id = await person.create(f"{_command('once')} {_command('twice')} [[say:Made it.]]", "careful")
    first = await person.asked(run_id)
    await person.decide(run_id, f"requests/{first}/answer", {"reply": "once"}, "request.answered")
    await person.asked(run_id, first)
    await person.server.answer_elsewhere(person.marker)
    await person.ended(run_id, "done")
    assert (person.project / "made.txt").read_text() == "once\ntwice\n"
    assert await person.closed(run_id) == ["answered", "cancelled"]
    return ["alpha"] * 3


async def overdue_and_denied(person: Person) -> list[str]:
    """A command about which nobody decides in time; in a duplicate of the run a person says no. It never runs."""
    run_id = await person.create(f"{_command('never')} [[say:Without it.]]", "careful")
    await person.asked(run_id)
    await person.server.let_time_run_out(run_id)
    await person.ended(run_id, "done")
    again = await person.duplicate(run_id)
    refusal = {"reply": "reject", "message": f"Not in {again}."}
    await person.decide(again, f"requests/{await person.asked(again)}/answer", refusal, "request.denied")
    await person.ended(again, "done")
    assert not (person.project / "made.txt").exists()
    assert await person.closed(run_id) + await person.closed(again) == ["expired", "denied"]
    return ["alpha"] * 4


async def lost_work(person: Person) -> list[str]:
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

    `run` returns the models that must have been called, each as often as it is named, in any order.
    """

    run: Callable[[Person], Awaitable[list[str]]]
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
    Program(back_rejected_and_restarted, ("request-changes", "reject", "restart", "approve")),
    Program(aborted_and_restarted, ("abort", "abort-sent", "release", "restart")),
    Program(failed_step, ("fail-step",)),
    Program(tried_again, ("schedule-retry",)),
    Program(asked_and_allowed, ("ask-person", "answer-agent", "answer-sent", "withdraw")),
    Program(overdue_and_denied, ("expire", "answer-agent", "answer-sent")),
    Program(lost_work, ("recover",)),
    Program(lost_turn, ("interrupt-step",)),
    Program(paused_and_resumed, ("pause", "park", "resume")),
)  # fmt: skip

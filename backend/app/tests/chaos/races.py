"""Races: several clients want something of one run at the same moment; at most one may get it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from app.tests.chaos.arena import CLIENTS, LOGIN, Arena

GATE = {"type": "approval", "description": "Go on?"}
WORK = {"agent": "first"}
CAREFUL = {"agent": "first", "permissions": [{"tool": "bash", "action": "ask"}]}
ASKING = '[[tool:bash:{"command":"true","description":"d"}]] [[say:Made it.]]'
HALF = CLIENTS // 2


@dataclass(frozen=True)
class Race:
    """`play` is one round; it returns what was wrong."""

    name: str
    play: Callable[[Arena], Awaitable[list[str]]]


def _one_winner(statuses: Sequence[int]) -> list[str]:
    """Exactly one 200, and 409 for all others."""
    return [] if sorted(statuses) == [200] + [409] * (len(statuses) - 1) else [f"answers {list(statuses)}"]


def _at_most_one(statuses: Sequence[int]) -> list[str]:
    """At most one 200, and 409 for all others."""
    return [] if sorted(statuses) in ([409] * len(statuses), sorted([200] + [409] * (len(statuses) - 1))) else [
        f"answers {list(statuses)}"
    ]  # fmt: skip


async def _expect(arena: Arena, run_id: int, **counts: int) -> list[str]:
    """So many events of each type (`_` for the dot), each by the login."""
    events = await arena.events(run_id)
    found = []
    for name, wanted in counts.items():
        kind = name.replace("_", ".", 1)
        actors = [event["actor"] for event in events if event["type"] == kind]
        if actors != [LOGIN] * wanted:
            found.append(f"{kind} by {actors} instead of {wanted} times by {LOGIN}")
    return found


async def _at_gate(arena: Arena, *steps: dict[str, Any]) -> int:
    run_id = await arena.create(*(steps or (GATE,)))
    await arena.until(run_id, "waiting_for_approval")
    return run_id


def _calls(run_id: int, action: str, times: int, **body: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(f"/pipelines/{run_id}/{action}", body)] * times


async def approve_twice(arena: Arena) -> list[str]:
    """Eight approvals of one gate."""
    run_id = await _at_gate(arena)
    found = _one_winner(await arena.together(*_calls(run_id, "approve", CLIENTS)))
    run = await arena.final(run_id)
    found += [] if run["status"] == "done" and run["approval"]["decided_by"] == LOGIN else [str(run["approval"])]
    return found + await _expect(arena, run_id, approval_approved=1)


async def approve_and_reject(arena: Arena) -> list[str]:
    """Approvals against rejections."""
    run_id = await _at_gate(arena)
    statuses = await arena.together(*_calls(run_id, "approve", HALF), *_calls(run_id, "reject", HALF))
    approved = 200 in statuses[:HALF]
    run = await arena.final(run_id)
    found = _one_winner(statuses)
    if (run["status"], run["approval"]["status"]) != (("done", "approved") if approved else ("failed", "rejected")):
        found.append(f"{statuses} and the run is {run['status']}, its gate {run['approval']['status']}")
    return found + await _expect(arena, run_id, approval_approved=int(approved), approval_rejected=int(not approved))


async def approve_and_abort(arena: Arena) -> list[str]:
    """Approvals against aborts; an abort may follow an approval, never the other way round."""
    return await _against_abort(arena, await _at_gate(arena, GATE, WORK), "approve")


async def reject_and_abort(arena: Arena) -> list[str]:
    """Rejections against aborts: either ends the run."""
    return await _against_abort(arena, await _at_gate(arena), "reject")


async def changes_and_abort(arena: Arena) -> list[str]:
    """Wishes for changes against aborts; an abort may follow a wish."""
    return await _against_abort(arena, await _at_gate(arena, WORK, GATE), "request-changes", comment="Once more.")


_DECIDED = {
    "approve": ("approval_approved", "done"),
    "reject": ("approval_rejected", "failed"),
    "request-changes": ("approval_changes_requested", "waiting_for_approval"),
}
"""What each decision about a gate leaves: its event, and where its run comes to when nobody aborts it."""


async def _against_abort(arena: Arena, run_id: int, action: str, **body: Any) -> list[str]:
    gate = (await arena.until(run_id, "waiting_for_approval"))["approval"]["id"]
    decisions = _calls(run_id, action, HALF, approval_id=gate, **body)
    statuses = await arena.together(*decisions, *_calls(run_id, "abort", HALF))
    decided, aborted = 200 in statuses[:HALF], 200 in statuses[HALF:]
    event, end = _DECIDED[action]
    run = await arena.until(run_id, "aborted" if aborted else end)
    found = _at_most_one(statuses[:HALF]) + _at_most_one(statuses[HALF:])
    if not (decided or aborted) or (action == "reject" and decided == aborted):
        found.append(f"answers {statuses}")
    if run["status"] == "waiting_for_approval":
        await arena.together(*_calls(run_id, "abort", 1))
    # After a wish for changes the next gate may be open when the abort comes, or not.
    counts = {event: int(decided)} if decided and action == "request-changes" else {
        event: int(decided), "approval_cancelled": int(not decided)
    }  # fmt: skip
    return found + await _expect(arena, run_id, **counts, pipeline_aborted=int(run["status"] not in ("done", "failed")))


async def changes_and_approve(arena: Arena) -> list[str]:
    """Approvals against wishes for changes."""
    run_id = await arena.create(WORK, GATE)
    # The work that was sent back may be at the gate again before the last of them has been answered.
    gate = (await arena.until(run_id, "waiting_for_approval"))["approval"]["id"]
    changes = _calls(run_id, "request-changes", HALF, comment="Once more.", approval_id=gate)
    statuses = await arena.together(*_calls(run_id, "approve", HALF, approval_id=gate), *changes)
    approved = 200 in statuses[:HALF]
    found = _one_winner(statuses)
    if not approved:
        await arena.until(run_id, "waiting_for_approval")
        await arena.together(*_calls(run_id, "abort", 1))
    run = await arena.final(run_id)
    found += [] if run["attempt"] == (1 if approved else 2) else [f"attempt {run['attempt']} after {statuses}"]
    counts = {"approval_approved": int(approved), "approval_changes_requested": int(not approved)}
    return found + await _expect(arena, run_id, **counts)


async def _asked(arena: Arena) -> tuple[int, str]:
    run_id = await arena.create(CAREFUL, prompt=ASKING)
    run = await arena.until(run_id, "waiting_for_input")
    return run_id, f"requests/{run['requests'][0]['id']}/answer"


async def answer_twice(arena: Arena) -> list[str]:
    """Eight answers to one request of an agent, each with words of its own, half of them a no."""
    run_id, answer = await _asked(arena)
    words = [f"Answer {number}." for number in range(CLIENTS)]
    replies = [(one, "once" if number < HALF else "reject") for number, one in enumerate(words)]
    calls = [call for one, reply in replies for call in _calls(run_id, answer, 1, reply=reply, message=one)]
    statuses = await arena.together(*calls)
    allowed = 200 in statuses[:HALF]
    run = await arena.final(run_id)
    found = _one_winner(statuses) + ([] if run["status"] == "done" else [f"the run is {run['status']}"])
    stored = (await arena.http.get("/requests", params={"pipeline_id": run_id})).json()["items"]
    won = [pair for pair, status in zip(replies, statuses, strict=True) if status == 200]
    if [(one["message"], one["reply"]) for one in stored] != won:
        found.append(f"{won} won and {stored} is stored")
    return found + await _expect(arena, run_id, request_answered=int(allowed), request_denied=int(not allowed))


async def answer_and_abort(arena: Arena) -> list[str]:
    """Answers against aborts."""
    run_id, answer = await _asked(arena)
    calls = _calls(run_id, answer, HALF, reply="once") + _calls(run_id, "abort", HALF)
    statuses = await arena.together(*calls)
    answered, aborted = 200 in statuses[:HALF], 200 in statuses[HALF:]
    run = await arena.final(run_id)
    found = _at_most_one(statuses[:HALF]) + _at_most_one(statuses[HALF:])
    found += [] if (run["status"] == "aborted") == aborted else [f"{statuses} and the run is {run['status']}"]
    counts = {"request_answered": int(answered), "request_cancelled": int(not answered)}
    return found + await _expect(arena, run_id, **counts, pipeline_aborted=int(aborted))


async def restart_twice(arena: Arena) -> list[str]:
    """Eight restarts of a failed run."""
    run_id = await _at_gate(arena)
    await arena.together(*_calls(run_id, "reject", 1))
    found = _one_winner(await arena.together(*_calls(run_id, "restart", CLIENTS)))
    run = await arena.until(run_id, "waiting_for_approval")
    found += [] if run["attempt"] == 2 else [f"attempt {run['attempt']}"]
    await arena.together(*_calls(run_id, "abort", 1))
    return found + await _expect(arena, run_id, pipeline_restarted=1)


async def create_twice(arena: Arena) -> list[str]:
    """Eight creations under one Idempotency-Key, each in a new workspace."""
    body = {"title": "Race", "prompt": "p", "custom_steps": [GATE]}
    headers = {"idempotency-key": f"race-{arena.rng.random()}"}
    answers = await asyncio.gather(
        *(arena.http.post("/pipelines", json=body, headers=headers) for _ in range(CLIENTS))
    )
    ids = {answer.json().get("id") for answer in answers}
    found = [] if {answer.status_code for answer in answers} == {201} and len(ids) == 1 else [f"runs {ids}"]
    for run_id in ids:
        await arena.together(*_calls(int(run_id), "abort", 1))
    return found


async def share_a_directory(arena: Arena) -> list[str]:
    """Eight runs on one directory under all its spellings: one works, the others stand in line."""
    path = arena.directory()
    link = path.with_name(f"{path.name}-link")
    link.symlink_to(path)
    spellings = [path, f"{path}/", f"{path}/.", f"{path}/../{path.name}", f"{path}//", link, f"{link}/", f"{link}/."]
    runs = await asyncio.gather(*(arena.create(GATE, working_dir=str(spelling)) for spelling in spellings))
    shown = [(await arena.http.get(f"/pipelines/{run_id}")).json() for run_id in runs]
    places = sorted(run["queue_position"] or 0 for run in shown)
    found = [] if places == list(range(CLIENTS)) else [f"places {places}"]
    order = sorted(shown, key=lambda run: run["queue_position"] or 0)
    for run in order[:3]:
        # The next one begins when the one before is over, and not earlier.
        await arena.until(run["id"], "waiting_for_approval")
        await arena.together(*_calls(run["id"], "approve", 1))
    await arena.together(*(call for run in order[:2:-1] for call in _calls(run["id"], "abort", 1)))
    return found


async def abort_and_finish(arena: Arena) -> list[str]:
    """Aborts around the moment at which the only step ends."""
    run_id = await arena.create(WORK)
    await asyncio.sleep(arena.rng.uniform(0.1, 0.8))
    statuses = await arena.together(*_calls(run_id, "abort", CLIENTS))
    run = await arena.final(run_id)
    aborted = 200 in statuses
    found = _at_most_one(statuses)
    if run["status"] != ("aborted" if aborted else "done"):
        found.append(f"{statuses} and the run is {run['status']}")
    return found + await _expect(arena, run_id, pipeline_aborted=int(aborted))


RACES = (
    Race("approve against approve", approve_twice),
    Race("approve against reject", approve_and_reject),
    Race("approve against abort", approve_and_abort),
    Race("reject against abort", reject_and_abort),
    Race("request-changes against abort", changes_and_abort),
    Race("approve against request-changes", changes_and_approve),
    Race("answer against answer", answer_twice),
    Race("answer against abort", answer_and_abort),
    Race("restart against restart", restart_twice),
    Race("create against create, one key", create_twice),
    Race("one directory, eight spellings", share_a_directory),
    Race("abort against the end", abort_and_finish),
)


async def run_races(arena: Arena, rounds: int, at_once: int = 4) -> list[str]:
    """So many rounds of each race, some at the same time; what was wrong."""
    places = asyncio.Semaphore(at_once)

    async def one(race: Race) -> list[str]:
        async with places:
            try:
                return [f"{race.name}: {fault}" for fault in await race.play(arena)]
            except (AssertionError, httpx.TransportError) as error:
                return [f"{race.name}: {error!r}"]

    found = await asyncio.gather(*(one(race) for _ in range(rounds) for race in RACES))
    return [fault for faults in found for fault in faults]

"""Pause and resume of the queue: what goes on, what waits, what is said, and who may not slip through."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from sqlalchemy import select, update

from app.adapters.database import Database
from app.models import AuditEvent, QueueState, Step
from app.schemas.runtime import MessageResponse
from app.services import parking, queue_state, run_locks
from app.services.reconciler import Reconciler
from app.services.row_checks import broken_rows, should_be_queued
from app.tests.app_fixtures import Api
from app.tests.factories import eventually
from app.tests.test_queue import answering, runs


async def queue(api: Api, word: str = "", **body: Any) -> dict[str, Any]:
    """GET /queue, or POST to it."""
    path = f"/queue/{word}"
    answer = await (api.http.post(path, json=body or None) if word else api.http.get("/queue"))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def shown(api: Api, run_id: int) -> dict[str, Any]:
    """The run as its page sees it."""
    found: dict[str, Any] = (await api.http.get(f"/pipelines/{run_id}")).json()
    return found


async def events(database: Database, prefix: str) -> list[tuple[str, int | None, str]]:
    """Type, run and actor of the events of a kind, in their order."""
    async with database.reads() as db:
        rows = await db.scalars(select(AuditEvent).where(AuditEvent.type.startswith(prefix)).order_by(AuditEvent.id))
        return [(row.type, row.pipeline_id, row.actor) for row in rows]


def during_the_first_step(api: Api, action: Callable[[], Awaitable[object]]) -> None:
    """OpenCode answers at once, after `action` in the first prompt."""
    answering(api)
    answer = api.client.send_message.side_effect

    async def send_message(*given: Any, **named: Any) -> MessageResponse:
        api.client.send_message.side_effect = answer
        await action()
        response: MessageResponse = await answer(*given, **named)
        return response

    api.client.send_message.side_effect = send_message


async def test_a_paused_queue_says_who_and_why_and_is_paused_once(api: Api, database: Database) -> None:
    assert await queue(api) == {
        "paused": False, "paused_by": None, "paused_at": None, "reason": None, "active_steps": 0, "asking_steps": 0,
        "max_active_steps": 10, "waiting": {"count": 0, "items": []}, "drained": False,
    }  # fmt: skip
    first = await queue(api, "pause", reason="Upgrade to 2.0")
    assert (first["paused"], first["paused_by"], first["reason"]) == (True, "owner", "Upgrade to 2.0")
    assert first["drained"] is True
    assert await queue(api, "pause", reason="Another one") == first
    assert (await api.http.get("/health")).json()["paused"] is True
    resumed = await queue(api, "resume")
    assert (resumed["paused"], resumed["paused_by"], resumed["paused_at"], resumed["reason"]) == (False, *[None] * 3)
    await queue(api, "resume")
    assert (await api.http.get("/health")).json()["paused"] is False
    assert [event[0] for event in await events(database, "queue.")] == ["queue.paused", "queue.resumed"]
    assert {event[2] for event in await events(database, "queue.")} == {"owner"}


async def test_a_run_parks_between_two_steps_and_goes_on_there(api: Api, database: Database) -> None:
    seen: list[dict[str, Any]] = []

    async def pause() -> None:
        await queue(api, "pause")
        seen.append(await queue(api))

    during_the_first_step(api, pause)
    run = (await api.create()).json()
    assert await api.engine.drain(api.joined.work) == ["paused"]
    assert [(at_work["active_steps"], at_work["drained"]) for at_work in seen] == [(1, False)]
    held = await shown(api, run["id"])
    assert (held["status"], held["waiting_for"]) == ("running", "paused")
    assert held["waiting_reason"] == "The queue is paused by owner; the run goes on when it is resumed."
    assert [step["status"] for step in held["steps"]] == ["done", "pending"]
    now = await queue(api)
    assert (now["drained"], now["active_steps"]) == (True, 0)
    assert now["waiting"] == {
        "count": 1, "items": [{"pipeline_id": run["id"], "title": "A run", "why": "paused", "position": 1}]
    }  # fmt: skip
    assert (await api.http.get("/pipelines")).json()["items"][0]["waiting_for"] == "paused"
    async with database.reads() as db:
        assert (await broken_rows(db), await should_be_queued(db)) == ([], [])
    await queue(api, "resume")
    assert await api.engine.drain(api.joined.work) == ["done"]
    assert api.client.send_message.await_count == 2
    assert [row.status for row in await runs(database)] == ["done"]
    assert [event[0] for event in await events(database, "pipeline.")][-4:] == [
        "pipeline.started", "pipeline.parked", "pipeline.unparked", "pipeline.done"
    ]  # fmt: skip


async def test_what_is_created_or_restarted_while_paused_waits_in_its_order(api: Api, database: Database) -> None:
    answering(api)
    await queue(api, "pause")
    for name in ("one", "two", "three"):
        (api.projects / name).mkdir()
    made = [(await api.create(working_dir=str(api.projects / name))).json()["id"] for name in ("one", "two", "three")]
    behind = (await api.create(working_dir=str(api.projects / "one"))).json()["id"]
    # Taken up in another order than created.
    api.engine.segments.reverse()
    assert await api.engine.drain(api.joined.work) == ["paused"] * 3
    assert [row.status for row in await runs(database)] == ["pending"] * 4
    waiting = (await queue(api))["waiting"]["items"]
    assert [(one["pipeline_id"], one["why"], one["position"]) for one in waiting] == [
        (made[2], "paused", 1), (made[1], "paused", 2), (made[0], "paused", 3), (behind, "directory", 1)
    ]  # fmt: skip
    aborting = asyncio.create_task(api.http.post(f"/pipelines/{made[1]}/abort"))
    await eventually(partial(_has_release, api))
    await api.engine.drain(api.joined.work)
    assert (await aborting).json()["status"] == "aborted"
    assert (await api.http.post(f"/pipelines/{made[1]}/restart")).json()["status"] == "pending"
    await queue(api, "resume")
    await api.engine.drain(api.joined.work)
    assert [row.status for row in await runs(database)] == ["done"] * 4
    assert [row.parked_at for row in await runs(database)] == [None] * 4
    started = [event[1] for event in await events(database, "pipeline.started")]
    assert started.index(made[2]) < started.index(made[0]) < started.index(behind)


async def _has_release(api: Api) -> bool:
    return bool(api.engine.releases)


async def test_a_gate_opens_and_is_approved_while_paused_but_nothing_begins(api: Api, database: Database) -> None:
    during_the_first_step(api, lambda: queue(api, "pause"))
    run = (await api.create(template="gated")).json()
    assert await api.engine.drain(api.joined.work) == ["waiting_for_approval"]
    assert (await queue(api))["drained"] is True
    assert (await shown(api, run["id"]))["waiting_for"] is None
    approved = (await api.http.post(f"/pipelines/{run['id']}/approve")).json()
    assert (approved["status"], approved["waiting_for"]) == ("running", "paused")
    assert await api.engine.drain(api.joined.work) == ["paused"]
    await queue(api, "resume")
    assert await api.engine.drain(api.joined.work) == ["done"]
    assert api.client.send_message.await_count == 2
    del database


async def test_no_step_begins_once_the_pause_has_committed(api: Api, database: Database) -> None:
    """The pause comes between the look at the queue and the first row of the step."""
    answering(api)

    async def create_session(_binding: Any) -> str:
        await queue(api, "pause")
        return "ses_1"

    api.client.create_session.side_effect = create_session
    await api.create()
    assert await api.engine.drain(api.joined.work) == ["paused"]
    assert api.client.send_message.await_count == 0
    assert (await queue(api))["drained"] is True
    async with database.reads() as db:
        assert set(await db.scalars(select(Step.status))) == {"pending"}


async def test_a_step_that_a_crash_interrupted_is_finished_while_paused(api: Api) -> None:
    reached = asyncio.Event()

    async def hang() -> None:
        reached.set()
        await asyncio.Event().wait()

    during_the_first_step(api, hang)
    run = (await api.create()).json()
    dying = asyncio.create_task(api.engine.drain(api.joined.work))
    await reached.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    await queue(api, "pause")
    assert (await queue(api))["drained"] is False
    await api.joined.reconciler.reconcile()
    assert await api.engine.drain(api.joined.work) == ["paused"]
    assert [step["status"] for step in (await shown(api, run["id"]))["steps"]] == ["done", "pending"]
    assert (await queue(api))["drained"] is True


async def test_the_reconciler_leaves_parked_runs_alone_until_they_are_not(api: Api, database: Database) -> None:
    answering(api)
    await queue(api, "pause")
    run = (await api.create()).json()
    await api.engine.drain(api.joined.work)
    reconciler: Reconciler = api.joined.reconciler
    await reconciler.reconcile()
    assert api.engine.segments == []
    # Rows that nobody writes so, as after a restored backup: parked, and the queue is open.
    async with database.sessions.begin() as db:
        await db.execute(update(QueueState).values(paused=False))
    await reconciler.reconcile()
    assert await api.engine.drain(api.joined.work) == ["done"]
    assert (await shown(api, run["id"]))["status"] == "done"
    assert (await runs(database))[0].parked_at is None


async def test_a_resume_while_a_segment_is_parking_wakes_it_up(api: Api, database: Database) -> None:
    """Both orders of the two transactions; neither may wait for ever, neither may be lost."""
    answering(api)
    await queue(api, "pause")
    first = (await api.create()).json()["id"]
    # The one that parks holds the row: the resume waits for it, and finds the run parked.
    async with database.sessions.begin() as db:
        state = await queue_state.lock(db)
        resuming = asyncio.create_task(queue(api, "resume"))
        await asyncio.sleep(0.1)
        assert (state.paused, resuming.done()) == (True, False)
        run = await run_locks.guard(db, first, 1)
        parking.park(db, run)
    await resuming
    assert await api.engine.drain(api.joined.work) == ["stale", "done"]
    # The resume holds the row: the one that wants to park waits for it, and goes on instead.
    await queue(api, "pause")
    second = (await api.create()).json()["id"]
    async with database.sessions.begin() as db:
        (await queue_state.lock(db)).paused = False
        walking = asyncio.create_task(api.engine.drain(api.joined.work))

        async def asked() -> bool:
            return bool(api.engine.history) and not api.engine.segments

        await eventually(asked)
        await asyncio.sleep(0.1)
        assert not walking.done()
    assert await walking == ["done"]
    assert [row.status for row in await runs(database)] == ["done", "done"]
    assert second != first


async def test_pauses_resumes_and_runs_at_once_lose_nobody(api: Api, database: Database) -> None:
    answering(api)
    folders = [api.projects / str(number) for number in range(6)]
    for folder in folders:
        folder.mkdir()

    async def walk() -> None:
        while any(row.status != "done" for row in await runs(database)):
            await api.engine.drain(api.joined.work)
            await asyncio.sleep(0)

    await asyncio.gather(*(api.create(working_dir=str(folder)) for folder in folders))

    async def steer() -> None:
        await asyncio.gather(*(queue(api, word) for word in ("pause", "resume") * 5))
        # The last of ten decisions at once may be a pause.
        await queue(api, "resume")

    async with asyncio.timeout(30):
        await asyncio.gather(walk(), walk(), steer())
    assert {row.status for row in await runs(database)} == {"done"}
    assert api.client.send_message.await_count == 12
    parked, unparked = await events(database, "pipeline.parked"), await events(database, "pipeline.unparked")
    assert sorted(event[1] or 0 for event in parked) == sorted(event[1] or 0 for event in unparked)

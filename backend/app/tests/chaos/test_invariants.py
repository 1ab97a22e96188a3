"""Each invariant of the chaos is seen broken once: a look that finds nothing proves nothing otherwise."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters.database import Database
from app.models import AgentRequest, Approval, Attempt, Directory, Handoff, Pipeline, Worker
from app.schemas.runtime import TranscriptMessage, TranscriptPart
from app.schemas.work import Segment
from app.services import audit
from app.services.attempts import pack_transcript
from app.tests.chaos.invariants import Kept, final_sessions, unkept, violations
from app.tests.chaos.watch import Watch
from app.tests.factories import agent_step, approval_step, make_pipeline

NOW = datetime.now(UTC)


def transcript(words: str) -> bytes:
    """One message of an assistant."""
    parts = (TranscriptPart(type="text", text=words),)
    message = TranscriptMessage(id="m", session_id="s", role="assistant", completed_at=NOW, parts=parts)
    return pack_transcript([message])


async def finished_run(db: AsyncSession) -> Pipeline:
    """A run with an agent step and a decided gate, all done, and what it leaves."""
    steps = [agent_step(status="done"), approval_step(status="done")]
    run = await make_pipeline(db, steps, status="done")
    work, gate = run.steps
    told: dict[str, Any] = {"pipeline_id": run.id, "step_id": work.id}
    attempt = Attempt(
        step_id=work.id, number=1, pipeline_attempt=1, message_id="m", session_id="ses_1", directory="/", worker="w",
        prompt="p", outcome="done", transcript=transcript("Made it."), started_at=NOW,
    )  # fmt: skip
    db.add(attempt)
    await db.flush()
    db.add(
        Handoff(step_id=work.id, attempt_id=attempt.id, text="Made it.", structured=False, sections={}, created_at=NOW)
    )
    db.add(
        Approval(
            pipeline_id=run.id, step_id=gate.id, pipeline_attempt=1, status="approved", decision="approve",
            decided_by="token", requested_at=NOW,
        )
    )  # fmt: skip
    db.add(
        AgentRequest(
            id=1, pipeline_id=run.id, step_id=work.id, pipeline_attempt=1, opencode_id="per_1", session_id="ses_1",
            sub_agent=False, directory="/", kind="permission", tool="bash", patterns=[], details={}, status="answered",
            asked_at=NOW, deadline=NOW,
        )
    )  # fmt: skip
    for kind in ("pipeline.created", "pipeline.started", "step.started", "step.done"):
        audit.record(db, kind, **(told if kind.startswith("step") else {"pipeline_id": run.id}))
    audit.record(db, "request.answered", request_id=1, **told)
    for kind in ("step.waiting", "approval.approved", "step.done"):
        audit.record(db, kind, pipeline_id=run.id, step_id=gate.id)  # type: ignore[arg-type]
    audit.record(db, "pipeline.done", pipeline_id=run.id)
    return run



BROKEN: list[tuple[str, str, str]] = [
    ("a final run with an open step", "UPDATE steps SET status = 'running' WHERE type = 'agent'", "its steps [0]"),
    ("a state without its event", "UPDATE pipelines SET status = 'failed'", "its events say done"),
    (
        "a second end",
        "INSERT INTO audit_events (at, type, actor, pipeline_id, step_id, payload) "
        "SELECT at, type, actor, pipeline_id, step_id, payload FROM audit_events WHERE type = 'step.done'",
        "step.done after it was done",
    ),
    ("a directory held by a run that is over", "UPDATE directories SET holder_id = 1", "holds a directory"),
    ("a run at work that does not hold", "UPDATE pipelines SET status = 'running'", "are at work in directory"),
    ("a decision without its event", "UPDATE approvals SET decision = 'reject', status = 'rejected'", "gates say"),
    ("a decision by nobody", "UPDATE approvals SET decided_by = NULL", "decided by nobody"),
    ("a gate that is open in a finished run", "UPDATE approvals SET status = 'pending'", "its step done"),
    (
        "two decisions of one gate",
        "INSERT INTO audit_events (at, type, actor, pipeline_id, step_id, payload) "
        "SELECT at, 'approval.rejected', actor, pipeline_id, step_id, payload FROM audit_events "
        "WHERE type = 'approval.approved'",
        "approval.rejected",
    ),
    ("a request that is open and closed", "UPDATE agent_requests SET status = 'pending'", "was closed 1 times"),
    ("a lost hand-off", "DELETE FROM handoffs", "has 0 hand-offs"),
    ("a hand-off of a failed attempt", "UPDATE attempts SET outcome = 'stalled'", "is not done"),
    ("an attempt left open", "UPDATE attempts SET outcome = NULL", "1 open attempts"),
    ("done without a transcript", "UPDATE attempts SET transcript = NULL", "without an answer"),
    ("done without an attempt", "DELETE FROM attempts", "without an answer"),
]


async def test_a_finished_run_breaks_nothing(database: Database) -> None:
    async with database.sessions.begin() as db:
        await finished_run(db)
    assert await violations(database) == []


@pytest.mark.parametrize(("statement", "word"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
async def test_each_invariant_is_seen_broken(sqlite_url: str, statement: str, word: str) -> None:
    database = Database(sqlite_url)
    async with database.sessions.begin() as db:
        await finished_run(db)
    async with database.sessions.begin() as db:
        await db.execute(text(statement))
    found = await violations(database)
    await database.dispose()
    assert [sentence for sentence in found if word in sentence], found


async def test_an_empty_answer_is_none(database: Database) -> None:
    async with database.sessions.begin() as db:
        await finished_run(db)
    async with database.sessions.begin() as db:
        await db.execute(text("UPDATE attempts SET transcript = :empty"), {"empty": transcript(" ")})
    assert any("without an answer" in sentence for sentence in await violations(database))


async def test_what_was_acknowledged_is_missed(database: Database) -> None:
    async with database.sessions.begin() as db:
        run = await finished_run(db)
    assert await unkept(database, [Kept(run.id, "pipeline.created"), Kept(run.id, "approval.approved")]) == []
    assert len(await unkept(database, [Kept(run.id, "pipeline.aborted")])) == 1
    assert len(await unkept(database, [Kept(run.id, "approval.approved")] * 2)) == 1
    assert len(await unkept(database, [Kept(run.id + 1, "pipeline.created")])) == 1


async def test_lost_words_of_people_are_missed(database: Database) -> None:
    async with database.sessions.begin() as db:
        run = await finished_run(db)
        db.add(
            Handoff(
                step_id=run.steps[0].id, text="Edited.", structured=False, sections={}, edited_by="token",
                created_at=NOW,
            )
        )  # fmt: skip
        audit.record(db, "handoff.edited", pipeline_id=run.id, characters=7)
    said = [
        Kept(run.id, "approval.approved", "Go on."),
        Kept(run.id, "handoff.edited", "Edited."),
        Kept(run.id, "request.answered", "Do."),
    ]
    assert len(await unkept(database, said)) == 2
    async with database.sessions.begin() as db:
        await db.execute(text("UPDATE approvals SET comment = 'Go on.'"))
        await db.execute(text("UPDATE agent_requests SET message = 'Do.'"))
    assert await unkept(database, said) == []
    async with database.sessions.begin() as db:
        await db.execute(text("UPDATE handoffs SET text = 'Made it.'"))
    assert len(await unkept(database, said)) == 1


async def test_sessions_of_finished_runs_are_known(database: Database) -> None:
    async with database.sessions.begin() as db:
        await finished_run(db)
    assert await final_sessions(database) == {"ses_1"}


async def test_the_watch_sees_two_runs_in_one_directory_and_one_that_nothing_executes(database: Database) -> None:
    async with database.sessions.begin() as db:
        first = await make_pipeline(db, status="running")
        directory = await db.get_one(Directory, first.directory_id)
    watch = Watch(database, alone_seconds=-1)
    await watch.look()
    assert [fault for fault in watch.faults if "nothing executes it" in fault]
    assert not [fault for fault in watch.faults if "two runs" in fault]
    async with database.sessions.begin() as db:
        await make_pipeline(db, directory=await db.get_one(Directory, directory.id), status="waiting_for_input")
    await watch.look()
    assert [fault for fault in watch.faults if "two runs" in fault]


async def test_work_of_a_dead_server_executes_nothing(database: Database) -> None:
    async with database.sessions.begin() as db:
        run = await make_pipeline(db, status="running")
        table, name = ("workflow_status", "local") if database.dialect == "sqlite" else ("dbos.workflow_status", "w")
        row = f"INSERT INTO {table} (workflow_uuid, status, executor_id) VALUES (:work, 'PENDING', :name)"
        await db.execute(text(row), {"work": Segment(run.id, run.attempt, 1, 0).workflow_id, "name": name})
        db.add(
            Worker(id="w", hostname="host", pid=7, opencode=None, started_at=NOW, heartbeat_at=NOW, lease_seconds=3600)
        )
    dead: list[str] = []
    watch = Watch(database, alone_seconds=-1, lives=lambda: not dead)
    await watch.look()
    assert watch.faults == []
    dead.append(name)
    async with database.sessions.begin() as db:
        await db.execute(text("UPDATE workers SET stopped_at = heartbeat_at"))
    await watch.look()
    assert [fault for fault in watch.faults if "nothing executes it" in fault]
    watch.faults.clear()
    async with database.sessions.begin() as db:
        # What is in line is taken up by nobody either while no server lives.
        await db.execute(text(f"UPDATE {table} SET status = 'ENQUEUED'"))
    await watch.look()
    assert [fault for fault in watch.faults if "nothing executes it" in fault]

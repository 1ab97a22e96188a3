"""One run at a time in a directory: many creators at once, order, and what is checked when a run's turn comes."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

from sqlalchemy import select

from app.adapters.database import Database
from app.models import AuditEvent, Directory, Pipeline
from app.schemas.runtime import MessageResponse
from app.tests.app_fixtures import Api


def git(folder: Path, *command: str) -> None:
    """Run git as a test person."""
    name = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid")
    subprocess.run(["git", "-C", str(folder), *name, *command], check=True, capture_output=True)


def make_repository(folder: Path) -> Path:
    """A repository with one commit on main."""
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "a.txt").write_text("a\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Begin")
    return folder


def answering(api: Api) -> None:
    """OpenCode answers every prompt at once."""
    client = api.client
    client.new_message_id.return_value = "msg_1"
    client.create_session.return_value = "ses_1"

    async def send_message(
        session_id: str, prompt: str, agent: str | None = None, model: str | None = None
    ) -> MessageResponse:
        del prompt
        used = f"local/{model}" if model else "local/default"
        return MessageResponse(
            session_id=session_id, message_id="msg_1", text="Done.", finish="stop", agent=agent, used_model=used
        )

    client.send_message.side_effect = send_message


async def runs(database: Database) -> list[Pipeline]:
    """All runs in the order of their creation."""
    async with database.reads() as db:
        return list(await db.scalars(select(Pipeline).order_by(Pipeline.id)))


async def test_of_many_creators_at_once_one_holds_and_the_others_stand_in_line(api: Api, database: Database) -> None:
    real = api.projects / "real"
    (real / "sub").mkdir(parents=True)
    (api.projects / "link").symlink_to(real)
    spellings = (f"{real}", f"{real}/", f"{real}/sub/..", f"{api.projects}/link", f"{api.projects}/./real/.")
    answers = await asyncio.gather(*(api.create(working_dir=spelling) for spelling in spellings * 2))
    positions = sorted(answer.json()["queue_position"] or 0 for answer in answers)
    assert positions == list(range(10))
    assert len(api.engine.segments) == 1
    async with database.reads() as db:
        assert len((await db.scalars(select(Directory))).all()) == 1


async def test_all_of_them_are_done_one_after_the_other_in_their_order(api: Api, database: Database) -> None:
    answering(api)
    await asyncio.gather(*(api.create() for _ in range(6)))
    waiting = sorted(await runs(database), key=lambda run: run.queue_number)
    await api.engine.drain(api.joined.work)
    assert {run.status for run in await runs(database)} == {"done"}
    async with database.reads() as db:
        query = select(AuditEvent.pipeline_id).where(AuditEvent.type == "pipeline.started").order_by(AuditEvent.id)
        assert list(await db.scalars(query)) == [run.id for run in waiting]
        assert (await db.scalars(select(Directory.holder_id))).one() is None


async def test_a_creator_and_a_finisher_at_once_lose_no_wake_up(api: Api, database: Database) -> None:
    answering(api)
    for _ in range(5):
        await api.create()
        await asyncio.gather(api.create(), api.engine.drain(api.joined.work))
        await api.engine.drain(api.joined.work)
    assert {run.status for run in await runs(database)} == {"done"}


async def test_the_branch_is_checked_again_when_a_run_leaves_the_queue(api: Api, database: Database) -> None:
    answering(api)
    repository = make_repository(api.projects / "repository")
    first = (await api.create(working_dir=str(repository), branch="main")).json()
    second = (await api.create(working_dir=str(repository), branch="main")).json()
    third = (await api.create(working_dir=str(repository))).json()
    assert first["base_commit"]

    async def send_message(*_: Any, **__: Any) -> MessageResponse:
        git(repository, "checkout", "-qb", "elsewhere")
        api.client.send_message.side_effect = None
        return MessageResponse(session_id="s", message_id="m", text="Left.", finish="stop", used_model="local/gpt-4o")

    api.client.send_message.side_effect = send_message
    api.client.send_message.return_value = MessageResponse(
        session_id="s", message_id="m", text="Done.", finish="stop", used_model="local/gpt-4o"
    )
    await api.engine.drain(api.joined.work)
    states = {run.id: (run.status, run.error_code) for run in await runs(database)}
    assert states == {
        first["id"]: ("done", None),
        second["id"]: ("failed", "branch_mismatch"),
        third["id"]: ("done", None),
    }


async def test_a_directory_that_vanished_fails_the_run_and_not_the_queue(api: Api, database: Database) -> None:
    answering(api)
    gone = api.projects / "gone"
    gone.mkdir()
    run = (await api.create(working_dir=str(gone))).json()
    gone.rmdir()
    await api.engine.drain(api.joined.work)
    assert [(row.status, row.error_code) for row in await runs(database)] == [("failed", "working_dir_missing")]
    gone.mkdir()
    assert (await api.http.post(f"/pipelines/{run['id']}/restart")).status_code == 200
    await api.engine.drain(api.joined.work)
    assert [(row.status, row.attempt) for row in await runs(database)] == [("done", 2)]


async def test_a_dirty_checkout_is_said_and_a_wrong_branch_refused_at_creation(api: Api) -> None:
    repository = make_repository(api.projects / "repository")
    (repository / "a.txt").write_text("changed\n")
    (repository / "new.txt").write_text("new\n")
    run = (await api.create(working_dir=str(repository))).json()
    assert "uncommitted changes in 2 files" in run["warnings"][0]
    answer = await api.create(working_dir=str(repository), branch="other")
    assert (answer.status_code, answer.json()["code"]) == (422, "branch_mismatch")
    diff = (await api.http.get(f"/pipelines/{run['id']}/diff")).json()
    assert (diff["files"], diff["available"]) == (2, True)
    assert "+changed" in diff["text"]
    workspace = (await api.create(working_dir=None)).json()
    assert (await api.http.get(f"/pipelines/{workspace['id']}/diff")).json()["available"] is False

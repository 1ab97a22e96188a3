"""An approval that names the changes it is given for: refused when the files are others by now, and nothing moves."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.adapters.database import Database
from app.models import Approval, Pipeline
from app.tests.app_fixtures import Api
from app.tests.factories import agent_step, approval_step, make_directory, make_pipeline
from app.tests.test_git_repository import commit, git


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with a file that git does not know yet."""
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.txt").write_text("one\n")
    commit(folder)
    (folder / "new.txt").write_text("made by an agent\n")
    return folder


async def at_a_gate(database: Database, folder: Path, status: str = "waiting_for_approval") -> Pipeline:
    """A run that waits for a decision about what is in the folder."""
    steps = [agent_step(status="done"), approval_step(status=status), agent_step("qa")]
    base = git(folder, "rev-parse", "HEAD") if (folder / ".git").exists() else None
    async with database.sessions.begin() as db:
        directory = await make_directory(db, str(folder))
        run = await make_pipeline(db, steps, directory, status=status, base_commit=base)
        directory.holder_id, directory.holder_attempt = run.id, run.attempt
        gate = {"pipeline_id": run.id, "step_id": steps[1].id, "pipeline_attempt": 1}
        db.add(Approval(**gate, status="pending", requested_at=datetime.now(UTC)))
    return run


async def digest(api: Api, run: Pipeline) -> Any:
    """What a person who reads the changes now would name."""
    return (await api.http.get(f"/pipelines/{run.id}/diff")).json()["digest"]


async def approve(api: Api, run: Pipeline, **body: Any) -> tuple[int, str | None]:
    """Status of the answer, and the code of a refusal or the run's status."""
    answer = await api.http.post(f"/pipelines/{run.id}/approve", json=body)
    return answer.status_code, answer.json().get("code") or answer.json()["status"]


async def test_changes_that_nobody_saw_are_not_approved(api: Api, database: Database, folder: Path) -> None:
    run = await at_a_gate(database, folder)
    seen = await digest(api, run)
    (folder / "new.txt").write_text("made by somebody else\n")
    assert await approve(api, run, seen=seen) == (409, "stale_diff")
    assert (await api.http.get(f"/pipelines/{run.id}")).json()["approval"]["status"] == "pending"
    assert api.engine.segments == []
    assert await approve(api, run, seen=await digest(api, run)) == (200, "running")
    assert await approve(api, run, seen=seen) == (409, "state_conflict"), "the state forbids it, whatever was seen"


async def test_who_names_nothing_is_not_checked(api: Api, database: Database, folder: Path) -> None:
    run = await at_a_gate(database, folder)
    (folder / "new.txt").unlink()
    assert await approve(api, run) == (200, "running")


async def test_without_a_repository_there_is_nothing_to_name(api: Api, database: Database, tmp_path: Path) -> None:
    run = await at_a_gate(database, tmp_path)
    assert await digest(api, run) is None
    assert await approve(api, run, seen="what another run has shown") == (409, "stale_diff")
    assert await approve(api, run, seen=None) == (200, "running")

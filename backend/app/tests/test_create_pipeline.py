"""POST /pipelines: what is stored, what is refused, and that a refusal stores nothing."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.adapters.database import Database
from app.models import AuditEvent, Directory, Pipeline, Step
from app.schemas.runtime import ModelEntry, RuntimeAgent
from app.tests.app_fixtures import Api

MODELS = [
    ModelEntry(provider="local", id="echo", name="Echo"),
    ModelEntry(provider="local", id="gpt-4o", name="Copy"),
    ModelEntry(provider="other", id="echo", name="Echo"),
    ModelEntry(provider="router", id="meta/llama-4", name="Llama"),
    ModelEntry(provider="far", id="away", name="Away", connected=False, reason="no key found"),
]


MISSPELT = [{"agent": "devloper"}]


@pytest.fixture
def catalog(api: Api) -> None:
    """OpenCode can be asked, and answers."""
    api.client.list_models.return_value = MODELS
    api.client.list_agents.return_value = [
        RuntimeAgent(name="build", mode="primary"),
        RuntimeAgent(name="plan", mode="primary"),
    ]


async def steps_of(database: Database, pipeline_id: int) -> list[Step]:
    """The stored steps in their order."""
    async with database.reads() as db:
        query = select(Step).where(Step.pipeline_id == pipeline_id).order_by(Step.order_index)
        return list(await db.scalars(query))


async def test_create_pipeline_stores_step_model(api: Api, database: Database) -> None:
    answer = await api.create(step_models={"0": "claude-sonnet"})
    assert answer.status_code == 201
    step = (await steps_of(database, answer.json()["id"]))[0]
    assert (step.model, step.model_origin) == ("claude-sonnet", "run")


async def test_the_agents_default_is_stored_with_its_origin(api: Api, database: Database) -> None:
    answer = await api.create()
    first, second = await steps_of(database, answer.json()["id"])
    assert (first.model, first.model_origin) == (None, "opencode")
    assert (second.model, second.model_origin) == ("gpt-4o", "agent")
    assert [step["model"] for step in answer.json()["steps"]] == [None, "gpt-4o"]


@pytest.mark.usefixtures("catalog")
async def test_each_origin_of_a_model(api: Api, database: Database) -> None:
    custom = [
        {"agent": "developer", "model": "router/meta/llama-4"},
        {"agent": "reviewer"},
        {"agent": "reviewer", "model": "local/echo"},
    ]
    answer = await api.create(template=None, custom_steps=custom, step_models={2: "other/echo"})
    assert answer.status_code == 201, answer.text
    steps = await steps_of(database, answer.json()["id"])
    assert [(step.model, step.resolved_model, step.model_origin) for step in steps] == [
        ("router/meta/llama-4", "router/meta/llama-4", "custom_step"),
        ("gpt-4o", "local/gpt-4o", "agent"),
        ("other/echo", "other/echo", "run"),
    ]


@pytest.mark.usefixtures("catalog")
@pytest.mark.parametrize(
    ("body", "code", "pointer", "candidate"),
    [
        ({"step_models": {"0": "local/ehco"}}, "unknown_model", "/step_models/0", "local/echo"),
        ({"step_models": {"0": "echo"}}, "ambiguous_model", "/step_models/0", "other/echo"),
        ({"step_models": {"0": "far/away"}}, "unknown_model", "/step_models/0", None),
        ({"step_models": {"7": "local/echo"}}, "invalid_step_model", "/step_models/7", None),
        ({"step_models": {"-1": "local/echo"}}, "invalid_step_model", "/step_models/-1", None),
        ({"step_models": {"0": "  "}}, "invalid_step_model", "/step_models/0", None),
        ({"template": "gated", "step_models": {"1": "local/echo"}}, "invalid_step_model", "/step_models/1", None),
        ({"step_models": {"0": "x" * 256}}, "invalid_step_model", "/step_models/0", None),
        ({"template": "two_stps"}, "unknown_template", "/template", "two_steps"),
        ({"template": None, "custom_steps": MISSPELT}, "unknown_agent", "/custom_steps/0/agent", "developer"),
        ({"working_dir": "/nowhere/at/all"}, "invalid_working_dir", "/working_dir", None),
        ({"working_dir": "/"}, "invalid_working_dir", "/working_dir", None),
        ({"branch": "--upload-pack=touch x"}, "invalid_branch", "/branch", None),
        ({"branch": "main"}, "invalid_branch", "/branch", None),
        ({"surprise": 1}, "invalid_request", "/surprise", None),
        ({"title": " "}, "invalid_request", "/title", None),
        ({"prompt": "a\x00b"}, "invalid_request", "/prompt", None),
        ({"template": None}, "invalid_request", "", None),
        ({"custom_steps": [{"agent": "developer"}]}, "invalid_request", "", None),
        ({"template": None, "custom_steps": []}, "invalid_request", "/custom_steps", None),
        ({"github_issue_repo": "a/b"}, "invalid_request", "", None),
    ],
)
async def test_a_refusal_names_the_place_and_stores_nothing(
    api: Api, database: Database, body: dict[str, Any], code: str, pointer: str, candidate: str | None
) -> None:
    answer = await api.create(**body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, code), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert pointer in [error["pointer"] for error in problem["errors"]]
    if candidate is not None:
        assert candidate in problem["errors"][0]["candidates"]
    async with database.reads() as db:
        for table in (Pipeline, AuditEvent, Directory):
            assert await db.scalar(select(func.count()).select_from(table)) == 0
    assert api.engine.history == []


@pytest.mark.usefixtures("catalog")
async def test_an_opencode_agent_that_does_not_exist_is_refused(api: Api) -> None:
    api.client.list_agents.return_value = [RuntimeAgent(name="builder", mode="primary")]
    problem = (await api.create()).json()
    assert problem["code"] == "unknown_opencode_agent"
    assert "builder" in problem["errors"][0]["candidates"]


async def test_a_run_starts_at_once_and_the_next_on_the_directory_waits(api: Api) -> None:
    link = api.projects / "link"
    real = api.projects / "real"
    real.mkdir()
    link.symlink_to(real)
    first = (await api.create(working_dir=str(real))).json()
    second = (await api.create(working_dir=f"{link}/../real/.")).json()
    third = (await api.create(working_dir=str(link))).json()
    assert [run["queue_position"] for run in (first, second, third)] == [None, 1, 2]
    assert [segment.pipeline_id for segment in api.engine.segments] == [first["id"]]
    conflicts = (await api.http.get("/pipelines/conflicts", params={"working_dir": str(link)})).json()
    assert [item["id"] for item in conflicts["items"]] == [first["id"], second["id"], third["id"]]
    assert conflicts["real_path"] == os.path.realpath(real)


async def test_without_a_directory_a_run_gets_its_own_workspace(api: Api) -> None:
    one, two = [(await api.create(working_dir=None)).json() for _ in range(2)]
    for run in (one, two):
        assert Path(run["working_dir"]).is_dir()
        assert Path(run["working_dir"]).parts[-2:] == ("workspaces", str(run["id"]))
    assert one["queue_position"] is two["queue_position"] is None


async def test_the_prompt_is_kept_to_the_byte_and_too_much_is_413(api: Api) -> None:
    exact = "ä" * 500_000
    answer = await api.create(prompt=exact)
    assert answer.status_code == 201
    assert answer.json()["prompt"] == exact
    assert (await api.create(prompt=exact + "x")).status_code == 413
    assert (await api.create(prompt="x" * 9_000_000)).json()["code"] == "payload_too_large"


async def test_the_creation_is_audited_with_its_models(api: Api) -> None:
    run = (await api.create(step_models={"0": "claude-sonnet"})).json()
    events = (await api.http.get("/audit", params={"pipeline_id": run["id"]})).json()["items"]
    assert [event["type"] for event in events] == ["pipeline.created"]
    assert events[0]["actor"] == "owner"
    assert events[0]["payload"]["models"]["0"] == {"model": "claude-sonnet", "resolved": None, "origin": "run"}


async def test_a_reload_changes_no_run_that_exists(api: Api, database: Database, settings: Any) -> None:
    run = (await api.create()).json()
    file = settings.resolved_config_dir / "agents.yaml"
    file.write_text(file.read_text().replace("gpt-4o", "gpt-5"))
    later = (await api.create()).json()
    assert (await api.http.get(f"/pipelines/{run['id']}")).json()["steps"][1]["model"] == "gpt-4o"
    assert later["steps"][1]["model"] == "gpt-5"
    snapshots = [(await steps_of(database, one["id"]))[1].agent_snapshot for one in (run, later)]
    assert [snapshot and snapshot["default_model"] for snapshot in snapshots] == ["gpt-4o", "gpt-5"]


async def test_a_duplicate_has_the_old_runs_task_agents_and_models(api: Api, database: Database, settings: Any) -> None:
    old = (await api.create(template="gated", step_models={"0": "local/x"}, title="Twice")).json()
    file = settings.resolved_config_dir / "agents.yaml"
    file.write_text(file.read_text().replace("gpt-4o", "gpt-5"))
    answer = await api.http.post(f"/pipelines/{old['id']}/duplicate")
    new = answer.json()
    assert answer.status_code == 201
    assert (new["title"], new["prompt"], new["status"], new["queue_position"]) == ("Twice", "Do it.", "pending", 1)
    facts = [[(step["type"], step["agent_name"], step["model"]) for step in run["steps"]] for run in (old, new)]
    assert facts[0] == facts[1]
    first, second = [[step.agent_snapshot for step in await steps_of(database, run["id"])] for run in (old, new)]
    assert first == second
    assert (await api.http.post("/pipelines/99999/duplicate")).status_code == 404


async def test_limits_and_retry_of_a_step_are_kept_and_a_duplicate_has_them(api: Api, database: Database) -> None:
    limits, retry = {"silence_seconds": 60.0, "max_model_calls": 9}, {"attempts": 3, "on": ["stalled", "timed_out"]}
    steps = [{"agent": "developer", "limits": limits, "retry": retry}, {"type": "approval"}, {"agent": "reviewer"}]
    old = (await api.create(template=None, custom_steps=steps)).json()
    new = (await api.http.post(f"/pipelines/{old['id']}/duplicate")).json()
    for run in (old, new):
        assert [step["attempts_allowed"] for step in run["steps"]] == [3, 0, 1]
        assert [(step["attempts_made"], step["retry_at"]) for step in run["steps"]] == [(0, None)] * 3
        async with database.reads() as db:
            rows = (await db.scalars(select(Step).where(Step.pipeline_id == run["id"]))).all()
        assert [(row.limits, row.retry) for row in rows] == [(limits, retry), (None, None), (None, None)]
    refused = await api.create(template=None, custom_steps=[{"agent": "developer", "retry": {"attempts": 99}}])
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/custom_steps/0/retry/attempts"


async def test_a_duplicate_of_a_workspace_run_gets_a_workspace_of_its_own(api: Api) -> None:
    old = (await api.create(working_dir=None)).json()
    new = (await api.http.post(f"/pipelines/{old['id']}/duplicate")).json()
    assert Path(new["working_dir"]).name == str(new["id"])


@pytest.mark.parametrize("folder", ["workspaces", "neutral"])
@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (errno.ENOSPC, 507, "storage_full"),
        (errno.EDQUOT, 507, "storage_full"),
        (errno.EROFS, 503, "unavailable"),
        (errno.EACCES, 503, "unavailable"),
        (errno.EIO, 503, "unavailable"),
    ],
)
async def test_a_disk_that_takes_no_workspace_is_a_sentence_and_stores_nothing(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch, folder: str, number: int, status: int, code: str
) -> None:
    mkdir = os.mkdir

    def refused(path: Any, *more: Any, **named: Any) -> None:
        if folder in Path(path).parts:
            raise OSError(number, os.strerror(number), str(path))
        mkdir(path, *more, **named)

    with monkeypatch.context() as disk:
        disk.setattr(os, "mkdir", refused)
        answer = await api.create(working_dir=None)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert folder in answer.json()["detail"]
    async with database.reads() as db:
        for rows in (Pipeline, Step, Directory, AuditEvent):
            assert await db.scalar(select(func.count()).select_from(rows)) == 0
    assert (await api.create(working_dir=None)).status_code == 201

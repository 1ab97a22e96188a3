"""Lists and pages of runs, gates and audit events: filters, keyset paging, numbers that are never falsely 0."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.adapters.database import Database
from app.models import Approval, Attempt, Handoff
from app.schemas.runtime import RuntimeHealth, TranscriptMessage, TranscriptPart
from app.services.attempts import pack_transcript
from app.tests.app_fixtures import Api, ServerStandIn
from app.tests.factories import agent_step, approval_step, make_pipeline


async def get(api: Api, path: str, **params: Any) -> dict[str, Any]:
    """The JSON of a GET."""
    answer = await api.http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_runs_are_paged_newest_first_without_gap_or_repetition(api: Api, database: Database) -> None:
    async with database.sessions.begin() as db:
        made = [(await make_pipeline(db, status="done")).id for _ in range(7)]
    seen: list[int] = []
    cursor = None
    while True:
        page = await get(api, "/pipelines", limit=3, **({"cursor": cursor} if cursor else {}))
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]


async def test_filters_of_the_list(api: Api, database: Database) -> None:
    async with database.sessions.begin() as db:
        await make_pipeline(db, title="Fix 100% of it", status="done", template="quick_fix")
        await make_pipeline(db, title="Other", prompt="nothing", status="failed", template="quick_fix")
        await make_pipeline(db, title="Third", prompt="FIX it", status="running", template="full")
    for params, titles in (
        ({"status": "done"}, ["Fix 100% of it"]),
        ({"status": ["done", "failed"]}, ["Other", "Fix 100% of it"]),
        ({"template": "full"}, ["Third"]),
        ({"q": "fix"}, ["Third", "Fix 100% of it"]),
        ({"q": "100%"}, ["Fix 100% of it"]),
        ({"q": "%"}, ["Fix 100% of it"]),
        ({"q": "absent"}, []),
    ):
        page = await get(api, "/pipelines", **params)
        assert [item["title"] for item in page["items"]] == titles, params


async def test_an_unknown_cost_is_null_and_a_known_one_is_summed(api: Api, database: Database) -> None:
    async with database.sessions.begin() as db:
        unknown = await make_pipeline(db, [agent_step()])
        known = await make_pipeline(
            db, [agent_step(cost=0.5, tokens={"input": 10}), agent_step(), agent_step(cost=0.25, tokens={"output": 3})]
        )
    assert (await get(api, f"/pipelines/{unknown.id}"))["cost"] is None
    run = await get(api, f"/pipelines/{known.id}")
    assert run["cost"] == 0.75
    assert run["tokens"] == {"input": 10, "output": 3, "reasoning": 0, "cache_read": 0, "cache_write": 0}


async def test_a_handoff_belongs_to_a_finished_step_alone(api: Api, database: Database) -> None:
    sections = {"what_was_done": "x"}
    async with database.sessions.begin() as db:
        run = await make_pipeline(db, [agent_step(status="done"), agent_step(status="failed")])
        for step in run.steps:
            for text in ("old", "new"):
                db.add(
                    Handoff(
                        step_id=step.id, text=text, structured=True, sections=sections, created_at=datetime.now(UTC)
                    )
                )
                await db.flush()
    steps = (await get(api, f"/pipelines/{run.id}"))["steps"]
    assert steps[0]["latest_handoff"]["text"] == "new"
    assert steps[0]["latest_handoff"]["sections"]["what_was_done"] == "x"
    assert steps[1]["latest_handoff"] is None


async def test_attempts_have_prompt_and_transcript(api: Api, database: Database) -> None:
    message = TranscriptMessage(
        id="m", session_id="s", role="assistant", parts=(TranscriptPart(type="text", text="Hi \u202e!"),)
    )
    async with database.sessions.begin() as db:
        run = await make_pipeline(db)
        db.add(
            Attempt(
                step_id=run.steps[0].id, number=1, pipeline_attempt=1, session_id="s", message_id="m", directory="/d",
                worker="w", prompt="exactly this", started_at=datetime.now(UTC), outcome="done",
                transcript=pack_transcript([message]),
            )
        )  # fmt: skip
    items = (await get(api, f"/pipelines/{run.id}/steps/{run.steps[0].id}/attempts"))["items"]
    assert items[0]["prompt"] == "exactly this"
    assert items[0]["transcript"][0]["parts"][0]["text"] == "Hi \u202e!"
    wrong = await api.http.get(f"/pipelines/{run.id + 1000}/steps/{run.steps[0].id}/attempts")
    assert wrong.status_code == 404


async def test_gates_can_be_listed_by_status(api: Api, database: Database) -> None:
    async with database.sessions.begin() as db:
        for status in ("pending", "approved"):
            run = await make_pipeline(db, [approval_step()])
            db.add(
                Approval(
                    pipeline_id=run.id, step_id=run.steps[0].id, pipeline_attempt=1, status=status,
                    requested_at=datetime.now(UTC),
                )
            )  # fmt: skip
    assert len((await get(api, "/approvals"))["items"]) == 2
    assert [gate["status"] for gate in (await get(api, "/approvals", status="pending"))["items"]] == ["pending"]


async def test_a_run_shows_every_decision_at_its_gates(api: Api, database: Database) -> None:
    async with database.sessions.begin() as db:
        run = await make_pipeline(db, [agent_step(), approval_step(), agent_step(), approval_step()], attempt=2)
        for attempt, step, decision in ((1, 1, "approve"), (1, 3, "request_changes"), (2, 1, "approve"), (2, 3, None)):
            gate = {"pipeline_id": run.id, "step_id": run.steps[step].id, "pipeline_attempt": attempt}
            status = {"approve": "approved", "request_changes": "rejected", None: "pending"}[decision]
            db.add(Approval(**gate, status=status, decision=decision, requested_at=datetime.now(UTC)))
            await db.flush()
    shown = await get(api, f"/pipelines/{run.id}")
    assert [gate["decision"] for gate in shown["approvals"]] == ["approve", "request_changes", "approve", None]
    assert shown["approval"] == shown["approvals"][-1]


async def test_audit_events_can_be_filtered(api: Api) -> None:
    one, two = [(await api.create()).json()["id"] for _ in range(2)]
    everything = (await get(api, "/audit"))["items"]
    assert [event["type"] for event in everything] == ["pipeline.queued", "pipeline.created", "pipeline.created"]
    assert len((await get(api, "/audit", pipeline_id=one))["items"]) == 1
    assert len((await get(api, "/audit", pipeline_id=two, type="pipeline.queued"))["items"]) == 1
    both = await get(api, "/audit", type=["pipeline.queued", "pipeline.created"])
    assert len(both["items"]) == 3
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    assert (await get(api, "/audit", since=later))["items"] == []
    assert len((await get(api, "/audit", until=later))["items"]) == 3
    assert (await api.http.get("/audit", params={"type": "nonsense"})).status_code == 422


async def test_a_run_that_cannot_begin_says_why(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = [(await api.create()).json()["id"] for _ in range(2)]
    assert (await get(api, f"/pipelines/{first}"))["waiting_reason"] is None
    assert "number 1 in line" in (await get(api, f"/pipelines/{second}"))["waiting_reason"]

    async def down(_self: ServerStandIn) -> RuntimeHealth:
        return RuntimeHealth(state="down", detail="It ended.")

    monkeypatch.setattr(ServerStandIn, "health", down)
    assert (await get(api, f"/pipelines/{first}"))["waiting_reason"] == "Waits for OpenCode. It ended."


async def test_agents_and_templates_are_read_whole(api: Api) -> None:
    agents = (await get(api, "/registry/agents"))["items"]
    assert [agent["name"] for agent in agents] == ["developer", "reviewer"]
    assert "system_prompt_additions" not in agents[0]
    assert (await get(api, "/registry/agents/reviewer"))["system_prompt_additions"] == ""
    template = await get(api, "/registry/pipelines/gated")
    limits = {"silence_seconds": None, "max_model_calls": None, "retry_total_seconds": None}
    retry = {"backoff_seconds": None, "max_backoff_seconds": None, "on": None}
    assert template["steps"][0] == {
        "type": "agent", "agent": "developer", "description": "", "model": None, "permissions": [],
        "limits": {"timeout_seconds": 60.0, **limits}, "retry": {"attempts": 2, **retry},
    }  # fmt: skip
    assert template["steps"][1] == {"type": "approval", "description": "Go on?", "remind_after_hours": 1.0}
    assert (await api.http.get("/registry/agents/nobody")).status_code == 404
    assert (await get(api, "/registry/status"))["problems"] == []

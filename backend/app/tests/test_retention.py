"""The clean-up of the audit log: what goes, what stays, and that it is written down."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from app.adapters.database import Database
from app.models import AuditEvent
from app.services import retention
from app.tests.app_fixtures import Api
from app.tests.factories import make_pipeline

NOW = datetime.now(UTC)


async def add_event(database: Database, days: float, pipeline_id: int | None = None, **columns: Any) -> int:
    """An event of some days ago; its id."""
    given: dict[str, Any] = {"type": "pipeline.created", "actor": "owner", "step_id": None, "payload": {}}
    row = AuditEvent(**(given | {"at": NOW - timedelta(days=days), "pipeline_id": pipeline_id} | columns))
    async with database.sessions.begin() as db:
        db.add(row)
    return row.id


async def run_in(database: Database, status: str) -> int:
    """A run in that status; its id."""
    async with database.sessions.begin() as db:
        return (await make_pipeline(db, status=status)).id


async def left(database: Database) -> list[AuditEvent]:
    """All events that are there."""
    async with database.reads() as db:
        return list(await db.scalars(select(AuditEvent).order_by(AuditEvent.id)))


async def test_old_events_of_finished_runs_and_of_no_run_go(api: Api, database: Database) -> None:
    for status in ("done", "failed", "aborted"):
        await add_event(database, 11, await run_in(database, status))
    await add_event(database, 11, type="registry.reloaded")
    await add_event(database, 11, 999_999)
    answer = await api.http.post("/audit/retention", json={"older_than_days": 10})
    assert answer.status_code == 200
    assert (answer.json()["deleted"], answer.json()["older_than_days"]) == (5, 10)
    (written,) = await left(database)
    assert (written.type, written.actor, written.pipeline_id) == ("retention.applied", "owner", None)
    assert (written.payload["deleted"], written.payload["older_than_days"]) == (5, 10)
    assert datetime.fromisoformat(written.payload["before"]) == datetime.fromisoformat(answer.json()["before"])


async def test_young_events_open_runs_and_earlier_clean_ups_stay(api: Api, database: Database) -> None:
    kept = [await add_event(database, 9, await run_in(database, "done"))]
    for status in ("pending", "running", "waiting_for_approval", "waiting_for_input"):
        kept.append(await add_event(database, 500, await run_in(database, status)))
    kept.append(await add_event(database, 500, type="retention.applied"))
    answer = await api.http.post("/audit/retention", json={"older_than_days": 10})
    assert answer.json()["deleted"] == 0
    rows = await left(database)
    assert [row.id for row in rows[:-1]] == kept
    assert rows[-1].type == "retention.applied", "it says so too when there was nothing to do"


async def test_each_batch_is_one_transaction_with_its_own_event(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(5):
        await add_event(database, 3)
    answer = await api.http.post("/audit/retention", json={"older_than_days": 1})
    assert answer.json()["deleted"] == 5
    assert [row.payload["deleted"] for row in await left(database)] == [2, 2, 1]
    page = (await api.http.get("/audit", params={"type": "retention.applied"})).json()
    assert len(page["items"]) == 3


@pytest.mark.parametrize("days", [0, -1, 1.5, "1", True, None, 10**9])
async def test_days_that_are_no_days_are_refused(sqlite_api: Api, days: Any) -> None:
    answer = await sqlite_api.http.post("/audit/retention", json={"older_than_days": days})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/older_than_days"


async def test_a_misspelt_field_deletes_nothing(sqlite_api: Api) -> None:
    answer = await sqlite_api.http.post("/audit/retention", json={"older_than_days": 1, "dry_run": True})
    assert answer.status_code == 422


async def test_nothing_else_may_change_or_delete_an_event(database: Database) -> None:
    event_id = await add_event(database, 500)

    async def change(how: str) -> None:
        async with database.sessions.begin() as db:
            row = await db.get_one(AuditEvent, event_id)
            if how == "update":
                row.actor = "somebody"
            elif how == "delete":
                await db.delete(row)
            elif how == "bulk update":
                await db.execute(update(AuditEvent).values(actor="x"))
            else:
                await db.execute(delete(AuditEvent))

    for how in ("update", "delete", "bulk update", "bulk delete"):
        with pytest.raises(RuntimeError, match="append-only"):
            await change(how)
    assert [row.actor for row in await left(database)] == ["owner"]


def test_no_other_code_asks_for_it() -> None:
    """The session guards what goes through it; this, that nothing goes around it."""
    app = Path(__file__).parents[1]
    named = {
        str(file.relative_to(app))
        for file in app.rglob("*.py")
        if "tests" not in file.parts and re.search(r"\baudit_events\b|retention=True", file.read_text())
    }
    assert named == {"models.py", "services/retention.py"}

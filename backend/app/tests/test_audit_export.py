"""The downloads of the audit log: complete, in pages, refused in time, and inert whatever an event holds."""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from sqlalchemy import event

from app.adapters import sqlite_connection
from app.adapters.database import Database
from app.models import AuditEvent
from app.services import audit_export
from app.services.audit_export import code
from app.tests.app_fixtures import Api

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def add_events(database: Database, count: int, **columns: Any) -> list[int]:
    """Events of one minute after the other; their ids."""
    given: dict[str, Any] = {"type": "pipeline.done", "actor": "owner", "payload": {}}
    rows = [AuditEvent(**(given | {"at": NOW + timedelta(minutes=n)} | columns)) for n in range(count)]
    async with database.sessions.begin() as db:
        db.add_all(rows)
    return [row.id for row in rows]


async def test_json_holds_every_event_in_order_over_many_pages(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "BATCH", 3)
    ids = await add_events(database, 7, payload={"comment": 'said "yes"\n'})
    answer = await api.http.get("/audit/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="paceline-audit-2')
    assert disposition.endswith('.json"')
    document = answer.json()
    assert [item["id"] for item in document["items"]] == ids
    page = (await api.http.get("/audit")).json()
    assert list(reversed(page["items"])) == document["items"], "the same as the API shows them"
    assert len([line for line in answer.text.splitlines() if line.startswith('{"id":')]) == 7


@pytest.mark.parametrize("form", ["json", "markdown"])
async def test_an_empty_log_is_an_empty_document(api: Api, form: str) -> None:
    answer = await api.http.get("/audit/export", params={"format": form})
    assert answer.status_code == 200
    if form == "json":
        assert answer.json()["items"] == []
    else:
        assert answer.text.endswith("\n0 events.\n")


async def test_filters_narrow_both_forms(api: Api, database: Database) -> None:
    mine = await add_events(database, 3, pipeline_id=5)
    await add_events(database, 3, pipeline_id=6)
    params = {
        "pipeline_id": "5",
        "since": (NOW + timedelta(minutes=1)).isoformat(),
        "until": (NOW + timedelta(minutes=2)).isoformat(),
    }
    document = (await api.http.get("/audit/export", params=params)).json()
    assert [item["id"] for item in document["items"]] == mine[1:2]
    assert (document["pipeline_id"], document["since"]) == (5, "2026-03-01T12:01:00Z")
    answer = await api.http.get("/audit/export", params=params | {"format": "markdown"})
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.headers["content-disposition"].endswith('.md"')
    assert "paceline-audit-run-5-" in answer.headers["content-disposition"]
    assert answer.text.count("\n- ") == 1
    assert "## 2026-03-01" in answer.text
    assert f"- 12:01:00.000 `pipeline.done` by `owner` (#{mine[1]}, run 5)" in answer.text


@pytest.mark.parametrize(
    "params", [{"format": "xml"}, {"since": "yesterday"}, {"since": "0001-01-01T00:00:00+14:00"}, {"pipeline_id": "0"}]
)
async def test_what_does_not_fit_is_refused(sqlite_api: Api, params: dict[str, str]) -> None:
    answer = await sqlite_api.http.get("/audit/export", params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_no_session_is_open_between_two_pages(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export, "BATCH", 2)
    await add_events(database, 5)
    out: list[int] = []
    event.listen(database.engine.sync_engine, "checkout", lambda *_: out.append(1))
    event.listen(database.engine.sync_engine, "checkin", lambda *_: out.pop())
    pieces = await audit_export.AuditExport(database.reads).open(audit_export.ExportFilter(), "json")
    seen = 0
    async for _ in pieces:
        assert out == [], "a reader that stops here would keep a transaction open"
        seen += 1
    assert seen == 5, "head, three pages, end"


def rendered(markdown: str) -> tuple[set[str], str]:
    """The elements of a document as a viewer with every extension of GitHub makes them, and its text."""
    tokens = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(markdown)
    flat = [child for token in tokens for child in [token, *(token.children or [])]]
    return {token.type for token in flat}, "".join(token.content for token in flat if token.type == "code_inline")


INERT = {
    "heading_open", "heading_close", "paragraph_open", "paragraph_close", "bullet_list_open", "bullet_list_close",
    "list_item_open", "list_item_close", "inline", "text", "code_inline",
}  # fmt: skip
HOSTILE = [
    "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](https://example.invalid/p.png)",
    "```\n# not a heading\n```", "a\n\n# heading\n", "` ` ``", "\u202egnp.exe", "| a | b |", "https://example.invalid",
    "\\`", "<!-- ", "\u200b\ufeff", "\u2028# x", "\x1b[2J", "", " ", "\\", "&lt;b&gt;",
]  # fmt: skip


async def test_markdown_is_inert_and_shows_hidden_marks(api: Api, database: Database) -> None:
    await add_events(database, 1, actor="<b>", payload={f"field {n}": text for n, text in enumerate(HOSTILE)})
    await add_events(database, 1, payload={"list": ["<i>", {"a": "`"}], "number": 5})
    text = (await api.http.get("/audit/export", params={"format": "markdown"})).text
    kinds, shown = rendered(text)
    assert kinds <= INERT
    assert "<script>alert(1)</script>" in shown
    assert "\\u{202e}gnp.exe" in shown
    assert not set("\u202e\u200b\ufeff\u2028\x1b") & set(text)
    assert '["<i>", {"a": "`"}]' in shown


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from("`\\<>[]()!*_#|~&:/ \n\ta1\u202e"), max_size=40))
def test_no_text_leaves_its_code_span(text: str) -> None:
    kinds, shown = rendered(f"- {code('name')}: {code(text)} end\n")
    assert kinds <= INERT
    assert "end" not in shown
    visible = "".join(text.split()).replace("\u202e", "\\u{202e}")
    assert visible in "".join(shown.split()).replace("⏎", "")


async def test_a_database_that_is_away_is_said_before_anything_is_sent(
    sqlite_api: Api, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connection, "BUSY_TIMEOUT_MS", 10)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite+aiosqlite:///"), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    answer = await sqlite_api.http.get("/audit/export")
    other.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")

"""Requests of agents on the real server and the real OpenCode: answered, overdue, aborted, and across kills."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_http import Endpoint, FixedEndpoint, OpencodeHttp
from app.tests.live_server import LiveServer, live_server

pytestmark = pytest.mark.contract

PROMPT = '[[tool:bash:{"command":"touch made.txt","description":"make"}]] [[say:Went on.]]'
STEP = {"agent": "first", "permissions": [{"tool": "bash", "action": "ask"}]}


async def asking(server: LiveServer, prompt: str = PROMPT, step: dict[str, Any] = STEP) -> tuple[int, dict[str, Any]]:
    """A run that asks, and its request."""
    run_id = await server.create(prompt, None, custom_steps=[step])
    return run_id, await request_of(server, run_id)


async def request_of(server: LiveServer, run_id: int, but: int | None = None) -> dict[str, Any]:
    """The run's open request, another one than `but`."""

    async def there() -> bool:
        return any(one["id"] != but for one in (await server.run(run_id))["requests"])

    await server.until(there, 60)
    run = await server.run(run_id)
    assert (run["status"], run["steps"][0]["status"]) == ("waiting_for_input", "waiting_for_input")
    found: dict[str, Any] = run["requests"][0]
    return found


async def answer(server: LiveServer, run_id: int, request: dict[str, Any], **body: Any) -> int:
    """POST an answer; the status."""
    return (await server.http.post(f"/pipelines/{run_id}/requests/{request['id']}/answer", json=body)).status_code


async def open_in_opencode(server: LiveServer) -> int:
    """How many requests OpenCode itself lists."""
    record = json.loads((server.data_dir / "opencode-server.json").read_text())
    http = OpencodeHttp(FixedEndpoint(Endpoint(f"http://127.0.0.1:{record['port']}", record["password"])))
    try:
        return len(await OpencodeApi(http).requests(str(server.project)))
    finally:
        await http.aclose()


async def test_a_person_is_asked_and_the_request_survives_a_kill(server: LiveServer) -> None:
    run_id, request = await asking(server)
    assert request["details"]["command"] == "touch made.txt"
    server.kill()
    await server.start()
    assert (await request_of(server, run_id))["id"] == request["id"]
    await asyncio.sleep(4)
    run = await server.run(run_id)
    assert [one["id"] for one in run["requests"]] == [request["id"]], "found again, not asked again"
    assert not (server.project / "made.txt").exists()
    assert await answer(server, run_id, request, reply="once") == 200
    assert await answer(server, run_id, request, reply="reject") == 409
    done = await server.finished(run_id)
    assert done["status"] == "done", done["error_message"]
    assert (server.project / "made.txt").exists()
    assert server.provider.models_called() == ["alpha", "alpha"], "no model call was repeated"
    events = await server.events(run_id)
    assert [events.count(f"request.{word}") for word in ("asked", "answered", "cancelled")] == [1, 1, 0]


async def test_a_no_ends_the_call_and_not_the_step(sqlite_server: LiveServer) -> None:
    server = sqlite_server
    run_id, request = await asking(server)
    assert await answer(server, run_id, request, reply="reject", message="Not now.") == 200
    done = await server.finished(run_id)
    assert (done["status"], (server.project / "made.txt").exists()) == ("done", False)
    attempts = (await server.http.get(f"/pipelines/{run_id}/steps/{done['steps'][0]['id']}/attempts")).text
    assert "Not now." in attempts


async def test_what_opencode_forgot_with_its_end_is_asked_anew(sqlite_server: LiveServer) -> None:
    server = sqlite_server
    # The model sees that its first call came to nothing, and makes the second.
    run_id, request = await asking(server, PROMPT.partition("]]")[0] + "]]" + PROMPT)
    server.kill()
    server.kill_opencode()
    await server.start()
    again = await request_of(server, run_id, but=request["id"])
    listed = (await server.http.get("/requests", params={"pipeline_id": run_id})).json()["items"]
    assert [one["status"] for one in listed] == ["pending", "cancelled"]
    assert await answer(server, run_id, request, reply="once") == 409
    assert await answer(server, run_id, again, reply="once") == 200
    done = await server.finished(run_id)
    assert done["status"] == "done", done["error_message"]


async def test_a_deadline_denies_and_the_model_goes_on(tmp_path: Path, sqlite_url: str) -> None:
    async with live_server(tmp_path, sqlite_url, PACELINE_REQUEST_DEADLINE_SECONDS="2") as server:
        run_id, request = await asking(server)
        done = await server.finished(run_id)
        assert (done["status"], (server.project / "made.txt").exists()) == ("done", False)
        assert "request.expired" in await server.events(run_id)
        assert await answer(server, run_id, request, reply="once") == 409


async def test_a_question_is_answered_or_ends_the_step(sqlite_server: LiveServer) -> None:
    server = sqlite_server
    step = {"agent": "first", "permissions": [{"tool": "question", "action": "ask"}]}
    questions = [{"question": "Which?", "header": "DB", "options": [{"label": "pg", "description": "A server."}]}]
    prompt = f"[[tool:question:{json.dumps({'questions': questions})}]] [[say:Took it.]]"
    run_id, request = await asking(server, prompt, step)
    assert (request["kind"], request["details"]["questions"][0]["options"][0]["label"]) == ("question", "pg")
    assert await answer(server, run_id, request, reply="once", answers=[["pg"]]) == 200
    assert (await server.finished(run_id))["status"] == "done"
    run_id, request = await asking(server, prompt, step)
    assert await answer(server, run_id, request, reply="reject") == 200
    failed = await server.finished(run_id)
    assert (failed["status"], failed["error_code"]) == ("failed", "denied")


async def test_an_abort_leaves_no_request(sqlite_server: LiveServer) -> None:
    server = sqlite_server
    run_id, request = await asking(server)
    assert await open_in_opencode(server) == 1
    aborted = (await server.http.post(f"/pipelines/{run_id}/abort")).json()
    assert (aborted["status"], aborted["requests"]) == ("aborted", [])
    assert await open_in_opencode(server) == 0
    assert await answer(server, run_id, request, reply="once") == 409
    await server.http.post(f"/pipelines/{run_id}/restart")
    again = await request_of(server, run_id)
    assert again["attempt"] == 2
    assert await answer(server, run_id, again, reply="once") == 200
    assert (await server.finished(run_id))["status"] == "done"

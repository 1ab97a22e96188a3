"""A yes for the rest of a run, on the real OpenCode: asked once over a kill, and no way around a later denial."""

import pytest

from app.tests.live_server import LiveServer
from app.tests.test_request_crashes import answer, request_of

pytestmark = pytest.mark.contract

ADD = '[[tool:bash:{"command":"echo line >> made.txt","description":"add"}]]'
STEPS = [
    {"agent": "first", "permissions": [{"tool": "bash", "action": "ask"}]},
    {"agent": "second", "permissions": [{"tool": "bash", "pattern": "echo*", "action": "deny"}]},
]


async def test_a_lasting_yes_keeps_its_deadline_over_a_kill_and_counts_where_it_is_asked_for(
    sqlite_server: LiveServer,
) -> None:
    server = sqlite_server
    run_id = await server.create(f"{ADD} {ADD} [[say:Went on.]]", None, custom_steps=STEPS)
    request = await request_of(server, run_id)
    server.kill()
    await server.start()
    again = await request_of(server, run_id)
    assert (again["id"], again["deadline"]) == (request["id"], request["deadline"])
    assert await answer(server, run_id, request, reply="once", remember=True) == 200
    done = await server.finished(run_id)
    assert done["status"] == "done", done["error_message"]
    assert (server.project / "made.txt").read_text() == "line\n" * 2, "twice in the first step, never in the second"
    assert (await server.events(run_id)).count("request.asked") == 1
    assert server.provider.models_called() == ["alpha"] * 3 + ["beta"] * 3

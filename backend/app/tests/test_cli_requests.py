"""What agents ask, on the command line: shown whole, answered once, and exit code 3 meanwhile."""

import json

import pytest

from app.tests.cli_server import Place, cli

pytestmark = pytest.mark.asyncio(loop_scope="module")

BASH = '[[tool:bash:{"command":"touch made.txt","description":"make"}]] [[say:Went on.]]'
QUESTIONS = [
    {"question": "Which one?", "header": "DB", "options": [{"label": "pg", "description": "A server."}]},
    {
        "question": "Where?", "header": "Place", "multiple": True,
        "options": [{"label": "here", "description": ""}, {"label": "there, too", "description": ""}],
    },
]  # fmt: skip


async def test_a_command_is_asked_for_and_allowed(place: Place) -> None:
    created = await cli("run", "careful", BASH, "--follow")
    assert created.code == 3, created.err
    run_id = created.out.strip()
    assert "The agent asks for bash: touch made.txt" in created.err
    request = (await place.json("requests", run_id))["items"][0]["id"]
    assert f"paceline answer {run_id} {request} once" in created.err
    assert (await cli("watch", run_id)).code == 3
    for arguments in (("requests",), ("requests", run_id), ("show", run_id)):
        assert "touch made.txt" in (await cli(*arguments)).out
    answered = await cli("answer", run_id, request, "once")
    assert (answered.code, answered.out) == (0, ""), answered.err
    assert (await cli("watch", run_id)).code == 0
    assert (place.project / "made.txt").exists()
    again = await cli("answer", run_id, request, "reject", "--message", "Late.")
    assert (again.code, "answered already" in again.err) == (2, True)
    assert (await cli("requests", run_id)).out == ""
    assert "answered" in (await cli("requests", run_id, "--all")).out
    unknown = await cli("requests", 77)
    assert (unknown.code, "There is no run 77." in unknown.err) == (2, True)


async def test_questions_are_shown_with_their_options_and_answered(place: Place) -> None:
    prompt = f"[[tool:question:{json.dumps({'questions': QUESTIONS})}]] [[say:Took it.]]"
    created = await cli("run", "careful", prompt, "--follow")
    assert created.code == 3, created.err
    assert "Which one?" in created.err
    assert "pg: A server." in created.err
    assert "Where? (2 of 2, several, with commas between them, or your own words)" in created.err
    run_id = created.out.strip()
    request = (await place.json("requests", run_id))["items"][0]["id"]
    wrong = await cli("answer", run_id, request, "once")
    assert (wrong.code, "one list of answers for each of the 2" in wrong.err) == (2, True)
    assert (await cli("answer", run_id, request, "maybe")).code == 2
    assert (await cli("answer", run_id, request, "once", "-a", "pg", "-a", "here, everywhere")).code == 0
    assert (await cli("watch", run_id)).code == 0
    assert (await place.json("requests", run_id, "--all"))["items"][0]["answers"] == [["pg"], ["here", "everywhere"]]

"""What agents ask, on the command line: shown whole, answered once, and exit code 3 meanwhile."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.tests.cli_server import Place, ServeProcess, cli, cli_place, serving_process

pytestmark = pytest.mark.asyncio(loop_scope="module")

BASH = '[[tool:bash:{"command":"touch made.txt","description":"make"}]] [[say:Went on.]]'
QUESTIONS = [{"question": "Which one?", "header": "DB", "options": [{"label": "pg", "description": "A server."}]}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> AsyncIterator[tuple[Place, ServeProcess]]:
    """One server for all tests of this file."""
    async with cli_place(tmp_path_factory.mktemp("cli"), sqlite_template) as place:
        with serving_process(place) as server:
            await server.until_listening()
            yield place, server


@pytest.fixture
def place(served: tuple[Place, ServeProcess], monkeypatch: pytest.MonkeyPatch) -> Place:
    """The environment of the shared server."""
    served[0].enter(monkeypatch)
    return served[0]


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


async def test_a_question_is_shown_with_its_options_and_answered(place: Place) -> None:
    prompt = f"[[tool:question:{json.dumps({'questions': QUESTIONS})}]] [[say:Took it.]]"
    created = await cli("run", "careful", prompt, "--follow")
    assert created.code == 3, created.err
    assert "Which one?" in created.err
    assert "pg: A server." in created.err
    run_id = created.out.strip()
    request = (await place.json("requests", run_id))["items"][0]["id"]
    wrong = await cli("answer", run_id, request, "once")
    assert (wrong.code, "one list of answers for each" in wrong.err) == (2, True)
    assert (await cli("answer", run_id, request, "maybe")).code == 2
    assert (await cli("answer", run_id, request, "once", "--answer", "pg")).code == 0
    assert (await cli("watch", run_id)).code == 0

"""One crash at each named place: the run goes on, nothing is lost, no model call is made twice."""

from pathlib import Path

import pytest

from app.adapters.database import Database
from app.fail_points import ALL
from app.tests.chaos.invariants import violations
from app.tests.chaos.programs import PROGRAMS, Person, Program
from app.tests.factories import eventually
from app.tests.fake_opencode import FakeOpenCode
from app.tests.live_server import SETUP, attached_server

pytestmark = pytest.mark.chaos

PLACES = [
    pytest.param(program, f"{side}:{name}", id=f"{side}-{name}")
    for program in PROGRAMS
    for name in program.commits
    for side in ("before", "after")
]
TWICE = ("resume-step", "recover")
"""Reached only after another crash; test_crashes.py and test_reconciler.py go there."""


def test_every_fail_point_belongs_to_a_program() -> None:
    covered = {name for program in PROGRAMS for name in program.commits} | set(TWICE)
    assert {place.partition(":")[2] for place in ALL} == covered


@pytest.mark.parametrize(("program", "place"), PLACES)
async def test_a_crash_at_each_place_loses_and_doubles_nothing(
    program: Program, place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # Half of the places on each database: which one a place gets is fixed by its number.
    dialect = ("sqlite", "postgres")[[entry.values[1] for entry in PLACES].index(place) % 2]
    url: str = request.getfixturevalue(f"{dialect}_url")
    async with FakeOpenCode(SETUP, pace=1).serve() as opencode, attached_server(tmp_path, url, opencode) as server:
        await server.start(PACELINE_FAIL_POINT=f"{place}@1")
        person = Person(server)
        _, models = await program.run(person)
        assert person.crashes == 1, f"{place} was never reached"
        if models:
            assert opencode.provider.models_called() == models, "a model call was lost or made twice"
        database = Database(url)

        async def at_rest() -> bool:
            return await violations(database) == []

        try:
            await eventually(at_rest, 15)
        finally:
            assert await violations(database) == []
            await database.dispose()
        assert [session.id for session in opencode.sessions.values() if session.doing] == []

"""The server dies at each named place and at random moments: nothing is lost, no model call is made twice."""

from pathlib import Path
from random import Random
from secrets import randbelow

import pytest

from app.fail_points import ALL
from app.tests.chaos.killing import kill_on, shares
from app.tests.chaos.nursery import Nursery
from app.tests.chaos.programs import PROGRAMS
from app.tests.conftest import DIALECTS

pytestmark = pytest.mark.chaos


def test_every_fail_point_belongs_to_a_program() -> None:
    covered = {name for program in PROGRAMS for name in program.commits}
    assert {place.partition(":")[2] for place in ALL} == covered


def test_each_place_is_dealt_to_a_database_and_both_get_both_sides() -> None:
    sqlite, postgres = shares(1, 2)
    assert sqlite + postgres == dict.fromkeys(ALL, 1)
    for half in (sqlite, postgres):
        assert {place.partition(":")[0] for place in half} == {"before", "after"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_crash_at_each_place_loses_and_doubles_nothing(
    dialect: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # Each place on one of the databases; `make chaos` goes to each of them several times on both.
    url: str = request.getfixturevalue(f"{dialect}_url")
    owed = shares(1, 2)[DIALECTS.index(dialect)]
    seed = randbelow(10**6)
    with Nursery() as nursery:
        killed = await kill_on(tmp_path / "world", url, owed, Random(seed), nursery)
    assert killed.faults == [], f"seed {seed}"
    assert killed.unreached == [], f"seed {seed}"
    assert (killed.lost, killed.doubled) == (0, 0), f"seed {seed}"
    assert killed.kills.total() >= len(ALL) // 2

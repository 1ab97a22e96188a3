"""What a chaos run says about itself: only real kills are counted, every fault is told, and a 500 is one."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from app.fail_points import ALL
from app.tests.chaos.killing import Killed
from app.tests.chaos.ledger import PLANNED, RANDOM, Ledger
from app.tests.chaos.person import Person
from app.tests.chaos.report import Figures


def figures(**more: Any) -> Figures:
    """Each place twice, one kill at a random moment, and many that the chaos itself ordered."""
    kills = Counter(dict.fromkeys(ALL, 2)) + Counter({RANDOM: 1, PLANNED: 50})
    outages = Counter({503: 2})
    killed = Killed("sqlite", kills, unreached=[], faults=[], runs=3, steps=7, lost=0, doubled=0, outages=outages)
    return Figures(seed=1, killed=[killed], **more)


def test_only_kills_at_named_places_and_random_moments_are_counted() -> None:
    told = "\n".join(figures().sentences())
    assert f"{2 * len(ALL) + 1} kills of the server, at least 2 at each of {len(ALL)} named places" in told
    assert "and 1 at random moments" in told
    assert "not counted: 50 more by a program or between two waves" in told
    assert "2 answers with 503 or 507" in told
    ledger = Ledger(Counter({"before:abort": 2}))
    for place in ("before:abort", RANDOM, PLANNED):
        ledger.count(place)
    assert ledger.total == 2


def test_faults_are_told_in_words() -> None:
    told = figures(faults=["one thing\nand its trace", "one thing", "another"]).sentences()
    assert "broken invariants and other faults: 3: one thing (2x); another (1x)" in told
    assert "broken invariants and other faults: 0" in figures().sentences()


def person(*statuses: int) -> Person:
    """Who meets a server that answers with these, one after the other."""
    answers = iter(statuses)
    http = httpx.AsyncClient(
        base_url="http://x", transport=httpx.MockTransport(lambda _: httpx.Response(next(answers), text="words"))
    )

    async def revive() -> None:
        """It lives."""

    return Person(SimpleNamespace(http=http, revive=revive), "marker", Path("/"))


async def test_outages_are_counted_and_asked_again() -> None:
    one = person(503, 507, 409)
    assert (await one.ask("POST", "/pipelines/1/approve")).status_code == 409
    assert one.outages == {503: 1, 507: 1}


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_broken_answer_is_a_fault(status: int) -> None:
    with pytest.raises(AssertionError, match=f"/pipelines/1: {status} words"):
        await person(status, 200).ask("GET", "/pipelines/1")

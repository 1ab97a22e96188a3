"""`paceline queue`: what it shows, and how a drain ends."""

import pytest

from app.tests.cli_server import Place, cli
from app.tests.factories import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

BASH = '[[tool:bash:{"command":"touch made.txt","description":"make"}]] [[say:Went on.]]'


async def test_the_queue_is_shown_paused_and_resumed(place: Place) -> None:
    shown = await cli("queue")
    assert (shown.code, "queue:    open" in shown.out, "0 of 10 places" in shown.out) == (0, True, True), shown.err
    paused = await cli("queue", "pause", "--wait", "--reason", "Upgrade.")
    assert (paused.code, "drained" in paused.out, "Upgrade." in paused.out) == (0, True, True), paused.err
    run_id = (await cli("run", "one", "Do it.")).out.strip()
    held = await cli("queue")
    assert f"{run_id}\tpaused\t1\t" in held.out
    assert "held by the paused queue" in (await cli("runs")).out
    resumed = await cli("queue", "resume")
    assert (resumed.code, "queue:    open" in resumed.out) == (0, True)
    assert (await cli("watch", run_id)).code == 0
    assert (await place.json("queue"))["paused"] is False


async def test_a_drain_waits_for_steps_at_work_but_not_for_people(place: Place) -> None:
    slow = (await cli("run", "one", "[[slow:30:5]] [[say:Slow.]]")).out.strip()

    async def at_work() -> bool:
        return bool((await place.json("queue"))["active_steps"])

    await eventually(at_work)
    drained = await cli("queue", "pause", "--wait")
    assert (drained.code, "1 step at work" in drained.err) == (0, True), drained.err
    assert (await cli("watch", slow)).code == 0
    assert (await cli("queue", "resume")).code == 0
    asking = (await cli("run", "careful", BASH, "-f")).out.strip()
    left = await cli("queue", "pause", "--wait")
    assert (left.code, "wait for a person" in left.err) == (3, True)
    request = (await place.json("requests", asking))["items"][0]["id"]
    assert (await cli("answer", asking, request, "once")).code == 0
    assert (await cli("queue", "pause", "--wait")).code == 0
    assert (await cli("watch", asking)).code == 0
    assert (await cli("queue", "resume")).code == 0

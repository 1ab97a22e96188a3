"""Several servers have their places together: what the page says of a run that waits is true on each of them."""

from app.adapters.database import Database
from app.services import queue_state, waiting
from app.tests.factories import agent_step, make_directory, make_pipeline
from app.tests.test_workers import joined, silent


async def said(database: Database, places: int) -> list[str]:
    """Why each run waits that does."""
    async with database.reads() as db:
        state = await queue_state.read(db)
        return [waiting.sentence(row, state) for row in await waiting.everything(db, places)]


async def test_a_run_waits_for_a_place_only_when_those_of_all_living_servers_are_taken(database: Database) -> None:
    async with database.sessions.begin() as db:
        for status in ("running", "running", "pending"):
            directory = await make_directory(db)
            run = await make_pipeline(db, [agent_step(status=status)], directory, status=status)
            directory.holder_id, directory.holder_attempt = run.id, 1
    taken = "All {} places are taken; the run goes on when a step ends or asks a person."
    assert await said(database, 2) == [taken.format(2)], "one server, which keeps no lease"
    one, _ = await joined(database, "a", "b")
    assert await said(database, 1) == [taken.format(2)]
    assert await said(database, 2) == [], "the other one has places"
    await silent(database, "b")
    assert await said(database, 2) == [taken.format(2)], "it is dead"
    await one.leave()
    assert await said(database, 2) == [taken.format(2)]

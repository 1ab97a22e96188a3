"""Giving up the wait for a turn: it ends at once, whatever is heard at that moment."""

import asyncio

import pytest

from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_events import Event, EventReader
from app.adapters.opencode_http import Endpoint, FixedEndpoint, OpencodeHttp
from app.adapters.opencode_live import LiveFeed
from app.adapters.opencode_requests import NobodyThere, RequestAnswerer
from app.adapters.opencode_tally import TurnTally
from app.adapters.opencode_turn import TurnTiming, TurnWatch
from app.schemas.runtime import SessionBinding, StepLimits

BINDING = SessionBinding(directory="/d", message_id="msg_1", title="t", pipeline_id=1, step_id=2, attempt=1)


@pytest.mark.parametrize("steps", range(5))
async def test_a_cancelled_wait_ends_although_an_event_comes_in_the_same_instant(steps: int) -> None:
    """`asyncio.wait_for` of Python 3.11 loses such a cancellation, and the step would run on for ever."""
    http = OpencodeHttp(FixedEndpoint(Endpoint("http://127.0.0.1:1")))
    events = EventReader(http)
    live = LiveFeed("ses_1", BINDING, lambda _event: None)
    watch = TurnWatch(OpencodeApi(http), events, "ses_1", BINDING, live, TurnTiming(tick=30), NobodyThere())
    waiting = asyncio.create_task(watch.wait())
    for _ in range(5):
        await asyncio.sleep(0)
    events.dispatch({"type": "session.idle", "properties": {"sessionID": "ses_1"}})
    for _ in range(steps):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(3):
            await asyncio.shield(waiting)
    assert waiting.cancelled()
    await watch.close()
    await http.aclose()


async def test_a_turn_that_is_given_up_does_not_wait_for_an_answer_that_opencode_never_takes() -> None:
    """SIGTERM has ten seconds for everything."""

    async def taking_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await ended.wait()
        writer.close()

    asked, ended = asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(taking_nothing, "127.0.0.1", 0)
    http = OpencodeHttp(FixedEndpoint(Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")))
    answerer = RequestAnswerer(OpencodeApi(http), "ses_1", BINDING, TurnTally("ses_1", StepLimits()), NobodyThere())
    request = {"id": "per_1", "sessionID": "ses_1", "permission": "bash", "patterns": ["rm"]}
    answerer.hear(Event("permission.asked", "ses_1", "ses_1", request))
    async with asyncio.timeout(5):
        await asked.wait()
        await answerer.close()
    ended.set()
    await http.aclose()
    server.close()

"""The event reader: one for all sessions, back after every break, deaf to nobody's mistakes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.adapters.opencode_client import ClientTiming, OpenCodeClient, new_message_id
from app.adapters.opencode_events import DISCONNECTED, RECONNECTED, Event, EventReader
from app.adapters.opencode_http import OpencodeHttp
from app.adapters.opencode_turn import TurnTiming
from app.schemas.runtime import LiveEvent, SessionBinding
from app.tests.fake_opencode import FakeOpenCode


@asynccontextmanager
async def reading(fake: FakeOpenCode, silence: float = 25) -> AsyncIterator[EventReader]:
    """A reader that is connected."""
    http = OpencodeHttp(fake)
    reader = EventReader(http, silence)
    assert await reader.open(5)
    yield reader
    await reader.aclose()
    await http.aclose()


async def until(heard: list[str], *expected: str) -> None:
    """Wait until exactly these kinds of events were heard."""
    async with asyncio.timeout(10):
        while heard != list(expected):
            await asyncio.sleep(0.01)


async def test_it_comes_back_and_says_so() -> None:
    heard: list[str] = []
    async with FakeOpenCode().serve() as fake, reading(fake) as reader:
        reader.subscribe("ses_1", lambda event: heard.append(event.type))
        fake.drop_streams()
        await until(heard, DISCONNECTED, RECONNECTED)


async def test_a_stream_without_heartbeats_is_given_up() -> None:
    heard: list[str] = []
    async with FakeOpenCode().serve() as fake, reading(fake, silence=0.3) as reader:
        reader.subscribe("ses_1", lambda event: heard.append(event.type))
        await until(heard, DISCONNECTED, RECONNECTED, DISCONNECTED, RECONNECTED)


async def test_a_server_that_moved_is_found_again() -> None:
    fake, heard = FakeOpenCode(), list[str]()
    http = OpencodeHttp(fake)
    reader = EventReader(http)
    async with fake.serve():
        assert await reader.open(5)
        reader.subscribe("ses_1", lambda event: heard.append(event.type))
        first = fake.endpoint().url
    async with fake.serve():
        assert fake.endpoint().url != first
        await until(heard, DISCONNECTED, RECONNECTED)
    await reader.aclose()
    await http.aclose()


async def test_events_go_to_the_session_that_they_belong_to_children_included() -> None:
    heard: list[tuple[str, str]] = []
    reader = EventReader(OpencodeHttp(FakeOpenCode()))

    def event(kind: str, session: str, **more: object) -> dict[str, object]:
        return {"type": kind, "properties": {"sessionID": session, **more}}

    cancel = reader.subscribe("ses_root", lambda event: heard.append((event.root, event.session)))
    reader.dispatch(event("session.created", "ses_child", info={"id": "ses_child", "parentID": "ses_root"}))
    reader.dispatch(event("session.created", "ses_grand", info={"id": "ses_grand", "parentID": "ses_child"}))
    reader.dispatch(event("session.idle", "ses_grand"))
    reader.dispatch(event("session.idle", "ses_foreign"))
    reader.dispatch(event("file.edited", "ses_root"))
    reader.dispatch({"type": "sync", "syncEvent": {}})
    cancel()
    reader.dispatch(event("session.idle", "ses_root"))
    reader.dispatch(event("session.idle", "ses_grand"))
    assert heard == [("ses_root", "ses_child"), ("ses_root", "ses_grand"), ("ses_root", "ses_grand")]


async def test_one_listener_that_fails_makes_nobody_else_deaf() -> None:
    reader, heard = EventReader(OpencodeHttp(FakeOpenCode())), list[Event]()

    def broken(_: Event) -> None:
        raise ValueError("no")

    reader.subscribe("ses_1", broken)
    reader.subscribe("ses_1", heard.append)
    reader.dispatch({"type": "session.idle", "properties": {"sessionID": "ses_1"}})
    assert [event.type for event in heard] == ["session.idle"]


async def test_what_people_watch_is_whole_after_a_gap_in_the_events() -> None:
    shown: list[LiveEvent] = []
    async with FakeOpenCode(pace=1).serve() as fake:
        client = OpenCodeClient(fake, shown.append, ClientTiming(turn=TurnTiming(poll=0.2)))
        binding = SessionBinding(
            directory="/tmp", message_id=new_message_id(), title="t", pipeline_id=1, step_id=1, attempt=1
        )
        session = await client.create_session(binding)
        prompt = '[[reason:a thought]] [[tool:bash:{"command":"true"}]] [[slow:20:0.1]]'
        waiting = asyncio.create_task(client.send_message(session, prompt, "build", "alpha"))
        async with asyncio.timeout(10):
            while sum(event.delta is not None for event in shown) < 5:
                await asyncio.sleep(0.01)
        gap = len(shown)
        fake.drop_streams()
        answer = await waiting
        await client.aclose()
    assert any(event.text == "a thought" for event in shown[gap:])
    folded: dict[str, str] = {}
    for event in shown:
        if event.type == "delta" and event.part_id:
            folded[event.part_id] = event.text or folded.get(event.part_id, "") + (event.delta or "")
    assert answer.text == "".join(f"tick{number:03d} " for number in range(20))
    assert list(folded.values()) == ["a thought", "a thought", answer.text]

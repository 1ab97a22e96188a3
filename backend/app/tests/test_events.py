"""The event stream over a real socket: audit events with ids and resume, live output with snapshots."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from app.demo.provider_server import serving
from app.schemas.events import StateFrame
from app.schemas.runtime import LiveEvent, ToolCall
from app.services import broker as broker_module
from app.services.broker import Subscription
from app.tests.app_fixtures import Api

Frame = tuple[str, str | None, dict[str, Any]]


@pytest.fixture
async def stream_url(api: Api) -> AsyncIterator[str]:
    """The API on a socket, with the broker following the audit log."""
    await api.joined.broker.begin()
    follower = asyncio.create_task(api.joined.broker.run())
    async with serving(api.app) as url:
        yield url
        api.joined.broker.close()
    follower.cancel()
    with suppress(asyncio.CancelledError):
        await follower


@asynccontextmanager
async def reading(url: str, path: str = "/events", **headers: str) -> AsyncIterator["asyncio.Queue[Frame]"]:
    """The stream's frames, one by one, while the block runs."""
    queue: asyncio.Queue[Frame] = asyncio.Queue()
    connected = asyncio.Event()

    async def read() -> None:
        given = {"authorization": "Bearer test-token"} | headers
        client = httpx.AsyncClient(base_url=url, headers=given, timeout=10)
        async with client, client.stream("GET", path) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            connected.set()
            await _parse(answer, queue)

    task = asyncio.create_task(read())
    async with asyncio.timeout(5):
        await connected.wait()
    await asyncio.sleep(0.05)
    try:
        yield queue
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _parse(answer: httpx.Response, queue: "asyncio.Queue[Frame]") -> None:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line and not line.startswith(":"):
            fields[name] = value
        elif fields:
            queue.put_nowait((fields["event"], fields.get("id"), json.loads(fields["data"])))
            fields = {}


async def next_of(queue: "asyncio.Queue[Frame]") -> Frame:
    """The next frame, within five seconds."""
    async with asyncio.timeout(5):
        return await queue.get()


def delta(step_id: int, text: str, **fields: Any) -> LiveEvent:
    """Live text of a step."""
    values = {"pipeline_id": 1, "step_id": step_id, "type": "delta", "at": datetime.now(UTC), "part_id": "p1"}
    return LiveEvent.model_validate(values | {"kind": "text", "delta": text} | fields)


async def test_changes_arrive_with_their_audit_id(api: Api, stream_url: str) -> None:
    async with reading(stream_url) as frames:
        run = (await api.create()).json()
        event, event_id, data = await next_of(frames)
    assert (event, data["type"], data["pipeline_id"], data["step_id"]) == ("audit", "pipeline.created", run["id"], None)
    assert event_id == str(data["id"])
    assert data["actor"] == "owner"


async def test_a_reader_resumes_after_the_last_event_it_has_seen(api: Api, stream_url: str) -> None:
    async with reading(stream_url) as frames:
        await api.create()
        _, seen, _ = await next_of(frames)
    missed = [(await api.create()).json()["id"] for _ in range(3)]
    async with reading(stream_url, **{"last-event-id": str(seen)}) as frames:
        got = [await next_of(frames) for _ in range(6)]
        late = (await api.create()).json()["id"]
        got += [await next_of(frames) for _ in range(2)]
    ids = [int(event_id or 0) for _, event_id, _ in got]
    assert ids == list(range(int(seen or 0) + 1, int(seen or 0) + 9)), "no gap, no repetition"
    assert [data["pipeline_id"] for _, _, data in got] == [run for run in (*missed, late) for _ in range(2)]


@pytest.mark.parametrize("last", ["123456", "not-a-number", "9" * 40])
async def test_an_unknown_last_event_id_is_told_to_read_again(api: Api, stream_url: str, last: str) -> None:
    async with reading(stream_url, **{"last-event-id": last}) as frames:
        assert (await next_of(frames))[0] == "reset"
        await api.create()
        assert (await next_of(frames))[2]["type"] == "pipeline.created"


async def test_a_late_reader_gets_a_snapshot_of_what_runs(api: Api, stream_url: str) -> None:
    broker = api.joined.broker
    broker.publish(delta(7, "Hel"))
    broker.publish(delta(7, "lo"))
    tool = ToolCall(call_id="c", tool="bash", status="running")
    broker.publish(LiveEvent(pipeline_id=1, step_id=7, type="tool", at=datetime.now(UTC), part_id="p2", tool=tool))
    async with reading(stream_url) as frames:
        event, event_id, data = await next_of(frames)
        broker.publish(delta(7, "!", part_id="p1"))
        more = await next_of(frames)
    assert (event, event_id, data["step_id"]) == ("snapshot", None, 7)
    assert [(part["kind"], part["text"]) for part in data["parts"]] == [("text", "Hello"), ("tool", "")]
    assert (more[0], more[2]["delta"]) == ("delta", "!")


async def test_a_stream_of_one_run_holds_nothing_of_others(api: Api, stream_url: str) -> None:
    async with reading(stream_url, "/events?pipeline_id=1") as frames:
        api.joined.broker.publish(delta(9, "other", pipeline_id=2))
        api.joined.broker.publish(delta(7, "mine"))
        assert (await next_of(frames))[2]["delta"] == "mine"


def test_a_reader_that_is_too_slow_is_dropped_with_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "QUEUE_SIZE", 3)
    subscription = Subscription(None)
    frame = StateFrame(pipeline_id=1, step_id=1, at=datetime.now(UTC), state="busy")
    for _ in range(10):
        subscription.put(frame)
    assert subscription._queue.qsize() == 1


async def test_what_is_heard_after_an_abort_leaves_no_ghost(api: Api, stream_url: str) -> None:
    broker = api.joined.broker
    broker.publish(delta(7, "still talking"))
    broker.publish(LiveEvent(pipeline_id=1, step_id=7, type="state", at=datetime.now(UTC), state="idle"))
    async with reading(stream_url) as frames:
        broker.publish(delta(8, "first"))
        assert (await next_of(frames))[0] == "delta", "no snapshot of the step that is over"

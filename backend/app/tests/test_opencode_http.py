"""Servers that are not what we need, each told in a sentence that says so."""

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from app.adapters.opencode_attached import AttachedServer
from app.adapters.opencode_client import OpenCodeClient, new_message_id
from app.adapters.opencode_http import Endpoint, FixedEndpoint, OpencodeHttp, OpencodeRefused, probe
from app.demo.provider_server import serving
from app.errors import Interrupted, OpencodeUnavailable
from app.schemas.runtime import SessionBinding
from app.tests.fake_opencode import FakeOpenCode


async def web_page(_: object) -> HTMLResponse:
    """What every path of the newer generation answers."""
    return HTMLResponse("<!doctype html><title>OpenCode</title>")


NEWER = Starlette(routes=[Route("/{path:path}", web_page, methods=["GET", "POST"])])


async def test_a_dead_address_is_named() -> None:
    http = OpencodeHttp(FixedEndpoint(Endpoint("http://127.0.0.1:9")))
    with pytest.raises(OpencodeUnavailable, match=r"127\.0\.0\.1:9 does not answer: nothing listens"):
        await http.get("/session")
    await http.aclose()


async def test_a_wrong_password_is_named() -> None:
    async with FakeOpenCode().serve() as fake:
        http = OpencodeHttp(FixedEndpoint(Endpoint(fake.endpoint().url, "wrong")))
        with pytest.raises(OpencodeUnavailable, match="PACELINE_OPENCODE_PASSWORD"):
            await http.get("/session/status")
        await http.aclose()


async def test_a_web_page_is_not_an_answer() -> None:
    async with serving(NEWER) as url:
        http = OpencodeHttp(FixedEndpoint(Endpoint(url)))
        with pytest.raises(OpencodeUnavailable, match="web page"):
            await http.get("/session/status")
        with pytest.raises(OpencodeUnavailable, match="web page"):
            async with http.stream("/global/event", 5):
                pass
        assert await probe(Endpoint(url)) == ("v2", None)
        await http.aclose()


async def test_the_newer_generation_is_told_apart_in_the_health() -> None:
    async with serving(NEWER) as url:
        server = AttachedServer(url)
        await server.start()
        assert not await server.wait_ready(0.5)
        health = await server.health()
        await server.stop()
    assert (health.state, health.generation, health.managed) == ("down", "v2", False)
    assert health.detail is not None
    assert "newer generation" in health.detail


async def test_an_attached_server_is_ready_when_it_answers_and_down_when_it_does_not() -> None:
    fake = FakeOpenCode()
    async with fake.serve():
        server = AttachedServer(fake.endpoint().url, fake.password, check_seconds=0.05)
        await server.start()
        assert await server.wait_ready(5)
        health = await server.health()
        assert (health.state, health.version, health.generation) == ("ready", "1.18.33", "v1")
        assert health.providers == ("scripted",)
    assert (await server.health()).state == "down"
    await server.stop()
    assert (await server.health()).state == "stopped"


async def test_error_answers_keep_opencodes_words() -> None:
    async with FakeOpenCode().serve() as fake:
        http = OpencodeHttp(fake)
        with pytest.raises(OpencodeRefused) as refused:
            await http.get("/session/ses_missing")
        assert (refused.value.status_code, refused.value.name) == (404, "NotFoundError")
        await http.aclose()


async def test_a_session_that_the_server_forgot_cannot_go_on() -> None:
    async with FakeOpenCode().serve() as fake:
        client = OpenCodeClient(fake)
        binding = SessionBinding(
            directory="/tmp", message_id=new_message_id(), title="t", pipeline_id=1, step_id=1, attempt=1
        )
        client.attach_session("ses_forgotten", binding)
        with pytest.raises(Interrupted, match="no longer knows the session"):
            await client.send_message("ses_forgotten", "hello")
        await client.aclose()


def test_message_ids_sort_by_time_and_never_repeat() -> None:
    ids = [new_message_id(at) for at in (1000.0, 1000.001, 2000.5)]
    assert ids == sorted(ids)
    assert len({new_message_id(5.0) for _ in range(100)}) == 100
    assert all(one.startswith("msg_") and len(one) == 30 for one in ids)

"""Orders to the scripted provider, and what it logs."""

import httpx
import pytest

from app.demo.provider import ScriptedProvider
from app.demo.provider_script import Call, Request, Script, directives, parse_directives
from app.demo.provider_server import serving


def request(*messages: tuple[str, str], tools: tuple[str, ...] = ("bash",), attempt: int = 1) -> Request:
    """A call with these messages."""
    return Request("m", [{"role": role, "content": text} for role, text in messages], tools, attempt=attempt)


def test_directives_may_hold_json_and_other_directives() -> None:
    text = 'do [[tool:task:{"prompt":"[[say:inner]]","list":[["a"]]}]] and [[say:outer]] [[cut]]'
    assert parse_directives(text) == [
        ("tool", 'task:{"prompt":"[[say:inner]]","list":[["a"]]}'),
        ("say", "outer"),
        ("cut", ""),
    ]


def test_tools_are_played_one_after_another_and_then_the_text() -> None:
    prompt = 'x [[tool:bash:{"command":"a"}]] [[tool:bash:{"command":"b"}]] [[say:done]]'
    first = directives(request(("user", prompt)))
    second = directives(request(("user", prompt), ("assistant", ""), ("tool", "out")))
    last = directives(request(("user", prompt), ("assistant", ""), ("tool", "x"), ("assistant", ""), ("tool", "y")))
    assert (first.calls, first.finish_reason) == ((Call("bash", {"command": "a"}),), "tool_calls")
    assert second.calls == (Call("bash", {"command": "b"}),)
    assert (last.say, last.calls, last.finish_reason) == ("done", (), "stop")


def test_refusals_end_after_their_number_of_times() -> None:
    prompt = ("user", "[[http:429:2:7]] [[say:ok]]")
    refused = directives(request(prompt, attempt=2)).refuse
    assert refused is not None
    assert (refused.status, refused.retry_after) == (429, 7)
    assert directives(request(prompt, attempt=3)) == Script(say="ok")


def test_calls_of_opencode_itself_are_told_apart() -> None:
    assert request(("system", "You are a title generator."), ("user", "hi")).kind == "title"
    compaction = ("user", "So far: [[after:then]] Create a new anchored summary")
    assert request(compaction, tools=()).kind == "compaction"
    assert directives(request(compaction, tools=())).say.endswith("[[say:then]]")
    assert request(("user", "hi")).kind == "answer"


async def test_it_streams_and_logs_each_model() -> None:
    provider = ScriptedProvider()
    body = {"model": "alpha", "messages": [{"role": "user", "content": "[[say:two words]]"}], "stream": True}
    async with serving(provider.app) as url, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{url}/v1/chat/completions", json=body)
        refused = await client.post(
            f"{url}/v1/chat/completions", json=body | {"messages": [{"role": "user", "content": "[[http:503::9]]"}]}
        )
        log = (await client.get(f"{url}/log")).json()
    assert answer.text.count('"content": "two "') == 1
    assert answer.text.rstrip().endswith("data: [DONE]")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "9")
    assert [(call["model"], call["kind"]) for call in log] == [("alpha", "answer"), ("alpha", "answer")]
    assert provider.models_called("two words") == ["alpha"]


@pytest.mark.parametrize("order", ["[[cut]]", "[[error:broken]]"])
async def test_a_stream_without_an_end_has_no_finish_reason(order: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": order}]}
    async with serving(ScriptedProvider().app) as url, httpx.AsyncClient(trust_env=False) as client:
        text = (await client.post(f"{url}/v1/chat/completions", json=body)).text
    assert '"finish_reason": "stop"' not in text
    assert "[DONE]" not in text

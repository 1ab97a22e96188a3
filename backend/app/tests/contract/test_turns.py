"""Turns that end by themselves: what ran, what it said, what it cost."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.adapters.opencode_client import ClientTiming
from app.adapters.opencode_turn import TurnTiming
from app.errors import OpencodeRefusal, UnknownModel, UnknownOpencodeAgent
from app.schemas.runtime import ModelKind, StepLimits, Tokens
from app.tests.contract.faults import without_events
from app.tests.contract.runtimes import Case


def tool(name: str, **arguments: object) -> str:
    """The directive that makes the model call a tool."""
    return f"[[tool:{name}:{json.dumps(arguments)}]]"


@pytest.mark.parametrize(
    ("asked", "used", "cost"),
    [
        ("scripted/alpha", "scripted/alpha", 0.00014),
        ("scripted/beta", "scripted/beta", None),
        ("gratis", "scripted/gratis", 0.0),
        ("scripted/org/slashed", "scripted/org/slashed", 0.00038),
        ("org/slashed", "scripted/org/slashed", 0.00038),
    ],
)
async def test_each_step_calls_the_model_it_asks_for(case: Case, asked: str, used: str, cost: float | None) -> None:
    answer = await case.send(f"[[say:hello from {asked}]]", model=asked)
    assert (answer.text, answer.used_model, answer.finish) == (f"hello from {asked}", used, "stop")
    assert case.calls(f"hello from {asked}") == [used.removeprefix("scripted/")]
    assert answer.cost == (None if cost is None else pytest.approx(cost))
    assert answer.tokens == Tokens(input=100, output=20)


async def test_without_a_model_the_configured_default_runs_and_is_named(case: Case) -> None:
    answer = await case.send("[[say:no model asked]]", model=None)
    assert answer.used_model == "scripted/alpha"
    assert await case.client.default_model(str(case.directory)) == "scripted/alpha"


async def test_tools_change_real_files_and_are_in_the_transcript_in_order(case: Case) -> None:
    path = case.directory / "made.txt"
    answer = await case.send(
        "[[reason:let me see]]"
        + tool("write", filePath=str(path), content="one\n")
        + tool("bash", command="echo two >> made.txt; cat made.txt", description="append")
        + "[[say:both done]]"
    )
    assert path.read_text() == "one\ntwo\n"
    assert (answer.text, answer.agent, answer.model_calls) == ("both done", "writer", 3)
    assert answer.tokens == Tokens(input=300, output=60)
    parts = [part for message in answer.transcript if message.role == "assistant" for part in message.parts]
    assert [part.type for part in parts] == ["reasoning", "tool", "reasoning", "tool", "reasoning", "text"]
    bash = parts[3].tool
    assert bash is not None
    assert (bash.tool, bash.status, bash.output) == ("bash", "completed", "one\ntwo\n")
    assert bash.input["command"] == "echo two >> made.txt; cat made.txt"


async def test_an_answer_of_thirty_seconds_arrives_whole(case: Case) -> None:
    answer = await case.send("[[slow:60:0.5]]")
    assert answer.text == "".join(f"tick{number:03d} " for number in range(60))
    assert answer.finish == "stop"
    assert sum(event.delta is not None for event in case.shown) == 60


async def test_a_compaction_in_the_middle_of_a_turn_hides_neither_answer_nor_cost(case: Case) -> None:
    answer = await case.send(
        "[[usage:199000]]"
        + tool("bash", command="echo hi", description="d")
        + "[[after:the real answer]][[say:never said]]"
    )
    assert (answer.text, answer.agent, answer.finish) == ("the real answer", "writer", "stop")
    assert answer.model_calls == 3
    assert answer.tokens == Tokens(input=199200, output=60)
    assert answer.cost == pytest.approx(0.19904 + 2 * 0.00014)
    assert [message.summary for message in answer.transcript if message.role == "assistant"] == [False, True, False]
    assert not any("Summary of the work" in (event.text or "") for event in case.shown)


async def test_child_sessions_count(case: Case) -> None:
    answer = await case.send(
        tool("task", description="sub", prompt="[[say:the child's word]]", subagent_type="general")
        + "[[say:the parent's word]]"
    )
    assert (answer.text, answer.agent) == ("the parent's word", "writer")
    assert answer.model_calls == 3
    assert answer.tokens == Tokens(input=300, output=60)
    children = [message for message in answer.transcript if message.child and message.role == "assistant"]
    assert [(child.text, child.agent) for child in children] == [("the child's word", "general")]


async def test_a_provider_error_inside_a_success_is_told_without_headers_and_bodies(case: Case) -> None:
    answer = await case.send("[[http:400]]")
    assert answer.error is not None
    assert (answer.error.name, answer.error.status_code, answer.error.retryable) == ("APIError", 400, False)
    assert "scripted refusal 400" in answer.error.message
    assert (answer.text, answer.finish, answer.cost) == ("", None, None)
    assert "canary" not in answer.model_dump_json()
    assert "esponseBody" not in answer.model_dump_json()


@pytest.mark.parametrize(
    ("order", "finish", "error", "empty"),
    [
        ("[[empty]]", "stop", None, True),
        ("[[finish:length]]", "length", None, False),
        ("[[finish:content_filter]]", "content-filter", "ContentFilterError", False),
    ],
)
async def test_answers_that_are_no_result_say_so(
    case: Case, order: str, finish: str, error: str | None, empty: bool
) -> None:
    answer = await case.send(order)
    assert answer.finish == finish
    assert (answer.error.name if answer.error else None) == error
    assert (answer.text == "") is empty


async def test_a_short_429_is_waited_out_and_shown(case: Case) -> None:
    answer = await case.send("[[http:429:1:1]] [[say:after all]]")
    assert answer.text == "after all"
    retries = [event for event in case.shown if event.state == "retry"]
    assert retries
    assert retries[0].detail is not None
    assert "scripted refusal 429" in retries[0].detail


async def test_an_unknown_model_is_refused_by_name(case: Case) -> None:
    with pytest.raises(UnknownModel) as wrong:
        await case.send("[[say:x]]", model="scripted/alpah")
    assert "scripted/alpah" in wrong.value.detail
    assert "scripted/alpha" in wrong.value.errors[0].candidates


async def test_an_unknown_bare_model_is_refused_before_anything_is_sent(case: Case) -> None:
    with pytest.raises(UnknownModel):
        await case.send("[[say:never sent]]", model="alpah")
    assert case.calls("never sent") == []


async def test_an_unknown_agent_is_refused_though_opencode_never_idles(case: Case) -> None:
    with pytest.raises(UnknownOpencodeAgent) as wrong:
        async with asyncio.timeout(20):
            await case.send("[[say:x]]", agent="ghost")
    assert "ghost" in wrong.value.detail
    assert "writer" in wrong.value.errors[0].candidates


async def test_an_unknown_agent_is_found_out_without_events_too(case: Case) -> None:
    async with without_events(case.server.source) as blind:
        client = case.new_client(blind, ClientTiming(connect=0.1, turn=TurnTiming(poll=0.5, doubt=1)))
        session, binding = await case.session()
        client.attach_session(session, binding)
        with pytest.raises(UnknownOpencodeAgent):
            await client.send_message(session, "[[say:x]]", "ghost", "scripted/alpha")


async def test_a_permission_is_denied_at_once_and_the_model_goes_on(case: Case) -> None:
    answer = await case.send(tool("bash", command="touch asked", description="d") + "[[say:went on]]", agent="asker")
    assert (answer.text, answer.finish) == ("went on", "stop")
    assert answer.denied_requests == ("bash: touch asked",)
    assert not (case.directory / "asked").exists()


async def test_files_outside_the_directory_are_denied_by_rule(case: Case) -> None:
    answer = await case.send(tool("read", filePath="/etc/hostname") + "[[say:went on]]")
    assert answer.text == "went on"
    assert answer.denied_requests == ("read: /etc/hostname",)


async def test_a_read_only_agent_stays_read_only(case: Case) -> None:
    path = case.directory / "forbidden.txt"
    answer = await case.send(tool("write", filePath=str(path), content="x") + "[[say:went on]]", agent="reader")
    assert answer.text == "went on"
    assert not path.exists()


async def test_what_people_watch_is_what_was_said(case: Case) -> None:
    before = datetime.now(UTC)
    await case.send("[[reason:thinking]]" + tool("bash", command="echo hi", description="d") + "[[say:two words]]")
    assert [event.state for event in case.shown if event.type == "state"][-1] == "idle"
    tools = [event.tool.status for event in case.shown if event.tool is not None]
    assert (tools[0], tools[-1]) == ("pending", "completed")
    folded: dict[str, str] = {}
    for event in case.shown:
        if event.type == "delta" and event.part_id is not None and event.kind == "text":
            folded[event.part_id] = event.text or folded.get(event.part_id, "") + (event.delta or "")
    assert list(folded.values()) == ["two words"]
    assert all((event.pipeline_id, event.step_id) == (1, 2) and event.at >= before for event in case.shown)


async def test_the_lists_say_what_can_be_picked(case: Case) -> None:
    models = {model.ref: model for model in await case.client.list_models(str(case.directory))}
    alpha, beta, gratis = models["scripted/alpha"], models["scripted/beta"], models["scripted/gratis"]
    assert (alpha.price_input, alpha.price_output, alpha.context, alpha.connected) == (1, 2, 200_000, True)
    assert (beta.price_input, beta.price_output) == (None, None)
    assert (gratis.price_input, gratis.price_output) == (0, 0)
    assert alpha.kind is ModelKind.LOCAL
    assert not any(model.kind is ModelKind.THIRD_PARTY_FREE for model in models.values())
    agents = {agent.name: agent.mode for agent in await case.client.list_agents(str(case.directory))}
    assert agents["writer"] == "primary"
    assert agents["general"] == "subagent"
    assert "title" not in agents


async def test_a_step_may_answer_without_any_limit_being_close(case: Case) -> None:
    limits = StepLimits(model_calls=1, budget_usd=1, wall_clock=60, silence=60, retry_total=0)
    assert (await case.send("[[say:within limits]]", limits=limits)).text == "within limits"


async def test_a_broken_configuration_in_the_directory_is_refused_with_its_place(case: Case, tmp_path: Path) -> None:
    (tmp_path / "opencode.json").write_text('{ broken "apiKey": "sk-canary"')
    with pytest.raises(OpencodeRefusal, match=r"opencode.json is not valid: .* at line 1, column") as refused:
        await case.session(directory=tmp_path)
    assert "sk-canary" not in refused.value.detail

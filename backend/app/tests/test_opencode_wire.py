"""Answers and events recorded from OpenCode 1.18.33, read by our models."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.adapters.opencode_events import Event, EventReader
from app.adapters.opencode_http import Endpoint, FixedEndpoint, OpencodeHttp
from app.adapters.opencode_live import LiveFeed
from app.adapters.opencode_tally import TurnTally
from app.adapters.opencode_transcript import TurnMessages
from app.adapters.opencode_wire import (
    OUTPUT_LIMIT,
    WireMessage,
    WirePart,
    WireRequest,
    WireSession,
    join_model,
    model_object,
    turn_error,
)
from app.schemas.runtime import LiveEvent, SessionBinding, StepLimits, Tokens

RECORDED = Path(__file__).parent / "recorded"
BINDING = SessionBinding(directory="/p", message_id="msg_0", title="t", pipeline_id=1, step_id=2, attempt=1)


def recorded(name: str) -> Any:
    """A recorded answer."""
    return json.loads((RECORDED / f"{name}.json").read_text())


def messages(name: str) -> list[WireMessage]:
    """A recorded list of messages."""
    return [WireMessage.model_validate(one) for one in recorded(name)]


def test_a_turn_with_tools_is_read_in_order() -> None:
    stored = messages("session_messages_with_tools")
    turn = TurnMessages.find(stored, stored[0].info.id)
    assert turn.is_complete
    assert turn.answer is stored[-1]
    transcript = [message.domain() for message in turn.messages]
    kinds = [[part.type for part in message.parts] for message in transcript]
    assert kinds == [["text"], ["reasoning", "tool"], ["reasoning", "tool"], ["reasoning", "text"]]
    assert transcript[-1].text == "all done"
    assert transcript[-1].model == "local/echo"
    assert transcript[1].tokens == Tokens(input=100, output=20)
    bash = transcript[2].parts[1].tool
    assert bash is not None
    assert (bash.tool, bash.status, bash.input["command"]) == ("bash", "completed", "ls; echo x > y.txt")
    assert bash.started_at is not None
    assert bash.started_at.tzinfo is not None


def test_a_compaction_that_failed_is_the_error_and_not_the_answer() -> None:
    stored = messages("session_messages_with_tools")[:2]
    head = stored[1].info
    failed = head.model_copy(
        update={
            "id": "msg_summary",
            "agent": "compaction",
            "summary": True,
            "finish": None,
            "error": {
                "name": "UnknownError",
                "data": {"message": "Tool call not allowed while generating summary: bash"},
            },
        }
    )
    turn = TurnMessages.find([*stored, WireMessage(info=failed)], stored[0].info.id)
    assert turn.answer is stored[1]
    assert not turn.is_complete
    assert turn.error is not None
    assert "while generating summary" in turn.error.message


def test_messages_before_our_prompt_are_not_the_turn() -> None:
    stored = messages("messages_after_kill9")
    second = next(message for message in stored[1:] if message.info.role == "user")
    turn = TurnMessages.find(stored, second.info.id)
    assert [message.info.id for message in turn.messages] == [second.info.id, stored[-1].info.id]
    assert not turn.is_complete
    assert TurnMessages.find(stored, "msg_unknown").messages == ()


def test_a_message_that_was_killed_is_neither_complete_nor_an_error() -> None:
    dead = messages("messages_after_kill9_tool")[-1]
    assert (dead.info.completed, dead.info.finish, dead.info.error) == (False, None, None)
    call = dead.domain().parts[0].tool
    assert call is not None
    assert call.status == "running"


def test_a_provider_error_keeps_its_words_and_loses_headers_and_body() -> None:
    info = recorded("message_provider_400")["info"]
    error = turn_error(info["error"])
    assert error is not None
    assert (error.name, error.message, error.status_code, error.retryable) == (
        "APIError",
        "stub says 400 (hit 1)",
        400,
        False,
    )
    assert "BaseHTTP" not in error.model_dump_json()
    assert "stub_error" not in error.model_dump_json()


def test_stack_lines_are_not_shown_to_people() -> None:
    raw = {"name": "UnknownError", "data": {"message": "Model not found: a/b.\n    at f (/$bunfs/x.js:1:2)\n    at g"}}
    error = turn_error(raw)
    assert error is not None
    assert error.message == "Model not found: a/b."


def test_an_aborted_message_says_so() -> None:
    message = WireMessage.model_validate(recorded("message_aborted_response"))
    assert message.info.completed
    assert not message.info.ended_properly
    assert message.domain().error == turn_error({"name": "MessageAbortedError", "data": {"message": "Aborted"}})


def test_requests_say_what_they_are_about() -> None:
    permission = WireRequest.model_validate(recorded("permission_list")[0])
    question = WireRequest.model_validate(recorded("question_list")[0])
    assert (permission.describe(), permission.is_question) == ("bash: echo hi", False)
    assert (question.describe(), question.is_question) == ("question: Which DB?", True)
    assert permission.call_id.startswith("call_")


def test_children_name_their_parent() -> None:
    assert WireSession.model_validate(recorded("session_children")[0]).parent_id == "ses_dfd1f5659ffeagwr7fI5oKOr1r"


@pytest.mark.parametrize(
    ("ref", "wire"),
    [
        ("local/echo", {"providerID": "local", "modelID": "echo"}),
        ("router/anthropic/claude", {"providerID": "router", "modelID": "anthropic/claude"}),
    ],
)
def test_models_are_split_at_the_first_slash(ref: str, wire: dict[str, str]) -> None:
    assert model_object(ref) == wire
    assert join_model(wire["providerID"], wire["modelID"]) == ref


def test_long_tool_output_is_cut_visibly() -> None:
    state = {"status": "completed", "input": {}, "output": "x" * (OUTPUT_LIMIT + 5)}
    call = WirePart.model_validate({"type": "tool", "tool": "bash", "callID": "c", "state": state}).tool_call()
    assert call.output is not None
    assert call.output.startswith("x" * OUTPUT_LIMIT)
    assert call.output.endswith("[cut: 5 more characters]")


def test_unknown_parts_and_keys_are_ignored() -> None:
    raw = recorded("session_messages_with_tools")[1]
    raw["parts"].append({"type": "hologram", "beam": [1, 2]})
    raw["info"]["mood"] = "sunny"
    assert [part.type for part in WireMessage.model_validate(raw).domain().parts] == ["reasoning", "tool"]


async def test_a_recorded_run_replayed_as_events_is_shown_and_counted() -> None:
    events = recorded("events_event_stream_full_run")
    session = "ses_dfd28878dffe5rvqUn3xnBEI75"
    shown: list[LiveEvent] = []
    feed = LiveFeed(session, BINDING, shown.append)
    tally = TurnTally(session, StepLimits())
    http = OpencodeHttp(FixedEndpoint(Endpoint("http://127.0.0.1:9")))
    reader = EventReader(http)
    heard: list[Event] = []

    def hear(event: Event) -> None:
        heard.append(event)
        feed.hear(event)
        tally.hear(event)

    reader.subscribe(session, hear)
    for event in events:
        reader.dispatch(event)
    await http.aclose()
    assert {event.session for event in heard} == {session}
    assert tally.idle_heard
    assert tally.violation() is None
    texts = [event.text for event in shown if event.text is not None]
    assert texts == ["let me think ", "let me think ", "let me think ", "all done"]
    tools = [(event.tool.tool, event.tool.status) for event in shown if event.tool is not None]
    assert tools[:3] == [("write", "pending"), ("write", "running"), ("write", "completed")]
    assert tools[-1] == ("bash", "completed")
    assert [event.state for event in shown if event.type == "state"] == ["busy", "idle"]


async def test_recorded_retries_are_shown_with_the_providers_words() -> None:
    shown: list[LiveEvent] = []
    events = recorded("events_retry_429")
    session = events[0]["properties"]["sessionID"]
    feed = LiveFeed(session, BINDING, shown.append)
    for event in events:
        feed.hear(Event(event["type"], session, session, event["properties"]))
    assert [(event.state, event.detail) for event in shown] == [
        ("busy", None),
        ("retry", "stub says 429 (hit 1)"),
        ("busy", None),
        ("retry", "stub says 429 (hit 2)"),
        ("busy", None),
        ("idle", None),
    ]

"""What agents ask and how they take the answer: on the real OpenCode and on the fake alike."""

import asyncio
from collections.abc import Collection

from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_client import new_message_id
from app.adapters.opencode_http import OpencodeHttp
from app.schemas.permissions import PermissionRule, effective_rules
from app.schemas.requests import AskedRequest, EarlierRequests, RequestReply, details_of
from app.schemas.runtime import MessageResponse, SessionBinding, StepLimits
from app.tests.contract.runtimes import Case
from app.tests.contract.test_turns import tool

QUESTION = {
    "question": "Which database?",
    "header": "Database",
    "options": [{"label": "sqlite", "description": "A file."}, {"label": "pg", "description": "A server."}],
}


class Desk:
    """Answers when the test says so and remembers what was asked."""

    def __init__(self, *replies: RequestReply, earlier: EarlierRequests | None = None) -> None:
        self.asked: list[AskedRequest] = []
        self.withdrawn: set[str] = set()
        self._replies: asyncio.Queue[RequestReply] = asyncio.Queue()
        for reply in replies:
            self.say(reply)
        self._earlier = earlier or EarlierRequests()

    async def earlier(self, _binding: SessionBinding) -> EarlierRequests:
        """As the test wants it."""
        return self._earlier

    async def reply_to(self, _binding: SessionBinding, asked: AskedRequest) -> RequestReply | None:
        """The next reply, as soon as there is one."""
        self.asked.append(asked)
        return await self._replies.get()

    def say(self, reply: RequestReply) -> None:
        """Answer the oldest open request, or the next one."""
        self._replies.put_nowait(reply)

    async def withdraw(self, _binding: SessionBinding, opencode_ids: Collection[str]) -> None:
        """Remembered."""
        self.withdrawn |= set(opencode_ids)

    async def until_asked(self) -> AskedRequest:
        """The first request."""
        async with asyncio.timeout(30):
            while not self.asked:
                await asyncio.sleep(0.02)
        return self.asked[0]


def rules(*given: tuple[str, str, str]) -> tuple[PermissionRule, ...]:
    """The rules of a step with these of its own: tool, pattern, action."""
    own = [PermissionRule.model_validate({"tool": one, "pattern": two, "action": three}) for one, two, three in given]
    return effective_rules(own, [])


ONCE = RequestReply(reply="once")
ASK_BASH = rules(("bash", "*", "ask"))


class Asking:
    """One prompt of a case whose requests go to a desk."""

    def __init__(self, case: Case, desk: Desk, permissions: tuple[PermissionRule, ...]) -> None:
        self.case = case
        self.desk = desk
        self.binding = SessionBinding(
            directory=str(case.directory), message_id=new_message_id(), title="Asking", pipeline_id=1, step_id=2,
            attempt=1, permissions=permissions,
        )  # fmt: skip
        self.client = case.new_client(desk=desk)
        self.session = ""

    async def send(self, prompt: str, agent: str = "writer", limits: StepLimits | None = None) -> MessageResponse:
        """Send and wait for the end."""
        if limits is not None:
            self.binding = self.binding.model_copy(update={"limits": limits})
        self.session = await self.client.create_session(self.binding)
        return await self.client.send_message(self.session, prompt, agent, "scripted/alpha")


async def test_what_is_asked_shows_the_whole_command_and_runs_once_allowed(case: Case) -> None:
    asking = Asking(case, Desk(ONCE), ASK_BASH)
    command = "echo one > made.txt && echo two >> made.txt"
    answer = await asking.send(tool("bash", command=command, description="d") + "[[say:done]]")
    assert (answer.text, answer.denied_requests) == ("done", ())
    assert (case.directory / "made.txt").read_text() == "one\ntwo\n"
    asked = asking.desk.asked
    assert [(one.kind, one.tool, one.sub_agent) for one in asked] == [("permission", "bash", False)]
    assert details_of(asked[0]).command == command
    assert details_of(asked[0]).call_id


async def test_an_edit_shows_file_and_difference(case: Case) -> None:
    asking = Asking(case, Desk(RequestReply(reply="reject", message="Not that file.")), rules(("write", "*", "ask")))
    path = case.directory / "kept.txt"
    answer = await asking.send(tool("write", filePath=str(path), content="new\n") + "[[say:went on]]")
    assert (answer.text, path.exists()) == ("went on", False)
    details = details_of(asking.desk.asked[0])
    assert asking.desk.asked[0].tool == "edit"
    assert details.file_path is not None
    assert details.file_path.endswith("kept.txt")
    assert "new" in (details.diff or "")


async def test_a_no_with_a_message_is_told_to_the_model_which_goes_on(case: Case) -> None:
    asking = Asking(case, Desk(RequestReply(reply="reject", message="Use make instead.")), ASK_BASH)
    answer = await asking.send(tool("bash", command="touch no", description="d") + "[[say:went on]]")
    assert (answer.text, answer.finish) == ("went on", "stop")
    assert answer.denied_requests == ("bash: touch no",)
    failed = [part.tool for message in answer.transcript for part in message.parts if part.tool is not None]
    assert "Use make instead." in (failed[0].error or "")
    assert not (case.directory / "no").exists()


async def test_rules_with_patterns_are_kept_by_opencode_itself(case: Case) -> None:
    order = [("bash", "*", "ask"), ("bash", "echo *", "allow"), ("bash", "touch *", "deny")]
    asking = Asking(case, Desk(ONCE), rules(*order))
    prompt = "".join(tool("bash", command=command, description="d") for command in ("echo a", "touch b", "cat c"))
    answer = await asking.send(prompt + "[[say:went on]]")
    assert answer.text == "went on"
    assert [one.patterns for one in asking.desk.asked] == [("cat c",)]
    assert answer.denied_requests == ("bash: touch b",)
    assert not (case.directory / "b").exists()


async def test_a_question_is_answered_and_the_model_goes_on(case: Case) -> None:
    asking = Asking(case, Desk(RequestReply(reply="once", answers=(("pg",),))), rules(("question", "*", "ask")))
    answer = await asking.send(tool("question", questions=[QUESTION]) + "[[say:went on]]", "build")
    assert answer.text == "went on"
    asked = asking.desk.asked[0]
    assert (asked.kind, asked.tool) == ("question", "question")
    shown = details_of(asked).questions[0]
    assert (shown.question, [option.label for option in shown.options]) == ("Which database?", ["sqlite", "pg"])
    tools = [part.tool for message in answer.transcript for part in message.parts if part.tool is not None]
    assert "pg" in (tools[0].output or "")


async def test_a_rejected_question_ends_the_turn(case: Case) -> None:
    asking = Asking(case, Desk(RequestReply(reply="reject", message="x")), rules(("question", "*", "ask")))
    answer = await asking.send(tool("question", questions=[QUESTION]) + "[[say:never]]", "build")
    assert (answer.text, answer.finish) == ("", "tool-calls")
    assert answer.denied_requests == ("question: Which database?",)


async def test_a_sub_agent_asks_in_the_name_of_the_step(case: Case) -> None:
    outside = case.directory.parent / "outside.txt"
    outside.write_text("from outside")
    asking = Asking(case, Desk(ONCE), rules(("external_directory", "*", "ask"), ("task", "*", "allow")))
    inner = tool("read", filePath=str(outside)) + "[[say:child read it]]"
    prompt = tool("task", description="sub", prompt=inner, subagent_type="general")
    answer = await asking.send(prompt + "[[say:parent done]]")
    assert answer.text == "parent done"
    assert "from outside" in answer.model_dump_json()
    asked = asking.desk.asked
    assert [(one.tool, one.sub_agent) for one in asked] == [("external_directory", True)]
    assert asked[0].session_id != asking.session


async def test_a_sub_agent_is_asked_for_where_its_parent_is(case: Case) -> None:
    """OpenCode gives no `ask` to a sub-agent, so the sub-agent itself has to be allowed."""
    asking = Asking(case, Desk(RequestReply(reply="reject", message="Do it yourself.")), ASK_BASH)
    prompt = tool("task", description="sub", prompt="x", subagent_type="general")
    assert (await asking.send(prompt + "[[say:went on]]")).text == "went on"
    assert [(one.tool, one.patterns) for one in asking.desk.asked] == [("task", ("general",))]


async def test_clocks_stand_still_while_a_person_is_asked(case: Case) -> None:
    desk = Desk()
    asking = Asking(case, desk, ASK_BASH)
    limits = StepLimits(wall_clock=2.5, silence=1.5)
    turn = asyncio.create_task(
        asking.send(tool("bash", command="echo hi", description="d") + "[[say:waited]]", limits=limits)
    )
    await desk.until_asked()
    await asyncio.sleep(4)
    assert not turn.done()
    desk.say(ONCE)
    assert (await turn).text == "waited"
    assert desk.withdrawn == set()


async def test_what_somebody_else_answered_is_withdrawn(case: Case) -> None:
    """In OpenCode's own window, for example."""
    desk = Desk()
    asking = Asking(case, desk, ASK_BASH)
    prompt = tool("bash", command="sleep 8", description="d") + "[[say:elsewhere]]"
    turn = asyncio.create_task(asking.send(prompt))
    asked = await desk.until_asked()
    http = OpencodeHttp(case.server.source)
    await http.post(f"/permission/{asked.opencode_id}/reply", {"reply": "once"}, asking.binding.directory)
    await http.aclose()
    assert (await turn).text == "elsewhere"
    assert desk.withdrawn == {asked.opencode_id}


async def test_the_next_process_finds_the_same_request_and_answers_it(case: Case) -> None:
    asking = Asking(case, Desk(), ASK_BASH)
    turn = asyncio.create_task(asking.send(tool("bash", command="echo hi", description="d") + "[[say:in the end]]"))
    asked = await asking.desk.until_asked()
    turn.cancel()
    await asyncio.gather(turn, return_exceptions=True)
    desk = Desk(ONCE, earlier=EarlierRequests(pending=frozenset({asked.opencode_id, "per_gone"}), waited=1))
    client = case.new_client(desk=desk)
    client.attach_session(asking.session, asking.binding)
    answer = await client.send_message(asking.session, "unused", "writer", "scripted/alpha")
    assert answer.text == "in the end"
    assert [one.opencode_id for one in desk.asked] == [asked.opencode_id]
    assert desk.withdrawn == {"per_gone"}


async def test_an_aborted_turn_leaves_no_request(case: Case) -> None:
    asking = Asking(case, Desk(), ASK_BASH)
    turn = asyncio.create_task(asking.send(tool("bash", command="echo hi", description="d")))
    await asking.desk.until_asked()
    assert await asking.client.stop_session(asking.session, asking.binding.directory)
    await asyncio.gather(turn, return_exceptions=True)
    http = OpencodeHttp(case.server.source)
    assert await OpencodeApi(http).requests(asking.binding.directory) == []
    await http.aclose()

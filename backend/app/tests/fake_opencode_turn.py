"""How the fake OpenCode plays a turn: the loop of model calls, tools, retries and compactions, by 1.18.33's habits."""

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.demo.provider_script import Call, Request, Script
from app.tests.fake_opencode_state import Json, OpenRequest, Session, identity, now
from app.tests.fake_opencode_tools import REJECTED, RULE_DENIES, ToolFailure, action, needs, offered, run_tool

if TYPE_CHECKING:
    from app.tests.fake_opencode import FakeOpenCode

FINISH = {"stop": "stop", "tool_calls": "tool-calls", "length": "length", "content_filter": "content-filter"}
TRIES = 6
CONTINUE = "Continue if you have next steps, or stop and ask for clarification if you are unsure how to proceed."
SUMMARIZE = "Here is the conversation so far:\n\n{}\n\nCreate a new anchored summary of it."


class Refused(Exception):
    """The provider's final no, in the shape of an error in a message."""

    def __init__(self, error: Json) -> None:
        super().__init__(error["name"])
        self.error = error


class Turn:
    """One prompt at work in one session."""

    def __init__(self, fake: "FakeOpenCode", session: Session, user: Json) -> None:
        self._fake = fake
        self._session = session
        self._user = user
        self._agent: str = user["info"]["agent"]
        self._model: str = user["info"]["model"]["modelID"]
        self._stopped = False

    async def run(self) -> None:
        """Play until the model says it is done, an error ends it, or somebody aborts."""
        self._fake.set_status(self._session, {"type": "busy"})
        try:
            while await self._step():
                await asyncio.sleep(0.002)
        except asyncio.CancelledError:
            if not (self._fake.crashing or self._session.lost):
                self._abort()
            raise
        finally:
            if not (self._fake.crashing or self._session.lost):
                self._fake.go_idle(self._session)

    async def _step(self) -> bool:
        """One model message; True when the loop goes on."""
        message = self._new_message(self._agent)
        try:
            script = await self._ask(message, self._request())
            await self._stream(message, script)
        except Refused as refused:
            self._close(message, error=refused.error)
            return False
        for call in script.calls:
            await self._call(message, call)
        finish = "unknown" if script.cut or script.garbage else FINISH.get(script.finish_reason, "unknown")
        if finish == "content-filter":
            error = {"name": "ContentFilterError", "data": {"message": "blocked by the provider's content filter"}}
            self._close(message, script, finish, error)
            return False
        self._close(message, script, finish)
        if finish not in ("tool-calls", "unknown") or self._stopped:
            return False
        if script.usage.input + script.usage.output >= self._fake.usable_context(self._model):
            await self._compact()
        return True

    # The provider

    def _request(self, prompt: str | None = None) -> Request:
        tools = [] if prompt else offered([*self._fake.rules(self._agent), *self._session.rules])
        messages: list[Json] = [{"role": "system", "content": f"You are {self._agent}."}]
        if prompt:
            messages.append({"role": "user", "content": prompt})
        else:
            messages += self._conversation()
        body = {"model": self._model, "messages": messages, "tools": [{"function": {"name": tool}} for tool in tools]}
        return self._fake.provider.read(body)

    def _conversation(self) -> list[Json]:
        stored = [one for one in self._session.messages if not _is_compaction(one)]
        summaries = [index for index, one in enumerate(stored) if one["info"].get("summary") is True]
        found: list[Json] = []
        for one in stored[summaries[-1] if summaries else 0 :]:
            text = "".join(part.get("text", "") for part in one["parts"] if part["type"] == "text")
            tools = [part for part in one["parts"] if part["type"] == "tool"]
            if one["info"]["role"] == "assistant" and not (text or tools):
                continue
            found.append({"role": one["info"]["role"], "content": text})
            found += [{"role": "tool", "content": tool["state"].get("output") or ""} for tool in tools]
        return found

    async def _ask(self, message: Json, request: Request) -> Script:
        """The script to play, after the retries that OpenCode makes on its own."""
        for attempt in range(1, TRIES + 1):
            script = self._fake.provider.scenario(request)
            await self._pause(script.hang)
            if script.refuse is None and script.error is None:
                return script
            status = script.refuse.status if script.refuse else 500
            words = script.refuse.message if script.refuse else json.dumps({"message": script.error})
            if script.error:
                self._part(message, {"type": "text", "text": ""})
            if attempt == TRIES or (status < 500 and status != 429):
                break
            after = script.refuse.retry_after if script.refuse else None
            await self._retry(attempt, words, 2.0 * 2 ** (attempt - 1) if after is None else after)
            request = self._request()
        data = {
            "message": words,
            "statusCode": status,
            "isRetryable": status >= 429,
            "responseHeaders": {"x-secret": "header-canary"},
            "responseBody": "body-canary",
        }
        raise Refused({"name": "APIError", "data": data})

    async def _retry(self, attempt: int, words: str, seconds: float) -> None:
        status = {"type": "retry", "attempt": attempt, "message": words, "next": now() + int(seconds * 1000)}
        self._fake.set_status(self._session, status)
        await self._pause(seconds)
        self._fake.set_status(self._session, {"type": "busy"})

    async def _stream(self, message: Json, script: Script) -> None:
        self._part(message, {"type": "step-start"})
        if script.garbage:
            return
        for kind, pieces in (("reasoning", [script.think] if script.think else []), ("text", script.pieces())):
            if not pieces:
                continue
            part = self._part(message, {"type": kind, "text": "", "time": {"start": now()}})
            whole = ""
            for piece in pieces:
                whole += piece
                delta = {"sessionID": self._session.id, "messageID": message["info"]["id"], "partID": part["id"]}
                self._fake.emit(self._session, "message.part.delta", {**delta, "field": "text", "delta": piece})
                self._fake.streaming[part["id"]] = whole
                await self._pause(script.pause if kind == "text" else 0)
            self._update(part, text=whole, time={"start": now(), "end": now()})
        await self._pause(script.stall)

    async def _compact(self) -> None:
        text = "\n".join(str(one["content"]) for one in self._conversation())
        asked = self._fake.store_user(self._session, identity("msg"), [], self._agent, self._user["info"]["model"])
        self._part(asked, {"type": "compaction", "auto": True, "overflow": False})
        message = self._new_message("compaction", summary=True, parent=asked["info"]["id"])
        script = await self._ask(message, self._request(SUMMARIZE.format(text)))
        await self._stream(message, script)
        self._close(message, script, "stop")
        part = {"type": "text", "text": CONTINUE, "synthetic": True}
        self._user = self._fake.store_user(
            self._session, identity("msg"), [part], self._agent, self._user["info"]["model"]
        )

    # Tools

    async def _call(self, message: Json, call: Call) -> None:
        arguments = dict(call.arguments)
        state: Json = {"status": "pending", "input": {}, "raw": ""}
        part = self._part(
            message, {"type": "tool", "tool": call.tool, "callID": f"call_{identity('c')}", "state": state}
        )
        self._update(part, state={"status": "running", "input": arguments, "time": {"start": now()}})
        rules = [*self._fake.rules(self._agent), *self._session.rules]
        if call.tool not in offered(rules):
            self._update(part, tool="invalid", state=_done(arguments, f"unavailable tool '{call.tool}'"))
            return
        try:
            await self._allowed(call.tool, arguments, part)
            output = await self._run(call.tool, arguments, part)
            self._update(part, state=_done(arguments, output, call.tool))
        except ToolFailure as failure:
            ended = {
                "status": "error",
                "input": arguments,
                "error": str(failure),
                "time": {"start": now(), "end": now()},
            }
            self._update(part, state=ended)

    async def _run(self, tool: str, arguments: Mapping[str, Any], part: Json) -> str:
        if tool == "task":
            return await self._task(arguments)
        if tool == "question":
            return await self._question(arguments, part)
        return await run_tool(tool, arguments, self._session.directory)

    async def _allowed(self, tool: str, arguments: Mapping[str, Any], part: Json) -> None:
        rules = [*self._fake.rules(self._agent), *self._session.rules]
        for permission, subject in needs(tool, arguments, self._session.directory):
            verdict = action(rules, permission, subject)
            if verdict == "deny":
                raise ToolFailure(RULE_DENIES)
            if verdict == "ask":
                await self._ask_person(permission, subject, part)

    async def _ask_person(self, permission: str, subject: str, part: Json) -> None:
        metadata = {"command": subject} if permission == "bash" else {"filepath": subject, "diff": "+ new"}
        values = {"permission": permission, "patterns": [subject], "metadata": metadata, "always": [subject]}
        reply = await self._reply_to("permission.asked", identity("per"), values, part)
        if reply["reply"] == "reject":
            self._stopped = not reply.get("message")
            raise ToolFailure(REJECTED + str(reply.get("message") or ""))

    async def _question(self, arguments: Mapping[str, Any], part: Json) -> str:
        questions = arguments["questions"]
        reply = await self._reply_to("question.asked", identity("que"), {"questions": questions}, part)
        if "answers" not in reply:
            self._stopped = True
            raise ToolFailure("The user dismissed this question")
        given = zip(questions, reply["answers"], strict=True)
        return " ".join(f'"{asked["question"]}"="{", ".join(chosen)}"' for asked, chosen in given)

    async def _reply_to(self, event: str, request_id: str, values: Json, part: Json) -> Json:
        asker = {"messageID": part["messageID"], "callID": part["callID"]}
        body: Json = {"id": request_id, "sessionID": self._session.id, **values, "tool": asker}
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._fake.requests[request_id] = OpenRequest(request_id, self._session.directory, body, answer)
        self._fake.emit(self._session, event, body)
        return await answer

    async def _task(self, arguments: Mapping[str, Any]) -> str:
        rules = [
            *(one for one in self._session.rules if "deny" in one.values() or "external_directory" in one.values()),
            {"permission": "task", "pattern": "*", "action": "deny"},
        ]
        agent = str(arguments["subagent_type"])
        child = self._fake.new_session(
            self._session.directory, {"title": "sub", "parentID": self._session.id, "permission": rules}
        )
        part = {"type": "text", "text": str(arguments["prompt"])}
        user = self._fake.store_user(child, identity("msg"), [part], agent, self._user["info"]["model"])
        await self._child_turn(child, user)
        result = "".join(part.get("text", "") for part in child.messages[-1]["parts"])
        return f'<task id="{child.id}" state="completed">\n<task_result>\n{result}\n</task_result>\n</task>'

    async def _child_turn(self, child: Session, user: Json) -> None:
        delay = self._fake.delays.child
        if delay is None:
            await Turn(self._fake, child, user).run()
            return
        child.task = asyncio.create_task(self._fake.play(child, user, delay))
        try:
            await asyncio.shield(child.task)
        except asyncio.CancelledError:
            if child.begun and child.task is not None:
                child.task.cancel()
            raise

    # Messages

    def _new_message(self, agent: str, *, summary: bool = False, parent: str | None = None) -> Json:
        provider = self._user["info"]["model"]["providerID"]
        info: Json = {
            "id": identity("msg"),
            "sessionID": self._session.id,
            "role": "assistant",
            "time": {"created": now()},
            "parentID": parent or self._user["info"]["id"],
            "modelID": self._model,
            "providerID": provider,
            "mode": agent,
            "agent": agent,
            "path": {"cwd": self._session.directory, "root": self._session.directory},
            "cost": 0,
            "tokens": {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}},
        }
        if summary:
            info["summary"] = True
        message: Json = {"info": info, "parts": []}
        self._session.messages.append(message)
        self._fake.emit(self._session, "message.updated", {"sessionID": self._session.id, "info": dict(info)})
        return message

    def _close(
        self, message: Json, script: Script | None = None, finish: str | None = None, error: Json | None = None
    ) -> None:
        info = message["info"]
        if script is not None:
            usage = script.usage
            info["tokens"] |= {"input": usage.input, "output": usage.output, "reasoning": usage.reasoning}
            info["cost"] = self._fake.cost(self._model, usage)
            self._part(
                message, {"type": "step-finish", "reason": finish, "tokens": info["tokens"], "cost": info["cost"]}
            )
        if finish is not None:
            info["finish"] = finish
        if error is not None:
            info["error"] = error
            self._fake.emit(self._session, "session.error", {"sessionID": self._session.id, "error": error})
        info["time"]["completed"] = now()
        self._fake.emit(self._session, "message.updated", {"sessionID": self._session.id, "info": dict(info)})

    def _abort(self) -> None:
        message = self._session.messages[-1]
        if message["info"]["role"] == "assistant" and "completed" not in message["info"]["time"]:
            for part in message["parts"]:
                if part["id"] in self._fake.streaming:
                    part["text"] = self._fake.streaming[part["id"]]
            self._close(message, error={"name": "MessageAbortedError", "data": {"message": "Aborted"}})

    def _part(self, message: Json, values: Json) -> Json:
        part = {"id": identity("prt"), "sessionID": self._session.id, "messageID": message["info"]["id"], **values}
        message["parts"].append(part)
        self._update(part)
        return part

    def _update(self, part: Json, **values: object) -> None:
        part.update(values)
        properties = {"sessionID": self._session.id, "part": json.loads(json.dumps(part)), "time": now()}
        self._fake.emit(self._session, "message.part.updated", properties)

    async def _pause(self, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds * self._fake.pace)


def _done(arguments: Mapping[str, Any], output: str, title: str = "Invalid Tool") -> Json:
    times = {"start": now(), "end": now()}
    return {
        "status": "completed",
        "input": arguments,
        "output": output,
        "title": title,
        "metadata": {},
        "time": times,
    }


def _is_compaction(message: Json) -> bool:
    return any(part["type"] == "compaction" for part in message["parts"])

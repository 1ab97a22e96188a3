"""The scripted provider: an OpenAI-compatible chat endpoint that plays scripts instead of a model.

`python -m app.demo.provider --port 0` prints its address. `POST /v1/chat/completions` answers as a
stream, `GET /v1/models` names the models seen so far, `GET /log` lists the calls, `DELETE /log`
forgets them.
"""

import argparse
import asyncio
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from app.demo.provider_script import Request, Scenario, Script, directives
from app.demo.provider_server import serving


@dataclass(frozen=True)
class LoggedCall:
    """What one provider call named and carried."""

    model: str
    kind: str
    """`answer`, `title` or `compaction`."""
    prompt: str
    turn: int
    attempt: int
    tools: tuple[str, ...]
    at: float


class ScriptedProvider:
    """Keeps the log of calls and plays the scenario; `app` is the ASGI application."""

    def __init__(self, scenario: Scenario = directives) -> None:
        self.scenario = scenario
        self.log: list[LoggedCall] = []
        self._seen: Counter[str] = Counter()
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/log", self._log, methods=["GET", "DELETE"]),
            ]
        )

    def models_called(self, text: str = "", kind: str = "answer") -> list[str]:
        """The models of all calls whose prompt contains `text`, in order."""
        return [call.model for call in self.log if call.kind == kind and text in call.prompt]

    def read(self, body: Mapping[str, object]) -> Request:
        """Count and log a call and put it into the words of a scenario."""
        messages = body.get("messages")
        tools = body.get("tools")
        model = str(body.get("model", ""))
        key = hashlib.sha256(json.dumps([model, messages], sort_keys=True).encode()).hexdigest()
        self._seen[key] += 1
        request = Request(
            model=model,
            messages=messages if isinstance(messages, list) else [],
            tools=tuple(_tool_names(tools)),
            tool_choice=str(body["tool_choice"]) if "tool_choice" in body else None,
            attempt=self._seen[key],
        )
        self.log.append(
            LoggedCall(model, request.kind, request.prompt, request.turn, request.attempt, request.tools, time.time())
        )
        return request

    async def _complete(self, http: HttpRequest) -> Response:
        request = self.read(await http.json())
        script = self.scenario(request)
        await asyncio.sleep(script.hang)
        if script.refuse is not None:
            refused = script.refuse
            headers = {} if refused.retry_after is None else {"retry-after": f"{refused.retry_after:g}"}
            error = {"message": refused.message, "type": "scripted_error", "code": str(refused.status)}
            return JSONResponse({"error": error}, status_code=refused.status, headers=headers)
        if script.garbage:
            return PlainTextResponse("this is not a stream of events")
        return StreamingResponse(stream(script, request.model), media_type="text/event-stream")

    async def _models(self, _: HttpRequest) -> Response:
        names = sorted({call.model for call in self.log})
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})

    async def _log(self, http: HttpRequest) -> Response:
        if http.method == "DELETE":
            self.log.clear()
            self._seen.clear()
        return JSONResponse([asdict(call) for call in self.log])


async def stream(script: Script, model: str) -> AsyncIterator[bytes]:
    """The script as server-sent events of the OpenAI chat protocol."""
    yield _chunk(model, {"role": "assistant", "content": ""})
    if script.think:
        yield _chunk(model, {"reasoning_content": script.think})
    for piece in script.pieces():
        yield _chunk(model, {"content": piece})
        await asyncio.sleep(script.pause)
    for index, call in enumerate(script.calls):
        function = {"name": call.tool, "arguments": json.dumps(call.arguments)}
        identity = f"call_{time.time_ns()}_{index}"
        yield _chunk(
            model, {"tool_calls": [{"index": index, "id": identity, "type": "function", "function": function}]}
        )
    await asyncio.sleep(script.stall)
    if script.error is not None:
        yield _frame({"error": {"message": script.error, "type": "scripted_error", "code": "500"}})
        return
    if script.cut:
        return
    usage = script.usage
    yield _chunk(
        model,
        {},
        finish_reason=script.finish_reason,
        usage={
            "prompt_tokens": usage.input,
            "completion_tokens": usage.output,
            "total_tokens": usage.input + usage.output,
            "prompt_tokens_details": {"cached_tokens": usage.cached},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        },
    )
    yield b"data: [DONE]\n\n"


def _chunk(
    model: str, delta: Mapping[str, object], finish_reason: str | None = None, usage: Mapping[str, object] | None = None
) -> bytes:
    body: dict[str, object] = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }
    if usage is not None:
        body["usage"] = usage
    return _frame(body)


def _frame(body: Mapping[str, object]) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()


def _tool_names(tools: object) -> list[str]:
    if not isinstance(tools, list):
        return []
    functions = [tool.get("function") for tool in tools if isinstance(tool, Mapping)]
    return [str(function.get("name")) for function in functions if isinstance(function, Mapping)]


async def _serve(port: int) -> None:
    async with serving(ScriptedProvider().app, port) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Serve until the process is told to end; the first line of output is the address."""
    parser = argparse.ArgumentParser(description="Scripted OpenAI-compatible provider on the loopback interface.")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    port: int = parser.parse_args().port
    try:
        asyncio.run(_serve(port))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()

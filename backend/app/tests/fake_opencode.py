"""A fake OpenCode: an ASGI application with the recorded shapes of 1.18.33, playing scripts in-process.

The contract suite runs the same cases against it and against the real server. Use it where a real
one is too slow: it answers at once, and keeps the provider's log in `provider`.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.adapters.opencode_http import Endpoint, ServerGone
from app.demo.provider import ScriptedProvider
from app.demo.provider_config import PROVIDER, ScriptedModel, ScriptedSetup, opencode_config
from app.demo.provider_script import Scenario, Usage, directives
from app.demo.provider_server import serving
from app.tests.fake_opencode_state import Delays, Events, Json, OpenRequest, Session, identity, now
from app.tests.fake_opencode_tools import agent_rules
from app.tests.fake_opencode_turn import Turn

BUILT_IN = {"build": "primary", "plan": "primary", "general": "subagent", "explore": "subagent"}
DEFAULT_SETUP = ScriptedSetup(models=[ScriptedModel("alpha", "Alpha", price_input=1, price_output=2)])
VERSION = "1.18.33"


class FakeOpenCode:
    """One fake server. `serve` makes it reachable; it is also the `EndpointSource` of a client."""

    def __init__(
        self,
        setup: ScriptedSetup = DEFAULT_SETUP,
        scenario: Scenario = directives,
        pace: float = 0.02,
        begin_delay: float = 0,
        password: str | None = "fake-password",
    ) -> None:
        """`pace` scales every delay that a script orders; `begin_delay` is how long an accepted prompt sleeps."""
        self.provider = ScriptedProvider(scenario)
        self.pace = pace
        self.begin_delay = begin_delay
        self.password = password
        self.delays = Delays()
        self.crashing = False
        self.broken_answers = 0
        """How many new sessions fail with a 500 that says nothing, as OpenCode answers what it did not expect."""
        self.config = opencode_config("http://127.0.0.1:9", setup)
        self.sessions: dict[str, Session] = {}
        self.requests: dict[str, OpenRequest] = {}
        self.streaming: dict[str, str] = {}
        self._models = {model.id: model for model in setup.models}
        self._agents = dict(setup.agents)
        self._events = Events()
        self._url: str | None = None
        self._instance = 0

    def endpoint(self) -> Endpoint:
        """Where it listens now."""
        if self._url is None:
            raise ServerGone("The fake OpenCode is not running.")
        return Endpoint(self._url, self.password, instance=self._instance)

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator["FakeOpenCode"]:
        """Listen on the loopback interface of the running loop until the block ends; sessions are kept."""
        self._instance += 1
        self.crashing = False
        self._events = Events()
        async with serving(self._app(), port) as url:
            self._url = url
            try:
                yield self
            finally:
                self._url = None
                await self.crash()

    async def crash(self) -> None:
        """Drop everything that runs, as kill -9 does: nothing is finished, streams end."""
        self.crashing = True
        tasks = [session.task for session in self.sessions.values() if session.task]
        for session in self.sessions.values():
            session.task, session.doing, session.begun = None, None, False
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.requests.clear()
        self._events.close()

    async def lose_turn(self, text: str) -> bool:
        """Stop working on the prompt that holds a text, as after a crash; False when none is at work."""
        at_work = [one for one in self.sessions.values() if one.task and text in json.dumps(one.messages)]
        for session in at_work:
            session.lost = True
            if session.task is not None:
                session.task.cancel()
                await asyncio.gather(session.task, return_exceptions=True)
            session.doing, session.lost = None, False
        return bool(at_work)

    def drop_streams(self) -> None:
        """End all event streams, as a broken connection does; listeners may come back."""
        self._events.close()

    # What turns need

    def rules(self, agent: str) -> list[Mapping[str, str]]:
        """Permission rules of an agent."""
        return agent_rules(self._agents.get(agent, {}))

    def usable_context(self, model: str) -> int:
        """Tokens from which on a turn is compacted."""
        known = self._models[model]
        return known.context - known.output

    def cost(self, model: str, usage: Usage) -> float:
        """USD at the model's prices, 0 without prices, as OpenCode does it."""
        known = self._models[model]
        return (usage.input * (known.price_input or 0) + usage.output * (known.price_output or 0)) / 1e6

    def emit(self, session: Session, kind: str, properties: Json) -> None:
        """Send an event of a session."""
        self._events.emit(session.directory, kind, properties)

    def set_status(self, session: Session, status: Json) -> None:
        """Say what a session does."""
        session.doing = status
        self.emit(session, "session.status", {"sessionID": session.id, "status": status})

    def go_idle(self, session: Session) -> None:
        """The session has ended its work."""
        session.doing = None
        self.emit(session, "session.status", {"sessionID": session.id, "status": {"type": "idle"}})
        self.emit(session, "session.idle", {"sessionID": session.id})

    def new_session(self, directory: str, values: Json) -> Session:
        """Store a session."""
        times = {"created": now(), "updated": now()}
        info: Json = {"id": identity("ses"), "directory": directory, "version": VERSION, "time": times, **values}
        session = Session(info["id"], directory, info)
        self.sessions[session.id] = session
        self.emit(session, "session.created", {"sessionID": session.id, "info": info})
        return session

    def store_user(self, session: Session, message_id: str, parts: list[Json], agent: str, model: Json) -> Json:
        """Store a user message."""
        head = {"sessionID": session.id, "messageID": message_id}
        info: Json = {"id": message_id, "sessionID": session.id, "role": "user", "time": {"created": now()}}
        info |= {"agent": agent, "model": model}
        message: Json = {"info": info, "parts": [{"id": identity("prt"), **head, **part} for part in parts]}
        session.messages.append(message)
        self.emit(session, "message.updated", {"sessionID": session.id, "info": info})
        for part in message["parts"]:
            self.emit(session, "message.part.updated", {"sessionID": session.id, "part": part, "time": now()})
        return message

    # Routes

    def _app(self) -> "_Guarded":
        session = "/session/{id}"
        routes = [
            Route("/global/health", self._health),
            Route("/global/event", self._stream),
            Route("/config", self._config),
            Route("/config/providers", self._providers),
            Route("/provider", self._all_providers),
            Route("/agent", self._agent),
            Route("/session", self._create, methods=["POST"]),
            Route("/session/status", self._status),
            Route(session, self._session, methods=["GET", "DELETE"]),
            Route(session + "/children", self._children),
            Route(session + "/message", self._messages),
            Route(session + "/prompt_async", self._prompt, methods=["POST"]),
            Route(session + "/abort", self._abort, methods=["POST"]),
            Route("/permission", self._permissions),
            Route("/permission/{id}/reply", self._reply, methods=["POST"]),
            Route("/question", self._questions),
            Route("/question/{id}/{word:str}", self._reply, methods=["POST"]),
            Route("/{path:path}", self._page, methods=["GET", "POST"]),
        ]
        return _Guarded(Starlette(routes=routes), self.password)

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"healthy": True, "version": VERSION})

    async def _stream(self, _: Request) -> Response:
        async def frames() -> AsyncIterator[str]:
            async for frame in self._events.frames():
                yield f"data: {json.dumps(frame)}\n\n"

        return StreamingResponse(frames(), media_type="text/event-stream")

    async def _config(self, _: Request) -> Response:
        return JSONResponse(self.config)

    def _provider(self) -> Json:
        models = {
            model.id: {
                "id": model.id,
                "providerID": PROVIDER,
                "name": model.name,
                "cost": {"input": model.price_input or 0, "output": model.price_output or 0, "cache": {}},
                "limit": {"context": model.context, "output": model.output},
                "status": "active",
            }
            for model in self._models.values()
        }
        options = {"baseURL": "http://127.0.0.1:9/v1", "apiKey": "x"}
        return {"id": PROVIDER, "name": "Scripted", "source": "config", "env": [], "options": options, "models": models}

    async def _providers(self, _: Request) -> Response:
        return JSONResponse({"providers": [self._provider()], "default": {PROVIDER: next(iter(self._models))}})

    async def _all_providers(self, _: Request) -> Response:
        return JSONResponse({"all": [self._provider()], "default": {}, "connected": [PROVIDER]})

    async def _agent(self, _: Request) -> Response:
        names = {**BUILT_IN, **{name: str(agent.get("mode", "primary")) for name, agent in self._agents.items()}}
        agents: list[Json] = [{"name": name, "mode": mode, "native": name in BUILT_IN} for name, mode in names.items()]
        hidden = [{"name": name, "mode": "primary", "native": True, "hidden": True} for name in ("compaction", "title")]
        return JSONResponse(agents + hidden)

    async def _create(self, request: Request) -> Response:
        if self.broken_answers:
            self.broken_answers -= 1
            return JSONResponse({"name": "UnknownError", "data": {"message": "Unexpected server error."}}, 500)
        body = await request.json()
        kept = {name: body[name] for name in ("title", "metadata", "permission") if name in body}
        return JSONResponse(self.new_session(_directory(request), kept).info)

    async def _status(self, request: Request) -> Response:
        there = [one for one in self.sessions.values() if one.directory == _directory(request)]
        return JSONResponse({one.id: one.doing for one in there if one.doing})

    def _find(self, request: Request) -> Session:
        session = self.sessions.get(request.path_params["id"])
        if session is None or session.deleted:
            raise _Missing("NotFoundError", f"Session not found: {request.path_params['id']}")
        return session

    async def _session(self, request: Request) -> Response:
        session = self._find(request)
        if request.method == "DELETE":
            session.deleted = True
            return JSONResponse(True)
        return JSONResponse(session.info)

    async def _children(self, request: Request) -> Response:
        parent = self._find(request).id
        return JSONResponse([one.info for one in self.sessions.values() if one.info.get("parentID") == parent])

    async def _messages(self, request: Request) -> Response:
        return JSONResponse(self._find(request).messages)

    async def _prompt(self, request: Request) -> Response:
        session, body = self._find(request), await request.json()
        session.arriving += 1
        try:
            await asyncio.sleep(self.delays.accept)
            return self._accept(session, body)
        finally:
            session.arriving -= 1

    def _accept(self, session: Session, body: Json) -> Response:
        agent = body.get("agent") or "build"
        model = body.get("model") or {"providerID": PROVIDER, "modelID": str(self.config["model"]).partition("/")[2]}
        if not isinstance(model, dict):
            return JSONResponse({"name": "BadRequest", "data": {"message": "Expected object"}}, 400)
        if agent not in BUILT_IN and agent not in self._agents:
            self._complain(session, f'Agent not found: "{agent}". Available agents: {", ".join(BUILT_IN)}')
            return Response(status_code=204)
        user = session.message(body["messageID"]) or self.store_user(session, body["messageID"], [], agent, model)
        user["parts"] += [{"id": identity("prt"), "messageID": user["info"]["id"], **part} for part in body["parts"]]
        if model["modelID"] not in self._models or model["providerID"] != PROVIDER:
            self._complain(session, f"Model not found: {model['providerID']}/{model['modelID']}.")
            self.go_idle(session)
        elif session.task is None and not session.is_complete(user["info"]["id"]):
            session.task = asyncio.create_task(self.play(session, user, self.begin_delay))
        return Response(status_code=204)

    async def play(self, session: Session, user: Json, delay: float) -> None:
        """Begin a turn after a delay in which no abort reaches it."""
        await asyncio.sleep(delay)
        session.begun, session.begun_at = True, asyncio.get_running_loop().time()
        try:
            with suppress(asyncio.CancelledError):
                await Turn(self, session, user).run()
        finally:
            session.task, session.begun = None, False

    def _complain(self, session: Session, message: str) -> None:
        for text in (message, f"UnknownError: {message}\n    at SessionPrompt.prompt (chunk.js:4:13569)"):
            error = {"name": "UnknownError", "data": {"message": text}}
            self.emit(session, "session.error", {"sessionID": session.id, "error": error})

    async def _abort(self, request: Request) -> Response:
        session = self.sessions.get(request.path_params["id"])
        if session is not None and session.deleted and session.directory != _directory(request):
            return JSONResponse(True)
        await asyncio.sleep(self.delays.abort)
        began_long_ago = asyncio.get_running_loop().time() - self.delays.lost
        if session is not None and session.task is not None and session.begun and session.begun_at <= began_long_ago:
            session.task.cancel()
        return JSONResponse(True)

    async def _permissions(self, request: Request) -> Response:
        return JSONResponse(self._open(request, "per_"))

    async def _questions(self, request: Request) -> Response:
        return JSONResponse(self._open(request, "que_"))

    def _open(self, request: Request, kind: str) -> list[Json]:
        there = [one for one in self.requests.values() if one.directory == _directory(request)]
        return [one.body for one in there if one.id.startswith(kind)]

    async def _reply(self, request: Request) -> Response:
        word = request.path_params.get("word")
        name = "Permission" if word is None else "Question"
        found = self.requests.get(request.path_params["id"])
        if found is None or found.directory != _directory(request) or not found.id.startswith(name[:3].lower()):
            raise _Missing(f"{name}NotFoundError", f"{name} request not found")
        del self.requests[found.id]
        if not found.answer.done():
            found.answer.set_result({"reply": "reject"} if word == "reject" else await request.json())
        return JSONResponse(True)

    async def _page(self, _: Request) -> Response:
        return HTMLResponse("<!doctype html><title>OpenCode</title>")


class _Missing(Exception):
    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.body = {"name": name, "data": {"message": message}}


class _Guarded:
    """Asks for the password before anything else and gives missing things OpenCode's shape."""

    def __init__(self, app: Starlette, password: str | None) -> None:
        self._app = app
        self._app.add_exception_handler(_Missing, self._missing)
        token = base64.b64encode(f"opencode:{password}".encode()).decode()
        self._wanted = None if password is None else f"Basic {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", [])).get(b"authorization")
        if self._wanted is not None and given != self._wanted:
            response = Response(status_code=401, headers={"www-authenticate": 'Basic realm="Secure Area"'})
            await response(scope, receive, send)
            return
        refusal = _broken_config(Request(scope)) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    async def _missing(self, _: Request, error: Exception) -> Response:
        return JSONResponse(error.body if isinstance(error, _Missing) else {}, 404)


def _broken_config(request: Request) -> Response | None:
    """Every request for a directory whose configuration is no JSON is refused, with the whole file in the answer."""
    file = Path(request.query_params.get("directory") or "/nowhere", "opencode.json")
    try:
        text = file.read_text()
        json.loads(text)
    except FileNotFoundError:
        return None
    except ValueError:
        message = f"\n--- JSONC Input ---\n{text}\n--- Errors ---\nInvalidSymbol at line 1, column 3\n--- End ---"
        return JSONResponse({"name": "ConfigJsonError", "data": {"path": str(file), "message": message}}, 400)
    return None


def _directory(request: Request) -> str:
    return request.query_params.get("directory") or str(Path.cwd())


def models(names: Sequence[str]) -> ScriptedSetup:
    """A setup with these models, priced, the first one the default."""
    return ScriptedSetup(models=[ScriptedModel(name, name.title(), price_input=1, price_output=2) for name in names])

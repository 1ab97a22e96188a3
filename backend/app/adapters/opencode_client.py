"""The agent runtime on OpenCode: sessions, prompts and their ends. Implements the `AgentRuntime` port."""

import secrets
import string
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_catalog import read_agents
from app.adapters.opencode_catalog_cache import CatalogCache
from app.adapters.opencode_clock import StepClocks
from app.adapters.opencode_events import EventReader
from app.adapters.opencode_http import EndpointSource, OpencodeHttp, OpencodeRefused, TurnLost, refusals_end_the_step
from app.adapters.opencode_live import LiveFeed, Sink
from app.adapters.opencode_requests import NobodyThere, RequestDesk, denied_calls, session_rules
from app.adapters.opencode_stop import ABOUT_TO_SEND, NEVER_SENT, UNCONFIRMED, SentPrompt, SessionStopper, StopTiming
from app.adapters.opencode_transcript import TurnMessages, read_turn
from app.adapters.opencode_turn import TurnTiming, TurnWatch
from app.adapters.opencode_wire import WireMessage
from app.errors import FieldError, Interrupted, OpencodeUnavailable, UnknownModel, UnknownOpencodeAgent
from app.schemas.runtime import (
    LiveEvent,
    LiveState,
    MessageResponse,
    ModelEntry,
    RuntimeAgent,
    SessionBinding,
    TurnError,
)

Beginning = Literal["new", "adopted", "resent"]
REMEMBERED = 2000
_BASE62 = string.digits + string.ascii_letters


@dataclass(frozen=True)
class ClientTiming:
    """Seconds; tests make them small."""

    turn: TurnTiming = field(default_factory=TurnTiming)
    stop: StopTiming = field(default_factory=StopTiming)
    connect: float = 5
    """How long a prompt waits for the event stream before it goes out without."""
    catalog: float = 30
    """How long a list of models read for prices and names stays good."""
    known: float = 300
    """How long the long list of what could be connected stays good, on the same server."""


def new_message_id(at: float | None = None) -> str:
    """An id for a prompt: unique on the server, and sorted by time among OpenCode's own ids."""
    milliseconds = int((time.time() if at is None else at) * 1000)
    stamp = (milliseconds * 0x1000 + 1) & (2**48 - 1)
    return f"msg_{stamp:012x}" + "".join(secrets.choice(_BASE62) for _ in range(14))


def _nobody_watches(event: LiveEvent) -> None:
    """The sink of a client that nobody watches."""
    del event


class OpenCodeClient:
    """Runs prompts on one OpenCode server. Close it with `aclose`."""

    def __init__(
        self,
        server: EndpointSource,
        sink: Sink = _nobody_watches,
        timing: ClientTiming | None = None,
        desk: RequestDesk | None = None,
    ) -> None:
        """`desk` decides what agents ask; without one the rules of each session do alone."""
        self._desk = desk or NobodyThere()
        self._timing = timing or ClientTiming()
        self._http = OpencodeHttp(server)
        self._api = OpencodeApi(self._http)
        self._events = EventReader(self._http)
        self._stopper = SessionStopper(self._api, self._timing.stop)
        self._clocks = StepClocks(self._desk)
        self._sink = sink
        self._bindings: dict[str, SessionBinding] = {}
        self._sent: dict[str, SentPrompt] = {}
        self._beginning: set[str] = set()
        """Sessions that somebody here is about to prompt, unless they need it no more."""
        self._denied: dict[str, dict[str, str]] = {}
        self._catalogs = CatalogCache(self._http, self._timing.catalog, self._timing.known)

    async def aclose(self) -> None:
        """Close the event stream and all connections; sessions go on."""
        await self._events.aclose()
        await self._http.aclose()

    def new_message_id(self) -> str:
        """An id for a prompt, stored before it is sent."""
        return new_message_id()

    async def create_session(self, binding: SessionBinding) -> str:
        """Create a session with title, metadata and permission rules, bind it, return its id.

        Raises `OpencodeRefusal` when OpenCode will never do it, `OpencodeUnavailable` when it may later.
        """
        about = f"run {binding.pipeline_id}, step {binding.step_id}, attempt {binding.attempt}"
        rules = session_rules(binding.permissions)
        body = {"title": binding.title, "metadata": {"paceline": about}, "permission": rules}
        with refusals_end_the_step():
            session = await self._api.create_session(binding.directory, body)
        self.attach_session(session.id, binding)
        self._sent[session.id] = NEVER_SENT
        return session.id

    def attach_session(self, session_id: str, binding: SessionBinding) -> None:
        """Bind a session that an earlier attempt at the same step created.

        The newest `REMEMBERED` sessions stay bound; each step attaches its own again before it sends.
        """
        self._bindings[session_id] = binding
        while len(self._bindings) > REMEMBERED:
            self.release_session(next(iter(self._bindings)))

    def release_session(self, session_id: str) -> None:
        """Forget a bound session that the runner is done with; what OpenCode stores of it stays."""
        for known in (self._bindings, self._sent, self._denied):
            known.pop(session_id, None)
        self._clocks.forget(session_id)

    async def time_left(self, session_id: str) -> float:
        """Seconds of its wall clock that the step of a bound session has left."""
        return await self._clocks.left(session_id, self._bindings[session_id])

    async def send_message(
        self, session_id: str, prompt: str, agent: str | None = None, model: str | None = None
    ) -> MessageResponse:
        """Send the prompt under the bound message id and wait until the turn has ended.

        A completed answer is adopted, a running turn joined, an interrupted one run again under the
        same message id. Raises the `StepFailure` of a passed limit (the session still runs: stop it
        with `stop_session`, read what there is with `read_turn`), `OpencodeUnavailable` when the
        server or the turn on it is gone (the same call goes on where that is possible),
        `Interrupted` when the server has forgotten the session, `OpencodeRefusal` when it will never
        take this prompt, `UnknownModel`, `AmbiguousModel`, `UnknownOpencodeAgent`.
        All calls for one session share the wall clock of its step. Cancelling never aborts the session.
        """
        with refusals_end_the_step():
            return await self._send(session_id, prompt, agent, model)

    async def _send(self, session_id: str, prompt: str, agent: str | None, model: str | None) -> MessageResponse:
        live = LiveFeed(session_id, self._bindings[session_id], self._sink)
        self._beginning.add(session_id)
        last: LiveState = "idle"
        detail: str | None = None
        try:
            how, error = await self._turn(session_id, prompt, agent, model, live)
            response = await self._read_turn(session_id, error)
        except OpencodeUnavailable as outage:
            if not (isinstance(outage, OpencodeRefused) and outage.is_final):
                last, detail = "interrupted", outage.detail
            raise
        finally:
            self._beginning.discard(session_id)
            live.state(last, detail)
        return response if how == "new" else response.model_copy(update={how: True})

    async def _turn(
        self, session_id: str, prompt: str, agent: str | None, model: str | None, live: LiveFeed
    ) -> tuple[Beginning, TurnError | None]:
        """Take the turn up and wait for its end; what OpenCode said of it beside its messages."""
        binding = self._bindings[session_id]
        wanted = None if model is None else await self._catalogs.resolve(model, binding.directory)
        await self._events.open(self._timing.connect)
        watch = TurnWatch(self._api, self._events, session_id, binding, live, self._timing.turn, self._desk)
        try:
            how = await self._begin(session_id, prompt, agent, wanted, watch, live)
            self._beginning.discard(session_id)
            if how == "adopted":
                return how, None
            await self._follow(session_id, agent, wanted, watch)
            return how, watch.stray_error
        finally:
            await watch.close()
            self._denied[session_id] = watch.requests.denied

    async def read_turn(self, session_id: str) -> MessageResponse:
        """The turn of a bound session as OpenCode stores it now. Refused for good: `OpencodeRefusal`."""
        with refusals_end_the_step():
            return await self._read_turn(session_id, None)

    async def stop_session(self, session_id: str, directory: str) -> bool:
        """End whatever runs in the session and its children; True when it is proven idle.

        Works for sessions of earlier processes too, and returns at once for those that are idle.
        """
        return await self._stopper.stop(session_id, directory, lambda: self._last_sent(session_id))

    def _last_sent(self, session_id: str) -> SentPrompt | None:
        return ABOUT_TO_SEND if session_id in self._beginning else self._sent.get(session_id)

    async def list_models(self, directory: str) -> Sequence[ModelEntry]:
        """Every model OpenCode lists for the directory, unconnected providers included."""
        return await self._catalogs.all_models(directory)

    async def list_agents(self, directory: str) -> Sequence[RuntimeAgent]:
        """The agents OpenCode knows in the directory."""
        return await read_agents(self._http, directory)

    async def default_model(self, directory: str) -> str | None:
        """`provider/model` that the configuration names for prompts without a model, if it does."""
        return (await self._catalogs.read(directory)).default

    async def _begin(
        self, session_id: str, prompt: str, agent: str | None, model: str | None, watch: TurnWatch, live: LiveFeed
    ) -> Beginning:
        """Send what has to be sent, and say how."""
        if self._sent.get(session_id) is NEVER_SENT:
            await self._prompt(session_id, (prompt,), agent, model, frozenset())
            return "new"
        binding = self._bindings[session_id]
        statuses = await self._api.statuses(binding.directory)
        messages = await self._messages(session_id)
        turn = TurnMessages.find(messages, binding.message_id)
        running = session_id in statuses
        before = await watch.take_up(messages, running=running)
        watch.tally.started_earlier(await self._clocks.take_up(session_id, binding, turn, running=running))
        live.state("busy")
        if running:
            return "new"
        if turn.is_complete:
            return "adopted"
        if (passed := watch.tally.violation()) is not None:
            raise passed
        await self._prompt(session_id, () if turn.prompt is not None else (prompt,), agent, model, before)
        return "new" if turn.prompt is None else "resent"

    async def _prompt(
        self, session_id: str, texts: tuple[str, ...], agent: str | None, model: str | None, before: frozenset[str]
    ) -> None:
        self._clocks.begin(session_id)
        self._sent[session_id] = SentPrompt(UNCONFIRMED, before)
        try:
            await self._api.prompt(session_id, self._bindings[session_id].message_id, texts, agent, model)
        except OpencodeRefused:
            self._sent[session_id] = SentPrompt(float("-inf"), before)
            raise
        self._sent[session_id] = SentPrompt(time.monotonic(), before)

    async def _follow(self, session_id: str, agent: str | None, model: str | None, watch: TurnWatch) -> None:
        """Wait for the end; an end that OpenCode refused to begin is told by name."""
        watch.doubt = partial(self._explain, session_id, agent, model, None)
        try:
            await watch.wait()
        except TurnLost:
            await self._explain(session_id, agent, model, None)
            raise
        if watch.refused:
            self._sent[session_id] = SentPrompt(at=float("-inf"))
            await self._explain(session_id, agent, model, watch.stray_error)

    async def _explain(self, session_id: str, agent: str | None, model: str | None, error: TurnError | None) -> None:
        """Raise what was wrong with the model or the agent, if that is why nothing began."""
        directory = self._bindings[session_id].directory
        text = error.message if error is not None else ""
        with suppress(OpencodeUnavailable):
            if agent is not None and (error is None or "Agent not found" in text):
                self._check_agent(agent, [one.name for one in await read_agents(self._http, directory)], text)
            if model is not None and (error is None or "Model not found" in text):
                (await self._catalogs.read(directory, fresh=True)).resolve(model)
        if "Model not found" in text:
            raise UnknownModel(f"OpenCode says: {text}")
        if "Agent not found" in text:
            raise UnknownOpencodeAgent(f"OpenCode says: {text}")

    def _check_agent(self, agent: str, known: list[str], text: str) -> None:
        if agent in known:
            return
        detail = f"OpenCode has no agent {agent!r} here; it knows {', '.join(known)}."
        raise UnknownOpencodeAgent(detail, (FieldError("", text or "No such agent.", tuple(known)),))

    async def _messages(self, session_id: str) -> list[WireMessage]:
        try:
            return await self._api.messages(session_id)
        except OpencodeRefused as refused:
            if refused.status_code == 404:
                raise Interrupted(
                    "OpenCode no longer knows the session of this step; start a new attempt."
                ) from refused
            raise

    async def _read_turn(self, session_id: str, stray_error: TurnError | None) -> MessageResponse:
        binding = self._bindings[session_id]
        catalog = await self._catalogs.read(binding.directory)
        response = await read_turn(self._api, session_id, binding.message_id, catalog.priced, stray_error)
        denied = denied_calls(response.transcript, self._denied.get(session_id, {}))
        return response.model_copy(update={"denied_requests": denied})

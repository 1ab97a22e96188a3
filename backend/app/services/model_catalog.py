"""What OpenCode offers in a directory: checks names of models and agents, and says what was probably meant."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.errors import AmbiguousModel, FieldError, OpencodeUnavailable, UnknownModel, UnknownOpencodeAgent
from app.schemas.model_resolution import parse_model
from app.schemas.registry import candidates, nearest, which_there_are
from app.schemas.runtime import ModelEntry, RuntimeAgent
from app.services.ports import AgentRuntime

CACHE_SECONDS = 5.0
ANSWER_SECONDS = 20.0
MAX_DIRECTORIES = 256
MAX_CANDIDATES = 5

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Kept(Generic[Item]):
    items: tuple[Item, ...]
    until: float


@dataclass(frozen=True)
class _Failed:
    detail: str
    at: float


class _Lists(Generic[Item]):
    """One list per directory, asked once by whoever comes first and kept for some seconds.

    A failure is that of everybody who waited for it; whoever comes later asks anew.
    """

    def __init__(self, ask: Callable[[str], Awaitable[Sequence[Item]]], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._kept: dict[str, _Kept[Item]] = {}
        self._failed: dict[str, _Failed] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def of(self, directory: str) -> tuple[Item, ...]:
        asked = time.monotonic()
        lock = self._locks.setdefault(directory, asyncio.Lock())
        async with lock:
            kept, failed = self._kept.get(directory), self._failed.get(directory)
            if kept is not None and kept.until > time.monotonic():
                return kept.items
            if failed is not None and asked <= failed.at:
                # Asked one after the other, ten that wait for an OpenCode that hangs would wait for minutes.
                raise OpencodeUnavailable(failed.detail)
            try:
                kept = _Kept(await self._fetch(directory), time.monotonic() + self._seconds)
            except OpencodeUnavailable as error:
                self._failed[directory] = _Failed(error.detail, time.monotonic())
                raise
            finally:
                self._forget_old()
            self._kept[directory] = kept
            return kept.items

    async def _fetch(self, directory: str) -> tuple[Item, ...]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                items = await self._ask(directory)
        except TimeoutError as error:
            raise OpencodeUnavailable("OpenCode did not answer in time; see /health/opencode.") from error
        if not isinstance(items, Sequence):
            # A stand-in for the client that has no catalog: the same as one that cannot be reached.
            raise OpencodeUnavailable("OpenCode gave no list.")
        return tuple(items)

    def _forget_old(self) -> None:
        now = time.monotonic()
        for directory in [name for name, kept in self._kept.items() if kept.until <= now]:
            del self._kept[directory]
        while len(self._kept) >= MAX_DIRECTORIES:
            del self._kept[next(iter(self._kept))]
        for directory in [name for name, failed in self._failed.items() if failed.at <= now - 2 * ANSWER_SECONDS]:
            del self._failed[directory]
        idle = [name for name, lock in self._locks.items() if name not in self._kept and not lock.locked()]
        for name in idle:
            del self._locks[name]


class ModelCatalog:
    """Asks the runtime for its models and agents. Every refusal names the nearest candidates."""

    def __init__(self, runtime: AgentRuntime, cache_seconds: float = CACHE_SECONDS) -> None:
        self._models = _Lists(runtime.list_models, cache_seconds)
        self._agents = _Lists(runtime.list_agents, cache_seconds)

    async def models(self, directory: str) -> Sequence[ModelEntry]:
        """Every model for the directory, unconnected ones included; OpencodeUnavailable when it cannot be asked."""
        return await self._models.of(directory)

    async def check_model(self, asked: str, directory: str, pointer: str = "") -> str | None:
        """The `provider/model` that `asked` stands for; None when OpenCode cannot be asked now.

        Raises UnknownModel (also for a provider that is not connected, with the reason),
        AmbiguousModel for a bare name that several providers have, InvalidStepModel for no name.
        """
        wanted = parse_model(asked)
        try:
            entries = await self._models.of(directory)
        except OpencodeUnavailable:
            return None
        if wanted.provider is None:
            hits = [entry for entry in entries if entry.id == wanted.id]
        else:
            hits = [entry for entry in entries if (entry.provider, entry.id) == (wanted.provider, wanted.id)]
        usable = [entry for entry in hits if entry.connected]
        if len(usable) == 1:
            return usable[0].ref
        if usable:
            raise _ambiguous(asked, usable, pointer)
        raise _not_connected(asked, hits[0], pointer) if hits else _unknown(asked.strip(), entries, pointer)

    async def check_agent(self, name: str, directory: str, pointer: str = "") -> RuntimeAgent | None:
        """The agent of OpenCode with that name; None when OpenCode cannot be asked now.

        Raises UnknownOpencodeAgent with the agents that there are.
        """
        try:
            agents = await self._agents.of(directory)
        except OpencodeUnavailable:
            return None
        found = next((agent for agent in agents if agent.name == name), None)
        if found is None:
            names = [agent.name for agent in agents]
            detail = f"OpenCode knows no agent {name!r} in this directory{which_there_are(name, names)}"
            raise UnknownOpencodeAgent(detail, (FieldError(pointer, detail, candidates(name, names)),))
        return found


def _ambiguous(asked: str, hits: Sequence[ModelEntry], pointer: str) -> AmbiguousModel:
    candidates = tuple(sorted(entry.ref for entry in hits))
    detail = f"The model {asked!r} exists at several providers; name one: {', '.join(candidates)}."
    return AmbiguousModel(detail, (FieldError(pointer, detail, candidates),))


def _not_connected(asked: str, entry: ModelEntry, pointer: str) -> UnknownModel:
    reason = entry.reason or f"the provider {entry.provider} is not connected in OpenCode"
    detail = f"The model {asked!r} cannot be used: {reason.rstrip('.')}."
    return UnknownModel(detail, (FieldError(pointer, detail),))


def _unknown(asked: str, entries: Sequence[ModelEntry], pointer: str) -> UnknownModel:
    near = _near_models(asked, [entry for entry in entries if entry.connected])
    suggestion = f"; did you mean {' or '.join(near)}?" if near else ". `paceline models` lists what can be used."
    detail = f"OpenCode lists no model {asked!r} for this directory{suggestion}"
    return UnknownModel(detail, (FieldError(pointer, detail, near),))


def _near_models(asked: str, entries: Sequence[ModelEntry]) -> tuple[str, ...]:
    """Models whose id is the whole name (a router's `anthropic/claude…`), then those spelled nearly alike."""
    whole = [entry.ref for entry in entries if entry.id.casefold() == asked.casefold()]
    model = asked.rpartition("/")[2]
    by_ref = nearest(asked, [entry.ref for entry in entries], MAX_CANDIDATES)
    near_ids = nearest(model, [entry.id for entry in entries], MAX_CANDIDATES)
    by_id = [entry.ref for near in near_ids for entry in entries if entry.id == near]
    ordered = [*whole, *by_ref, *by_id] if "/" in asked else [*whole, *by_id, *by_ref]
    return tuple(dict.fromkeys(ordered))[:MAX_CANDIDATES]

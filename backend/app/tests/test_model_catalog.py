"""Names of models and agents, checked against what a runtime lists."""

import asyncio
from collections.abc import Sequence
from typing import TypeVar, cast
from unittest.mock import AsyncMock

import pytest

from app.errors import AmbiguousModel, InvalidStepModel, OpencodeUnavailable, UnknownModel, UnknownOpencodeAgent
from app.schemas.runtime import ModelEntry, RuntimeAgent
from app.services import model_catalog
from app.services.model_catalog import MAX_DIRECTORIES, ModelCatalog
from app.services.ports import AgentRuntime


def entry(ref: str, reason: str | None = None) -> ModelEntry:
    provider, _, model = ref.partition("/")
    return ModelEntry(provider=provider, id=model, name=model, connected=reason is None, reason=reason)


Item = TypeVar("Item")
MODELS = [
    entry("local/echo"),
    entry("local/small"),
    entry("local/twin"),
    entry("other/twin"),
    entry("router/anthropic/claude-opus-4-5"),
    entry("google/gemini-3-pro", "no key for google was found"),
    entry("google/small", "no key for google was found"),
]


class Catalog:
    """A runtime that only lists; it counts how often it is asked, and can be away."""

    def __init__(self, models: Sequence[ModelEntry] = MODELS) -> None:
        self.models = models
        self.calls: list[str] = []
        self.away = False
        self.gate: asyncio.Event | None = None

    async def list_models(self, directory: str) -> Sequence[ModelEntry]:
        return await self._answer(directory, self.models)

    async def list_agents(self, directory: str) -> Sequence[RuntimeAgent]:
        names = ("build", "plan", "reviewer")
        return await self._answer(directory, [RuntimeAgent(name=name, mode="primary") for name in names])

    async def _answer(self, directory: str, items: Sequence[Item]) -> Sequence[Item]:
        self.calls.append(directory)
        if self.gate:
            await self.gate.wait()
        if self.away:
            raise OpencodeUnavailable("down")
        return items


def catalog_of(runtime: object, cache_seconds: float = 5) -> ModelCatalog:
    return ModelCatalog(cast(AgentRuntime, runtime), cache_seconds)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("local/echo", "local/echo"),
        ("echo", "local/echo"),
        (" echo\n", "local/echo"),
        ("router/anthropic/claude-opus-4-5", "router/anthropic/claude-opus-4-5"),
        ("other/twin", "other/twin"),
        ("small", "local/small"),
    ],
)
async def test_names_that_are_listed(asked: str, expected: str) -> None:
    assert await catalog_of(Catalog()).check_model(asked, "/p") == expected


@pytest.mark.parametrize(
    ("asked", "candidates"),
    [
        ("local/ehco", ("local/echo",)),
        ("ehco", ("local/echo",)),
        ("Local/Echo", ("local/echo",)),
        ("anthropic/claude-opus-4-5", ("router/anthropic/claude-opus-4-5",)),
        ("claude-opus-4-6", ("router/anthropic/claude-opus-4-5",)),
        ("zzzzzz/qqqqqq", ()),
    ],
)
async def test_unknown_names_come_back_with_what_was_meant(asked: str, candidates: tuple[str, ...]) -> None:
    with pytest.raises(UnknownModel) as caught:
        await catalog_of(Catalog()).check_model(asked, "/p", "/step_models/0")
    found = caught.value.errors[0]
    assert found.pointer == "/step_models/0"
    assert found.candidates[: len(candidates)] == candidates
    assert bool(found.candidates) == bool(candidates)
    assert asked in caught.value.detail


async def test_a_bare_name_at_several_providers_is_refused_with_all_of_them() -> None:
    with pytest.raises(AmbiguousModel, match="local/twin, other/twin") as caught:
        await catalog_of(Catalog()).check_model("twin", "/p")
    assert caught.value.errors[0].candidates == ("local/twin", "other/twin")


@pytest.mark.parametrize("asked", ["google/gemini-3-pro", "gemini-3-pro"])
async def test_a_model_of_an_unconnected_provider_is_refused_with_the_reason(asked: str) -> None:
    with pytest.raises(UnknownModel, match="no key for google was found"):
        await catalog_of(Catalog()).check_model(asked, "/p")


async def test_half_a_name_is_refused_even_when_opencode_is_away() -> None:
    runtime = Catalog()
    runtime.away = True
    with pytest.raises(InvalidStepModel):
        await catalog_of(runtime).check_model("local/", "/p")


async def test_agents() -> None:
    catalog = catalog_of(Catalog())
    found = await catalog.check_agent("plan", "/p")
    assert found is not None
    assert found.name == "plan"
    with pytest.raises(UnknownOpencodeAgent, match="did you mean reviewer") as caught:
        await catalog.check_agent("reviewr", "/p", "/template")
    assert caught.value.errors[0].candidates == ("reviewer",)
    with pytest.raises(UnknownOpencodeAgent, match="there are build, plan, reviewer"):
        await catalog.check_agent("zzzz", "/p")


async def test_an_unreachable_opencode_checks_nothing_and_is_asked_again() -> None:
    runtime = Catalog()
    runtime.away = True
    catalog = catalog_of(runtime)
    assert await catalog.check_model("nonsense", "/p") is None
    assert await catalog.check_agent("nonsense", "/p") is None
    with pytest.raises(OpencodeUnavailable):
        await catalog.models("/p")
    runtime.away = False
    assert await catalog.check_model("echo", "/p") == "local/echo"


async def test_a_mocked_client_has_no_catalog() -> None:
    catalog = catalog_of(AsyncMock())
    assert await catalog.check_model("gpt-4o", "/p") is None
    assert await catalog.check_agent("build", "/p") is None


async def test_an_empty_catalog_is_an_answer() -> None:
    with pytest.raises(UnknownModel, match="lists no model 'gpt-4o' for this directory"):
        await catalog_of(Catalog([])).check_model("gpt-4o", "/p")


async def test_lists_are_kept_per_directory_for_a_moment() -> None:
    runtime = Catalog()
    catalog = catalog_of(runtime)
    for directory in ("/a", "/a", "/b", "/a"):
        await catalog.check_model("echo", directory)
    assert runtime.calls == ["/a", "/b"]


async def test_a_list_that_is_too_old_is_asked_again() -> None:
    runtime = Catalog()
    catalog = catalog_of(runtime, cache_seconds=0)
    await catalog.check_model("echo", "/a")
    runtime.models = [entry("local/new")]
    assert await catalog.check_model("new", "/a") == "local/new"


async def test_many_at_once_ask_once() -> None:
    runtime = Catalog()
    runtime.gate = asyncio.Event()
    catalog = catalog_of(runtime)
    waiting = [asyncio.create_task(catalog.check_model("echo", "/a")) for _ in range(20)]
    await asyncio.sleep(0.01)
    runtime.gate.set()
    assert set(await asyncio.gather(*waiting)) == {"local/echo"}
    assert runtime.calls == ["/a"]


async def test_many_directories_do_not_pile_up() -> None:
    runtime = Catalog()
    catalog = catalog_of(runtime)
    for number in range(MAX_DIRECTORIES + 50):
        await catalog.check_model("echo", f"/{number}")
    assert len(catalog._models._kept) <= MAX_DIRECTORIES
    assert len(catalog._models._locks) <= MAX_DIRECTORIES + 1


async def test_those_who_wait_for_an_opencode_that_hangs_share_one_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_catalog, "ANSWER_SECONDS", 1.0)
    runtime = Catalog()
    runtime.gate = asyncio.Event()
    catalog = catalog_of(runtime)
    async with asyncio.timeout(1.5):
        found = await asyncio.gather(*(catalog.check_model("echo", "/p") for _ in range(6)))
    assert found == [None] * 6
    assert runtime.calls == ["/p"]
    runtime.gate.set()
    assert await catalog.check_model("echo", "/p") == "local/echo", "whoever comes later asks anew"

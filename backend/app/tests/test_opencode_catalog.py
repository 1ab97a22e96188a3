"""Lists of models and agents, recorded from OpenCode 1.18.33 and as other servers may have them."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.adapters.opencode_catalog import Catalog
from app.adapters.opencode_client import OpenCodeClient
from app.adapters.opencode_http import Endpoint, FixedEndpoint
from app.demo.provider_server import serving
from app.errors import AmbiguousModel, UnknownModel
from app.schemas.runtime import ModelEntry, ModelKind

RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> Any:
    """A recorded answer."""
    return json.loads((RECORDED / f"{name}.json").read_text())


def provider(name: str, **more: object) -> dict[str, object]:
    """A provider with one model, as OpenCode lists it."""
    model = {"id": "m", "name": "M", "cost": {"input": 1, "output": 2}, "limit": {"context": 1000}}
    return {"id": name, "name": name.title(), "models": {"m": model}, **more}


@asynccontextmanager
async def answering(answers: Mapping[str, object]) -> AsyncIterator[OpenCodeClient]:
    """A client of a server that gives these answers."""

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse(answers[request.url.path])

    app = Starlette(routes=[Route("/{path:path}", answer)])
    async with serving(app) as url:
        client = OpenCodeClient(FixedEndpoint(Endpoint(url)))
        yield client
        await client.aclose()


async def test_recorded_lists_are_read() -> None:
    answers = {
        "/config/providers": recorded("config_providers_local"),
        "/config": {"model": "local/echo"},
        "/provider": {"all": [], "connected": ["local"]},
        "/agent": recorded("agent_list"),
    }
    async with answering(answers) as client:
        models = await client.list_models("/p")
        agents = {agent.name: agent for agent in await client.list_agents("/p")}
        assert await client.default_model("/p") == "local/echo"
    assert [model.ref for model in models] == ["local/echo", "local/echo2", "local/small"]
    assert all((model.price_input, model.context, model.connected) == (None, None, True) for model in models)
    assert agents["coder"].model == "local/echo2"
    assert agents["explore"].mode == "subagent"
    assert agents["build"].model is None
    assert "compaction" not in agents


async def test_where_prompts_go_is_told_for_each_provider() -> None:
    listed = [
        provider("opencode", source="custom", key="public"),
        provider("anthropic", source="env", env=["ANTHROPIC_API_KEY"]),
        provider("ollama", source="config"),
        provider("nearby", source="config", options={"baseURL": "http://192.168.1.7:8000/v1"}),
        provider("far", source="config", options={"baseURL": "https://example.com/v1"}),
    ]
    answers = {"/config/providers": {"providers": listed}, "/config": {}, "/provider": {"all": listed}}
    async with answering(answers) as client:
        kinds = {model.provider: model.kind for model in await client.list_models("/p")}
    assert kinds == {
        "opencode": ModelKind.THIRD_PARTY_FREE,
        "anthropic": ModelKind.OWN_KEY,
        "ollama": ModelKind.LOCAL,
        "nearby": ModelKind.LOCAL,
        "far": ModelKind.OWN_KEY,
    }


async def test_the_hosted_provider_with_a_key_of_ones_own_is_ones_own() -> None:
    listed = [provider("opencode", source="api", key="sk-mine")]
    async with answering({"/config/providers": {"providers": listed}, "/config": {}, "/provider": {}}) as client:
        assert [model.kind for model in await client.list_models("/p")] == [ModelKind.OWN_KEY]


async def test_unconnected_providers_are_listed_with_the_way_to_connect_them() -> None:
    answers = {
        "/config/providers": {"providers": [provider("one")]},
        "/config": {},
        "/provider": {"all": [provider("one"), provider("two", env=["TWO_KEY"]), provider("three")]},
    }
    async with answering(answers) as client:
        models = {model.provider: model for model in await client.list_models("/p")}
        assert await client.default_model("/p") is None
    assert [models[name].connected for name in ("one", "two", "three")] == [True, False, False]
    assert models["two"].reason == "Not connected: set TWO_KEY, or run `opencode auth login` for Two."
    assert models["three"].reason == "Not connected: run `opencode auth login` for Three."


def test_names_are_resolved_as_people_write_them() -> None:
    catalog = Catalog(
        (
            ModelEntry(provider="anthropic", id="claude-opus-4-5", name="Opus"),
            ModelEntry(provider="router", id="anthropic/claude-opus-4-5", name="Opus"),
            ModelEntry(provider="one", id="gpt-4o", name="GPT"),
            ModelEntry(provider="two", id="gpt-4o", name="GPT"),
        )
    )
    assert catalog.resolve("claude-opus-4-5") == "anthropic/claude-opus-4-5"
    assert catalog.resolve("anthropic/claude-opus-4-5") == "anthropic/claude-opus-4-5"
    assert catalog.resolve("router/anthropic/claude-opus-4-5") == "router/anthropic/claude-opus-4-5"
    assert catalog.resolve("two/gpt-4o") == "two/gpt-4o"
    with pytest.raises(AmbiguousModel) as several:
        catalog.resolve("gpt-4o")
    assert several.value.errors[0].candidates == ("one/gpt-4o", "two/gpt-4o")
    with pytest.raises(UnknownModel) as unknown:
        catalog.resolve("claude-opus-45")
    assert "anthropic/claude-opus-4-5" in unknown.value.errors[0].candidates

"""What OpenCode offers in a directory: models with prices and where they send prompts, agents, the default."""

import asyncio
import difflib
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic import Field

from app.adapters.opencode_http import OpencodeHttp
from app.adapters.opencode_wire import Wire, join_model
from app.errors import AmbiguousModel, FieldError, UnknownModel
from app.schemas.runtime import ModelEntry, ModelKind, RuntimeAgent

THIRD_PARTY = "opencode"
"""OpenCode's own hosted provider: usable without a key, so prompts may leave for it unnoticed."""

_LOCAL_PROVIDERS = frozenset({"ollama", "lmstudio", "llamacpp", "llama.cpp", "vllm", "local"})


class WireCost(Wire):
    """Prices in USD per million tokens; all zero also stands for `not configured`."""

    input: float = 0
    output: float = 0


class WireLimit(Wire):
    """Sizes in tokens; 0 stands for `not configured`."""

    context: float = 0


class WireCatalogModel(Wire):
    """A model of a provider."""

    id: str
    name: str = ""
    cost: WireCost | None = None
    limit: WireLimit = WireLimit()
    status: str | None = None


class WireProvider(Wire):
    """A provider; `source` says where it comes from: env, api, config or custom."""

    id: str
    name: str = ""
    source: str | None = None
    env: Sequence[str] = ()
    key: str | None = None
    options: Mapping[str, object] = Field(default_factory=dict)
    models: Mapping[str, WireCatalogModel] = Field(default_factory=dict)

    @property
    def base_url(self) -> str | None:
        """Address that the configuration sets for it."""
        url = self.options.get("baseURL")
        return url if isinstance(url, str) else None


class WireAgent(Wire):
    """An agent as OpenCode lists it."""

    name: str
    mode: str = "primary"
    description: str | None = None
    hidden: bool | None = None
    model: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Catalog:
    """The models of one directory, as they were when it was read."""

    entries: tuple[ModelEntry, ...]
    default: str | None = None
    priced: frozenset[str] = field(default_factory=frozenset)
    """Models whose prices are known, a price of 0 that the configuration states included."""

    def resolve(self, name: str) -> str:
        """`provider/model` for a name that a person wrote.

        A name that is listed with its provider is that model; any other must be the id of a model
        of exactly one provider. Raises `UnknownModel` or `AmbiguousModel` with candidates.
        """
        usable = [entry.ref for entry in self.entries]
        hits = self.hits(name)
        if len(hits) == 1:
            return hits[0]
        if hits:
            raise AmbiguousModel(
                f"The model name {name!r} exists at several providers: {', '.join(hits)}.",
                (FieldError("", "Write it as provider/model.", tuple(hits)),),
            )
        near = self._nearest(name, usable)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise UnknownModel(
            f"OpenCode has no model {name!r} here.{hint}",
            (FieldError("", "No such model.", tuple(near)),),
        )

    def hits(self, name: str) -> list[str]:
        """Every model that a name can mean, as `provider/model`."""
        if any(entry.ref == name for entry in self.entries):
            return [name]
        return sorted(entry.ref for entry in self.entries if entry.id == name)

    def _nearest(self, name: str, refs: list[str]) -> list[str]:
        tails = {ref.partition("/")[2]: ref for ref in refs}
        near = difflib.get_close_matches(name, refs, n=3, cutoff=0.5)
        near += [tails[tail] for tail in difflib.get_close_matches(name.rpartition("/")[2], tails, n=3, cutoff=0.5)]
        return list(dict.fromkeys(near))[:5]


async def read_catalog(http: OpencodeHttp, directory: str) -> Catalog:
    """The models that can be used in a directory now."""
    answers = await asyncio.gather(http.get("/config/providers", directory), http.get("/config", directory))
    usable, config = (_mapping(answer) for answer in answers)
    stated = _stated_prices(config)
    connected = [WireProvider.model_validate(one) for one in _items(usable.get("providers"))]
    entries = [entry for provider in connected for entry in _entries(provider, stated, connected=True)]
    default = config.get("model")
    return Catalog(
        entries=tuple(entries),
        default=default if isinstance(default, str) and default else None,
        priced=frozenset(entry.ref for entry in entries if entry.price_input is not None),
    )


async def read_known(http: OpencodeHttp, directory: str) -> list[ModelEntry]:
    """The models of every provider that OpenCode knows, thousands of them, as if none was connected."""
    known = _mapping(await http.get("/provider", directory))
    providers = [WireProvider.model_validate(one) for one in _items(known.get("all"))]
    return [entry for provider in providers for entry in _entries(provider, frozenset(), connected=False)]


async def read_agents(http: OpencodeHttp, directory: str) -> list[RuntimeAgent]:
    """The agents a step may name; OpenCode's hidden ones are left out."""
    agents = [WireAgent.model_validate(one) for one in _items(await http.get("/agent", directory))]
    return [
        RuntimeAgent(name=agent.name, mode=agent.mode, description=agent.description, model=_agent_model(agent))
        for agent in agents
        if not agent.hidden
    ]


def _agent_model(agent: WireAgent) -> str | None:
    model = agent.model or {}
    if "providerID" not in model or "modelID" not in model:
        return None
    return join_model(model["providerID"], model["modelID"])


def _entries(provider: WireProvider, stated: frozenset[str], *, connected: bool) -> Iterator[ModelEntry]:
    kind = _kind(provider)
    for model in provider.models.values():
        cost = model.cost or WireCost()
        known = bool(cost.input or cost.output) or join_model(provider.id, model.id) in stated
        yield ModelEntry(
            provider=provider.id,
            id=model.id,
            name=model.name or model.id,
            context=int(model.limit.context) or None,
            price_input=cost.input if known else None,
            price_output=cost.output if known else None,
            connected=connected,
            reason=None if connected else _reason(provider),
            kind=kind,
        )


def _reason(provider: WireProvider) -> str:
    login = f"`opencode auth login` for {provider.name or provider.id}"
    if provider.env:
        return f"Not connected: set {' or '.join(provider.env)}, or run {login}."
    return f"Not connected: run {login}."


def _kind(provider: WireProvider) -> ModelKind:
    """Where prompts go. OpenCode's hosted provider without a key of the user's is a third party."""
    if provider.id == THIRD_PARTY and provider.source in (None, "custom") and provider.key in (None, "", "public"):
        return ModelKind.THIRD_PARTY_FREE
    host = urlsplit(provider.base_url or "").hostname
    if provider.id in _LOCAL_PROVIDERS or (host is not None and _is_local(host)):
        return ModelKind.LOCAL
    return ModelKind.OWN_KEY


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith((".local", ".internal")):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_private or address.is_loopback


def _stated_prices(config: Mapping[str, object]) -> frozenset[str]:
    """Models whose price the configuration itself states: there a 0 means free."""
    found = set()
    for provider_id, provider in _mapping(config.get("provider")).items():
        for model_id, model in _mapping(_mapping(provider).get("models")).items():
            if "cost" in _mapping(model):
                found.add(join_model(provider_id, model_id))
    return frozenset(found)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []

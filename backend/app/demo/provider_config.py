"""Makes the OpenCode configuration that connects it to the scripted provider and to nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PROVIDER = "scripted"


@dataclass(frozen=True)
class ScriptedModel:
    """A model that the scripted provider offers; prices in USD per million tokens, None: none configured."""

    id: str
    name: str
    context: int = 200_000
    output: int = 8_000
    price_input: float | None = None
    price_output: float | None = None

    def entry(self) -> dict[str, object]:
        """The model as OpenCode's configuration writes it."""
        entry: dict[str, object] = {
            "name": self.name,
            "tool_call": True,
            "limit": {"context": self.context, "output": self.output},
        }
        if self.price_input is not None:
            entry["cost"] = {"input": self.price_input, "output": self.price_output or 0}
        return entry


@dataclass(frozen=True)
class ScriptedSetup:
    """What OpenCode shall know: models, its default model, and agents beside its own."""

    models: Sequence[ScriptedModel]
    default_model: str | None = None
    agents: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def opencode_config(base_url: str, setup: ScriptedSetup) -> dict[str, object]:
    """`opencode.json` for a provider at `base_url` (without `/v1`); only this provider is enabled."""
    default = setup.default_model or setup.models[0].id
    return {
        "$schema": "https://opencode.ai/config.json",
        "enabled_providers": [PROVIDER],
        "model": f"{PROVIDER}/{default}",
        "small_model": f"{PROVIDER}/{default}",
        "share": "disabled",
        "autoupdate": False,
        "snapshot": False,
        "provider": {
            PROVIDER: {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Scripted provider",
                "options": {"baseURL": f"{base_url}/v1", "apiKey": "no-key-needed"},
                "models": {model.id: model.entry() for model in setup.models},
            }
        },
        "agent": {name: dict(agent) for name, agent in setup.agents.items()},
    }

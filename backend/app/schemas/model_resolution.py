"""Which model a step is asked to run on, and why: one pure function, called once when a run is created."""

from dataclasses import dataclass
from typing import Literal

from app.errors import InvalidStepModel

ModelOrigin = Literal["run", "custom_step", "template", "agent", "opencode"]
"""Who named the model: the request, its own step, the template's step, the agent, or nobody (OpenCode's default)."""


@dataclass(frozen=True)
class AskedModel:
    """A model as people write it: `provider/model`, or a bare name that has to be looked up."""

    provider: str | None
    id: str


def parse_model(name: str) -> AskedModel:
    """Split at the first slash (ids may hold more); InvalidStepModel for a blank name or half of one."""
    text = name.strip()
    if not text:
        raise InvalidStepModel("A model name must not be blank; leave it out to inherit one.")
    provider, slash, model = text.partition("/")
    if not slash:
        return AskedModel(None, text)
    if not provider.strip() or not model.strip():
        raise InvalidStepModel(f"{text!r} names no model; write provider/model, such as anthropic/claude-opus-4-5.")
    return AskedModel(provider, model)


def resolve_model(
    override: str | None, step_model: str | None, agent_default: str | None, custom: bool
) -> tuple[str | None, ModelOrigin]:
    """The first that is given: the run's override, the step's own model, the agent's default, none.

    `custom` says whose step it is: the request's own or a template's. The name is kept as asked
    (without blanks around it); a blank one is refused, never skipped.
    """
    choices: tuple[tuple[str | None, ModelOrigin], ...] = (
        (override, "run"),
        (step_model, "custom_step" if custom else "template"),
        (agent_default, "agent"),
    )
    for name, origin in choices:
        if name is not None:
            parse_model(name)
            return name.strip(), origin
    return None, "opencode"

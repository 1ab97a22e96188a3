"""The registry: agents and templates as the YAML files hold them, and as the API shows them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from app.errors import FieldError, UnknownAgent, UnknownTemplate
from app.schemas.permissions import PermissionRule, PermissionRules
from app.schemas.step_policy import LimitsOfStep, RetryOfStep
from app.schemas.text import storable

MAX_STEPS = 50
MAX_ENTRIES = 500
MAX_REMINDER_HOURS = 24 * 366
MOST_NAMES = 10
"""How many names a refusal lists when none is near."""

# A letter first: the command line tells `-m 2=MODEL` (a step) from `-m developer=MODEL` (an agent) by it.
# No slash and no `=`: names stand in addresses and before that equals sign.
Name = Annotated[
    str,
    StringConstraints(max_length=100, pattern=r"^[^\W\d_](?:[\w .-]*[\w.-])?$", strip_whitespace=True),
    AfterValidator(storable),
]
ModelName = Annotated[
    str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True), AfterValidator(storable)
]
# OpenCode's own names; agents in subfolders have a slash.
OpencodeAgentName = Annotated[
    str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(storable)
]
Description = Annotated[str, StringConstraints(max_length=4_000), AfterValidator(storable)]
Instructions = Annotated[str, StringConstraints(max_length=32_000), AfterValidator(storable)]
Hours = Annotated[float, Field(gt=0, le=MAX_REMINDER_HOURS, allow_inf_nan=False, strict=True)]


class _RegistryBase(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AgentProfile(_RegistryBase):
    """A role: which agent of OpenCode plays it, on which model unless a step says otherwise."""

    name: Name
    description: Description
    opencode_agent: OpencodeAgentName
    default_model: ModelName | None = None
    """`provider/model`, or a bare name that is looked up when a run is created."""
    system_prompt_additions: Instructions = ""
    """Part of the prompt of each of its steps."""
    permissions: PermissionRules = ()
    """What it may do without asking, in each of its steps; the last rule that matches wins."""


class AgentStep(_RegistryBase):
    """A step that an agent does."""

    type: Literal["agent"] = "agent"
    agent: Name
    description: Instructions = ""
    model: ModelName | None = None
    """Wins over the agent's `default_model`."""
    permissions: PermissionRules = ()
    """Come after the agent's rules and so win over them."""
    limits: LimitsOfStep | None = None
    """Where the step is cut off; the settings for what is left out."""
    retry: RetryOfStep | None = None
    """How often it is tried when it fails; the settings for what is left out."""


def _type_is_needed(schema: dict[str, Any]) -> None:
    """Nothing but its type tells a gate from an agent step."""
    schema["required"] = ["type"]


class ApprovalStep(_RegistryBase):
    """A gate: the run waits until a person decides."""

    model_config = ConfigDict(json_schema_extra=_type_is_needed)

    type: Literal["approval"] = "approval"
    description: Instructions = ""
    """The question that the person is asked."""
    remind_after_hours: Hours | None = None


def _with_type(step: object) -> object:
    """A step without `type` is an agent step."""
    return {"type": "agent", **step} if isinstance(step, dict) and "type" not in step else step


StepDefinition = Annotated[
    Annotated[AgentStep | ApprovalStep, Field(discriminator="type")],
    BeforeValidator(_with_type),
]


class PipelineTemplate(_RegistryBase):
    """The steps of a kind of run, in their order."""

    name: Name
    description: Description
    steps: Annotated[list[StepDefinition], Field(min_length=1, max_length=MAX_STEPS)]


class AgentsFile(_RegistryBase):
    """What `agents.yaml` holds."""

    agents: Annotated[list[AgentProfile], Field(max_length=MAX_ENTRIES)]


class PipelinesFile(_RegistryBase):
    """What `pipelines.yaml` holds."""

    pipelines: Annotated[list[PipelineTemplate], Field(max_length=MAX_ENTRIES)]


@dataclass(frozen=True)
class Contradiction:
    """A place, as keys and indexes from the top, that does not fit to the rest of the registry."""

    path: tuple[str | int, ...]
    message: str


def contradictions(agents: Sequence[AgentProfile], pipelines: Sequence[PipelineTemplate]) -> Iterator[Contradiction]:
    """Duplicate names, and steps that name an agent which does not exist; all of them, in file order."""
    yield from _duplicates("agents", [agent.name for agent in agents])
    yield from _duplicates("pipelines", [template.name for template in pipelines])
    names = [agent.name for agent in agents]
    for at, template in enumerate(pipelines):
        for index, step in enumerate(template.steps):
            if isinstance(step, AgentStep) and step.agent not in names:
                message = f"there is no agent {step.agent!r}{did_you_mean(step.agent, names)}"
                yield Contradiction(("pipelines", at, "steps", index, "agent"), message)


def _duplicates(key: str, names: Sequence[str]) -> Iterator[Contradiction]:
    for index, name in enumerate(names):
        if name in names[:index]:
            first = names.index(name) + 1
            yield Contradiction((key, index, "name"), f"the name {name!r} is taken by entry {first}")


def nearest(name: str, known: Sequence[str], count: int = 3) -> tuple[str, ...]:
    """The names that were probably meant, best first; case does not matter."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    return tuple(by_folded[hit] for hit in get_close_matches(name.casefold(), list(by_folded), n=count, cutoff=0.5))


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown name; empty when nothing is near."""
    found = nearest(name, known)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def candidates(name: str, known: Sequence[str]) -> tuple[str, ...]:
    """The names that were probably meant; when none is near, all that there are, in a bounded number."""
    return nearest(name, known) or tuple(known[:MOST_NAMES])


def which_there_are(name: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown name, never empty: what was probably meant, else what there is."""
    rest = f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else ""
    return did_you_mean(name, known) or (f"; there are {', '.join(known[:MOST_NAMES])}{rest}." if known else ".")


class RegistryConfig(_RegistryBase):
    """All agents and templates; names are unique and every agent step names an agent."""

    agents: list[AgentProfile] = []
    pipelines: list[PipelineTemplate] = []

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        found = [entry.message for entry in contradictions(self.agents, self.pipelines)]
        if found:
            raise ValueError("; ".join(found))
        return self

    def find_agent(self, name: str) -> AgentProfile | None:
        """The agent of exactly this name, if there is one."""
        return next((agent for agent in self.agents if agent.name == name), None)

    def find_template(self, name: str) -> PipelineTemplate | None:
        """The template of exactly this name, if there is one."""
        return next((template for template in self.pipelines if template.name == name), None)

    def get_agent(self, name: str, pointer: str = "/agent") -> AgentProfile:
        """The agent; UnknownAgent with the nearest names (or all), pointing at `pointer` of the request."""
        found = self.find_agent(name)
        if found is None:
            names = [agent.name for agent in self.agents]
            detail = f"There is no agent {name!r}{which_there_are(name, names)}"
            raise UnknownAgent(detail, (FieldError(pointer, detail, candidates(name, names)),))
        return found

    def get_template(self, name: str, pointer: str = "/template") -> PipelineTemplate:
        """The template; UnknownTemplate with the nearest names (or all), pointing at `pointer` of the request."""
        found = self.find_template(name)
        if found is None:
            names = [template.name for template in self.pipelines]
            detail = f"There is no template {name!r}{which_there_are(name, names)}"
            raise UnknownTemplate(detail, (FieldError(pointer, detail, candidates(name, names)),))
        return found


class _ResponseBase(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True, json_schema_serialization_defaults_required=True)


class AgentProfileResponse(_ResponseBase):
    """An agent in lists."""

    name: str
    description: str
    opencode_agent: str
    default_model: str | None = None


class AgentProfileDetail(AgentProfileResponse):
    """A single agent, with every field that its entry in the file has."""

    system_prompt_additions: str = ""
    permissions: tuple[PermissionRule, ...] = ()


class TemplateResponse(_ResponseBase):
    """A template, with every field that its entry in the file has."""

    name: str
    description: str
    steps: list[StepDefinition]


class AgentPage(_ResponseBase):
    """All agents, in the order of the file."""

    items: list[AgentProfileResponse]
    next_cursor: str | None = None


class TemplatePage(_ResponseBase):
    """All templates, in the order of the file."""

    items: list[TemplateResponse]
    next_cursor: str | None = None

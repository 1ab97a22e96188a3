"""Reads the meaning of the registry files: a registry, or every problem with file, line and column."""

from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.adapters.registry_yaml import Document, Path, Place, read_yaml
from app.schemas.permissions import PermissionRule
from app.schemas.registry import (
    AgentProfile,
    AgentsFile,
    AgentStep,
    ApprovalStep,
    PipelinesFile,
    PipelineTemplate,
    RegistryConfig,
    contradictions,
    did_you_mean,
)
from app.schemas.registry_errors import RegistryProblem, RegistryReading, RegistrySources, SourceFile
from app.schemas.step_policy import LimitsOfStep, RetryOfStep

Model = TypeVar("Model", bound=BaseModel)

AGENTS = "agents.yaml"
PIPELINES = "pipelines.yaml"

_SENTENCES = {
    "string_type": "must be a text; put it in quotes",
    "string_too_short": "must not be blank",
    "string_unicode": "must not contain half of a surrogate pair",
    "list_type": "must be a list",
    "model_type": "must be a mapping with keys",
    "model_attributes_type": "must be a mapping with keys",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "union_tag_invalid": "the type of a step is agent or approval",
    "union_tag_not_found": "must be a mapping with keys",
    "string_pattern_mismatch": "a name begins with a letter and has only letters, digits, space, dot, - and _",
}
_MODELS: dict[Path, type[BaseModel]] = {
    ("agents",): AgentProfile,
    ("pipelines",): PipelineTemplate,
    ("agents", "permissions"): PermissionRule,
    ("pipelines", "steps", "agent"): AgentStep,
    ("pipelines", "steps", "agent", "permissions"): PermissionRule,
    ("pipelines", "steps", "agent", "limits"): LimitsOfStep,
    ("pipelines", "steps", "agent", "retry"): RetryOfStep,
    ("pipelines", "steps", "approval"): ApprovalStep,
}


def parse_registry(sources: RegistrySources) -> RegistryReading:
    """Never raises. A registry only when both files are right and fit together."""
    found = {file.name: _Parsed(file) for file in sources.files}
    agents, pipelines = found[AGENTS].check(AgentsFile), found[PIPELINES].check(PipelinesFile)
    problems = [*found[AGENTS].problems, *found[PIPELINES].problems]
    if problems or agents is None or pipelines is None:
        return RegistryReading(None, tuple(problems))
    for entry in contradictions(agents.agents, pipelines.pipelines):
        found[AGENTS if entry.path[0] == "agents" else PIPELINES].add(entry.path, entry.message)
    problems = [*found[AGENTS].problems, *found[PIPELINES].problems]
    if problems:
        return RegistryReading(None, tuple(problems))
    return RegistryReading(RegistryConfig(agents=agents.agents, pipelines=pipelines.pipelines))


class _Parsed:
    """One file on its way from bytes to checked types, collecting what is wrong with it."""

    def __init__(self, file: SourceFile) -> None:
        self._name = file.name
        self.problems: list[RegistryProblem] = []
        self._document = Document()
        if file.content is None:
            self._note(None, file.problem or "the file could not be read")
            return
        self._document = read_yaml(file.content)
        for place, message in self._document.problems:
            self._note(place, message)

    def check(self, model: type[Model]) -> Model | None:
        """The file as its type, or None when it has problems, at whatever level."""
        if self.problems:
            return None
        try:
            return model.model_validate(self._document.data)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                self._explain(detail["type"], detail["loc"], detail["msg"])
            return None

    def add(self, path: Path, message: str) -> None:
        self._note(self._document.place_of(path), _within(path, self._document.data, message))

    def _explain(self, kind: str, loc: Path, message: str) -> None:
        path, shape = _without_tags(loc)
        if kind == "extra_forbidden":
            key = str(path[-1])
            known = list(_MODELS[shape[:-1]].model_fields) if shape[:-1] in _MODELS else list(_TOP[self._name])
            text = _within(path[:-1], self._document.data, f"unknown key `{key}`{did_you_mean(key, known)}")
            self._note(self._document.keys.get(path), text)
        elif kind == "missing":
            text = _within(path[:-1], self._document.data, f"the key `{path[-1]}` is missing")
            self._note(self._document.place_of(path), text)
        else:
            sentence = _SENTENCES.get(kind) or message.removeprefix("Value error, ").replace(
                "Input should be", "must be"
            )
            self.add(path, sentence[:1].lower() + sentence[1:])

    def _note(self, place: Place | None, message: str) -> None:
        line, column = (place.line, place.column) if place else (None, None)
        self.problems.append(RegistryProblem(file=self._name, line=line, column=column, message=message))


_TOP = {AGENTS: AgentsFile.model_fields, PIPELINES: PipelinesFile.model_fields}


def _without_tags(loc: Path) -> tuple[Path, Path]:
    """The place in the file (pydantic puts the kind of a step in between), and the same without indexes but with it."""
    path = loc[:4] + loc[5:] if len(loc) > 4 and loc[2] == "steps" else loc
    return path, tuple(part for part in loc if isinstance(part, str))


def _within(path: Path, data: Any, message: str) -> str:
    """`entry 2 of agents ('developer'), default_model: …`, as people count and name things."""
    words = list(_words(path, data))
    return f"{', '.join(words)}: {message}" if words else message


def _words(path: Path, data: Any) -> Iterator[str]:
    for at, part in enumerate(path):
        inner = path[at + 1] if at + 1 < len(path) else None
        if isinstance(part, int):
            name = _name_of(data, path[: at + 1])
            yield f"step {part + 1}" if path[at - 1] == "steps" else f"entry {part + 1} of {path[at - 1]}{name}"
        elif not isinstance(inner, int):
            yield str(part)


def _name_of(data: Any, path: Path) -> str:
    try:
        for part in path:
            data = data[part]
        name = data["name"]
    except (KeyError, IndexError, TypeError):
        return ""
    return f" ({str(name)[:60]!r})"

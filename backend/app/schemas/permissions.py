"""What an agent may do without asking: rules by tool and pattern, and the one function that applies them."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.schemas.text import storable

MAX_RULES = 200
EDITING = frozenset({"write", "patch", "apply_patch", "multiedit"})
"""Tools for which OpenCode asks under the one name `edit`."""

PermissionAction = Literal["allow", "deny", "ask"]


_TOOL = r"^[A-Za-z0-9_.*?-]+$"


def _tool(value: str) -> str:
    if not re.fullmatch(_TOOL, value):
        raise ValueError("a tool is a name such as bash or edit, with * for any of them")
    return value


ToolPattern = Annotated[
    str,
    Field(min_length=1, max_length=100, json_schema_extra={"pattern": _TOOL}),
    AfterValidator(_tool),
]
SubjectPattern = Annotated[str, StringConstraints(min_length=1, max_length=1_000), AfterValidator(storable)]


class PermissionRule(BaseModel):
    """One rule. `pattern` is about what the tool is used on: the command of bash, the path of edit and read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tool: ToolPattern
    pattern: SubjectPattern = "*"
    action: PermissionAction

    @property
    def permission(self) -> str:
        """The name under which OpenCode asks for this tool."""
        return "edit" if self.tool in EDITING else self.tool

    def covers(self, permission: str, subject: str) -> bool:
        """Whether the rule speaks about this use of a tool, by OpenCode's own reading of patterns."""
        return _matches(permission, self.permission) and _matches(subject, self.pattern)


class ExactRule(PermissionRule):
    """A rule about one subject and nothing else: `*` and `?` in it are what was really asked for."""

    def covers(self, permission: str, subject: str) -> bool:
        """Only the very same use."""
        return (permission, subject) == (self.tool, self.pattern)


PermissionRules = Annotated[tuple[PermissionRule, ...], Field(max_length=MAX_RULES)]

DEFAULT_RULES: tuple[PermissionRule, ...] = tuple(
    PermissionRule(tool=tool, action="deny") for tool in ("question", "external_directory", "doom_loop")
)
"""Every step begins with these. No `* allow`: it would lift what a read-only agent may not do."""

_REACHES_SUB_AGENTS = frozenset({rule.tool for rule in DEFAULT_RULES} | {"task"})


def effective_rules(agent: Sequence[PermissionRule], step: Sequence[PermissionRule]) -> tuple[PermissionRule, ...]:
    """The rules of a step: defaults, then the agent's, then the step's own; later ones win.

    OpenCode passes no `ask` on to sub-agents. Where a tool asks, starting one therefore asks too,
    unless a rule says otherwise: it could do without a question what its parent may not.
    """
    own = (*agent, *step)
    asks = any(rule.action == "ask" and rule.tool not in _REACHES_SUB_AGENTS for rule in own)
    return (*DEFAULT_RULES, *((PermissionRule(tool="task", action="ask"),) if asks else ()), *own)


def decide(rules: Sequence[PermissionRule], tool: str, patterns: Sequence[str]) -> PermissionAction:
    """What the rules say about a use of a tool; of several patterns the strictest answer counts.

    For each pattern the last rule that covers it wins. What no rule covers is denied: OpenCode only
    asks where its own configuration does, and nobody may be there.
    """
    found = {_last(rules, tool, pattern) for pattern in patterns or ("*",)}
    for action in ("deny", "ask"):
        if action in found:
            return action
    return "allow"


def _last(rules: Sequence[PermissionRule], tool: str, pattern: str) -> PermissionAction:
    return next((rule.action for rule in reversed(rules) if rule.covers(tool, pattern)), "deny")


def _matches(text: str, pattern: str) -> bool:
    """`*` is any text, `?` any character; a last ` *` may be missing, so `git *` is `git` too."""
    return _glob(text, pattern) or (pattern.endswith(" *") and _glob(text, pattern[:-2]))


def _glob(text: str, pattern: str) -> bool:
    """Goes back to the last star only: quadratic at worst, whatever an agent writes into a command."""
    at = place = 0
    star, resume = -1, 0
    while at < len(text):
        if place < len(pattern) and pattern[place] == "*":
            star, resume = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in ("?", text[at]):
            at += 1
            place += 1
        elif star >= 0:
            resume += 1
            at, place = resume, star + 1
        else:
            return False
    return all(character == "*" for character in pattern[place:])

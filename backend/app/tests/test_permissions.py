"""Permission rules: the order in which they win, what patterns mean, and where they may stand."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.schemas.permissions import DEFAULT_RULES, ExactRule, PermissionRule, decide, effective_rules

ACTIONS = ("allow", "deny", "ask")
TOOLS = ("bash", "edit", "read", "*", "b*", "question")
TEXTS = st.text("ab *?/.\n(", max_size=8)
RULES = st.lists(
    st.builds(
        PermissionRule,
        tool=st.sampled_from(TOOLS),
        pattern=st.text("ab *?/.(", min_size=1, max_size=6),
        action=st.sampled_from(ACTIONS),
    ),
    max_size=6,
)
STRICTNESS = {"allow": 0, "ask": 1, "deny": 2}


def rule(tool: str, action: str, pattern: str = "*") -> PermissionRule:
    """A rule in the order in which it is read."""
    return PermissionRule.model_validate({"tool": tool, "pattern": pattern, "action": action})


def opencode_matches(text: str, pattern: str) -> bool:
    """OpenCode 1.18.33's own function, said in Python."""
    escaped = re.sub(r"[.+^${}()|\[\]\\]", lambda found: "\\" + found.group(), pattern)
    escaped = escaped.replace("*", ".*").replace("?", ".")
    if escaped.endswith(" .*"):
        escaped = escaped[:-3] + "( .*)?"
    return re.fullmatch(escaped, text, re.DOTALL) is not None


@given(TEXTS, st.text("ab *?/.(", min_size=1, max_size=6))
def test_patterns_mean_what_they_mean_to_opencode(text: str, pattern: str) -> None:
    assert rule("bash", "allow", pattern).covers("bash", text) is opencode_matches(text, pattern)


@given(RULES, st.sampled_from(("bash", "edit", "question")), TEXTS, st.sampled_from(ACTIONS))
def test_the_last_rule_that_covers_a_use_wins(
    rules: list[PermissionRule], tool: str, subject: str, action: str
) -> None:
    assert decide([*rules, rule(tool, action)], tool, [subject]) == action
    covering = [one.action for one in rules if one.covers(tool, subject)]
    assert decide(rules, tool, [subject]) == (covering[-1] if covering else "deny")


@given(RULES, st.lists(TEXTS, min_size=1, max_size=4))
def test_of_several_subjects_the_strictest_answer_counts(rules: list[PermissionRule], subjects: list[str]) -> None:
    single = [decide(rules, "bash", [subject]) for subject in subjects]
    assert decide(rules, "bash", subjects) == max(single, key=STRICTNESS.__getitem__)
    assert decide(rules, "bash", [*subjects, *subjects[::-1]]) == decide(rules, "bash", subjects)


@given(TEXTS, TEXTS)
def test_an_exact_rule_covers_nothing_but_itself(asked: str, other: str) -> None:
    remembered = ExactRule.model_construct(tool="bash", pattern=asked, action="allow")
    assert decide([remembered], "bash", [asked]) == "allow"
    assert decide([remembered], "bash", [other]) == ("allow" if other == asked else "deny")


def test_defaults_then_agent_then_step() -> None:
    agent, step = [rule("external_directory", "ask"), rule("bash", "ask")], [rule("bash", "allow", "git *")]
    rules = effective_rules(agent, step)
    assert decide(rules, "external_directory", ["/etc/*"]) == "ask"
    assert decide(rules, "bash", ["git status"]) == "allow"
    assert decide(rules, "bash", ["git"]) == "allow"
    assert decide(rules, "bash", ["git status", "rm -rf /"]) == "ask"
    assert decide(rules, "question", []) == "deny"
    assert effective_rules([], []) == DEFAULT_RULES
    assert decide(effective_rules([], []), "read", [".env"]) == "deny", "what nobody allowed"


def test_where_a_tool_asks_a_sub_agent_asks_too_unless_a_rule_says_otherwise() -> None:
    assert decide(effective_rules([rule("bash", "ask")], []), "task", ["general"]) == "ask"
    assert decide(effective_rules([rule("bash", "ask")], [rule("task", "allow")]), "task", ["general"]) == "allow"
    for harmless in (rule("question", "ask"), rule("external_directory", "ask"), rule("bash", "deny")):
        assert not any(one.tool == "task" for one in effective_rules([harmless], []))


@pytest.mark.parametrize("tool", ["write", "patch", "apply_patch", "multiedit", "edit", "e*"])
def test_every_tool_that_changes_files_is_edit(tool: str) -> None:
    assert decide([rule(tool, "ask")], "edit", ["a.txt"]) == "ask"


def test_a_long_pattern_is_no_trap() -> None:
    assert decide([rule("bash", "allow", "*a" * 400)], "bash", ["a" * 20_000 + "b"]) == "deny"


@pytest.mark.parametrize(
    "wrong",
    [
        {"tool": "bash"}, {"tool": "", "action": "ask"}, {"tool": "ba sh", "action": "ask"},
        {"tool": "bash", "action": "always"}, {"tool": "bash", "action": "ask", "pattern": ""},
        {"tool": "bash", "action": "ask", "patern": "x"},
    ],
)  # fmt: skip
def test_a_rule_that_says_nothing_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        PermissionRule.model_validate(wrong)

"""Registry files with mistakes: every one is reported with file, line and column, and none can hurt the reader."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.registry_files import RegistryFiles, fill_registry_folder, shipped_registry
from app.adapters.registry_yaml import MAX_BYTES, read_yaml
from app.schemas.registry import AgentStep, ApprovalStep
from app.schemas.registry_errors import RegistryReading, RegistrySources, SourceFile

AGENTS = """agents:
  - name: developer
    description: d
    opencode_agent: build
  - name: qa
    description: d
    opencode_agent: build
"""
PIPELINES = """pipelines:
  - name: fix
    description: d
    steps:
      - agent: developer
      - type: approval
      - agent: qa
        model: local/echo
"""


def reading(folder: Path, agents: str | bytes = AGENTS, pipelines: str | bytes = PIPELINES) -> RegistryReading:
    for name, content in (("agents.yaml", agents), ("pipelines.yaml", pipelines)):
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    files = RegistryFiles(folder)
    return files.parse(files.read())


def problems(folder: Path, agents: str | bytes = AGENTS, pipelines: str | bytes = PIPELINES) -> list[str]:
    found = reading(folder, agents, pipelines)
    assert (found.config is None) == bool(found.problems)
    return [str(problem) for problem in found.problems]


def test_a_good_registry(tmp_path: Path) -> None:
    config = reading(tmp_path).config
    assert config is not None
    assert [agent.name for agent in config.agents] == ["developer", "qa"]
    assert config.get_template("fix").steps == [
        AgentStep(agent="developer"),
        ApprovalStep(),
        AgentStep(agent="qa", model="local/echo"),
    ]


def test_json_is_yaml(tmp_path: Path) -> None:
    agents = '\ufeff{"agents": [{"name": "a", "description": "\\ud83d\\ude00", "opencode_agent": "plan"}]}'
    config = reading(tmp_path, agents, '{"pipelines": []}').config
    assert config is not None
    assert config.agents[0].description == "\U0001f600"


def test_the_shipped_registry(tmp_path: Path) -> None:
    assert fill_registry_folder(tmp_path / "config")
    files = RegistryFiles(tmp_path / "config")
    found = files.parse(files.read())
    assert found.problems == ()
    assert found.config is not None
    agents = {agent.name: agent for agent in found.config.agents}
    assert list(agents) == [
        "product_owner", "architect", "designer", "developer", "senior_reviewer", "qa", "issue_creator"
    ]  # fmt: skip
    assert all(agent.default_model is None and agent.system_prompt_additions for agent in agents.values())
    assert {name for name, agent in agents.items() if agent.opencode_agent == "build"} == {"developer", "qa"}
    assert {agent.opencode_agent for agent in agents.values()} == {"build", "plan"}
    templates = {template.name: template.steps for template in found.config.pipelines}
    assert set(templates) == {"full_feature", "quick_fix", "reviewed_fix", "issue_only"}
    assert any(isinstance(step, ApprovalStep) for step in templates["reviewed_fix"])
    assert not any(isinstance(step, ApprovalStep) for step in templates["quick_fix"])
    assert all(step.description for steps in templates.values() for step in steps)


def test_filling_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yaml").write_text("mine")
    assert not fill_registry_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["pipelines.yaml"]
    assert (shipped_registry() / "agents.yaml").is_file()


def test_a_folder_that_cannot_be_filled_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "config").write_text("a file")
    assert not fill_registry_folder(tmp_path / "config")
    assert "could not be put into" in caplog.text
    files = RegistryFiles(tmp_path / "config")
    assert [problem.line for problem in files.parse(files.read()).problems] == [None, None]


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        ("", "agents.yaml:1:1: the file is empty"),
        ("agents:\n  - name: [\n", "agents.yaml:3:1: while parsing a flow node"),
        ("agents:\n  - name: a\n   description: d\n", "agents.yaml:3:4: while parsing a block"),
        ("agents: []\nagents: []\n", "agents.yaml:2:1: the key `agents` stands here a second time"),
        ("agents: []\n---\nagents: []\n", "agents.yaml:2:1: expected a single document"),
        ("agents: !!python/name:os.system\n", "agents.yaml:1:9: the tag"),
        ("agents: &x\n  - &y {name: a}\n  - *y\n", "agents.yaml:2:5: an alias may stand for a single value only"),
        ("agents: &x [*x]\n", "agents.yaml:1:9: an alias may stand for a single value only"),
        ("agents: " + "[" * 30, "agents.yaml:1:28: lists and mappings are nested deeper than 20 levels"),
        (b"agents: []\n# \xe4\n", "agents.yaml:2:3: the file is not UTF-8 text"),
        (b"agents: []\n\n  \x07", "agents.yaml:3:3: the character U+0007 is not allowed in YAML"),
        ("- a", "agents.yaml:1:1: must be a mapping with keys"),
        ("agents: 5", "agents.yaml:1:9: agents: must be a list"),
        ("{}", "agents.yaml:1:1: the key `agents` is missing"),
        ("agents: []\nx: 1", "agents.yaml:2:1: unknown key `x`"),
        (AGENTS + "    modle: x\n", "agents.yaml:8:5: entry 2 of agents ('qa'): unknown key `modle`"),
        (
            AGENTS + "    default_modle: x\n",
            "agents.yaml:8:5: entry 2 of agents ('qa'): unknown key `default_modle`; did you mean default_model?",
        ),
        (
            AGENTS.replace("    description: d\n", "", 1),
            "agents.yaml:2:5: entry 1 of agents ('developer'): the key `description` is missing",
        ),
        (
            AGENTS + "    permissions:\n      - {tool: web fetch, action: deny}\n",
            "agents.yaml:9:16: entry 2 of agents ('qa'), entry 1 of permissions, tool: a tool is a name such as bash",
        ),
        (
            AGENTS + "    default_model: ''\n",
            "agents.yaml:8:20: entry 2 of agents ('qa'), default_model: must not be blank",
        ),
        (
            AGENTS + "    default_model: 5\n",
            "agents.yaml:8:20: entry 2 of agents ('qa'), default_model: must be a text; put it in quotes",
        ),
        (
            AGENTS.replace("name: qa", "name: 2nd"),
            "agents.yaml:5:11: entry 2 of agents ('2nd'), name: a name begins with a letter",
        ),
        (
            AGENTS.replace("name: qa", "name: developer"),
            "agents.yaml:5:11: entry 2 of agents ('developer'), name: the name 'developer' is taken by entry 1",
        ),
        (AGENTS + '    system_prompt_additions: "a\\0b"\n', "agents.yaml:8:30: entry 2 of agents ('qa'), system_pr"),
        (AGENTS + '    default_model: "\\ud800"\n', "agents.yaml:8:20: entry 2 of agents ('qa'), default_model: must"),
        ("agents: 0x" + "f" * 5000, "agents.yaml:1:9: agents: must be a list"),
        ("agents: " + "9" * 5000, "agents.yaml:1:9: '9999"),
    ],
)
def test_mistakes_in_agents(tmp_path: Path, agents: str | bytes, expected: str) -> None:
    found = problems(tmp_path, agents, "pipelines: []")
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "- agent: qa",
            "- agent: qaa",
            "pipelines.yaml:7:16: entry 1 of pipelines ('fix'), step 3, agent: "
            "there is no agent 'qaa'; did you mean qa?",
        ),
        (
            "model: local/echo",
            "modell: local/echo",
            "pipelines.yaml:8:9: entry 1 of pipelines ('fix'), step 3: unknown key `modell`; did you mean model?",
        ),
        (
            "type: approval",
            "type: shell",
            "pipelines.yaml:6:9: entry 1 of pipelines ('fix'), step 2: the type of a step is agent or approval",
        ),
        ("type: approval", "model: x", "pipelines.yaml:6:9: entry 1 of pipelines ('fix'), step 2: the key `agent` is"),
        (
            "type: approval",
            "{type: approval, remind_after_hours: -1}",
            "pipelines.yaml:6:46: entry 1 of pipelines ('fix'), step 2, remind_after_hours: must be greater than 0",
        ),
        (
            "model: local/echo",
            "permissions: [{tool: bash, pattern: git *, action: alow}]",
            "pipelines.yaml:8:60: entry 1 of pipelines ('fix'), step 3, entry 1 of permissions, action: "
            "must be 'allow', 'deny' or 'ask'",
        ),
        (
            "model: local/echo",
            "permissions: [{tool: bash, action: ask, patern: x}]",
            "pipelines.yaml:8:49: entry 1 of pipelines ('fix'), step 3, entry 1 of permissions: "
            "unknown key `patern`; did you mean pattern",
        ),
        (
            "model: local/echo",
            "retry: {attemps: 3}",
            "pipelines.yaml:8:17: entry 1 of pipelines ('fix'), step 3, retry: "
            "unknown key `attemps`; did you mean attempts?",
        ),
        (
            "model: local/echo",
            "retry: {on: [stalled, denied]}",
            "pipelines.yaml:8:31: entry 1 of pipelines ('fix'), step 3, retry, entry 2 of on: must be 'interrupted'",
        ),
        (
            "model: local/echo",
            "limits: {max_model_calls: many}",
            "pipelines.yaml:8:35: entry 1 of pipelines ('fix'), step 3, limits, max_model_calls: "
            "must be a whole number",
        ),
        ("- type: approval", "- text", "pipelines.yaml:6:9: entry 1 of pipelines ('fix'), step 2: "),
    ],
)
def test_mistakes_in_steps(tmp_path: Path, old: str, new: str, expected: str) -> None:
    found = problems(tmp_path, pipelines=PIPELINES.replace(old, new))
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_all_mistakes_of_both_files_are_reported_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, AGENTS + "    a: 1\n    b: 1\n", PIPELINES + "        c: 1\n")
    assert [text.split(": ")[0] for text in found] == ["agents.yaml:8:5", "agents.yaml:9:5", "pipelines.yaml:9:9"]


def test_an_alias_for_a_text_is_fine(tmp_path: Path) -> None:
    agents = AGENTS.replace("description: d", "description: &d shared", 1).replace("description: d", "description: *d")
    config = reading(tmp_path, agents).config
    assert config is not None
    assert [agent.description for agent in config.agents] == ["shared", "shared"]


def test_a_bomb_of_aliases_stays_small() -> None:
    levels = [b"a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    levels += [b"a%d: &a%d [%s]" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 9)]
    started = time.monotonic()
    assert read_yaml(b"\n".join(levels)).problems
    assert time.monotonic() - started < 2


def test_what_is_no_file_is_a_problem_and_never_blocks(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yaml").mkdir()
    os.mkfifo(tmp_path / "agents.yaml")
    files = RegistryFiles(tmp_path)
    found = [str(problem) for problem in files.parse(files.read()).problems]
    assert found == ["agents.yaml: this is not a regular file", "pipelines.yaml: this is not a regular file"]


def test_a_huge_file_is_refused_without_being_parsed(tmp_path: Path) -> None:
    started = time.monotonic()
    found = problems(tmp_path, "agents: []\n#" + "x" * MAX_BYTES)
    assert found == ["agents.yaml: the file has more than 1,000,000 bytes"]
    assert time.monotonic() - started < 1


@settings(deadline=None)
@given(st.one_of(st.binary(), st.text().map(str.encode), st.text(alphabet="a:-[]{}&*!|>'\"#%@ \n\t01").map(str.encode)))
def test_any_bytes_are_read_or_explained(content: bytes) -> None:
    document = read_yaml(content)
    assert document.problems or () in document.values


KEYS = st.sampled_from(["agents", "pipelines", "name", "description", "steps", "agent", "type", "model", "x"])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["agent", "approval", "a", ""])
)
DOCUMENTS = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))


@settings(deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_any_data_is_a_registry_or_has_problems_with_places(agents: object, pipelines: object) -> None:
    documents = {"agents.yaml": agents, "pipelines.yaml": {"pipelines": [{"name": "a", "steps": [pipelines]}]}}
    files = tuple(SourceFile(name, json.dumps(data).encode()) for name, data in documents.items())
    found = RegistryFiles(Path("unused")).parse(RegistrySources("", files))
    assert (found.config is None) == bool(found.problems)
    assert all(problem.line == 1 and problem.column for problem in found.problems)

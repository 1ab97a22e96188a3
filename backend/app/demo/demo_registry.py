"""Agents and templates of the demo, its models, and which of them the run asks for."""

from pathlib import Path

from app.demo.provider_config import PROVIDER, ScriptedModel, ScriptedSetup

TEMPLATE = "guided_fix"

MODELS = (
    ScriptedModel("atlas-1", "Atlas 1 (scripted)", context=400_000, price_input=3.0, price_output=15.0),
    ScriptedModel("forge-2", "Forge 2 (scripted)", context=200_000, price_input=1.25, price_output=10.0),
    ScriptedModel("probe-mini", "Probe Mini (scripted)", context=128_000, price_input=0.25, price_output=2.0),
    ScriptedModel("quill-1", "Quill 1 (scripted)", context=64_000, price_input=0.1, price_output=0.4),
)
SETUP = ScriptedSetup(MODELS, default_model="atlas-1")

STEP_MODELS = {2: f"{PROVIDER}/probe-mini"}
"""The run's own choice; the other steps show the other three ways to name a model."""

_AGENTS = f"""# The agents of the demo. `system_prompt_additions` goes into the prompt of each of their steps.
agents:
  - name: architect
    description: Finds the cause and plans the smallest fix
    opencode_agent: plan
    default_model: {PROVIDER}/atlas-1   # for every step of this agent that names no other
    system_prompt_additions: |
      You are the architect. Read the code before you decide. Change no files.
  - name: developer
    description: Makes the change, with a test that fails without it
    opencode_agent: build
    system_prompt_additions: |
      You are the developer. Reproduce the defect with a test, fix it, run the tests.
  - name: qa
    description: Tries to break the result and adds the tests that are missing
    opencode_agent: build
    system_prompt_additions: |
      You are responsible for quality. Run the result, check the edges, add missing tests.
  - name: release_editor
    description: Tells the users what has changed
    opencode_agent: build
    system_prompt_additions: |
      You are the release editor. Write the change into the changelog in the users' words.
  - name: release_manager
    description: Prepares a release, and asks what only a person can know
    opencode_agent: build
    system_prompt_additions: |
      You are the release manager. Ask before you decide about numbers, words and tags.
"""

_PIPELINES = f"""# The template of the demo. A step without a model takes the one of its agent.
pipelines:
  - name: {TEMPLATE}
    description: A defect, from its cause to the changelog, with a decision before it is announced
    steps:
      - agent: architect
        description: Find the cause and plan the fix.
      - agent: developer
        model: {PROVIDER}/forge-2
        description: Make the planned fix with its test.
      - agent: qa
        description: Check the edges and add the tests that are missing.
      - type: approval
        description: Is the fix good enough to be announced? Your comment goes to the release editor.
      - agent: release_editor
        model: quill-1   # a bare name is looked up among the connected providers
        description: Add the change to the changelog.
  - name: plan_only
    description: Only the architect's plan
    steps:
      - agent: architect
        description: Find the cause and plan the fix.
  - name: ask_first
    description: An agent that asks you two questions, and before each of its commands
    steps:
      - agent: release_manager
        description: Prepare the release of what is in the working tree.
        permissions:
          - {{tool: question, action: ask}}   # without this, agents cannot ask questions
          - {{tool: bash, action: ask}}
"""


def write_registry(folder: Path) -> None:
    """Put the demo's `agents.yaml` and `pipelines.yaml` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "agents.yaml").write_text(_AGENTS, encoding="utf-8")
    (folder / "pipelines.yaml").write_text(_PIPELINES, encoding="utf-8")

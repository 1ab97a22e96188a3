"""The registry's types: what a file may say, and what is refused."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.errors import UnknownAgent, UnknownTemplate
from app.schemas.registry import (
    AgentProfile,
    AgentProfileDetail,
    AgentProfileResponse,
    AgentStep,
    ApprovalStep,
    PipelineTemplate,
    RegistryConfig,
    StepDefinition,
    TemplateResponse,
)

STEP: TypeAdapter[AgentStep | ApprovalStep] = TypeAdapter(StepDefinition)


def agent(name: str = "developer", **more: Any) -> AgentProfile:
    return AgentProfile(name=name, description="d", opencode_agent="build", **more)


def template(name: str = "fix", *steps: AgentStep | ApprovalStep) -> PipelineTemplate:
    return PipelineTemplate(name=name, description="d", steps=list(steps) or [AgentStep(agent="developer")])


def test_agent_profile_default_model_defaults_to_none() -> None:
    profile = AgentProfile(name="x", description="d", opencode_agent="x")
    assert profile.default_model is None
    assert profile.system_prompt_additions == ""


def test_agent_step_model_defaults_to_none() -> None:
    step = AgentStep(agent="developer")
    assert step.model is None
    assert (step.type, step.description) == ("agent", "")


def test_a_step_without_type_is_an_agent_step() -> None:
    given = {"agent": "developer", "model": "local/a/b"}
    assert STEP.validate_python(given) == AgentStep(agent="developer", model="local/a/b")
    assert given == {"agent": "developer", "model": "local/a/b"}
    assert STEP.validate_python({"type": "approval", "remind_after_hours": 2}) == ApprovalStep(remind_after_hours=2)


@pytest.mark.parametrize(
    "step",
    [
        {},
        {"type": "agent"},
        {"type": "shell", "agent": "developer"},
        {"agent": "developer", "modle": "x"},
        {"agent": "developer", "model": ""},
        {"agent": "developer", "model": " \t"},
        {"agent": "developer", "model": "m" * 256},
        {"agent": "developer", "model": 4},
        {"agent": "developer", "model": "a\x00b"},
        {"agent": "developer", "remind_after_hours": 1},
        {"type": "approval", "agent": "developer"},
        {"type": "approval", "model": "x"},
        {"type": "approval", "remind_after_hours": 0},
        {"type": "approval", "remind_after_hours": -1},
        {"type": "approval", "remind_after_hours": float("nan")},
        {"type": "approval", "remind_after_hours": float("inf")},
        {"type": "approval", "remind_after_hours": True},
        {"type": "approval", "remind_after_hours": "2"},
        "developer",
        None,
    ],
)
def test_wrong_steps_are_refused(step: object) -> None:
    with pytest.raises(ValidationError):
        STEP.validate_python(step)


def test_a_model_of_255_characters_is_taken_and_blanks_around_it_are_not() -> None:
    assert AgentStep(agent="a", model=" " + "m" * 255 + "\n").model == "m" * 255


@pytest.mark.parametrize("name", ["developer", "Senior Reviewer", "qa-2", "prüfer", "a.b_c"])
def test_names(name: str) -> None:
    assert agent(name).name == name


@pytest.mark.parametrize("name", ["", " ", "2", "1st", "a/b", "a=b", "-a", "a\nb", "a\x00", "a" * 101, "\ud800", "a?b"])
def test_wrong_names_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        agent(name)


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        AgentProfile.model_validate({"name": "a", "description": "", "opencode_agent": "build", "colour": "red"})


@pytest.mark.parametrize(("count", "good"), [(0, False), (1, True), (50, True), (51, False)])
def test_a_template_has_1_to_50_steps(count: int, good: bool) -> None:
    document = {"name": "t", "description": "", "steps": [{"agent": "a"}] * count}
    if good:
        assert len(PipelineTemplate.model_validate(document).steps) == count
    else:
        with pytest.raises(ValidationError, match="steps"):
            PipelineTemplate.model_validate(document)


def test_every_contradiction_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        RegistryConfig(
            agents=[agent("developer"), agent("developer")],
            pipelines=[template("fix", AgentStep(agent="develper"), ApprovalStep()), template("fix")],
        )
    text = str(caught.value)
    assert "the name 'developer' is taken by entry 1" in text
    assert "the name 'fix' is taken by entry 1" in text
    assert "there is no agent 'develper'; did you mean developer?" in text


def test_get_agent_and_get_template() -> None:
    config = RegistryConfig(agents=[agent("developer")], pipelines=[template("fix")])
    assert config.get_agent("developer").name == "developer"
    assert config.get_template("fix").name == "fix"
    assert (config.find_agent("x"), config.find_template("x")) == (None, None)
    with pytest.raises(UnknownAgent) as no_agent:
        config.get_agent("Develper", pointer="/custom_steps/0/agent")
    assert no_agent.value.errors[0].pointer == "/custom_steps/0/agent"
    assert no_agent.value.errors[0].candidates == ("developer",)
    with pytest.raises(UnknownTemplate, match="no template 'fx'; did you mean fix"):
        config.get_template("fx")


def test_an_unknown_name_that_is_near_none_gets_the_names_that_there_are() -> None:
    few = RegistryConfig(agents=[agent("developer")], pipelines=[template("fix"), template("plan")])
    with pytest.raises(UnknownTemplate, match=r"no template 'qqq'; there are fix, plan\.") as refused:
        few.get_template("qqq")
    assert refused.value.errors[0].candidates == ("fix", "plan")
    many = RegistryConfig(agents=[agent("developer"), *(agent(f"role {n:02}") for n in range(12))])
    with pytest.raises(UnknownAgent, match=r"developer, role 00, .*, role 08 and 3 more\.") as refused_agent:
        many.get_agent("qqq")
    assert len(refused_agent.value.errors[0].candidates) == 10
    with pytest.raises(UnknownTemplate, match=r"no template 'fix'\."):
        many.get_template("fix")


def test_lists_hide_the_instructions_and_the_single_answer_has_them() -> None:
    profile = agent(system_prompt_additions="be kind", default_model="local/echo")
    listed = AgentProfileResponse.model_validate(profile).model_dump()
    assert listed == {
        "name": "developer",
        "description": "d",
        "opencode_agent": "build",
        "default_model": "local/echo",
    }
    assert AgentProfileDetail.model_validate(profile).model_dump() == profile.model_dump()


def test_a_template_reads_back_as_it_can_be_written() -> None:
    original = template("fix", AgentStep(agent="a", model="m", description="x"), ApprovalStep(remind_after_hours=1))
    answer = TemplateResponse.model_validate(original).model_dump(mode="json")
    assert PipelineTemplate.model_validate(answer) == original

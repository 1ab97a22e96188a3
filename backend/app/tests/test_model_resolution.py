"""Which model a step gets: the order of precedence, the origin, and names that are none."""

import pytest

from app.errors import InvalidStepModel
from app.schemas.model_resolution import AskedModel, ModelOrigin, parse_model, resolve_model


@pytest.mark.parametrize(
    ("override", "step", "agent", "custom", "expected"),
    [
        ("o/1", "s/1", "a/1", False, ("o/1", "run")),
        ("o/1", "s/1", "a/1", True, ("o/1", "run")),
        (None, "s/1", "a/1", False, ("s/1", "template")),
        (None, "s/1", "a/1", True, ("s/1", "custom_step")),
        (None, None, "a/1", False, ("a/1", "agent")),
        (None, None, "a/1", True, ("a/1", "agent")),
        (None, None, None, False, (None, "opencode")),
        (" gpt-4o ", None, "a/1", False, ("gpt-4o", "run")),
    ],
)
def test_precedence(
    override: str | None, step: str | None, agent: str | None, custom: bool, expected: tuple[str | None, ModelOrigin]
) -> None:
    assert resolve_model(override, step, agent, custom) == expected


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_name_is_refused_and_never_falls_through(blank: str) -> None:
    with pytest.raises(InvalidStepModel, match="blank"):
        resolve_model(blank, "s/1", "a/1", custom=False)
    with pytest.raises(InvalidStepModel, match="blank"):
        resolve_model(None, blank, "a/1", custom=False)


def test_a_name_is_split_at_the_first_slash() -> None:
    assert parse_model("router/anthropic/claude") == AskedModel("router", "anthropic/claude")
    assert parse_model("gpt-4o") == AskedModel(None, "gpt-4o")


@pytest.mark.parametrize("half", ["/x", "x/", "/", " /x"])
def test_half_a_name_is_refused(half: str) -> None:
    with pytest.raises(InvalidStepModel, match="provider/model"):
        parse_model(half)

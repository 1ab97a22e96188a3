"""Which model each step of a run runs on: checks what was asked, at creation and when a person changes it later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import FieldError, InvalidStepModel, UnknownModel
from app.models import Pipeline
from app.schemas.model_resolution import parse_model
from app.services import audit
from app.services.model_catalog import ModelCatalog


class HasType(Protocol):
    """A step of a template or of a run."""

    @property
    def type(self) -> str:
        """agent or approval."""
        ...


@dataclass(frozen=True)
class ChosenModel:
    """A model that a person asked for one step, and what it stands for if OpenCode could be asked."""

    asked: str
    resolved: str | None


def check_keys(overrides: Mapping[int, str], steps: Sequence[HasType]) -> None:
    """InvalidStepModel that names every key which is no agent step, or whose value is blank."""
    wrong = [
        FieldError(f"/step_models/{index}", problem)
        for index, model in overrides.items()
        if (problem := _problem(index, model, steps)) is not None
    ]
    if wrong:
        raise InvalidStepModel(wrong[0].message, tuple(wrong))


def _problem(index: int, model: str, steps: Sequence[HasType]) -> str | None:
    if not 0 <= index < len(steps):
        return f"step_models[{index}]: there is no such step; the indexes are 0 to {len(steps) - 1}."
    if steps[index].type != "agent":
        return f"step_models[{index}]: that step is a gate and runs no model."
    if not model.strip():
        return f"step_models[{index}]: the model is blank; leave the key out to inherit."
    if len(model) > 255:
        return f"step_models[{index}]: a model name has at most 255 characters."
    parse_model(model)
    return None


async def choose(
    catalog: ModelCatalog, overrides: Mapping[int, str], steps: Sequence[HasType], directory: str
) -> dict[int, ChosenModel]:
    """What a later change of models asks for, checked like a creation; nothing is written."""
    check_keys(overrides, steps)
    chosen: dict[int, ChosenModel] = {}
    for index, asked in overrides.items():
        try:
            resolved = await catalog.check_model(asked, directory, f"/step_models/{index}")
        except UnknownModel as error:
            raise type(error)(f"Step {index + 1}: {error.detail}", error.errors) from error
        chosen[index] = ChosenModel(asked.strip(), resolved)
    return chosen


def apply(db: AsyncSession, run: Pipeline, chosen: Mapping[int, ChosenModel], actor: str) -> None:
    """Store them on steps that have not begun; InvalidStepModel for one that has."""
    for index, model in chosen.items():
        step = run.steps[index]
        if step.status != "pending":
            detail = f"step_models[{index}]: that step is {step.status}; only steps still to come can change."
            raise InvalidStepModel(detail, (FieldError(f"/step_models/{index}", detail),))
        audit.record(
            db, "step.model_changed", actor=actor, pipeline_id=run.id, step_id=step.id,
            before=step.model, model=model.asked, resolved=model.resolved,
        )  # fmt: skip
        step.model, step.resolved_model, step.model_origin = model.asked, model.resolved, "run"

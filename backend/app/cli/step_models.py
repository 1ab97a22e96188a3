"""Reads `-m N=MODEL` and `-m AGENT=MODEL`: which step of a template runs on which model."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.cli.exits import CommandError, ExitCode
from app.schemas.registry import did_you_mean


def step_models(choices: Sequence[str], steps: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """The request's `step_models`, counted from 0. A step that is named by its number wins over its agent."""
    by_agent: dict[int, str] = {}
    by_number: dict[int, str] = {}
    for choice in choices:
        who, model = _split(choice)
        if who.isdecimal():
            by_number[_index(int(who), steps)] = model
        else:
            by_agent.update(dict.fromkeys(_steps_of(who, steps), model))
    return by_agent | by_number


def _split(choice: str) -> tuple[str, str]:
    who, equals, model = (part.strip() for part in choice.partition("="))
    if not (who and equals and model):
        raise CommandError(
            f"-m {choice!r} names no model for a step; write -m 2=provider/model or -m developer=provider/model.",
            ExitCode.REFUSED,
        )
    return who, model


def _index(number: int, steps: Sequence[Mapping[str, Any]]) -> int:
    if not 1 <= number <= len(steps):
        raise CommandError(f"There is no step {number}; the template has {len(steps)}.", ExitCode.REFUSED)
    if _agent(steps[number - 1]) is None:
        raise CommandError(f"Step {number} waits for a person and runs no model.", ExitCode.REFUSED)
    return number - 1


def _steps_of(agent: str, steps: Sequence[Mapping[str, Any]]) -> list[int]:
    found = [index for index, step in enumerate(steps) if _agent(step) == agent]
    if not found:
        known = list(dict.fromkeys(name for step in steps if (name := _agent(step))))
        detail = did_you_mean(agent, known) or f"; it has {', '.join(known)}."
        raise CommandError(f"No step of the template runs the agent {agent!r}{detail}", ExitCode.REFUSED)
    return found


def _agent(step: Mapping[str, Any]) -> str | None:
    return str(step["agent"]) if step.get("type") == "agent" else None

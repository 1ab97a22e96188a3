"""Read by schemathesis itself: makes cases that meet runs which exist, and checks that refusals are announced."""

import os
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

RUNS = int(os.environ.get("CHAOS_RUNS", "1"))
PROJECT = os.environ.get("CHAOS_PROJECT", "")
EVERY_OTHER = 2


@schemathesis.hook
def map_path_parameters(_context: HookContext, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Most ids are those of runs, steps and requests that there are; the others stay as they came."""
    for name, value in (path_parameters or {}).items():
        if name.endswith("_id") and isinstance(value, int) and value > RUNS and value % 5:
            assert path_parameters is not None
            path_parameters[name] = value % RUNS + 1
    return path_parameters


@schemathesis.hook
def map_body(_context: HookContext, body: Any) -> Any:
    """Every other creation names a template and a directory that there are."""
    if isinstance(body, dict) and isinstance(body.get("template"), str) and len(body["template"]) % EVERY_OTHER:
        body = body | {"template": "one"}
        if isinstance(body.get("working_dir"), str):
            body["working_dir"] = PROJECT
    return body


@schemathesis.check
def announced_refusals(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """A request that fits the document is never refused as one that does not; rules over several fields may."""
    if response.status_code != 422 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    problem = response.json()
    if problem["detail"].startswith("The request does not fit"):
        single = [place for place in problem["errors"] if not isinstance(_at(case.body, place["pointer"]), dict)]
        assert not single, f"fits the document and is refused: {problem}"


def _at(body: Any, pointer: str) -> Any:
    """What stands there; None where the pointer leads out of the body."""
    for part in pointer.split("/")[1:]:
        try:
            body = body[int(part)] if isinstance(body, list) else body[part]
        except (LookupError, TypeError, ValueError):
            return None
    return body

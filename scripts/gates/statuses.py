"""Gate: statuses move in the two files of transitions only, and nothing resets the engine's tables."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from tree import files

# What an agent asks has a life of its own, which pauses step and run: a file beside the one for everything else.
TRANSITIONS = ("backend/app/services/transitions.py", "backend/app/services/request_transitions.py")
# It empties the database that holds our own tables too.
FORBIDDEN_NAME = "reset_system_database"


def check(root: Path) -> list[str]:
    """Each place in the Python code that moves a status by itself, or names the forbidden call."""
    faults = []
    for file in files(root):
        if file.path.suffix != ".py" or file.text is None:
            continue
        tree = ast.parse(file.text)
        if file.name.startswith("backend/app/") and file.name not in TRANSITIONS:
            why = "moves a status; services/transitions.py and request_transitions.py do"
            faults += [f"{file.name}:{line}: {why}" for line in _moves(tree)]
        if not file.name.startswith("scripts/gates/"):
            faults += [f"{file.name}:{line}: {FORBIDDEN_NAME} would empty our own tables" for line in _resets(tree)]
    return faults


def _moves(tree: ast.AST) -> Iterator[int]:
    first = {id(node) for node in _first_statuses(tree)}
    for node in ast.walk(tree):
        # `x.status` where it is written to; a bare `status = …` is a local name and no attribute.
        if _is_written(node) and id(node) not in first:
            yield node.lineno
        if isinstance(node, ast.Call) and (_is_update(node) or _is_setattr(node)):
            yield node.lineno


def _is_written(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and node.attr == "status" and isinstance(node.ctx, ast.Store)


def _first_statuses(tree: ast.AST) -> Iterator[ast.Attribute]:
    """`self.status = …` in a constructor: what an object begins with (the HTTP status of an error, say)."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            for node in ast.walk(function):
                if _is_written(node) and isinstance(node.value, ast.Name) and node.value.id == "self":
                    yield node


def _is_setattr(call: ast.Call) -> bool:
    return (
        isinstance(call.func, ast.Name)
        and call.func.id == "setattr"
        and len(call.args) > 1
        and _names_status(call.args[1])
    )


def _is_update(call: ast.Call) -> bool:
    """`….values(status=…)` in any spelling, except on an INSERT: a new row has to begin somewhere."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "values"):
        return False
    keys = [key for argument in call.args if isinstance(argument, ast.Dict) for key in argument.keys]
    sets = any(word.arg == "status" for word in call.keywords) or any(_names_status(key) for key in keys)
    return sets and _root_call(call) != "insert"


def _names_status(node: ast.AST | None) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == "status"
    return isinstance(node, ast.Constant) and node.value == "status"


def _root_call(call: ast.Call) -> str:
    """The function at the left end of a chain: `update` in `update(T).where(…).values(…)`."""
    node: ast.expr = call
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
        node = node.func.value
    function = node.func if isinstance(node, ast.Call) else node
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _resets(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        spoken = (
            getattr(node, "attr", None),
            getattr(node, "id", None),
            getattr(node, "name", None),
            getattr(node, "value", None),
        )
        if any(isinstance(word, str) and word == FORBIDDEN_NAME for word in spoken):
            yield getattr(node, "lineno", 1)

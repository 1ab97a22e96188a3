"""Gate: functions stay within 40 lines and files within 300 (tests 400), or have a reason in allowed.toml."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tree import SourceFile, files

FUNCTION_LINES = 40
FILE_LINES = 300
TEST_FILE_LINES = 400
ALLOWED = "scripts/gates/allowed.toml"


def check(root: Path) -> list[str]:
    """Everything too long that has no reason to be, and every reason that nothing needs any more."""
    allowed = _allowed(root)
    found = dict(_too_long(root))
    faults = [f"{place}: {fault}" for place, fault in found.items() if place not in allowed]
    for place, reason in allowed.items():
        if place not in found:
            faults.append(f"{ALLOWED}: {place} is short enough now, take it out")
        elif len(reason.split()) < 3:
            faults.append(f"{ALLOWED}: {place} has no reason")
    return faults


def _allowed(root: Path) -> dict[str, str]:
    path = root / ALLOWED
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _too_long(root: Path) -> Iterator[tuple[str, str]]:
    for file in files(root):
        if not file.is_source or file.is_migration or file.text is None:
            continue
        limit = TEST_FILE_LINES if file.is_test else FILE_LINES
        length = len(file.text.splitlines())
        if length > limit:
            yield file.name, f"{length} lines, at most {limit}"
        if file.path.suffix == ".py":
            yield from _long_functions(file, file.text)


def _long_functions(file: SourceFile, text: str) -> Iterator[tuple[str, str]]:
    for name, node in _functions(ast.parse(text), ""):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES:
            yield f"{file.name}::{name}", f"{length} lines, at most {FUNCTION_LINES}"


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function below `node` with its qualified name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, child
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        else:
            yield from _functions(child, prefix)

"""Gate: every setting stands in docs/configuration.md and every error code in docs/errors.md, and nothing else does."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

SETTINGS = "docs/configuration.md"
ERRORS = "docs/errors.md"


def check(root: Path) -> list[str]:
    """What the code has and the documents lack, and variables that only the documents have."""
    sys.path.insert(0, str(root / "backend"))
    return [*_settings(root), *_errors(root)]


def _read(root: Path, name: str) -> str:
    path = root / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _settings(root: Path) -> Iterator[str]:
    fields = importlib.import_module("app.settings").Settings.model_fields
    variables = {f"PACELINE_{name.upper()}" for name in fields}
    text = _read(root, SETTINGS)
    documented = set(re.findall(r"\bPACELINE_[A-Z0-9_]*[A-Z0-9]\b", text))
    for name in sorted(variables - documented):
        yield f"{SETTINGS}: {name} is missing"
    for name in sorted(documented - variables):
        if not _is_read_somewhere(root, name):
            yield f"{SETTINGS}: {name} is no setting"


def _is_read_somewhere(root: Path, name: str) -> bool:
    """Some variables are read outside the settings, by the command line or the tests."""
    word = re.compile(rf"\b{name}\b")
    return any(word.search(path.read_text(encoding="utf-8")) for path in (root / "backend/app").rglob("*.py"))


def _errors(root: Path) -> Iterator[str]:
    text = _read(root, ERRORS)
    for code in sorted(_codes(importlib.import_module("app.errors").PacelineError)):
        if f"`{code}`" not in text:
            yield f"{ERRORS}: `{code}` is missing"


def _codes(error: type) -> set[str]:
    """The codes of an error class and of everything below it."""
    own = {str(vars(error)["code"])} if "code" in vars(error) else set[str]()
    below: list[type] = type.__subclasses__(error)
    return own.union(*(_codes(child) for child in below))

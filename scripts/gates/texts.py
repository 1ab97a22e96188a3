"""Gate: no registry address, machine path or secret in a file; files say what they are for; names mean something."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tree import SourceFile, files

# Written in two parts so that this file passes its own gate.
REGISTRIES = [
    "pypi" + ".org",
    "files.python" + "hosted.org",
    "registry.npm" + "js.org",
    "registry.yarn" + "pkg.com",
    "deb.deb" + "ian.org",
]
MACHINE_PATH = re.compile(r"(?<![\w.~})*/-])/(?:home|Users|root|work)/[\w.]")
SECRETS = re.compile(r"gh[pousr]_[A-Za-z0-9]{36}|\bsk-[A-Za-z0-9_-]{32,}|-----BEGIN [A-Z ]*PRIVATE KEY-----")
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
COMMENT = {".ts": ("//", "/*"), ".tsx": ("//", "/*"), ".mjs": ("//", "/*"), ".css": ("/*",), ".sh": ("#",)}


def check(root: Path) -> list[str]:
    """Each line that names what it must not, each file without a purpose, each name that says nothing."""
    faults: list[str] = []
    for file in files(root):
        faults += _empty_names(file)
        if file.text is None:
            continue
        faults += _forbidden_texts(file.name, file.text)
        if file.is_source and not _purpose(file.path.suffix, file.text):
            faults.append(f"{file.name}:1: the first line does not say what the file is for")
    return faults


def _forbidden_texts(name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if any(host in line for host in REGISTRIES):
            yield f"{name}:{number}: names a package registry"
        if MACHINE_PATH.search(line):
            yield f"{name}:{number}: names a path of one machine"
        if SECRETS.search(line):
            yield f"{name}:{number}: looks like a secret"


def _purpose(suffix: str, text: str) -> bool:
    """Whether the first line (after a #! line) is a docstring or comment of at least two words."""
    lines = text.splitlines() or [""]
    first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
    begins = ('"""', 'r"""') if suffix == ".py" else COMMENT[suffix]
    return first.startswith(begins) and len(re.findall(r"\w+", first)) >= 2


def _empty_names(file: SourceFile) -> Iterator[str]:
    for part in file.path.parts:
        if _says_nothing(part):
            yield f"{file.name}: {part} does not say what is in it"
    if file.path.suffix == ".py" and file.text is not None:
        for node in ast.walk(ast.parse(file.text)):
            if isinstance(node, ast.ClassDef) and _says_nothing(node.name):
                yield f"{file.name}:{node.lineno}: the class name {node.name} does not say what it does"


def _says_nothing(name: str) -> bool:
    return any(word.lower() in EMPTY_NAMES for word in WORD.findall(name))

"""Tests of the house rules in scripts/gates: each is shown a small tree that breaks it and has to say so."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]

Tree = Callable[[dict[str, str]], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Writes files into an empty repository and returns its root."""

    def write(files: dict[str, str]) -> Path:
        subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


def run_gate(root: Path, gate: str) -> tuple[int, str]:
    """The exit code of one gate on a tree, and the faults that it named."""
    command = [sys.executable, str(CHECKOUT / "scripts/gates"), "--root", str(root), gate]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def lines(number: int) -> str:
    """A Python file of that many lines."""
    return '"""A file of some length."""\n' + "x = 1\n" * (number - 1)


def function(number: int, indent: str = "") -> str:
    """A function of that many lines."""
    return f"{indent}async def long() -> None:\n" + f"{indent}    pass\n" * (number - 1)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("backend/app/a.py", lines(301), "backend/app/a.py: 301 lines, at most 300"),
        ("frontend/src/a.tsx", "// A page.\n" * 301, "frontend/src/a.tsx: 301 lines, at most 300"),
        ("backend/app/tests/test_a.py", lines(401), "backend/app/tests/test_a.py: 401 lines, at most 400"),
        ("scripts/a.py", function(41), "scripts/a.py::long: 41 lines, at most 40"),
        ("backend/app/a.py", "class A:\n" + function(41, "    "), "backend/app/a.py::A.long: 41 lines"),
        ("backend/app/a.py", "if True:\n" + function(41, "    "), "backend/app/a.py::long: 41 lines"),
    ],
)
def test_sizes_gate_names_what_is_too_long(tree: Tree, name: str, text: str, fault: str) -> None:
    code, faults = run_gate(tree({name: text}), "sizes")
    assert code == 1
    assert fault in faults


def test_sizes_gate_accepts_the_limits_and_what_a_tool_wrote(tree: Tree) -> None:
    root = tree(
        {
            "backend/app/a.py": lines(300),
            "backend/app/b.py": function(40),
            "backend/app/tests/test_a.py": lines(400),
            "frontend/src/types/schema.gen.ts": "x\n" * 999,
            "backend/migrations/versions/0001_all.py": function(99),
        }
    )
    assert run_gate(root, "sizes") == (0, "")


def test_sizes_gate_takes_a_reason_but_neither_an_empty_nor_a_stale_one(tree: Tree) -> None:
    allowed = '"backend/app/a.py" = "one table read as one"\n"backend/app/b.py" = ""\n"gone.py" = "it was long"\n'
    root = tree(
        {"backend/app/a.py": lines(301), "backend/app/b.py": lines(301), "scripts/gates/allowed.toml": allowed}
    )
    code, faults = run_gate(root, "sizes")
    assert code == 1
    assert faults.splitlines() == [
        "scripts/gates/allowed.toml: backend/app/b.py has no reason",
        "scripts/gates/allowed.toml: gone.py is short enough now, take it out",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "run.status = 'done'",
        "run.status: str = 'done'",
        "a, run.status = 1, 'done'",
        "def __init__(self, run): run.status = 'done'",
        "def finish(self): self.status = 'done'",
        "setattr(run, 'status', 'done')",
        "update(Step).where(Step.id == 1).values(status='done')",
        "sa.update(Step).values({'status': 'done'})",
        "statement.values({Step.status: 'done'})",
    ],
)
def test_statuses_gate_sees_every_way_to_move_a_status(tree: Tree, statement: str) -> None:
    root = tree({"backend/app/services/pipelines.py": f"{statement}\n"})
    code, faults = run_gate(root, "statuses")
    assert code == 1
    assert "backend/app/services/pipelines.py:1: moves a status" in faults


def test_statuses_gate_accepts_transitions_new_rows_and_reading(tree: Tree) -> None:
    reading = "status = run.status\nrow = Step(status='pending')\ninsert(Step).values(status='pending')\n"
    reading += "class Problem:\n    def __init__(self, status):\n        self.status = status\n"
    root = tree(
        {"backend/app/services/transitions.py": "run.status = 'done'\n", "backend/app/services/pipelines.py": reading}
    )
    assert run_gate(root, "statuses") == (0, "")


@pytest.mark.parametrize(
    "statement",
    [
        "dbos.reset_system_database()",
        "from dbos import reset_system_database",
        "reset_system_database()",
        "getattr(dbos, 'reset_system_database')()",
    ],
)
def test_statuses_gate_forbids_resetting_the_engine(tree: Tree, statement: str) -> None:
    code, faults = run_gate(tree({"backend/app/adapters/a.py": statement}), "statuses")
    assert code == 1
    assert "would empty our own tables" in faults


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("docs/a.md", "from https://py" + "pi.org/simple", "docs/a.md:1: names a package registry"),
        ("package-lock.json", '"resolved": "https://registry.npm' + 'js.org/nx"', "names a package registry"),
        ("docs/a.md", "one\nsee /ho" + "me/ann/paceline", "docs/a.md:2: names a path of one machine"),
        ("a.toml", 'path = "/Us' + 'ers/ann"', "a.toml:1: names a path of one machine"),
        ("a.md", "token gh" + "p_" + "a" * 36, "a.md:1: looks like a secret"),
        ("backend/app/a.py", "import os\n", "backend/app/a.py:1: the first line does not say"),
        ("backend/app/a.py", "", "backend/app/a.py:1: the first line does not say"),
        ("frontend/src/a.tsx", "export const a = 1;\n", "frontend/src/a.tsx:1: the first line does not say"),
        ("scripts/a.sh", "#!/bin/sh\nset -eu\n", "scripts/a.sh:1: the first line does not say"),
        ("backend/app/utils.py", '"""Some things."""\n', "utils.py does not say what is in it"),
        ("frontend/src/lib/dateHelpers.ts", "// Some dates.\n", "dateHelpers.ts does not say what is in it"),
        ("backend/app/common/a.md", "text", "common does not say what is in it"),
        ("backend/app/a.py", '"""Some runs."""\n\n\nclass RunManager: ...\n', "the class name RunManager"),
    ],
)
def test_texts_gate_names_the_line(tree: Tree, name: str, text: str, fault: str) -> None:
    code, faults = run_gate(tree({name: text}), "texts")
    assert code == 1
    assert fault in faults


def test_texts_gate_accepts_what_is_fine_and_skips_what_git_ignores(tree: Tree) -> None:
    root = tree(
        {
            ".gitignore": "ignored/\n",
            "ignored/utils.py": "import os\n",
            "a.sh": "#!/bin/sh\n# Says something useful.\n",
            "backend/app/a.py": '"""Opens contexts."""\nfrom contextlib import contextmanager\n',
            "docs/a.md": "`~/work/x`, `$HOME/work/x`, `src/work/x` and https://example.org/home/ann are fine\n",
        }
    )
    assert run_gate(root, "texts") == (0, "")


DOCUMENTED = {
    "backend/app/__init__.py": "",
    "backend/app/settings.py": "class Settings:\n    model_fields = {'data_dir': 1, 'token': 2}\n",
    "backend/app/cli.py": "SERVER = 'PACELINE_URL'\n",
    "backend/app/errors.py": "class PacelineError(Exception):\n    code = 'internal_error'\n\n"
    "class Group(PacelineError): ...\n\nclass Missing(Group):\n    code = 'not_found'\n",
    "docs/configuration.md": "`PACELINE_DATA_DIR`, `PACELINE_TOKEN`, `PACELINE_URL`",
    "docs/errors.md": "`internal_error`, `not_found`",
}


def test_documented_gate_accepts_complete_documents(tree: Tree) -> None:
    assert run_gate(tree(DOCUMENTED), "documented") == (0, "")


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("docs/configuration.md", "`PACELINE_DATA_DIR`, `PACELINE_TOKENS`", "PACELINE_TOKEN is missing"),
        ("docs/configuration.md", "`PACELINE_DATA_DIR`, `PACELINE_TOKENS`", "PACELINE_TOKENS is no setting"),
        ("docs/errors.md", "`internal_error`, not_found", "docs/errors.md: `not_found` is missing"),
    ],
)
def test_documented_gate_names_what_is_missing(tree: Tree, name: str, text: str, fault: str) -> None:
    code, faults = run_gate(tree({**DOCUMENTED, name: text}), "documented")
    assert code == 1
    assert fault in faults


def test_an_unknown_gate_is_refused(tree: Tree) -> None:
    code, message = run_gate(tree({}), "size")
    assert code == 2
    assert "there is no gate size" in message

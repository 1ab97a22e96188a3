"""Tests of the tool chain: each check is shown something wrong and has to fail, naming it."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
NODE_BIN = CHECKOUT / "node_modules/.bin"


def run(*command: str | Path, cwd: Path = CHECKOUT, env: dict[str, str] | None = None) -> tuple[int, str]:
    """The exit code of a command, and all that it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=os.environ | {"NO_COLOR": "1", "FORCE_COLOR": "0"} | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


# ---- the npm lock ----


def lock_of_this_checkout() -> dict[str, Any]:
    lock: dict[str, Any] = json.loads((CHECKOUT / "package-lock.json").read_text(encoding="utf-8"))
    return lock


def check_lock(folder: Path, lock: dict[str, Any], *options: str) -> tuple[int, str]:
    """Runs the completing script on a lock written into a folder."""
    file = folder / "package-lock.json"
    file.write_text(json.dumps(lock), encoding="utf-8")
    return run("node", "scripts/complete_lock.mjs", *options, file)


def test_the_lock_check_misses_the_package_of_another_system_and_completing_brings_it_back(tmp_path: Path) -> None:
    whole = lock_of_this_checkout()
    lock = lock_of_this_checkout()
    del lock["packages"]["node_modules/@nx/nx-darwin-arm64"]
    code, said = check_lock(tmp_path, lock, "--check")
    assert code == 1
    assert "@nx/nx-darwin-arm64@" in said

    assert check_lock(tmp_path, lock)[0] == 0
    completed = (tmp_path / "package-lock.json").read_text(encoding="utf-8")
    assert json.loads(completed) == whole
    assert completed == (CHECKOUT / "package-lock.json").read_text(encoding="utf-8")


def test_the_lock_check_sees_a_platform_package_of_another_version(tmp_path: Path) -> None:
    lock = lock_of_this_checkout()
    lock["packages"]["node_modules/@biomejs/biome"]["optionalDependencies"]["@biomejs/cli-darwin-x64"] = "9.9.9"
    code, said = check_lock(tmp_path, lock, "--check")
    assert code == 1
    assert "@biomejs/cli-darwin-x64@9.9.9" in said


def test_the_lock_check_refuses_addresses_and_a_lock_without_libc(tmp_path: Path) -> None:
    lock = lock_of_this_checkout()
    lock["packages"]["node_modules/react"]["resolved"] = "https://example.org/react.tgz"
    code, said = check_lock(tmp_path, lock, "--check")
    assert (code, said.strip()) == (1, "node_modules/react names the address it came from")

    lock = lock_of_this_checkout()
    for entry in lock["packages"].values():
        entry.pop("libc", None)
    code, said = check_lock(tmp_path, lock, "--check")
    assert code == 1
    assert "no entry has a libc field" in said


def test_a_new_version_of_opencode_asks_to_compare_its_binaries_again(tmp_path: Path) -> None:
    lock = lock_of_this_checkout()
    lock["packages"]["node_modules/opencode-linux-x64-baseline"]["version"] = "9.9.9"
    code, said = check_lock(tmp_path, lock)
    assert code == 1
    assert "only 1.18.33 was compared with its twin" in said


# ---- import layers ----

LAYERS = ["cli", "main", "models", "errors", "settings", "fail_points"]
FOLDERS = ["tests", "routers", "services", "adapters", "demo", "schemas"]


@pytest.mark.parametrize(
    ("module", "text", "broken"),
    [
        ("services/runs.py", "import app.routers", "app.services.runs -> app.routers"),
        ("services/runs.py", "import app.adapters", "app.services.runs -> app.adapters"),
        ("adapters/git.py", "import app.services", "app.adapters.git -> app.services"),
        ("schemas/run.py", "import app.models", "app.schemas.run -> app.models"),
        ("routers/runs.py", "import app.adapters", "app.adapters"),
        ("schemas/run.py", "import sqlalchemy", "app.schemas.run -> sqlalchemy"),
        ("services/runs.py", "import fastapi", "app.services.runs -> fastapi"),
        ("stray.py", "", "app.stray"),
    ],
)
def test_import_linter_refuses(tmp_path: Path, module: str, text: str, broken: str) -> None:
    write_package(tmp_path)
    (tmp_path / "app" / module).write_text(f'"""A module."""\n{text}\n', encoding="utf-8")
    code, said = run(lint_imports(), "--no-cache", cwd=tmp_path)
    assert code == 1
    assert broken in said


def test_import_linter_accepts_the_bare_layers(tmp_path: Path) -> None:
    write_package(tmp_path)
    (tmp_path / "app/main.py").write_text("import app.adapters, app.routers, app.services\n", encoding="utf-8")
    code, said = run(lint_imports(), "--no-cache", cwd=tmp_path)
    assert (code, "0 broken" in said) == (0, True), said


def lint_imports() -> Path:
    return Path(sys.executable).with_name("lint-imports")


def write_package(root: Path) -> None:
    """The outline of the real package under the real rules."""
    shutil.copy(CHECKOUT / "backend/.importlinter", root)
    for folder in ["", *FOLDERS]:
        (root / "app" / folder).mkdir()
        (root / "app" / folder / "__init__.py").touch()
    for module in LAYERS:
        (root / "app" / f"{module}.py").touch()


# ---- the front end ----


@pytest.fixture
def front_end(tmp_path: Path) -> Path:
    """A copy of the front end beside the installed packages, free to be broken."""
    (tmp_path / "node_modules").symlink_to(CHECKOUT / "node_modules")
    ignored = shutil.ignore_patterns("node_modules", ".cache", "dist")
    shutil.copytree(CHECKOUT / "frontend", tmp_path / "frontend", ignore=ignored)
    return tmp_path / "frontend"


def test_the_type_check_of_the_front_end_can_fail(front_end: Path) -> None:
    """A solution file checks nothing under plain `tsc --noEmit`, so the very command of the target is tried."""
    target = json.loads((front_end / "project.json").read_text(encoding="utf-8"))["targets"]["type-check"]
    command = target["options"]["command"].split()
    (front_end / "src/wrong.ts").write_text('// A wrong line.\nexport const n: number = "one";\n', encoding="utf-8")
    code, said = run(NODE_BIN / command[0], *command[1:], cwd=front_end)
    assert code != 0
    assert "src/wrong.ts(2,14): error TS2322" in said


@pytest.mark.parametrize(
    ("file", "text", "rule"),
    [
        ("src/a.ts", "export function f() {\n" + "  f();\n" * 41 + "}\n", "noExcessiveLinesPerFunction"),
        ("src/a.ts", "export const a: any = 1;\n", "noExplicitAny"),
        ("src/lib/a.ts", 'import "../features/runs/api";\n', "noRestrictedImports"),
        ("src/lib/a.ts", 'import "@/app/router";\n', "noRestrictedImports"),
        ("src/components/a.ts", 'import "@/features/runs/api";\n', "noRestrictedImports"),
        ("src/features/runs/a.ts", 'import "../../app/router";\n', "noRestrictedImports"),
    ],
)
def test_biome_refuses(front_end: Path, file: str, text: str, rule: str) -> None:
    path = front_end / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    code, said = run(NODE_BIN / "biome", "ci", "--colors=off", file, cwd=front_end)
    assert code == 1
    assert rule in said


def test_the_budget_check_refuses_a_big_entry_and_a_page_without_one(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/big.js").write_bytes(os.urandom(150_001))
    page = tmp_path / "index.html"
    page.write_text('<script type="module" src="/ui/assets/big.js"></script>', encoding="utf-8")
    code, said = run("node", "scripts/check_budget.mjs", tmp_path)
    assert code == 1
    assert "the budget 150 kB: assets/big.js" in said

    page.write_text("<p>nothing</p>", encoding="utf-8")
    code, said = run("node", "scripts/check_budget.mjs", tmp_path)
    assert code == 1
    assert "loads no script" in said


def test_the_drift_check_refuses_types_that_do_not_fit_the_api(tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(CHECKOUT / "node_modules")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/paceline").symlink_to(Path(sys.executable).with_name("paceline"))
    types = tmp_path / "frontend/src/types/schema.gen.ts"
    script = CHECKOUT / "scripts/generate_schema.sh"
    assert run("sh", script, cwd=tmp_path)[0] == 0
    assert run("sh", script, "--check", cwd=tmp_path)[0] == 0

    types.write_text(types.read_text(encoding="utf-8").replace("string", "number", 1), encoding="utf-8")
    code, said = run("sh", script, "--check", cwd=tmp_path)
    assert code == 1
    assert "does not fit the API any more" in said


# ---- the wheel ----


def test_the_wheel_holds_all_that_a_server_needs_and_no_test(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path)
    code, said = run(*command, cwd=CHECKOUT / "backend")
    assert code == 0, said
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    needed = {f"app/shipped/{name}" for name in ("alembic.ini", "config/agents.yaml", "migrations/env.py")}
    assert needed | {"app/main.py", "app/static/index.html"} <= set(names)
    assert not [name for name in names if name.startswith("app/tests/") or name.endswith(".pyc")]


# ---- what is said about tools and tests ----


def test_the_tool_check_names_everything_that_is_missing_at_once(tmp_path: Path) -> None:
    code, said = run("/bin/sh", "scripts/check_tools.sh", env={"PATH": str(tmp_path), "PYTHON": "python3"})
    assert code == 1
    missing = [line.split()[1] for line in said.splitlines() if line.startswith("  - ")]
    assert missing == ["git", "python3", "Node.js", "npm"]


def test_the_tool_check_names_versions_that_are_too_old(tmp_path: Path) -> None:
    for name, answer in {"python3": "Python 3.10.2", "node": "v18.20.0"}.items():
        fake = tmp_path / name
        fake.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{answer}" && exit 0\nexit 1\n', encoding="utf-8")
        fake.chmod(0o755)
    code, said = run("/bin/sh", "scripts/check_tools.sh", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert code == 1
    assert "python3 is Python 3.10.2; 3.11 or newer is needed" in said
    assert "Node.js is v18.20.0; 20.19 or newer is needed" in said


PASSED = '<testcase name="a"/>'
SUITES = {"backend": PASSED * 2, "frontend": PASSED, "e2e": PASSED}


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({}, 0, "4 passed, 0 failed\n"),
        ({"e2e": '<testcase name="a"><failure/></testcase>'}, 1, "3 passed, 1 failed\n"),
        ({"e2e": '<testcase name="a"><error/></testcase>'}, 1, "3 passed, 1 failed\n"),
        ({"e2e": PASSED + "<testcase><skipped/></testcase>"}, 1, "e2e: 1 tests did not run\n4 passed, 0 failed\n"),
        ({"e2e": ""}, 1, "e2e: no test ran\n3 passed, 0 failed\n"),
        ({"e2e": "<broken"}, 1, "e2e: left no report\n3 passed, 0 failed\n"),
        ({"e2e": None}, 1, "e2e: left no report\n3 passed, 0 failed\n"),
    ],
)
def test_the_count_fails_when_a_test_failed_or_did_not_run(
    tmp_path: Path, changes: dict[str, str | None], code: int, said: str
) -> None:
    for suite, cases in (SUITES | changes).items():
        if cases is not None:
            report = f"<testsuites><testsuite>{cases}</testsuite></testsuites>"
            (tmp_path / f"{suite}.xml").write_text(report, encoding="utf-8")
    assert run(sys.executable, "scripts/count_tests.py", tmp_path) == (code, said)

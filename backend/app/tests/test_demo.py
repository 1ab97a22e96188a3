"""The whole demo as a process: four models, a gate, changed files, and nothing left after Ctrl-C."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from app.cli.demo_command import demo_folder
from app.demo.demo_project import make_project
from app.demo.demo_registry import write_registry
from app.demo.demo_release import RELEASE_MANAGER
from app.demo.demo_roles import ROLES
from app.demo.provider_script import Request
from app.demo.scenario import demo_scenario
from app.tests.cli_server import cli

# The real program, its models only speak faster.
FAST_DEMO = """
import sys
from app.demo import demo_moves
demo_moves.PAUSE_SECONDS = demo_moves.THINK_SECONDS = 0
from app.cli import main
main(["demo", *sys.argv[1:]])
"""


class Demo:
    """A demo process; its temporary folder is looked at, never written to."""

    def __init__(self, tmp: Path) -> None:
        """Starts it, with every temporary file below `tmp`."""
        self.tmp = tmp
        self.errors = tmp / "demo.err"
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
        environment = kept | {
            "TMPDIR": str(tmp),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            # None of these may reach the demo.
            "PACELINE_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/none",
            "PACELINE_OPENCODE_URL": "http://127.0.0.1:9",
            "PACELINE_TOKEN": "of-another-server",
        }
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", FAST_DEMO, "--no-browser"],
                env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=tmp,
            )  # fmt: skip

    @property
    def said(self) -> str:
        """Its progress so far."""
        return self.errors.read_text()

    async def says(self, text: str, seconds: float = 240) -> None:
        """Wait until its progress has this text."""
        deadline = time.monotonic() + seconds
        while text not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            await asyncio.sleep(0.1)

    def left(self) -> list[str]:
        """Command lines of living processes that know its folder, but for itself."""
        found = []
        for process in psutil.process_iter():
            try:
                knows = str(self.tmp) in " ".join([*process.cmdline(), *process.environ().values()])
                if knows and process.pid not in (os.getpid(), self.process.pid):
                    found.append(" ".join(process.cmdline())[:200])
            except (psutil.Error, OSError):
                continue
        return found

    def close(self) -> None:
        """End it, however it is."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(40)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A demo that ends with the test."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    started = Demo(folder)
    yield started
    started.close()


@pytest.mark.contract
@pytest.mark.timeout(400)
async def test_the_demo_from_its_start_through_the_gate_to_ctrl_c(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    await demo.says("Or here: ")
    command = re.search(r"Or here: PACELINE_DATA_DIR=(\S+) .* approve (\d+)\n", demo.said)
    assert command is not None
    assert demo.process.stdout is not None
    login = demo.process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/ui/#token=\S{40,}", login)
    assert (demo.tmp / "demo.err").read_text().count(login.partition("token=")[2]) == 0

    monkeypatch.setenv("PACELINE_DATA_DIR", command.group(1))
    run_id = command.group(2)
    assert (await cli("watch", run_id)).code == 3
    assert (await cli("approve", run_id, "--comment", "Say what it means for customers")).code == 0
    watched = await cli("watch", run_id)
    assert (watched.code, watched.out) == (0, "done\n"), watched.err

    run = json.loads((await cli("show", run_id, "--json")).out)
    agents = [step for step in run["steps"] if step["type"] == "agent"]
    assert [(step["used_model"], step["model_origin"]) for step in agents] == [
        ("scripted/atlas-1", "agent"),
        ("scripted/forge-2", "template"),
        ("scripted/probe-mini", "run"),
        ("scripted/quill-1", "template"),
    ]
    assert await models_called(Path(command.group(1))) == ["atlas-1", "forge-2", "probe-mini", "quill-1"]
    assert all(step["latest_handoff"]["structured"] and step["cost"] > 0 for step in agents)
    assert "Say what it means for customers" in agents[3]["latest_handoff"]["text"]
    assert "failed as expected" in agents[1]["latest_handoff"]["text"], "the new test failed before the fix"
    assert "all tests pass" in agents[1]["latest_handoff"]["text"]
    diff = (await cli("show", run_id, "--diff")).out
    for change in ("+    if basket.subtotal >= FREE_FROM:", "+class ShippingEdgesTest", "+- Fixed: a basket of"):
        assert change in diff
    await demo.says("Ctrl-C ends it.")
    await ctrl_c_in_mid_run_leaves_nothing(demo, run["working_dir"])


async def ctrl_c_in_mid_run_leaves_nothing(demo: Demo, directory: str) -> None:
    """Start another run, whose agent waits for a command, and press Ctrl-C twice."""
    waiting = '[[tool:bash:{"command":"sleep 300","description":"Wait"}]]'
    assert (await cli("run", "plan_only", waiting, "-C", directory)).code == 0
    deadline = time.monotonic() + 60
    while not any("sleep 300" in line for line in demo.left()):
        assert time.monotonic() < deadline, demo.left()
        await asyncio.sleep(0.2)
    began = time.monotonic()
    demo.process.send_signal(signal.SIGINT)
    demo.process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(demo.process.wait, 30) == 0, demo.said
    assert time.monotonic() - began < 11, "OpenCode in mid-turn does not answer TERM; it must not be waited for long"
    assert demo.left() == []
    assert [path.name for path in demo.tmp.iterdir()] == ["demo.err"]
    assert "Traceback" not in demo.said


async def models_called(data_dir: Path) -> list[str]:
    """What the provider's own log says, each model once, in the order of its first call for an answer."""
    config = json.loads((data_dir.parent / "opencode.json").read_text())
    provider = config["provider"]["scripted"]["options"]["baseURL"].removesuffix("/v1")
    async with httpx.AsyncClient() as http:
        log = (await http.get(f"{provider}/log")).json()
    return list(dict.fromkeys(call["model"] for call in log if call["kind"] == "answer"))


def test_the_folder_is_removed_unless_it_shall_be_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with demo_folder(keep=False) as folder:
        (folder / "file").write_text("")
    assert not folder.exists()
    with demo_folder(keep=True) as folder:
        assert folder.stat().st_mode & 0o077 == 0
    assert f"Kept: {folder}" in capsys.readouterr().err
    folder.rmdir()


def request(prompt: str, results: tuple[str, ...] = ()) -> Request:
    """A call of the provider after so many tool results."""
    turns = [message for text in results for message in ({"role": "assistant"}, {"role": "tool", "content": text})]
    return Request("atlas-1", [{"role": "user", "content": prompt}, *turns], tools=("read",))


def test_the_demo_says_so_where_it_can_do_nothing() -> None:
    assert "Nothing." in demo_scenario(request("Write a poem.")).say
    for role in ROLES[:2]:
        elsewhere = demo_scenario(request(role.mark, ("No such file", "No such file")))
        assert "did not find the defect" in elsewhere.say
        fixed = demo_scenario(request(role.mark, ("if basket.subtotal >= FREE_FROM:",) * 2))
        assert (fixed.calls, "`>=` already" in fixed.say) == ((), True)
    assert demo_scenario(request("[[say:As told.]]")).say == "As told."


def test_the_agent_that_asks_reports_what_it_was_told_and_what_was_refused() -> None:
    mark = RELEASE_MANAGER.mark
    first = demo_scenario(request(mark)).calls[0]
    assert (first.tool, len(first.arguments["questions"])) == ("question", 2)  # type: ignore[arg-type]
    allowed = demo_scenario(request(mark, ("1.3.0", "abc Charge less for five", ""))).say
    assert "told: *1.3.0*" in allowed
    assert "which was allowed" in allowed
    refused = demo_scenario(request(mark, ("1.3.0", "", "The user rejected this: not yet"))).say
    assert "The tag was not set: *The user rejected this: not yet*" in refused


def test_the_sample_project_is_a_clean_repository_with_the_defect(tmp_path: Path) -> None:
    project = tmp_path / "shop"
    make_project(project)
    status = subprocess.run(["git", "status", "--porcelain"], cwd=project, capture_output=True, text=True, check=True)
    assert status.stdout == ""
    tests = subprocess.run([sys.executable, "-m", "unittest"], cwd=project, capture_output=True, text=True, check=True)
    assert "Ran 4 tests" in tests.stderr
    write_registry(tmp_path / "config")
    assert sorted(path.name for path in (tmp_path / "config").iterdir()) == ["agents.yaml", "pipelines.yaml"]

"""`paceline doctor`: every fault with its fix and exit code 1, a model asked only when told, nothing left running."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from app.tests.cli_server import PIPELINES, Place, Said, cli, cli_place, serving_process


@pytest.fixture
async def place(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """An environment with the fake OpenCode attached; no server runs."""
    folder = tmp_path / "place"
    folder.mkdir()
    async with cli_place(folder, sqlite_template) as made:
        made.enter(monkeypatch)
        made.data_dir.chmod(0o700)
        yield made


def findings(said: Said) -> dict[str, tuple[str, str]]:
    """State and detail by subject."""
    report = json.loads(said.out)
    assert report["ok"] == (said.code == 0)
    for finding in report["findings"]:
        assert finding["state"] != "fault" or finding["fix"], "a fault comes with its fix"
    return {finding["subject"]: (finding["state"], finding["detail"]) for finding in report["findings"]}


async def test_without_a_server_everything_is_looked_at_and_no_model_is_asked(place: Place) -> None:
    said = await cli("doctor", "--json")
    found = findings(said)
    assert said.code == 0, found
    assert found["server"][0] == "note"
    assert found["OpenCode"] == ("ok", f"1.18.33 answers at {place.fake.endpoint().url} (attached)")
    assert "scripted (local): 2 models" in found["providers"][1]
    assert found["default model"] == ("ok", "steps that name no model run on scripted/alpha")
    assert "is not connected at the attached server" in found["hosted provider"][1]
    templates = PIPELINES.count("name:")
    assert found["registry"] == ("ok", f"2 agents, {templates} templates in {place.data_dir / 'config'}")
    assert found["directories"][0] == "ok"
    assert found["database"][1].startswith(f"{place.data_dir / 'paceline.db'}, schema ")
    assert place.fake.provider.log == []
    text = await cli("doctor")
    assert (text.code, "ok    OpenCode: 1.18.33" in text.out) == (0, True)


async def test_with_a_server_and_a_model_to_try(place: Place) -> None:
    with serving_process(place) as server:
        await server.until_listening()
        said = await cli("doctor", "--json", "--try-model", "beta")
        found = findings(said)
        assert said.code == 0, found
        assert found["server"][0] == "ok"
        assert server.url in found["server"][1]
        assert "as scripted/beta" in found["model beta"][1]
        assert place.fake.provider.models_called() == ["beta"]
        said = await cli("doctor", "--json", "--try-model", "scripted/betta")
        assert (said.code, findings(said)["model scripted/betta"][0]) == (1, "fault")


async def test_faults_are_found_and_come_with_their_fix(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.data_dir / "config" / "agents.yaml").write_text("agents:\n  - name: first\n    nonsense: 1\n")
    (place.data_dir / "paceline.db").write_text("This is no database. " * 100)
    place.data_dir.chmod(0o755)
    monkeypatch.setenv("PACELINE_OPENCODE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PACELINE_FS_ROOTS", str(place.folder / "absent"))
    said = await cli("doctor", "--json")
    found = findings(said)
    assert said.code == 1
    assert {subject for subject, (state, _) in found.items() if state == "fault"} == {
        "database", "registry", "directories", "OpenCode",
    }  # fmt: skip
    assert found["registry"][1].startswith("agents.yaml:")
    assert found["data directory"] == ("note", f"{place.data_dir} can be read by others")
    monkeypatch.setenv("PACELINE_FS_ROOTS", str(place.folder / "home"))
    outside = findings(await cli("doctor", "--json"))["directories"]
    assert (outside[0], "lies outside" in outside[1]) == ("note", True)


@pytest.mark.contract
@pytest.mark.usefixtures("place")
async def test_it_starts_a_real_opencode_for_the_moment_and_says_why_nobody_is_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("URL", "PASSWORD"):
        monkeypatch.delenv(f"PACELINE_OPENCODE_{name}")
    monkeypatch.setenv("OPENCODE_DISABLE_MODELS_FETCH", "1")
    found = findings(await cli("doctor", "--json"))
    assert found["OpenCode binary"][1].startswith("1.18.33 at ")
    assert "(started for this check)" in found["OpenCode"][1]
    assert found["providers"] == ("fault", "none is connected")
    assert "was switched off by Paceline" in found["hosted provider"][1]
    home = os.environ["HOME"]
    left = [process for process in psutil.process_iter() if _environment(process).get("HOME") == home]
    assert [process.name() for process in left if process.pid != os.getpid()] == []


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        environment: dict[str, str] = process.environ()
    except (psutil.Error, OSError):
        return {}
    return environment

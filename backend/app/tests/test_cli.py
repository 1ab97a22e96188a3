"""The command line's own rules: models for steps, sentences for refusals, settings without secrets, safe text."""

import io
import json
import logging
import os
from pathlib import Path

import pytest

from app.cli.connection import running_server
from app.cli.exits import CommandError, ExitCode, code_of_status
from app.cli.following import frames
from app.cli.logs import log_to_stderr
from app.cli.output import clean, count, money, span
from app.cli.step_models import step_models
from app.schemas.pipeline import FINAL_PIPELINE
from app.tests.cli_server import own_logging as own_logging
from app.tests.cli_server import paceline

STEPS = [
    {"type": "agent", "agent": "architect"},
    {"type": "agent", "agent": "developer"},
    {"type": "approval"},
    {"type": "agent", "agent": "developer"},
]


def test_models_are_given_by_step_number_or_agent_and_the_number_wins() -> None:
    assert step_models(["developer=a/x", "2=b/y=z"], STEPS) == {1: "b/y=z", 3: "a/x"}
    assert step_models(["2=b/y", "developer=a/x"], STEPS) == {1: "b/y", 3: "a/x"}


@pytest.mark.parametrize(
    ("choice", "word"),
    [
        ("a/x", "write -m 2=provider/model"),
        ("=a/x", "names no model"),
        ("2=", "names no model"),
        ("0=a/x", "There is no step 0"),
        ("5=a/x", "the template has 4"),
        ("3=a/x", "waits for a person"),
        ("develper=a/x", "did you mean developer?"),
        ("zzz=a/x", "it has architect, developer"),
    ],
)
def test_a_model_for_no_step_is_refused_with_what_was_meant(choice: str, word: str) -> None:
    with pytest.raises(CommandError) as refused:
        step_models([choice], STEPS)
    assert word in refused.value.sentence
    assert refused.value.code == 2


def test_every_final_status_has_an_exit_code() -> None:
    assert {status: code_of_status(status) for status in FINAL_PIPELINE} == {"done": 0, "failed": 1, "aborted": 4}
    assert code_of_status("waiting_for_approval") is code_of_status("waiting_for_input") is ExitCode.WAITING
    assert code_of_status("running") is code_of_status("pending") is None


def test_the_event_stream_is_read_as_the_standard_says() -> None:
    text = ': ping\nevent: audit\nid: 7\ndata: {"a":\ndata: 1}\n\n\nevent: delta\ndata:{}\n\nid: 9'
    lines = text.split("\n")
    assert [(frame.event, frame.id, frame.data) for frame in frames(lines)] == [
        ("audit", "7", '{"a":\n1}'),
        ("delta", "7", "{}"),
    ]


def test_text_of_others_moves_no_cursor_and_turns_no_words_around() -> None:
    assert clean("a\x1b[31mb\u202ec\r\nd\te\x07") == "a\ufffd[31mb\ufffdc\nd\te\ufffd"


def test_numbers_are_short_and_unknown_costs_are_no_zero() -> None:
    assert [span(s) for s in (0.4, 59, 61, 3599, 7200, 200_000)] == ["0 s", "59 s", "61 s", "59 min", "2 h", "2 d"]
    assert (money(None), money(0), money(0.0042), money(12.3)) == ("-", "$0.00", "$0.0042", "$12.30")
    assert (count(950), count(12_345), count(4_100_000)) == ("950", "12.3k", "4.1M")


def test_config_lists_every_setting_with_its_source_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACELINE_TOKEN", "very-secret")
    monkeypatch.setenv("PACELINE_OPENCODE_PASSWORD", "also-secret")
    monkeypatch.setenv("PACELINE_DATABASE_URL", "postgresql+psycopg://me:hidden-word@db/name?password=hidden-too")
    folder = Path(os.environ["PACELINE_DATA_DIR"])
    folder.mkdir()
    (folder / "paceline.toml").write_text("max_cost_usd = 5.0\n")
    said = paceline("config", "--json")
    items = {item["name"]: item for item in json.loads(said.out)["items"]}
    assert items["PACELINE_MAX_COST_USD"] == {
        "name": "PACELINE_MAX_COST_USD", "value": 5.0, "source": str(folder / "paceline.toml"),
    }  # fmt: skip
    assert items["PACELINE_TOKEN"]["source"] == "environment"
    assert items["PACELINE_STEP_TIMEOUT_SECONDS"]["source"] == "default"
    assert "me:********@db" in items["PACELINE_DATABASE_URL"]["value"]
    assert "PACELINE_URL" in items
    for secret in ("very-secret", "also-secret", "hidden-word", "hidden-too"):
        assert secret not in said.out + paceline("config").out


def test_wrong_settings_are_named_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACELINE_MAX_COST_USD", "-1")
    monkeypatch.setenv("PACELINE_MAX_ACTIVE_STEPS", "many")
    said = paceline("config")
    assert said.code == 2
    assert "PACELINE_MAX_COST_USD: Input should be greater than 0" in said.err
    assert "PACELINE_MAX_ACTIVE_STEPS: Input should be a valid integer" in said.err


def test_openapi_is_written_sorted_and_starts_nothing(tmp_path: Path) -> None:
    assert paceline("openapi", tmp_path / "api.json").code == 0  # type: ignore[arg-type]
    text = (tmp_path / "api.json").read_text()
    api = json.loads(text)
    assert "/pipelines/{pipeline_id}/approve" in api["paths"]
    assert text == json.dumps(api, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert not Path(os.environ["PACELINE_DATA_DIR"]).exists()
    refused = paceline("openapi", str(tmp_path / "nowhere" / "api.json"))
    assert (refused.code, "cannot be written" in refused.err) == (2, True)


def test_wrong_usage_is_2_and_version_and_help_are_0() -> None:
    assert paceline("bogus").code == 2
    assert paceline("show", "none").code == 2
    assert paceline("show", "0").code == 2
    assert paceline("show", "1", "--diff", "--prompt", "1").code == 2
    assert (paceline("--version").code, paceline("--version").out) == (0, "0.1.0\n")
    first = ["serve", "demo", "doctor", "run", "runs", "show", "watch"]
    commands = [*first, "approve", "reject", "abort", "restart", "models", "config", "openapi"]
    said = paceline("--help")
    assert [name for name in commands if f"\n  {name}" not in said.out] == []


def test_no_server_is_5_with_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    said = paceline("runs")
    assert (said.code, "`paceline serve`" in said.err) == (5, True)
    monkeypatch.setenv("PACELINE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PACELINE_TOKEN", "x")
    said = paceline("runs")
    assert (said.code, "127.0.0.1:9" in said.err, "`paceline serve`" in said.err) == (5, True, True)
    monkeypatch.delenv("PACELINE_TOKEN")
    assert (paceline("runs").code, "PACELINE_TOKEN" in paceline("runs").err) == (2, True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "http://127.0.0.1:1"}', '{"url":1,"pid":"x","version":"1"}'])
def test_a_broken_server_file_is_no_server(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    assert running_server(tmp_path) is None


def test_a_dead_server_does_not_get_the_token(tmp_path: Path) -> None:
    known = {"url": "http://127.0.0.1:1", "pid": os.getpid(), "version": "0"}
    (tmp_path / "server.json").write_text(json.dumps(known))
    assert running_server(tmp_path) is not None
    # No process has a number beyond the system's largest.
    (tmp_path / "server.json").write_text(json.dumps(known | {"pid": 2**22 + 1}))
    assert running_server(tmp_path) is None


@pytest.mark.usefixtures("own_logging")
def test_logs_are_one_json_object_a_line_without_the_token() -> None:
    stream = io.StringIO()
    log_to_stderr("info", ("the-token", ""), stream)
    log = logging.getLogger("paceline.test")
    try:
        raise ValueError("it was the-token")
    except ValueError:
        log.exception("broke with %s", "the-token", extra={"run": 3})
    log.debug("not this")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["level"], line["run"]) for line in lines] == [("broke with ********", "error", 3)]
    assert "ValueError: it was ********" in lines[0]["exception"]

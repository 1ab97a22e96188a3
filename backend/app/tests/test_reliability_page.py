"""docs/reliability.md has a row for each promise, and names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parents[2] / "docs" / "reliability.md"
NAMED = re.compile(r"`((?:contract/|chaos/)?\w+\.py)(?:::(\w+))?`(?: \(([^)]*)\))?")
PROMISES = (
    "kill -9 of the server during a step",
    "kill -9 before or after each commit",
    "kill -9 while a run waits for an approval",
    "kill -9 while an agent waits for an answer",
    "work that vanished from the queue",
    "abort in any state",
    "OpenCode dies or hangs in a step",
    "OpenCode is down when a run is created",
    "the model or agent of a run does not exist",
    "another model answers than was asked",
    "an agent asks and nobody is there",
    "the provider answers 429 or 500",
    "the provider is silent",
    "provider errors, empty, truncated or filtered answers",
    "a step with a retry policy fails",
    "eight decisions about one gate",
    "eight answers with different words",
    "eight restarts; one creation",
    "many runs on one directory",
    "a second server",
    "the database is locked, read-only or the disk is full",
    "the queue is paused or drained",
    "backup, restore and prune",
    "old audit events are taken away",
    "PostgreSQL goes away while steps run",
    "SIGTERM",
    "broken, half written or vanished YAML",
    "any request",
    "odd names of branches",
    "a prompt of 1 MB and more",
)
"""How each row begins. None may go without a change here, which somebody has to want."""


def promises() -> str:
    """The page down to the end of its table."""
    return PAGE.read_text(encoding="utf-8").partition("\n## ")[0]


def test_every_named_test_and_program_exists() -> None:
    named = NAMED.findall(promises())
    assert len(named) > 30
    for file, test, functions in named:
        text = (TESTS / file).read_text(encoding="utf-8")
        for function in filter(None, [test, *re.findall(r"\w+", functions)]):
            assert f"def {function}(" in text, f"{file} has no {function}"


def test_every_promise_has_a_row_with_a_test() -> None:
    rows = [line.split(" | ") for line in promises().splitlines() if line.startswith("| ")][1:]
    for promise in PROMISES:
        found = [row for row in rows if row[0].startswith(f"| {promise}")]
        assert len(found) == 1, f"{len(found)} rows begin with: {promise}"
        assert len(found[0]) == 3, f"no three columns: {promise}"
        assert NAMED.search(found[0][2]), f"no test is named for: {promise}"
    assert len(rows) == len(PROMISES), "a row is not in the list above"

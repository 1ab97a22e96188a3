"""docs/reliability.md names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parents[2] / "docs" / "reliability.md"
NAMED = re.compile(r"`((?:contract/|chaos/)?\w+\.py)(?:::(\w+))?`(?: \(([^)]*)\))?")


def test_every_named_test_and_program_exists() -> None:
    named = NAMED.findall(PAGE.read_text(encoding="utf-8").partition("\n## ")[0])
    assert len(named) > 30
    for file, test, functions in named:
        text = (TESTS / file).read_text(encoding="utf-8")
        for function in filter(None, [test, *re.findall(r"\w+", functions)]):
            assert f"def {function}(" in text, f"{file} has no {function}"

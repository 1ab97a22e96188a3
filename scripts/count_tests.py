"""Adds up the JUnit reports of a run and says "N passed, N failed"; fails when a test or a whole suite did not run.

Usage: python scripts/count_tests.py [FOLDER of the reports]
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

SUITES = ("backend", "frontend", "e2e")


def outcome(case: ET.Element) -> str:
    """How one test case ended: passed, failed or skipped."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def suite_outcomes(report: Path) -> list[str] | None:
    """The outcome of each test of a report, or None when the suite left no readable one."""
    try:
        return [outcome(case) for case in ET.parse(report).iter("testcase")]
    except (OSError, ET.ParseError):
        return None


def main(folder: Path) -> int:
    """Prints one line for each fault of a suite and the sum as the last line; 0 only when all ran and passed."""
    total: list[str] = []
    complete = True
    for suite in SUITES:
        outcomes = suite_outcomes(folder / f"{suite}.xml")
        if not outcomes:
            complete = False
            print(f"{suite}: no test ran" if outcomes == [] else f"{suite}: left no report")
            continue
        skipped = outcomes.count("skipped")
        if skipped:
            complete = False
            print(f"{suite}: {skipped} tests did not run")
        total += outcomes
    failed = total.count("failed")
    print(f"{total.count('passed')} passed, {failed} failed")
    return 0 if complete and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".reports")))

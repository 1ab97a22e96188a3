"""Runs the house rules that no ready-made linter knows, all of them or those named.

Usage: python scripts/gates [--root FOLDER] [sizes] [statuses] [texts] [documented]
"""

import argparse
import sys
from pathlib import Path

import documented
import sizes
import statuses
import texts

GATES = {"sizes": sizes.check, "statuses": statuses.check, "texts": texts.check, "documented": documented.check}


def main() -> int:
    """Prints each fault as a line; 0 when there is none."""
    parser = argparse.ArgumentParser(prog="scripts/gates", description="Check the house rules.")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("gates", nargs="*", help=f"of {', '.join(GATES)}; all when none is named")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.gates) - set(GATES))
    if unknown:
        parser.error(f"there is no gate {', '.join(unknown)}")
    faults = [fault for name in arguments.gates or GATES for fault in GATES[name](arguments.root)]
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"house rules: {len(faults)} faults" if faults else "house rules kept")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

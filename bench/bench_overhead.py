"""What Paceline adds to OpenCode: whole runs against the bare HTTP API, and the cost of one step's bookkeeping.

Usage: python bench/bench_overhead.py [runs] [steps] [--rounds N]. Figures: docs/performance.md.
"""

import argparse
import asyncio
import os
import tempfile

from figures import machine


def main() -> None:
    """Run the parts that were named, both without a name."""
    parser = argparse.ArgumentParser(description="Measure what Paceline adds to OpenCode.")
    parser.add_argument("parts", nargs="*", help="`runs` (real OpenCode), `steps` (a fake one that answers at once)")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - {"runs", "steps"}
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    parts = arguments.parts or ["runs", "steps"]
    print(machine(), "\n")
    with tempfile.TemporaryDirectory(prefix="paceline-bench-home-") as home:
        _own_environment(home)
        asyncio.run(_run(parts, arguments.rounds))


def _own_environment(home: str) -> None:
    """Nothing of the user's settings is seen, nothing of their home is touched."""
    for name in list(os.environ):
        if name.startswith(("PACELINE_", "OPENCODE_", "XDG_", "GIT_")):
            del os.environ[name]
    os.environ["HOME"] = home
    os.environ["PACELINE_DATA_DIR"] = f"{home}/data"


async def _run(parts: list[str], rounds: int) -> None:
    # After the environment is ours: some modules read it when they are imported.
    import step_cost
    import whole_runs

    if "runs" in parts:
        await whole_runs.compare(rounds)
    if "steps" in parts:
        await step_cost.measure_all(rounds)


if __name__ == "__main__":
    main()

"""Named places at which a test can crash the process, before and after each commit and each outside call.

Nothing happens unless the environment variable PACELINE_FAIL_POINT holds `NAME@N`, or several of them
with commas between: then the process is killed, without any clean-up, when one of the places is reached
for the N-th time. With PACELINE_STOP_POINT it is stopped there (SIGSTOP), until somebody lets it go on.
Crash tests use them to prove that a run goes on from every one of them.
"""

import os
import signal
from collections import Counter

COMMITS = (
    "create-run",
    "start-run",
    "begin-step",
    "resume-step",
    "interrupt-step",
    "complete-step",
    "schedule-retry",
    "fail-step",
    "open-gate",
    "finish-run",
    "approve",
    "request-changes",
    "reject",
    "abort",
    "restart",
    "release",
    "recover",
    "remind",
    "ask-person",
    "answer-agent",
    "expire",
    "withdraw",
    "pause",
    "park",
    "resume",
)
CALLS = ("session-created", "prompt-sent", "abort-sent", "answer-sent")
ALL = tuple(f"{side}:{name}" for name in (*COMMITS, *CALLS) for side in ("before", "after"))

KILLED = "killed at the fail point "
"""What the last line on standard error begins with; the name follows."""


def _parse(wanted: str) -> dict[str, int]:
    places = [place.rpartition("@") for place in wanted.split(",") if place]
    return {name: int(count) for name, _, count in places}


_wanted = _parse(os.environ.get("PACELINE_FAIL_POINT", ""))
_stops = _parse(os.environ.get("PACELINE_STOP_POINT", ""))
_reached: Counter[str] = Counter()


def reach(name: str) -> None:
    """Pass a place; `name` is one of ALL."""
    if name not in _wanted and name not in _stops:
        return
    _reached[name] += 1
    if _reached[name] == _wanted.get(name):
        os.write(2, f"{KILLED}{name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
    if _reached[name] == _stops.get(name):
        os.kill(os.getpid(), signal.SIGSTOP)

"""Named places at which a test can crash the process, before and after each commit and each outside call.

Nothing happens unless the environment variable PACELINE_FAIL_POINT holds `NAME@N`: then the process
is killed, without any clean-up, when the place is reached for the N-th time. Crash tests use it to
prove that a run goes on from every one of them.
"""

import os
import signal
from collections import Counter

COMMITS = (
    "create-run",
    "start-run",
    "begin-step",
    "resume-step",
    "complete-step",
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
)
CALLS = ("session-created", "prompt-sent", "abort-sent")
ALL = tuple(f"{side}:{name}" for name in (*COMMITS, *CALLS) for side in ("before", "after"))

_wanted, _, _count = os.environ.get("PACELINE_FAIL_POINT", "").rpartition("@")
_reached: Counter[str] = Counter()


def reach(name: str) -> None:
    """Pass a place; `name` is one of ALL."""
    if not _wanted or name != _wanted:
        return
    _reached[name] += 1
    if _reached[name] == int(_count):
        os.kill(os.getpid(), signal.SIGKILL)

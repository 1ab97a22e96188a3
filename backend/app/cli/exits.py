"""Exit codes of every command, and the error that ends one with a sentence."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script may rely on."""

    OK = 0
    """Done; for `watch` and `run --follow`: the run is done."""
    FAILED = 1
    """The run failed or was rejected; `doctor` found a fault; the server could not start."""
    REFUSED = 2
    """Wrong usage, or the server refused the request (4xx)."""
    WAITING = 3
    """The run waits for a person; for `serve`: another server has the database."""
    ABORTED = 4
    """The run was aborted."""
    UNREACHABLE = 5
    """No server answers, or it cannot work now (5xx)."""


_BY_STATUS = {
    "done": ExitCode.OK,
    "failed": ExitCode.FAILED,
    "aborted": ExitCode.ABORTED,
    "waiting_for_approval": ExitCode.WAITING,
    "waiting_for_input": ExitCode.WAITING,
}


def code_of_status(status: str) -> ExitCode | None:
    """How a command ends that follows a run to this status; None while it is still at work."""
    return _BY_STATUS.get(status)


class CommandError(Exception):
    """Ends the command: `sentence` says what is wrong and what to do, `lines` name the places."""

    def __init__(self, sentence: str, code: ExitCode, lines: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code
        self.lines = lines

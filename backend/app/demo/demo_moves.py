"""What a role of the demo is made of: prepared turns with tool calls, and a closing text with the four headings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.demo.provider_script import Call, Request, Script, Usage

PAUSE_SECONDS = 0.03
"""Between words, so that the answer can be watched being written."""
THINK_SECONDS = 0.3
"""Before the first word."""


@dataclass(frozen=True)
class Move:
    """One turn of a role: thought, words, and a tool call."""

    call: Call
    say: str
    think: str = ""


@dataclass(frozen=True)
class Role:
    """Prepared turns and the closing text; `stop` gives another closing text when there is a reason to stop."""

    mark: str
    moves: Sequence[Move]
    closing: Callable[[Request], str]
    stop: Callable[[Request], str | None]


def handoff(done: str, decisions: str, questions: str, context: str) -> str:
    """A closing text with the four headings."""
    return (
        f"## What was done\n{done}\n\n## Decisions made\n{decisions}\n\n"
        f"## Open questions\n{questions}\n\n## Next agent context\n{context}\n"
    )


def play(request: Request, move: Move) -> Script:
    """A prepared turn: think, say, call the tool."""
    return replace(spoken(request, move.say), think=move.think, calls=(move.call,))


def spoken(request: Request, text: str) -> Script:
    """A turn that ends the step with a text."""
    return Script(hang=THINK_SECONDS, say=text, pause=PAUSE_SECONDS, usage=_usage(request, text))


def _usage(request: Request, text: str) -> Usage:
    """Counts of a plausible size: about four characters a token, the conversation grows with each turn."""
    size = sum(len(str(message.get("content") or "")) for message in request.messages)
    return Usage(input=size // 4, output=max(12, len(text) // 4 + 30), reasoning=0, cached=0)


def read(path: str) -> Call:
    """Read a file of the project."""
    return Call("read", {"filePath": path})


def bash(command: str, description: str) -> Call:
    """Run a command in the project."""
    return Call("bash", {"command": command, "description": description})


def edit(path: str, old: str, new: str) -> Call:
    """Replace a text in a file of the project."""
    return Call("edit", {"filePath": path, "oldString": old, "newString": new})


def result_of(request: Request, index: int) -> str:
    """The text that the n-th tool call of the turn returned; empty while there is none."""
    return request.tool_results[index] if index < len(request.tool_results) else ""


def never(_request: Request) -> str | None:
    """For roles that always play to their end."""
    return None

"""What the scripted provider is asked and what it answers: requests, scripts, and the directives in prompts.

A scenario turns a request into a script. The default scenario, `directives`, reads its orders from
the last user message, so that a test writes what the model shall do into the prompt itself:

    [[say:TEXT]] [[reason:TEXT]] [[tool:NAME:{json}]] [[slow:CHUNKS:SECONDS]] [[hang:SECONDS]]
    [[stall:SECONDS]] [[http:STATUS:TIMES:RETRY_AFTER]] [[error:MESSAGE]] [[cut]] [[garbage]] [[empty:TIMES]]
    [[finish:REASON]] [[usage:INPUT:OUTPUT]] [[after:TEXT]]

The n-th tool directive is played when n assistant messages follow the last user message. `after` is
what is said when the context was compacted in between.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """One call of the provider, in the words a scenario needs."""

    model: str
    messages: Sequence[Mapping[str, object]]
    tools: tuple[str, ...] = ()
    tool_choice: str | None = None
    attempt: int = 1
    """How often exactly this conversation was sent to this model, this time included."""

    @property
    def system(self) -> str:
        """The system prompt."""
        return "\n".join(_text(message) for message in self.messages if message.get("role") == "system")

    @property
    def prompt(self) -> str:
        """Text of the last user message."""
        for message in reversed(self.messages):
            if message.get("role") == "user":
                return _text(message)
        return ""

    @property
    def turn(self) -> int:
        """How many assistant messages follow the last user message."""
        count = 0
        for message in reversed(self.messages):
            if message.get("role") == "user":
                break
            count += message.get("role") == "assistant"
        return count

    @property
    def tool_results(self) -> tuple[str, ...]:
        """Texts of the tool results since the last user message, oldest first."""
        found: list[str] = []
        for message in reversed(self.messages):
            if message.get("role") == "user":
                break
            if message.get("role") == "tool":
                found.append(_text(message))
        return tuple(reversed(found))

    @property
    def kind(self) -> str:
        """`title` and `compaction` are OpenCode's own calls, everything else is `answer`."""
        if "title generator" in self.system[:400].lower():
            return "title"
        if not self.tools and "anchored summary" in self.prompt:
            return "compaction"
        return "answer"


@dataclass(frozen=True)
class Call:
    """One tool call."""

    tool: str
    arguments: Mapping[str, object]


@dataclass(frozen=True)
class Refusal:
    """An HTTP error instead of a stream."""

    status: int
    message: str
    retry_after: float | None = None


@dataclass(frozen=True)
class Usage:
    """Token counts that the provider reports."""

    input: int = 100
    output: int = 20
    reasoning: int = 0
    cached: int = 0


@dataclass(frozen=True)
class Script:
    """Everything one provider call does, in the order of the fields."""

    hang: float = 0
    """Seconds before the answer begins."""
    refuse: Refusal | None = None
    garbage: bool = False
    """200 with a body that is no event stream."""
    think: str = ""
    say: str = ""
    chunks: int | None = None
    """In how many pieces `say` is streamed; None: word by word."""
    pause: float = 0
    """Seconds between pieces."""
    calls: tuple[Call, ...] = ()
    stall: float = 0
    """Seconds of silence in mid-stream, after the text."""
    error: str | None = None
    """An error object inside the stream of a 200 answer."""
    cut: bool = False
    """End the stream without finish reason."""
    finish: str | None = None
    """None: `tool_calls` with calls, else `stop`."""
    usage: Usage = field(default_factory=Usage)

    @property
    def finish_reason(self) -> str:
        """The finish reason that goes over the wire."""
        return self.finish or ("tool_calls" if self.calls else "stop")

    def pieces(self) -> list[str]:
        """`say` cut into the pieces that are streamed one after another."""
        if self.chunks is None:
            return re.findall(r"\S+\s*|\s+", self.say)
        size = max(1, -(-len(self.say) // self.chunks))
        return [self.say[start : start + size] for start in range(0, len(self.say), size)]


Scenario = Callable[[Request], Script]

_BRACKETS = re.compile(r"\[\[|\]\]")


def parse_directives(text: str) -> list[tuple[str, str]]:
    """All outermost `[[name:argument]]` of a text, in order; an argument may hold directives itself."""
    found: list[tuple[str, str]] = []
    depth, start = 0, 0
    for bracket in _BRACKETS.finditer(text):
        if bracket.group() == "[[":
            start = bracket.end() if depth == 0 else start
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                name, _, argument = text[start : bracket.start()].partition(":")
                found.append((name, argument))
    return found


def default_text(model: str) -> str:
    """A well-formed answer with the four headings of a hand-off."""
    return (
        f"## What was done\nAnswered by {model}.\n\n## Decisions made\nNone.\n\n"
        "## Open questions\nNone.\n\n## Next agent context\nNothing further.\n"
    )


def directives(request: Request) -> Script:
    """The default scenario: plays what the last user message orders."""
    if request.kind == "title":
        return Script(say="A title")
    if request.kind == "compaction":
        return Script(say=_summary(request))
    orders = parse_directives(request.prompt)
    if not orders:
        return Script(say=_carried(request) or default_text(request.model))
    return _script(orders, request)


def _script(orders: Sequence[tuple[str, str]], request: Request) -> Script:
    values: dict[str, object] = {"say": default_text(request.model)}
    calls: list[Call] = []
    for name, argument in orders:
        if name == "tool":
            tool, _, arguments = argument.partition(":")
            calls.append(Call(tool, json.loads(arguments or "{}")))
        else:
            values.update(_order(name, argument, request))
    if request.turn < len(calls):
        values = {key: value for key, value in values.items() if key in ("think", "usage", "hang")}
        return Script(calls=(calls[request.turn],), **values)  # type: ignore[arg-type]
    return Script(**values)  # type: ignore[arg-type]


def _order(name: str, argument: str, request: Request) -> dict[str, object]:
    words = argument.split(":")
    simple: dict[str, Callable[[], dict[str, object]]] = {
        "say": lambda: {"say": argument},
        "reason": lambda: {"think": argument},
        "hang": lambda: {"hang": float(argument)},
        "stall": lambda: {"stall": float(argument)},
        "error": lambda: {"error": argument},
        "cut": lambda: {"cut": True},
        "garbage": lambda: {"garbage": True},
        "empty": lambda: {"say": ""} if request.attempt <= int(argument or 10**6) else {},
        "finish": lambda: {"finish": argument},
        "slow": lambda: {"say": _ticks(int(words[0])), "chunks": int(words[0]), "pause": float(words[1])},
        "usage": lambda: {"usage": Usage(int(words[0]), int(words[1]) if len(words) > 1 else 20)},
        "http": lambda: _refusal(words, request),
    }
    return simple.get(name, dict)()


def _ticks(count: int) -> str:
    return "".join(f"tick{number:03d} " for number in range(count))


def _refusal(words: Sequence[str], request: Request) -> dict[str, object]:
    status = int(words[0])
    times = int(words[1]) if len(words) > 1 and words[1] else 10**6
    if request.attempt > times:
        return {}
    after = float(words[2]) if len(words) > 2 and words[2] else None
    return {"refuse": Refusal(status, f"scripted refusal {status} (call {request.attempt})", after)}


def _summary(request: Request) -> str:
    """What a compaction keeps: the `after` order, so that the continued turn knows what to say."""
    for name, argument in parse_directives(request.prompt):
        if name == "after":
            return f"Summary of the work so far. [[say:{argument}]]"
    return "Summary of the work so far."


def _carried(request: Request) -> str | None:
    """The text that an earlier summary in this conversation orders, if there is one."""
    for message in reversed(request.messages):
        found = re.search(r"Summary of the work so far\. \[\[say:(.*?)\]\]", _text(message), re.DOTALL)
        if found:
            return found.group(1)
    return None


def _text(message: Mapping[str, object]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return ""

"""What agents ask, as text: the whole command or change, and how to answer."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_DIFF_LINES = 40


def request_texts(requests: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Each open request with everything that a person needs to decide it."""
    for request in requests:
        yield "\n".join(_lines(request))


def _how_many(question: Mapping[str, Any]) -> str:
    """What an answer may be."""
    number = "several, with commas between them" if question["multiple"] else "one"
    return f"{number}, or your own words" if question["custom"] or not question["options"] else f"{number} of these"


def summary(request: Mapping[str, Any]) -> str:
    """One line."""
    details = request["details"]
    asked = "; ".join(question["question"] for question in details["questions"])
    text = asked or details["command"] or details["file_path"] or ", ".join(request["patterns"])
    line = " ".join(str(text).split())
    return line if len(line) <= 80 else line[:79] + "…"


def _lines(request: Mapping[str, Any]) -> Iterator[str]:
    details, answer = request["details"], f"paceline answer {request['pipeline_id']} {request['id']}"
    who = "A sub-agent asks" if request["sub_agent"] else "The agent asks"
    if request["kind"] == "question":
        for number, question in enumerate(details["questions"], 1):
            place = f"{number} of {len(details['questions'])}, " if len(details["questions"]) > 1 else ""
            yield f"{who}: {question['question']} ({place}{_how_many(question)})"
            for option in question["options"]:
                yield f"  {option['label']}: {option['description']}".rstrip(": ")
        flags = " --answer TEXT" * len(details["questions"])
        yield f"Answer with `{answer} once{flags}`; `{answer} reject` ends the step."
        return
    yield f"{who} for {request['tool']}: {details['command'] or ', '.join(request['patterns'])}"
    if details["diff"]:
        lines = str(details["diff"]).splitlines()
        yield from (f"  {line}" for line in lines[:_DIFF_LINES])
        if len(lines) > _DIFF_LINES:
            yield f"  … {len(lines) - _DIFF_LINES} more lines; the run page and --json have them"
    yield f"Allow it with `{answer} once` (and --remember for the rest of the run), or `{answer} reject --message WHY`."
    yield f"Without an answer it is denied at {request['deadline']}."

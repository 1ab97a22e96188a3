"""One run and lists of runs as text: facts first, then its steps, then what it waits for."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from app.cli.output import ago, count, money, put, put_table, say, span, until
from app.cli.request_view import request_texts

_PIPS = {
    "done": "●",
    "running": "◐",
    "waiting_for_approval": "?",
    "waiting_for_input": "?",
    "failed": "✗",
    "aborted": "✗",
    "skipped": "-",
    "pending": "○",
}
_HELD = {"limit": "waits for a place", "paused": "held by the paused queue"}


def put_runs(items: Sequence[Mapping[str, Any]]) -> None:
    """A table of runs, newest first."""
    rows = [
        (
            str(run["id"]),
            _status(run),
            "".join(_PIPS.get(step["status"], "·") for step in run["steps"]),
            run["title"],
            run["template"] or "-",
            money(run["cost"]),
            ago(run["created_at"]),
            run["working_dir"],
        )
        for run in items
    ]
    put_table(("ID", "STATUS", "STEPS", "TITLE", "TEMPLATE", "COST", "AGE", "DIRECTORY"), rows, right=("ID", "COST"))


def put_run(run: Mapping[str, Any]) -> None:
    """Everything about a run but prompts, transcripts and its diff."""
    for name, value in _facts(run):
        put(f"{name + ':':<11}{value}")
    for warning in run["warnings"]:
        put(f"warning:   {warning}")
    put("")
    put_table(
        ("STEP", "AGENT", "STATUS", "MODEL", "WHY", "TIME", "TOKENS", "COST"),
        [_step_row(step) for step in run["steps"]],
        right=("STEP", "TIME", "TOKENS", "COST"),
    )
    for step in run["steps"]:
        if step["note"]:
            put(f"note on step {step['order_index'] + 1}: {step['note']}")
    for text in _endings(run):
        put("")
        put(text)


def _facts(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "run", f"{run['id']}  {run['title']}"
    yield "status", _status(run)
    yield "template", run["template"] or "own steps"
    yield "directory", run["working_dir"] + (f" on branch {run['branch']}" if run["branch"] else "")
    if run["waiting_reason"] and not run["queue_position"]:
        yield "waits", run["waiting_reason"]
    if run["base_commit"]:
        yield "base", run["base_commit"]
    tokens = run["tokens"]
    yield "used", f"{count(_sum(tokens))} tokens, {money(run['cost'])}"
    if run["attempt"] > 1:
        yield "attempt", str(run["attempt"])
    yield "created", f"{run['created_at']} ({ago(run['created_at'])} ago)"


def _status(run: Mapping[str, Any]) -> str:
    place = run.get("queue_position")
    if run["status"] == "pending" and place:
        return f"queued, place {place} for its directory"
    if run.get("waiting_for") in _HELD:
        return f"{run['status']}, {_HELD[run['waiting_for']]}"
    words = str(run["status"]).replace("_", " ")
    return f"{words} ({run['error_code']})" if run["error_code"] else words


def _step_row(step: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(step["order_index"] + 1),
        step["agent_name"] or "(a person)",
        _tried(step) if step["retry_at"] else str(step["status"]).replace("_", " "),
        model_of(step),
        (step["model_origin"] or "-").replace("_", " "),
        duration(step),
        count(_sum(step["tokens"])) if step["type"] == "agent" else "-",
        money(step["cost"]),
    )


def _tried(step: Mapping[str, Any]) -> str:
    return f"tried {step['attempts_made']} of {step['attempts_allowed']}"


def retry_line(step: Mapping[str, Any]) -> str:
    """What a step waits for that failed and is tried again: how often it was, why it failed, when it goes on."""
    why = f"{step['error_code']}: {step['error_message']}"
    return f"{_tried(step)}: {why}\nThe next try begins in {until(step['retry_at'])}."


def model_of(step: Mapping[str, Any]) -> str:
    """The model that ran, else the one that will, else what was asked; a dash for a gate."""
    if step["type"] != "agent":
        return "-"
    return str(step["used_model"] or step["resolved_model"] or step["model"] or "OpenCode's default")


def duration(step: Mapping[str, Any]) -> str:
    """From start to end of a step."""
    if not (step["started_at"] and step["finished_at"]):
        return "-"
    ended, began = (datetime.fromisoformat(step[name]) for name in ("finished_at", "started_at"))
    return span((ended - began).total_seconds())


def _endings(run: Mapping[str, Any]) -> Iterator[str]:
    """What went wrong, what the last agent said, what a person is asked."""
    if run["error_message"]:
        yield f"{run['error_code']}: {run['error_message']}"
    for step in run["steps"]:
        if step["retry_at"]:
            yield f"Step {step['order_index'] + 1} ({step['agent_name']}) {retry_line(step)}"
    said = [step for step in run["steps"] if step["latest_handoff"]]
    if said:
        last = said[-1]
        title = f"hand-off of step {last['order_index'] + 1} ({last['agent_name']})"
        yield f"--- {title} ---\n{last['latest_handoff']['text']}"
    if run["requests"]:
        yield "Waiting for a person.\n" + "\n\n".join(request_texts(run["requests"]))
    decided = [gate for gate in run["approvals"] if gate["decision"]]
    if decided:
        yield "\n".join(_decision(run, gate) for gate in decided)
    gate = run["approval"]
    if gate and gate["status"] == "pending":
        yield f"Waiting for a person: {gate['question'] or 'Go on?'}\n{decide_hint(run['id'], gate['id'])}"


def _decision(run: Mapping[str, Any], gate: Mapping[str, Any]) -> str:
    index = next(step["order_index"] for step in run["steps"] if step["id"] == gate["step_id"])
    words = {"approve": "approved", "reject": "rejected", "request_changes": "sent back"}[gate["decision"]]
    comment = f": {gate['comment']}" if gate["comment"] else ""
    return f"step {index + 1} {words} by {gate['decided_by']} at {gate['decided_at']}{comment}"


def decide_hint(run_id: int, gate_id: int) -> str:
    """How to decide at this gate, and at no other that may have opened meanwhile."""
    ways = (f"`paceline {way} {run_id} --gate {gate_id}`" for way in ("approve", "reject"))
    return f"Decide with {' or '.join(ways)}, each with --comment if you like."


def say_queue_and_warnings(run: Mapping[str, Any]) -> None:
    """What a person should know right after the creation."""
    for warning in run["warnings"]:
        say(f"warning: {warning}")
    if run["status"] == "pending" and run["queue_position"]:
        say(f"Another run works in {run['working_dir']}; this one is number {run['queue_position']} in line.")
    elif run["waiting_for"] and run["waiting_reason"]:
        say(run["waiting_reason"])


def _sum(tokens: Mapping[str, int]) -> int:
    return sum(tokens.values())

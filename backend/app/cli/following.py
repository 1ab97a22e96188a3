"""Follows a run over the event stream to its end or its next gate: one line for each thing that happens."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.cli.connection import Connection
from app.cli.exits import CommandError, ExitCode, code_of_status
from app.cli.output import money, say, span
from app.cli.request_view import request_texts
from app.cli.run_view import decide_hint, duration, model_of, retry_line

_RETRY_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Frame:
    """One server-sent event."""

    event: str
    id: str | None
    data: str


def frames(lines: Iterable[str]) -> Iterator[Frame]:
    """The events of a stream; comments (the heartbeat) are left out."""
    event, identity, data = "message", None, list[str]()
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                yield Frame(event, identity, "\n".join(data))
            event, data = "message", []
        elif name == "event":
            event = value
        elif name == "id":
            identity = value
        elif name == "data":
            data.append(value)


@dataclass
class Follower:
    """Says on standard error what happens in one run."""

    connection: Connection
    run_id: int
    patience: float = 60.0
    """Seconds to wait for a server that went away."""
    _steps: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    _told: set[tuple[str, str]] = field(default_factory=set)
    _reached: str | None = None
    _lost_at: float | None = None

    def follow(self, *, through_gates: bool = False) -> dict[str, Any]:
        """The run when it has ended or, unless `through_gates`, waits for a person."""
        while True:
            try:
                if self._lost_at is not None:
                    self.connection.look_again()
                run = self._follow_once(through_gates)
                if run is not None:
                    return run
            except httpx.HTTPError:
                pass
            except CommandError as error:
                if error.code is not ExitCode.UNREACHABLE:
                    raise
            self._wait()

    def _wait(self) -> None:
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
            if self.patience:
                say("The server went away; the run goes on when it is back. Waiting …")
        if now - self._lost_at >= self.patience:
            raise CommandError(
                f"The server has been away for {span(self.patience)}. "
                f"Start it with `paceline serve`, then go on with `paceline watch {self.run_id}`.",
                ExitCode.UNREACHABLE,
            )
        time.sleep(_RETRY_EVERY_SECONDS)

    def _follow_once(self, through_gates: bool) -> dict[str, Any] | None:
        """None when the server closed the stream."""
        with self.connection.events(self.run_id, self._reached) as lines:
            # Only now, so that nothing can happen between the reading and the stream.
            run = self._read()
            self._lost_at = None
            if _is_reached(run, through_gates):
                return run
            for frame in frames(lines):
                self._reached = frame.id or self._reached
                if frame.event in {"audit", "reset"}:
                    run = self._read()
                    if _is_reached(run, through_gates):
                        return run
                else:
                    self._tell_live(frame.event, json.loads(frame.data))
        return None

    def _tell_live(self, event: str, data: Mapping[str, Any]) -> None:
        step = self._steps.get(data["step_id"])
        if step is None:
            return
        if event == "tool":
            self._tell_tool(step, data["tool"])
        elif event == "state":
            self._tell_state(step, data)
        elif event == "snapshot":
            for part in data["parts"]:
                if part["tool"]:
                    self._tell_tool(step, part["tool"])

    def _read(self) -> dict[str, Any]:
        run: dict[str, Any] = self.connection.get(f"/pipelines/{self.run_id}")
        if run["queue_position"]:
            self._once("queued", str(run["queue_position"]), f"waiting in line, place {run['queue_position']}")
        elif run["waiting_for"] and run["waiting_reason"]:
            self._once("held", run["waiting_for"], run["waiting_reason"])
        for step in run["steps"]:
            self._steps[step["id"]] = step
            self._tell_step(step, run["attempt"])
        return run

    def _tell_step(self, step: Mapping[str, Any], attempt: int) -> None:
        words = {
            "running": f"started on {model_of(step)}",
            "done": f"done in {duration(step)}, {money(step['cost'])}" if step["type"] == "agent" else "approved",
            "failed": f"failed: {step['error_code']}: {step['error_message']}",
            "aborted": "aborted",
            "skipped": "skipped",
            "waiting_for_input": "asks a person",
            "pending": retry_line(step).replace("\n", " ") if step["retry_at"] else None,
        }.get(step["status"])
        if words:
            tried = f"step {step['id']} {attempt} {step['attempts_made']}"
            self._once(tried, step["status"], f"{_name(step)} {words}")

    def _tell_tool(self, step: Mapping[str, Any], tool: Mapping[str, Any]) -> None:
        if tool["status"] in {"completed", "error"}:
            failed = f" failed: {tool['error']}" if tool["status"] == "error" else ""
            self._once(tool["call_id"], "", f"{_name(step)}   {tool['tool']} {_subject(tool)}{failed}")

    def _tell_state(self, step: Mapping[str, Any], frame: Mapping[str, Any]) -> None:
        if frame["state"] == "retry":
            self._once(f"retry {step['id']}", str(frame["detail"]), f"{_name(step)} retries: {frame['detail']}")

    def _once(self, what: str, state: str, line: str) -> None:
        if (what, state) not in self._told:
            self._told.add((what, state))
            say(line)


def say_outcome(run: Mapping[str, Any]) -> ExitCode:
    """The last line of following a run, and the exit code that belongs to it."""
    code = code_of_status(run["status"])
    assert code is not None, "a run is followed until it has an outcome"
    if code is ExitCode.WAITING:
        _say_what_is_asked(run)
    elif code is ExitCode.OK:
        say(f"run {run['id']} is done, {money(run['cost'])}")
    else:
        reason = f": {run['error_message']}" if run["error_message"] else ""
        say(f"run {run['id']} {run['status']}{reason}")
    return code


def _say_what_is_asked(run: Mapping[str, Any]) -> None:
    if run["status"] == "waiting_for_input":
        say(f"run {run['id']} waits for a person: an agent asks")
        for text in request_texts(run["requests"]):
            say(text)
        return
    gate = run["approval"]
    say(f"run {run['id']} waits for a person: {(gate and gate['question']) or 'Go on?'}")
    if gate:
        say(decide_hint(run["id"], gate["id"]))


def _is_reached(run: Mapping[str, Any], through_gates: bool) -> bool:
    code = code_of_status(run["status"])
    return code is not None and not (through_gates and code is ExitCode.WAITING)


def _name(step: Mapping[str, Any]) -> str:
    return f"[{step['order_index'] + 1} {step['agent_name'] or 'gate'}]"


def _subject(tool: Mapping[str, Any]) -> str:
    """What the tool worked on: a command, a file, a pattern."""
    given = tool["input"]
    named = next((given[key] for key in ("command", "filePath", "path", "pattern", "description") if key in given), "")
    line = str(tool["title"] or named).strip().partition("\n")[0]
    return line if len(line) <= 100 else line[:99] + "…"

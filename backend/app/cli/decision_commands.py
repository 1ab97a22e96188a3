"""Commands that decide about a run: approve, send back, reject, abort, restart, duplicate."""

from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.connection import Connection, connected
from app.cli.exits import CommandError, ExitCode
from app.cli.output import put, put_json, say
from app.cli.run_commands import AsJson, RunId
from app.cli.run_view import say_queue_and_warnings
from app.cli.step_models import step_models

Comment = Annotated[str | None, typer.Option("--comment", "-c", help="A sentence that is kept with the decision.")]
Gate = Annotated[
    int | None,
    typer.Option("--gate", min=1, metavar="ID", help="Only if this gate is the open one; `paceline show` names it."),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", metavar="N=MODEL", help="Another model for step N, or AGENT=MODEL, from now on."),
]


def approve(
    run_id: RunId,
    comment: Comment = None,
    handoff: Annotated[
        Path | None, typer.Option("--handoff", help="A file whose text goes on instead of the agent's hand-off.")
    ] = None,
    model: Models = None,
    gate: Gate = None,
    seen: Annotated[
        str | None,
        typer.Option("--seen", metavar="DIGEST", help="Only if the changes are those that `show --diff` has shown."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Approve the open gate of a run.

    The comment goes into the next step's prompt.
    """
    with connected() as server:
        models = _models(server, run_id, model)
        body = {"comment": comment, "handoff": _text(handoff), "step_models": models, "approval_id": gate, "seen": seen}
        _decide(server, run_id, "approve", "approved", body, as_json)


def request_changes(
    run_id: RunId,
    comment: Annotated[str, typer.Option("--comment", "-c", help="What shall be changed; goes into the prompt.")],
    step: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Back to step N. Default: the agent step before the gate.")
    ] = None,
    gate: Gate = None,
    as_json: AsJson = False,
) -> None:
    """Send a run back from its open gate; the step and all after it run again."""
    with connected() as server:
        body = {"comment": comment, "step": step - 1 if step else None, "approval_id": gate}
        _decide(server, run_id, "request-changes", "sent back", body, as_json)


def reject(run_id: RunId, comment: Comment = None, gate: Gate = None, as_json: AsJson = False) -> None:
    """Reject the open gate; the run fails."""
    with connected() as server:
        _decide(server, run_id, "reject", "rejected", {"comment": comment, "approval_id": gate}, as_json)


def abort(run_id: RunId, as_json: AsJson = False) -> None:
    """End a run now, whatever it does."""
    with connected() as server:
        _decide(server, run_id, "abort", "aborted", {}, as_json)


def restart(
    run_id: RunId,
    step: Annotated[
        int | None, typer.Option("--from", min=1, metavar="N", help="Default: the first step that is not done.")
    ] = None,
    model: Models = None,
    as_json: AsJson = False,
) -> None:
    """Begin a new attempt of a failed or aborted run."""
    with connected() as server:
        body = {"step": step - 1 if step else None, "step_models": _models(server, run_id, model)}
        _decide(server, run_id, "restart", "restarted", body, as_json)


def duplicate(run_id: RunId, as_json: AsJson = False) -> None:
    """Create a new run from an old one, and print its id."""
    with connected() as server:
        created = server.create(f"/pipelines/{run_id}/duplicate")
    say_queue_and_warnings(created)
    put_json(created) if as_json else put(str(created["id"]))


COMMANDS = (approve, request_changes, reject, abort, restart, duplicate)


def _decide(
    server: Connection, run_id: int, action: str, done: str, body: dict[str, Any], as_json: bool
) -> None:
    given = {name: value for name, value in body.items() if value is not None}
    answer = server.post(f"/pipelines/{run_id}/{action}", given or None)
    if as_json:
        put_json(answer)
    say(f"run {run_id} {done}; it is {str(answer['status']).replace('_', ' ')} now")


def _models(server: Connection, run_id: int, choices: list[str] | None) -> dict[int, str] | None:
    if not choices:
        return None
    steps = server.get(f"/pipelines/{run_id}")["steps"]
    return step_models(choices, [{"type": step["type"], "agent": step["agent_name"]} for step in steps])


def _text(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}.", ExitCode.REFUSED) from error

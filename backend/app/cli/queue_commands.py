"""`paceline queue`: what is at work and what waits, and pausing it for an upgrade."""

import time
from typing import Annotated, Any

import typer

from app.cli.connection import Connection, connected
from app.cli.exits import ExitCode
from app.cli.output import ago, put, put_json, put_table, say
from app.cli.run_commands import AsJson

POLL_SECONDS = 0.5

group = typer.Typer(
    name="queue",
    help="Show the queue; pause it, so that no step begins, and resume it.",
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@group.callback()
def queue(context: typer.Context, as_json: AsJson = False) -> None:
    """Show whether the queue is paused, how many steps are at work, and which runs wait for what."""
    if context.invoked_subcommand is not None:
        return
    with connected() as server:
        found = server.get("/queue")
    put_json(found) if as_json else _put(found)


@group.command()
def pause(
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Return when no agent is at work any more.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Shown to whoever finds it paused.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let no step begin from now on; steps at work finish.

    With --wait: exit code 0 when it is drained, 3 when all that is left are agents that wait for a person,
    4 when somebody resumed it meanwhile.
    """
    with connected() as server:
        found = server.post("/queue/pause", {"reason": reason})
        if wait:
            found = _drained(server, found)
    put_json(found) if as_json else _put_head(found)
    if wait:
        raise typer.Exit(_outcome(found))


@group.command()
def resume(as_json: AsJson = False) -> None:
    """Let steps begin again, in the order in which their runs were held."""
    with connected() as server:
        found = server.post("/queue/resume")
    put_json(found) if as_json else _put_head(found)


def _drained(server: Connection, found: dict[str, Any]) -> dict[str, Any]:
    """The queue once nothing more comes by waiting."""
    told = -1
    while found["paused"] and not found["drained"] and (found["active_steps"] or not found["asking_steps"]):
        if found["active_steps"] != told:
            told = found["active_steps"]
            say(f"{_steps(told)} at work" if told else "waiting until an agent is proven idle")
        time.sleep(POLL_SECONDS)
        found = server.get("/queue")
    return found


def _outcome(found: dict[str, Any]) -> ExitCode:
    if found["drained"]:
        return ExitCode.OK
    if not found["paused"]:
        say("The queue was resumed meanwhile; it is not drained.")
        return ExitCode.ABORTED
    say(f"{_steps(found['asking_steps'])} left whose agents wait for a person: answer them (`paceline requests`)")
    say("or abort their runs, and wait again.")
    return ExitCode.WAITING


def _put(found: dict[str, Any]) -> None:
    _put_head(found)
    waiting = found["waiting"]
    if not waiting["items"]:
        return
    put("")
    rows = [(str(one["pipeline_id"]), one["why"], str(one["position"]), one["title"]) for one in waiting["items"]]
    put_table(("RUN", "WAITS FOR", "PLACE", "TITLE"), rows, right=("RUN", "PLACE"))
    left = waiting["count"] - len(waiting["items"])
    if left:
        say(f"… and {left} more")


def _put_head(found: dict[str, Any]) -> None:
    put(f"queue:    {_state(found)}")
    if found["reason"]:
        put(f"reason:   {found['reason']}")
    asking = f", {_steps(found['asking_steps'])} waiting for a person" if found["asking_steps"] else ""
    put(f"at work:  {found['active_steps']} of {found['max_active_steps']} places{asking}")
    put(f"waiting:  {found['waiting']['count']}")


def _state(found: dict[str, Any]) -> str:
    if not found["paused"]:
        return "open"
    drained = "drained" if found["drained"] else "not drained yet"
    return f"paused by {found['paused_by']} {ago(found['paused_at'])} ago, {drained}"


def _steps(number: int) -> str:
    return "1 step" if number == 1 else f"{number} steps"

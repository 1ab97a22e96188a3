"""Commands about runs: create, list, show, watch."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.connection import Connection, connected
from app.cli.exits import CommandError, ExitCode
from app.cli.following import Follower, say_outcome
from app.cli.output import put, put_json, say
from app.cli.run_view import put_run, put_runs, say_queue_and_warnings
from app.cli.step_models import step_models
from app.schemas.registry import which_there_are

RunId = Annotated[int, typer.Argument(metavar="ID", help="The number that `paceline run` printed.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="The API's answer instead of text.")]


def run(
    template: Annotated[str, typer.Argument(help="A template of the registry, such as quick_fix.")],
    prompt: Annotated[str, typer.Argument(help="The task; `-` reads it from standard input.")],
    title: Annotated[str | None, typer.Option(help="Default: the beginning of the prompt.")] = None,
    directory: Annotated[
        Path | None, typer.Option("--directory", "-C", help="Where to work. Default: the current directory.")
    ] = None,
    branch: Annotated[str | None, typer.Option("--branch", "-b", help="The branch that must be checked out.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="N=MODEL", help="Model of step N; AGENT=MODEL: of all its steps."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Watch it to its end or its next gate.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create a run and print its id.

    With --follow the exit code is the run's: 0 done, 1 failed or rejected, 3 waiting for a person, 4 aborted.
    """
    text = sys.stdin.read() if prompt == "-" else prompt
    with connected() as server:
        body: dict[str, Any] = {
            "template": template,
            "title": title if title is not None else _title(text),
            "prompt": text,
            "working_dir": os.path.abspath(directory or "."),
            "branch": branch,
        }
        if model:
            body["step_models"] = step_models(model, _steps(server, template))
        created = server.create("/pipelines", body)
        say_queue_and_warnings(created)
        if not as_json:
            put(str(created["id"]))
        shown = Follower(server, created["id"]).follow() if follow else created
        if as_json:
            put_json(shown)
        if follow:
            raise typer.Exit(say_outcome(shown))


def runs(
    status: Annotated[
        list[str] | None, typer.Option(help="Only runs in this status; may be repeated.")
    ] = None,
    template: Annotated[str | None, typer.Option(help="Only runs of this template.")] = None,
    query: Annotated[str | None, typer.Option("--query", "-q", help="Words in the title or the prompt.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    with connected() as server:
        while len(items) < limit:
            page = server.get(
                "/pipelines",
                {
                    "status": status or None,
                    "template": template,
                    "q": query,
                    "limit": min(200, limit - len(items)),
                    "cursor": cursor,
                },
            )
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
    if as_json:
        put_json({"items": items, "next_cursor": cursor})
    elif items:
        put_runs(items)
    else:
        say("No runs. Create one with `paceline run TEMPLATE \"PROMPT\"`.")


def show(
    run_id: RunId,
    diff: Annotated[bool, typer.Option("--diff", help="What changed in the directory since the run began.")] = False,
    prompt: Annotated[int | None, typer.Option(min=1, metavar="N", help="The exact prompt of step N.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a run, its diff, or the prompt of a step."""
    if diff and prompt is not None:
        raise CommandError("Give one of --diff and --prompt.", ExitCode.REFUSED)
    with connected() as server:
        if diff:
            _put_diff(server.get(f"/pipelines/{run_id}/diff"), as_json)
        elif prompt is not None:
            _put_prompt(server, run_id, prompt, as_json)
        else:
            found = server.get(f"/pipelines/{run_id}")
            put_json(found) if as_json else put_run(found)


def watch(run_id: RunId, as_json: AsJson = False) -> None:
    """Follow a run to its end or its next gate.

    Prints the status it has then.
    The exit code is the outcome: 0 done, 1 failed or rejected, 3 waiting for a person, 4 aborted.
    """
    with connected() as server:
        ended = Follower(server, run_id).follow()
        put_json(ended) if as_json else put(ended["status"])
        raise typer.Exit(say_outcome(ended))


COMMANDS = (run, runs, show, watch)


def _title(prompt: str) -> str:
    first = next((line.strip() for line in prompt.splitlines() if line.strip()), "")
    return first if len(first) <= 80 else first[:79].rstrip() + "…"


def _steps(server: Connection, template: str) -> list[dict[str, Any]]:
    templates = server.get("/registry/pipelines")["items"]
    for found in templates:
        if found["name"] == template:
            steps: list[dict[str, Any]] = found["steps"]
            return steps
    names = [found["name"] for found in templates]
    raise CommandError(f"There is no template {template!r}{which_there_are(template, names)}", ExitCode.REFUSED)


def _put_diff(diff: dict[str, Any], as_json: bool) -> None:
    if as_json:
        put_json(diff)
    elif not diff["available"]:
        say(diff["reason"])
    else:
        say(f"{diff['files']} files, +{diff['additions']} -{diff['deletions']} since {diff['base'] or 'the beginning'}")
        if diff["text"]:
            put(diff["text"].rstrip("\n"))
        if diff["truncated"]:
            say("The diff is longer than this; look into the directory for the rest.")
        say(f"To approve these changes and no others: --seen {diff['digest']}")


def _put_prompt(server: Connection, run_id: int, number: int, as_json: bool) -> None:
    steps = server.get(f"/pipelines/{run_id}")["steps"]
    if number > len(steps):
        raise CommandError(f"There is no step {number}; run {run_id} has {len(steps)}.", ExitCode.REFUSED)
    attempts = server.get(f"/pipelines/{run_id}/steps/{steps[number - 1]['id']}/attempts")["items"]
    if not attempts:
        raise CommandError(f"Step {number} of run {run_id} was sent no prompt.", ExitCode.REFUSED)
    put_json(attempts[-1]) if as_json else put(attempts[-1]["prompt"].rstrip("\n"))

"""Commands about what agents ask: list the open requests, answer one."""

from typing import Annotated, Any

import typer

from app.cli.connection import Connection, connected
from app.cli.exits import CommandError, ExitCode
from app.cli.output import ago, put, put_json, put_table, say
from app.cli.request_view import request_texts, summary
from app.cli.run_commands import AsJson, RunId

RequestNumber = Annotated[int, typer.Argument(metavar="REQUEST", help="As `paceline requests` shows it.", min=1)]


def requests(
    run_id: Annotated[int | None, typer.Argument(metavar="[ID]", help="Only of this run, in full.", min=1)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that are decided too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what agents ask and nobody has answered yet, newest first."""
    with connected() as server:
        items = _all(server, {"pipeline_id": run_id, "status": None if everything else "pending"})
        if run_id is not None and not items:
            server.get(f"/pipelines/{run_id}")  # a run that does not exist is refused, not said to be quiet
    if as_json:
        put_json({"items": items, "next_cursor": None})
    elif not items:
        say("No agent waits for an answer.")
    elif run_id is not None and not everything:
        put("\n\n".join(request_texts(items)))
    else:
        rows = [
            (str(one["id"]), str(one["pipeline_id"]), one["status"], one["tool"], ago(one["asked_at"]), summary(one))
            for one in items
        ]
        put_table(("REQUEST", "RUN", "STATUS", "TOOL", "AGE", "WHAT"), rows, right=("REQUEST", "RUN"))


def answer(
    run_id: RunId,
    request: RequestNumber,
    reply: Annotated[str, typer.Argument(metavar="once|reject", help="Allow it this time, or do not.")],
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="Told to the agent with a reject; kept with the answer.")
    ] = None,
    answers: Annotated[
        list[str] | None,
        typer.Option("--answer", "-a", help="Answer to a question; one for each, in their order; choices as A, B."),
    ] = None,
    remember: Annotated[bool, typer.Option("--remember", help="Allow exactly this for the rest of the run.")] = False,
    as_json: AsJson = False,
) -> None:
    """Answer what an agent of a run asks.

    A permission takes once or reject. Questions take once with an --answer for each, or reject, which ends the step.
    """
    if reply not in ("once", "reject"):
        raise CommandError(f"The reply is once or reject, not {reply!r}.", ExitCode.REFUSED)
    body: dict[str, Any] = {"reply": reply, "message": message, "remember": remember}
    with connected() as server:
        if answers:
            body["answers"] = _choices(answers, _questions(server, run_id, request))
        run = server.post(f"/pipelines/{run_id}/requests/{request}/answer", body)
    if as_json:
        put_json(run)
    done = "allowed" if reply == "once" else "rejected"
    say(f"request {request} {done}; run {run_id} is {str(run['status']).replace('_', ' ')} now")


COMMANDS = (requests, answer)


def _questions(server: Connection, run_id: int, request: int) -> list[dict[str, Any]]:
    """What the request asks; nothing when there is no such request, which the answer is then refused for."""
    found = [one for one in _all(server, {"pipeline_id": run_id, "status": "pending"}) if one["id"] == request]
    questions: list[dict[str, Any]] = found[0]["details"]["questions"] if found else []
    return questions


def _choices(answers: list[str], questions: list[dict[str, Any]]) -> list[list[str]]:
    """A list for each question. Only where several may be chosen, commas stand between choices."""
    chosen = [[text] for text in answers]
    for index, question in enumerate(questions[: len(chosen)]):
        labels = {option["label"] for option in question["options"]}
        if question["multiple"] and answers[index] not in labels:
            chosen[index] = [part.strip() for part in answers[index].split(",") if part.strip()]
    return chosen


def _all(server: Connection, given: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = server.get("/requests", {**given, "limit": 200, "cursor": cursor})
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items

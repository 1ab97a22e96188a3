"""`paceline doctor`: what is there, what is missing, and what to do about it."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer

from app.cli.connection import Connection, find_server, load_settings
from app.cli.exits import CommandError, ExitCode
from app.cli.findings import Finding, note, ok
from app.cli.output import put, put_json, say
from app.cli.run_commands import AsJson
from app.settings import Settings

_SIGNS = {"ok": "ok   ", "note": "note ", "fault": "FAULT"}


def doctor(
    try_model: Annotated[
        str | None, typer.Option("--try-model", metavar="MODEL", help="Ask this model for one word; may cost money.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check everything a run needs, with the fix for each fault.

    Works with and without a running server. Exit code 1 when there is a fault.
    """
    settings = load_settings()
    show = _collect if as_json else _show
    found = asyncio.run(_examine(settings, try_model, show))
    faults = sum(finding.state == "fault" for finding in found)
    if as_json:
        put_json({"ok": faults == 0, "findings": [asdict(finding) for finding in found]})
    else:
        say(f"{faults} faults" if faults else "Everything a run needs is there.")
    raise typer.Exit(ExitCode.FAILED if faults else ExitCode.OK)


async def _examine(settings: Settings, try_model: str | None, show: Callable[[Finding], None]) -> list[Finding]:
    from app.cli.doctor_machine import machine_findings
    from app.cli.doctor_opencode import opencode_findings

    found: list[Finding] = []

    def add(finding: Finding) -> None:
        found.append(finding)
        show(finding)

    add(_server(settings))
    for finding in machine_findings(settings):
        add(finding)
    say("Asking OpenCode …")
    async for finding in opencode_findings(settings, try_model):
        add(finding)
    return found


def _server(settings: Settings) -> Finding:
    try:
        address = find_server(settings)
        connection = Connection(address)
        try:
            health = connection.health()
            others = _others(connection)
        finally:
            connection.close()
    except CommandError as error:
        return note("server", error.sentence)
    if health["status"] != "ok":
        return note("server", f"{address.url} answers, but takes no work: {health['reason']}")
    at_work = f"{health['active']} at work, {health['queued']} queued"
    return ok("server", f"{health['version']} at {address.url}: {at_work}{others}")


def _others(connection: Connection) -> str:
    """The other servers on its database; nothing when there are none, or the login does not let us ask."""
    try:
        known = connection.get("/health/workers")["items"]
    except CommandError:
        return ""
    others = [f"{worker['id']} ({worker['state']})" for worker in known if not worker["answers"]]
    return f"; on the same database: {', '.join(others)}" if others else ""


def _show(finding: Finding) -> None:
    put(f"{_SIGNS[finding.state]} {finding.subject}: {finding.detail}")
    if finding.fix:
        put(f"      -> {finding.fix}")


def _collect(_finding: Finding) -> None:
    """Shown at the end, all at once."""


COMMANDS = (doctor,)

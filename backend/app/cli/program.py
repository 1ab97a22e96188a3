"""Joins the commands into one program and turns what ends them into a sentence and an exit code."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from app.cli import (
    db_commands,
    decision_commands,
    demo_command,
    doctor_command,
    queue_commands,
    request_commands,
    run_commands,
    server_commands,
    setting_commands,
)
from app.cli.exits import CommandError
from app.cli.output import put, say

_INTERRUPTED = 130

program = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

_PARTS = (
    server_commands, demo_command, run_commands, decision_commands, request_commands, setting_commands, doctor_command,
)  # fmt: skip
for _part in _PARTS:
    for _command in _part.COMMANDS:
        program.command()(_command)
program.add_typer(db_commands.group)
program.add_typer(queue_commands.group)


def _show_version(wanted: bool) -> None:
    if wanted:
        put(version("paceline"))
        raise typer.Exit


@program.callback()
def about(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Run pipelines of coding agents on OpenCode, each step with its own model.

    Data goes to standard output, progress and errors to standard error. Exit codes: 0 done, 1 failed or
    rejected, 2 wrong usage or refused, 3 waiting for a person, 4 aborted, 5 no server answers.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """The `paceline` command; ends by SystemExit. `arguments`: those of the process unless told."""
    try:
        program(arguments, prog_name="paceline")
    except CommandError as error:
        say(f"paceline: {error.sentence}")
        for line in error.lines:
            say(f"  {line}")
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)

"""The few tools that the fake OpenCode has, and its permission rules: the last matching rule wins."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

TOOLS = ("bash", "edit", "glob", "grep", "question", "read", "skill", "task", "todowrite", "webfetch", "write")
PERMISSION_OF = {"write": "edit"}
RULE_DENIES = "The user has specified a rule which prevents you from using this specific tool call."
REJECTED = "The user rejected permission to use this specific tool call with the following feedback: "

DEFAULT_RULES: tuple[Mapping[str, str], ...] = (
    {"permission": "*", "pattern": "*", "action": "allow"},
    {"permission": "doom_loop", "pattern": "*", "action": "ask"},
    {"permission": "external_directory", "pattern": "*", "action": "ask"},
)


class ToolFailure(Exception):
    """The tool's error text, as the model gets it."""


def agent_rules(agent: Mapping[str, object]) -> list[Mapping[str, str]]:
    """The rules of a configured agent: OpenCode's defaults and then its own."""
    own = agent.get("permission")
    rules = list(DEFAULT_RULES)
    if isinstance(own, Mapping):
        rules += [{"permission": str(name), "pattern": "*", "action": str(action)} for name, action in own.items()]
    return rules


def action(rules: Sequence[Mapping[str, str]], permission: str, pattern: str) -> str:
    """allow, ask or deny."""
    for rule in reversed(rules):
        if fnmatch(permission, rule["permission"]) and fnmatch(pattern, rule["pattern"]):
            return rule["action"]
    return "ask"


def offered(rules: Sequence[Mapping[str, str]]) -> list[str]:
    """The tools that the model is told about: a plain deny takes a tool away."""
    return [tool for tool in TOOLS if action(rules, PERMISSION_OF.get(tool, tool), "\0") != "deny"]


def needs(tool: str, arguments: Mapping[str, Any], directory: str) -> list[tuple[str, str]]:
    """Permissions that a call needs, with what they are for."""
    path = arguments.get("filePath")
    found = []
    if isinstance(path, str) and not Path(path).is_relative_to(directory):
        found.append(("external_directory", f"{Path(path).parent}/*"))
    if tool == "question":
        return found
    subject = arguments.get("command") or path or arguments.get("subagent_type") or "*"
    return [*found, (PERMISSION_OF.get(tool, tool), str(subject))]


async def run_tool(tool: str, arguments: Mapping[str, Any], directory: str) -> str:
    """Do it for real and return the output. Raises `ToolFailure`."""
    if tool == "bash":
        return await _bash(str(arguments["command"]), directory)
    try:
        if tool == "write":
            Path(arguments["filePath"]).parent.mkdir(parents=True, exist_ok=True)
            Path(arguments["filePath"]).write_text(arguments["content"])
            return "Wrote file successfully."
        if tool == "edit":
            path = Path(arguments["filePath"])
            path.write_text(path.read_text().replace(arguments["oldString"], arguments["newString"], 1))
            return "Edit applied successfully."
        if tool == "read":
            return Path(arguments["filePath"]).read_text()
    except OSError as error:
        raise ToolFailure(str(error)) from error
    return ""


async def _bash(command: str, directory: str) -> str:
    process = await asyncio.create_subprocess_shell(
        command,
        cwd=directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    return output.decode(errors="replace")

"""What the demo's models say and do. A role is recognised by its agent's instructions in the prompt,
so every model can play every role."""

from app.demo.demo_moves import play, spoken
from app.demo.demo_roles import ROLES, UNPREPARED
from app.demo.provider_script import Request, Script, directives, parse_directives


def demo_scenario(request: Request) -> Script:
    """The demo's script for a request; prompts with directives are played as they say."""
    if request.kind != "answer" or parse_directives(request.prompt):
        return directives(request)
    role = next((role for role in ROLES if role.mark in request.prompt), None)
    if role is None:
        return spoken(request, UNPREPARED)
    stopped = role.stop(request)
    if stopped is not None:
        return spoken(request, stopped)
    if request.turn < len(role.moves):
        return play(request, role.moves[request.turn])
    return spoken(request, role.closing(request))

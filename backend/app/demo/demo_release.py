"""The role of the demo that asks: two questions at once, then a permission for each command."""

from app.demo.demo_moves import Move, Role, bash, handoff, never, result_of
from app.demo.provider_script import Call, Request

TAG = "git tag release-candidate"

_QUESTIONS = [
    {
        "question": "Which number shall the next version get?",
        "header": "Version",
        "options": [
            {"label": "1.2.1", "description": "There is only a fix in it."},
            {"label": "1.3.0", "description": "Customers see something new."},
        ],
    },
    {
        "question": "What shall the announcement mention?",
        "header": "Announcement",
        "multiple": True,
        "options": [
            {"label": "The free shipping", "description": "From 50.00 on, as the README says."},
            {"label": "The new tests", "description": "For those who read the code."},
            {"label": "Thanks to the reporter", "description": ""},
        ],
    },
]


def _closing(request: Request) -> str:
    log, tag = result_of(request, 1), result_of(request, 2)
    seen = "Looked at the newest commits." if "Charge less" in log else "Could not look at the newest commits."
    # A tag that was set says nothing.
    tagged = f"The tag was not set: *{' '.join(tag.split())}*" if "reject" in tag or "denied" in tag.lower() else ""
    return handoff(
        f"Asked how the release shall be made, and was told: *{' '.join(result_of(request, 0).split())}*\n\n{seen}",
        tagged or f"Set a tag with `{TAG}`, which was allowed.",
        "None.",
        "Nothing is published. The answers above are for whoever writes the announcement.",
    )


RELEASE_MANAGER = Role(
    mark="You are the release manager.",
    moves=(
        Move(
            Call("question", {"questions": _QUESTIONS}),
            "Two things only a person can know, so I ask.",
            think="The number and the words of a release are decisions, not guesses.",
        ),
        Move(bash("git log --oneline -3", "Look at the newest commits"), "Thank you. What is in it so far?"),
        Move(bash(TAG, "Set a tag on the newest commit"), "I set a tag, if I may."),
    ),
    closing=_closing,
    stop=never,
)

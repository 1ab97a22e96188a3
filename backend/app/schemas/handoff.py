"""What an agent leaves for the next one: its whole text, and the four sections if it wrote them."""

from pydantic import BaseModel, ConfigDict

SECTION_TITLES: dict[str, str] = {
    "what_was_done": "What was done",
    "decisions_made": "Decisions made",
    "open_questions": "Open questions",
    "next_agent_context": "Next agent context",
}
"""Field of `HandoffSections` -> heading that agents are asked to write, in this order."""


class _HandoffBase(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)


class HandoffSections(_HandoffBase):
    """The text below each heading; None where the agent left the heading out."""

    what_was_done: str | None = None
    decisions_made: str | None = None
    open_questions: str | None = None
    next_agent_context: str | None = None


class Handoff(_HandoffBase):
    """`text` is the answer exactly as it came; `structured` is true when it has at least one of the headings."""

    text: str
    structured: bool
    sections: HandoffSections = HandoffSections()

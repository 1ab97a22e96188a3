"""Hand-offs: the four headings in every spelling agents use, and no text ever lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.schemas.handoff import SECTION_TITLES, HandoffSections
from app.services.handoffs import parse_handoff

FULL = """I looked at the code first.

## What was done
Fixed the timer.

- in `login.py`

## Decisions made
None.

## Open questions
- Is 5 s right?

## Next agent context
Run `pytest -k login`.
"""


def test_four_headings_give_four_sections() -> None:
    handoff = parse_handoff(FULL)
    assert handoff.structured
    assert handoff.text == FULL
    assert handoff.sections == HandoffSections(
        what_was_done="Fixed the timer.\n\n- in `login.py`",
        decisions_made="None.",
        open_questions="- Is 5 s right?",
        next_agent_context="Run `pytest -k login`.",
    )


@pytest.mark.parametrize(
    "heading",
    [
        "# Open questions",
        "###### Open questions ######",
        "##   OPEN QUESTIONS:",
        "## 3. Open Questions?",
        "## **Open questions**",
        "## ❓ Open questions",
        "## open_questions",
        "## Open-questions",
        "   ## Open questions",
        "Open questions\n==============",
        "Open questions\n---",
        "**Open questions**",
        "**Open questions:**",
        "__Open Questions__:",
        "- did it\n**Open questions**",
        "## Open\u00a0questions",
    ],
)
def test_spellings_of_a_heading(heading: str) -> None:
    handoff = parse_handoff(f"done\n\n{heading}\nwhich port?\n")
    assert handoff.sections == HandoffSections(open_questions="which port?")


@pytest.mark.parametrize(
    "text",
    [
        "```\n## Open questions\nx\n```",
        "~~~markdown\n## Open questions\nx\n~~~",
        "````\n```\n## Open questions\n```\n````",
        "text\n\n    ## Open questions\n    x",
        "> ## Open questions\n> x",
        "## Open questions about the port\nx",
        "There were open questions.",
        "**Open questions** are listed elsewhere",
        "##Open questions",
        "`## Open questions`",
        "<!--\n## Open questions\n-->",
        "",
    ],
)
def test_what_is_no_heading(text: str) -> None:
    handoff = parse_handoff(text)
    assert not handoff.structured
    assert handoff.sections == HandoffSections()
    assert handoff.text == text


def test_first_of_two_equal_headings_counts_and_the_second_ends_the_section_before_it() -> None:
    text = "# Decisions made\nfirst\n# Open questions\nwhy\n# Decisions made\nsecond\n"
    sections = parse_handoff(text).sections
    assert sections.decisions_made == "first"
    assert sections.open_questions == "why"


def test_other_headings_stay_inside_their_section() -> None:
    text = "# What was done\n## Backend\na\n# Frontend\nb\n## Open questions\nc"
    sections = parse_handoff(text).sections
    assert sections.what_was_done == "## Backend\na\n# Frontend\nb"
    assert sections.open_questions == "c"


def test_a_section_may_be_empty_and_is_then_not_missing() -> None:
    sections = parse_handoff("## Open questions\n## Decisions made\n").sections
    assert (sections.open_questions, sections.decisions_made, sections.what_was_done) == ("", "", None)


def test_fences_inside_a_section_hide_headings_and_stay_in_it() -> None:
    text = "## What was done\n```md\n## Open questions\n```\nend\n\n## Open questions\nq"
    sections = parse_handoff(text).sections
    assert sections.what_was_done == "```md\n## Open questions\n```\nend"
    assert sections.open_questions == "q"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_endings(newline: str) -> None:
    text = newline.join(["## What was done", "a\u2028b\x0bc", "## Open questions", "d"])
    handoff = parse_handoff(text)
    assert handoff.text == text
    assert handoff.sections == HandoffSections(what_was_done="a\u2028b\x0bc", open_questions="d")


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["```", "~~~", "---", "===", "- a", "> b", "", "    c", "<div>", "**Decisions made**", "1. x", "\t# d"]
        ),
        st.sampled_from([f"## {title}" for title in SECTION_TITLES.values()]),
        st.text(max_size=20),
    ),
    max_size=30,
)


def test_what_no_database_can_store_is_replaced() -> None:
    handoff = parse_handoff("a\x00b\ud83d\n## Open questions\n\udc00\U0001f600")
    assert handoff.text == "a\ufffdb\ufffd\n## Open questions\n\ufffd\U0001f600"
    assert handoff.sections.open_questions == "\ufffd\U0001f600"


def storable(text: str) -> str:
    return text.replace("\x00", "\ufffd")


@given(st.one_of(st.text(), LINES.map("\n".join), LINES.map("\r".join)))
def test_any_text_is_kept_whole_and_sections_are_parts_of_it(text: str) -> None:
    handoff = parse_handoff(text)
    assert handoff.text == storable(text)
    found = [value for value in handoff.sections.model_dump().values() if value is not None]
    assert handoff.structured == bool(found)
    unified = storable(text).replace("\r\n", "\n").replace("\r", "\n")
    assert all(value in unified for value in found)


@given(st.permutations(list(SECTION_TITLES)), st.lists(st.text(alphabet="abc xyz.,-\n"), min_size=4, max_size=4))
def test_sections_come_back_in_any_order(order: list[str], bodies: list[str]) -> None:
    written = dict(zip(order, (body.strip("- \n") for body in bodies), strict=True))
    text = "\n\n".join(f"## {SECTION_TITLES[field]}\n\n{body}" for field, body in written.items())
    assert parse_handoff(text).sections.model_dump() == written

"""Finds the four sections in what an agent wrote; tolerant of every spelling of a heading, lossless otherwise."""

import re
import unicodedata
from collections.abc import Iterator

from markdown_it import MarkdownIt

from app.schemas.handoff import SECTION_TITLES, Handoff, HandoffSections

# Only what decides whether a line is a heading. Without lists and quotes a long answer parses in linear time,
# and a heading inside a list item still counts; one inside a code block or a quote never does.
_BLOCKS = MarkdownIt("commonmark").disable(["inline", "list", "blockquote", "reference"])
# The same line endings as the parser's, so that its line numbers fit (str.splitlines knows more).
_LINE_END = re.compile(r"\r\n?|\n")
_BOLD_LINE = re.compile(r"\s*(?:[-*+]\s+)?(\*\*|__)(?P<title>[^*]+?)\1\s*:?\s*")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_WORD = re.compile(r"[^\W\d_]+")


def parse_handoff(text: str) -> Handoff:
    """Never raises. Sections end at the next of the four headings; of two equal headings the first counts.

    What no database can store (NUL, half of a surrogate pair) becomes U+FFFD; all else is kept as it came.
    """
    text = _UNSTORABLE.sub("\ufffd", text)
    lines = _LINE_END.split(text)
    marks = list(_headings(text, lines))
    sections: dict[str, str] = {}
    for index, (field, _, body_start) in enumerate(marks):
        end = marks[index + 1][1] if index + 1 < len(marks) else len(lines)
        sections.setdefault(field, "\n".join(lines[body_start:end]).strip())
    return Handoff(text=text, structured=bool(marks), sections=HandoffSections(**sections))


def _headings(text: str, lines: list[str]) -> Iterator[tuple[str, int, int]]:
    """(field, line of the heading, first line below it) of each heading that is one of ours, in order."""
    start, end, is_heading = 0, 0, False
    for token in _BLOCKS.parse(text):
        if token.type in ("heading_open", "paragraph_open") and token.map:
            (start, end), is_heading = token.map, token.type == "heading_open"
        elif token.type == "inline" and is_heading:
            field = _field(token.content)
            if field:
                yield field, start, end
        elif token.type == "inline":
            yield from _bold_lines(start, end, lines)


def _bold_lines(start: int, end: int, lines: list[str]) -> Iterator[tuple[str, int, int]]:
    for number in range(start, min(end, len(lines))):
        match = _BOLD_LINE.fullmatch(lines[number])
        field = _field(match["title"]) if match else None
        if field:
            yield field, number, number + 1


def _field(title: str) -> str | None:
    """The section that a heading names; case, punctuation, numbers and emoji do not matter."""
    words = _WORD.findall(unicodedata.normalize("NFKC", title).casefold())
    return _FIELDS.get(" ".join(words))


_FIELDS = {title.casefold(): field for field, title in SECTION_TITLES.items()}

"""Hands the audit log out as one document, page by page: as JSON, or as Markdown for people."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.models import AuditEvent
from app.schemas.audit import AuditEventResponse, ExportFormat

BATCH = 500


@dataclass(frozen=True)
class ExportFilter:
    """Which events: of one run or of all, `since` included, `until` not."""

    pipeline_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditExport:
    """Reads only. Between two pages nothing is held, so a slow reader holds up nobody."""

    def __init__(self, reads: async_sessionmaker[AsyncSession]) -> None:
        """Reads only."""
        self._reads = reads

    async def open(self, wanted: ExportFilter, form: ExportFormat) -> AsyncIterator[str]:
        """The document in pieces, oldest event first, up to the newest event of this moment.

        The first page is read here: when the database is away, this raises and nothing was sent.
        """
        async with self._reads() as db:
            newest = await db.scalar(select(func.max(AuditEvent.id))) or 0
        first = await self._page(wanted, 0, newest)
        pages = self._pages(wanted, first, newest)
        return _json(wanted, pages) if form == "json" else _markdown(wanted, pages)

    async def _pages(
        self, wanted: ExportFilter, page: Sequence[AuditEventResponse], newest: int
    ) -> AsyncIterator[Sequence[AuditEventResponse]]:
        while page:
            yield page
            page = await self._page(wanted, page[-1].id, newest)

    async def _page(self, wanted: ExportFilter, after: int, newest: int) -> Sequence[AuditEventResponse]:
        query = select(AuditEvent).where(AuditEvent.id > after, AuditEvent.id <= newest)
        if wanted.pipeline_id is not None:
            query = query.where(AuditEvent.pipeline_id == wanted.pipeline_id)
        if wanted.since is not None:
            query = query.where(AuditEvent.at >= wanted.since)
        if wanted.until is not None:
            query = query.where(AuditEvent.at < wanted.until)
        async with self._reads() as db:
            rows = (await db.scalars(query.order_by(AuditEvent.id).limit(BATCH))).all()
        return [AuditEventResponse.model_validate(row) for row in rows]


async def _json(wanted: ExportFilter, pages: AsyncIterator[Sequence[AuditEventResponse]]) -> AsyncIterator[str]:
    """One object, an event on each line of `items`: a program can read all of it, `grep` a part."""
    head = {"exported_at": _moment(datetime.now(UTC)), **_described(wanted)}
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "items": ['
    separator = "\n"
    async for page in pages:
        lines = [event.model_dump_json() for event in page]
        yield separator + ",\n".join(lines)
        separator = ",\n"
    yield "\n]}\n"


async def _markdown(wanted: ExportFilter, pages: AsyncIterator[Sequence[AuditEventResponse]]) -> AsyncIterator[str]:
    """A heading for each day, a list item for each event; whatever an event holds stands in code spans."""
    narrowed = [f"{name.replace('_', ' ')} {value}" for name, value in _described(wanted).items() if value is not None]
    yield f"# Audit log\n\nExported {_moment(datetime.now(UTC))}; {', '.join(narrowed) or 'all events'}.\n"
    day = ""
    number = 0
    async for page in pages:
        lines: list[str] = []
        for event in page:
            at = event.at.astimezone(UTC)
            if f"{at:%Y-%m-%d}" != day:
                day = f"{at:%Y-%m-%d}"
                lines.append(f"\n## {day}\n")
            lines += _item(event, at)
        number += len(page)
        yield "\n".join(lines) + "\n"
    yield f"\n{number} events.\n"


def _item(event: AuditEventResponse, at: datetime) -> list[str]:
    about = [f"#{event.id}"]
    about += [f"run {event.pipeline_id}"] if event.pipeline_id is not None else []
    about += [f"step id {event.step_id}"] if event.step_id is not None else []
    time = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"
    head = f"- {time} {code(event.type)} by {code(event.actor)} ({', '.join(about)})"
    return [head, *(f"  - {code(name)}: {code(_text(value))}" for name, value in event.payload.items())]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_LINE_ENDS = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Controls, and the marks that change the direction of what follows or are not seen at all.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def code(text: str) -> str:
    """The text as a Markdown code span on one line: no markup in it works, and invisible marks are seen."""
    shown = _LINE_ENDS.sub(" ⏎ ", text).replace("\t", " ")
    shown = _INVISIBLE.sub(lambda mark: f"\\u{{{ord(mark.group()):04x}}}", shown)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {shown} {fence}" if longest or not shown.strip() else f"{fence}{shown}{fence}"


def _described(wanted: ExportFilter) -> dict[str, Any]:
    return {
        "pipeline_id": wanted.pipeline_id,
        "since": _moment(wanted.since) if wanted.since else None,
        "until": _moment(wanted.until) if wanted.until else None,
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

"""Rows of a step's attempts: written before the prompt is sent, closed with what came of it."""

import json
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Attempt, Step
from app.schemas.runtime import MessageResponse, Tokens, TranscriptMessage

WAITING_NOTE = (
    "Interrupted: OpenCode went away while this step ran. It goes on as soon as OpenCode is back; "
    "tools may then run twice."
)
INTERRUPTED_NOTE = "OpenCode went away while this step ran and was asked again: tools may have run twice."


async def open_attempt(db: AsyncSession, step_id: int, pipeline_attempt: int) -> Attempt | None:
    """The attempt of this run attempt that has no outcome yet: the one to join after a crash."""
    found = await db.scalars(
        select(Attempt)
        .where(
            Attempt.step_id == step_id,
            Attempt.pipeline_attempt == pipeline_attempt,
            Attempt.outcome.is_(None),
        )
        .order_by(Attempt.number.desc())
        .limit(1)
    )
    return found.one_or_none()


async def next_number(db: AsyncSession, step_id: int) -> int:
    """Number of the step's next attempt, from 1."""
    newest = await db.scalar(select(func.max(Attempt.number)).where(Attempt.step_id == step_id))
    return (newest or 0) + 1


async def tries(db: AsyncSession, step_id: int, pipeline_attempt: int) -> int:
    """How often the step was tried in this attempt of its run."""
    made = await db.scalar(
        select(func.count())
        .select_from(Attempt)
        .where(Attempt.step_id == step_id, Attempt.pipeline_attempt == pipeline_attempt)
    )
    return made or 0


async def run_cost(db: AsyncSession, pipeline_id: int) -> float:
    """Known cost of the whole run so far, over all attempts, in USD."""
    spent = await db.scalar(
        select(func.sum(Attempt.cost)).join(Step, Step.id == Attempt.step_id).where(Step.pipeline_id == pipeline_id)
    )
    return float(spent or 0)


async def close_attempt(
    db: AsyncSession,
    step: Step,
    attempt_id: int,
    outcome: str,
    response: MessageResponse | None,
    *,
    error_message: str | None = None,
    note: str | None = None,
    commit_after: str | None = None,
) -> None:
    """Write what ran, what it cost and how it ended, and add it to the step's sums."""
    attempt = (await db.scalars(select(Attempt).where(Attempt.id == attempt_id))).one()
    attempt.outcome = outcome
    attempt.error_message = error_message
    attempt.note = note or attempt.note
    end_waiting(attempt)
    attempt.commit_after = commit_after
    attempt.finished_at = datetime.now(UTC)
    if response is None:
        return
    if response.resent:
        attempt.note = attempt.note or INTERRUPTED_NOTE
    attempt.used_model = response.used_model
    attempt.tokens = response.tokens.model_dump()
    attempt.cost = response.cost
    attempt.model_calls = response.model_calls
    attempt.transcript = pack_transcript(response.transcript)
    step.used_model = response.used_model or step.used_model
    step.tokens = (Tokens.model_validate(step.tokens or {}) + response.tokens).model_dump()
    step.cost = _plus(step.cost, response.cost)


def end_waiting(attempt: Attempt) -> None:
    """An attempt that waited for OpenCode goes on or ends: its note speaks of the past from now on."""
    if attempt.note == WAITING_NOTE:
        attempt.note = INTERRUPTED_NOTE


def _plus(before: float | None, more: float | None) -> float | None:
    return more if before is None else before + (more or 0)


def pack_transcript(messages: Sequence[TranscriptMessage]) -> bytes:
    """Compressed JSON, as `Attempt.transcript` holds it."""
    data: list[dict[str, Any]] = [message.model_dump(mode="json", exclude_defaults=True) for message in messages]
    return zlib.compress(json.dumps(data).encode())


def unpack_transcript(packed: bytes | None) -> list[TranscriptMessage] | None:
    """The messages again; None while nothing is stored."""
    if packed is None:
        return None
    return [TranscriptMessage.model_validate(item) for item in json.loads(zlib.decompress(packed))]

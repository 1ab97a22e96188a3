"""Repeated requests: the same `Idempotency-Key` with the same request finds the run that it created."""

import hashlib
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.errors import IdempotencyMismatch
from app.models import Pipeline


@dataclass(frozen=True)
class RequestName:
    """How a caller calls a request; `digest` tells it from others under the same key."""

    key: str
    digest: str

    @classmethod
    def of(cls, key: str | None, what: str, body: BaseModel | None = None) -> Self | None:
        """`what` is the use case, `body` its request; defaults that were left out count as given. None without key."""
        if key is None:
            return None
        text = f"{what} {body.model_dump_json() if body else ''}"
        return cls(key, hashlib.sha256(text.encode()).hexdigest())


async def created_before(
    sessions: async_sessionmaker[AsyncSession], name: RequestName | None, actor: str
) -> int | None:
    """The run that this request of this person created; IdempotencyMismatch when the key was another request's."""
    if name is None:
        return None
    query = select(Pipeline.id, Pipeline.request_digest)
    async with sessions() as db:
        found = (
            await db.execute(query.where(Pipeline.created_by == actor, Pipeline.idempotency_key == name.key))
        ).one_or_none()
    if found is None:
        return None
    if found.request_digest != name.digest:
        raise IdempotencyMismatch(
            f"This Idempotency-Key created run {found.id} from another request. Use a new key for a new run."
        )
    return int(found.id)

"""This server among those that share a database: its lease, who else lives, and what it may begin.

A lease is a row with a heartbeat. Whoever has not renewed it in time counts as dead, and the others
take its work over by raising the epoch of each run (services/reconciler.py). So a lease protects
nothing by itself, the epoch does; it only says when to take over, and when to send nothing more.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.errors import DatabaseTaken
from app.models import UtcDateTime, Worker
from app.schemas.system import WorkerList, WorkerResponse
from app.services.ports import Release, ServerLock

log = logging.getLogger("paceline.workers")

BEATS_IN_A_LEASE = 6
FORGOTTEN_AFTER = timedelta(days=1)
"""How long the rows of servers that are gone are shown."""
PERMIT_SECONDS = 60.0
"""After so long a permitted prompt has surely been sent, or never will be."""
_REGISTER_LOCK = 0x7061_6377
_NOW = {
    "postgresql": type_coerce(func.now(), UtcDateTime()),
    # Its CURRENT_TIMESTAMP knows whole seconds only.
    "sqlite": type_coerce(func.strftime("%Y-%m-%d %H:%M:%f000", "now"), UtcDateTime()),
}


@dataclass(frozen=True)
class Identity:
    """What a server tells the others about itself."""

    id: str
    hostname: str
    pid: int
    opencode: str | None
    """The OpenCode that it is attached to, in the spelling that all use; None when it manages its own."""
    lease_seconds: float = 30.0


class OnlyWorker:
    """`Colleagues` where no other server can be: a SQLite file has one."""

    shared = False

    def __init__(self, me: str = "local") -> None:
        self.me = me

    async def living(self) -> set[str]:
        """This one."""
        return {self.me}

    async def permit(self, release: Release) -> None:
        """Nobody takes anything over."""

    def suspects(self) -> set[Release]:
        """None."""
        return set()

    def settled(self, release: Release) -> None:
        """Nothing was suspect."""


class Workers:
    """`Colleagues` of one server on a database that several may share."""

    shared = True

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        reads: async_sessionmaker[AsyncSession],
        identity: Identity,
        lock: ServerLock | None = None,
    ) -> None:
        """`lock` is looked after with each heartbeat: without it this server does not count as living."""
        self.me = identity.id
        self._sessions = sessions
        self._reads = reads
        self._identity = identity
        self._lock = lock
        self._began: datetime | None = None
        self._confirmed = float("-inf")
        """When the newest heartbeat that is known to be stored was begun, on this process's clock."""
        self._permits: dict[Release, float] = {}
        self._suspects: set[Release] = set()

    async def join(self) -> None:
        """Take up a lease. DatabaseTaken when a living server is attached to another OpenCode."""
        asked = time.monotonic()
        async with self._sessions.begin() as db:
            if db.get_bind().dialect.name == "postgresql":
                # One at a time, or two that do not fit would each miss the other's row.
                await db.execute(select(func.pg_advisory_xact_lock(_REGISTER_LOCK)))
            now = await _now(db)
            rows = (await db.scalars(select(Worker))).all()
            for row in rows:
                if row.id != self.me and _lives(row, now) and row.opencode != self._identity.opencode:
                    raise DatabaseTaken(_other_opencode(row, self._identity, now))
            await db.execute(delete(Worker).where(Worker.heartbeat_at < now - FORGOTTEN_AFTER))
            me = self._identity
            await db.merge(
                Worker(
                    id=me.id, hostname=me.hostname[:255], pid=me.pid, opencode=me.opencode, started_at=now,
                    heartbeat_at=now, lease_seconds=me.lease_seconds, stopped_at=None,
                )
            )  # fmt: skip
        self._began = now
        self._confirmed = asked

    async def run(self) -> None:
        """Renew the lease until cancelled; while that fails, this server sends nothing new."""
        while True:
            await asyncio.sleep(self._identity.lease_seconds / BEATS_IN_A_LEASE)
            try:
                await self.beat()
            except Exception as error:
                log.warning("this server could not renew its lease: %s", error)

    async def beat(self) -> None:
        """Renew the lease once, by the database's clock. What was permitted before a lapse becomes suspect."""
        asked = time.monotonic()
        if self._lock is not None:
            await self._lock.keep()
        async with self._sessions.begin() as db:
            found = await db.scalars(
                select(Worker).where(Worker.id == self.me).with_for_update().execution_options(populate_existing=True)
            )
            row = found.one_or_none()
            now = await _now(db)
            if row is None or row.started_at != self._began:
                raise DatabaseTaken(f"Another server has taken the name {self.me}; end one of the two.")
            silent = now - row.heartbeat_at
            row.heartbeat_at, row.stopped_at = now, None
            if silent > timedelta(seconds=row.lease_seconds):
                seconds = silent.total_seconds()
                log.warning("this server was silent for %.0f s; others may have taken its work over", seconds)
                # Before the commit: whether or not its answer arrives, the next heartbeat sees no lapse any more.
                self._suspects |= self._permits.keys()
        self._confirmed = asked
        self._permits = {known: at for known, at in self._permits.items() if asked - at < PERMIT_SECONDS}

    async def leave(self) -> None:
        """End the lease at once: whatever this server has left to do is anybody's. Without a database it runs out."""
        try:
            async with self._sessions.begin() as db:
                row = await db.get(Worker, self.me)
                if row is not None and row.started_at == self._began:
                    row.stopped_at = await _now(db)
        except Exception as error:
            log.warning("this server could not say that it ends: %s", error)

    async def living(self) -> set[str]:
        """Names of the workers whose work is nobody else's; this one is always among them."""
        async with self._reads() as db:
            now = await _now(db)
            rows = (await db.scalars(select(Worker))).all()
        return {row.id for row in rows if _lives(row, now)} | {self.me}

    async def permit(self, release: Release) -> None:
        """Wait until this server counts as living; to be asked before anything is sent for an attempt."""
        while time.monotonic() - self._confirmed >= self._identity.lease_seconds:
            await asyncio.sleep(min(1.0, self._identity.lease_seconds / BEATS_IN_A_LEASE))
        self._permits[release] = time.monotonic()

    def suspects(self) -> set[Release]:
        """Attempts that were permitted something before this server stopped counting as living, until settled."""
        return set(self._suspects)

    def settled(self, release: Release) -> None:
        """That one has been looked after."""
        self._suspects.discard(release)


class WorkerQueries:
    """What the API shows of the servers on this database."""

    def __init__(self, reads: async_sessionmaker[AsyncSession], me: str) -> None:
        """`me` is the name of the server that answers."""
        self._reads = reads
        self._me = me

    async def page(self) -> WorkerList:
        """All servers of the last day, the newest first."""
        async with self._reads() as db:
            now = await _now(db)
            rows = (await db.scalars(select(Worker).order_by(Worker.started_at.desc(), Worker.id))).all()
        return WorkerList(items=[self._shown(row, now) for row in rows])

    def _shown(self, row: Worker, now: datetime) -> WorkerResponse:
        state = "stopped" if row.stopped_at else "living" if _lives(row, now) else "lost"
        return WorkerResponse.model_validate(
            {
                "id": row.id, "hostname": row.hostname, "pid": row.pid, "opencode": row.opencode, "state": state,
                "answers": row.id == self._me, "started_at": row.started_at, "heartbeat_at": row.heartbeat_at,
            }
        )  # fmt: skip


async def count_living(db: AsyncSession) -> int:
    """How many servers share the database now; one where no leases are kept."""
    now = await _now(db)
    return max(1, sum(_lives(row, now) for row in await db.scalars(select(Worker))))


async def _now(db: AsyncSession) -> datetime:
    """The database's clock: those of the hosts differ."""
    return (await db.scalars(select(_NOW[db.get_bind().dialect.name]))).one()


def _lives(row: Worker, now: datetime) -> bool:
    return row.stopped_at is None and now - row.heartbeat_at < timedelta(seconds=row.lease_seconds)


def _other_opencode(row: Worker, me: Identity, now: datetime) -> str:
    theirs = f"is attached to the OpenCode at {row.opencode}" if row.opencode else "manages an OpenCode of its own"
    ours = f"to {me.opencode}" if me.opencode else "to one of its own"
    return (
        f"The server {row.id} on this database {theirs}, this one would be {ours}; servers that share a database "
        f"need the same PACELINE_OPENCODE_URL. If that server is gone, it counts as dead "
        f"{max(0, row.lease_seconds - (now - row.heartbeat_at).total_seconds()):.0f} s from now."
    )

"""Tables only. Every status moves in services/transitions.py and nowhere else."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, zone included on both sides; SQLite stores it without the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: they would be read as UTC whatever they meant."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Always aware, always UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite autoincrements only INTEGER; PostgreSQL's audit ids may outgrow it.
BigKey = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Declarative base with a naming convention, so that migrations can name every constraint."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


class Pipeline(Base):
    """A run: the task, the directory, and where it stands."""

    __tablename__ = "pipelines"
    __table_args__ = (
        Index(None, "status", "id"),
        Index(None, "directory_id", "status", "queue_number"),
        Index(None, "created_by", "idempotency_key", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(300))
    prompt: Mapped[str] = mapped_column(Text)
    template: Mapped[str | None] = mapped_column(String(100))
    """Name of the template, None for custom steps."""
    status: Mapped[str] = mapped_column(String(30), default="pending")
    error_code: Mapped[str | None] = mapped_column(String(60))
    error_message: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(default=1)
    epoch: Mapped[int] = mapped_column(default=1)
    """Raised by whoever takes the run over; writes of an older epoch change nothing."""
    working_dir: Mapped[str] = mapped_column(Text)
    """As given; `directories.real_path` is what is locked."""
    directory_id: Mapped[int] = mapped_column(ForeignKey("directories.id"))
    queue_number: Mapped[int] = mapped_column(default=0)
    """Order among the runs of one directory, given under its lock."""
    branch: Mapped[str | None] = mapped_column(String(255))
    base_commit: Mapped[str | None] = mapped_column(String(64))
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    """Sentences shown at creation, such as uncommitted changes in the checkout."""
    created_by: Mapped[str] = mapped_column(String(100), default="token")
    idempotency_key: Mapped[str | None] = mapped_column(String(200))
    """What its creator called the request: the same one again finds this run."""
    request_digest: Mapped[str | None] = mapped_column(String(64))
    """SHA-256 of the request that came with the key."""
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    parked_at: Mapped[datetime | None]
    """Since when it waits between two steps for the queue to be resumed; nothing executes it meanwhile."""

    steps: Mapped[list["Step"]] = relationship(
        back_populates="pipeline", lazy="raise", order_by="Step.order_index", cascade="all, delete-orphan"
    )
    directory: Mapped["Directory"] = relationship(lazy="raise", foreign_keys=[directory_id])


class Step(Base):
    """One step of a run with the snapshot of its agent and what came of it."""

    __tablename__ = "steps"
    __table_args__ = (UniqueConstraint("pipeline_id", "order_index"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    pipeline_id: Mapped[int] = mapped_column(ForeignKey("pipelines.id", ondelete="CASCADE"))
    order_index: Mapped[int]
    type: Mapped[str] = mapped_column(String(20), default="agent")
    description: Mapped[str] = mapped_column(Text, default="")
    agent_name: Mapped[str | None] = mapped_column(String(100))
    agent_snapshot: Mapped[dict[str, Any] | None]
    """The AgentProfile as it was at creation; what runs, whatever the YAML says later."""
    permissions: Mapped[list[Any] | None]
    """The step's own permission rules; those of its agent are in the snapshot."""
    limits: Mapped[dict[str, Any] | None]
    """The step's own limits, in the shape of schemas.step_policy.LimitsOfStep; None: the settings hold."""
    retry: Mapped[dict[str, Any] | None]
    """The step's own retry policy, in the shape of schemas.step_policy.RetryOfStep; None: the settings hold."""
    retry_at: Mapped[datetime | None]
    """When the next try begins, while the step waits for it after a failed one; it is `pending` then."""
    remind_after_hours: Mapped[float | None]
    model: Mapped[str | None] = mapped_column(String(255), nullable=True)
    """As asked."""
    model_origin: Mapped[str | None] = mapped_column(String(20))
    resolved_model: Mapped[str | None] = mapped_column(String(600))
    used_model: Mapped[str | None] = mapped_column(String(600))
    status: Mapped[str] = mapped_column(String(30), default="pending")
    error_code: Mapped[str | None] = mapped_column(String(60))
    error_message: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    tokens: Mapped[dict[str, Any] | None]
    """Sum over its attempts, in the shape of schemas.runtime.Tokens."""
    cost: Mapped[float | None]

    pipeline: Mapped[Pipeline] = relationship(back_populates="steps", lazy="raise")
    attempts: Mapped[list["Attempt"]] = relationship(
        back_populates="step", lazy="raise", order_by="Attempt.number", cascade="all, delete-orphan"
    )
    handoffs: Mapped[list["Handoff"]] = relationship(
        lazy="raise", order_by="Handoff.id", cascade="all, delete-orphan"
    )
    approvals: Mapped[list["Approval"]] = relationship(
        lazy="raise", order_by="Approval.id", cascade="all, delete-orphan"
    )
    open_requests: Mapped[list["AgentRequest"]] = relationship(
        lazy="raise",
        viewonly=True,
        order_by="AgentRequest.id",
        primaryjoin="and_(Step.id == AgentRequest.step_id, AgentRequest.status == 'pending')",
    )
    """What its agent waits for; the run's other rows stay unread."""


class Attempt(Base):
    """One try at an agent step. Written before the prompt is sent: it is the checkpoint."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("step_id", "number"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    step_id: Mapped[int] = mapped_column(ForeignKey("steps.id", ondelete="CASCADE"), index=True)
    number: Mapped[int]
    pipeline_attempt: Mapped[int]
    session_id: Mapped[str | None] = mapped_column(String(100))
    message_id: Mapped[str] = mapped_column(String(100))
    directory: Mapped[str] = mapped_column(Text)
    worker: Mapped[str] = mapped_column(String(100))
    prompt: Mapped[str] = mapped_column(Text)
    """Exactly what was sent."""
    outcome: Mapped[str | None] = mapped_column(String(60))
    """`done` or the code of the failure; None while it runs."""
    error_message: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    """Something a reader should know, such as that tools may have run twice."""
    used_model: Mapped[str | None] = mapped_column(String(600))
    tokens: Mapped[dict[str, Any] | None]
    cost: Mapped[float | None]
    model_calls: Mapped[int] = mapped_column(default=0)
    commit_before: Mapped[str | None] = mapped_column(String(64))
    commit_after: Mapped[str | None] = mapped_column(String(64))
    transcript: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    """zlib-compressed JSON list of schemas.runtime.TranscriptMessage."""
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    step: Mapped[Step] = relationship(back_populates="attempts", lazy="raise")


class Handoff(Base):
    """What an agent step left for the next one."""

    __tablename__ = "handoffs"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    step_id: Mapped[int] = mapped_column(ForeignKey("steps.id", ondelete="CASCADE"), index=True)
    attempt_id: Mapped[int | None] = mapped_column(ForeignKey("attempts.id", ondelete="CASCADE"), unique=True)
    text: Mapped[str] = mapped_column(Text)
    structured: Mapped[bool]
    sections: Mapped[dict[str, Any]]
    edited_by: Mapped[str | None] = mapped_column(String(100))
    """Who changed it at a gate; the agent's own version stays as the row before."""
    created_at: Mapped[datetime]


class Approval(Base):
    """A gate: asked once, decided at most once."""

    __tablename__ = "approvals"
    __table_args__ = (UniqueConstraint("step_id", "pipeline_attempt"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    pipeline_id: Mapped[int] = mapped_column(ForeignKey("pipelines.id", ondelete="CASCADE"), index=True)
    step_id: Mapped[int] = mapped_column(ForeignKey("steps.id", ondelete="CASCADE"))
    pipeline_attempt: Mapped[int]
    status: Mapped[str] = mapped_column(String(20), default="pending", index=True)
    question: Mapped[str] = mapped_column(Text, default="")
    comment: Mapped[str | None] = mapped_column(Text)
    decision: Mapped[str | None] = mapped_column(String(30))
    """approve, reject, request_changes; None while open or when cancelled."""
    return_to: Mapped[int | None]
    """request_changes: `order_index` of the step that begins again."""
    decided_by: Mapped[str | None] = mapped_column(String(100))
    requested_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    remind_at: Mapped[datetime | None] = mapped_column(index=True)
    """First deadline of the reminder; it survives restarts."""
    reminded_at: Mapped[datetime | None]


class AgentRequest(Base):
    """A permission or a question that an agent waits for: asked once, decided at most once."""

    __tablename__ = "agent_requests"
    __table_args__ = (
        Index(None, "status", "id"),
        Index(None, "pipeline_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    pipeline_id: Mapped[int] = mapped_column(ForeignKey("pipelines.id", ondelete="CASCADE"))
    step_id: Mapped[int] = mapped_column(ForeignKey("steps.id", ondelete="CASCADE"), index=True)
    pipeline_attempt: Mapped[int]
    opencode_id: Mapped[str] = mapped_column(String(100), unique=True)
    """OpenCode's name for it: the same request found again after a restart is the same row."""
    session_id: Mapped[str] = mapped_column(String(100))
    sub_agent: Mapped[bool]
    """Whether the session is one that a sub-agent of the step works in."""
    directory: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(20))
    """permission or question"""
    tool: Mapped[str] = mapped_column(String(200))
    patterns: Mapped[list[Any]]
    details: Mapped[dict[str, Any]]
    """In the shape of schemas.requests.RequestDetails."""
    status: Mapped[str] = mapped_column(String(20), default="pending")
    reply: Mapped[str | None] = mapped_column(String(20))
    """once or reject, once decided."""
    message: Mapped[str | None] = mapped_column(Text)
    answers: Mapped[list[Any] | None]
    remember: Mapped[bool] = mapped_column(default=False)
    """Allowed for the rest of the run."""
    answered_by: Mapped[str | None] = mapped_column(String(100))
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    deadline: Mapped[datetime]


class Directory(Base):
    """One row for each real directory ever worked in; `holder` is the run that has it now.

    The row is permanent: creator and finisher lock it first, so no wake-up is lost.
    """

    __tablename__ = "directories"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    real_path: Mapped[str] = mapped_column(String(2000), unique=True)
    holder_id: Mapped[int | None]
    """Pipeline id; no foreign key, the cycle would buy nothing."""
    holder_attempt: Mapped[int | None]
    last_queue_number: Mapped[int] = mapped_column(default=0)


class QueueState(Base):
    """One row, with the id 1: whether steps may begin, for every server on this database."""

    __tablename__ = "queue_state"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    paused: Mapped[bool] = mapped_column(default=False)
    paused_by: Mapped[str | None] = mapped_column(String(100))
    paused_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(Text)


class AuditEvent(Base):
    """Append-only. Written in the transaction of the change it reports; its id is the SSE id."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "pipeline_id", "id"), Index(None, "type", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    type: Mapped[str] = mapped_column(String(60))
    actor: Mapped[str] = mapped_column(String(100))
    pipeline_id: Mapped[int | None]
    step_id: Mapped[int | None]
    payload: Mapped[dict[str, Any]]
    """At most 4 KB."""


class Worker(Base):
    """A server process that takes work from a shared database; alive while its heartbeat is fresh.

    All times are the database's: the clocks of two hosts differ.
    """

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(100), primary_key=True)
    """Also the name under which the queue knows who executes what."""
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    hostname: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    opencode: Mapped[str | None] = mapped_column(Text)
    """The OpenCode that it is attached to, in the same spelling for all; None when it manages its own."""
    lease_seconds: Mapped[float]
    """How long after its last heartbeat it counts as living."""
    stopped_at: Mapped[datetime | None]
    """When it ended in order."""

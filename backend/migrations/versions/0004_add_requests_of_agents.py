"""add requests of agents and the permission rules of a step"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("steps", sa.Column("permissions", sa.JSON(), nullable=True))
    op.create_table(
        "agent_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pipeline_id", sa.Integer(), nullable=False),
        sa.Column("step_id", sa.Integer(), nullable=False),
        sa.Column("pipeline_attempt", sa.Integer(), nullable=False),
        sa.Column("opencode_id", sa.String(length=100), nullable=False),
        sa.Column("session_id", sa.String(length=100), nullable=False),
        sa.Column("sub_agent", sa.Boolean(), nullable=False),
        sa.Column("directory", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("tool", sa.String(length=200), nullable=False),
        sa.Column("patterns", sa.JSON(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reply", sa.String(length=20), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("answers", sa.JSON(), nullable=True),
        sa.Column("remember", sa.Boolean(), nullable=False),
        sa.Column("answered_by", sa.String(length=100), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["pipeline_id"], ["pipelines.id"], name="fk_agent_requests_pipeline_id_pipelines", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["step_id"], ["steps.id"], name="fk_agent_requests_step_id_steps", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_agent_requests"),
        sa.UniqueConstraint("opencode_id", name="uq_agent_requests_opencode_id"),
        sqlite_autoincrement=True,
    )
    for columns in (["status", "id"], ["pipeline_id", "id"], ["step_id"]):
        op.create_index(f"ix_agent_requests_{'_'.join(columns)}", "agent_requests", columns, unique=False)


def downgrade() -> None:
    op.drop_table("agent_requests")
    # No batch: SQLite drops a column in place since 3.35, and a rebuilt table would lose AUTOINCREMENT.
    op.drop_column("steps", "permissions")

"""add the state of the queue and the time since which a run is parked"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("pipelines", sa.Column("parked_at", sa.DateTime(timezone=True), nullable=True))
    state = op.create_table(
        "queue_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("paused_by", sa.String(length=100), nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_queue_state"),
    )
    op.bulk_insert(state, [{"id": 1, "paused": False}])


def downgrade() -> None:
    op.drop_table("queue_state")
    # No batch: SQLite drops a column in place since 3.35, and a rebuilt table would lose AUTOINCREMENT.
    op.drop_column("pipelines", "parked_at")

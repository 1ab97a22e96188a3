"""add leases to workers"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # Nothing has written to the table before.
    op.execute("DELETE FROM workers")
    op.add_column("workers", sa.Column("opencode", sa.Text(), nullable=True))
    op.add_column("workers", sa.Column("lease_seconds", sa.Double(), nullable=False, server_default="30"))
    op.add_column("workers", sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    # No batch: SQLite drops a column in place since 3.35.
    op.drop_column("workers", "stopped_at")
    op.drop_column("workers", "lease_seconds")
    op.drop_column("workers", "opencode")

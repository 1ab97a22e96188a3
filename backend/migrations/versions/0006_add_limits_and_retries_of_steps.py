"""add limits and the retry policy of a step, and when its next try begins"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("steps", sa.Column("limits", sa.JSON(), nullable=True))
    op.add_column("steps", sa.Column("retry", sa.JSON(), nullable=True))
    op.add_column("steps", sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    # No batch: SQLite drops a column in place since 3.35, and a rebuilt table would lose AUTOINCREMENT.
    for column in ("retry_at", "retry", "limits"):
        op.drop_column("steps", column)

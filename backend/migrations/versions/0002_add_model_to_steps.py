"""add model to steps"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("steps", sa.Column("model", sa.String(length=255), nullable=True))


def downgrade() -> None:
    # No batch: SQLite drops a column in place since 3.35, and a rebuilt table would lose AUTOINCREMENT.
    op.drop_column("steps", "model")

"""keep decisions and edited hand-offs"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("approvals", sa.Column("decision", sa.String(length=30), nullable=True))
    op.add_column("approvals", sa.Column("return_to", sa.Integer(), nullable=True))
    op.add_column("handoffs", sa.Column("edited_by", sa.String(length=100), nullable=True))


def downgrade() -> None:
    op.drop_column("handoffs", "edited_by")
    op.drop_column("approvals", "return_to")
    op.drop_column("approvals", "decision")

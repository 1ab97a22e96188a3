"""add the idempotency key of a creation to pipelines"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEX = "ix_pipelines_created_by_idempotency_key"


def upgrade() -> None:
    op.add_column("pipelines", sa.Column("idempotency_key", sa.String(length=200), nullable=True))
    op.add_column("pipelines", sa.Column("request_digest", sa.String(length=64), nullable=True))
    op.create_index(INDEX, "pipelines", ["created_by", "idempotency_key"], unique=True)


def downgrade() -> None:
    op.drop_index(INDEX, "pipelines")
    op.drop_column("pipelines", "request_digest")
    op.drop_column("pipelines", "idempotency_key")

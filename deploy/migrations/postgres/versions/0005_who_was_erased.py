"""The ledger of erased users, by a hash of their ids."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; it is new, so nothing waits for a lock."""
    op.create_table(
        "erased",
        sa.Column("user_hash", sa.Text(), nullable=False, comment="See deploy.erasing.ledger; never the id."),
        sa.Column("receipt_id", sa.Uuid(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False, comment="From then on nobody writes."),
        sa.Column(
            "proved_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="The last search that found nothing but what expires. Null: not done, run it again.",
        ),
        sa.Column(
            "removed",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Place -> how many, over all runs.",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("length(user_hash) = 64", name=op.f("ck_erased_user_hash")),
        sa.PrimaryKeyConstraint("user_hash", name=op.f("pk_erased")),
        sa.UniqueConstraint("receipt_id", name=op.f("uq_erased_receipt_id")),
        schema="state",
    )


def downgrade() -> None:
    """Drop it: whoever was erased may come back by a replay. Keep the receipts, they hold the hashes."""
    op.drop_table("erased", schema="state")

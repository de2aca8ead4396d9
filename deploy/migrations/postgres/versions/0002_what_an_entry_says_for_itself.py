"""Sets before they are settled beside the user's other entries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the two columns."""
    # Without a value and with a constant default: neither rewrites the table.
    comment = "The set for itself, where it is not what is shown."
    op.add_column("suggestions", sa.Column("alone", postgresql.JSONB(), nullable=True, comment=comment), schema="state")
    op.add_column(
        "suggestions",
        sa.Column(
            "claims",
            postgresql.ARRAY(sa.Uuid()),
            nullable=False,
            server_default="{}",
            comment="Concerts it proposes for itself, whatever the user's other entries say.",
        ),
        schema="state",
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_column("suggestions", "claims", schema="state")
    op.drop_column("suggestions", "alone", schema="state")

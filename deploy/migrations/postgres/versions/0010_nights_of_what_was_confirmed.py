"""What a user confirmed, by night, and decisions by show and user: friends' shows are read a page at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NIGHT = "coalesce(body #>> '{concert,night}', '') desc"


def upgrade() -> None:
    """Indexes, made beside those who write; the one that another replaces goes last."""
    op.execute("comment on column state.import_pieces.what is 'upload, unmatched or entries.'")
    with op.get_context().autocommit_block():
        for name in ("ix_decisions_night", "ix_decisions_show"):
            op.execute(f"drop index concurrently if exists state.{name}")
        op.create_index(
            "ix_decisions_night",
            "decisions",
            ["user_id", sa.text(NIGHT), "decision_id"],
            unique=False,
            schema="state",
            postgresql_concurrently=True,
            postgresql_where=sa.text("action = 'confirmed'"),
        )
        op.create_index(
            "ix_decisions_show",
            "decisions",
            ["concert_id", "user_id"],
            unique=False,
            schema="state",
            postgresql_concurrently=True,
        )
        op.execute("drop index concurrently if exists state.ix_decisions_concert")


def downgrade() -> None:
    """The index of before, then without these."""
    op.execute("delete from state.import_pieces where what = 'entries'")
    op.execute("comment on column state.import_pieces.what is 'upload or unmatched.'")
    with op.get_context().autocommit_block():
        op.execute("drop index concurrently if exists state.ix_decisions_concert")
        op.create_index(
            "ix_decisions_concert",
            "decisions",
            ["concert_id"],
            unique=False,
            schema="state",
            postgresql_concurrently=True,
        )
        for name in ("ix_decisions_night", "ix_decisions_show"):
            op.execute(f"drop index concurrently if exists state.{name}")

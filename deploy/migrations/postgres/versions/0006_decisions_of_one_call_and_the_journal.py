"""What one call decided, calls with their answers, bulks, the journal, preferences, and numbers for the stream."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TX = "(pg_current_xact_id()::text)::bigint"
INDEXES = (
    ("ix_suggestions_tx", "suggestions", "tx", None),
    ("ix_decisions_tx", "decisions", "tx", None),
    ("ix_decisions_together", "decisions", "together", "together IS NOT NULL"),
)


def _times() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return (
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )


def upgrade() -> None:
    """New tables and columns that hold nothing of old rows; indexes are made beside those who write."""
    op.execute("alter type state.decision_action add value if not exists 'not_seen'")
    op.add_column(
        "decisions",
        sa.Column("together", sa.Uuid(), nullable=True, comment="Of decisions that one call made."),
        schema="state",
    )
    op.add_column(
        "decisions",
        sa.Column(
            "device",
            sa.Text(),
            nullable=True,
            comment="As the caller names it: its own stream leaves them out.",
        ),
        schema="state",
    )
    for table in ("decisions", "suggestions"):
        # The default comes after the column: with it, every old row would be written anew under a lock.
        column = sa.Column("tx", sa.BigInteger(), nullable=True, comment="The transaction that wrote it.")
        op.add_column(table, column, schema="state")
        op.execute(f"alter table state.{table} alter column tx set default {TX}")
    op.create_table(
        "unasked",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False, comment="How the entry ids of its sets begin."),
        sa.Column("keys", postgresql.ARRAY(sa.Text()), nullable=False, comment="What concerts find them by."),
        *_times(),
        sa.PrimaryKeyConstraint("user_id", "entry_id", name=op.f("pk_unasked")),
        schema="state",
    )
    op.create_index(
        "ix_unasked_keys",
        "unasked",
        ["keys"],
        unique=False,
        schema="state",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.create_table(
        "calls",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column(
            "request",
            sa.Text(),
            nullable=False,
            comment="What was asked, hashed: the key stands for nothing else.",
        ),
        sa.Column(
            "answer",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Null only until its transaction ends.",
        ),
        *_times(),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_calls")),
        schema="state",
    )
    op.create_table(
        "bulks",
        sa.Column("bulk_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column(
            "wish",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Action and filter, as asked for.",
        ),
        sa.Column("suggestion_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column(
            "answer",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Of the call that applied it.",
        ),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        *_times(),
        sa.PrimaryKeyConstraint("bulk_id", name=op.f("pk_bulks")),
        schema="state",
    )
    op.create_index("ix_bulks_user", "bulks", ["user_id"], unique=False, schema="state")
    op.create_table(
        "journal",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("rating", sa.SmallInteger(), nullable=True, comment="1 to 5."),
        sa.Column(
            "company",
            postgresql.ARRAY(sa.Text()),
            nullable=True,
            comment="With whom; null: as the entry says.",
        ),
        *_times(),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name=op.f("ck_journal_rating")),
        sa.PrimaryKeyConstraint("user_id", "entry_id", name=op.f("pk_journal")),
        schema="state",
    )
    op.create_table(
        "preferences",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("companions", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("habits", sa.Boolean(), server_default="false", nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_preferences")),
        schema="state",
    )
    with op.get_context().autocommit_block():
        for name, table, indexed, where in INDEXES:
            op.execute(f"drop index concurrently if exists state.{name}")
            op.create_index(
                name,
                table,
                [indexed],
                unique=False,
                schema="state",
                postgresql_concurrently=True,
                postgresql_where=None if where is None else sa.text(where),
            )


def downgrade() -> None:
    """Drop them: notes, ratings and preferences are gone; decisions stay. An enum's value cannot be taken out."""
    for name, _, _, _ in INDEXES:
        op.execute(f"drop index if exists state.{name}")
    for table in ("preferences", "journal", "bulks", "calls", "unasked"):
        op.drop_table(table, schema="state")
    for table, column in (
        ("suggestions", "tx"),
        ("decisions", "tx"),
        ("decisions", "device"),
        ("decisions", "together"),
    ):
        op.drop_column(table, column, schema="state")

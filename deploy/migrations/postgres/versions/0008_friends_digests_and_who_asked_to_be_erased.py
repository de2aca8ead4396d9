"""Who follows whom, what friends are shown, what digests told, and who asked to be erased."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

VISIBILITY = postgresql.ENUM("private", "friends", name="visibility", schema="state", create_type=False)


def _times() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return (
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )


def upgrade() -> None:
    """New tables, and columns with constant defaults: no row is written anew."""
    VISIBILITY.create(op.get_bind(), checkfirst=True)
    kept: tuple[sa.Column[Any], ...] = (
        sa.Column("visibility", VISIBILITY, nullable=True, comment="Null: as the whole journal."),
        sa.Column(
            "shared",
            postgresql.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Of note and rating: what those see with it who see the show.",
        ),
    )
    for column in kept:
        op.add_column("journal", column, schema="state")
    # Checked for rows to come first, for those that are there without a lock that writers wait for.
    op.execute(
        "alter table state.journal add constraint ck_journal_shared check (shared <@ array['note', 'rating']) not valid"
    )
    op.execute("alter table state.journal validate constraint ck_journal_shared")
    wanted: tuple[sa.Column[Any], ...] = (
        sa.Column(
            "journal",
            VISIBILITY,
            server_default="private",
            nullable=False,
            comment="Of shows that say nothing of their own.",
        ),
        sa.Column("digest", sa.Boolean(), server_default="true", nullable=False, comment="What is new, once a week."),
        sa.Column(
            "tz",
            sa.Text(),
            server_default="UTC",
            nullable=False,
            comment="IANA zone: whose weeks and whose nights.",
        ),
        sa.Column(
            "quiet_from",
            sa.Time(),
            server_default="22:00",
            nullable=False,
            comment="Local; the same as quiet_until: never quiet.",
        ),
        sa.Column("quiet_until", sa.Time(), server_default="08:00", nullable=False),
    )
    for column in wanted:
        op.add_column("preferences", column, schema="state")
    op.execute(
        "alter table state.preferences add constraint ck_preferences_tz check (length(tz) between 1 and 64) not valid"
    )
    op.execute("alter table state.preferences validate constraint ck_preferences_tz")
    op.create_table(
        "follows",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("other_id", sa.Text(), nullable=False, comment="Whoever is meant, known here or not."),
        sa.Column(
            "declined_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Since then the other is not shown the request. Never told to who asked.",
        ),
        *_times(),
        sa.CheckConstraint("user_id <> other_id", name=op.f("ck_follows_other")),
        sa.PrimaryKeyConstraint("user_id", "other_id", name=op.f("pk_follows")),
        schema="state",
    )
    op.create_index("ix_follows_other", "follows", ["other_id", "user_id"], unique=False, schema="state")
    op.create_table(
        "blocks",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("other_id", sa.Text(), nullable=False),
        *_times(),
        sa.CheckConstraint("user_id <> other_id", name=op.f("ck_blocks_other")),
        sa.PrimaryKeyConstraint("user_id", "other_id", name=op.f("pk_blocks")),
        schema="state",
    )
    op.create_index("ix_blocks_other", "blocks", ["other_id"], unique=False, schema="state")
    op.create_table(
        "digests",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column(
            "news", sa.Boolean(), nullable=False, comment="Something was found, or changed, since the last look."
        ),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False, comment="Nothing is due before."),
        sa.Column(
            "week", sa.Text(), nullable=True, comment="Of the last digest: 2026-W48, by the user's own calendar."
        ),
        sa.Column(
            "until_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="What the last digest tells of was found before.",
        ),
        sa.Column(
            "told",
            postgresql.ARRAY(sa.Uuid()),
            server_default="{}",
            nullable=False,
            comment="Suggestions that were there by then.",
        ),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=True, comment="The last digest."),
        *_times(),
        sa.CheckConstraint("(week IS NULL) = (until_at IS NULL)", name=op.f("ck_digests_sent")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_digests")),
        schema="state",
    )
    op.create_index(
        "ix_digests_next",
        "digests",
        ["next_at"],
        unique=False,
        schema="state",
        postgresql_where=sa.text("news"),
    )
    op.create_table(
        "erasures",
        sa.Column("receipt_id", sa.Uuid(), nullable=False, comment="As in state.erased."),
        sa.Column("user_id", sa.Text(), nullable=True, comment="Null as soon as it is done."),
        sa.Column(
            "subject_hash",
            sa.Text(),
            nullable=True,
            comment="Of the token's subject, hashed: null once no token of before can be good any more.",
        ),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False, comment="Not tried before."),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "receipt",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="See deploy.erasing.receipt; names no one.",
        ),
        *_times(),
        sa.CheckConstraint("(user_id IS NULL) = (done_at IS NOT NULL)", name=op.f("ck_erasures_done")),
        sa.CheckConstraint("(receipt IS NOT NULL) = (done_at IS NOT NULL)", name=op.f("ck_erasures_receipt")),
        sa.CheckConstraint("tries >= 0", name=op.f("ck_erasures_tries")),
        sa.PrimaryKeyConstraint("receipt_id", name=op.f("pk_erasures")),
        sa.UniqueConstraint("user_id", name=op.f("uq_erasures_user_id")),
        schema="state",
    )
    # ANALYZE keeps samples of what it reads: of these there are to be none.
    op.execute("alter table state.erasures alter column user_id set statistics 0")
    for name, indexed, where in (
        ("ix_erasures_waiting", "next_at", "user_id IS NOT NULL"),
        ("ix_erasures_subject", "subject_hash", "subject_hash IS NOT NULL"),
    ):
        op.create_index(name, "erasures", [indexed], unique=False, schema="state", postgresql_where=sa.text(where))


def downgrade() -> None:
    """Drop them: who follows whom and what is shown are forgotten; receipts too: keep those of open requests."""
    for table in ("erasures", "digests", "blocks", "follows"):
        op.drop_table(table, schema="state")
    for name in ("quiet_until", "quiet_from", "tz", "digest", "journal"):
        op.drop_column("preferences", name, schema="state")
    for name in ("shared", "visibility"):
        op.drop_column("journal", name, schema="state")
    VISIBILITY.drop(op.get_bind(), checkfirst=True)

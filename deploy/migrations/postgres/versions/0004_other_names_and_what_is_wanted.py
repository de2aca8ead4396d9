"""What artists and venues are called, what entries ask for, and the list that spiders search for."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _times() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return (
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )


def upgrade() -> None:
    """Add the tables; all are new, so nothing waits for a lock."""
    op.create_table(
        "names",
        sa.Column("reference_id", sa.Uuid(), nullable=False, comment="Id of the artist or the venue."),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "keys",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Of its names; none once its source shows it no more.",
        ),
        sa.Column(
            "ever",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Keys of all names it ever bore: whom a change concerns.",
        ),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=True, comment="Null: ended."),
        *_times(),
        sa.PrimaryKeyConstraint("reference_id", name=op.f("pk_names")),
        schema="state",
    )
    op.create_index(
        "ix_names_keys",
        "names",
        ["keys"],
        unique=False,
        schema="state",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.create_table(
        "wants",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("artist_key", sa.Text(), nullable=False),
        sa.Column("artist", sa.Text(), nullable=False, comment="As the entry writes it."),
        *_times(),
        sa.PrimaryKeyConstraint("user_id", "entry_id", "year", name=op.f("pk_wants")),
        schema="state",
    )
    op.create_index("ix_wants_artist", "wants", ["artist_key", "year"], unique=False, schema="state")
    op.create_table(
        "wanted",
        sa.Column("artist_key", sa.Text(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False, comment="Entries."),
        sa.Column("artist", sa.Text(), nullable=False, comment="As most of them write it."),
        *_times(),
        sa.CheckConstraint("asked >= 0", name=op.f("ck_wanted_asked")),
        sa.CheckConstraint("rev >= 0", name=op.f("ck_wanted_rev")),
        sa.PrimaryKeyConstraint("artist_key", "year", name=op.f("pk_wanted")),
        schema="state",
    )
    op.create_table(
        "wanted_list",
        sa.Column("artist_key", sa.Text(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("artist", sa.Text(), nullable=False),
        sa.Column(
            "asked",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Entries; 0: no user asks any more.",
        ),
        sa.Column(
            "rev", sa.BigInteger(), server_default="0", nullable=False, comment="Of the message: an older one loses."
        ),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, comment="Asked for without a break since then."),
        sa.Column("added", sa.Boolean(), server_default="false", nullable=False, comment="By an operator."),
        sa.Column(
            "boost", sa.Integer(), server_default="0", nullable=False, comment="An operator's: goes before the count."
        ),
        sa.Column(
            "hidden",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="By an operator: never searched for.",
        ),
        *_times(),
        sa.CheckConstraint("asked >= 0", name=op.f("ck_wanted_list_asked")),
        sa.PrimaryKeyConstraint("artist_key", "year", name=op.f("pk_wanted_list")),
        schema="state",
    )
    op.create_index(
        "ix_wanted_list_next",
        "wanted_list",
        [sa.text("boost DESC"), sa.text("asked DESC"), "since", "artist_key", "year"],
        unique=False,
        schema="state",
        postgresql_where=sa.text("NOT hidden AND (asked > 0 OR added)"),
    )
    op.create_table(
        "wanted_tries",
        sa.Column("artist_key", sa.Text(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("spider", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False, comment="Items, by the last try."),
        sa.Column("last_tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False, comment="Not again before."),
        sa.Column("last_run", sa.Uuid(), nullable=False),
        *_times(),
        sa.CheckConstraint("tries >= 0", name=op.f("ck_wanted_tries_tries")),
        sa.PrimaryKeyConstraint("artist_key", "year", "spider", name=op.f("pk_wanted_tries")),
        schema="state",
    )


def downgrade() -> None:
    """Drop them."""
    for name in ("wanted_tries", "wanted_list", "wanted", "wants", "names"):
        op.drop_table(name, schema="state")

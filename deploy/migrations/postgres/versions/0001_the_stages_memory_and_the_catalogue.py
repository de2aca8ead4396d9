"""The stages' memory and the catalogue."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CONCERT_STATUS = postgresql.ENUM(
    "announced", "happened", "moved", "postponed", "cancelled", name="concert_status", schema="state", create_type=False
)
DECISION_ACTION = postgresql.ENUM(
    "confirmed",
    "dismissed",
    "other_night",
    "snoozed",
    "undone",
    name="decision_action",
    schema="state",
    create_type=False,
)
ENTRY_ORIGIN = postgresql.ENUM("api", "import", "feed", name="entry_origin", schema="state", create_type=False)
REJECTION_REASON = postgresql.ENUM(
    "not_json",
    "missing_field",
    "wrong_type",
    "bad_value",
    "bad_date",
    "no_date",
    "no_artist",
    "too_large",
    "bad_document",
    "no_venue_name",
    name="rejection_reason",
    schema="state",
    create_type=False,
)
RUN_STATE = postgresql.ENUM("running", "finished", "failed", name="run_state", schema="state", create_type=False)
ENUMS = (CONCERT_STATUS, DECISION_ACTION, ENTRY_ORIGIN, REJECTION_REASON, RUN_STATE)


def upgrade() -> None:
    """Forward."""
    op.execute("create schema state")
    op.execute("create schema catalogue")
    bind = op.get_bind()
    for enum in ENUMS:
        enum.create(bind)
    op.create_table(
        "artists",
        sa.Column("artist_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("artist_id", name=op.f("pk_artists")),
        schema="catalogue",
    )
    op.create_table(
        "concerts",
        sa.Column("concert_id", sa.Uuid(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column(
            "gone", sa.Boolean(), nullable=False, comment="Its id was given away; kept so that an older message loses."
        ),
        sa.Column("artist", sa.Text(), nullable=True),
        sa.Column("artist_key", sa.Text(), nullable=True),
        sa.Column("night", sa.Date(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("status", CONCERT_STATUS, nullable=True),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "gone OR (body IS NOT NULL AND artist IS NOT NULL AND night IS NOT NULL)", name=op.f("ck_concerts_there")
        ),
        sa.CheckConstraint("length(country) = 2", name=op.f("ck_concerts_country")),
        sa.PrimaryKeyConstraint("concert_id", name=op.f("pk_concerts")),
        schema="catalogue",
    )
    op.create_index(
        "ix_catalogue_concerts_artist", "concerts", ["artist_key", "night"], unique=False, schema="catalogue"
    )
    op.create_index("ix_catalogue_concerts_night", "concerts", ["night"], unique=False, schema="catalogue")
    op.create_table(
        "rejections",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("reason", REJECTION_REASON, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("origin_topic", sa.Text(), nullable=False),
        sa.Column("rejected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("original", sa.LargeBinary(), nullable=True),
        sa.Column("original_size", sa.BigInteger(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", "stage", name=op.f("pk_rejections")),
        schema="catalogue",
    )
    op.create_index("ix_rejections_reason", "rejections", ["reason", "rejected_at"], unique=False, schema="catalogue")
    op.create_table(
        "venues",
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("venue_id", name=op.f("pk_venues")),
        schema="catalogue",
    )
    op.create_table(
        "accounts",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_accounts")),
        sa.UniqueConstraint("user_id", name=op.f("uq_accounts_user_id")),
        schema="state",
    )
    op.create_table(
        "concert_members",
        sa.Column("listing_id", sa.Uuid(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("concert_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("listing_id", "act", name=op.f("pk_concert_members")),
        schema="state",
    )
    op.create_index("ix_concert_members_concert", "concert_members", ["concert_id"], unique=False, schema="state")
    op.create_table(
        "concerts",
        sa.Column("concert_id", sa.Uuid(), nullable=False),
        sa.Column(
            "anchor_listing_id",
            sa.Uuid(),
            nullable=False,
            comment="Smallest listing among the members when the id was given.",
        ),
        sa.Column("anchor_act", sa.Text(), nullable=False, comment="The act as that listing writes it."),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("keys", sa.ARRAY(sa.Text()), nullable=False, comment="What entries find it by."),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("night BETWEEN '1900-01-01' AND '2299-12-31'", name=op.f("ck_concerts_night")),
        sa.CheckConstraint("rev > 0", name=op.f("ck_concerts_rev")),
        sa.PrimaryKeyConstraint("concert_id", name=op.f("pk_concerts")),
        schema="state",
    )
    op.create_index("ix_concerts_anchor", "concerts", ["anchor_listing_id"], unique=False, schema="state")
    op.create_index(
        "ix_concerts_keys",
        "concerts",
        ["keys"],
        unique=False,
        schema="state",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
        postgresql_where=sa.text("live"),
    )
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("suggestion_id", sa.Uuid(), nullable=False),
        sa.Column("concert_id", sa.Uuid(), nullable=False),
        sa.Column("before", DECISION_ACTION, nullable=True),
        sa.Column("action", DECISION_ACTION, nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_decisions")),
        sa.UniqueConstraint("seq", name=op.f("uq_decisions_seq")),
        sa.UniqueConstraint("user_id", "idempotency_key", name=op.f("uq_decisions_user_id_idempotency_key")),
        schema="state",
    )
    op.create_index("ix_decisions_concert", "decisions", ["concert_id"], unique=False, schema="state")
    op.create_index("ix_decisions_entry", "decisions", ["user_id", "entry_id", "seq"], unique=False, schema="state")
    op.create_table(
        "entries",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("origin", ENTRY_ORIGIN, nullable=False),
        sa.Column("keys", sa.ARRAY(sa.Text()), nullable=False, comment="What concerts find it by."),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=True, comment="Null: deleted."),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "entry_id", name=op.f("pk_entries")),
        schema="state",
    )
    op.create_index(
        "ix_entries_keys",
        "entries",
        ["keys"],
        unique=False,
        schema="state",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.create_table(
        "listings",
        sa.Column("listing_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("keys", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("night BETWEEN '1900-01-01' AND '2299-12-31'", name=op.f("ck_listings_night")),
        sa.CheckConstraint("version >= 0", name=op.f("ck_listings_version")),
        sa.PrimaryKeyConstraint("listing_id", name=op.f("pk_listings")),
        schema="state",
    )
    op.create_index(
        "ix_listings_keys",
        "listings",
        ["keys"],
        unique=False,
        schema="state",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.create_index(op.f("ix_listings_night"), "listings", ["night"], unique=False, schema="state")
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "shard", sa.SmallInteger(), nullable=False, comment="hash(key) % N: one relay holds a shard, in order."
        ),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("partition_by", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True, comment="Null: a tombstone."),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("shard >= 0", name=op.f("ck_outbox_shard")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        schema="state",
    )
    op.create_index("ix_outbox_shard", "outbox", ["shard", "id"], unique=False, schema="state")
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("spider", sa.Text(), nullable=False),
        sa.Column("state", RUN_STATE, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("start_url", sa.Text(), nullable=True),
        sa.Column("pages", sa.Integer(), server_default="0", nullable=False),
        sa.Column("scraped", sa.Integer(), server_default="0", nullable=False),
        sa.Column("delivered", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rejected", sa.Integer(), server_default="0", nullable=False),
        sa.Column("why", sa.Text(), nullable=True, comment="Of a failure."),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(state = 'running') = (finished_at IS NULL)", name=op.f("ck_runs_ended")),
        sa.CheckConstraint("state <> 'finished' OR scraped = delivered + rejected", name=op.f("ck_runs_nothing_lost")),
        sa.CheckConstraint("finished_at IS NULL OR finished_at >= started_at", name=op.f("ck_runs_ends_after_start")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
        schema="state",
    )
    op.create_index("ix_runs_spider", "runs", ["spider", "started_at"], unique=False, schema="state")
    op.create_table(
        "suggestions",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("suggestion_ids", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False, comment="Of the first; 0 for an empty set."),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("cardinality(suggestion_ids) <= 3", name=op.f("ck_suggestions_at_most_three")),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("ck_suggestions_confidence")),
        sa.CheckConstraint("rev > 0", name=op.f("ck_suggestions_rev")),
        sa.PrimaryKeyConstraint("user_id", "entry_id", name=op.f("pk_suggestions")),
        schema="state",
    )
    op.create_index(
        "ix_suggestions_ids",
        "suggestions",
        ["suggestion_ids"],
        unique=False,
        schema="state",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.create_table(
        "venues",
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("keys", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("venue_id", name=op.f("pk_venues")),
        schema="state",
    )
    op.create_index(
        "ix_venues_keys",
        "venues",
        ["keys"],
        unique=False,
        schema="state",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )


def downgrade() -> None:
    """And back."""
    op.drop_index(
        "ix_venues_keys",
        table_name="venues",
        schema="state",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.drop_table("venues", schema="state")
    op.drop_index(
        "ix_suggestions_ids",
        table_name="suggestions",
        schema="state",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.drop_table("suggestions", schema="state")
    op.drop_index("ix_runs_spider", table_name="runs", schema="state")
    op.drop_table("runs", schema="state")
    op.drop_index("ix_outbox_shard", table_name="outbox", schema="state")
    op.drop_table("outbox", schema="state")
    op.drop_index(op.f("ix_listings_night"), table_name="listings", schema="state")
    op.drop_index(
        "ix_listings_keys",
        table_name="listings",
        schema="state",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.drop_table("listings", schema="state")
    op.drop_index(
        "ix_entries_keys",
        table_name="entries",
        schema="state",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.drop_table("entries", schema="state")
    op.drop_index("ix_decisions_entry", table_name="decisions", schema="state")
    op.drop_index("ix_decisions_concert", table_name="decisions", schema="state")
    op.drop_table("decisions", schema="state")
    op.drop_index(
        "ix_concerts_keys",
        table_name="concerts",
        schema="state",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
        postgresql_where=sa.text("live"),
    )
    op.drop_index("ix_concerts_anchor", table_name="concerts", schema="state")
    op.drop_table("concerts", schema="state")
    op.drop_index("ix_concert_members_concert", table_name="concert_members", schema="state")
    op.drop_table("concert_members", schema="state")
    op.drop_table("accounts", schema="state")
    op.drop_table("venues", schema="catalogue")
    op.drop_index("ix_rejections_reason", table_name="rejections", schema="catalogue")
    op.drop_table("rejections", schema="catalogue")
    op.drop_index("ix_catalogue_concerts_night", table_name="concerts", schema="catalogue")
    op.drop_index("ix_catalogue_concerts_artist", table_name="concerts", schema="catalogue")
    op.drop_table("concerts", schema="catalogue")
    op.drop_table("artists", schema="catalogue")
    bind = op.get_bind()
    for enum in ENUMS:
        enum.drop(bind)
    op.execute("drop schema catalogue")
    op.execute("drop schema state")

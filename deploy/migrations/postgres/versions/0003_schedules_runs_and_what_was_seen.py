"""Schedules, runs with a life of their own, what was seen before, limits over all processes, alerts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ALERT_STATE = postgresql.ENUM("pending", "sent", "failed", name="alert_state", schema="state", create_type=False)
OPERATOR_LOG_ABOUT = postgresql.ENUM(
    "run", "schedule", "wanted", "rejection", name="operator_log_about", schema="state", create_type=False
)
RUN_TRIGGER = postgresql.ENUM("operator", "schedule", "wanted", name="run_trigger", schema="state", create_type=False)
ENUMS = (
    ALERT_STATE,
    OPERATOR_LOG_ABOUT,
    RUN_TRIGGER,
)
NEW_STATES = ("queued", "stopping", "stopped", "lost")
CHECKS = {
    "ck_runs_ended": (
        "(state = 'running') = (finished_at IS NULL)",
        "(state IN ('queued', 'running', 'stopping')) = (finished_at IS NULL)",
    ),
    "ck_runs_nothing_lost": (
        "state <> 'finished' OR scraped = delivered + rejected",
        "state <> 'finished' OR scraped = delivered + unchanged + rejected",
    ),
    "ck_runs_started": (None, "started_at IS NOT NULL OR state IN ('queued', 'stopped', 'lost')"),
}


def _check(version: int) -> None:
    """Checks of this version, old rows looked at without a lock that others feel."""
    for name, versions in CHECKS.items():
        op.execute(f"alter table state.runs drop constraint if exists {name}")
        if told := versions[version]:
            op.execute(f"alter table state.runs add constraint {name} check ({told}) not valid")
            op.execute(f"alter table state.runs validate constraint {name}")


def upgrade() -> None:
    """Add tables and columns; widen the states of a run."""
    # A new value of an enum can be used only once it is committed.
    with op.get_context().autocommit_block():
        for state in NEW_STATES:
            op.execute(f"alter type state.run_state add value if not exists '{state}'")
    bind = op.get_bind()
    for enum in ENUMS:
        enum.create(bind)
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("spider", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", ALERT_STATE, nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts")),
        schema="state",
    )
    op.create_index(
        "ix_alerts_pending",
        "alerts",
        ["next_try_at"],
        unique=False,
        schema="state",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "host_leases",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False, comment="When it was asked for: the order."),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("waits", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("host", "slot", name=op.f("pk_host_leases")),
        schema="state",
    )
    op.create_table(
        "hosts",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("every_s", sa.Float(), nullable=False, comment="Pace of the last that asked."),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_hosts")),
        schema="state",
    )
    op.create_table(
        "operator_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("about", OPERATOR_LOG_ABOUT, nullable=False),
        sa.Column(
            "thing", sa.Text(), nullable=False, comment="Id of the run, name of the schedule, key of the wanted row."
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_log")),
        schema="state",
    )
    op.create_index("ix_operator_log_thing", "operator_log", ["about", "thing", "id"], unique=False, schema="state")
    op.create_table(
        "quotas",
        sa.Column("key", sa.Text(), nullable=False, comment="The setting's name and a hash of the key, never the key."),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("used >= 0", name=op.f("ck_quotas_used")),
        sa.PrimaryKeyConstraint("key", "day", name=op.f("pk_quotas")),
        schema="state",
    )
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spider", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("tz", sa.Text(), server_default="UTC", nullable=False),
        sa.Column(
            "arguments",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Its errand.",
        ),
        sa.Column("timeout_s", sa.Integer(), nullable=True),
        sa.Column("paused", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "next_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Null while paused, or when it never comes again.",
        ),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("timeout_s > 0", name=op.f("ck_schedules_timeout")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedules")),
        schema="state",
    )
    op.create_table(
        "seen",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column(
            "night", sa.Date(), nullable=True, comment="Of a listing: a night gone by leaves an agenda by itself."
        ),
        sa.Column("scope", sa.Text(), nullable=False, comment="Of the crawl that saw it last."),
        sa.Column("run_id", sa.Uuid(), nullable=False, comment="That crawl."),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("vanished", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "record",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="What its vanishing is told with: url, spider, fields.",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("topic", "source", "source_id", name=op.f("pk_seen")),
        schema="state",
    )
    op.create_index("ix_seen_scope", "seen", ["scope", "run_id"], unique=False, schema="state")
    op.create_table(
        "watermarks",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("spider", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False, comment="In the source's own terms, mostly a time."),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_watermarks")),
        schema="state",
    )
    op.add_column(
        "runs",
        sa.Column(
            "source", sa.Text(), server_default="", nullable=False, comment="The catalogue's name in its messages."
        ),
        schema="state",
    )
    op.add_column("runs", sa.Column("trigger", RUN_TRIGGER, server_default="operator", nullable=False), schema="state")
    op.add_column(
        "runs",
        sa.Column("schedule", sa.Text(), nullable=True, comment="Name of the schedule that asked for it."),
        schema="state",
    )
    op.add_column(
        "runs",
        sa.Column(
            "lane",
            sa.Text(),
            nullable=True,
            comment="The spider, of runs that the scheduler starts: two of them never run at once. Null: by hand.",
        ),
        schema="state",
    )
    op.add_column(
        "runs",
        sa.Column(
            "arguments",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Its errand.",
        ),
        schema="state",
    )
    op.add_column(
        "runs",
        sa.Column("scope", sa.Text(), server_default="", nullable=False, comment="What it covers: see spiders.errand."),
        schema="state",
    )
    op.add_column(
        "runs",
        sa.Column("queued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        schema="state",
    )
    op.add_column(
        "runs",
        sa.Column(
            "heartbeat_at", sa.DateTime(timezone=True), nullable=True, comment="Last sign of life of its process."
        ),
        schema="state",
    )
    op.add_column("runs", sa.Column("timeout_s", sa.Integer(), nullable=True), schema="state")
    op.add_column("runs", sa.Column("host", sa.Text(), nullable=True, comment="Of its process."), schema="state")
    op.add_column("runs", sa.Column("pid", sa.Integer(), nullable=True), schema="state")
    op.add_column(
        "runs",
        sa.Column("pid_since", sa.Float(), nullable=True, comment="Start of that process: pids are used again."),
        schema="state",
    )
    op.add_column("runs", sa.Column("unchanged", sa.Integer(), server_default="0", nullable=False), schema="state")
    op.add_column("runs", sa.Column("vanished", sa.Integer(), server_default="0", nullable=False), schema="state")
    op.add_column(
        "runs",
        sa.Column("spooled", sa.Integer(), server_default="0", nullable=False, comment="On disk, not yet in Kafka."),
        schema="state",
    )
    op.add_column(
        "runs",
        sa.Column(
            "figures",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="See spiders.monitoring.",
        ),
        schema="state",
    )
    op.add_column(
        "runs",
        sa.Column(
            "findings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="[]",
            nullable=False,
            comment="See spiders.monitoring.",
        ),
        schema="state",
    )
    op.add_column("runs", sa.Column("suspect", sa.Boolean(), server_default="false", nullable=False), schema="state")
    op.add_column("runs", sa.Column("log_tail", sa.Text(), nullable=True), schema="state")
    op.alter_column(
        "runs", "started_at", existing_type=postgresql.TIMESTAMP(timezone=True), nullable=True, schema="state"
    )
    op.alter_column(
        "runs",
        "why",
        existing_type=sa.TEXT(),
        comment="Of a failure or a stop.",
        existing_comment="Of a failure.",
        existing_nullable=True,
        schema="state",
    )
    _check(1)
    with op.get_context().autocommit_block():
        # One that was broken off leaves an index that is not valid.
        op.execute("drop index concurrently if exists state.ix_runs_lane")
        op.create_index(
            "ix_runs_lane",
            "runs",
            ["lane"],
            unique=True,
            schema="state",
            postgresql_where=sa.text("state IN ('running', 'stopping')"),
            postgresql_concurrently=True,
        )
        op.execute("drop index concurrently if exists state.ix_runs_queued_at")
        op.create_index("ix_runs_queued_at", "runs", ["queued_at"], schema="state", postgresql_concurrently=True)


def downgrade() -> None:
    """And back: runs that never started are forgotten, states that were not known become `failed`."""
    op.drop_index("ix_runs_lane", table_name="runs", schema="state")
    op.drop_index("ix_runs_queued_at", table_name="runs", schema="state")
    op.execute("delete from state.runs where started_at is null")
    op.execute("update state.runs set finished_at = coalesce(finished_at, now()) where state = 'stopping'")
    for name in CHECKS:
        op.execute(f"alter table state.runs drop constraint {name}")
    op.execute("alter type state.run_state rename to run_state_3")
    op.execute("create type state.run_state as enum ('running', 'finished', 'failed')")
    # What was not published again counts as delivered: the older version knows nothing else.
    op.execute("update state.runs set delivered = delivered + unchanged where unchanged > 0")
    op.execute(
        "alter table state.runs alter column state type state.run_state using "
        "(case when state in ('running', 'finished') then state::text else 'failed' end)::state.run_state"
    )
    op.execute("drop type state.run_state_3")
    op.alter_column(
        "runs",
        "why",
        existing_type=sa.TEXT(),
        comment="Of a failure.",
        existing_comment="Of a failure or a stop.",
        existing_nullable=True,
        schema="state",
    )
    op.alter_column(
        "runs", "started_at", existing_type=postgresql.TIMESTAMP(timezone=True), nullable=False, schema="state"
    )
    op.drop_column("runs", "log_tail", schema="state")
    op.drop_column("runs", "suspect", schema="state")
    op.drop_column("runs", "findings", schema="state")
    op.drop_column("runs", "figures", schema="state")
    op.drop_column("runs", "spooled", schema="state")
    op.drop_column("runs", "vanished", schema="state")
    op.drop_column("runs", "unchanged", schema="state")
    op.drop_column("runs", "pid_since", schema="state")
    op.drop_column("runs", "pid", schema="state")
    op.drop_column("runs", "host", schema="state")
    op.drop_column("runs", "timeout_s", schema="state")
    op.drop_column("runs", "heartbeat_at", schema="state")
    op.drop_column("runs", "queued_at", schema="state")
    op.drop_column("runs", "scope", schema="state")
    op.drop_column("runs", "arguments", schema="state")
    op.drop_column("runs", "lane", schema="state")
    op.drop_column("runs", "schedule", schema="state")
    op.drop_column("runs", "trigger", schema="state")
    op.drop_column("runs", "source", schema="state")
    op.drop_table("watermarks", schema="state")
    op.drop_index("ix_seen_scope", table_name="seen", schema="state")
    op.drop_table("seen", schema="state")
    op.drop_table("schedules", schema="state")
    op.drop_table("quotas", schema="state")
    op.drop_index("ix_operator_log_thing", table_name="operator_log", schema="state")
    op.drop_table("operator_log", schema="state")
    op.drop_table("hosts", schema="state")
    op.drop_table("host_leases", schema="state")
    op.drop_index(
        "ix_alerts_pending", table_name="alerts", schema="state", postgresql_where=sa.text("state = 'pending'")
    )
    op.drop_table("alerts", schema="state")
    _check(0)
    bind = op.get_bind()
    for enum in ENUMS:
        enum.drop(bind)

"""The audit log, sign-ins of development, what callers took of their limits, and an end for idempotency keys."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

AUDITED = postgresql.ENUM(
    "decided",
    "signed_in",
    "signed_out",
    "reused",
    "exported",
    "visibility",
    name="audited",
    schema="state",
    create_type=False,
)
SIGN_IN_END = postgresql.ENUM("signed_out", "reused", name="sign_in_end", schema="state", create_type=False)


def _times() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return (
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )


def upgrade() -> None:
    """New tables; the index of a table that is written to is made beside those who write."""
    AUDITED.create(op.get_bind(), checkfirst=True)
    SIGN_IN_END.create(op.get_bind(), checkfirst=True)
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("what", AUDITED, nullable=False),
        sa.Column(
            "thing",
            sa.Text(),
            nullable=True,
            comment="Id of what it was done to: an entry, a show, a sign-in.",
        ),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("device", sa.Text(), nullable=True, comment="X-Device, where it was sent."),
        sa.Column("request_id", sa.Text(), nullable=False, comment="X-Request-Id of the answer."),
        *_times(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        schema="state",
    )
    op.create_index("ix_audit_user", "audit", ["user_id", "id"], unique=False, schema="state")
    op.execute(
        """
        create function state.keep_as_it_was() returns trigger language plpgsql as
        $$ begin raise exception 'rows of %.% are never changed', tg_table_schema, tg_table_name; end $$
        """
    )
    # Deleting is for erasure, which deletes rows of the user everywhere.
    op.execute(
        "create trigger never_changed before update on state.audit for each row execute function state.keep_as_it_was()"
    )
    op.create_table(
        "sign_ins",
        sa.Column("sign_in_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended", SIGN_IN_END, nullable=True),
        *_times(),
        sa.CheckConstraint("(ended_at IS NULL) = (ended IS NULL)", name=op.f("ck_sign_ins_ended")),
        sa.PrimaryKeyConstraint("sign_in_id", name=op.f("pk_sign_ins")),
        schema="state",
    )
    op.create_index("ix_sign_ins_user", "sign_ins", ["user_id"], unique=False, schema="state")
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.Text(), nullable=False, comment="SHA-256; the token itself is kept nowhere."),
        sa.Column("sign_in_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        *_times(),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_refresh_tokens")),
        schema="state",
    )
    op.create_index("ix_refresh_tokens_user", "refresh_tokens", ["user_id"], unique=False, schema="state")
    op.create_index("ix_refresh_tokens_expires", "refresh_tokens", ["expires_at"], unique=False, schema="state")
    op.create_table(
        "rates",
        sa.Column("caller", sa.Uuid(), nullable=False, comment="A hash of kind and caller: see api.limits."),
        sa.Column("taken", postgresql.ARRAY(sa.BigInteger()), nullable=False, comment="Milliseconds since 1970."),
        sa.Column("asked", sa.Integer(), nullable=False, comment="Calls that the last statement asked for."),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("granted", sa.Integer(), nullable=False, comment="Of those asked for."),
        *_times(),
        sa.PrimaryKeyConstraint("caller", name=op.f("pk_rates")),
        schema="state",
        prefixes=["UNLOGGED"],
    )
    # 300 instants are 2.4 kB: a row stays in its page, and nothing tries to compress it at every call.
    op.execute("alter table state.rates alter column taken set storage plain")
    op.execute("alter table state.rates set (fillfactor = 50)")
    with op.get_context().autocommit_block():
        op.execute("drop index concurrently if exists state.ix_calls_created_at")
        op.create_index(
            "ix_calls_created_at",
            "calls",
            ["created_at"],
            unique=False,
            schema="state",
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    """Drop them: the audit log is gone, and everybody signs in anew."""
    op.execute("drop index if exists state.ix_calls_created_at")
    for table in ("rates", "refresh_tokens", "sign_ins", "audit"):
        op.drop_table(table, schema="state")
    op.execute("drop function state.keep_as_it_was()")
    SIGN_IN_END.drop(op.get_bind(), checkfirst=True)
    AUDITED.drop(op.get_bind(), checkfirst=True)

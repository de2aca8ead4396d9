"""Imports: what was uploaded, what each says of each entry, and their log."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATES = ("fetching", "reading", "ready", "applying", "applied", "undoing", "undone", "failed")
KINDS = ("file", "text", "rows", "setlistfm")
OUTCOMES = ("added", "changed", "unchanged", "gone")
ENUMS = {"import_state": STATES, "import_kind": KINDS, "import_outcome": OUTCOMES}


def _enum(name: str) -> postgresql.ENUM:
    return postgresql.ENUM(*ENUMS[name], name=name, schema="state", create_type=False)


def _jsonb() -> postgresql.JSONB:
    return postgresql.JSONB(astext_type=sa.Text())


def _times() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return (
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )


def upgrade() -> None:
    """New tables only: nobody waits."""
    for name, values in ENUMS.items():
        postgresql.ENUM(*values, name=name, schema="state").create(op.get_bind())
    op.create_table(
        "imports",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="Of the file, without folders; of a list, whose it is."),
        sa.Column("kind", _enum("import_kind"), nullable=False),
        sa.Column("state", _enum("import_state"), nullable=False),
        sa.Column(
            "rev",
            sa.BigInteger(),
            server_default="1",
            nullable=False,
            comment="Counts every change: GET .../progress.",
        ),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="Bytes, as they are kept."),
        sa.Column("file_hash", sa.Text(), nullable=True, comment="SHA-256 of them; null until a list is fetched."),
        sa.Column(
            "wish",
            _jsonb(),
            server_default="{}",
            nullable=False,
            comment="Corrections that are to be read with.",
        ),
        sa.Column("corrections", _jsonb(), server_default="{}", nullable=False, comment="Those of the dry run."),
        sa.Column("dry_run", _jsonb(), nullable=True, comment="Null until it was read."),
        sa.Column("error", _jsonb(), nullable=True, comment="Code and text of the last failure."),
        sa.Column("options", _jsonb(), server_default="{}", nullable=False, comment="As `apply` was called."),
        sa.Column("corrects", sa.Uuid(), nullable=True, comment="The import whose file this is, corrected."),
        sa.Column("backfill", sa.Boolean(), server_default="false", nullable=False, comment="More than 200 entries."),
        sa.Column(
            "reached",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Pages, rows or entries done.",
        ),
        sa.Column("total", sa.BigInteger(), server_default="0", nullable=False, comment="Of them; 0: not known yet."),
        sa.Column(
            "counts",
            _jsonb(),
            server_default="{}",
            nullable=False,
            comment="What became of entries.",
        ),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False, comment="Since it last got on."),
        sa.Column("holder", sa.Text(), nullable=True, comment="The process that works on it."),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        *_times(),
        sa.CheckConstraint("size >= 0", name=op.f("ck_imports_size")),
        sa.CheckConstraint("reached >= 0", name=op.f("ck_imports_reached")),
        sa.CheckConstraint("(holder IS NULL) = (lease_until IS NULL)", name=op.f("ck_imports_lease")),
        sa.CheckConstraint("state <> 'applied' OR applied_at IS NOT NULL", name=op.f("ck_imports_applied")),
        sa.CheckConstraint(
            "undone_at IS NULL OR undone_at >= applied_at", name=op.f("ck_imports_undone_after_applied")
        ),
        sa.PrimaryKeyConstraint("import_id", name=op.f("pk_imports")),
        schema="state",
    )
    op.create_index("ix_imports_user", "imports", ["user_id", "created_at", "import_id"], unique=False, schema="state")
    op.create_index(
        "ix_imports_at_work",
        "imports",
        ["created_at"],
        unique=False,
        schema="state",
        postgresql_where=sa.text("state IN ('fetching', 'reading', 'applying', 'undoing')"),
    )
    op.create_table(
        "import_pieces",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False, comment="upload or unmatched."),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="zlib."),
        *_times(),
        sa.PrimaryKeyConstraint("import_id", "what", "number", name=op.f("pk_import_pieces")),
        schema="state",
    )
    op.create_index("ix_import_pieces_user", "import_pieces", ["user_id"], unique=False, schema="state")
    op.create_table(
        "import_entries",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("outcome", _enum("import_outcome"), nullable=False),
        sa.Column("said", sa.Text(), nullable=True, comment="Hash of body."),
        sa.Column(
            "facts",
            postgresql.ARRAY(sa.BigInteger()),
            nullable=False,
            comment="What a corrected file finds it by.",
        ),
        sa.Column("body", _jsonb(), nullable=True, comment="What is remembered; null: not there."),
        sa.Column("base", _jsonb(), nullable=True, comment="What was there before any import; null: nothing."),
        sa.Column(
            "backfill",
            sa.Boolean(),
            nullable=False,
            comment="Its topic: one entry goes by one, so that order is kept.",
        ),
        sa.Column("undone", sa.Boolean(), server_default="false", nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("import_id", "entry_id", name=op.f("pk_import_entries")),
        schema="state",
    )
    op.create_index(
        "ix_import_entries_entry", "import_entries", ["user_id", "entry_id", "seq"], unique=False, schema="state"
    )
    op.create_index("ix_import_entries_place", "import_entries", ["import_id", "seq"], unique=False, schema="state")
    op.create_table(
        "import_steps",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.Text(), nullable=False, comment="user, or the process that worked on it."),
        sa.Column("before", _enum("import_state"), nullable=True),
        sa.Column("after", _enum("import_state"), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        *_times(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_steps")),
        schema="state",
    )
    op.create_index("ix_import_steps_import", "import_steps", ["import_id", "id"], unique=False, schema="state")
    op.create_index("ix_import_steps_user", "import_steps", ["user_id"], unique=False, schema="state")


def downgrade() -> None:
    """Drop them: entries that were imported stay, and can no longer be undone as a whole."""
    for table in ("import_steps", "import_entries", "import_pieces", "imports"):
        op.drop_table(table, schema="state")
    for name in ENUMS:
        op.execute(f"drop type state.{name}")

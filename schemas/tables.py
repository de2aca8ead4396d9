"""Tables of PostgreSQL.

Schema `state` is the memory of the stages, each table written by one owner; `catalogue` is what the API shows, written
by the Postgres sink and rebuildable from topics.

Bodies are the canonical JSON of the message, so that a row can be compared with a topic byte for byte.
"""

from datetime import date, datetime, time
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    DateTime,
    Enum,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from schemas.decision import Action
from schemas.history import EntryOrigin
from schemas.listing import Status
from schemas.rejection import Reason

STATE = "state"
CATALOGUE = "catalogue"
NIGHTS = "'1900-01-01' AND '2299-12-31'"
"""What normalise lets through."""
TX = "(pg_current_xact_id()::text)::bigint"
"""The number of this transaction; never used twice."""


class RunState(StrEnum):
    """How a run of a spider stands. Values are only added at the end."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    QUEUED = "queued"
    STOPPING = "stopping"
    STOPPED = "stopped"
    LOST = "lost"


class Trigger(StrEnum):
    """Why there is a run. Values are only added at the end."""

    OPERATOR = "operator"
    SCHEDULE = "schedule"
    WANTED = "wanted"


class AlertState(StrEnum):
    """How far the telling of an operator is. Values are only added at the end."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


class WatchedBy(StrEnum):
    """What a line of the operators' log is about. Values are only added at the end."""

    RUN = "run"
    SCHEDULE = "schedule"
    WANTED = "wanted"
    REJECTION = "rejection"


class Visibility(StrEnum):
    """Who sees a confirmed show beside its owner. Values are only added at the end."""

    PRIVATE = "private"
    FRIENDS = "friends"


class ImportState(StrEnum):
    """How an import stands. Values are only added at the end."""

    FETCHING = "fetching"
    READING = "reading"
    READY = "ready"
    APPLYING = "applying"
    APPLIED = "applied"
    UNDOING = "undoing"
    UNDONE = "undone"
    FAILED = "failed"


class ImportKind(StrEnum):
    """How an import came in. Values are only added at the end."""

    FILE = "file"
    TEXT = "text"
    ROWS = "rows"
    SETLISTFM = "setlistfm"


class ImportOutcome(StrEnum):
    """What an import did to an entry. Values are only added at the end."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    GONE = "gone"


class Audited(StrEnum):
    """What a line of a user's audit log tells. Values are only added at the end."""

    DECIDED = "decided"
    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    REUSED = "reused"
    EXPORTED = "exported"
    VISIBILITY = "visibility"


class SignInEnd(StrEnum):
    """Why a sign-in ended before its time. Values are only added at the end."""

    SIGNED_OUT = "signed_out"
    REUSED = "reused"


# Without a pending list: every look-up would read all of it, key by key, and a stage looks up thousands a batch.
_GIN: dict[str, Any] = {"postgresql_using": "gin", "postgresql_with": {"fastupdate": "off"}}


def _values(enum: Any) -> list[str]:
    return [member.value for member in enum]


def _tx() -> Any:
    """Of what `GET /v1/stream` tells: whoever reads below the oldest open transaction misses nothing."""
    return mapped_column(BigInteger, server_default=text(TX), comment="The transaction that wrote it.")


def _enum(enum: Any, name: str) -> Enum:
    return Enum(enum, name=name, schema=STATE, values_callable=_values, metadata=Base.metadata)


class Base(DeclarativeBase):
    """Every table has created_at and updated_at; instants are UTC."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own declaration
        str: Text(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
        list[str]: ARRAY(Text()),
        list[UUID]: ARRAY(Uuid()),
    }

    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=90)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now(), sort_order=91)


# -- owned by resolve ---------------------------------------------------------------------------------------------


class ListingRow(Base):
    """The last version of each listing, with its blocking keys."""

    __tablename__ = "listings"
    __table_args__ = (
        CheckConstraint(f"night BETWEEN {NIGHTS}", name="night"),
        CheckConstraint("version >= 0", name="version"),
        Index("ix_listings_keys", "keys", **_GIN),
        {"schema": STATE},
    )

    listing_id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str]
    source_id: Mapped[str]
    version: Mapped[int] = mapped_column(BigInteger)
    night: Mapped[date] = mapped_column(Date, index=True)
    keys: Mapped[list[str]]
    body: Mapped[dict[str, Any]]


class VenueRow(Base):
    """The last version of each venue, with the keys that listings find it by."""

    __tablename__ = "venues"
    __table_args__ = (Index("ix_venues_keys", "keys", **_GIN), {"schema": STATE})

    venue_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    keys: Mapped[list[str]]
    body: Mapped[dict[str, Any]]


class ConcertRow(Base):
    """Concerts that are and that were: a row that is not live answers for an id that was given away."""

    __tablename__ = "concerts"
    __table_args__ = (
        CheckConstraint(f"night BETWEEN {NIGHTS}", name="night"),
        CheckConstraint("rev > 0", name="rev"),
        Index("ix_concerts_keys", "keys", **_GIN, postgresql_where=text("live")),
        Index("ix_concerts_anchor", "anchor_listing_id"),
        {"schema": STATE},
    )

    concert_id: Mapped[UUID] = mapped_column(primary_key=True)
    anchor_listing_id: Mapped[UUID] = mapped_column(comment="Smallest listing among the members when the id was given.")
    anchor_act: Mapped[str] = mapped_column(comment="The act as that listing writes it.")
    live: Mapped[bool] = mapped_column(Boolean)
    rev: Mapped[int] = mapped_column(BigInteger)
    night: Mapped[date] = mapped_column(Date)
    keys: Mapped[list[str]] = mapped_column(comment="What entries find it by.")
    body: Mapped[dict[str, Any]]


class MemberRow(Base):
    """Which concert each act of each listing belongs to now."""

    __tablename__ = "concert_members"
    __table_args__ = (Index("ix_concert_members_concert", "concert_id"), {"schema": STATE})

    listing_id: Mapped[UUID] = mapped_column(primary_key=True)
    act: Mapped[str] = mapped_column(primary_key=True)
    concert_id: Mapped[UUID]


# -- owned by match (entries: by the API for what it wrote) ----------------------------------------------------------


class EntryRow(Base):
    """The last version of each line of each history."""

    __tablename__ = "entries"
    __table_args__ = (Index("ix_entries_keys", "keys", **_GIN), {"schema": STATE})

    user_id: Mapped[str] = mapped_column(primary_key=True)
    entry_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    origin: Mapped[EntryOrigin] = mapped_column(_enum(EntryOrigin, "entry_origin"))
    keys: Mapped[list[str]] = mapped_column(comment="What concerts find it by.")
    body: Mapped[dict[str, Any] | None] = mapped_column(comment="Null: deleted.")


class SuggestionsRow(Base):
    """An entry's present set."""

    __tablename__ = "suggestions"
    __table_args__ = (
        CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence"),
        CheckConstraint("rev > 0", name="rev"),
        CheckConstraint("cardinality(suggestion_ids) <= 3", name="at_most_three"),
        Index("ix_suggestions_ids", "suggestion_ids", **_GIN),
        Index("ix_suggestions_tx", "tx"),
        {"schema": STATE},
    )

    user_id: Mapped[str] = mapped_column(primary_key=True)
    entry_id: Mapped[str] = mapped_column(primary_key=True)
    rev: Mapped[int] = mapped_column(BigInteger)
    suggestion_ids: Mapped[list[UUID]]
    confidence: Mapped[float] = mapped_column(Float, comment="Of the first; 0 for an empty set.")
    claims: Mapped[list[UUID]] = mapped_column(
        server_default="{}", comment="Concerts it proposes for itself, whatever the user's other entries say."
    )
    alone: Mapped[dict[str, Any] | None] = mapped_column(comment="The set for itself, where it is not what is shown.")
    tx: Mapped[int | None] = _tx()
    body: Mapped[dict[str, Any]]


class UnaskedRow(Base):
    """What a user's companions, or habits, hang on: the row that is locked for all of them."""

    __tablename__ = "unasked"
    __table_args__ = (Index("ix_unasked_keys", "keys", **_GIN), {"schema": STATE})

    user_id: Mapped[str] = mapped_column(primary_key=True)
    entry_id: Mapped[str] = mapped_column(primary_key=True, comment="How the entry ids of its sets begin.")
    keys: Mapped[list[str]] = mapped_column(comment="What concerts find them by.")


class NameRow(Base):
    """The last version of each artist and venue, with all the names that entries find it by."""

    __tablename__ = "names"
    __table_args__ = (Index("ix_names_keys", "keys", **_GIN), {"schema": STATE})

    reference_id: Mapped[UUID] = mapped_column(primary_key=True, comment="Id of the artist or the venue.")
    topic: Mapped[str]
    version: Mapped[int] = mapped_column(BigInteger)
    keys: Mapped[list[str]] = mapped_column(comment="Of its names; none once its source shows it no more.")
    ever: Mapped[list[str]] = mapped_column(comment="Keys of all names it ever bore: whom a change concerns.")
    body: Mapped[dict[str, Any] | None] = mapped_column(comment="Null: ended.")


class WantRow(Base):
    """What an entry asks for that no known concert answers: a row a year."""

    __tablename__ = "wants"
    __table_args__ = (Index("ix_wants_artist", "artist_key", "year"), {"schema": STATE})

    user_id: Mapped[str] = mapped_column(primary_key=True)
    entry_id: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True)
    artist_key: Mapped[str]
    artist: Mapped[str] = mapped_column(comment="As the entry writes it.")


class WantedRow(Base):
    """What is asked for by how many, as last published. A row that nobody asks for keeps its rev."""

    __tablename__ = "wanted"
    __table_args__ = (
        CheckConstraint("asked >= 0", name="asked"),
        CheckConstraint("rev >= 0", name="rev"),
        {"schema": STATE},
    )

    artist_key: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True)
    rev: Mapped[int] = mapped_column(BigInteger)
    asked: Mapped[int] = mapped_column(Integer, comment="Entries.")
    artist: Mapped[str] = mapped_column(comment="As most of them write it.")


# -- owned by the API -------------------------------------------------------------------------------------------------


class DecisionRow(Base):
    """Every decision ever made, never changed: its own log. The last of an entry counts."""

    __tablename__ = "decisions"
    __table_args__ = (
        UniqueConstraint("user_id", "idempotency_key"),
        Index("ix_decisions_entry", "user_id", "entry_id", "seq"),
        Index("ix_decisions_show", "concert_id", "user_id"),
        Index(
            "ix_decisions_night",
            "user_id",
            text("coalesce(body #>> '{concert,night}', '') desc"),
            "decision_id",
            postgresql_where=text("action = 'confirmed'"),
        ),
        Index("ix_decisions_together", "together", postgresql_where=text("together IS NOT NULL")),
        Index("ix_decisions_tx", "tx"),
        {"schema": STATE},
    )

    decision_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    user_id: Mapped[str]
    entry_id: Mapped[str]
    suggestion_id: Mapped[UUID]
    concert_id: Mapped[UUID]
    before: Mapped[Action | None] = mapped_column(_enum(Action, "decision_action"))
    action: Mapped[Action] = mapped_column(_enum(Action, "decision_action"))
    why: Mapped[str | None]
    decided_at: Mapped[datetime]
    idempotency_key: Mapped[str | None]
    together: Mapped[UUID | None] = mapped_column(comment="Of decisions that one call made.")
    device: Mapped[str | None] = mapped_column(comment="As the caller names it: its own stream leaves them out.")
    tx: Mapped[int | None] = _tx()
    body: Mapped[dict[str, Any]]


class CallRow(Base):
    """A write that came with an Idempotency-Key, and what it was answered. Kept for GIGZ_CALL_HOURS."""

    __tablename__ = "calls"
    __table_args__ = (Index("ix_calls_created_at", "created_at"), {"schema": STATE})

    user_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[str] = mapped_column(comment="What was asked, hashed: the key stands for nothing else.")
    answer: Mapped[Any] = mapped_column(JSONB(), nullable=True, comment="Null only until its transaction ends.")


class BulkRow(Base):
    """Suggestions that were counted, to be decided by one call and undone by one."""

    __tablename__ = "bulks"
    __table_args__ = (Index("ix_bulks_user", "user_id"), {"schema": STATE})

    bulk_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    wish: Mapped[dict[str, Any]] = mapped_column(comment="Action and filter, as asked for.")
    suggestion_ids: Mapped[list[UUID]]
    answer: Mapped[Any] = mapped_column(JSONB(), nullable=True, comment="Of the call that applied it.")
    applied_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]


class JournalRow(Base):
    """What a user keeps of a confirmed show beside the decision. Nobody else sees it, but for what is shared."""

    __tablename__ = "journal"
    __table_args__ = (
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        CheckConstraint("shared <@ ARRAY['note', 'rating']", name="shared"),
        {"schema": STATE},
    )

    user_id: Mapped[str] = mapped_column(primary_key=True)
    entry_id: Mapped[str] = mapped_column(primary_key=True)
    note: Mapped[str | None]
    rating: Mapped[int | None] = mapped_column(SmallInteger, comment="1 to 5.")
    company: Mapped[list[str] | None] = mapped_column(comment="With whom; null: as the entry says.")
    visibility: Mapped[Visibility | None] = mapped_column(
        _enum(Visibility, "visibility"), comment="Null: as the whole journal."
    )
    shared: Mapped[list[str]] = mapped_column(
        server_default="{}", comment="Of note and rating: what those see with it who see the show."
    )


class PreferencesRow(Base):
    """What a user wants to be asked, told and to show. No row: the defaults."""

    __tablename__ = "preferences"
    __table_args__ = (CheckConstraint("length(tz) BETWEEN 1 AND 64", name="tz"), {"schema": STATE})

    user_id: Mapped[str] = mapped_column(primary_key=True)
    companions: Mapped[bool] = mapped_column(Boolean, server_default="true")
    habits: Mapped[bool] = mapped_column(Boolean, server_default="false")
    journal: Mapped[Visibility] = mapped_column(
        _enum(Visibility, "visibility"), server_default="private", comment="Of shows that say nothing of their own."
    )
    digest: Mapped[bool] = mapped_column(Boolean, server_default="true", comment="What is new, once a week.")
    tz: Mapped[str] = mapped_column(server_default="UTC", comment="IANA zone: whose weeks and whose nights.")
    quiet_from: Mapped[time] = mapped_column(
        Time, server_default="22:00", comment="Local; the same as quiet_until: never quiet."
    )
    quiet_until: Mapped[time] = mapped_column(Time, server_default="08:00")


class FollowRow(Base):
    """That a user wants to follow another. Two of them, each way, are friends; one is a request."""

    __tablename__ = "follows"
    __table_args__ = (
        CheckConstraint("user_id <> other_id", name="other"),
        Index("ix_follows_other", "other_id", "user_id"),
        {"schema": STATE},
    )

    user_id: Mapped[str] = mapped_column(primary_key=True)
    other_id: Mapped[str] = mapped_column(primary_key=True, comment="Whoever is meant, known here or not.")
    declined_at: Mapped[datetime | None] = mapped_column(
        comment="Since then the other is not shown the request. Never told to who asked."
    )


class BlockRow(Base):
    """That a user hears nothing of another. Never told to the other."""

    __tablename__ = "blocks"
    __table_args__ = (
        CheckConstraint("user_id <> other_id", name="other"),
        Index("ix_blocks_other", "other_id"),
        {"schema": STATE},
    )

    user_id: Mapped[str] = mapped_column(primary_key=True)
    other_id: Mapped[str] = mapped_column(primary_key=True)


class ImportRow(Base):
    """A file, a text or a list of a service on its way into a history. Whoever works on it holds its lease."""

    __tablename__ = "imports"
    __table_args__ = (
        CheckConstraint("size >= 0", name="size"),
        CheckConstraint("reached >= 0", name="reached"),
        CheckConstraint("(holder IS NULL) = (lease_until IS NULL)", name="lease"),
        CheckConstraint("state <> 'applied' OR applied_at IS NOT NULL", name="applied"),
        CheckConstraint("undone_at IS NULL OR undone_at >= applied_at", name="undone_after_applied"),
        Index("ix_imports_user", "user_id", "created_at", "import_id"),
        Index(
            "ix_imports_at_work",
            "created_at",
            postgresql_where=text("state IN ('fetching', 'reading', 'applying', 'undoing')"),
        ),
        {"schema": STATE},
    )

    import_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    name: Mapped[str] = mapped_column(comment="Of the file, without folders; of a list, whose it is.")
    kind: Mapped[ImportKind] = mapped_column(_enum(ImportKind, "import_kind"))
    state: Mapped[ImportState] = mapped_column(_enum(ImportState, "import_state"))
    rev: Mapped[int] = mapped_column(BigInteger, server_default="1", comment="Counts every change: GET .../progress.")
    size: Mapped[int] = mapped_column(BigInteger, comment="Bytes, as they are kept.")
    file_hash: Mapped[str | None] = mapped_column(comment="SHA-256 of them; null until a list is fetched.")
    wish: Mapped[dict[str, Any]] = mapped_column(server_default="{}", comment="Corrections that are to be read with.")
    corrections: Mapped[dict[str, Any]] = mapped_column(server_default="{}", comment="Those of the dry run.")
    dry_run: Mapped[dict[str, Any] | None] = mapped_column(comment="Null until it was read.")
    error: Mapped[dict[str, Any] | None] = mapped_column(comment="Code and text of the last failure.")
    options: Mapped[dict[str, Any]] = mapped_column(server_default="{}", comment="As `apply` was called.")
    corrects: Mapped[UUID | None] = mapped_column(comment="The import whose file this is, corrected.")
    backfill: Mapped[bool] = mapped_column(Boolean, server_default="false", comment="More than 200 entries.")
    reached: Mapped[int] = mapped_column(BigInteger, server_default="0", comment="Pages, rows or entries done.")
    total: Mapped[int] = mapped_column(BigInteger, server_default="0", comment="Of them; 0: not known yet.")
    counts: Mapped[dict[str, Any]] = mapped_column(server_default="{}", comment="What became of entries.")
    tries: Mapped[int] = mapped_column(Integer, server_default="0", comment="Since it last got on.")
    holder: Mapped[str | None] = mapped_column(comment="The process that works on it.")
    lease_until: Mapped[datetime | None]
    applied_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]


class ImportPieceRow(Base):
    """A piece of what was uploaded, or of what could not be read; compressed, each for itself. Kept for days."""

    __tablename__ = "import_pieces"
    __table_args__ = (Index("ix_import_pieces_user", "user_id"), {"schema": STATE})

    import_id: Mapped[UUID] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(primary_key=True, comment="upload, unmatched or entries.")
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    user_id: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary, comment="zlib.")


class ImportEntryRow(Base):
    """What an import says of an entry. The last one that is not undone is in force; see `api/importing/writes.py`."""

    __tablename__ = "import_entries"
    __table_args__ = (
        Index("ix_import_entries_entry", "user_id", "entry_id", "seq"),
        Index("ix_import_entries_place", "import_id", "seq"),
        {"schema": STATE},
    )

    import_id: Mapped[UUID] = mapped_column(primary_key=True)
    entry_id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    user_id: Mapped[str]
    outcome: Mapped[ImportOutcome] = mapped_column(_enum(ImportOutcome, "import_outcome"))
    said: Mapped[str | None] = mapped_column(comment="Hash of body.")
    facts: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), comment="What a corrected file finds it by.")
    body: Mapped[dict[str, Any] | None] = mapped_column(comment="What is remembered; null: not there.")
    base: Mapped[dict[str, Any] | None] = mapped_column(comment="What was there before any import; null: nothing.")
    backfill: Mapped[bool] = mapped_column(Boolean, comment="Its topic: one entry goes by one, so that order is kept.")
    undone: Mapped[bool] = mapped_column(Boolean, server_default="false")


class ImportStepRow(Base):
    """Which state an import left for which, and why: its log, never changed."""

    __tablename__ = "import_steps"
    __table_args__ = (
        Index("ix_import_steps_import", "import_id", "id"),
        Index("ix_import_steps_user", "user_id"),
        {"schema": STATE},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    import_id: Mapped[UUID]
    user_id: Mapped[str]
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(comment="user, or the process that worked on it.")
    before: Mapped[ImportState | None] = mapped_column(_enum(ImportState, "import_state"))
    after: Mapped[ImportState] = mapped_column(_enum(ImportState, "import_state"))
    why: Mapped[str | None]


class AccountRow(Base):
    """Token subject -> our own opaque user id. The only place where the two meet."""

    __tablename__ = "accounts"
    __table_args__ = ({"schema": STATE},)

    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(unique=True)


class AuditRow(Base):
    """Who did what to their own data, when, from which device. Rows are never changed: a trigger sees to it."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_user", "user_id", "id"), {"schema": STATE})

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    user_id: Mapped[str]
    at: Mapped[datetime]
    what: Mapped[Audited] = mapped_column(_enum(Audited, "audited"))
    thing: Mapped[str | None] = mapped_column(comment="Id of what it was done to: an entry, a show, a sign-in.")
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    device: Mapped[str | None] = mapped_column(comment="X-Device, where it was sent.")
    request_id: Mapped[str] = mapped_column(comment="X-Request-Id of the answer.")


class SignInRow(Base):
    """A sign-in of development, and with it the family of its refresh tokens; or a session of pages that was ended."""

    __tablename__ = "sign_ins"
    __table_args__ = (
        CheckConstraint("(ended_at IS NULL) = (ended IS NULL)", name="ended"),
        Index("ix_sign_ins_user", "user_id"),
        {"schema": STATE},
    )

    sign_in_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    roles: Mapped[list[str]]
    ended_at: Mapped[datetime | None]
    ended: Mapped[SignInEnd | None] = mapped_column(_enum(SignInEnd, "sign_in_end"))


class RefreshTokenRow(Base):
    """A refresh token that was given out, used or not: one that comes again after its use was stolen."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        Index("ix_refresh_tokens_user", "user_id"),
        Index("ix_refresh_tokens_expires", "expires_at"),
        {"schema": STATE},
    )

    token_hash: Mapped[str] = mapped_column(primary_key=True, comment="SHA-256; the token itself is kept nowhere.")
    sign_in_id: Mapped[UUID]
    user_id: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class RateRow(Base):
    """When the calls of a caller were let through in the last minute. Unlogged: neither in backups nor on replicas."""

    __tablename__ = "rates"
    __table_args__ = ({"schema": STATE, "prefixes": ["UNLOGGED"]},)

    caller: Mapped[UUID] = mapped_column(primary_key=True, comment="A hash of kind and caller: see api.limits.")
    taken: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), comment="Milliseconds since 1970.")
    asked: Mapped[int] = mapped_column(Integer, comment="Calls that the last statement asked for.")
    most: Mapped[int] = mapped_column(Integer)
    granted: Mapped[int] = mapped_column(Integer, comment="Of those asked for.")


# -- owned by `gigz erase` ---------------------------------------------------------------------------------------------


class ErasedRow(Base):
    """Who was erased, by a hash of the id: whoever writes for users asks here, in the transaction that writes."""

    __tablename__ = "erased"
    __table_args__ = (CheckConstraint("length(user_hash) = 64", name="user_hash"), {"schema": STATE})

    user_hash: Mapped[str] = mapped_column(primary_key=True, comment="See deploy.erasing.ledger; never the id.")
    receipt_id: Mapped[UUID] = mapped_column(unique=True)
    erased_at: Mapped[datetime] = mapped_column(comment="From then on nobody writes.")
    proved_at: Mapped[datetime | None] = mapped_column(
        comment="The last search that found nothing but what expires. Null: not done, run it again."
    )
    removed: Mapped[dict[str, Any]] = mapped_column(server_default="{}", comment="Place -> how many, over all runs.")


class ErasureRow(Base):
    """A user who asked to be erased: kept by id until it is done, then the receipt is left."""

    __tablename__ = "erasures"
    __table_args__ = (
        CheckConstraint("(user_id IS NULL) = (done_at IS NOT NULL)", name="done"),
        CheckConstraint("(receipt IS NOT NULL) = (done_at IS NOT NULL)", name="receipt"),
        CheckConstraint("tries >= 0", name="tries"),
        Index("ix_erasures_waiting", "next_at", postgresql_where=text("user_id IS NOT NULL")),
        Index("ix_erasures_subject", "subject_hash", postgresql_where=text("subject_hash IS NOT NULL")),
        {"schema": STATE},
    )

    receipt_id: Mapped[UUID] = mapped_column(primary_key=True, comment="As in state.erased.")
    user_id: Mapped[str | None] = mapped_column(unique=True, comment="Null as soon as it is done.")
    subject_hash: Mapped[str | None] = mapped_column(
        comment="Of the token's subject, hashed: null once no token of before can be good any more."
    )
    asked_at: Mapped[datetime]
    next_at: Mapped[datetime] = mapped_column(comment="Not tried before.")
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    last_error: Mapped[str | None]
    done_at: Mapped[datetime | None]
    receipt: Mapped[dict[str, Any] | None] = mapped_column(comment="See deploy.erasing.receipt; names no one.")


# -- owned by the digest job -------------------------------------------------------------------------------------------


class DigestRow(Base):
    """What a user was told last, and when it is time to look again."""

    __tablename__ = "digests"
    __table_args__ = (
        CheckConstraint("(week IS NULL) = (until_at IS NULL)", name="sent"),
        Index("ix_digests_next", "next_at", postgresql_where=text("news")),
        {"schema": STATE},
    )

    user_id: Mapped[str] = mapped_column(primary_key=True)
    news: Mapped[bool] = mapped_column(Boolean, comment="Something was found, or changed, since the last look.")
    next_at: Mapped[datetime] = mapped_column(comment="Nothing is due before.")
    week: Mapped[str | None] = mapped_column(comment="Of the last digest: 2026-W48, by the user's own calendar.")
    until_at: Mapped[datetime | None] = mapped_column(comment="What the last digest tells of was found before.")
    told: Mapped[list[UUID]] = mapped_column(server_default="{}", comment="Suggestions that were there by then.")
    body: Mapped[dict[str, Any] | None] = mapped_column(comment="The last digest.")


# -- written beside what it follows from; published and deleted by the relay -----------------------------------------


class OutboxRow(Base):
    """A message that must be published because of what was committed beside it."""

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("shard >= 0", name="shard"),
        Index("ix_outbox_shard", "shard", "id"),
        {"schema": STATE},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    shard: Mapped[int] = mapped_column(SmallInteger, comment="hash(key) % N: one relay holds a shard, in order.")
    topic: Mapped[str]
    key: Mapped[str]
    partition_by: Mapped[str]
    value: Mapped[bytes | None] = mapped_column(LargeBinary, comment="Null: a tombstone.")
    headers: Mapped[dict[str, Any]]


# -- owned by the spiders ----------------------------------------------------------------------------------------------


class RunRow(Base):
    """One run of one spider. scraped = delivered + unchanged + rejected, or it did not finish well."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint("finished_at IS NULL OR finished_at >= started_at", name="ends_after_start"),
        CheckConstraint("(state IN ('queued', 'running', 'stopping')) = (finished_at IS NULL)", name="ended"),
        CheckConstraint("state <> 'finished' OR scraped = delivered + unchanged + rejected", name="nothing_lost"),
        CheckConstraint("started_at IS NOT NULL OR state IN ('queued', 'stopped', 'lost')", name="started"),
        Index("ix_runs_spider", "spider", "started_at"),
        Index("ix_runs_lane", "lane", unique=True, postgresql_where=text("state IN ('running', 'stopping')")),
        Index("ix_runs_queued_at", "queued_at"),
        {"schema": STATE},
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    spider: Mapped[str]
    source: Mapped[str] = mapped_column(server_default="", comment="The catalogue's name in its messages.")
    state: Mapped[RunState] = mapped_column(_enum(RunState, "run_state"))
    trigger: Mapped[Trigger] = mapped_column(_enum(Trigger, "run_trigger"), server_default="operator")
    schedule: Mapped[str | None] = mapped_column(comment="Name of the schedule that asked for it.")
    lane: Mapped[str | None] = mapped_column(
        comment="The spider, of runs that the scheduler starts: two of them never run at once. Null: by hand."
    )
    arguments: Mapped[dict[str, Any]] = mapped_column(server_default="{}", comment="Its errand.")
    scope: Mapped[str] = mapped_column(server_default="", comment="What it covers: see spiders.errand.")
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None] = mapped_column(comment="Last sign of life of its process.")
    finished_at: Mapped[datetime | None]
    timeout_s: Mapped[int | None] = mapped_column(Integer)
    host: Mapped[str | None] = mapped_column(comment="Of its process.")
    pid: Mapped[int | None] = mapped_column(Integer)
    pid_since: Mapped[float | None] = mapped_column(Float, comment="Start of that process: pids are used again.")
    start_url: Mapped[str | None]
    pages: Mapped[int] = mapped_column(Integer, server_default="0")
    scraped: Mapped[int] = mapped_column(Integer, server_default="0")
    delivered: Mapped[int] = mapped_column(Integer, server_default="0")
    unchanged: Mapped[int] = mapped_column(Integer, server_default="0")
    rejected: Mapped[int] = mapped_column(Integer, server_default="0")
    vanished: Mapped[int] = mapped_column(Integer, server_default="0")
    spooled: Mapped[int] = mapped_column(Integer, server_default="0", comment="On disk, not yet in Kafka.")
    figures: Mapped[dict[str, Any]] = mapped_column(server_default="{}", comment="See spiders.monitoring.")
    findings: Mapped[list[Any]] = mapped_column(JSONB(), server_default="[]", comment="See spiders.monitoring.")
    suspect: Mapped[bool] = mapped_column(Boolean, server_default="false")
    why: Mapped[str | None] = mapped_column(comment="Of a failure or a stop.")
    log_tail: Mapped[str | None]


class ScheduleRow(Base):
    """When a spider is to run."""

    __tablename__ = "schedules"
    __table_args__ = (CheckConstraint("timeout_s > 0", name="timeout"), {"schema": STATE})

    name: Mapped[str] = mapped_column(primary_key=True)
    spider: Mapped[str]
    cron: Mapped[str]
    tz: Mapped[str] = mapped_column(server_default="UTC")
    arguments: Mapped[dict[str, Any]] = mapped_column(server_default="{}", comment="Its errand.")
    timeout_s: Mapped[int | None] = mapped_column(Integer)
    paused: Mapped[bool] = mapped_column(Boolean, server_default="false")
    next_at: Mapped[datetime | None] = mapped_column(comment="Null while paused, or when it never comes again.")
    last_at: Mapped[datetime | None]
    last_run: Mapped[UUID | None]


class OperatorLogRow(Base):
    """Who did what to which run, schedule or wanted row, and why. Rows are never changed."""

    __tablename__ = "operator_log"
    __table_args__ = (Index("ix_operator_log_thing", "about", "thing", "id"), {"schema": STATE})

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    about: Mapped[WatchedBy] = mapped_column(_enum(WatchedBy, "operator_log_about"))
    thing: Mapped[str] = mapped_column(comment="Id of the run, name of the schedule, key of the wanted row.")
    at: Mapped[datetime]
    who: Mapped[str]
    before: Mapped[str | None]
    after: Mapped[str | None]
    why: Mapped[str | None]


class SeenRow(Base):
    """What each source showed last of each item: an unchanged one is not published again."""

    __tablename__ = "seen"
    __table_args__ = (Index("ix_seen_scope", "scope", "run_id"), {"schema": STATE})

    topic: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    source_id: Mapped[str] = mapped_column(primary_key=True)
    content_hash: Mapped[str]
    night: Mapped[date | None] = mapped_column(
        Date, comment="Of a listing: a night gone by leaves an agenda by itself."
    )
    scope: Mapped[str] = mapped_column(comment="Of the crawl that saw it last.")
    run_id: Mapped[UUID] = mapped_column(comment="That crawl.")
    last_seen_at: Mapped[datetime]
    vanished: Mapped[bool] = mapped_column(Boolean, server_default="false")
    record: Mapped[dict[str, Any]] = mapped_column(
        server_default="{}", comment="What its vanishing is told with: url, spider, fields."
    )


class WatermarkRow(Base):
    """How far a source was read: the next crawl goes on from there. Moves only after delivery."""

    __tablename__ = "watermarks"
    __table_args__ = ({"schema": STATE},)

    scope: Mapped[str] = mapped_column(primary_key=True)
    spider: Mapped[str]
    position: Mapped[str] = mapped_column(comment="In the source's own terms, mostly a time.")
    run_id: Mapped[UUID]


class HostRow(Base):
    """When a host may be asked next, by whichever process."""

    __tablename__ = "hosts"
    __table_args__ = ({"schema": STATE},)

    host: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime]
    every_s: Mapped[float] = mapped_column(Float, comment="Pace of the last that asked.")


class HostLeaseRow(Base):
    """A connection to a host that one process holds, or waits for in the order of asking."""

    __tablename__ = "host_leases"
    __table_args__ = ({"schema": STATE},)

    host: Mapped[str] = mapped_column(primary_key=True)
    slot: Mapped[int] = mapped_column(BigInteger, primary_key=True, comment="When it was asked for: the order.")
    holder: Mapped[str]
    waits: Mapped[bool] = mapped_column(server_default="false")
    expires_at: Mapped[datetime]


class QuotaRow(Base):
    """Requests that an API key was used for on a day (UTC)."""

    __tablename__ = "quotas"
    __table_args__ = (CheckConstraint("used >= 0", name="used"), {"schema": STATE})

    key: Mapped[str] = mapped_column(
        primary_key=True, comment="The setting's name and a hash of the key, never the key."
    )
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    used: Mapped[int] = mapped_column(Integer)


class AlertRow(Base):
    """What operators are to be told; kept until it was."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("ix_alerts_pending", "next_try_at", postgresql_where=text("state = 'pending'")),
        {"schema": STATE},
    )

    alert_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    spider: Mapped[str | None]
    run_id: Mapped[UUID | None]
    text: Mapped[str]
    body: Mapped[dict[str, Any]]
    state: Mapped[AlertState] = mapped_column(_enum(AlertState, "alert_state"))
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    next_try_at: Mapped[datetime]
    last_error: Mapped[str | None]


class WantedListRow(Base):
    """An artist and a year that users ask for, or an operator: what spiders that can search are sent for."""

    __tablename__ = "wanted_list"
    __table_args__ = (
        CheckConstraint("asked >= 0", name="asked"),
        Index(
            "ix_wanted_list_next",
            text("boost DESC"),
            text("asked DESC"),
            "since",
            "artist_key",
            "year",
            postgresql_where=text("NOT hidden AND (asked > 0 OR added)"),
        ),
        {"schema": STATE},
    )

    artist_key: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True)
    artist: Mapped[str]
    asked: Mapped[int] = mapped_column(Integer, server_default="0", comment="Entries; 0: no user asks any more.")
    rev: Mapped[int] = mapped_column(BigInteger, server_default="0", comment="Of the message: an older one loses.")
    since: Mapped[datetime] = mapped_column(comment="Asked for without a break since then.")
    added: Mapped[bool] = mapped_column(Boolean, server_default="false", comment="By an operator.")
    boost: Mapped[int] = mapped_column(Integer, server_default="0", comment="An operator's: goes before the count.")
    hidden: Mapped[bool] = mapped_column(Boolean, server_default="false", comment="By an operator: never searched for.")


class WantedTryRow(Base):
    """How often a spider searched for a row of the list, and when it may again."""

    __tablename__ = "wanted_tries"
    __table_args__ = (CheckConstraint("tries >= 0", name="tries"), {"schema": STATE})

    artist_key: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True)
    spider: Mapped[str] = mapped_column(primary_key=True)
    tries: Mapped[int] = mapped_column(Integer)
    found: Mapped[int] = mapped_column(Integer, comment="Items, by the last try.")
    last_tried_at: Mapped[datetime]
    next_at: Mapped[datetime] = mapped_column(comment="Not again before.")
    last_run: Mapped[UUID]


# -- catalogue: written by the Postgres sink ---------------------------------------------------------------------------


class CatalogueConcert(Base):
    """A concert as the API shows it."""

    __tablename__ = "concerts"
    __table_args__ = (
        CheckConstraint("gone OR (body IS NOT NULL AND artist IS NOT NULL AND night IS NOT NULL)", name="there"),
        CheckConstraint("length(country) = 2", name="country"),
        Index("ix_catalogue_concerts_artist", "artist_key", "night"),
        Index("ix_catalogue_concerts_night", "night"),
        {"schema": CATALOGUE},
    )

    concert_id: Mapped[UUID] = mapped_column(primary_key=True)
    rev: Mapped[int] = mapped_column(BigInteger)
    gone: Mapped[bool] = mapped_column(Boolean, comment="Its id was given away; kept so that an older message loses.")
    artist: Mapped[str | None]
    artist_key: Mapped[str | None]
    night: Mapped[date | None] = mapped_column(Date)
    city: Mapped[str | None]
    country: Mapped[str | None]
    status: Mapped[Status | None] = mapped_column(_enum(Status, "concert_status"))
    body: Mapped[dict[str, Any] | None]


class CatalogueVenue(Base):
    """A venue as the API shows it."""

    __tablename__ = "venues"
    __table_args__ = ({"schema": CATALOGUE},)

    venue_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str]
    city: Mapped[str | None]
    country: Mapped[str | None]
    body: Mapped[dict[str, Any]]


class CatalogueArtist(Base):
    """An artist as the API shows it."""

    __tablename__ = "artists"
    __table_args__ = ({"schema": CATALOGUE},)

    artist_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str]
    body: Mapped[dict[str, Any]]


class CatalogueRejection(Base):
    """A rejection, for operators."""

    __tablename__ = "rejections"
    __table_args__ = (Index("ix_rejections_reason", "reason", "rejected_at"), {"schema": CATALOGUE})

    key: Mapped[str] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str | None]
    reason: Mapped[Reason] = mapped_column(_enum(Reason, "rejection_reason"))
    text: Mapped[str]
    origin_topic: Mapped[str]
    rejected_at: Mapped[datetime]
    original: Mapped[bytes | None] = mapped_column(LargeBinary)
    original_size: Mapped[int] = mapped_column(BigInteger)
    body: Mapped[dict[str, Any]]

"""Tables of PostgreSQL.

Schema `state` is the memory of the stages, each table written by one owner; `catalogue` is what the API shows, written
by the Postgres sink and rebuildable from topics.

Bodies are the canonical JSON of the message, so that a row can be compared with a topic byte for byte.
"""

from datetime import date, datetime
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


class RunState(StrEnum):
    """How a run of a spider stands. Values are only added at the end."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


# Without a pending list: every look-up would read all of it, key by key, and a stage looks up thousands a batch.
_GIN: dict[str, Any] = {"postgresql_using": "gin", "postgresql_with": {"fastupdate": "off"}}


def _values(enum: Any) -> list[str]:
    return [member.value for member in enum]


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
    body: Mapped[dict[str, Any]]


# -- owned by the API -------------------------------------------------------------------------------------------------


class DecisionRow(Base):
    """Every decision ever made, never changed: its own log. The last of an entry counts."""

    __tablename__ = "decisions"
    __table_args__ = (
        UniqueConstraint("user_id", "idempotency_key"),
        Index("ix_decisions_entry", "user_id", "entry_id", "seq"),
        Index("ix_decisions_concert", "concert_id"),
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
    body: Mapped[dict[str, Any]]


class AccountRow(Base):
    """Token subject -> our own opaque user id. The only place where the two meet."""

    __tablename__ = "accounts"
    __table_args__ = ({"schema": STATE},)

    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(unique=True)


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
    """One run of one spider. scraped = delivered + rejected, or it failed."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint("finished_at IS NULL OR finished_at >= started_at", name="ends_after_start"),
        CheckConstraint("(state = 'running') = (finished_at IS NULL)", name="ended"),
        CheckConstraint("state <> 'finished' OR scraped = delivered + rejected", name="nothing_lost"),
        Index("ix_runs_spider", "spider", "started_at"),
        {"schema": STATE},
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    spider: Mapped[str]
    state: Mapped[RunState] = mapped_column(_enum(RunState, "run_state"))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    start_url: Mapped[str | None]
    pages: Mapped[int] = mapped_column(Integer, server_default="0")
    scraped: Mapped[int] = mapped_column(Integer, server_default="0")
    delivered: Mapped[int] = mapped_column(Integer, server_default="0")
    rejected: Mapped[int] = mapped_column(Integer, server_default="0")
    why: Mapped[str | None] = mapped_column(comment="Of a failure.")


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

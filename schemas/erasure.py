"""Where a user's data rest, and how each place forgets them. A test fails for a place that is not declared here."""

from dataclasses import dataclass
from enum import StrEnum


class How(StrEnum):
    """The way of forgetting."""

    DELETE_ROWS = "delete the rows of the user, then vacuum"
    DELETE_MUTATION = "ALTER TABLE ... DELETE for the user, then OPTIMIZE"
    TOMBSTONES = "a tombstone for each key of the user; compaction forgets"
    EXPIRES = "kept for days only; may hold a user's original bytes until then"
    NOTHING = "holds nothing of users"
    LEDGER = "a hash of the user's id, kept for good: what was erased stays erased"
    REQUEST = "the id until the erasure that it asks for is done; then its receipt, which names no one"


@dataclass(frozen=True)
class Place:
    """A table, topic or index; the column, key part or field that names the user."""

    user: str | None
    how: How
    also: str | None = None
    """A second column that names a user: the row goes with either."""


_NONE = Place(None, How.NOTHING)
_ROWS = Place("user_id", How.DELETE_ROWS)
_PAIRS = Place("user_id", How.DELETE_ROWS, also="other_id")
_KEYS = Place("key", How.TOMBSTONES)
_MUTATION = Place("user_id", How.DELETE_MUTATION)

POSTGRES: dict[str, Place] = {
    "state.listings": _NONE,
    "state.venues": _NONE,
    "state.concerts": _NONE,
    "state.concert_members": _NONE,
    "state.entries": _ROWS,
    "state.suggestions": _ROWS,
    "state.names": _NONE,
    "state.wants": _ROWS,
    "state.wanted": _NONE,
    "state.decisions": _ROWS,
    "state.unasked": _ROWS,
    "state.calls": _ROWS,
    "state.bulks": _ROWS,
    "state.journal": _ROWS,
    "state.preferences": _ROWS,
    "state.follows": _PAIRS,
    "state.blocks": _PAIRS,
    "state.digests": _ROWS,
    "state.imports": _ROWS,
    "state.import_pieces": _ROWS,
    "state.import_entries": _ROWS,
    "state.import_steps": _ROWS,
    "state.accounts": _ROWS,
    "state.audit": _ROWS,
    "state.sign_ins": _ROWS,
    "state.refresh_tokens": _ROWS,
    "state.rates": _NONE,
    "state.erased": Place("user_hash", How.LEDGER),
    "state.erasures": Place("user_id", How.REQUEST),
    "state.outbox": Place("partition_by", How.DELETE_ROWS),
    "state.runs": _NONE,
    "state.schedules": _NONE,
    "state.operator_log": _NONE,
    "state.seen": _NONE,
    "state.watermarks": _NONE,
    "state.hosts": _NONE,
    "state.host_leases": _NONE,
    "state.quotas": _NONE,
    "state.alerts": _NONE,
    "state.wanted_list": _NONE,
    "state.wanted_tries": _NONE,
    "catalogue.concerts": _NONE,
    "catalogue.venues": _NONE,
    "catalogue.artists": _NONE,
    "catalogue.rejections": Place("original", How.DELETE_ROWS),
}
TOPICS: dict[str, Place] = {
    "gigz.raw-setlist.v1": _NONE,
    "gigz.raw-event.v1": _NONE,
    "gigz.raw-venue.v1": _NONE,
    "gigz.raw-artist.v1": _NONE,
    "gigz.listing.v1": _NONE,
    "gigz.venue.v1": _NONE,
    "gigz.artist.v1": _NONE,
    "gigz.concert.v1": _NONE,
    "gigz.history.v1": _KEYS,
    "gigz.history-backfill.v1": _KEYS,
    "gigz.rematch.v1": Place("key", How.EXPIRES),
    "gigz.suggestion.v1": _KEYS,
    "gigz.decision.v1": _KEYS,
    "gigz.wanted.v1": _NONE,
    "gigz.digest.v1": Place("key", How.EXPIRES),
    "gigz.rejection.v1": Place("original", How.EXPIRES),
}
CLICKHOUSE: dict[str, Place] = {
    "listings": _NONE,
    "listings_history": _NONE,
    "concerts": _NONE,
    "concerts_history": _NONE,
    "songs": _NONE,
    "songs_history": _NONE,
    "suggestions": _MUTATION,
    "suggestions_history": _MUTATION,
    "decisions": _MUTATION,
    "decisions_history": _MUTATION,
    "schema_migrations": _NONE,
}
MEILISEARCH: dict[str, Place] = {"concerts": _NONE, "artists": _NONE, "venues": _NONE}

"""Small listings, entries and decisions to put through the stages."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from matchers.normalise import normalise
from schemas.decision import Action, Decision
from schemas.history import Entry
from schemas.listing import Listing
from schemas.outgoing import Origin
from schemas.raw import RawEvent
from schemas.rows import entry_from_row, raw_from_row
from schemas.suggestion import Suggestions
from streams.record import Cause

CAUSE = Cause("0" * 32, Origin("test", 0, 0))
NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)


def clock() -> datetime:
    return NOON


def raw(source: str, source_id: str, artist: str, date: str, hours: int = 0, **fields: object) -> RawEvent:
    """A raw message, observed `hours` after noon."""
    seen = (NOON + timedelta(hours=hours)).isoformat()
    row = {"source": source, "source_id": source_id, "artist": artist, "date": date, "observed_at": seen, **fields}
    return raw_from_row(row, RawEvent)


def listing(source: str, source_id: str, artist: str, date: str, hours: int = 0, **fields: object) -> Listing:
    """The listing of that raw message."""
    found = normalise(raw(source, source_id, artist, date, hours, **fields))
    assert isinstance(found, tuple)
    (one,) = found
    assert isinstance(one, Listing)
    return one


def entry(user: str, entry_id: str, hours: int = 0, **fields: object) -> Entry:
    """A line of a history."""
    seen = (NOON + timedelta(hours=hours)).isoformat()
    return entry_from_row({"user": user, "entry_id": entry_id, "observed_at": seen, **fields}, Entry)


def decision(found: Suggestions, action: Action, number: int = 0) -> Decision:
    """The user's word on the first suggestion of a set."""
    first = found.suggestions[number]
    return Decision(
        decision_id=uuid4(),
        user=found.user,
        entry_id=found.entry_id,
        suggestion_id=first.suggestion_id,
        concert_id=first.concert_id,
        action=action,
        decided_at=NOON,
        listing_ids=tuple(member.listing_id for member in first.members),
        signature=first.signature,
        concert=first.concert,
    )


def caused(messages: Sequence[Listing]) -> list[tuple[Listing, Cause]]:
    """As a store takes them."""
    return [(one, CAUSE) for one in messages]

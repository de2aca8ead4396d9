"""Raw messages, listings, concerts and entries out of the few fields a test is about."""

from datetime import UTC, datetime
from typing import Any

from matchers.normalise import normalise
from matchers.refused import Refused
from matchers.resolve import resolve
from schemas.concert import Concert
from schemas.history import Entry
from schemas.listing import Listing
from schemas.raw import RawEvent, RawKind, RawMessage
from schemas.rows import envelope
from schemas.suggestion import Evidence, Suggestion

NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)


def raw(
    fields: dict[str, Any],
    *,
    source: str = "one",
    source_id: str = "1",
    message: type[RawMessage] = RawEvent,
    seen_at: datetime = NOON,
    kind: RawKind = RawKind.SEEN,
) -> RawMessage:
    return envelope(
        message, source=source, source_id=source_id, seen_at=seen_at, spider="test", fields=fields, kind=kind
    )


def listing(source: str = "one", source_id: str = "1", seen_at: datetime = NOON, **fields: Any) -> Listing:
    vanished = fields.pop("vanished", False)
    made = normalise(
        raw(
            {"artist": "Grateful Dead", "date": "1977-05-08", **fields},
            source=source,
            source_id=source_id,
            seen_at=seen_at,
            kind=RawKind.VANISHED if vanished else RawKind.SEEN,
        )
    )
    assert not isinstance(made, Refused), made
    assert isinstance(made[0], Listing)
    return made[0]


def concert(**fields: Any) -> Concert:
    return resolve([listing(**fields)])[0]


def entry(**fields: Any) -> Entry:
    return Entry(user="me", entry_id="1", seen_at=NOON, **fields)


def why(suggestion: Suggestion) -> dict[str, Evidence]:
    return {one.field: one for one in suggestion.why}

"""Raw messages in, listings or rejections out, without a broker."""

from datetime import UTC, datetime

import orjson
import pytest

from schemas.history import Entry
from schemas.message import Message
from schemas.outgoing import Origin, Outgoing
from schemas.raw import RawEvent
from schemas.rejection import Reason, Rejection
from schemas.rows import entry_from_row, raw_from_row
from streams.normalise import MOST_BYTES, normalise_batch
from streams.record import Record, read

AT = datetime(2026, 5, 1, tzinfo=UTC)
ROW = {"source": "s", "source_id": "1", "artist": "A", "date": "2020-01-01"}


def record(body: bytes, offset: int = 0, topic: str = RawEvent.topic) -> Record:
    return Record(Origin(topic, 3, offset), "s:1", body, {"trace": "t" * 32})


def rejections(records: list[Outgoing]) -> list[Rejection]:
    return [Rejection.from_bytes(one.value) for one in records if one.topic == Rejection.topic]


def test_a_listing_too_large_to_be_suggested_is_rejected_with_its_own_origin() -> None:
    songs = [f"{number:04d} {'long ' * 50}" for number in range(1_200)]
    large = raw_from_row(ROW | {"songs": songs}, RawEvent).to_bytes()
    fine = raw_from_row(ROW | {"source_id": "2"}, RawEvent).to_bytes()
    out = normalise_batch([record(large, 7), record(fine, 8)], RawEvent, AT)
    (refused,) = rejections(out)
    assert refused.reason is Reason.TOO_LARGE and str(MOST_BYTES) in refused.text
    assert (refused.origin_topic, refused.origin_partition, refused.origin_offset) == (RawEvent.topic, 3, 7)
    assert refused.original_bytes == large
    assert [one.key for one in out if one.topic == "gigz.listing.v1"] == ["s:2"]


@pytest.mark.parametrize(
    ("row", "message", "says", "never", "source"),
    [
        ({"artist": "A", "date": "2020-01-01"}, RawEvent, "source: Field required", "seen_at", None),
        (ROW | {"observed_at": "noon"}, RawEvent, "observed_at", "seen_at", "s"),
        ({"user": "a/b", "entry_id": "1"}, Entry, "user", "seen_at", None),
    ],
)
def test_a_row_that_travelled_as_it_stood_is_judged_as_a_row(
    row: dict[str, str], message: type[Message], says: str, never: str, source: str | None
) -> None:
    _, out = read([record(orjson.dumps(row))], message, stage="s", at=AT)
    (refused,) = rejections(out)
    assert says in refused.text and never not in refused.text
    assert refused.source == source


def test_numbers_of_a_spreadsheet_and_songs_in_one_cell_are_read() -> None:
    entry = entry_from_row({"user": 7, "entry_id": 12, "artist": 311, "date": 2014, "songs": "Down, Amber"}, Entry)
    assert (entry.user, entry.entry_id, entry.artist, entry.date, entry.songs) == (
        "7",
        "12",
        "311",
        "2014",
        ("Down", "Amber"),
    )

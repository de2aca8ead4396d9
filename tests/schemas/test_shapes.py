"""Messages keep their promises: examples parse, bytes are canonical, versions order, users' places are declared."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import erasure, ids
from schemas.contract import contract_files
from schemas.history import Entry
from schemas.message import Message, MessageError, canonical, version_of
from schemas.outgoing import KEPT_BODY, Origin, outgoing, reject, tombstone
from schemas.raw import RawEvent, RawSetlist
from schemas.rejection import ERROR_HEADERS, Reason, Rejection
from schemas.rows import FED_AT, entry_from_row, raw_from_row
from schemas.tables import Base
from schemas.topics import BY_NAME, TOPICS, partition_of

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "schemas" / "examples").rglob("*.json"))
AT = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_example_ever_sent_still_parses_and_keeps_its_content(path: Path) -> None:
    message = BY_NAME[path.parent.name].message.from_bytes(path.read_bytes())
    again = json.loads(message.to_bytes())
    assert json.loads(path.read_text(encoding="utf-8")).items() <= again.items()
    assert type(message).from_bytes(message.to_bytes()) == message


def test_every_topic_has_an_example() -> None:
    assert {path.parent.name for path in EXAMPLES} == set(BY_NAME)


def test_the_committed_contract_is_what_the_classes_say() -> None:
    folder = ROOT / "docs" / "contract"
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")} == contract_files()


def whole_minutes(time: datetime) -> bool:
    """Of its zone: ISO 8601 cannot write the seconds of local mean times, and libraries round them differently."""
    return not (time.utcoffset() or timedelta()).seconds % 60


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones()).filter(whole_minutes)
    | st.sets(st.text(), max_size=1),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    fields=st.dictionaries(st.text(), values),
    seen_at=st.datetimes(timezones=st.timezones()).filter(whole_minutes),
    optional=st.fixed_dictionaries({}, optional={"url": st.text(), "payload": st.text(), "kind": st.just("vanished")}),
)
def test_a_raw_message_is_written_as_every_other_message_is(
    fields: dict[str, Any], seen_at: datetime, optional: dict[str, str]
) -> None:
    told = {"source": "s", "source_id": "1", "spider": "x", "content_hash": "0" * 64, **optional}
    message = RawSetlist.model_validate({**told, "seen_at": seen_at, "fields": fields})
    try:
        expected = Message.to_bytes(message)
    except TypeError:  # a number that JSON's writer refuses
        with pytest.raises(TypeError):
            message.to_bytes()
    else:
        assert message.to_bytes() == expected


def test_a_reader_ignores_what_it_does_not_know() -> None:
    entry = Entry.from_bytes(b'{"user":"u","entry_id":"1","seen_at":"2020-01-01T00:00:00Z","mood":"great"}')
    assert not hasattr(entry, "mood")


@pytest.mark.parametrize(
    ("body", "reason", "names"),
    [
        (b"{", "not_json", "Invalid JSON"),
        (b"\xff\xfe", "not_json", ""),
        (None, "missing_field", "body"),
        (b'{"user":"u","seen_at":"2020-01-01T00:00:00Z"}', "missing_field", "entry_id"),
        (b'{"user":"u","entry_id":7,"seen_at":"2020-01-01T00:00:00Z"}', "wrong_type", "entry_id"),
        (b'{"user":"a/b","entry_id":"1","seen_at":"2020-01-01T00:00:00Z"}', "bad_value", "user"),
        (b'{"user":"u","entry_id":"1","seen_at":"2020-01-01T00:00:00"}', "bad_value", "seen_at"),
        (b'{"user":"u","entry_id":"1","seen_at":"2020-01-01T00:00:00Z","lat":91}', "bad_value", "lat"),
        (b"[]", "wrong_type", ""),
    ],
)
def test_bad_bytes_give_a_reason_and_the_name_of_the_field(body: bytes | None, reason: str, names: str) -> None:
    with pytest.raises(MessageError) as caught:
        Entry.from_bytes(body)
    assert caught.value.reason == reason
    assert Reason(caught.value.reason)
    assert names in caught.value.text


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)),
    st.integers(1, 10**6),
    st.text("0123456789abcdef", min_size=5),
)
def test_a_later_look_has_the_greater_version(moment: datetime, later_ms: int, digest: str) -> None:
    at = moment.replace(tzinfo=UTC)
    assert version_of(at, "f" * 64) < version_of(at + timedelta(milliseconds=later_ms + 1), "0" * 64)
    assert version_of(at, digest) == version_of(at, digest) < 2**63


def test_canonical_bytes_do_not_depend_on_the_order_of_names() -> None:
    assert canonical({"b": 1, "a": [2, {"d": 3, "c": 4}]}) == canonical({"a": [2, {"c": 4, "d": 3}], "b": 1})


def test_ids_are_frozen_for_all_time() -> None:
    """A changed id would orphan every decision ever made: these values may never change."""
    listing = ids.listing_id("setlistfm", "6346da3b")
    assert listing == UUID("d4c40702-561e-5887-b381-670aca12ed95")
    assert ids.concert_id(listing, "Adam Ant") == UUID("29d74d7e-0ec8-5b3c-a69b-bf8a6b32fb4d")
    assert ids.suggestion_id("u", "e", listing) == UUID("6cf37f3c-4010-57bd-9324-c3864c04dfe0")
    assert ids.companion_entry_id(listing, listing) == "companion-84f1b986-758e-5f86-a5a7-e5e11527f4d8"
    assert ids.habit_entry_id("e", listing) == "habit-b05214a2-a646-5406-80bd-60cb648d7329"


@pytest.mark.parametrize(
    ("entry_id", "hook", "question"),
    [
        (ids.companion_entry_id(UUID(int=1), UUID(int=2)), ids.COMPANION, True),
        (ids.habit_entry_id("e", UUID(int=2)), ids.HABIT, True),
        (ids.COMPANION, ids.COMPANION, False),
        (ids.HABIT, ids.HABIT, False),
        ("companion-of-mine", None, False),
        (ids.COMPANION + str(UUID(int=1)) + "x", None, False),
        (ids.COMPANION + str(UUID(int=1)) + "\n", None, False),
        ("e1", None, False),
        ("", None, False),
    ],
)
def test_an_entry_that_no_user_wrote_is_known_by_its_id(entry_id: str, hook: str | None, question: bool) -> None:
    assert (ids.hook_of(entry_id), ids.is_question(entry_id)) == (hook, question)


@pytest.mark.parametrize(
    ("key", "hashed"), [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536)]
)
def test_partitions_are_those_of_kafkas_own_partitioner(key: str, hashed: int) -> None:
    """Hashes from Apache Kafka's own test, UtilsTest.testMurmur2."""
    assert partition_of(key, 24) == (hashed & 0x7FFFFFFF) % 24


def test_one_users_messages_share_a_partition_whatever_the_entry() -> None:
    rows = [{"user": "u", "entry_id": str(i), "artist": "x"} for i in range(50)]
    parts = {outgoing(entry_from_row(row, Entry), trace="t", stage="s").partition(24) for row in rows}
    assert len(parts) == 1


def test_the_same_row_fed_twice_is_the_same_version() -> None:
    row = {"source": "s", "artist": "A", "date": "2020-01-01"}
    first, second = raw_from_row(row, RawEvent), raw_from_row(dict(reversed(row.items())), RawEvent)
    assert first == second
    assert first.seen_at == FED_AT
    assert first.source_id.startswith("derived-")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([], "wrong_type"),
        ({"artist": "A", "date": "2020-01-01"}, "missing_field"),
        ({"source": 5, "source_id": "1"}, "wrong_type"),
        ({"source": "s", "source_id": "1", "observed_at": "yesterday"}, "bad_value"),
    ],
)
def test_a_line_that_is_no_row_says_why(row: object, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        raw_from_row(row, RawEvent)
    assert caught.value.reason == reason


def test_an_envelope_passes_through_a_file_unchanged() -> None:
    path = ROOT / "schemas/examples/gigz.raw-setlist.v1/setlist.json"
    message = RawSetlist.from_bytes(path.read_bytes())
    assert raw_from_row(orjson.loads(message.to_bytes()), RawSetlist) == message


def test_a_rejection_keeps_the_bytes_up_to_a_limit_and_carries_connects_headers() -> None:
    origin = Origin("gigz.raw-event.v1", 3, 17)

    def refused(body: bytes) -> Rejection:
        record = reject(Reason.NOT_JSON, "why", origin=origin, original=body, stage="s", at=AT, trace="t")
        assert set(ERROR_HEADERS.values()) <= set(record.headers)
        assert not record.too_large
        return Rejection.from_bytes(record.value)

    assert refused(b"\x00\xff{").original_bytes == b"\x00\xff{"
    assert refused(b"x" * KEPT_BODY).original_bytes == b"x" * KEPT_BODY
    dropped = refused(b"x" * (KEPT_BODY + 1))
    assert dropped.original_bytes is None
    assert dropped.original_size == KEPT_BODY + 1


def test_a_tombstone_has_a_key_and_no_body() -> None:
    record = tombstone(Entry, "u/1", trace="t", stage="s", partition_by="u", rev=4)
    assert record.value is None
    assert record.partition(24) == partition_of("u", 24)
    assert record.headers["rev"] == "4"


def test_every_table_and_topic_declares_where_its_user_is() -> None:
    assert set(erasure.POSTGRES) == set(Base.metadata.tables)
    assert set(erasure.TOPICS) == set(BY_NAME)
    for name, place in erasure.POSTGRES.items():
        columns = set(Base.metadata.tables[name].columns.keys())
        assert place.user is None or place.user in columns, name
        assert place.user is not None or not columns & {"user_id", "user"}, f"{name} has a user but declares none"
    for topic in TOPICS:
        assert (erasure.TOPICS[topic.name].user == "key") == topic.of_users, topic.name


def test_every_table_has_both_instants_of_its_row() -> None:
    for table in Base.metadata.tables.values():
        assert {"created_at", "updated_at"} <= set(table.columns.keys()), table

"""Messages as rows, and what of a batch counts."""

import re
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from deploy.migrations.clickhouse import FOLDER, migrations
from schemas.concert import Concert
from schemas.decision import Action
from schemas.erasure import CLICKHOUSE, MEILISEARCH
from schemas.listing import Listing
from schemas.message import Message, MessageError
from schemas.outgoing import Outgoing
from schemas.rejection import Rejection
from schemas.suggestion import Suggestions
from sinks import clickhouse, meilisearch, postgres
from sinks.received import LARGEST, Change, Received, receive, settle
from tests.sinks.support import (
    a_concert,
    a_decision,
    a_listing,
    a_venue,
    an_artist,
    gone,
    raw_record,
    record_of,
    sent,
    some_suggestions,
    uid,
)


def read(outgoing: Outgoing, offset: int = 0) -> Received:
    return receive(record_of(outgoing, offset))


def columns_of(table: str) -> list[str]:
    """Names in the CREATE TABLE of the migrations."""
    text = "\n".join(migration.text for migration in migrations())
    found = re.search(rf"CREATE TABLE IF NOT EXISTS {table} \((.*?)\n\) ENGINE", text, flags=re.DOTALL)
    assert found is not None, table
    return re.findall(r"^ {4}(\w+) ", found[1], flags=re.MULTILINE)


@pytest.mark.parametrize(
    "message",
    [
        sent(a_listing("l")),
        sent(a_concert("c")),
        gone(Concert, str(uid("c")), rev=3),
        sent(some_suggestions("u", "e", ["a"])),
        sent(some_suggestions("u", "e", [])),
        sent(a_decision("u", "e", Action.CONFIRMED)),
    ],
    ids=["listing", "concert", "tombstone", "suggestions", "no suggestion", "decision"],
)
def test_every_row_has_exactly_the_columns_of_its_clickhouse_table(message: Outgoing) -> None:
    change = clickhouse.change_of(read(message))
    for row in change.rows:
        assert sorted(row) == sorted(columns_of(change.table))
        assert list(row) == list(change.rows[0])


def test_a_set_of_suggestions_always_writes_three_ranks() -> None:
    rows = clickhouse.change_of(read(sent(some_suggestions("u", "e", ["a", "b"], 7)))).rows
    assert [(row["rank"], row["is_deleted"], row["rev"]) for row in rows] == [(1, 0, 7), (2, 0, 7), (3, 1, 7)]


def test_what_a_user_wrote_stays_out_of_clickhouse() -> None:
    found = some_suggestions("u", "e", ["a"])
    found = found.model_copy(update={"entry": found.entry.model_copy(update={"note": "with my secret friend"})})
    assert b"secret" in found.to_bytes()
    assert "secret" not in repr(clickhouse.change_of(read(sent(found))))


def test_a_decisions_version_is_exact_to_the_microsecond() -> None:
    assert clickhouse.microseconds(datetime(2024, 6, 1, 12, 0, 0, 1, UTC)) == 1_717_243_200_000_001
    assert clickhouse.microseconds(datetime(1960, 1, 1, tzinfo=UTC)) == 0


@pytest.mark.parametrize("night", [date(1066, 10, 14), date(2300, 1, 1)])
def test_a_night_that_clickhouse_cannot_hold_is_bad_data(night: date) -> None:
    with pytest.raises(MessageError, match="1900 to 2299") as caught:
        clickhouse.change_of(read(sent(a_concert("c", night=night))))
    assert caught.value.reason == "bad_date"


@pytest.mark.parametrize("sink", [clickhouse, postgres, meilisearch])
@pytest.mark.parametrize(
    ("key", "headers", "reason"),
    [
        (str(uid("c")), (), "missing_field"),
        (str(uid("c")), (("rev", b"soon"),), "wrong_type"),
        (str(uid("c")), (("rev", b"-1"),), "bad_value"),
        ("no uuid", (("rev", b"1"),), "bad_value"),
    ],
    ids=["no rev", "rev no number", "rev below 0", "key no id"],
)
def test_a_concerts_tombstone_needs_an_id_and_a_rev(
    sink: Any, key: str, headers: tuple[tuple[str, bytes], ...], reason: str
) -> None:
    with pytest.raises(MessageError) as caught:
        sink.change_of(receive(raw_record(Concert.topic, key.encode(), None, headers=headers)))
    assert caught.value.reason == reason


@pytest.mark.parametrize("value", [b"", b"{", b"\xff\xfe", b"[]", b'{"rev": 1}', b'{"songs": "\\ud800"}'])
def test_no_bytes_get_past_receiving_but_messages(value: bytes) -> None:
    with pytest.raises(MessageError):
        receive(raw_record(Concert.topic, b"k", value))


def test_a_record_without_key_and_body_or_with_a_key_that_is_no_text_is_bad_data() -> None:
    with pytest.raises(MessageError, match="neither key nor body"):
        receive(raw_record(Rejection.topic, None, None))
    with pytest.raises(MessageError, match="not UTF-8"):
        receive(raw_record(Suggestions.topic, b"\xff", None))


def test_a_version_that_no_store_can_hold_is_bad_data() -> None:
    read(sent(a_concert("c", LARGEST)))
    with pytest.raises(MessageError, match="rev: above"):
        read(sent(a_concert("c", LARGEST + 1)))
    with pytest.raises(MessageError, match="version: above"):
        read(sent(a_listing("l", LARGEST + 1)))


def test_postgres_gets_no_nul_and_keeps_what_only_looks_like_one() -> None:
    change = postgres.change_of(read(sent(a_concert("c", artist="a\x00b", songs=("\\u0000", "c\x00")))))
    [row] = change.rows
    assert row["artist"] == "ab"
    assert Concert.from_bytes(row["body"].encode()).songs == ("\\u0000", "c")
    unchanged = a_concert("c")
    assert postgres.change_of(read(sent(unchanged))).rows[0]["body"] == unchanged.to_bytes().decode()


def test_a_rejection_whose_original_is_no_base64_is_bad_data() -> None:
    body = b"""{"origin_topic": "t", "origin_partition": 0, "origin_offset": 1, "stage": "s", "reason": "not_json",
        "text": "", "rejected_at": "2024-01-01T00:00:00Z", "original": "abc", "original_size": 1,
        "original_hash": ""}"""
    with pytest.raises(MessageError, match="original"):
        postgres.change_of(receive(raw_record(Rejection.topic, b"k", body)))


def test_documents_say_what_the_search_shows_and_nothing_that_is_unknown() -> None:
    [document] = meilisearch.change_of(read(sent(a_concert("c", 4)))).rows
    assert document["concert_id"] == str(uid("c"))
    assert (document["rev"], document["year"], document["day"]) == (4, 2008, 20080816)
    assert None not in document.values()
    for message, index in ((a_venue("v"), "venues"), (an_artist("a"), "artists")):
        change = meilisearch.change_of(read(sent(message)))
        assert change.table == index
        assert meilisearch.INDEXES[index].id_field in change.rows[0]


@pytest.mark.parametrize("index", meilisearch.INDEXES)
def test_an_index_can_filter_by_its_ids_or_nothing_could_be_deleted(index: str) -> None:
    shape = meilisearch.INDEXES[index]
    assert shape.id_field in shape.settings["filterableAttributes"]


def change(key: str, version: int | None, offset: int = 0) -> Change:
    rows = () if version is None else ({"key": key, "offset": offset},)
    return Change("t", key, read(sent(a_listing("l")), offset).origin, version, rows)


def test_the_highest_version_of_a_key_is_current_and_the_later_of_equals() -> None:
    settled = settle([change("a", 2, 0), change("a", 3, 1), change("a", 1, 2), change("b", 5, 3), change("b", 5, 4)])
    assert [one.rows[0]["offset"] for one in settled["t"].last] == [1, 4]
    assert len(settled["t"].changes) == 5


def test_what_came_before_a_tombstone_without_version_is_not_written() -> None:
    settled = settle([change("a", 2), change("b", 2), change("a", None), change("a", 1, 7)])["t"]
    assert settled.forgotten == ["a"]
    assert [one.key for one in settled.changes] == ["b", "a"]
    assert [one.rows[0]["offset"] for one in settled.last if one.key == "a"] == [7]


def test_a_block_cut_the_same_way_has_the_same_token_and_no_other_has() -> None:
    def token(table: str, *messages: Message, offset: int = 0) -> str:
        return clickhouse.token_of(
            table, [clickhouse.change_of(read(sent(m), offset + n)) for n, m in enumerate(messages)]
        )

    one, two = a_listing("a"), a_listing("b")
    assert token("listings", one, two) == token("listings", one, two)
    others = {
        token("listings", one, two),
        token("listings", two, one),
        token("listings", one),
        token("listings", one, two, offset=1),
        token("listings_history", one, two),
        token("listings", one, a_listing("b", songs=("x",))),
    }
    assert len(others) == 6


def test_every_table_and_index_declares_its_column_of_the_user() -> None:
    text = "\n".join(migration.text for migration in migrations())
    made = set(re.findall(r"CREATE (?:TABLE|VIEW) IF NOT EXISTS (\w+)", text))
    assert made | {"schema_migrations"} == set(CLICKHOUSE)
    tables = set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+) \(", text))
    for table in tables:
        assert (CLICKHOUSE[table].user or "none") in {*columns_of(table), "none"}
        assert ("user_id" in columns_of(table)) == (CLICKHOUSE[table].user is not None), table
        assert CLICKHOUSE[f"{table}_history"] == CLICKHOUSE[table]
    assert set(meilisearch.INDEXES) == set(MEILISEARCH)


def test_every_statement_of_a_migration_can_be_run_again() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))
    for migration in migrations(FOLDER):
        for statement in migration.statements:
            assert re.search(r"\bIF (NOT )?EXISTS\b", statement), f"{migration.name}: {statement[:60]}"


def test_listings_and_entries_are_what_their_ids_say() -> None:
    rows = clickhouse.change_of(read(sent(a_listing("l")))).rows
    assert rows[0]["listing_id"] == a_listing("l").listing_id
    assert isinstance(rows[0]["listing_id"], UUID)
    assert Listing.from_bytes(rows[0]["body"].encode()) == a_listing("l")

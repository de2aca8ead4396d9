"""What of an erasure needs no engine: whose a message is, what is found, what is declared, what a receipt tells."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from typer.testing import CliRunner

from deploy.erasing import ErasureError, ledger, run, stores, topics
from deploy.erasing.receipt import Receipt
from deploy.erasing.run import read_receipt
from deploy.erasing.search import (
    Finding,
    Needles,
    Searched,
    Verdict,
    _holding,
    _judged,
    _judged_here,
    needles_of,
    written_in,
)
from deploy.local.kafka import PROPERTIES
from gigz import app
from schemas import erasure
from schemas.erasure import How, Place
from schemas.history import Entry
from schemas.outgoing import Origin, outgoing, reject, tombstone
from schemas.rejection import Reason
from schemas.topics import BY_NAME, TOPICS
from sinks.asking import users_of
from sinks.postgres import change_of
from sinks.received import Change, Received
from streams.relay import LOCK_CLASS

AT = datetime(2026, 5, 1, tzinfo=UTC)
HISTORY = Entry.topic
ID = "5f3c9a1e0b7d4c22a96e8f10d4b7c3aa"


def message(offset: int, key: str, value: bytes | None, topic: str = HISTORY, partition: int = 0) -> topics.Message:
    return topics.Message(topic, partition, offset, AT, key, value)


# -- what is declared -------------------------------------------------------------------------------------------------


def test_every_declared_place_is_handled() -> None:
    stores.check_registry()
    handled = {
        "postgres": {How.DELETE_ROWS: stores.places("postgres", How.DELETE_ROWS)},
        "clickhouse": {How.DELETE_MUTATION: stores.places("clickhouse", How.DELETE_MUTATION)},
    }
    assert set(handled["postgres"][How.DELETE_ROWS]) == {
        name for name, place in erasure.POSTGRES.items() if place.user and place.how not in {How.LEDGER, How.REQUEST}
    }
    assert set(handled["clickhouse"][How.DELETE_MUTATION]) == {
        name for name, place in erasure.CLICKHOUSE.items() if place.user
    }


def test_a_row_that_names_two_users_goes_with_either() -> None:
    assert stores.of_user("state.follows") == "user_id = :user or other_id = :user"
    assert {("state.follows", "user_id"), ("state.follows", "other_id")} <= set(stores.user_columns())
    assert str(run.EVERYBODY).count("other_id") == 2


def test_the_request_to_be_erased_is_the_only_place_that_may_name_the_user_at_the_end() -> None:
    def judged(where: str, column: str) -> list[Verdict]:
        return [one.verdict for one in _judged_here(f"{where}.{column}", column, [["the id"]])]

    assert judged("state.erasures", "user_id") == [Verdict.EXPIRES]
    assert judged("state.erasures", "last_error") == judged("state.entries", "user_id") == [Verdict.LEFT]
    assert list(_judged_here("state.erasures.user_id", "user_id", [[]])) == []


@pytest.mark.parametrize(
    ("places", "name", "place"),
    [
        (erasure.POSTGRES, "state.friends", Place("follower", How.EXPIRES)),
        (erasure.POSTGRES, "state.outbox", Place("value", How.DELETE_ROWS)),
        (erasure.TOPICS, "gigz.friend.v1", Place("key", How.DELETE_ROWS)),
        (erasure.CLICKHOUSE, "friends", Place("user_id", How.DELETE_ROWS)),
        (erasure.MEILISEARCH, "friends", Place("user", How.DELETE_MUTATION)),
    ],
)
def test_a_place_declared_in_a_way_that_erase_does_not_know_stops_it_before_it_begins(
    places: dict[str, Place], name: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(places, name, place)
    with pytest.raises(ErasureError, match=name.replace(".", r"\.")):
        stores.check_registry()


def test_every_topic_of_users_is_declared_with_a_way_of_forgetting() -> None:
    for topic in TOPICS:
        how = erasure.TOPICS[topic.name].how
        if topic.of_users:
            assert how is (How.TOMBSTONES if topic.days is None else How.EXPIRES), topic.name


def test_topics_of_users_close_their_segments_within_a_day() -> None:
    for topic in TOPICS:
        if topic.of_users:
            assert topic.config["segment.ms"] == str(86_400_000), topic.name
    assert topics.until_gone("gigz.rematch.v1", AT) == AT + timedelta(days=2)
    assert topics.until_gone("gigz.rejection.v1", AT) == AT + timedelta(days=97)
    assert "log.roll" not in PROPERTIES, "a topic that says nothing has Kafka's own segment.ms"


def test_the_shards_of_the_relay_are_locked_as_the_relay_does() -> None:
    assert topics.RELAY_LOCK_CLASS == LOCK_CLASS != stores.LOCK_CLASS


# -- whose a message is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "key", "body", "users"),
    [
        (HISTORY, "ann/e1", b"{}", {"ann"}),
        (HISTORY, "ann/e1/e2", None, {"ann"}),
        ("gigz.digest.v1", "ann", None, {"ann"}),
        (HISTORY, "0f" * 32, b'{"user": "ann", "artist": ', {"ann"}),
        (HISTORY, "0f" * 32, b'{"user": "ann b", "note": "x"}', {"ann b"}),
        (HISTORY, "0f" * 32, b'{"user": 17}', {"17"}),
        (HISTORY, "0f" * 32, b"user=ann;artist=Radiohead", {"ann"}),
        (HISTORY, "0f" * 32, b"[1, 2]", set()),
        (HISTORY, "0f" * 32, None, set()),
        ("gigz.raw-event.v1", "a:1", b'{"user": "ann"}', set()),
        ("gigz.unknown.v1", "ann/e1", b"{}", set()),
    ],
)
def test_a_message_is_its_keys_users_or_its_bodys(topic: str, key: str, body: bytes | None, users: set[str]) -> None:
    assert ledger.users_of(topic, key, body) == users


def test_the_ledger_keeps_a_hash_that_names_nobody() -> None:
    assert ledger.hash_of(ID) != ledger.hash_of(ID + " ")
    assert len(ledger.hash_of(ID)) == 64
    assert ID not in ledger.hash_of(ID)
    assert ledger.hash_of("a\ud800") != ledger.hash_of("a")


def test_only_tombstones_of_an_erasure_are_passed_over_by_match() -> None:
    record = tombstone(Entry, "ann/e1", trace="t", stage=ledger.STAGE, partition_by="ann")
    assert ledger.by_erasure(record.headers, record.value)
    assert not ledger.by_erasure(record.headers, b"{}")
    assert not ledger.by_erasure({"stage": "api"}, None)
    assert not ledger.by_erasure({}, None)


def test_a_rejections_row_is_theirs_whose_message_was_refused() -> None:
    original = b'{"user": "ann", "artist": 1'
    refused = reject(
        Reason.NOT_JSON, "x", origin=Origin(HISTORY, 1, 2), original=original, stage="match", at=AT, trace="t", key="0f"
    )
    body = BY_NAME[refused.topic].message.from_bytes(refused.value)
    received = Received(Origin(refused.topic, 0, 0), refused.key, body, refused.value or b"", AT, "t")
    assert users_of(change_of(received)) == {"ann"}
    assert ledger.users_of_rejection(refused.value) == {"ann"}


def test_a_sinks_row_is_the_users_of_its_key_and_a_tombstone_passes() -> None:
    row = {"user_id": "ann"}
    assert users_of(Change("decisions", "ann/e1", Origin("gigz.decision.v1", 0, 0), 1, (row,))) == {"ann"}
    assert users_of(Change("decisions", "ann/e1", Origin("gigz.decision.v1", 0, 0), None)) == set()
    assert users_of(Change("concerts", "ann/e1", Origin("gigz.concert.v1", 0, 0), 1, (row,))) == set()


# -- tombstones -------------------------------------------------------------------------------------------------------


def test_a_key_gets_a_tombstone_while_its_last_message_says_something() -> None:
    found = [
        message(1, "ann/e1", b"{}"),
        message(2, "ann/e2", b"{}"),
        message(3, "ann/e1", None),
        message(4, "ann/e3", None),
        message(5, "ann/e3", b"{}"),
    ]
    assert topics.alive(found) == {(HISTORY, "ann/e2"), (HISTORY, "ann/e3")}
    assert [one.offset for one in topics.superseded(found)] == [1]
    assert [one.offset for one in topics.superseded([*found, message(9, "ann/e3", None)])] == [1, 5]


def test_the_tombstone_of_a_key_that_names_nobody_is_theirs_whose_line_it_ended() -> None:
    own = topics.mine("ann")
    assert not own(HISTORY, "0f" * 32, None), "nobody's, so far"
    assert own(HISTORY, "0f" * 32, b'{"user": "ann", "artist": ')
    assert own(HISTORY, "0f" * 32, None)
    assert not own(HISTORY, "0e" * 32, None)


def test_messages_of_two_partitions_do_not_end_each_other() -> None:
    found = [message(1, "ann/e1", b"{}", partition=1), message(7, "ann/e1", None, partition=2)]
    assert topics.alive(found) == {(HISTORY, "ann/e1")}
    assert topics.superseded(found) == []


def test_tombstones_go_where_the_messages_are() -> None:
    row = json.dumps({"user": "ann", "entry_id": "e1", "seen_at": AT.isoformat()}).encode()
    entry = outgoing(Entry.from_bytes(row), trace="t", stage="feed")
    keyless = "0f" * 32
    by_key = {one.key: one for one in stores.tombstones({(HISTORY, "ann/e1"), (HISTORY, keyless)}, "ann")}
    assert by_key["ann/e1"].partition(24) == entry.partition(24)
    assert by_key[keyless].partition_by == keyless
    assert all(one.value is None and one.headers["stage"] == "erase" for one in by_key.values())


# -- the search -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "body", "found"),
    [
        (ID, f'{{"user":"{ID}"}}', True),
        (ID, f"anywhere{ID}at all", True),
        (ID, ID[:-1], False),
        ("ann", '{"user":"ann"}', True),
        ("ann", "ann/e1", True),
        ("ann", "ann", True),
        ("ann", '"dev:ann"', True),
        ("ann", '{"artist":"Hannah Montana","note":"with ann in May"}', False),
        ('a"b', json.dumps({"user": 'a"b'}), True),
        ("zoë", '{"user":"zoë"}', True),
    ],
)
def test_an_id_is_found_where_an_id_stands(user: str, body: str, found: bool) -> None:
    assert (Needles(user).kinds_in(body.encode()) == ["the id"]) is found


def test_what_the_user_wrote_is_looked_for_where_it_is_long_enough() -> None:
    note = 'rain, and "Ann\'s" umbrella flew off the bridge'
    needles = needles_of("ann", ["e1", "3f9a0c2b7d114e55"], [note, "great show"])
    assert needles.entry_ids == {"3f9a0c2b7d114e55"}
    assert needles.words == {note}
    assert needles.kinds_in(json.dumps({"note": note}).encode()) == ["words"]
    assert needles.kinds_in(b"x/3f9a0c2b7d114e55") == ["an entry's id"]
    assert needles.kinds_in(b"great show") == []
    assert needles.as_json() == {"ids": 1, "entry_ids": 1, "words": 1}


def test_at_most_fifty_of_each_are_looked_for_the_longest() -> None:
    needles = needles_of("ann", [f"{'x' * 12}{n:03}" for n in range(200)], ["w" * (20 + n) for n in range(300)])
    assert len(needles.entry_ids) == len(needles.words) == 50
    assert max(map(len, needles.words)) == 200


def test_words_are_notes_and_names_also_of_what_shows_an_entry() -> None:
    entry = {"user": "ann", "note": "n", "with": ["Bo"]}
    assert written_in(json.dumps(entry).encode()) == ["n", "Bo"]
    assert written_in(json.dumps({"entry": entry}).encode()) == ["n", "Bo"]
    assert written_in(b"not json") == written_in(None) == written_in(b"[]") == []


OTHER = "0b7d4c225f3c9a1ea96e8f10d4b7c3aa"
LINE = "3f9a0c2b7d114e55"
"""An entry's id, derived from what was written: whoever writes the same line has the same."""
NOTE = "rain all day, and the umbrella flew off the bridge"


def told_of(*said: tuple[str, bytes | None]) -> list[tuple[str, int, Verdict]]:
    """What a search says of these messages, keys and bodies in their order."""
    needles = needles_of(ID, [LINE], [NOTE])
    look = _holding(needles)
    found = [message(offset, key, body) for offset, (key, body) in enumerate(said) if look(HISTORY, key, body)]
    judged = _judged(needles, HISTORY, found, AT) if found else ()
    return [(one.what, one.count, one.verdict) for one in judged]


def test_what_another_wrote_as_well_and_was_erased_holds_up_nobody() -> None:
    body = json.dumps({"user": OTHER, "note": NOTE}).encode()
    theirs = [(f"{OTHER}/{LINE}", body), (f"{OTHER}/{LINE}", None)]
    assert told_of(*theirs) == [("messages of others", 2, Verdict.EXPIRES)]
    assert told_of((f"{OTHER}/e1", body), (f"{OTHER}/e1", None)) == [("messages of others", 1, Verdict.EXPIRES)]
    mine = [(f"{ID}/{LINE}", json.dumps({"user": ID, "note": NOTE}).encode()), (f"{ID}/{LINE}", None)]
    assert told_of(*theirs, *mine) == [
        ("tombstones", 1, Verdict.EXPIRES),
        ("messages", 1, Verdict.EXPIRES),
        ("messages of others", 2, Verdict.EXPIRES),
    ]


def test_a_note_that_another_changed_since_expires_and_one_that_stands_is_left() -> None:
    body, other = (json.dumps({"user": OTHER, "note": note}).encode() for note in (NOTE, "dry"))
    assert told_of((f"{OTHER}/e1", body), (f"{OTHER}/e1", other)) == [("messages of others", 1, Verdict.EXPIRES)]
    assert told_of((f"{OTHER}/e1", other), (f"{OTHER}/e1", body)) == [("messages with words", 1, Verdict.LEFT)]
    assert told_of((f"{OTHER}/e1", body), (f"{OTHER}/e2", None)) == [("messages with words", 1, Verdict.LEFT)]


def test_the_users_id_in_a_message_of_another_is_left_whatever_follows() -> None:
    body = json.dumps({"user": OTHER, "note": f"{NOTE} {ID}"}).encode()
    assert told_of((f"{OTHER}/e1", body), (f"{OTHER}/e1", None)) == [("messages with the id, words", 1, Verdict.LEFT)]
    mine = json.dumps({"user": ID, "note": NOTE}).encode()
    assert told_of((f"{ID}/{LINE}", mine))[0][2] is Verdict.LEFT, "no tombstone follows"


# -- the receipt ------------------------------------------------------------------------------------------------------


def receipt() -> Receipt:
    found = [Finding("gigz.rejection.v1", "messages", 2, Verdict.EXPIRES, AT + timedelta(days=97), "kept for 90 days")]
    return Receipt(
        UUID(int=7),
        ledger.hash_of(ID),
        AT,
        AT,
        {"postgres state.entries": 12, "kafka gigz.history.v1": 12},
        Searched({"kafka": {"topics": 16, "messages": 4}}, found),
        Needles(ID).as_json(),
        AT,
        17.0,
    )


def test_a_receipt_names_nobody_and_tells_what_expires() -> None:
    told = receipt()
    assert told.clean
    for written in (told.as_text(), json.dumps(told.as_json())):
        assert ID not in written
        assert ledger.hash_of(ID) in written
    assert "2 messages, until 2026-08-06" in told.as_text()
    assert read_receipt(json.dumps(told.as_json()).encode())["user_hash"] == ledger.hash_of(ID)


def test_a_receipt_with_something_left_is_not_clean() -> None:
    left = Finding("state.entries.body", "rows with the id", 1, Verdict.LEFT)
    told = replace(receipt(), searched=Searched({}, [left]))
    assert not told.clean
    assert "LEFT\n  state.entries.body: 1 rows with the id" in told.as_text()


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}"])
def test_a_file_that_is_no_receipt_is_refused(body: bytes) -> None:
    with pytest.raises(ErasureError, match="no receipt"):
        read_receipt(body)


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["ann", "--restored", "x.json"]])
def test_either_a_user_or_receipts_are_named(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["erase", *arguments]).exit_code == 2

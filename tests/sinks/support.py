"""Messages as the stages write them, records as Kafka gives them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from aiokafka import ConsumerRecord

from schemas.concert import Concert, Facts, Member
from schemas.decision import Action, Decision
from schemas.ids import NAMESPACE, listing_id, suggestion_id
from schemas.listing import Act, Listing, Place
from schemas.message import HEADER_ORIGIN, HEADER_STAGE, Message
from schemas.outgoing import REPLAY, Outgoing, outgoing, tombstone
from schemas.reference import Artist, Venue
from schemas.suggestion import Band, Evidence, Suggestion, Suggestions

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
PLACE = Place(name="Het Depot", city="Leuven", region="Vlaams-Brabant", country="BE", lat=50.88, lon=4.7)


def uid(name: str) -> UUID:
    return uuid5(NAMESPACE, name)


def a_listing(name: str, version: int = 1, **changes: Any) -> Listing:
    fields: dict[str, Any] = {
        "listing_id": listing_id("test", name),
        "source": "test",
        "source_id": name,
        "version": version,
        "seen_at": NOON,
        "content_hash": "0" * 64,
        "acts": (Act(name="Sigur Rós"), Act(name="Amiina")),
        "night": date(2008, 8, 16),
        "place": PLACE,
        "songs": ("Svefn-g-englar",),
    }
    return Listing(**(fields | changes))


def a_concert(name: str, rev: int = 1, **changes: Any) -> Concert:
    member = Member(
        listing_id=listing_id("test", name), source="test", source_id=name, version=1, act="Sigur Rós", url=None
    )
    fields: dict[str, Any] = {
        "concert_id": uid(name),
        "rev": rev,
        "artist": "Sigur Rós",
        "artist_key": "sigur ros",
        "night": date(2008, 8, 16),
        "place": PLACE,
        "songs": ("Svefn-g-englar", "Glósóli", "Hoppípolla"),
        "members": (member,),
    }
    return Concert(**(fields | changes))


def some_suggestions(user: str, entry: str, concerts: Sequence[str], rev: int = 1) -> Suggestions:
    return Suggestions(
        user=user,
        entry_id=entry,
        rev=rev,
        suggestions=tuple(
            Suggestion(
                suggestion_id=suggestion_id(user, entry, uid(name)),
                rank=rank,
                concert_id=uid(name),
                concert=Facts(artist="Sigur Rós", night=date(2008, 8, 16), place=PLACE),
                members=a_concert(name).members,
                confidence=0.9 / rank,
                band=Band.LIKELY,
                why=(
                    Evidence(field="artist", bits=12.5, text="same artist"),
                    Evidence(field="date", bits=8.0, text="same night"),
                ),
                signature="s",
            )
            for rank, name in enumerate(concerts, 1)
        ),
    )


def a_decision(user: str, entry: str, action: Action, minute: int = 0, concert: str = "c") -> Decision:
    return Decision(
        decision_id=uid(f"{user} {entry} {minute}"),
        user=user,
        entry_id=entry,
        suggestion_id=suggestion_id(user, entry, uid(concert)),
        concert_id=uid(concert),
        action=action,
        decided_at=NOON + timedelta(minutes=minute),
    )


def a_venue(name: str, version: int = 1) -> Venue:
    return Venue(
        venue_id=uid(name), source="test", source_id=name, version=version, seen_at=NOON, name=name, place=PLACE
    )


def an_artist(name: str, version: int = 1) -> Artist:
    return Artist(artist_id=uid(name), source="test", source_id=name, version=version, seen_at=NOON, name=name)


def sent(message: Message) -> Outgoing:
    return outgoing(message, trace="t" * 32, stage="test")


def gone(message: type[Message], key: str, **given: Any) -> Outgoing:
    return tombstone(message, key, trace="t" * 32, stage="test", **given)


def record_of(outgoing_: Outgoing, offset: int = 0, partition: int = 0) -> ConsumerRecord:
    """As a consumer would read it."""
    return raw_record(
        outgoing_.topic,
        outgoing_.key.encode(),
        outgoing_.value,
        offset=offset,
        partition=partition,
        headers=tuple(outgoing_.kafka_headers),
    )


def replayed(topic: str, offset: int) -> tuple[tuple[str, bytes], ...]:
    """The headers of a message that was sent again."""
    return ((HEADER_STAGE, REPLAY.encode()), (HEADER_ORIGIN, f"{topic}:0:{offset}".encode()))


def raw_record(
    topic: str,
    key: bytes | None,
    value: bytes | None,
    *,
    offset: int = 0,
    partition: int = 0,
    headers: tuple[tuple[str, bytes], ...] = (),
) -> ConsumerRecord:
    return ConsumerRecord(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=int(NOON.timestamp() * 1000),
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=len(key or b""),
        serialized_value_size=len(value or b""),
        headers=headers,
    )

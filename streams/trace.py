"""Where a suggestion came from, and whether it would be made again.

    state.suggestions -> the set as shown: concerts, listings with their versions, evidence, weights, fold
    topics            -> where each of these messages stands now; compaction may have taken an older version away
    replay            -> the entry, its candidates, decisions and names, read from one snapshot and put through the
                         functions that match goes by (`MatchStore.again`): the same set, or what differs and why

Offsets are a hint, versions are the proof: a suggestion names the listings by id, version and hash of the source's own
words, and these are compared with the listings of today.

Errors
    NotTraced    there is no such suggestion, or none any more: says what is known of it
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.clients import check_postgres, kafka_consumer, postgres_engine
from deploy.flow import records_between
from deploy.settings import PREFIX, Settings, SettingsError
from matchers.reference import entry_names
from matchers.text import FOLD_VERSION
from matchers.weights import Tables, default_tables, read_weights
from schemas.concert import Concert, Facts
from schemas.decision import Decision
from schemas.history import BackfilledEntry, Entry
from schemas.listing import Listing
from schemas.message import HEADER_ORIGIN, HEADER_STAGE, HEADER_TRACE, MessageError
from schemas.suggestion import Suggestion, Suggestions
from schemas.topics import partition_of
from streams.stage import utc_now
from streams.store_match import Again, Key, MatchStore

FIND = text(
    "select user_id, entry_id from state.suggestions where suggestion_ids @> array[cast(:id as uuid)] "
    "order by user_id, entry_id"
)
DECIDED = text(
    "select user_id, entry_id, cast(action as text) as action, decided_at from state.decisions "
    "where suggestion_id = :id order by seq desc limit 1"
)
ENTRY = text("select version, updated_at from state.entries where user_id = :user and entry_id = :entry")
CONCERTS = text("select concert_id, rev, live, updated_at from state.concerts where concert_id = any(:ids)")
LISTINGS = text(
    "select listing_id, version, updated_at, body ->> 'payload_hash' as payload_hash from state.listings "
    "where listing_id = any(:ids)"
)
MEMBERS = text("select listing_id, act, concert_id from state.concert_members where listing_id = any(:ids)")
NAMES = text(
    "select topic, reference_id, body ->> 'name' as name, updated_at from state.names "
    "where keys && cast(:keys as text[]) and updated_at > :since order by updated_at"
)
RIVALS = text(
    "select entry_id, updated_at from state.suggestions where user_id = :user and entry_id <> :entry "
    "and claims && cast(:ids as uuid[]) and updated_at > :since order by entry_id"
)


class NotTraced(Exception):
    """Nothing to trace."""


@dataclass(frozen=True)
class Stood:
    """A message in Kafka."""

    topic: str
    partition: int
    offset: int
    at: str
    """When it was put there."""
    stage: str
    trace: str
    cause: str
    """`topic:partition:offset` of the message it followed from; empty: it began here."""
    version: int | None = None

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True)
class From:
    """A listing that a suggestion was made from."""

    listing_id: str
    source: str
    source_id: str
    act: str
    url: str | None
    version: int
    payload_hash: str | None
    version_now: int | None
    """None: the listing is no more."""
    stood: Stood | None
    """The message of that very version; None: a newer one took its place, and compaction its message."""
    stands: Stood | None
    """The newest message of the listing."""


@dataclass(frozen=True)
class Shown:
    """One concert of the set, and what it came from."""

    suggestion: Suggestion
    asked: bool
    """Whether it is the suggestion that was asked for."""
    listings: tuple[From, ...]
    concert: Stood | None
    """The newest message of the concert."""
    concert_live: bool


@dataclass(frozen=True)
class Traced:
    """A set of suggestions, where it came from, and how it comes out now."""

    again: Again
    message: Stood | None
    entry: Stood | None
    shown: tuple[Shown, ...]
    decisions: tuple[Stood, ...]
    differences: tuple[str, ...]
    reasons: tuple[str, ...]
    """What is newer than the set, or other than it was: why it may come out otherwise."""

    @property
    def same(self) -> bool:
        """Whether the replay gave the same set."""
        return self.again.same

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        found = self.again.stored
        return {
            "user": found.user,
            "entry_id": found.entry_id,
            "rev": found.rev,
            "made_at": None if found.made_at is None else found.made_at.isoformat(),
            "weights": found.weights,
            "fold": found.fold,
            "reason": found.reason,
            "message": _object(self.message),
            "entry": {
                "remembered": found.entry.model_dump(mode="json", by_alias=True, exclude_none=True),
                "message": _object(self.entry),
            },
            "suggestions": [
                one.suggestion.model_dump(mode="json", exclude_none=True, exclude={"members"})
                | {
                    "asked": one.asked,
                    "listings": [asdict(listing) for listing in one.listings],
                    "concert_message": _object(one.concert),
                    "concert_live": one.concert_live,
                }
                for one in self.shown
            ],
            "decisions": [
                decision.model_dump(mode="json", include={"decision_id", "action", "decided_at", "suggestion_id"})
                for decision in self.again.decisions
            ],
            "decision_messages": [_object(one) for one in self.decisions],
            "replay": {
                "same": self.same,
                "weights": self.again.weights,
                "fold": FOLD_VERSION,
                "candidates": len(self.again.candidates),
                "differences": list(self.differences),
                "reasons": list(self.reasons),
            },
        }


async def trace(settings: Settings, asked: str, weights: Path | None = None) -> Traced:
    """Trace a suggestion by its id, or an entry's set by user/entry. NotTraced; SettingsError.

    `weights`: a file, where the replay is not to go by those in force.
    """
    tables = tables_of(settings, weights)
    engine = postgres_engine(settings, pool_size=1, name="gigz-trace")
    try:
        await check_postgres(engine, settings)
        at, suggestion_id = await _find(engine, asked)
        again = await MatchStore(engine, settings.outbox_shards, utc_now, tables=tables).again(at)
        if again is None:
            raise NotTraced(f"{at[0]}/{at[1]} has no suggestions: match has not come to it, or nobody wrote it.")
        async with engine.connect() as connection:
            now = await _now(connection, again)
    finally:
        await engine.dispose()
    async with kafka_consumer(settings, (), None) as consumer:
        stood = await _standing(consumer, _wanted(again), settings.partitions)
    return _traced(again, suggestion_id, now, stood)


def tables_of(settings: Settings, weights: Path | None) -> Tables:
    """The weights in a file, else those that match goes by. SettingsError."""
    path = weights or (Path(settings.weights) if settings.weights else None)
    if path is None:
        return default_tables()
    try:
        return read_weights(path.read_bytes())
    except (OSError, MessageError) as error:
        named = "--weights" if weights else f"{PREFIX}WEIGHTS"
        raise SettingsError(f"{named}: {path}: {error}. Remedy: a file that `gigz calibrate` wrote.") from error


async def _find(engine: AsyncEngine, asked: str) -> tuple[Key, UUID | None]:
    user, slash, entry = asked.partition("/")
    if slash and user and entry:
        return (user, entry), None
    try:
        id_ = UUID(asked)
    except ValueError:
        raise NotTraced(f"{asked!r} is neither a suggestion's id nor user/entry.") from None
    async with engine.connect() as connection:
        found = (await connection.execute(FIND, {"id": id_})).first()
        if found is not None:
            return (found.user_id, found.entry_id), id_
        decided = (await connection.execute(DECIDED, {"id": id_})).first()
    if decided is None:
        raise NotTraced(
            f"no entry has the suggestion {id_} now, and nobody decided on it. "
            "Remedy: name user/entry, to see what the entry has instead."
        )
    at = f"{decided.user_id}/{decided.entry_id}"
    raise NotTraced(
        f"{at} has the suggestion {id_} no more; its user said {decided.action!r} on {decided.decided_at:%Y-%m-%d}. "
        f"Remedy: `gigz trace {at}` shows what the entry has now."
    )


# -- what is newer -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Now:
    """What the stages hold today of what the set was made from."""

    versions: Mapping[UUID, int]
    """Of listings."""
    live: frozenset[UUID]
    reasons: tuple[str, ...]


async def _now(connection: AsyncConnection, again: Again) -> _Now:
    found = again.stored
    shown = [one.concert_id for one in found.suggestions]
    members = {member.listing_id: member for one in found.suggestions for member in one.members}
    rows = list(await connection.execute(LISTINGS, {"ids": list(members)}))
    versions = {row.listing_id: row.version for row in rows}
    hashes = {row.listing_id: row.payload_hash for row in rows}
    reasons = [*_of_weights(again)]
    for listing_id, member in sorted(members.items()):
        name = f"listing {member.source}:{member.source_id}"
        version = versions.get(listing_id)
        if version is None:
            reasons.append(f"{name} is no more")
        elif version != member.version:
            newer = "newer" if version > member.version else "older"
            reasons.append(f"{name} is {newer} than the suggestion: version {version}, made from {member.version}")
        elif hashes[listing_id] != member.payload_hash:
            reasons.append(f"{name} has the same version, but the source's words are not those of then")
    ids = sorted({*shown, *(concert.concert_id for concert in again.candidates)})
    concerts = {row.concert_id: row for row in await connection.execute(CONCERTS, {"ids": ids})}
    live = frozenset(id_ for id_, row in concerts.items() if row.live)
    moved = {row.listing_id: row.concert_id for row in await connection.execute(MEMBERS, {"ids": list(members)})}
    for one in found.suggestions:
        if one.concert_id not in live:
            heirs = sorted({str(moved[m.listing_id]) for m in one.members if m.listing_id in moved})
            told = f"; its listings are now of {', '.join(heirs)}" if heirs else ""
            reasons.append(f"concert {one.concert_id} ({_called(one.concert)}) is no more{told}")
    entry = (await connection.execute(ENTRY, {"user": found.user, "entry": found.entry_id})).first()
    if again.entry is None:
        reasons.append("the entry was deleted")
    elif again.entry.remembered != found.entry:
        version = f", version {entry.version}" if entry is not None else ""
        reasons.append(f"the entry reads otherwise than when the set was made{version}")
    if found.made_at is not None:
        reasons += await _written_since(connection, again, found.made_at, concerts, shown)
    return _Now(versions, live, tuple(reasons))


async def _written_since(
    connection: AsyncConnection, again: Again, made_at: datetime, concerts: Mapping[UUID, Any], shown: Sequence[UUID]
) -> list[str]:
    """By the clocks of the database and of match: what was written after the set was made."""
    found = again.stored
    reasons = [
        f"concert {c.concert_id} ({_called(c)}) changed at {_moment(concerts[c.concert_id].updated_at)}, rev {c.rev}"
        for c in sorted(again.candidates, key=lambda one: one.concert_id)
        if c.concert_id in concerts and concerts[c.concert_id].updated_at > made_at
    ]
    reasons += [
        f"the user said {decision.action.value!r} at {_moment(decision.decided_at)}"
        for decision in again.decisions
        if decision.decided_at > made_at
    ]
    if again.entry is not None:
        asked = {"keys": sorted(entry_names(again.entry)), "since": made_at}
        reasons += [
            f"{row.topic.split('.')[1]} {row.reference_id} ({row.name}) changed at {_moment(row.updated_at)}"
            for row in await connection.execute(NAMES, asked)
        ]
    ids = sorted({*shown, *(one.concert_id for one in again.anew.suggestions)})
    asked = {"user": found.user, "entry": found.entry_id, "ids": ids, "since": made_at}
    reasons += [
        f"the user's entry {row.entry_id}, which could mean the same concert, has another set since "
        f"{_moment(row.updated_at)}"
        for row in await connection.execute(RIVALS, asked)
    ]
    return reasons


def _of_weights(again: Again) -> list[str]:
    found = again.stored
    reasons = []
    if found.weights and found.weights != again.weights:
        reasons.append(
            f"it was made with the weights {found.weights}, the replay goes by {again.weights}; "
            "--weights FILE replays with others"
        )
    if found.fold and found.fold != FOLD_VERSION:
        reasons.append(f"names were folded by version {found.fold}, now by {FOLD_VERSION}")
    return reasons


# -- what differs --------------------------------------------------------------------------------------------------


def differences(stored: Suggestions, anew: Suggestions) -> list[str]:
    """What reads otherwise in the set computed anew; whatever its rev and its time."""
    told = [
        f"{name}: {_plain(getattr(stored, name))} -> {_plain(getattr(anew, name))}"
        for name in ("origin", "entry", "because", "reason", "decision", "weights", "fold")
        if getattr(stored, name) != getattr(anew, name)
    ]
    before = {one.concert_id: one for one in stored.suggestions}
    after = {one.concert_id: one for one in anew.suggestions}
    told += [f"no longer: {_line(one)}" for id_, one in before.items() if id_ not in after]
    told += [f"now also: {_line(one)}" for id_, one in after.items() if id_ not in before]
    for id_, one in before.items():
        if id_ in after and one != after[id_]:
            told += [f"{_called(one.concert)}: {line}" for line in _within(one, after[id_])]
    return told


def _within(one: Suggestion, other: Suggestion) -> list[str]:
    told = [
        f"{name} {_plain(getattr(one, name))} -> {_plain(getattr(other, name))}"
        for name in ("suggestion_id", "rank", "confidence", "band", "signature")
        if getattr(one, name) != getattr(other, name)
    ]
    told += [
        f"{name} {_plain(getattr(one.concert, name))} -> {_plain(getattr(other.concert, name))}"
        for name in Facts.model_fields
        if getattr(one.concert, name) != getattr(other.concert, name)
    ]
    before = {(piece.field, piece.text): piece.bits for piece in one.why}
    after = {(piece.field, piece.text): piece.bits for piece in other.why}
    for (field, said), bits in before.items():
        if (field, said) not in after:
            told.append(f"evidence gone: {field} {bits:+.1f} {said}")
        elif after[field, said] != bits:
            told.append(f"evidence {field} {bits:+.3f} -> {after[field, said]:+.3f}: {said}")
    told += [f"new evidence: {f} {bits:+.1f} {said}" for (f, said), bits in after.items() if (f, said) not in before]
    if one.members != other.members:
        was, now = ({f"{m.source}:{m.source_id} v{m.version}" for m in each.members} for each in (one, other))
        told.append(f"members: without {_listed(was - now)}, with {_listed(now - was)}")
    return told


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _line(one: Suggestion) -> str:
    return f"{_called(one.concert)} ({one.band.value}, {one.confidence:.3f})"


def _called(facts: Facts) -> str:
    place = facts.place.name or facts.place.city
    return f"{facts.artist}, {facts.night}" + (f", {place}" if place else "")


def _plain(value: Any) -> str:
    if hasattr(value, "model_dump_json"):
        return str(value.model_dump_json(exclude_none=True, exclude_defaults=True))
    return "none" if value is None else str(getattr(value, "value", value))


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


# -- where the messages stand ----------------------------------------------------------------------------------------


def _wanted(again: Again) -> dict[tuple[str, str], str]:
    """(topic, key) -> what decides its partition, of every message that the set came from."""
    found = again.stored
    user_topics = (Suggestions, Entry, BackfilledEntry, Decision)
    wanted = {(kind.topic, found.key): found.user for kind in user_topics}
    for one in found.suggestions:
        wanted[Concert.topic, str(one.concert_id)] = str(one.concert_id)
        for member in one.members:
            key = f"{member.source}:{member.source_id}"
            wanted[Listing.topic, key] = key
    return wanted


async def _standing(
    consumer: AIOKafkaConsumer, wanted: Mapping[tuple[str, str], str], partitions: int
) -> dict[tuple[str, str], list[Stood]]:
    """(topic, key) -> its messages that are still in Kafka, oldest first. Reads the partitions they can be in."""
    parts = sorted({TopicPartition(topic, partition_of(by, partitions)) for (topic, _), by in wanted.items()})
    begins, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
    keys = {key.encode() for _, key in wanted}
    found: dict[tuple[str, str], list[Stood]] = {at: [] for at in wanted}
    async for records in records_between(consumer, begins, ends):
        for record in records:
            if record.key in keys and (at := (record.topic, record.key.decode())) in found:
                found[at].append(_stood(record))
    return found


def _stood(record: ConsumerRecord) -> Stood:
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    at = datetime.fromtimestamp(record.timestamp / 1000, utc_now().tzinfo).isoformat()
    stage, trace_id, cause = (headers.get(name, "") for name in (HEADER_STAGE, HEADER_TRACE, HEADER_ORIGIN))
    version = _version(record.value)
    return Stood(record.topic, record.partition, record.offset, at, stage, trace_id, cause, version)


def _version(body: bytes | None) -> int | None:
    """A listing's version, an aggregate's rev."""
    try:
        row = orjson.loads(body or b"null")
    except orjson.JSONDecodeError:
        return None
    number = row.get("version", row.get("rev")) if isinstance(row, dict) else None
    return number if isinstance(number, int) else None


def _traced(
    again: Again, suggestion_id: UUID | None, now: _Now, stood: Mapping[tuple[str, str], list[Stood]]
) -> Traced:
    found = again.stored
    shown = []
    for one in found.suggestions:
        listings = []
        for member in one.members:
            messages = stood[Listing.topic, f"{member.source}:{member.source_id}"]
            listings.append(
                From(
                    str(member.listing_id),
                    member.source,
                    member.source_id,
                    member.act,
                    member.url,
                    member.version,
                    member.payload_hash,
                    now.versions.get(member.listing_id),
                    next((m for m in reversed(messages) if m.version == member.version), None),
                    messages[-1] if messages else None,
                )
            )
        concert = stood[Concert.topic, str(one.concert_id)]
        newest = concert[-1] if concert else None
        asked = one.suggestion_id == suggestion_id
        shown.append(Shown(one, asked, tuple(listings), newest, one.concert_id in now.live))
    messages = [m for m in stood[Suggestions.topic, found.key] if m.version == found.rev]
    entries = stood[Entry.topic, found.key] + stood[BackfilledEntry.topic, found.key]
    differing = () if again.same else tuple(differences(found, again.anew))
    reasons = list(now.reasons)
    if differing and not reasons:
        reasons.append(
            "nothing that it was made from is newer: the row in state.suggestions was changed by hand, "
            "or Gigz computes otherwise than it did"
        )
    return Traced(
        again,
        messages[-1] if messages else None,
        max(entries, key=lambda one: one.at, default=None),
        tuple(shown),
        tuple(stood[Decision.topic, found.key]),
        differing,
        tuple(reasons),
    )


def _object(stood: Stood | None) -> dict[str, Any] | None:
    return None if stood is None else asdict(stood)

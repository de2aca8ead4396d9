"""Listings, concerts, suggestions and decisions into ClickHouse.

Every row is a version of something; the tables keep the highest (`deploy/migrations/clickhouse/`), so whatever is
written twice, late or in another order counts once. Each table gets one insert a batch, current and history. The
deduplication token (topic, partitions and offsets, content) spares a repeated block its write; batches are cut anew
after a restart, so nothing depends on it.

A concert's tombstone is a row that says is_deleted, of the tombstone's rev. Tombstones of users' topics and of listings
carry no version: they are erasure, and take the rows of their key out of current and history by mutation.

What its codes mean stands in `deploy.failures`.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from uuid import UUID

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from deploy.clients import clickhouse_async
from deploy.failures import CLICKHOUSE, CLICKHOUSE_NOT_MIGRATED, Meaning, meaning
from deploy.settings import Settings
from schemas.concert import Concert, Facts
from schemas.decision import Decision
from schemas.listing import Listing, Place
from schemas.message import MessageError, canonical
from schemas.suggestion import Suggestion, Suggestions
from sinks.errors import StoreAway, StoreError, StoreRefuses
from sinks.pump import START_AGAIN
from sinks.received import Change, Received, Row, expect, settle

STORE = "clickhouse"
TABLES = ("listings", "concerts", "suggestions", "decisions")
"""Each with its history."""
RANKS = (1, 2, 3)
NO_ID = UUID(int=0)
NO_NIGHT = date(1970, 1, 1)
FIRST_YEAR, LAST_YEAR = 1900, 2299
"""What Date32 and DateTime64 can hold."""

KEYS_AT_ONCE = 3_000
"""Of a mutation. They go in the statement (max_query_size: 256 KiB): as a parameter they would have to fit into a field
of the address (128 KiB), and one user may have thousands. Hashed: ClickHouse remembers the mutations it has done."""
_KEYS = {
    "listings": "concat(source, ':', source_id)",
    "suggestions": "concat(user_id, '/', entry_id)",
    "decisions": "concat(user_id, '/', entry_id)",
}
"""Table -> its topic's key, for tombstones without a version."""


class ClickHouseSink:
    """A sink of the pump; `open_clickhouse_sink` makes one."""

    store = STORE

    def __init__(self, client: AsyncClient, suffix: str = "") -> None:
        self._client = client
        self._suffix = suffix
        """Of the tables' names: a rebuild writes others than the sink."""

    def prepare(self, received: Received) -> Change:
        """Rows of the message. MessageError for a date that the tables cannot hold."""
        return change_of(received)

    async def write(self, changes: Sequence[Change]) -> None:
        """One insert for each table of the batch. StoreAway or StoreRefuses."""
        try:
            for table, settled in settle(changes).items():
                if settled.forgotten:
                    await self._forget(table, settled.forgotten)
                await self._insert(f"{table}{self._suffix}", settled.last)
                await self._insert(f"{table}_history{self._suffix}", settled.changes)
        except (ClickHouseError, OSError) as error:
            raise store_error(error) from error

    async def _insert(self, table: str, changes: Sequence[Change]) -> None:
        rows = [row for change in changes for row in change.rows]
        if not rows:
            return
        names = list(rows[0])
        await self._client.insert(
            table,
            [[row[name] for row in rows] for name in names],
            column_names=names,
            column_oriented=True,
            settings={"insert_deduplication_token": token_of(table, changes), "async_insert": 0},
        )

    async def _forget(self, table: str, keys: Sequence[str]) -> None:
        hashes = [hashlib.sha256(key.encode()).hexdigest() for key in keys]
        for name in (f"{table}{self._suffix}", f"{table}_history{self._suffix}"):
            for start in range(0, len(hashes), KEYS_AT_ONCE):
                await self._client.command(
                    f"ALTER TABLE {name} DELETE WHERE lower(hex(SHA256({_KEYS[table]}))) IN %(keys)s",
                    parameters={"keys": hashes[start : start + KEYS_AT_ONCE]},
                    settings={"mutations_sync": 1},
                )


@asynccontextmanager
async def open_clickhouse_sink(settings: Settings) -> AsyncIterator[ClickHouseSink]:
    """A sink with a client of its own. SettingsError when nobody answers, StoreRefuses without our tables."""
    client = await clickhouse_async(settings)
    try:
        await _check_tables(client)
        yield ClickHouseSink(client)
    finally:
        await client.close()


async def _check_tables(client: AsyncClient) -> None:
    try:
        for table in TABLES:
            for name in (table, f"{table}_history"):
                await client.query(f"SELECT 1 FROM {name} LIMIT 0")  # noqa: S608 - our names
    except (ClickHouseError, OSError) as error:
        raise store_error(error) from error


def store_error(error: Exception) -> StoreError:
    """What ClickHouse's answer means for a write that is done again. Mistakes of ours are raised as they are."""
    code = getattr(error, "code", None)
    why = " ".join(str(error).split())[:300]
    if code is None:
        # Without a code: the network, or a proxy's answer. The client's own complaints are other classes.
        if isinstance(error, OSError) or type(error) in {OperationalError, DatabaseError}:
            return StoreAway(STORE, why, START_AGAIN)
        raise error
    if meaning(CLICKHOUSE, str(code)) is Meaning.PASSES:
        name, _ = CLICKHOUSE[str(code)]
        return StoreAway(STORE, f"{name}: {why}", START_AGAIN, name)
    if str(code) in CLICKHOUSE_NOT_MIGRATED:
        return StoreRefuses(STORE, why, "`gigz migrate`, then start this worker again")
    return StoreRefuses(STORE, why, "correct user, password, rights or database in GIGZ_CLICKHOUSE_URL")


def token_of(table: str, changes: Sequence[Change]) -> str:
    """Names a block by where its messages stood and what they said: cut the same way, it has the same token."""
    digest = hashlib.sha256(table.encode())
    for change in changes:
        digest.update(f"\n{change.origin} {change.version} ".encode())
        for row in change.rows:
            digest.update(row["body"].encode())
    return digest.hexdigest()


def change_of(received: Received) -> Change:
    """A message of one of our four topics as rows. MessageError for what the tables cannot hold."""
    match received.origin.topic:
        case Listing.topic:
            return _listing(received)
        case Concert.topic:
            return _concert(received)
        case Suggestions.topic:
            return _suggestions(received)
        case Decision.topic:
            return _decision(received)
        case other:
            raise TypeError(f"{other} is not for ClickHouse")


def _listing(received: Received) -> Change:
    if received.message is None:
        return Change("listings", received.key, received.origin, None)
    listing = expect(received.message, Listing)
    row = {
        "listing_id": listing.listing_id,
        "version": listing.version,
        "is_deleted": 0,
        "source": listing.source,
        "source_id": listing.source_id,
        "artist": listing.acts[0].name,
        "acts": [act.name for act in listing.acts],
        "night": _night(listing.night),
        "start_at": _instant("start_at", listing.start_at),
        **_place(listing.place),
        "lat": listing.place.lat,
        "lon": listing.place.lon,
        "status": listing.status.value,
        "vanished": listing.vanished,
        "title": listing.title or "",
        "festival": listing.festival or "",
        "tour": listing.tour or "",
        "url": listing.url or "",
        "songs": list(listing.songs),
        "seen_at": _instant("seen_at", listing.seen_at),
        **_envelope(received, received.text),
    }
    return Change("listings", received.key, received.origin, listing.version, (row,))


def _concert(received: Received) -> Change:
    concert_id = received.uuid_key()
    if received.message is None:
        rev, concert, place = received.tombstone_rev(), None, Place()
    else:
        concert = expect(received.message, Concert)
        rev, place = concert.rev, concert.place
    row = {
        "concert_id": concert_id,
        "rev": rev,
        "is_deleted": int(concert is None),
        "artist": concert.artist if concert else "",
        "artist_key": concert.artist_key if concert else "",
        "artist_mbid": concert.artist_mbid if concert else None,
        "role": concert.role.value if concert else "",
        "night": _night(concert.night) if concert else NO_NIGHT,
        "start_at": _instant("start_at", concert.start_at) if concert else None,
        "venue_id": concert.venue_id if concert else None,
        **_place(place),
        "lat": place.lat,
        "lon": place.lon,
        "status": concert.status.value if concert else "",
        "vanished": concert.vanished if concert else False,
        "title": concert.title or "" if concert else "",
        "festival": concert.festival or "" if concert else "",
        "tour": concert.tour or "" if concert else "",
        "parent": concert.parent if concert else None,
        "songs": list(concert.songs) if concert else [],
        "members": [member.listing_id for member in concert.members] if concert else [],
        "sources": [member.source for member in concert.members] if concert else [],
        **_envelope(received, received.text),
    }
    return Change("concerts", received.key, received.origin, rev, (row,))


def _suggestions(received: Received) -> Change:
    if received.message is None:
        return Change("suggestions", received.key, received.origin, None)
    found = expect(received.message, Suggestions)
    by_rank = {one.rank: one for one in found.suggestions}
    rows = tuple(_suggestion(received, found, rank, by_rank.get(rank)) for rank in RANKS)
    return Change("suggestions", received.key, received.origin, found.rev, rows)


def _suggestion(received: Received, found: Suggestions, rank: int, one: Suggestion | None) -> Row:
    return {
        "user_id": found.user,
        "entry_id": found.entry_id,
        "rank": rank,
        "rev": found.rev,
        "is_deleted": int(one is None),
        "origin": found.origin.value,
        "suggestion_id": one.suggestion_id if one else NO_ID,
        "concert_id": one.concert_id if one else NO_ID,
        **_shown(one.concert if one else None),
        "status": one.concert.status.value if one else "",
        "confidence": one.confidence if one else 0.0,
        "band": one.band.value if one else "",
        "bits": sum(evidence.bits for evidence in one.why) if one else 0.0,
        "members": [member.listing_id for member in one.members] if one else [],
        "signature": one.signature if one else "",
        "reason": found.reason.value if found.reason else "",
        "decision": found.decision.value if found.decision else "",
        "weights": found.weights,
        "fold": found.fold,
        "made_at": _instant("made_at", found.made_at),
        **_envelope(received, canonical(one.model_dump(mode="json", exclude_none=True)).decode() if one else ""),
    }


def _decision(received: Received) -> Change:
    if received.message is None:
        return Change("decisions", received.key, received.origin, None)
    decision = expect(received.message, Decision)
    version = microseconds(_at("decided_at", decision.decided_at))
    row = {
        "user_id": decision.user,
        "entry_id": decision.entry_id,
        "version": version,
        "is_deleted": 0,
        "decision_id": decision.decision_id,
        "suggestion_id": decision.suggestion_id,
        "concert_id": decision.concert_id,
        "action": decision.action.value,
        "decided_at": _at("decided_at", decision.decided_at),
        "until": _instant("until", decision.until),
        "undoes": decision.undoes,
        "listing_ids": list(decision.listing_ids),
        "signature": decision.signature,
        **_shown(decision.concert),
        **_envelope(received, received.text),
    }
    return Change("decisions", received.key, received.origin, version, (row,))


def microseconds(moment: datetime) -> int:
    """Since 1970, exactly; 0 before."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return max(0, (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def _shown(facts: Facts | None) -> Row:
    return {
        "artist": facts.artist if facts else "",
        "night": _night(facts.night) if facts else NO_NIGHT,
        **_place(facts.place if facts else Place()),
    }


def _place(place: Place) -> Row:
    return {
        "venue": place.name or "",
        "city": place.city or "",
        "region": place.region or "",
        "country": place.country or "",
    }


def _envelope(received: Received, body: str) -> Row:
    return {"published_at": received.published_at, "trace": received.trace, "body": body}


def _night(night: date) -> date:
    if not FIRST_YEAR <= night.year <= LAST_YEAR:
        raise MessageError("bad_date", f"night: {night} is not within {FIRST_YEAR} to {LAST_YEAR}")
    return night


def _instant(name: str, moment: datetime | None) -> datetime | None:
    return None if moment is None else _at(name, moment)


def _at(name: str, moment: datetime) -> datetime:
    if not FIRST_YEAR < moment.year < LAST_YEAR:  # a year's margin: its zone may carry it over the edge
        raise MessageError("bad_date", f"{name}: {moment} is not within {FIRST_YEAR + 1} to {LAST_YEAR - 1}")
    return moment.astimezone(UTC)

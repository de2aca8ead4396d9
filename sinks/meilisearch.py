"""Concerts, artists and venues into Meilisearch, for search.

Settings first, documents in large batches. A 2xx only says "enqueued": the task is awaited, and a task that failed for
its documents is halved down to the bad one. Tombstones delete.

Meilisearch has no conditional write. A key stays in one partition, its partition has one reader, and a replay from the
commit passes every message up to the last again in order: the last one stays. So that an older version that came late
is ignored as in the other stores, each document carries its `rev`, and what is older than the document that stands
there is left out before the write; between that look and the write nobody else writes the key.

What its codes mean stands in `deploy.failures`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import meilisearch
from meilisearch.errors import MeilisearchApiError, MeilisearchError

from deploy.clients import meilisearch_client
from deploy.failures import MEILISEARCH, Meaning, meaning
from deploy.settings import Settings
from schemas.concert import Concert
from schemas.listing import Place
from schemas.reference import Artist, Venue
from sinks.errors import BadRows, StoreAway, StoreError, StoreRefuses
from sinks.pump import START_AGAIN
from sinks.received import Change, Received, Row, Settled, expect, settle

STORE = "meilisearch"
TASK_S = 50.0
"""Below the time of one attempt: the wait for a task ends with its own message."""
LOOK_S = (0.005, 0.25)
"""Shortest and longest pause between two looks at a task."""
LOOK_SHARE = 0.1
"""Of the time that a task has taken so far: what waiting may add. Doubled pauses would add up to as much again."""

T = TypeVar("T")

TYPOS = {
    "enabled": True,
    # Meilisearch's own lengths, said here because people feel them: "Dyln" is not forgiven, "Radiohed" is.
    "minWordSizeForTypos": {"oneTypo": 5, "twoTypos": 9},
    "disableOnAttributes": ["night"],
}


@dataclass(frozen=True)
class Index:
    """An index: the field of its ids, and its settings. Searchable fields in the order of their weight."""

    id_field: str
    searchable: tuple[str, ...]
    filterable: tuple[str, ...]
    sortable: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """As Meilisearch takes them."""
        return {
            "searchableAttributes": list(self.searchable),
            "filterableAttributes": [self.id_field, *self.filterable],  # deletions filter by id
            "sortableAttributes": list(self.sortable),
            "typoTolerance": TYPOS,
        }


INDEXES = {
    "concerts": Index(
        "concert_id",
        ("artist", "title", "festival", "venue", "city", "region", "country", "tour", "night", "songs"),
        ("artist", "artist_key", "year", "day", "venue", "city", "region", "country", "status", "festival"),
        ("day",),
    ),
    "artists": Index("artist_id", ("name", "aliases", "disambiguation"), ("country", "mbid"), ("name",)),
    "venues": Index("venue_id", ("name", "names", "city", "region", "country"), ("city", "region", "country")),
}


class MeilisearchSink:
    """A sink of the pump; `open_meilisearch_sink` makes one."""

    store = STORE

    def __init__(self, client: meilisearch.Client, suffix: str = "") -> None:
        self._client = client
        self._suffix = suffix
        """Of the indexes' names: a rebuild writes others than the sink."""

    def prepare(self, received: Received) -> Change:
        """The document of the message."""
        return change_of(received)

    async def write(self, changes: Sequence[Change]) -> None:
        """Deletions, then documents, of one index after the other. StoreAway, StoreRefuses or BadRows."""
        for name, settled in settle(changes).items():
            await self._write(name, settled)

    async def lay_indexes(self) -> None:
        """Make the indexes that are missing and give each its settings."""
        for name, index in INDEXES.items():
            made = partial(self._client.create_index, name + self._suffix, {"primaryKey": index.id_field})
            await self.finish(made, fine="index_already_exists")
            await self.finish(partial(self._client.index(name + self._suffix).update_settings, index.settings))

    async def _write(self, name: str, settled: Settled) -> None:
        index, id_field = self._client.index(name + self._suffix), INDEXES[name].id_field
        standing = await self._revs(name, [change.key for change in settled.last])
        fresh = [change for change in settled.last if (change.version or 0) >= standing.get(change.key, 0)]
        gone = [*settled.forgotten, *(change.key for change in fresh if not change.rows)]
        documents = [row for change in fresh for row in change.rows]
        if gone:
            named = ", ".join(f'"{key}"' for key in gone)
            await self.finish(partial(index.delete_documents, filter=f"{id_field} IN [{named}]"))
        if documents:
            await self.finish(partial(index.add_documents, documents, id_field))

    async def _revs(self, name: str, keys: Sequence[str]) -> dict[str, int]:
        id_field = INDEXES[name].id_field
        asked = {"ids": list(keys), "fields": [id_field, "rev"], "limit": len(keys)}
        if not keys:
            return {}
        found = await self._call(lambda: self._client.index(name + self._suffix).get_documents(asked))
        return {getattr(one, id_field): one.rev for one in found.results}

    async def finish(self, enqueue: Callable[[], Any], fine: str | None = None) -> None:
        """Enqueue and wait for the end; a failure with the code `fine` is none."""
        uid = (await self._call(enqueue)).task_uid
        began = time.monotonic()
        shortest, longest = LOOK_S
        while True:
            task = await self._call(lambda: self._client.get_task(uid))
            if task.status == "succeeded":
                return
            if task.status in {"failed", "canceled"}:
                error = task.error or {}
                if fine and error.get("code") == fine:
                    return
                raise task_error(error or {"message": f"task {uid} was {task.status}", "type": "system"})
            waited = time.monotonic() - began
            if waited > TASK_S:
                raise StoreAway(STORE, f"task {uid} is {task.status} after {TASK_S:.0f} s", START_AGAIN)
            await asyncio.sleep(min(max(LOOK_SHARE * waited, shortest), longest))

    async def _call(self, call: Callable[[], T]) -> T:
        """A call of the client, which blocks, in a thread."""
        try:
            return await asyncio.to_thread(call)
        except (MeilisearchError, OSError) as error:
            raise store_error(error) from error


@asynccontextmanager
async def open_meilisearch_sink(settings: Settings) -> AsyncIterator[MeilisearchSink]:
    """A sink whose indexes are laid. SettingsError when nobody answers, StoreRefuses when the key lacks rights."""
    sink = MeilisearchSink(await asyncio.to_thread(meilisearch_client, settings))
    await sink.lay_indexes()
    yield sink


def store_error(error: MeilisearchError | OSError) -> StoreError | BadRows:
    """What a refused call means for a write that is done again."""
    if not isinstance(error, MeilisearchApiError):
        return StoreAway(STORE, _short(error), START_AGAIN)
    if error.code is None or error.status_code >= 500 or error.status_code in {408, 429}:
        return StoreAway(STORE, f"HTTP {error.status_code}: {_short(error)}", START_AGAIN, f"{error.status_code}")
    return task_error({"code": error.code, "type": error.type, "message": error.message})


def task_error(error: Mapping[str, Any]) -> StoreError | BadRows:
    """What Meilisearch's error object, of a call or of a task, means."""
    kind, code = error.get("type"), error.get("code")
    why = f"{code}: {error.get('message')}"[:300]
    found = meaning(MEILISEARCH, *(str(one) for one in (code, kind) if one))
    if found is Meaning.BAD_DATA:
        return BadRows(f"Meilisearch {why}")
    if found is Meaning.PASSES:
        return StoreAway(STORE, why, START_AGAIN, str(code))
    if kind == "auth":
        return StoreRefuses(STORE, why, "correct GIGZ_MEILISEARCH_KEY: it needs indexes, settings, documents and tasks")
    return StoreRefuses(STORE, why, "start this worker again: it lays indexes and settings anew")


def change_of(received: Received) -> Change:
    """A message of one of our three topics as a document."""
    match received.origin.topic:
        case Concert.topic:
            return _concert(received)
        case Artist.topic:
            return _artist(received)
        case Venue.topic:
            return _venue(received)
        case other:
            raise TypeError(f"{other} is not for Meilisearch")


def _concert(received: Received) -> Change:
    key = str(received.uuid_key())
    if received.message is None:
        return Change("concerts", key, received.origin, received.tombstone_rev())
    concert = expect(received.message, Concert)
    document = _known(
        concert_id=key,
        rev=concert.rev,
        artist=concert.artist,
        artist_key=concert.artist_key,
        title=concert.title,
        festival=concert.festival,
        tour=concert.tour,
        night=concert.night.isoformat(),
        year=concert.night.year,
        day=concert.night.year * 10_000 + concert.night.month * 100 + concert.night.day,
        **_place(concert.place),
        venue=concert.place.name,
        status=concert.status.value,
        vanished=concert.vanished,
        songs=list(concert.songs),
        sources=sorted({member.source for member in concert.members}),
        parent=None if concert.parent is None else str(concert.parent),
    )
    return Change("concerts", key, received.origin, concert.rev, (document,))


def _artist(received: Received) -> Change:
    key = str(received.uuid_key())
    if received.message is None:
        return Change("artists", key, received.origin, None)
    artist = expect(received.message, Artist)
    document = _known(
        artist_id=key,
        rev=artist.version,
        name=artist.name,
        aliases=list(artist.aliases),
        disambiguation=artist.disambiguation,
        country=artist.country,
        mbid=None if artist.mbid is None else str(artist.mbid),
    )
    return Change("artists", key, received.origin, artist.version, (document,))


def _venue(received: Received) -> Change:
    key = str(received.uuid_key())
    if received.message is None:
        return Change("venues", key, received.origin, None)
    venue = expect(received.message, Venue)
    document = _known(
        venue_id=key,
        rev=venue.version,
        name=venue.name,
        names=[other.name for other in venue.names],
        **_place(venue.place),
        capacity=venue.capacity,
    )
    return Change("venues", key, received.origin, venue.version, (document,))


def _place(place: Place) -> Row:
    return {"city": place.city, "region": place.region, "country": place.country, "lat": place.lat, "lon": place.lon}


def _known(**values: Any) -> Row:
    return {name: value for name, value in values.items() if value is not None and value != []}


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]

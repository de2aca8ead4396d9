"""The input of the fault runs: made of a seed, the same on every machine and in every run.

Several sources tell of the same nights in their own words: shows with support, festivals, later and earlier versions,
what a source no longer shows, the same message again, venues and artists with other names, histories of some hundred
users, and bytes that mean nothing.

No order is needed but two: an entry's tombstone comes after the entry, and what stands in the second part after the
decisions that users make between the parts.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import orjson

from schemas.concert import Concert
from schemas.history import BackfilledEntry, Entry
from schemas.listing import Listing
from schemas.message import HEADER_STAGE, HEADER_TRACE
from schemas.outgoing import Outgoing, outgoing, tombstone
from schemas.raw import RawArtist, RawEvent, RawKind, RawMessage, RawSetlist, RawVenue
from schemas.reference import Venue
from schemas.rows import LISTING_FIELDS, entry_from_row, envelope, raw_from_row

GENERATOR = 2
"""Counted up whenever the same seed makes another input: results of before are not compared with."""
STAGE = "feed"
BEGAN = datetime(2022, 1, 1, 6, tzinfo=UTC)
"""Of the sources' own clocks."""

SHARES = {"entries": 0.24, "references": 0.04, "again": 0.05, "poison": 0.01, "ended": 0.015}
"""Of all messages; the rest are setlists and events."""
FIRST_PART = 0.6

INPUT_TOPICS = tuple(
    one.topic for one in (RawSetlist, RawEvent, RawVenue, RawArtist, Entry, BackfilledEntry, Listing, Venue, Concert)
)
"""Where it goes: to the last three only bytes that mean nothing."""

TOWNS = (
    ("Berlin", "", "DE", 52.52, 13.405),
    ("Köln", "", "DE", 50.9375, 6.9603),
    ("Hamburg", "", "DE", 53.5511, 9.9937),
    ("London", "", "GB", 51.5074, -0.1278),
    ("Manchester", "", "GB", 53.4808, -2.2426),
    ("Glasgow", "", "GB", 55.8642, -4.2518),
    ("Paris", "", "FR", 48.8566, 2.3522),
    ("Lyon", "", "FR", 45.764, 4.8357),
    ("Amsterdam", "", "NL", 52.3676, 4.9041),
    ("Stockholm", "", "SE", 59.3293, 18.0686),
    ("Oslo", "", "NO", 59.9139, 10.7522),
    ("Madrid", "", "ES", 40.4168, -3.7038),
    ("Chicago", "Illinois", "US", 41.8781, -87.6298),
    ("Boston", "Massachusetts", "US", 42.3601, -71.0589),
    ("Seattle", "Washington", "US", 47.6062, -122.3321),
    ("Austin", "Texas", "US", 30.2672, -97.7431),
    ("Toronto", "Ontario", "CA", 43.6532, -79.3832),
    ("Melbourne", "Victoria", "AU", -37.8136, 144.9631),
)
HALLS = ("Lantern", "Old Mill", "Velvet Room", "Harbour Hall", "Tivoli", "Ironworks", "Junction", "Assembly", "Grand")
FIRST = ("Silver", "Hollow", "Northern", "Paper", "Electric", "Quiet", "Crimson", "Salt", "Glass", "Golden", "Wild")
SECOND = ("Foxes", "Harbor", "Lights", "Machines", "Orchard", "Parade", "Riot", "Saints", "Tides", "Wolves", "Ångström")
SONGS = tuple(
    f"{one} {other}" for one in ("Slow", "Burning", "Last", "Every") for other in ("River", "Window", "Night", "Train")
)
LOGS = ("stage-log", "fan-wiki")
AGENDAS = ("town-agenda", "ticket-desk", "hall-site")


@dataclass(frozen=True)
class Sent:
    """One message of the input."""

    number: int
    kind: str
    """setlist, event, venue, artist, entry, backfill, ended or poison."""
    record: Outgoing


@dataclass(frozen=True)
class KnownInput:
    """Everything that goes in: before the decisions, and after."""

    seed: int
    first: tuple[Sent, ...]
    second: tuple[Sent, ...]

    @property
    def all(self) -> tuple[Sent, ...]:
        """Both parts."""
        return self.first + self.second

    def shuffled_and_doubled(self) -> "KnownInput":
        """The same messages in another order, each part twice, the second time in a third order."""
        mix = Random(f"shuffled/{self.seed}")

        def again(part: Sequence[Sent]) -> list[Sent]:
            return _ended_last(mix.sample(part, len(part)))

        first = [*again(self.first), *again(self.first)]
        second = [*again(self.second), *again(self.second)]
        return replace(self, first=tuple(first), second=tuple(second))


@dataclass(frozen=True)
class _Hall:
    name: str
    other: str
    town: tuple[str, str, str, float, float]
    number: int


@dataclass(frozen=True)
class _Show:
    acts: tuple[str, ...]
    hall: _Hall
    night: date
    festival: str | None
    songs: tuple[str, ...]


def known_input(seed: int, size: int, *, poison: int | None = None) -> KnownInput:
    """`size` messages, of which `poison` (one in a hundred where it is not said) cannot be used."""
    return _Maker(seed, size, poison).make()


class _Maker:
    def __init__(self, seed: int, size: int, poison: int | None) -> None:
        self.seed, self.size = seed, size
        self.dice = Random(f"gigz/{GENERATOR}/{seed}/{size}")
        self.poison = max(1, int(size * SHARES["poison"])) if poison is None else poison
        few = max(8, min(150, size // 12))
        self.artists = self._artists(few)
        self.halls = [self._hall(number) for number in range(max(6, few // 2))]
        self.users = [f"user-{hashlib.sha256(f'{seed}/{n}'.encode()).hexdigest()[:12]}" for n in range(max(5, few))]

    def make(self) -> KnownInput:
        count = {name: int(self.size * share) for name, share in SHARES.items()} | {"poison": self.poison}
        wanted = self.size - sum(count.values())
        shows = [self._show() for _ in range(max(4, wanted // 3))]
        made: list[tuple[str, Outgoing]] = []
        made += _first_of(self._listings(shows), wanted)
        made += _first_of(self._references(), count["references"])
        entries = list(_first_of(self._entries(shows), count["entries"]))
        made += entries
        made += [self.dice.choice(made) for _ in range(count["again"])]
        keys = sorted({(kind, record.key, record.partition_by) for kind, record in entries})
        for kind, key, user in self.dice.sample(keys, min(len(keys), count["ended"])):
            message = Entry if kind == "entry" else BackfilledEntry
            made.append(("ended", tombstone(message, key, trace="", stage=STAGE, partition_by=user)))
        made += [("poison", self._poison(number)) for number in range(self.poison)]
        while len(made) < self.size:  # few entries, so few tombstones
            made.append(self.dice.choice(entries))
        self.dice.shuffle(made)
        sent = _ended_last([Sent(n, kind, self._traced(n, record)) for n, (kind, record) in enumerate(made)])
        cut = int(len(sent) * FIRST_PART)
        return KnownInput(self.seed, tuple(sent[:cut]), tuple(sent[cut:]))

    def _traced(self, number: int, record: Outgoing) -> Outgoing:
        return replace(record, headers=record.headers | {HEADER_TRACE: trace_of(self.seed, number)})

    # -- the world --------------------------------------------------------------------------------------------------

    def _artists(self, few: int) -> list[str]:
        names = [f"{one} {other}" for one in FIRST for other in SECOND]
        names += [f"The {name}" for name in names[::3]]
        self.dice.shuffle(names)
        return names[:few]

    def _hall(self, number: int) -> _Hall:
        name = f"{self.dice.choice(HALLS)} {chr(ord('A') + number % 26)}{number // 26 or ''}"
        return _Hall(name, f"{name} Music Club", self.dice.choice(TOWNS), number)

    def _show(self) -> _Show:
        dice = self.dice
        night = date(2012, 1, 1) + timedelta(days=dice.randrange(3_600))
        festival = f"{dice.choice(FIRST)} Field Festival" if dice.random() < 0.08 else None
        acts = dice.sample(self.artists, min(len(self.artists), dice.choice((1, 1, 1, 2, 2, 3)) + 3 * bool(festival)))
        songs = tuple(dice.sample(SONGS, dice.randrange(4, 10)))
        return _Show(tuple(acts), dice.choice(self.halls), night, festival, songs)

    # -- what sources tell ------------------------------------------------------------------------------------------

    def _listings(self, shows: Sequence[_Show]) -> Iterator[tuple[str, Outgoing]]:
        number = 0
        while True:
            for show in shows:
                for source in self.dice.sample(LOGS + AGENDAS, self.dice.choice((1, 2, 2, 3))):
                    number += 1
                    yield from self._told(show, source, f"{source[0]}{number}")

    def _told(self, show: _Show, source: str, source_id: str) -> Iterator[tuple[str, Outgoing]]:
        """A row, and with luck later versions of it, one of which may say that it is no longer shown."""
        dice = self.dice
        kind: type[RawMessage] = RawSetlist if source in LOGS else RawEvent
        row = self._row(show, source, source_id)
        versions = 1 + (dice.random() < 0.25) + (dice.random() < 0.1)
        for version in range(versions):
            if version:
                row = self._changed(row, show)
            row = row | {"observed_at": _at(dice.randrange(20) + 30 * version)}
            yield _kind(kind), outgoing(raw_from_row(row, kind), trace="", stage=STAGE)
        if dice.random() < 0.04:
            gone = envelope(
                kind,
                source=source,
                source_id=source_id,
                seen_at=datetime.fromisoformat(_at(100 + dice.randrange(9))),
                spider="feed",
                fields={name: value for name, value in row.items() if name in LISTING_FIELDS},
                kind=RawKind.VANISHED,
            )
            yield _kind(kind), outgoing(gone, trace="", stage=STAGE)

    def _row(self, show: _Show, source: str, source_id: str) -> dict[str, Any]:
        dice, hall = self.dice, show.hall
        town, region, country, lat, lon = hall.town
        row: dict[str, Any] = {
            "source": source,
            "source_id": source_id,
            "date": show.night.isoformat(),
            "venue": dice.choice((hall.name, hall.name, hall.other, hall.name.upper())),
            "city": town,
            "region": region or None,
            "country": country,
            "url": f"https://{source}.example/{source_id}",
        }
        if dice.random() < 0.4:
            row |= {"lat": lat, "lon": lon}
        if source in LOGS:
            act = dice.choice(show.acts)
            return row | {"artist": self._spelled(act), "songs": list(show.songs), "festival": show.festival}
        row["start_time"] = dice.choice((None, "19:30", "20:00", "21:15"))
        if show.festival:
            return row | {"title": show.festival, "festival": show.festival, "support": list(show.acts)}
        head, *support = show.acts
        if dice.random() < 0.3:
            return row | {"title": " + ".join([head, *support])}
        return row | {"artist": self._spelled(head), "support": support}

    def _spelled(self, name: str) -> str:
        return self.dice.choice((name, name, name.upper(), name.removeprefix("The "), name.replace("Å", "A")))

    def _changed(self, row: dict[str, Any], show: _Show) -> dict[str, Any]:
        """What a source corrects: songs, the hour, the status, the spelling, and at times the night itself."""
        dice = self.dice
        what = dice.randrange(6)
        if what == 0:
            return row | {"status": dice.choice(("cancelled", "postponed"))}
        if what == 1:
            return row | {"date": (show.night + timedelta(days=dice.choice((-1, 1, 7)))).isoformat()}
        if what == 2:
            return row | {"songs": list(dice.sample(SONGS, 5))}
        if what == 3:
            return row | {"venue": show.hall.other}
        if what == 4 and "artist" in row:
            return row | {"artist": self._spelled(show.acts[0])}
        return row | {"start_time": "20:30"}

    def _references(self) -> Iterator[tuple[str, Outgoing]]:
        dice = self.dice
        while True:
            if dice.random() < 0.5:
                hall = dice.choice(self.halls)
                town, region, country, lat, lon = hall.town
                row: dict[str, Any] = {
                    "source": "places",
                    "source_id": f"v{hall.number}",
                    "name": hall.name,
                    "city": town,
                    "region": region or None,
                    "country": country,
                    "lat": lat,
                    "lon": lon,
                    "names": [{"name": hall.other}] if dice.random() < 0.7 else [],
                    "capacity": dice.randrange(200, 3_000),
                    "observed_at": _at(dice.randrange(90)),
                }
                yield "venue", outgoing(raw_from_row(row, RawVenue), trace="", stage=STAGE)
            else:
                name = dice.choice(self.artists)
                row = {
                    "source": "names",
                    "source_id": f"a{self.artists.index(name)}",
                    "name": name,
                    "aliases": [f"{name.split()[-1]} Collective"] if dice.random() < 0.7 else [],
                    "country": dice.choice(("DE", "GB", "US", None)),
                    "observed_at": _at(dice.randrange(90)),
                }
                yield "artist", outgoing(raw_from_row(row, RawArtist), trace="", stage=STAGE)

    # -- what users remember ----------------------------------------------------------------------------------------

    def _entries(self, shows: Sequence[_Show]) -> Iterator[tuple[str, Outgoing]]:
        dice = self.dice
        number = 0
        written = [(dice.choice(self.users), dice.choice(shows))]
        while True:
            number += 1
            kind = BackfilledEntry if dice.random() < 0.3 else Entry
            # Some write the same night down twice, in other words: sets that are settled beside each other.
            user, show = dice.choice(written) if dice.random() < 0.2 else (dice.choice(self.users), dice.choice(shows))
            written.append((user, show))
            for version in range(1 + (dice.random() < 0.12)):
                row = self._remembered(show) | {
                    "user": user,
                    "entry_id": f"line-{number}",
                    "observed_at": _at(10 * version + dice.randrange(9)),
                }
                message = entry_from_row(row, kind)
                yield "entry" if kind is Entry else "backfill", outgoing(message, trace="", stage=STAGE)

    def _remembered(self, show: _Show) -> dict[str, Any]:
        dice = self.dice
        night, town = show.night, show.hall.town[0]
        when = (night.isoformat(), f"{night:%b %Y}", f"{night:%Y}", f"{night:%d %B %Y}", None)
        row: dict[str, Any] = {"artist": self._spelled(dice.choice(show.acts)), "date": dice.choice(when)}
        if dice.random() < 0.06:
            row["artist"] = f"{dice.choice(FIRST)} Nobody {dice.randrange(40)}"
        if dice.random() < 0.6:
            row["city"] = town
        if dice.random() < 0.3:
            row["venue"] = dice.choice((show.hall.name, show.hall.other))
        if dice.random() < 0.2:
            row["songs"] = list(show.songs[:2])
        if dice.random() < 0.15:
            row["artist"] = f"{row['artist'].split()[-1]} Collective"
        return row

    # -- what nobody can use ----------------------------------------------------------------------------------------

    def _poison(self, number: int) -> Outgoing:
        """One of several kinds, its bytes its own."""
        name = f"poison-{number}"
        row = {"source": "broken", "source_id": name, "artist": "Salt Tides", "date": "2014-05-06", "city": "Berlin"}
        kinds: Sequence[Callable[[], Outgoing]] = (
            lambda: _bytes(RawSetlist, name, b"\xff\xfe" + name.encode()),
            lambda: _bytes(RawEvent, name, b'{"source": "broken", "source_id": "' + name.encode()),
            lambda: _bytes(RawEvent, name, orjson.dumps([1, 2, name])),
            lambda: _raw(RawEvent, {**row, "date": None}),
            lambda: _raw(RawSetlist, {**row, "date": "32/13/2014"}),
            lambda: _raw(RawEvent, {**row, "artist": {"first": 1}}),
            lambda: _raw(RawEvent, {**row, "artist": None}),
            lambda: _raw(RawVenue, {"source": "broken", "source_id": name, "city": "Oslo"}),
            lambda: _bytes(Entry, f"{self.users[0]}/{name}", orjson.dumps({"entry_id": name}), self.users[0]),
            lambda: _written(self.users[1], name, {"artist": "Salt Tides", "date": "2014-02-31"}),
            lambda: _written(self.users[2], name, {"artist": "Salt\u0000Tides", "date": "2014"}),
            lambda: _bytes(Listing, name, b"no listing: " + name.encode()),
            lambda: _bytes(Venue, name, orjson.dumps({"venue_id": name})),
            lambda: _bytes(Concert, name, orjson.dumps({"concert_id": name, "rev": "many"})),
        )
        if self.poison == 1:
            return kinds[number]()
        return kinds[number % len(kinds)]()


def trace_of(seed: int, number: int) -> str:
    """The trace that a message of the input travels with: what is there already is known by it."""
    return hashlib.sha256(f"gigz/{GENERATOR}/{seed}/{number}".encode()).hexdigest()[:32]


def _at(days: int) -> str:
    return (BEGAN + timedelta(days=days)).isoformat()


def _kind(message: type[RawMessage]) -> str:
    return "setlist" if message is RawSetlist else "event"


def _raw(message: type[RawMessage], row: dict[str, Any]) -> Outgoing:
    return outgoing(raw_from_row(row, message), trace="", stage=STAGE)


def _written(user: str, entry_id: str, row: dict[str, Any]) -> Outgoing:
    return outgoing(entry_from_row({"user": user, "entry_id": entry_id, **row}, Entry), trace="", stage=STAGE)


def _bytes(message: Any, key: str, body: bytes, partition_by: str | None = None) -> Outgoing:
    return Outgoing(message.topic, key, partition_by or key, body, {HEADER_STAGE: STAGE})


def _first_of(made: Iterator[tuple[str, Outgoing]], count: int) -> list[tuple[str, Outgoing]]:
    return [next(made) for _ in range(count)]


def _ended_last(sent: Sequence[Sent]) -> list[Sent]:
    """The same, with each tombstone after whatever else has its key."""
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, one in enumerate(sent):
        places[one.record.topic, one.record.key].append(place)
    ordered = list(sent)
    for of_key in places.values():
        ones = sorted((sent[place] for place in of_key), key=lambda one: one.kind == "ended")
        for place, one in zip(of_key, ones, strict=True):
            ordered[place] = one
    return ordered

"""Reference rows -> other names of artists and venues: for weights to freeze, or beside them as they are known now.

an:name     an artist, by a name as folded
vn:name     a venue, by the key of a name

Entries and references that share a key concern each other. No concert has such a key.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from matchers.places import venue_key
from matchers.text import fold
from matchers.understand import understand
from matchers.weights import Tables
from schemas.history import Remembered
from schemas.reference import Artist, DatedName, Venue
from schemas.weights import AliasVenue, Names

LONGEST = 100
"""Letters of a name in a key."""
MOST_ROWS = 40
"""References of one name: what more bear, like 'Town Hall', tells none of them apart, and is not looked up."""
MOST_OTHERS = 60
"""Other names of one, present names before aliases: each is looked for among the concerts."""


def entry_names(entry: Remembered) -> frozenset[str]:
    """What the references of an entry's artist and venue are found by."""
    told = understand(entry)
    return frozenset(key for key in (_artist_key(told.artist), _venue_key(told.place.name)) if key)


def reference_names(one: Artist | Venue) -> frozenset[str]:
    """What entries find a reference by: every name it bears. None, once its source shows it no more."""
    if one.vanished:
        return frozenset()
    if isinstance(one, Artist):
        return frozenset(key for name in (one.name, *one.aliases) if (key := _artist_key(name)))
    return frozenset(key for name in (one.name, *(d.name for d in one.names)) if (key := _venue_key(name)))


def names_at(keys: Collection[str], references: Iterable[Artist | Venue]) -> Names:
    """What is typed under these keys is called otherwise; `references`: all that share one of them."""
    known = list(references)
    found = names_of(
        (one for one in known if isinstance(one, Artist)), (one for one in known if isinstance(one, Venue))
    )
    present = {one.name for one in known}
    return Names(
        artists={
            name: tuple(sorted(others, key=lambda other: other not in present)[:MOST_OTHERS])
            for name, others in found.artists.items()
            if f"an:{name[:LONGEST]}" in keys
        },
        venues={
            key: tuple(sorted(others, key=lambda other: other.name not in present)[:MOST_OTHERS])
            for key, others in found.venues.items()
            if f"vn:{key[:LONGEST]}" in keys
        },
    )


def _artist_key(name: str | None) -> str | None:
    folded = fold(name or "")[:LONGEST]
    return f"an:{folded}" if folded else None


def _venue_key(name: str | None) -> str | None:
    key = venue_key(name or "")[:LONGEST]
    return f"vn:{key}" if key else None


def names_of(artists: Iterable[Artist] = (), venues: Iterable[Venue] = ()) -> Names:
    """What each artist and venue is called besides the name that is looked up. What vanished is called nothing."""
    called: dict[str, dict[str, None]] = defaultdict(dict)
    for artist in sorted((one for one in artists if not one.vanished), key=lambda one: one.artist_id.int):
        known = dict.fromkeys((artist.name, *artist.aliases))
        for name in known:
            called[fold(name)].update(dict.fromkeys(other for other in known if fold(other) != fold(name)))
    houses: dict[str, dict[AliasVenue, None]] = defaultdict(dict)
    for venue in sorted((one for one in venues if not one.vanished), key=lambda one: one.venue_id.int):
        place = venue.place
        town: dict[str, Any] = {"city": place.city, "region": place.region, "country": place.country}
        halls = [DatedName(name=venue.name), *venue.names]
        for typed in halls:
            # What counts is when the name that is typed was in use; a source may use any of them.
            use: dict[str, Any] = town | {"since": typed.since, "until": typed.until}
            called_so = dict.fromkeys(AliasVenue(name=other.name, **use) for other in halls)
            houses[venue_key(typed.name)].update(called_so)
    return Names(
        artists={name: tuple(others) for name, others in sorted(called.items()) if others},
        venues={key: tuple(others) for key, others in sorted(houses.items()) if key},
    )


def with_names(tables: Tables, names: Names) -> Tables:
    """The weights with these names beside their own, as a version of its own."""
    held = merged(tables.weights.names, names)
    return Tables(tables.weights.model_copy(update={"names": held}).versioned())


def merged(held: Names, more: Names) -> Names:
    """Both, each name once."""
    return Names(
        artists={
            key: tuple(dict.fromkeys((*held.artists.get(key, ()), *more.artists.get(key, ()))))
            for key in sorted({*held.artists, *more.artists})
        },
        venues={
            key: tuple(dict.fromkeys((*held.venues.get(key, ()), *more.venues.get(key, ()))))
            for key in sorted({*held.venues, *more.venues})
        },
    )

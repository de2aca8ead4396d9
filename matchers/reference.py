"""Reference rows -> other names of artists and venues, for weights to freeze."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from matchers.places import venue_key
from matchers.text import fold
from matchers.weights import Tables
from schemas.reference import Artist, DatedName, Venue
from schemas.weights import AliasVenue, Names


def names_of(artists: Iterable[Artist] = (), venues: Iterable[Venue] = ()) -> Names:
    """What each artist and venue is called besides the name that is looked up."""
    called: dict[str, dict[str, None]] = defaultdict(dict)
    for artist in sorted(artists, key=lambda one: one.artist_id.int):
        known = dict.fromkeys((artist.name, *artist.aliases))
        for name in known:
            called[fold(name)].update(dict.fromkeys(other for other in known if fold(other) != fold(name)))
    houses: dict[str, dict[AliasVenue, None]] = defaultdict(dict)
    for venue in sorted(venues, key=lambda one: one.venue_id.int):
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

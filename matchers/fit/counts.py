"""What is counted of a catalogue: how common its artists and towns are, and how often two concerts agree by chance.

The prior speaks of a world of 2^20 concerts, and a catalogue is a part of it: of what it does not hold, the weights so
far speak. So shares are `count / WORLD` and the present value for the rest: a catalogue of one artist, or of one town,
makes that one common and leaves all others as they were.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from matchers import weights as w
from matchers.catalogue import Catalogue, Codes, hall_of, town_of
from matchers.evidence import Asked, artist_level, compare
from matchers.judge.variants import Draw
from matchers.places import known
from matchers.text import fold, squash
from matchers.understand import understand
from matchers.weights import NO_OTHERS, Tables
from schemas.concert import Concert
from schemas.history import Remembered
from schemas.listing import Status
from schemas.weights import Frequencies, Level, Weights

WORLD = 2.0**20
"""Concerts that the prior speaks of."""
IN_TOWN = 50
"""Concerts of a town that the usual share of a venue is worth: a town with few shows tells little of its halls."""
MARKED = 1.25
"""Times more, or less, common than is taken for granted: what is nearer to it is left out."""
MOST_LISTED = 3_000
"""Artists, and towns."""
HELD = 10_000
"""Concerts, of names artists, that the present u is worth: a catalogue of so many moves it halfway."""
DRAWN = 400
"""Concerts compared with other rows."""
BESIDE = 100
"""Rows that each is compared with."""
NAMES = 40_000
"""Pairs of different artists."""


def frequencies(concerts: Iterable[Concert], weights: Weights) -> Frequencies:
    """Shares of artists, towns and venues among these concerts and the rest of the world, where not as usual.

    `weights` says what is usual: u of the same artist, and of towns by their size. Cancelled shows count: they were
    listed all the same.
    """
    artists: Counter[str] = Counter()
    towns: Counter[str] = Counter()
    halls: Counter[str] = Counter()
    town_of_hall: dict[str, str] = {}
    people: dict[str, int | None] = {}
    count = 0
    for concert in concerts:
        count += 1
        artists[fold(concert.artist)] += 1
        place = concert.place
        if known(place.city):
            key, size = town_of(place)
            people[key] = size
            towns[key] += 1
            if hall := hall_of(place):
                halls[hall] += 1
                town_of_hall[hall] = key
    usual_artist = weights.levels["artist"]["exact"].u
    usual_town = weights.levels["city"]["same"].u
    sizes = weights.frequencies.sizes
    world = max(WORLD, count)
    rest = 1 - count / world

    def town_usual(key: str) -> float:
        size = people[key]
        return usual_town if size is None else next((share for least, share in sizes if size >= least), usual_town)

    named = {key: of / world + rest * usual_artist for key, of in artists.items() if key}
    usual_hall = weights.levels["venue"]["same"].u
    used = {hall: (of + IN_TOWN * usual_hall) / (towns[town_of_hall[hall]] + IN_TOWN) for hall, of in halls.items()}
    housed = {key: of / world + rest * town_usual(key) for key, of in towns.items()}
    return Frequencies(
        concerts=count,
        artists=_listed(named, dict.fromkeys(named, usual_artist), rarer=False),
        towns=_listed(housed, {key: town_usual(key) for key in housed}, rarer=True),
        venues=_listed(used, dict.fromkeys(used, usual_hall), rarer=True),
        sizes=sizes,
    )


def _listed(shares: Mapping[str, float], usual: Mapping[str, float], *, rarer: bool) -> dict[str, float]:
    """The most common of those that are not as common as usual."""
    marked = [
        (share, key)
        for key, share in shares.items()
        if share > usual[key] * MARKED or (rarer and share * MARKED < usual[key])
    ]
    kept = sorted(marked, key=lambda one: (-one[0], one[1]))[:MOST_LISTED]
    return {key: round(share, 9) for share, key in sorted(kept, key=lambda one: one[1])}


# -- agreement by chance ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chance:
    """How many random pairs were compared in a field, how many had each level, and of how many things they are."""

    pairs: int
    levels: Mapping[str, int]
    things: int


def chances(catalogue: Catalogue, tables: Tables) -> dict[str, Chance]:
    """Counted on random pairs of the catalogue, never on pairs that a key found.

    artist, over unique names: of two acts, not of two shows of one act; city, region, country and venue-alone, over all
    concerts; venue, within a town; song, between two nights of one artist. The same for any order of the concerts.
    """
    found: dict[str, Counter[str]] = {field: Counter() for field in w.FIELDS}
    order = _shuffled(catalogue)
    if len(order) < 2:
        return {}
    names = _names(catalogue, order)
    found["artist"] += _alike(names)
    anywhere = compare(list(_anywhere(catalogue, order)), catalogue, tables)
    _count(found, ("city", "region", "country", "venue-alone"), anywhere.levels)
    _count(found, ("venue",), compare(list(_within_towns(catalogue, order)), catalogue, tables).levels)
    found["song"] += _songs_again(catalogue, order)
    return {
        field: Chance(sum(counts.values()), dict(counts), len(names) if field == "artist" else len(order))
        for field, counts in found.items()
        if counts
    }


def with_chances(weights: Weights, counted: Mapping[str, Chance]) -> Weights:
    """u as counted, beside the present one: that of what tells where in the world a show is stands for all of the world
    that the catalogue does not hold, every other one for `HELD` concerts.

    Dates are structural (a night in 27 years); the same artist and the same town are told by `frequencies`; tributes
    are a veto; levels that no pair had keep their value.
    """
    levels = {field: dict(of) for field, of in weights.levels.items()}
    for field, chance in counted.items():
        part = min(1.0, chance.things / WORLD) if field in WORLDWIDE else chance.things / (chance.things + HELD)
        for name, count in chance.levels.items():
            if (field, name) in TOLD_OTHERWISE:
                continue
            level = levels[field][name]
            u = part * count / chance.pairs + (1 - part) * level.u
            levels[field][name] = Level(m=level.m, u=round(min(1.0, max(u, 1e-9)), 9))
    return weights.model_copy(update={"levels": levels})


WORLDWIDE = frozenset(["city", "region", "country", "venue-alone"])
"""Fields that tell where in the world."""
TOLD_OTHERWISE = frozenset([("artist", "exact"), ("artist", "alias"), ("artist", "tribute"), ("city", "same")])


def _shuffled(catalogue: Catalogue) -> list[int]:
    """Rows of what was not cancelled, by a hash of their ids."""
    rows = [row for row, one in enumerate(catalogue.concerts) if one.status is not Status.CANCELLED]
    return sorted(rows, key=lambda row: (drawn("pairs", catalogue.concerts[row].concert_id), row))


def drawn(*of: object) -> int:
    """A number that looks random: by it things are put in an order that no other order can change."""
    return Draw(*of).below(1 << 62)


def _names(catalogue: Catalogue, order: Sequence[int]) -> list[str]:
    """Each artist once, shuffled."""
    unique = {squash(catalogue.concerts[row].artist): catalogue.concerts[row].artist for row in reversed(order)}
    return [unique[name] for name in sorted(unique, key=lambda name: (drawn("names", name), name)) if name]


def _alike(names: Sequence[str]) -> Counter[str]:
    """Levels of pairs of two artists."""
    steps = min(len(names) // 2, -(-NAMES // max(1, len(names))))
    return Counter(
        artist_level(one, names[(index + step) % len(names)])
        for step in range(1, steps + 1)
        for index, one in enumerate(names[: NAMES // steps])
    )


def _anywhere(catalogue: Catalogue, order: Sequence[int]) -> Iterator[Asked]:
    """A place by its town, and by its venue alone, with the rows that follow it in the order."""
    for turn, row in enumerate(order[:DRAWN]):
        rows = np.array([order[(turn + step) % len(order)] for step in range(1, min(len(order), BESIDE + 1))])
        place = catalogue.concerts[row].place
        where = Remembered(city=place.city, region=place.region, country=place.country)
        yield Asked(understand(where), NO_OTHERS, rows)
        yield Asked(understand(Remembered(venue=place.name)), NO_OTHERS, rows)


def _within_towns(catalogue: Catalogue, order: Sequence[int]) -> Iterator[Asked]:
    """A venue with its town, and other rows of that town."""
    towns: dict[tuple[str, str | None], list[int]] = {}
    for row in order:
        place = catalogue.concerts[row].place
        if known(place.name) and known(place.city):
            towns.setdefault((fold(place.city or ""), place.country), []).append(row)
    kept = 0
    for row in order:
        place = catalogue.concerts[row].place
        there = towns.get((fold(place.city or ""), place.country), [])
        if not known(place.name) or len(there) < 2:
            continue
        rows = np.array([other for other in there[: BESIDE + 1] if other != row][:BESIDE])
        told = Remembered(venue=place.name, city=place.city, region=place.region, country=place.country)
        yield Asked(understand(told), NO_OTHERS, rows)
        kept += 1
        if kept == DRAWN:
            return


def _songs_again(catalogue: Catalogue, order: Sequence[int]) -> Counter[str]:
    """Songs of one night that the artist's next one, in the order, has or has not."""
    last: dict[int, int] = {}
    counts: Counter[str] = Counter()
    for row in order:
        if len(catalogue.concerts[row].songs) < w.SETLIST_COMPLETE:
            continue
        other = last.get(int(catalogue.artist[row]))
        last[int(catalogue.artist[row])] = row
        if other is not None:
            songs = {fold(song) for song in catalogue.concerts[row].songs}
            again = songs & {fold(song) for song in catalogue.concerts[other].songs}
            counts["played"] += len(again)
            counts["missing"] += len(songs - again)
    return counts


def _count(found: Mapping[str, Counter[str]], fields: Iterable[str], levels: Mapping[str, Codes]) -> None:
    for field in fields:
        codes = levels.get(field)
        if codes is not None:
            for code, count in zip(*np.unique(codes[codes >= 0], return_counts=True), strict=True):
                found[field][w.FIELDS[field][code]] += int(count)

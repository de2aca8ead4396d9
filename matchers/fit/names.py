"""What users call artists and venues, from the shows that they confirmed.

Rule    a typed name that does not agree with the confirmed one is another name for it, where it was confirmed
        - on two nights, or
        - on one, with all else agreeing: of a venue the artist, the night, and the town if one was typed; of an artist
          the night and the place, and then the two names must be like each other: who types a festival confirms one
          of its acts
        more often than it was dismissed, and never for another one (of venues: in the same town).
        What two users call alike, everybody may.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from matchers import weights as w
from matchers.catalogue import Catalogue, town_of
from matchers.fit.em import Answered, Patterns
from matchers.places import known, venue_key
from matchers.reference import merged
from matchers.text import fold
from matchers.understand import understand
from schemas.concert import Concert
from schemas.weights import AliasVenue, Names, Weights

NIGHTS = 2
"""On which a name was confirmed, where something else speaks against it or says nothing."""
SEVERAL = 2
"""Users."""

SAME_ARTIST = frozenset(["exact", "alias", "close"])
ALIKE = frozenset(["similar", "faint", "related"])
HERE = frozenset(["same", "suburb", "within-2", "within-10", "within-40"])
SAME_VENUE = frozenset(["same", "alias", "part"])
OTHER_VENUE = frozenset(["similar", "different"])


@dataclass(slots=True)
class _Use:
    """Of one name for one artist or venue, by one user."""

    nights: set[date] = field(default_factory=set)
    dismissed: set[date] = field(default_factory=set)
    whole: bool = False
    """On some night all else agreed."""
    other: bool = False
    """The two names are not alike enough to agree by themselves."""

    @property
    def learned(self) -> bool:
        """Whether the rule holds, rivals aside."""
        enough = self.whole or len(self.nights) >= NIGHTS
        return self.other and enough and len(self.nights) > len(self.dismissed)


Uses = dict[tuple[str, ...], dict[str, _Use]]
"""By whose name it is (user, what was typed, of a venue the town), by what it stands for."""


@dataclass(frozen=True, slots=True)
class Called:
    """Names by user, and those for everybody."""

    users: Mapping[str, Names]
    everybody: Names

    @property
    def count(self) -> int:
        """Of users."""
        return sum(len(of) for names in self.users.values() for of in (*names.artists.values(), *names.venues.values()))


def learn_names(found: Patterns, answered: Sequence[Answered], catalogue: Catalogue) -> Called:
    """The names in what was confirmed. The same for any order of the answers."""
    artists: Uses = defaultdict(lambda: defaultdict(_Use))
    venues: Uses = defaultdict(lambda: defaultdict(_Use))
    acts: dict[str, set[str]] = defaultdict(set)
    houses: dict[tuple[str, str], set[AliasVenue]] = defaultdict(set)
    for pair in np.flatnonzero(found.verdict >= 0).tolist():
        entry = answered[int(found.owner[pair])].entry
        concert = catalogue.concerts[int(found.rows[pair])]
        levels = {name: w.FIELDS[name][codes[pair]] for name, codes in found.levels.items() if codes[pair] >= 0}
        confirmed = bool(found.verdict[pair] == 1)
        told = understand(entry)
        where = levels.get("city", levels.get("distance"))
        venue = levels.get("venue", levels.get("venue-alone"))
        on_night = levels.get("date") in ("same", "reading")
        if told.artist is not None and not _is_event(told.artist, concert):
            act = fold(concert.artist)
            acts[act].add(concert.artist)
            there = venue in SAME_VENUE if venue is not None else where in HERE
            whole = on_night and there and levels["artist"] in ALIKE
            use = artists[entry.user, fold(told.artist)][act]
            _note(use, concert.night, confirmed=confirmed, whole=whole, other=levels["artist"] in ALIKE | {"different"})
        name = known(told.place.name)
        if name and venue is not None:
            town, house = town_of(concert.place)[0], venue_key(concert.place.name or "")
            houses[town, house].add(_house(concert))
            whole = on_night and levels.get("artist") in SAME_ARTIST and (where is None or where in HERE)
            use = venues[entry.user, venue_key(name), town][house]
            _note(use, concert.night, confirmed=confirmed, whole=whole, other=venue in OTHER_VENUE)
    of_users: dict[str, tuple[dict[str, list[str]], dict[str, list[AliasVenue]]]] = defaultdict(lambda: ({}, {}))
    several: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for (user, typed), act in _learned(artists):
        of_users[user][0].setdefault(typed, []).append(min(acts[act]))
        several[typed, act].add(user)
    for (user, typed, town), house in _learned(venues):
        of_users[user][1].setdefault(typed, []).append(min(houses[town, house], key=_order))
        several[typed, town, house].add(user)
    artists_of: dict[str, list[str]] = {}
    venues_of: dict[str, list[AliasVenue]] = {}
    for key in sorted(key for key, users in several.items() if len(users) >= SEVERAL):
        if len(key) == 2:
            artists_of.setdefault(key[0], []).append(min(acts[key[1]]))
        else:
            venues_of.setdefault(key[0], []).append(min(houses[key[1], key[2]], key=_order))
    return Called(
        {user: _names(*of) for user, of in sorted(of_users.items())},
        _names(artists_of, venues_of),
    )


def _is_event(typed: str, concert: Concert) -> bool:
    """Whether what stands for the artist is what the night, or the house, was called."""
    called = (concert.festival, concert.title, concert.tour, concert.place.name)
    return fold(typed) in {fold(name) for name in called if name} - {fold(concert.artist)}


def _note(use: _Use, night: date, *, confirmed: bool, whole: bool, other: bool) -> None:
    (use.nights if confirmed else use.dismissed).add(night)
    use.other |= other
    use.whole |= confirmed and whole


def _learned(uses: Uses) -> Iterator[tuple[tuple[str, ...], str]]:
    """What each name stands for, where it is one thing."""
    for key in sorted(uses):
        meant = [name for name, use in uses[key].items() if use.nights]
        if len(meant) == 1 and uses[key][meant[0]].learned:
            yield key, meant[0]


def _house(concert: Concert) -> AliasVenue:
    place = concert.place
    return AliasVenue(name=place.name or "", city=place.city, region=place.region, country=place.country)


def _order(house: AliasVenue) -> tuple[str, ...]:
    return house.name, house.city or "", house.region or "", house.country or ""


def _names(artists: Mapping[str, Iterable[str]], venues: Mapping[str, Iterable[AliasVenue]]) -> Names:
    return Names(
        artists={key: tuple(sorted(of)) for key, of in sorted(artists.items())},
        venues={key: tuple(sorted(of, key=_order)) for key, of in sorted(venues.items())},
    )


def with_called(weights: Weights, called: Called) -> Weights:
    """The weights with these names beside their own."""
    users = dict(weights.users)
    for user, names in called.users.items():
        users[user] = merged(users.get(user, Names()), names)
    users = {user: users[user] for user in sorted(users)}
    return weights.model_copy(update={"names": merged(weights.names, called.everybody), "users": users})

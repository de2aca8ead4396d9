"""From a history, once asked for: an artist logged before, in a place and time of the user's.

Profile     what a history says: who, when, in which towns
Place       where three logged shows or more are within 40 km
Time        between the first and the last of them, in a year that has one
Vetoes      the artist logged around there within a month: that is its own entry's question; a show logged far away that
            night, or in another hall; cancelled or postponed
Confidence  the measured precision of the kind, below likely
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cached_property
from uuid import UUID

from matchers.candidates import entry_keys
from matchers.decided import signature
from matchers.places import SUBURB_KM, City, SameVenue, cities, distance_km, known, the_city, venue_relation
from matchers.questions import PRIOR, TOOK_PLACE, Measured, Question, Said, ask, bits, kept, newest
from matchers.text import fold, names, squash
from matchers.understand import understand
from schemas import ids
from schemas.concert import Concert
from schemas.decision import Action, Decision
from schemas.history import Entry
from schemas.listing import Place
from schemas.suggestion import Because, Evidence, Origin, Suggestions


class Kind(StrEnum):
    """What speaks for a habit's concert, most first."""

    THERE = "there"
    """The user logged another act in that town that night."""
    REGULAR = "regular"
    """They logged shows there that year, and the artist twice or more, wherever."""
    ONCE = "once"
    """They logged shows there that year, and the artist once."""


MEASURED = {
    Kind.THERE: Measured(right=47, asked=47, bound=0.57),
    Kind.REGULAR: Measured(right=20, asked=49),
    Kind.ONCE: Measured(right=16, asked=78),
}
"""`evaluate_habits`, seed 0, 2026-11-21: 231 labelled shows of the one listener of whose towns and years the catalogue
tells shows that they did not log (of the other's 191 all are right, for want of any). Bound: that of a festival's day,
of which a night with a show logged there may be one.
"""

MOST = 20
"""Open questions of one user, a page of the inbox: of a guess from habits most people answer a few."""
LEAST = 0.3
"""Confidence of what is asked: where possible begins. `once` is below."""
MOST_OF_A_HABIT = 3
"""Of one artist around one town: a long tour of the home town does not fill the page."""
ARTIST_BITS = 12.0
"""Some hundred of 400,000 acts were logged; the rest of what every habit has is its place's. Assumed: only the sum is
measured."""
LEAST_SHOWS = 3
"""Logged around a town before it is a place of the user's: one or two are a journey."""
RUN_DAYS = 30
"""Of a logged show of the artist around there: another night of the run or the tour, which the user did not log, or the
very show with a slip in its date."""
AWAY_KM = 150.0
"""Farther than this, one evening does not hold both."""
HOME_KM = 300.0
"""A town's name that several bear is the largest of them within so much of a town that only one can be: who goes out in
Boston means Portland, Maine; nearer still is one in Connecticut, of 9,000."""
MOST_DAYS = 366
"""A date known no better than to a year says when; beyond, only who and where."""
MOST_ARTISTS, MOST_TOWNS = 300, 15
"""Most logged first: the keys to look up are their product."""


@dataclass(frozen=True, slots=True)
class Town:
    """A town of the user's, in the user's words."""

    name: str
    key: str
    country: str | None = None
    spot: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """A line of a history, or the concert that it was confirmed to be."""

    entry_id: str
    artist: str
    acts: frozenset[str]
    """Each name that it holds, squashed."""
    first: date | None
    last: date | None
    """The night, or the nights it can have been."""
    town: Town | None
    venue: str | None

    @property
    def night(self) -> date | None:
        """Where it is one."""
        return self.first if self.first == self.last else None

    def away(self, night: date) -> int | None:
        """Days between; None where it does not say when."""
        if self.first is None or self.last is None:
            return None
        return max(0, (self.first - night).days, (night - self.last).days)


@dataclass(frozen=True)
class Profile:
    """What a history says. Sorted by entry id: the same for any order of entries."""

    logs: tuple[Log, ...]

    @cached_property
    def artists(self) -> Mapping[str, tuple[Log, ...]]:
        """What was logged of each act, by its squashed name."""
        found: dict[str, list[Log]] = defaultdict(list)
        for log in self.logs:
            for act in log.acts:
                found[act].append(log)
        return {act: tuple(logs) for act, logs in sorted(found.items())}

    @cached_property
    def towns(self) -> Mapping[Town, tuple[Log, ...]]:
        """What was logged in each town, most shows first."""
        found: dict[Town, list[Log]] = defaultdict(list)
        for log in self.logs:
            if log.town is not None:
                found[log.town].append(log)
        ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0].key, item[0].name))
        return {town: tuple(logs) for town, logs in ordered}

    @cached_property
    def nights(self) -> Mapping[date, tuple[Log, ...]]:
        """What was logged on each night that is known to the day."""
        found: dict[date, list[Log]] = defaultdict(list)
        for log in self.logs:
            if log.night is not None:
                found[log.night].append(log)
        return {night: tuple(logs) for night, logs in sorted(found.items())}


def habit_profile(entries: Iterable[Entry], confirmed: Mapping[str, Concert] | None = None) -> Profile:
    """What one user's entries say; of several versions of one the newest.

    `confirmed`, by entry id: the concerts that they turned out to be, which say it better.
    """
    newest: dict[str, Entry] = {}
    for entry in entries:
        held = newest.get(entry.entry_id)
        if held is None or (held.version, held.to_bytes()) < (entry.version, entry.to_bytes()):
            newest[entry.entry_id] = entry
    told = [(entry_id, *_told(newest[entry_id], (confirmed or {}).get(entry_id))) for entry_id in sorted(newest)]
    homes = sorted({town.spot for *_, place in told if (town := _town(place)) and town.spot})
    towns = {place: _town(place, homes) for place in {place for *_, place in told}}
    # One name for each town, the one that is used most.
    called: dict[str, Counter[str]] = defaultdict(Counter)
    for *_, place in told:
        if (town := towns[place]) is not None:
            called[town.key][town.name] += 1
    same: dict[str, Town] = {}
    for place in sorted(towns, key=Place.model_dump_json):
        if (town := towns[place]) is not None:
            name = min(called[town.key].items(), key=lambda item: (-item[1], item[0]))[0]
            same.setdefault(town.key, Town(name, town.key, town.country, town.spot))
    logs = []
    for entry_id, artist, first, last, place in told:
        if artist is not None:
            town = towns[place]
            acts = frozenset(filter(None, map(squash, names(artist))))
            logs.append(Log(entry_id, artist, acts, first, last, same[town.key] if town else None, known(place.name)))
    return Profile(tuple(logs))


def _told(entry: Entry, concert: Concert | None) -> tuple[str | None, date | None, date | None, Place]:
    """Artist, first and last night, place."""
    if concert is not None:
        return concert.artist, concert.night, concert.night, concert.place
    said = understand(entry)
    if not said.whens:
        return said.artist, None, None, said.place
    first, last = min(when.start for when in said.whens), max(when.end for when in said.whens)
    if (last - first).days >= MOST_DAYS:
        return said.artist, None, None, said.place
    return said.artist, first, last, said.place


def _town(place: Place, homes: Sequence[tuple[float, float]] = ()) -> Town | None:
    """By the gazetteer; a name that several bear is the largest near `homes`, else only a name."""
    name = known(place.city)
    spot = (place.lat, place.lon) if place.lat is not None and place.lon is not None else None
    city = the_city(place.city, place.region, place.country)
    if city is None and (spot or homes):
        within = SUBURB_KM if spot else HOME_KM
        city = _largest(cities(place.city, place.region, place.country), [spot] if spot else homes, within)
    if city is not None:
        key = f"{fold(city.name)},{city.country},{city.region}"
        return Town(name or city.name, key, city.country, (city.lat, city.lon))
    if name is not None:
        return Town(name, fold(name), place.country, spot)
    if spot is None:
        return None
    rounded = f"{spot[0]:.1f}, {spot[1]:.1f}"
    return Town(rounded, rounded, place.country, spot)


def _largest(options: Sequence[City], homes: Sequence[tuple[float, float]], within: float) -> City | None:
    near = [one for one in options if min(distance_km(one, home) for home in homes) <= within]
    return min(near, key=lambda one: (-one.population, one.country, one.region)) if near else None


def habit_keys(profile: Profile) -> frozenset[str]:
    """What finds the candidates among `concert_keys`: each artist in each town, the most logged of both."""
    artists = sorted({logs[0].artist: len(logs) for logs in profile.artists.values()}.items(), key=_most_first)
    places = _Places(profile)
    towns = [town for town in profile.towns if places.around(town).shows >= LEAST_SHOWS][:MOST_TOWNS]
    at = datetime(1970, 1, 1, tzinfo=UTC)
    return frozenset(
        key
        for artist, _ in artists[:MOST_ARTISTS]
        for town in towns
        for key in entry_keys(
            Entry(user="-", entry_id="-", seen_at=at, artist=artist, city=town.name, country=town.country)
        )
        if key.startswith("at:")
    )


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


# -- where and when ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Here:
    """What the user logged around a spot."""

    towns: tuple[Town, ...]
    """Most shows first."""
    logs: tuple[Log, ...]

    @property
    def shows(self) -> int:
        return len(self.logs)

    @cached_property
    def span(self) -> tuple[date, date] | None:
        dated = [(log.first, log.last) for log in self.logs if log.first is not None and log.last is not None]
        return (min(first for first, _ in dated), max(last for _, last in dated)) if dated else None

    @cached_property
    def years(self) -> Mapping[int, int]:
        """Shows by year, where it is one."""
        return Counter(
            log.first.year for log in self.logs if log.first and log.last and log.first.year == log.last.year
        )


class _Places:
    """The user's places, around any spot; each worked out once."""

    def __init__(self, profile: Profile) -> None:
        self._towns = profile.towns
        self._of_place: dict[Place, _Here] = {}
        self._of_towns: dict[tuple[Town, ...], _Here] = {}

    def at(self, place: Place) -> _Here:
        """Around a concert's place."""
        asked = Place(city=place.city, region=place.region, country=place.country, lat=place.lat, lon=place.lon)
        here = self._of_place.get(asked)
        if here is None:
            town = _town(asked)
            spot = (asked.lat, asked.lon) if asked.lat is not None and asked.lon is not None else None
            if town is not None and spot is not None:
                town = replace(town, spot=spot)
            here = self._of_place[asked] = self.around(town) if town else _Here((), ())
        return here

    def around(self, town: Town) -> _Here:
        """Within 40 km; by name where either is in no gazetteer."""
        near = tuple(one for one in self._towns if _near(one, town))
        if near not in self._of_towns:
            self._of_towns[near] = _Here(near, tuple(log for one in near for log in self._towns[one]))
        return self._of_towns[near]


def _near(one: Town, other: Town) -> bool:
    if one.spot and other.spot:
        return distance_km(one.spot, other.spot) <= SUBURB_KM
    if one.country and other.country and one.country != other.country:
        return False
    return fold(one.name) == fold(other.name)


def _far(one: Town, other: Town) -> bool:
    """Known to be: one evening does not hold both."""
    return bool(one.spot and other.spot) and distance_km(one.spot, other.spot) > AWAY_KM  # type: ignore[arg-type]


# -- habits -----------------------------------------------------------------------------------------------------------


def habits(
    user: str,
    profile: Profile,
    candidates: Iterable[Concert],
    already: Collection[UUID] = (),
    decisions: Sequence[Decision] = (),
    *,
    asked: bool = False,
    most: int = MOST,
    most_of_a_habit: int = MOST_OF_A_HABIT,
    least: float = LEAST,
) -> tuple[Suggestions, ...]:
    """One set for each question, best first; the same for any order of entries and candidates.

    Nothing until the user `asked` for it, but what was confirmed stays. `candidates`: found by `habit_keys`; `already`:
    ids, new or old, of concerts that stand in the sets of the user's own entries or companions; `decisions`: all of the
    user's, on whatever entries. Who keeps sets withdraws those that no longer come.
    """
    said = Said(decisions, ids.HABIT)
    places = _Places(profile)
    questions = []
    for concert in newest(candidates).values():
        own = said.own(concert)
        yes = own is not None and own.action is Action.CONFIRMED
        question = _question(profile, places, concert) if asked or yes else None
        if question is not None and question.confidence < least and not yes:
            question = None
        if question is None and own is not None and yes:
            question = kept(concert, own)
        if question is not None:
            questions.append(question)
    return ask(user, Origin.HABIT, questions, already, said, most, most_of_a_habit)


def kind_of(profile: Profile, concert: Concert) -> Kind | None:
    """What speaks for it; None where it would not be asked."""
    logs = _logged(profile, concert.artist)
    return _kind(profile, _Places(profile).at(concert.place), logs, concert) if logs else None


def _question(profile: Profile, places: _Places, concert: Concert) -> Question | None:
    logs = _logged(profile, concert.artist)
    if not logs or concert.status not in TOOK_PLACE:
        return None
    here = places.at(concert.place)
    kind = _kind(profile, here, logs, concert)
    if kind is None:
        return None
    artist, town = min(logs, key=lambda log: log.entry_id).artist, here.towns[0]
    rate = MEASURED[kind].precision
    times = "once" if len(logs) == 1 else f"{len(logs)} times"
    tonight = sorted({log.artist for log in _tonight(profile, here, concert.night)})
    who = f"you logged {artist} {times}"
    around = "in" if len(here.towns) == 1 else "in and around"
    where = f"{around} {town.name}, where you logged {_shows(here.shows)}"
    if kind is Kind.THERE:
        when = f"you logged {tonight[0]} there that night"
    else:
        when = f"in {concert.night.year}, when you logged {_shows(here.years[concert.night.year])} there"
    base = MEASURED[Kind.ONCE].precision
    return Question(
        concert=concert,
        entry_id=ids.habit_entry_id(min(log.entry_id for log in logs), concert.concert_id),
        confidence=rate,
        why=(
            Evidence(field="artist", bits=ARTIST_BITS, text=who),
            Evidence(field="city", bits=round(bits(base) - PRIOR - ARTIST_BITS, 3), text=where),
            Evidence(field="date", bits=round(bits(rate) - bits(base), 3), text=when),
            Evidence(field="prior", bits=PRIOR, text="one of about a million concerts"),
        ),
        signature=signature("habit=there" if kind is Kind.THERE else "habit=year"),
        because=Because(text=f"{who}, and {_shows(here.shows)} {around} {town.name}", artist=artist, town=town.name),
        group=f"{squash(concert.artist)}:{town.key}",
        closeness=(-len(logs), -here.shows),
    )


def _logged(profile: Profile, artist: str) -> tuple[Log, ...]:
    """Lines that name the act, alone or with others; a tribute is another act, by its name."""
    acts = filter(None, map(squash, names(artist)))
    logs = {log.entry_id: log for act in acts for log in profile.artists.get(act, ())}
    return tuple(logs.values())


def _tonight(profile: Profile, here: _Here, night: date) -> list[Log]:
    return [log for log in profile.nights.get(night, ()) if log.town in here.towns]


def _kind(profile: Profile, here: _Here, logs: Sequence[Log], concert: Concert) -> Kind | None:
    """What speaks for it; None where something speaks against it, or nothing for it."""
    night = concert.night
    if here.shows < LEAST_SHOWS or here.span is None or not here.span[0] <= night <= here.span[1]:
        return None
    for log in logs:
        away = log.away(night)
        if (log.town is None or log.town in here.towns) and (away is None or away <= RUN_DAYS):
            return None
        if away == 0 and log.night is not None:
            return None
    for log in profile.nights.get(night, ()):
        if log.town is not None and log.town not in here.towns and any(_far(log.town, town) for town in here.towns):
            return None
        if venue_relation(log.venue, concert.place.name, concert.place.city) is SameVenue.DIFFERENT:
            return None
    if _tonight(profile, here, night):
        return Kind.THERE
    if not here.years.get(night.year):
        return None
    return Kind.REGULAR if len(logs) > 1 else Kind.ONCE


def _shows(count: int) -> str:
    return "one show" if count == 1 else f"{count} shows"

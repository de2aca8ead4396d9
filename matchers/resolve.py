"""Listings -> concerts: which accounts speak of one act on one night.

Blocks      listings that share a key; small, because every key holds the night (a festival's also its year)
Records     an act of a listing; two listings under one address are one record of their source
Links       act, place, night, hour, songs, room, fate, page, show, set and turn of two records, in bits that add up
Shared ids  records of one MusicBrainz id and night are one before anything is weighed
Vetoes      another act, two MusicBrainz ids, a tribute and its original, an early and a late show, another night (but
            see `nights_of` and `_meant`)
Concerts    best link first, one record a source in each: an early and a late show of one source stay two
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from functools import lru_cache
from typing import TypeVar
from uuid import UUID

from matchers.cluster import Comparison, Model, cluster
from matchers.dates import evening_of, zone
from matchers.places import (
    Near,
    SameVenue,
    cell,
    cells_around,
    country_code,
    distance_km,
    points,
    the_city,
    time_zone,
    town_relation,
    venue_key,
    venue_relation,
)
from matchers.shows import is_dj_set, which_show
from matchers.text import fold, is_tribute, names, similarity, skeleton, squash, tokens
from matchers.venues import VenueAliases
from schemas import ids
from schemas.concert import BillAct, Concert, Member
from schemas.listing import Act, Listing, Place, Role, StartPrecision, Status
from schemas.reference import Venue

APART_KM = 150.0
"""Farther than this, two listings of one night contradict each other's place."""
DISTINCT_LETTERS = 9
"""A name of so many letters is nobody else's: listings of one night in two towns are one show and a mistake."""
MADE_UP = "derived-"
"""How ids begin that rows without one were given (`schemas.rows`)."""
MOST_OF_BILL = 200
"""Acts that a concert names beside itself: more is a festival, which its parent tells; the square of it is stored."""

H = TypeVar("H", bound=Hashable)


# -- keys -------------------------------------------------------------------------------------------------------------


def block_keys(listing: Listing, day_off: Collection[str] = ()) -> frozenset[str]:
    """Listings that share one belong to one block. Act and night, venue and night, festival and year.

    Only acts reach into a neighbouring night: a venue with a show every night would chain its whole year.
    """
    keys: set[str] = set()
    for night in nights_of(listing, day_off):
        for act in listing.acts:
            keys.update(f"a:{night}:{skeleton(name)[:80]}" for name in (act.name, head(act.name)))
            if act.mbid is not None:
                keys.add(f"m:{night}:{act.mbid}")
    place = listing.place
    if place.name and place.city:
        keys.add(f"v:{listing.night}:{venue_key(place.name)[:80]}:{_town(place)}")
    if listing.festival:
        keys.add(f"f:{_festival_key(listing)}")
    return frozenset(keys)


AFTER_MIDNIGHT = 5
"""Hours: a start before counts as the evening before."""


def nights_of(listing: Listing, day_off: Collection[str] = ()) -> frozenset[date]:
    """The nights it may mean: its own, and a neighbour where the listing itself or its source gives reason.

    A start between midnight and five: some sources write the date of the evening with it, and some write midnight for
    an hour that they do not know. A start without the zone of its place. `day_off`: sources known to be a day off.
    """
    nights = {listing.night}
    start, tz = listing.start_at, zone(listing.place.tz) if listing.place.tz else None
    day = timedelta(days=1)
    if listing.source in day_off:
        nights |= {listing.night - day, listing.night + day}
    elif start is not None and tz is not None:
        if start.astimezone(tz).hour < AFTER_MIDNIGHT:
            nights.add(listing.night + day)
    elif start is not None:
        around = {evening_of((start + timedelta(hours=hours)).replace(tzinfo=None)) for hours in (-12, 0, 14)}
        nights |= {night for night in around if abs(night - listing.night) <= day}
    return frozenset(nights)


@lru_cache(maxsize=100_000)
def head(name: str) -> str:
    """Whom it is about: 'Peter Gabriel feat. Ane Brun' -> 'Peter Gabriel'; no tour title, no brackets.

    Half of 'Iron & Wine' or 'The Sea and Cake' is another act; 'Florence and the Machine' may be billed as Florence.
    """
    found = name
    for shorter in names(name)[1:4]:
        if squash(found).startswith(squash(shorter)) and not _is_half(shorter, name):
            found = shorter
    return found


_BACKED = frozenset(["the", "his", "her", "their", "band", "friends", "guests", "orchestra", "orchester", "trio"])
_BACKED |= frozenset(["freunde", "gaste", "amigos", "quartet", "quintet", "los", "las", "os", "les", "die", "seine"])


def _is_half(shorter: str, name: str) -> bool:
    """Whether a short name is one of two that 'and' joins into a third, with no band behind it."""
    if len(squash(shorter)) >= DISTINCT_LETTERS:
        return False
    rest = _AFTER_AND.search(name[len(shorter) :] if name.startswith(shorter) else name)
    return rest is not None and fold(rest[1]) not in _BACKED and rest[1].casefold() not in _BACKED


_AFTER_AND = re.compile(r"^\W*(?:&|(?:and|und|y|et|och|og|en)\b)\s*(\w+)", re.IGNORECASE)


def venue_keys(venue: Venue) -> frozenset[str]:
    """A venue concerns the listings that share one: a name with the town, or with the square of the map around it."""
    place = venue.place
    spots = {square for point in _spots(place) for square in cells_around(*point)}
    keys = set()
    for name in (venue.name, *(other.name for other in venue.names)):
        key = venue_key(name)[:80]
        if not key:
            continue
        if place.city:
            keys.add(f"{key}:{_town(place)}")
        keys.update(f"{key}@{row},{column}" for row, column in spots)
    return frozenset(keys)


def listing_venue_keys(listing: Listing) -> frozenset[str]:
    """What a listing finds its venue by."""
    place = listing.place
    if not place.name:
        return frozenset()
    key = venue_key(place.name)[:80]
    keys = {f"{key}@{row},{column}" for row, column in {cell(*point) for point in _spots(place)}}
    if place.city:
        keys.add(f"{key}:{_town(place)}")
    return frozenset(keys)


def _spots(place: Place) -> tuple[tuple[float, float], ...]:
    """Coordinates, else the one town it can be."""
    if place.lat is not None and place.lon is not None:
        return ((place.lat, place.lon),)
    city = the_city(place.city, place.region, place.country)
    return () if city is None else ((city.lat, city.lon),)


def _town(place: Place) -> str:
    """One spelling for each town: the gazetteer's where it knows it."""
    return _town_of(place.city, place.region, place.country)


@lru_cache(maxsize=65_536)
def _town_of(city: str | None, region: str | None, country: str | None) -> str:
    found = the_city(city, region, country)
    return fold(found.name) + "," + found.country if found else f"{fold(city or '')},{country_code(country) or ''}"


# -- records ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Claim:
    """One act of one listing."""

    listing: Listing
    act: Act

    @property
    def order(self) -> tuple[str, str]:
        return str(self.listing.listing_id), self.act.name


@dataclass(frozen=True, slots=True)
class _Record:
    """What one source says of one act and one show: mostly one claim, more where the source repeats itself."""

    claims: tuple[_Claim, ...]
    listing: Listing
    """The newest of them."""
    origin: str
    """Who tells it apart from others: its source. Rows without ids nobody tells apart: theirs are made of their words,
    and the source may list the same show again, worded otherwise or with an id of its own."""
    name: str
    head: str
    heard: str
    folded: str
    tribute: bool
    mbid: UUID | None
    nights: frozenset[date]
    runs: frozenset[date]
    """Nights of the act which some source lists together with the next: two nights of a run."""
    turn: int
    """Among the source's shows of the act on its night, from 0."""
    slot: str | None
    """'early' or 'late', where the listing says so."""
    records: bool
    """Whether it is a DJ set, by its words."""
    songs: frozenset[str]
    page: str | None
    """The address it gives, without what spells one page in several ways."""
    venues: frozenset[UUID]
    """Known venues that its place's name means, on that night."""
    night: date
    """The listing's; of a source that is a day off, as its run of nights tells."""
    order: tuple[str, str, int, str, str, str]


def _records(block: Sequence[Listing], day_off: Collection[str], venues: VenueAliases | None) -> list[_Record]:
    listed: dict[tuple[str, str], set[date]] = defaultdict(set)
    runs: dict[str, set[date]] = defaultdict(set)
    told: dict[tuple[str, date, str], list[_Claim]] = defaultdict(list)
    for listing in block:
        for act in _acts(listing):
            who = squash(head(act.name))
            told[listing.source, listing.night, who].append(_Claim(listing, act))
            listed[listing.source, who].add(listing.night)
    meant = _meant(told, day_off)
    for (source, who), nights in listed.items():
        shifted = {meant.get((source, night, who), night) for night in nights}
        runs[who].update(night for night in shifted if night + timedelta(days=1) in shifted)
    late = _after_midnight(told)
    records = []
    for (source, night, who), claims in told.items():
        for turn, show in enumerate(sorted(_told_once(claims), key=lambda show: _sequence(show[0]))):
            record = _record(show, turn, frozenset(runs[who]), day_off, venues)
            moved = meant.get((source, night, who))
            if moved is not None:
                record = replace(record, night=moved, nights=frozenset({moved}))
            elif record.listing.start_at is None and _ends_there(record.listing.place, late.get((who, night), ())):
                record = replace(record, nights=record.nights | {night - timedelta(days=1)})
            records.append(record)
    return records


_Told = dict[tuple[str, date, str], list[_Claim]]


def _meant(told: _Told, day_off: Collection[str]) -> dict[tuple[str, date, str], date]:
    """The nights that sources known to be a day off mean: a run of theirs shifts as one.

    By the shift at which other sources list the act in the same venue on most of its nights; on a tie as listed. What
    nobody else lists is not told.
    """
    if not day_off:
        return {}
    places: dict[tuple[str, date], list[Place]] = defaultdict(list)
    own: dict[tuple[str, str], set[date]] = defaultdict(set)
    for (source, night, who), claims in told.items():
        if source in day_off:
            own[source, who].add(night)
        else:
            places[who, night].extend({claim.listing.place: None for claim in claims})
    found = {}
    for (source, who), nights in own.items():
        for run in _runs(nights):
            scores = {}
            for days in (0, -1, 1):
                scores[days] = sum(
                    any(
                        _ends_there(claim.listing.place, places.get((who, night + timedelta(days=days)), ()))
                        for claim in told[source, night, who]
                    )
                    for night in run
                )
            best = max(scores, key=lambda days: scores[days])
            if scores[best]:
                found.update({(source, night, who): night + timedelta(days=best) for night in run})
    return found


def _runs(nights: Iterable[date]) -> list[list[date]]:
    """Nights in groups of neighbours."""
    runs: list[list[date]] = []
    for night in sorted(nights):
        if runs and night - runs[-1][-1] <= timedelta(days=1):
            runs[-1].append(night)
        else:
            runs.append([night])
    return runs


def _after_midnight(told: _Told) -> dict[tuple[str, date], list[Place]]:
    """By act and calendar day: where somebody has it begin between midnight and five, the evening before's night."""
    late: dict[tuple[str, date], dict[Place, None]] = defaultdict(dict)
    for (_, night, who), claims in told.items():
        for claim in claims:
            clock = _clock(claim.listing)
            if clock is not None and time() < clock < time(AFTER_MIDNIGHT):
                late[who, night + timedelta(days=1)][claim.listing.place] = None
    return {key: list(places) for key, places in late.items()}


def _ends_there(place: Place, others: Iterable[Place]) -> bool:
    return any(_places_level(place, other) in ("same venue", "part of the venue") for other in others)


def _clock(listing: Listing) -> time | None:
    """The hour of its start at the place; None without one, or where the zone is not known."""
    start, tz = listing.start_at, zone(listing.place.tz) if listing.place.tz else None
    return None if start is None or tz is None else start.astimezone(tz).time()


NONE: frozenset[UUID] = frozenset()


def _record(
    claims: Sequence[_Claim],
    turn: int,
    runs: frozenset[date],
    day_off: Collection[str],
    venues: VenueAliases | None,
) -> _Record:
    newest = max(claims, key=lambda claim: (claim.listing.version, claim.order))
    listing, act = newest.listing, newest.act
    name = squash(act.name)
    return _Record(
        claims=tuple(claims),
        listing=listing,
        origin=str(listing.listing_id) if listing.source_id.startswith(MADE_UP) else listing.source,
        name=name,
        head=squash(head(act.name)),
        heard=skeleton(act.name),
        folded=fold(act.name),
        tribute=is_tribute(act.name),
        mbid=act.mbid,
        nights=nights_of(listing, day_off),
        runs=runs,
        turn=turn,
        slot=_slot(listing, act),
        records=is_dj_set(_said(listing, act)),
        night=listing.night,
        songs=frozenset(map(fold, listing.songs)),
        page=_same_address(listing.url) if listing.url else None,
        venues=frozenset(venue.venue_id for venue in venues.named(listing.place, listing.night)) if venues else NONE,
        order=(listing.night.isoformat(), name, turn, listing.source, *newest.order),
    )


def _told_once(claims: Sequence[_Claim]) -> list[list[_Claim]]:
    """The claims of one source, act and night by the record they repeat.

    Two ids are two shows, unless they are one address spelt twice, '//de/7' and '/de/7', or give one and the same page.
    """
    if len(claims) == 1:
        return [list(claims)]
    shows: list[list[_Claim]] = []
    by_address: dict[tuple[str, str], list[_Claim]] = {}
    by_page: dict[tuple[str, str], list[_Claim]] = {}
    for claim in sorted(claims, key=_order):
        listing, name = claim.listing, squash(claim.act.name)
        address = (_same_address(listing.source_id), name)
        page = None if listing.url is None else (_same_address(listing.url), name)
        show = by_address.get(address)
        if show is None or any(_two_shows(claim, other) for other in show):
            show = None if page is None else by_page.get(page)
            if show is None or any(_two_shows(claim, other) or _two_places(claim, other) for other in show):
                show = []
                shows.append(show)
        show.append(claim)
        by_address.setdefault(address, show)
        if page is not None:
            by_page.setdefault(page, show)
    return shows


def _same_address(source_id: str) -> str:
    """Of ids that are addresses: without what spells one page in several ways."""
    if not source_id.lower().startswith(("http://", "https://")):
        return source_id
    page = re.sub(r"^https?://(?:www\.)?", "", source_id.partition("#")[0], flags=re.IGNORECASE)
    return re.sub(r"/{2,}", "/", page).rstrip("/")


def _two_shows(one: _Claim, other: _Claim) -> bool:
    """Whether two listings of one source contradict each other's being one show."""
    if one.listing.listing_id == other.listing.listing_id:
        return True
    if _slot(one.listing, one.act) != _slot(other.listing, other.act):
        return True
    if one.listing.start_at and other.listing.start_at and one.listing.start_at != other.listing.start_at:
        return True
    return bool(one.listing.songs and other.listing.songs and one.listing.songs != other.listing.songs)


def _two_places(one: _Claim, other: _Claim) -> bool:
    """A page may be the programme of a whole festival."""
    level = _places_level(one.listing.place, other.listing.place)
    return level in ELSEWHERE or _room_apart(one.listing.place, other.listing.place)


def _room_apart(one: Place, other: Place) -> bool:
    return bool(one.room and other.room) and fold(one.room or "") != fold(other.room or "")


def _said(listing: Listing, act: Act) -> str:
    return " | ".join(text for text in (act.name, listing.title, listing.place.room) if text)


def _slot(listing: Listing, act: Act) -> str | None:
    """Which of two shows the listing says it is: '(Early Show)', 'Matinee'."""
    return which_show(_said(listing, act))


def _sequence(claim: _Claim) -> tuple[str, str, int, str, str]:
    """Early before late: by the hour, else as the source says or numbers them."""
    start = claim.listing.start_at
    return (
        start.isoformat() if start else "",
        _slot(claim.listing, claim.act) or "",
        len(claim.listing.source_id),
        claim.listing.source_id,
        str(claim.listing.listing_id),
    )


# -- what two records say of each other -------------------------------------------------------------------------------

PRIOR = -8.0
"""log2 of 1 in 256: acts of one night that share a key, which are mostly the others of the bill."""
ALIKE = 0.84
"""Edits over length of two names in one venue: 'Grateful Ded' .92, 'Jaguares' and 'Jaguar' .75."""
SAME_HOUR = timedelta(minutes=30)
NEAR_HOUR = timedelta(minutes=90)
"""Doors and start."""
FAR_HOUR = timedelta(hours=4)
"""No doors open so long before: an afternoon's show and the evening's."""

ACT = {
    "same MusicBrainz id": 20.0,
    "same name": 15.0,  # DISTINCT_LETTERS: one act in 30,000 shares it
    "same short name": 9.5,
    "billed with more": 8.0,
    "alike": 5.0,
    "a letter more": -1.1,  # Gorilla and Gorillaz: one with the same venue and hour, or songs, or page
    "another act": -40.0,
}
PLACE = {
    "same venue": 8.0,
    "part of the venue": 7.0,
    "like venue": 4.5,
    "other room of the venue": 3.0,
    "same town": 3.5,
    "suburb": 3.0,
    "other venue": -3.7,  # mostly a venue that was changed, or an after-show
    "another town's name": -1.0,
    "other venue of a suburb": -4.2,
    "other town": -4.5,
    "far": -5.0,
    "elsewhere, of a short name": -12.0,  # two shows, or two acts; a third source that names no venue joins them not
}
ELSEWHERE = frozenset(["other venue", "other venue of a suburb", "other town", "far", "elsewhere, of a short name"])
NIGHT = {"same night": 0.0, "a day off": -3.0}
HOUR = {"same hour": 1.5, "doors and start": 0.5, "other hour": -1.0}
SONGS = {"same songs": 8.0, "many of the songs": 4.0, "some of the songs": 1.0, "other songs": -4.0}
ROOM = {"same room": 1.0, "other room": -0.5}
FATE = {"both played": 0.2, "one cancelled": -1.5}
PAGE = {"same page": 6.0}
SHOW = {"same show of the night": 4.0}
SET = {"DJ set and band": -6.0, "both DJ sets": 0.5}
TURN = {"same turn": 0.3, "other turn": 0.0}


def _act_level(one: _Record, other: _Record) -> str:
    if one.mbid is not None and one.mbid == other.mbid:
        return "same MusicBrainz id"
    if one.name == other.name:
        return "same name" if len(one.name) >= DISTINCT_LETTERS else "same short name"
    if one.name == other.head or one.head == other.name:
        return "billed with more"
    return _likeness(*sorted((one.folded, other.folded)))


@lru_cache(maxsize=65_536)
def _likeness(one: str, other: str) -> str:
    """Of two folded names that are not equal: a slip of the hand, or another act."""
    here, there = squash(one), squash(other)
    if min(len(here), len(there)) < 5 or _other_numbers(one, other) or _holds(tokens(one), tokens(other)):
        return "another act"
    near = similarity(here, there)
    heard = skeleton(here)
    if near < ALIKE and not (near >= 0.7 and len(heard) > 3 and heard == skeleton(there)):
        return "another act"
    if min(len(here), len(there)) < DISTINCT_LETTERS and _ends_with_more(one.split(), other.split()):
        return "a letter more"
    return "alike"


_DIGITS = re.compile(r"\d+")


def _other_numbers(one: str, other: str) -> bool:
    """Level 4 and Level 42: no slip of the hand. Number words are digits by now, and leading ones words again."""
    here, there = _DIGITS.findall(one), _DIGITS.findall(other)
    return here != there and (bool(here and there) or _DIGITS.findall(squash(one)) != _DIGITS.findall(squash(other)))


def _holds(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one is the other and a word more, before or behind."""
    few, many = sorted((one, other), key=len)
    more = len(many) - len(few)
    if not more:
        return False
    ends = [many[-more:]] * (many[: len(few)] == few) + [many[:more]] * (many[more:] == few)
    return any(max(map(len, words)) > 2 for words in ends)


def _ends_with_more(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether they differ in one word, by one letter at its end."""
    differ = [sorted(pair, key=len) for pair in zip(one, other, strict=False) if pair[0] != pair[1]]
    return (
        len(one) == len(other)
        and len(differ) == 1
        and len(differ[0][1]) == len(differ[0][0]) + 1
        and differ[0][1].startswith(differ[0][0])
    )


def _place_level(one: _Record, other: _Record) -> str | None:
    level = _places_level(one.listing.place, other.listing.place)
    if level in (
        "like venue",
        "other room of the venue",
        "other venue",
        "other venue of a suburb",
    ) and not one.venues.isdisjoint(other.venues):
        return "same venue"  # a hall that was renamed
    if level in ELSEWHERE and max(len(one.name), len(other.name)) < DISTINCT_LETTERS:
        return "elsewhere, of a short name"
    return level


@lru_cache(maxsize=65_536)
def _places_level(one: Place, other: Place) -> str | None:
    if _far(one, other):
        return "far"
    venue = venue_relation(one.name, other.name, one.city or other.city)
    town = town_relation(one, other).near
    if town is Near.FAR:
        return "other town"
    if venue is SameVenue.SAME:
        return "same venue" if town is not Near.OTHER else "like venue"
    if venue is SameVenue.PART:
        return "part of the venue" if town is not Near.OTHER else "like venue"
    if town is Near.OTHER:
        return "other town" if venue is SameVenue.DIFFERENT else "another town's name"
    if venue is SameVenue.SIMILAR:
        return "like venue"
    if venue is SameVenue.ROOM:
        return "other room of the venue"
    if venue is SameVenue.DIFFERENT:
        return "other venue of a suburb" if town is Near.SUBURB else "other venue"
    return {Near.SAME: "same town", Near.SUBURB: "suburb"}.get(town)


def _night_level(one: _Record, other: _Record) -> str:
    return "same night" if one.night == other.night else "a day off"


def _hour_level(one: _Record, other: _Record) -> str | None:
    apart = _hours_apart(one, other)
    if apart is None:
        return None
    return "same hour" if apart <= SAME_HOUR else "doors and start" if apart <= NEAR_HOUR else "other hour"


def _hours_apart(one: _Record, other: _Record) -> timedelta | None:
    """Between two starts of one night; a source that is a day off is so with its starts."""
    here, there = one.listing.start_at, other.listing.start_at
    if here is None or there is None or one.night != other.night:
        return None
    return abs((here + (one.night - one.listing.night)) - (there + (other.night - other.listing.night)))


def _songs_level(one: _Record, other: _Record) -> str | None:
    if not one.songs or not other.songs:
        return None
    share = len(one.songs & other.songs) / len(one.songs | other.songs)
    if share >= 0.15:
        return "same songs" if share >= 0.6 else "many of the songs" if share >= 0.35 else "some of the songs"
    return "other songs"


def _room_level(one: _Record, other: _Record) -> str | None:
    here, there = one.listing.place.room, other.listing.place.room
    return None if not here or not there else "same room" if fold(here) == fold(there) else "other room"


def _fate_level(one: _Record, other: _Record) -> str | None:
    if (one.listing.status is Status.CANCELLED) != (other.listing.status is Status.CANCELLED):
        return "one cancelled"
    return "both played" if bool(one.songs) == bool(other.songs) else None


def _page_level(one: _Record, other: _Record) -> str | None:
    return "same page" if one.page is not None and one.page == other.page else None


def _show_level(one: _Record, other: _Record) -> str | None:
    return "same show of the night" if one.slot is not None and one.slot == other.slot else None


def _set_level(one: _Record, other: _Record) -> str | None:
    if one.records != other.records:
        return "DJ set and band"
    return "both DJ sets" if one.records else None


def _turn_level(one: _Record, other: _Record) -> str:
    return "same turn" if one.turn == other.turn else "other turn"


def _veto(one: _Record, other: _Record) -> str | None:
    if one.tribute != other.tribute and one.name != other.head and one.head != other.name:
        # A tribute's head is what it calls itself ('Remode'), never whom it plays.
        return "a tribute and its original"
    if one.mbid is not None and other.mbid is not None and one.mbid != other.mbid:
        return "two MusicBrainz ids"
    if one.listing.source == other.listing.source and (
        any(_two_shows(a, b) for a in one.claims for b in other.claims) or _place_level(one, other) in ELSEWHERE
    ):
        return "two shows of one source"
    if _early_and_late(one, other):
        return "an early and a late show"
    if one.night != other.night and not _one_night(one, other):
        return "another night"
    return None


def _early_and_late(one: _Record, other: _Record) -> bool:
    """Two shows of one night: in words, or by their hours.

    Not by the hours of a festival, whose gates open at noon, nor after midnight, where sources put the hours that they
    do not know, nor by twelve hours, which is a clock of twelve misread.
    """
    if one.slot is not None and other.slot is not None:
        return one.slot != other.slot
    apart = _hours_apart(one, other)
    if apart is None or apart < FAR_HOUR or apart == timedelta(hours=12):
        return False
    if one.listing.festival or other.listing.festival:
        return False
    clocks = (_clock(one.listing), _clock(other.listing))
    if any(clock is not None and clock < time(AFTER_MIDNIGHT) for clock in clocks):
        return False
    return _page_level(one, other) is None and _songs_level(one, other) not in ("same songs", "many of the songs")


def _one_night(one: _Record, other: _Record) -> bool:
    """Whether two neighbouring nights are one that a source has a day off: the act, the venue and the clock agree.

    Not where any source lists the act on both nights: those are two nights of a run.
    """
    if min(one.night, other.night) in one.runs | other.runs:
        return False
    if _act_level(one, other) not in ("same MusicBrainz id", "same name", "same short name"):
        return False
    if _place_level(one, other) not in ("same venue", "part of the venue"):
        return False
    if one.songs and other.songs and _songs_level(one, other) not in ("same songs", "many of the songs"):
        return False
    return any(
        firm.night in doubtful.nights and _clocks_agree(doubtful.listing, firm.listing)
        for doubtful, firm in ((one, other), (other, one))
    )


def _clocks_agree(doubtful: Listing, other: Listing) -> bool:
    """Whether the doubtful listing's hour allows the other's night; without an hour, its source is known for it."""
    start, tz = doubtful.start_at, zone(doubtful.place.tz) if doubtful.place.tz else None
    if start is None:
        return True
    if tz is None:
        there = zone(other.place.tz) if other.place.tz else None
        return there is not None and evening_of(start.astimezone(there).replace(tzinfo=None)) == other.night
    if start.astimezone(tz).strftime("%H:%M:%S") == "00:00:00" or other.start_at is None:
        return True
    return abs(abs(start - other.start_at) - timedelta(days=1)) <= NEAR_HOUR


def _keys(record: _Record) -> Iterable[str]:
    """Finer than a block's: of a bill's acts only those with a beginning, an end or a sound in common."""
    for night in record.nights:
        yield f"{night}:{record.heard}"
        yield f"{night}:{skeleton(record.head)}"
        if record.mbid is not None:
            yield f"{night}:{record.mbid}"
    if len(record.name) >= 5:
        yield f"{record.night}^{record.name[:4]}"
        yield f"{record.night}${record.name[-4:]}"


MODEL: Model[_Record] = Model(
    order=lambda record: record.order,
    source=lambda record: record.origin,
    keys=_keys,
    comparisons=(
        Comparison("act", _act_level, ACT),
        Comparison("place", _place_level, PLACE),
        Comparison("night", _night_level, NIGHT),
        Comparison("hour", _hour_level, HOUR),
        Comparison("songs", _songs_level, SONGS),
        Comparison("room", _room_level, ROOM),
        Comparison("fate", _fate_level, FATE),
        Comparison("page", _page_level, PAGE),
        Comparison("show", _show_level, SHOW),
        Comparison("set", _set_level, SET),
        Comparison("turn", _turn_level, TURN),
    ),
    prior=PRIOR,
    veto=_veto,
    apart=lambda one, other: _act_level(one, other) == "another act",
    identity=lambda record: None if record.mbid is None else (record.night, record.mbid),
)
"""The field list of listings. Bits are frozen: a change re-resolves everything."""


@lru_cache(maxsize=65_536)
def _far(one: Place, other: Place) -> bool:
    """Known to be in towns that one night cannot hold both of."""
    if one.country and other.country and one.country != other.country and not (points(one) and points(other)):
        return True
    here, there = points(one), points(other)
    return bool(here and there) and min(distance_km(a, b) for a in here for b in there) > APART_KM


# -- resolve ----------------------------------------------------------------------------------------------------------


def resolve(listings: Sequence[Listing], venues: Sequence[Venue] = (), day_off: Collection[str] = ()) -> list[Concert]:
    """The concerts that these listings speak of; the same for any order, and block by block.

    Of several versions of a listing the newest counts. `day_off`: sources known to date shows a day off. Sorted by
    night, then id; `rev` is 0: the store counts.
    """
    newest = list(_newest(listings, lambda one: one.listing_id).values())
    newest.sort(key=lambda one: str(one.listing_id))
    known_venues = _newest(venues, lambda one: one.venue_id)
    by_key: dict[str, list[Venue]] = defaultdict(list)
    for venue in sorted(known_venues.values(), key=lambda one: str(one.venue_id)):
        for key in venue_keys(venue):
            by_key[key].append(venue)
    concerts = [concert for block in _blocks(newest, day_off) for concert in _resolve_block(block, by_key, day_off)]
    return sorted(concerts, key=lambda one: (one.night, str(one.concert_id)))


V = TypeVar("V", Listing, Venue)


def _newest(rows: Iterable[V], identity: Callable[[V], UUID]) -> dict[UUID, V]:
    """The newest version of each; equal versions with unlike content fall the same way in every order."""
    newest: dict[UUID, V] = {}
    for row in rows:
        held = newest.get(identity(row))
        if held is None or row.version > held.version or _ties_above(row, held):
            newest[identity(row)] = row
    return newest


def _ties_above(row: V, held: V) -> bool:
    return row.version == held.version and row != held and row.to_bytes() > held.to_bytes()


def _blocks(listings: Sequence[Listing], day_off: Collection[str]) -> list[list[Listing]]:
    """Connected by shared keys."""
    joined = Sets(len(listings))
    first: dict[str, int] = {}
    for index, listing in enumerate(listings):
        for key in block_keys(listing, day_off):
            joined.join(first.setdefault(key, index), index)
    return [[listings[index] for index in block] for block in joined.groups()]


class Sets:
    """Disjoint sets of 0..n-1; each is known by its smallest."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))

    def find(self, index: int) -> int:
        """The smallest of its set."""
        while self.parent[index] != index:
            self.parent[index] = self.parent[self.parent[index]]
            index = self.parent[index]
        return index

    def join(self, one: int, other: int) -> None:
        """Makes two sets one."""
        one, other = self.find(one), self.find(other)
        if one != other:
            self.parent[max(one, other)] = min(one, other)

    def groups(self) -> list[list[int]]:
        """The sets, by their smallest."""
        found: dict[int, list[int]] = defaultdict(list)
        for index in range(len(self.parent)):
            found[self.find(index)].append(index)
        return list(found.values())


def _resolve_block(block: Sequence[Listing], venues: dict[str, list[Venue]], day_off: Collection[str]) -> list[Concert]:
    # Only venues that the block's own listings find: another block's would tell a listing without a town of itself.
    near = [venue for listing in block for key in listing_venue_keys(listing) for venue in venues.get(key, ())]
    aliases = VenueAliases(near) if near else None
    clusters = {}
    for group in cluster(_records(block, day_off, aliases), MODEL):
        claims = sorted((claim for record in group for claim in record.claims), key=_order)
        clusters[ids.concert_id(claims[0].listing.listing_id, claims[0].act.name)] = claims
    drafts = {concert_id: _concert(concert_id, claims, venues, day_off) for concert_id, claims in clusters.items()}
    where = {
        (claim.listing.listing_id, claim.act.name): concert_id
        for concert_id, claims in clusters.items()
        for claim in claims
    }
    parents = _festivals(block)
    concerts = []
    for concert_id, claims in clusters.items():
        update: dict[str, object] = {}
        if any(len(claim.listing.acts) > 1 for claim in claims):
            update["bill"] = _bill(concert_id, claims, where, drafts)
        if parents:
            update["parent"] = _parent(claims, parents)
        concerts.append(drafts[concert_id].model_copy(update=update) if update else drafts[concert_id])
    return concerts


def _order(claim: _Claim) -> tuple[str, str]:
    return claim.order


def _acts(listing: Listing) -> list[Act]:
    """Each act once."""
    seen: dict[str, Act] = {}
    for act in listing.acts:
        seen.setdefault(fold(act.name), act)
    return list(seen.values())


# -- one concert out of its claims ------------------------------------------------------------------------------------


def _concert(
    concert_id: UUID, cluster: Sequence[_Claim], venues: dict[str, list[Venue]], day_off: Collection[str]
) -> Concert:
    """Every field by a vote of the sources, ties to the smallest listing id; `cluster` is sorted by it."""
    voices = _voices(cluster)
    listings = [claim.listing for claim in voices]
    night = _night(listings, day_off)
    standing = [listing for listing in listings if listing.status is not Status.CANCELLED] or listings
    anchor = _place_of(standing)
    place, venue_id = _with_venue(_filled(anchor, [listing.place for listing in standing]), listings, venues)
    start = _start([listing for listing in standing if listing.night == night])
    artist = _vote([claim.act.name for claim in voices])
    return Concert(
        concert_id=concert_id,
        artist=artist,
        artist_key=fold(artist)[:2_000],
        artist_mbid=_vote([claim.act.mbid for claim in cluster if claim.act.mbid]) if _has_mbid(cluster) else None,
        night=night,
        place=place,
        venue_id=venue_id,
        start_at=start.start_at if start else None,
        start_precision=start.start_precision if start else StartPrecision.UNKNOWN,
        status=_status(listings),
        title=_most(listing.title for listing in standing),
        festival=_most(listing.festival for listing in standing) or _most(listing.festival for listing in listings),
        tour=_most(listing.tour for listing in standing),
        songs=max((claim.listing.songs for claim in cluster), key=len),
        role=_role(voices),
        vanished=all(claim.listing.vanished for claim in cluster),
        members=tuple(
            Member(
                listing_id=claim.listing.listing_id,
                source=claim.listing.source,
                source_id=claim.listing.source_id,
                version=claim.listing.version,
                act=claim.act.name,
                url=claim.listing.url,
                payload_hash=claim.listing.payload_hash,
            )
            for claim in cluster
        ),
    )


def _voices(cluster: Sequence[_Claim]) -> list[_Claim]:
    """One for each source, its newest: a page that was replaced does not outvote its successor."""
    newest: dict[str, _Claim] = {}
    for claim in cluster:
        held = newest.get(claim.listing.source)
        if held is None or claim.listing.version > held.listing.version:
            newest[claim.listing.source] = claim
    return sorted(newest.values(), key=_order)


def _night(listings: Sequence[Listing], day_off: Collection[str]) -> date:
    """Where they differ by a day: what those say that know its start, else most of those that can mean no other night.

    The earlier on a tie. Midnight sharp is an hour that is not known.
    """
    nights = {listing.night for listing in listings}
    if len(nights) == 1:
        return listings[0].night
    timed = [one.night for one in listings if one.source not in day_off and (_clock(one) or time()) != time()]
    firm = [listing.night for listing in listings if len(nights_of(listing, day_off)) == 1]
    return _vote(sorted(timed or firm or nights))


def _has_mbid(cluster: Sequence[_Claim]) -> bool:
    return any(claim.act.mbid for claim in cluster)


def _vote(values: Sequence[H]) -> H:
    """The most frequent; the first of those on a tie."""
    counts = Counter(values)
    return max(values, key=lambda value: counts[value])


def _most(values: Iterable[str | None]) -> str | None:
    said = [value for value in values if value]
    return _vote(said) if said else None


def _role(cluster: Sequence[_Claim]) -> Role:
    """Only bills of several tell roles."""
    roles = [claim.act.role for claim in cluster if len(claim.listing.acts) > 1]
    return _vote(roles) if roles else Role.HEADLINE


def _start(listings: Sequence[Listing]) -> Listing | None:
    timed = [listing for listing in listings if listing.start_at is not None]
    exact = [listing for listing in timed if listing.start_precision is StartPrecision.MINUTE] or timed
    if not exact:
        return None
    often = _vote([listing.start_at for listing in exact])
    return next(listing for listing in exact if listing.start_at == often)


def _place_of(listings: Sequence[Listing]) -> Place:
    """The place most agree on; then the one that says most."""
    towns = Counter(_town(listing.place) for listing in listings if listing.place.city)
    named = Counter(venue_key(listing.place.name) for listing in listings if listing.place.name)
    return max(
        (listing.place for listing in listings),
        key=lambda place: (
            towns[_town(place)] if place.city else 0,
            named[venue_key(place.name)] if place.name else 0,
            place.lat is not None,
            sum(1 for name in ("name", "city", "region", "country") if getattr(place, name)),
        ),
    )


def _filled(place: Place, others: Sequence[Place]) -> Place:
    """With what the others know of the same town."""
    near = [
        other for other in others if other == place or town_relation(place, other).near is Near.SAME or place == Place()
    ]
    missing: dict[str, object] = {}
    for name in ("city", "region", "country", "tz"):
        if getattr(place, name) is None:
            missing |= next(({name: getattr(other, name)} for other in near if getattr(other, name)), {})
    venue = [other for other in near if place.name is None or venue_relation(place.name, other.name) is SameVenue.SAME]
    for name in ("name", "room"):
        if getattr(place, name) is None:
            missing |= next(({name: getattr(other, name)} for other in venue if getattr(other, name)), {})
    if place.lat is None:
        spot = next((other for other in (*venue, *near) if other.lat is not None), None)
        if spot is not None:
            missing |= {"lat": spot.lat, "lon": spot.lon}
    return place.model_copy(update=missing) if missing else place


def _with_venue(place: Place, listings: Sequence[Listing], venues: dict[str, list[Venue]]) -> tuple[Place, UUID | None]:
    """What the venue's own record adds: its id, coordinates, zone, town."""
    if not venues or not place.name:
        return place, None
    found: dict[UUID, Venue] = {}
    for listing in listings:
        # Only the venue that the concert's place names, not that of a listing which was outvoted.
        if listing.place.name and venue_key(listing.place.name) == venue_key(place.name):
            for key in listing_venue_keys(listing):
                found |= {venue.venue_id: venue for venue in venues.get(key, ())}
    fitting = [venue for venue in found.values() if not venue.vanished and not _far(venue.place, place)] or [
        venue for venue in found.values() if not _far(venue.place, place)
    ]
    if not fitting:
        return place, None
    best = min(
        fitting,
        key=lambda venue: (
            venue_key(venue.name) != venue_key(place.name or ""),
            venue.place.lat is None,
            str(venue.venue_id),
        ),
    )
    missing: dict[str, object] = {
        name: getattr(best.place, name)
        for name in ("city", "region", "country")
        if getattr(place, name) is None and getattr(best.place, name) is not None
    }
    if place.lat is None and best.place.lat is not None:
        missing |= {"lat": best.place.lat, "lon": best.place.lon}
    tz = place.tz or time_zone(best.place)
    if tz:
        missing["tz"] = tz
    return place.model_copy(update=missing), best.venue_id


def _status(listings: Sequence[Listing]) -> Status:
    """The latest word of those sources that speak about it; of one moment what most say, then the graver.

    Songs prove the show. `announced` is no word: it is what a source says that never looked again, so it lifts no
    cancellation of another source. Nor does a `happened` without songs, which sites write by the calendar. A cancelled
    booking in another town is not this night's.
    """
    if any(listing.songs for listing in listings):
        return Status.HAPPENED
    here = [listing for listing in listings if listing.status is not Status.CANCELLED]
    words = [
        listing
        for listing in listings
        if listing.status in _GRAVITY
        and not (listing.status is Status.CANCELLED and here and all(_elsewhere(listing, other) for other in here))
    ]
    if words:
        last = [listing.status for listing in words if listing.seen_at == max(word.seen_at for word in words)]
        return max(last, key=lambda status: (last.count(status), _GRAVITY.index(status)))
    return Status.HAPPENED if any(listing.status is Status.HAPPENED for listing in listings) else Status.ANNOUNCED


_GRAVITY = (Status.MOVED, Status.POSTPONED, Status.CANCELLED)


def _elsewhere(one: Listing, other: Listing) -> bool:
    return _far(one.place, other.place)


# -- bills and festivals ----------------------------------------------------------------------------------------------


def _bill(
    concert_id: UUID,
    cluster: Sequence[_Claim],
    where: dict[tuple[UUID, str], UUID],
    concerts: dict[UUID, Concert],
) -> tuple[BillAct, ...]:
    """The other acts of the listings that the concert is made of."""
    roles: dict[UUID, Role] = {}
    for claim in cluster:
        for act in _acts(claim.listing):
            other = where[(claim.listing.listing_id, act.name)]
            if other != concert_id:
                roles[other] = Role.HEADLINE if Role.HEADLINE in (act.role, roles.get(other)) else Role.SUPPORT
    bill = [BillAct(concert_id=other, artist=concerts[other].artist, role=role) for other, role in roles.items()]
    bill.sort(key=lambda act: (act.role is not Role.HEADLINE, fold(act.artist), str(act.concert_id)))
    return tuple(bill[:MOST_OF_BILL])


def _festivals(block: Sequence[Listing]) -> dict[str, UUID]:
    """The parent of each festival of the block, by its key."""
    smallest: dict[str, UUID] = {}
    for listing in block:  # sorted by listing id
        if listing.festival:
            smallest.setdefault(_festival_key(listing), listing.listing_id)
    return {key: ids.festival_id(first) for key, first in smallest.items()}


_FESTIVAL_WORDS = re.compile(
    r"\b(?:festivals?|festivalen|open ?air|annual|edition|edici[oó]n|edição|edizione|ausgabe"
    r"|(?:day|tag|jour|dia|giorno|dag|dzien) \d{1,2}|\d{1,2}(?:st|nd|rd|th|er|e|o|a)? (?:day|tag|jour|dia|giorno|dag)"
    r"|(?:19|20)\d\d)\b"
)


@lru_cache(maxsize=65_536)
def _festival_name(name: str, year: int) -> str:
    """What sets a festival apart: no 'festival', year, day or number of its edition. Its year is the night's."""
    words = fold(_FESTIVAL_WORDS.sub(" ", fold(name))).split()
    if len(words) > 1 and words[-1] == f"{year % 100:02}":
        words = words[:-1]
    return "".join(words) or fold(name)


def _festival_key(listing: Listing) -> str:
    """Its name, year and town, however they are written."""
    return (
        f"{listing.night.year}:{_festival_name(listing.festival or '', listing.night.year)[:80]}:{_town(listing.place)}"
    )


def _parent(cluster: Sequence[_Claim], parents: dict[str, UUID]) -> UUID | None:
    found = [parents[_festival_key(claim.listing)] for claim in cluster if claim.listing.festival]
    return min(found, key=str) if found else None

"""What speaks for and against a pair of an entry and a concert, in bits, each with a class and words for people."""

from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from math import log2
from zoneinfo import ZoneInfo

from matchers import weights as w
from matchers.dates import Precision, When
from matchers.places import (
    Near,
    SameVenue,
    distance_km,
    points,
    region_code,
    the_city,
    town_relation,
    venue_relation,
)
from matchers.text import edits, fold, initials, is_tribute, letters, names, similarity, squash, tokens
from matchers.understand import Understood
from schemas.concert import Concert
from schemas.listing import Place, StartPrecision


@dataclass(frozen=True, slots=True)
class Piece:
    """One field's evidence. `level` is its class: what a signature is made of."""

    field: str
    level: str
    bits: float
    text: str


def evidence(told: Understood, concert: Concert) -> list[Piece]:
    """All that can be compared; what one side does not say is worth nothing either way."""
    pieces = []
    if told.artist is not None:
        pieces.append(_artist(told.artist, concert.artist))
    if told.whens:
        pieces.append(_date(told.whens, concert.night))
    pieces += _place(told.place, concert.place)
    if told.songs and concert.songs:
        pieces.append(_songs(told.songs, concert.songs))
    if told.hour is not None and concert.start_at is not None and concert.start_precision is StartPrecision.MINUTE:
        pieces.append(_time(told, concert.start_at, concert.place.tz))
    pieces.append(Piece("prior", "prior", w.PRIOR, "one of about a million concerts"))
    return pieces


# -- artist -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=262_144)
def _artist(typed: str, artist: str) -> Piece:
    level = artist_level(typed, artist)
    bits = w.ARTIST[level]
    if level == "exact":
        if len(squash(artist)) <= 3:
            bits += w.SHORT_NAME
        return Piece("artist", level, bits, "same artist")
    if is_tribute(typed) != is_tribute(artist):
        return Piece("artist", "tribute", w.TRIBUTE, "one plays the other's songs")
    text = {
        "part": f"'{typed}' is part of the name, or the other way round",
        "close": f"artist spelled '{typed}'",
        "similar": f"artist written like '{typed}'",
        "related": f"shares a word with '{typed}'",
        "different": f"another artist than '{typed}'",
    }[level]
    return Piece("artist", level, bits, text[:500])


SLIPS = 2
"""Of the hand, in one name: letters left out, put in, changed or swapped."""


def artist_level(typed: str, artist: str) -> str:
    """exact, part, close, similar, related or different; never by the words in common alone."""
    a, b = squash(typed), squash(artist)
    if a == b:
        return "exact"
    if is_tribute(typed) != is_tribute(artist):
        return "different"
    heads, others = {squash(name) for name in names(typed)}, {squash(name) for name in names(artist)}
    if heads & others - {""}:
        return "part"
    slips = min(edits(a, b, SLIPS), edits(letters(typed), letters(artist), SLIPS))
    shortest, longest = sorted((len(a), len(b)))
    if slips <= SLIPS and shortest >= (7 if slips == 2 else 5 if slips == 1 else 3):
        return "close"
    # 'OMD', 'CSS': the initials, and long enough not to be chance.
    if (len(a) > 2 and a == initials(artist)) or (len(b) > 2 and b == initials(typed)):
        return "part"
    words, said = tokens(typed), tokens(artist)
    if _leads(words, said) or _leads(said, words):
        return "part"
    if slips <= SLIPS and shortest >= (5 if slips == 2 else 3):
        return "similar"
    if longest >= 6 and similarity(a, b) >= 0.72:
        return "similar"
    shared = {word for word in set(words) & set(said) if len(word) > 3}
    if shared and sum(map(len, shared)) * 2 >= min(len(a), len(b)):
        return "related" if len(shared) == 1 else "similar"
    if min(len(a), len(b)) >= 3 and (a.startswith(b) or b.startswith(a)):
        return "related"
    return "different"


def _leads(few: tuple[str, ...], many: tuple[str, ...]) -> bool:
    """All words of one at the start or end of the other: 'Ziggy Marley' of '... and the Melody Makers'."""
    if not few or len(few) >= len(many) or sum(map(len, few)) < 4:
        return False
    return many[: len(few)] == few or many[-len(few) :] == few


# -- date -------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=262_144)
def _date(whens: tuple[When, ...], night: date) -> Piece:
    days = sum(when.days for when in whens)
    holding = next((when for when in whens if night in when), None)
    if holding is not None:
        if days == 1:
            return Piece("date", "same", w.SAME_NIGHT, "same night")
        bits = max(0.5, log2(w.INTERVAL_RIGHT * w.NIGHTS / days))
        if holding.days == 1:
            return Piece("date", "reading", bits, f"same night, where the date reads {_say(night)}")
        return Piece("date", f"within-{holding.precision}", bits, f"{_say(night)} is within what was typed")
    when = min(whens, key=lambda one: (one.away(night), one.start))
    off = when.away(night)
    if when.precision is not Precision.DAY:
        near = off <= max(3, when.days // 2)
        if near:
            bits = min(w.FEW_DAYS_OFF, log2(w.INTERVAL_EDGE * w.NIGHTS / (days * 2)))
            return Piece("date", "edge", bits, f"{_days(off)} outside what was typed")
        return Piece("date", "other", w.OTHER_NIGHT, f"{_days(off)} outside what was typed")
    side = "later" if night > when.end else "earlier"
    if off == 1:
        return Piece("date", "day-off", w.ONE_DAY_OFF, f"one day {side} than typed")
    if off <= 7:
        return Piece("date", "days-off", w.FEW_DAYS_OFF, f"{off} days {side} than typed")
    for one in whens:
        typed = one.start
        if (typed.month, typed.day) == (night.month, night.day) and abs(typed.year - night.year) == 1:
            return Piece("date", "year-off", w.YEAR_OFF, f"the same day of {night.year}")
        if (typed.year, typed.month, typed.day) == (night.year, night.day, night.month):
            return Piece("date", "swapped", w.SWAPPED, "day and month the other way round")
    if off <= 31:
        return Piece("date", "month-off", w.MONTH_OFF, f"{off} days {side} than typed")
    return Piece("date", "other", w.OTHER_NIGHT, f"another night: {_say(night)}")


def in_time(told: Understood, night: date) -> bool:
    """Whether the night is one that was typed; without a date every night is."""
    return not told.whens or any(night in when for when in told.whens)


def _say(night: date) -> str:
    return night.isoformat()


def _days(count: int) -> str:
    return "one day" if count == 1 else f"{count} days"


# -- place ------------------------------------------------------------------------------------------------------------


def _place(typed: Place, place: Place) -> list[Piece]:
    """Coordinates before names; regions and countries only where towns cannot be compared; then the venue."""
    if typed == _NOWHERE:
        return []
    return list(_place_pieces(typed, place))


_NOWHERE = Place()


@lru_cache(maxsize=131_072)
def _place_pieces(typed: Place, place: Place) -> tuple[Piece, ...]:
    pieces = []
    here = False
    spots = points(place)
    if typed.lat is not None and typed.lon is not None and spots:
        km = min(distance_km((typed.lat, typed.lon), spot) for spot in spots)
        bits = next((bits for limit, bits in w.DISTANCE.items() if km <= limit), w.DISTANCE_FAR)
        here = km <= 40
        pieces.append(Piece("distance", f"within-{_ring(km)}", bits, f"{_km(km)} away"))
    else:
        town = _town(typed, place)
        if town is not None:
            here = town.level in ("same", "suburb")
            pieces.append(town)
        elif typed.region and place.region and _same_region(typed, place) is not None:
            same = bool(_same_region(typed, place))
            pieces.append(
                Piece(
                    "region",
                    "same" if same else "different",
                    w.REGION[same],
                    "same region" if same else "another region",
                )
            )
        elif typed.country and place.country:
            same = typed.country == place.country
            pieces.append(
                Piece(
                    "country",
                    "same" if same else "different",
                    w.COUNTRY[same],
                    "same country" if same else "another country",
                )
            )
    venue = venue_relation(typed.name, place.name, typed.city or place.city)
    if venue is not SameVenue.UNKNOWN:
        far = bool(pieces) and not here
        table = w.VENUE_HERE if pieces else w.VENUE_ALONE
        bits = min(0.0, table[venue]) if far else table[venue]
        pieces.append(Piece("venue", venue.value, bits, _venue_text(venue, typed.name or "", place.name or "")))
    return tuple(pieces)


def _town(typed: Place, place: Place) -> Piece | None:
    relation = town_relation(typed, place)
    if relation.near is Near.UNKNOWN:
        return None
    if relation.near is Near.FAR:
        away = f", {_km(relation.km)} away" if relation.km is not None else ""
        return Piece("city", "far", w.TOWN_FAR, f"{place.city} is another town{away}"[:500])
    if relation.near is Near.OTHER:
        return Piece("city", "other", w.TOWN_OTHER, f"{place.city} is another name than {typed.city}"[:500])
    if relation.near is Near.SUBURB:
        return Piece(
            "city", "suburb", w.TOWN_SUBURB, f"{place.city} is {_km(relation.km or 0)} from {typed.city}"[:500]
        )
    city = the_city(place.city, place.region, place.country)
    bits = w.TOWN_UNLISTED if city is None else next(b for size, b in w.TOWN_SAME.items() if city.population >= size)
    if fold(typed.city or "") == fold(place.city or ""):
        return Piece("city", "same", bits, "same town")
    return Piece("city", "same", bits, f"{typed.city} is {place.city}"[:500])


def _same_region(typed: Place, place: Place) -> bool | None:
    one = region_code(typed.region, typed.country or place.country)
    other = region_code(place.region, place.country)
    if one and other:
        return one == other
    return True if fold(typed.region or "") == fold(place.region or "") else None


def _venue_text(relation: SameVenue, typed: str, name: str) -> str:
    if relation is SameVenue.SAME:
        return "same venue"
    text = {
        SameVenue.PART: f"{typed} is {name}, or part of it",
        SameVenue.SIMILAR: f"{typed} is much like {name}",
    }.get(relation, f"{name} is another name than {typed}")
    return text[:500]


def _ring(km: float) -> str:
    return next((f"{limit:g}" for limit in w.DISTANCE if km <= limit), "far")


def _km(km: float) -> str:
    return f"{km * 1000:.0f} m" if km < 1 else f"{km:.0f} km"


# -- songs and hour ---------------------------------------------------------------------------------------------------


def _songs(typed: frozenset[str], songs: tuple[str, ...]) -> Piece:
    played = frozenset(map(fold, songs))
    found = sum(1 for song in typed if song in played or any(similarity(song, one) >= 0.85 for one in played))
    missing = len(typed) - found
    miss = w.SONG_MISSING if len(songs) >= w.SETLIST_COMPLETE else w.SONG_MISSING / 2
    bits = max(-w.SONGS_MOST, min(w.SONGS_MOST, found * w.SONG_PLAYED + missing * miss))
    of = "your song" if len(typed) == 1 else f"{found} of your {len(typed)} songs"
    text = f"{of} {'was' if found == 1 or len(typed) == 1 else 'were'} played"
    if len(typed) == 1 and not found:
        text = "your song was not played"
    return Piece("songs", f"{found}/{len(typed)}", bits, text)


def _time(told: Understood, start: datetime, tz: str | None) -> Piece:
    local = start.astimezone(ZoneInfo(tz)) if tz else start
    assert told.hour is not None
    apart = abs((local.hour - told.hour.hour) * 60 + local.minute - told.hour.minute)
    apart = min(apart, 24 * 60 - apart)
    if apart <= 120:
        return Piece("time", "near", w.TIME_NEAR, f"began at {local:%H:%M}")
    return Piece(
        "time", "far" if apart > 300 else "apart", w.TIME_FAR if apart > 300 else 0.0, f"began at {local:%H:%M}"
    )

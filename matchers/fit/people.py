"""Concerts as people might type them, where nobody has typed any: what a catalogue alone can be fitted on.

Rates   assumed, not measured: what is kept of a show by heart, and how often the hand slips. What the fit learns is not
        these rates but how slips and gaps come out as levels among the names, towns and nights of this catalogue.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from matchers.fit.counts import drawn
from matchers.judge.variants import Draw, slips
from matchers.places import known
from matchers.resolve import resolve
from schemas.concert import Concert
from schemas.history import Entry
from schemas.listing import Listing, Status
from schemas.rows import FED_AT

USER = "simulated"
MOST = 4_000
"""Concerts that are typed."""

# Of a hundred lines.
NIGHT, MONTH, YEAR = 80, 13, 5
"""Dates to the night, the month, the year; the rest have none."""
DAY_OFF, DAYS_OFF, YEAR_OFF = 3, 1, 1
"""Of dates to the night."""
SLIP_ARTIST, SLIP_VENUE = 15, 15
TOWN, VENUE, COUNTRY = 85, 50, 20
HOUR = 5
SONGS = 10
WRONG_SONG = 15


def typed(concert: Concert, draw: Draw) -> Entry:
    """The concert as somebody might log it."""
    place = concert.place
    artist = slips(concert.artist, draw) if draw.chance(SLIP_ARTIST) else concert.artist
    venue, city = known(place.name), known(place.city)
    if venue is not None and draw.chance(SLIP_VENUE):
        venue = slips(venue, draw)
    kept = {"venue": draw.chance(VENUE), "city": draw.chance(TOWN), "country": draw.chance(COUNTRY)}
    told = {"venue": venue, "city": city, "country": place.country}
    songs = sorted({song for song in concert.songs if song.strip()})
    sung = draw.sample(songs, 2 + draw.below(3)) if songs and draw.chance(SONGS) else []
    if sung and draw.chance(WRONG_SONG):
        sung[-1] = slips(sung[-1], draw)
    return Entry(
        user=USER,
        entry_id=str(concert.concert_id),
        seen_at=FED_AT,
        artist=artist,
        date=_date(concert, draw),
        songs=tuple(sung),
        time=_hour(concert) if draw.chance(HOUR) else None,
        **{name: value for name, value in told.items() if value and kept[name]},
    )


def _date(concert: Concert, draw: Draw) -> str | None:
    night, kind = concert.night, draw.below(100)
    if kind >= NIGHT + MONTH + YEAR:
        return None
    if kind >= NIGHT + MONTH:
        return f"{night.year:04}"
    if kind >= NIGHT:
        return f"{night.year:04}-{night.month:02}"
    slip = draw.below(100)
    sign = draw.pick((-1, 1))
    if slip < DAY_OFF:
        night += timedelta(days=sign)
    elif slip < DAY_OFF + DAYS_OFF:
        night += timedelta(days=sign * (2 + draw.below(6)))
    elif slip < DAY_OFF + DAYS_OFF + YEAR_OFF and (night.month, night.day) != (2, 29):
        night = night.replace(year=night.year + sign)
    return night.isoformat()


def _hour(concert: Concert) -> str | None:
    return None if concert.start_at is None else f"{concert.start_at:%H:%M}"


def type_all(concerts: Iterable[Concert], seed: int = 0) -> list[Entry]:
    """Up to `MOST` of these concerts as typed, the same ones whatever their order; not those that were cancelled."""
    stood = [one for one in concerts if one.status is not Status.CANCELLED and 1900 < one.night.year < 9990]
    stood.sort(key=lambda one: (drawn(seed, "typed", one.concert_id), one.concert_id))
    return [typed(one, Draw(seed, "people", one.concert_id)) for one in stood[:MOST]]


def two_sides(concerts: Sequence[Concert], listings: Iterable[Listing]) -> tuple[list[Concert], list[Concert]]:
    """Where sources tell of the same show: what one of them says, to be typed, and all that the others say.

    `concerts` are resolved from the listings, and tell which belong together; the link itself is not used again. The
    second is the whole catalogue without the listings of the first.
    """
    shared = [one for one in concerts if len({member.source for member in one.members}) > 1]
    told: set[object] = set()
    for concert in shared:
        source = Draw("side", concert.concert_id).pick(sorted({member.source for member in concert.members}))
        told |= {member.listing_id for member in concert.members if member.source == source}
    both = {member.listing_id for concert in shared for member in concert.members}
    sides: tuple[list[Listing], list[Listing]] = ([], [])
    for listing in listings:
        if listing.listing_id in both:
            sides[listing.listing_id not in told].append(listing)
    alone = [one for one in concerts if not any(member.listing_id in both for member in one.members)]
    return resolve(sides[0]), [*resolve(sides[1]), *alone]


__all__ = ["MOST", "USER", "two_sides", "type_all", "typed"]

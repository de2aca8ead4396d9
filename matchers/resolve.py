"""Listings -> concerts: which accounts speak of one act on one night.

Blocks      listings that share a key; small, because every key holds the night (a festival's also its year)
Concerts    of an act and a night: as many as the source that lists most of them; each other source's listings take the
            place that fits best by venue, hour, songs and order
Vetoes      another night; two MusicBrainz ids; a tribute and its original; two listings of one source
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import TypeVar
from uuid import UUID

from rapidfuzz import fuzz

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
from matchers.text import fold, is_tribute, similarity, skeleton, squash
from schemas import ids
from schemas.concert import BillAct, Concert, Member
from schemas.listing import Act, Listing, Place, Role, StartPrecision, Status
from schemas.reference import Venue

APART_KM = 150.0
"""Farther than this, two listings of one night contradict each other's place."""
DISTINCT_LETTERS = 9
"""A name of so many letters is nobody else's: listings of one night in two towns are one show and a mistake."""

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)


# -- keys -------------------------------------------------------------------------------------------------------------


def block_keys(listing: Listing) -> frozenset[str]:
    """Listings that share one belong to one block. Act and night, venue and night, festival and year."""
    night = listing.night.isoformat()
    keys = set()
    for act in listing.acts:
        keys.add(f"a:{night}:{skeleton(act.name)[:80]}")
        if act.mbid is not None:
            keys.add(f"m:{night}:{act.mbid}")
    place = listing.place
    if place.name and place.city:
        keys.add(f"v:{night}:{venue_key(place.name)[:80]}:{_town(place)}")
    if listing.festival:
        keys.add(f"f:{listing.night.year}:{fold(listing.festival)[:80]}:{_town(place)}")
    return frozenset(keys)


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


# -- resolve ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Claim:
    """One act of one listing."""

    listing: Listing
    act: Act

    @property
    def order(self) -> tuple[str, str]:
        return str(self.listing.listing_id), self.act.name


def resolve(listings: Sequence[Listing], venues: Sequence[Venue] = ()) -> list[Concert]:
    """The concerts that these listings speak of; the same for any order, and block by block.

    Of several versions of a listing the newest counts. Sorted by night, then id; `rev` is 0: the store counts.
    """
    newest = list(_newest(listings, lambda one: one.listing_id).values())
    newest.sort(key=lambda one: str(one.listing_id))
    known_venues = _newest(venues, lambda one: one.venue_id)
    by_key: dict[str, list[Venue]] = defaultdict(list)
    for venue in sorted(known_venues.values(), key=lambda one: str(one.venue_id)):
        for key in venue_keys(venue):
            by_key[key].append(venue)
    concerts = [concert for block in _blocks(newest) for concert in _resolve_block(block, by_key)]
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


def _blocks(listings: Sequence[Listing]) -> list[list[Listing]]:
    """Connected by shared keys."""
    joined = _Sets(len(listings))
    first: dict[str, int] = {}
    for index, listing in enumerate(listings):
        for key in block_keys(listing):
            joined.join(first.setdefault(key, index), index)
    return [[listings[index] for index in block] for block in joined.groups()]


class _Sets:
    """Disjoint sets of 0..n-1; each is known by its smallest."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))

    def find(self, index: int) -> int:
        while self.parent[index] != index:
            self.parent[index] = self.parent[self.parent[index]]
            index = self.parent[index]
        return index

    def join(self, one: int, other: int) -> None:
        one, other = self.find(one), self.find(other)
        if one != other:
            self.parent[max(one, other)] = min(one, other)

    def groups(self) -> list[list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for index in range(len(self.parent)):
            found[self.find(index)].append(index)
        return list(found.values())


def _resolve_block(block: Sequence[Listing], venues: dict[str, list[Venue]]) -> list[Concert]:
    claims = sorted((_Claim(listing, act) for listing in block for act in _acts(listing)), key=_order)
    clusters = {_id(cluster): cluster for group in _same_acts(claims) for cluster in _shows(group)}
    drafts = {concert_id: _concert(sorted(cluster, key=_order), venues) for concert_id, cluster in clusters.items()}
    where = {
        (claim.listing.listing_id, claim.act.name): concert_id
        for concert_id, cluster in clusters.items()
        for claim in cluster
    }
    parents = _festivals(block)
    return [
        drafts[concert_id].model_copy(
            update={"bill": _bill(concert_id, cluster, where, drafts), "parent": _parent(cluster, parents)}
        )
        for concert_id, cluster in clusters.items()
    ]


def _order(claim: _Claim) -> tuple[str, str]:
    return claim.order


def _acts(listing: Listing) -> list[Act]:
    """Each act once."""
    seen: dict[str, Act] = {}
    for act in listing.acts:
        seen.setdefault(fold(act.name), act)
    return list(seen.values())


def _id(cluster: Sequence[_Claim]) -> UUID:
    smallest = min(cluster, key=lambda claim: claim.order)
    return ids.concert_id(smallest.listing.listing_id, smallest.act.name)


# -- the same act, the same night -------------------------------------------------------------------------------------


def _same_acts(claims: Sequence[_Claim]) -> list[list[_Claim]]:
    """Claims of one act on one night: same id or same name first, then like names in one place."""
    named: dict[tuple[str, str], list[_Claim]] = defaultdict(list)
    for claim in claims:
        named[(claim.listing.night.isoformat(), squash(claim.act.name))].append(claim)
    groups = [part for _, group in sorted(named.items()) for part in _by_mbid(group)]
    groups = _merge(groups, _shared_id)
    return _merge(groups, _alike)


def _by_mbid(group: list[_Claim]) -> list[list[_Claim]]:
    """Two MusicBrainz ids are two acts of one name; who has none joins the act whose place is nearest."""
    mbids = sorted({claim.act.mbid for claim in group if claim.act.mbid}, key=str)
    if len(mbids) < 2:
        return _by_place(group) if not mbids else [group]
    parts = {mbid: [claim for claim in group if claim.act.mbid == mbid] for mbid in mbids}
    for claim in group:
        if claim.act.mbid is None:
            best = max(
                mbids,
                key=lambda mbid: (max(_place_fit(claim, other) for other in parts[mbid] if other.act.mbid), str(mbid)),
            )
            parts[best].append(claim)
    return list(parts.values())


def _by_place(group: list[_Claim]) -> list[list[_Claim]]:
    """A short name in two far towns on one night is two acts; a long one is one act and a mistake."""
    if len(group) < 2 or len(squash(group[0].act.name)) >= DISTINCT_LETTERS:
        return [group]
    joined = _Sets(len(group))
    for one in range(len(group)):
        for other in range(one):
            if not _far(group[one].listing.place, group[other].listing.place):
                joined.join(one, other)
    return [[group[index] for index in part] for part in joined.groups()]


def _merge(groups: list[list[_Claim]], score: Callable[[list[_Claim], list[_Claim]], float]) -> list[list[_Claim]]:
    """Joins groups of one night, best pair first, never two that one source tells apart."""
    by_night: dict[object, list[list[_Claim]]] = defaultdict(list)
    for group in groups:
        by_night[group[0].listing.night].append(group)
    merged = []
    for _, nightly in sorted(by_night.items(), key=lambda item: str(item[0])):
        pairs = [
            (-points_, _first(one), _first(other), index, other_index)
            for index, one in enumerate(nightly)
            for other_index, other in enumerate(nightly[:index])
            if not _vetoed(one, other) and (points_ := score(one, other)) > 0
        ]
        joined = _Sets(len(nightly))
        content = dict(enumerate(nightly))
        for *_, index, other_index in sorted(pairs):
            one_root, other_root = joined.find(index), joined.find(other_index)
            if one_root == other_root or _vetoed(content[one_root], content[other_root]):
                continue
            together = content[one_root] + content[other_root]
            joined.join(one_root, other_root)
            content[joined.find(one_root)] = together
        merged += [content[joined.find(part[0])] for part in joined.groups()]
    return merged


def _first(group: Sequence[_Claim]) -> tuple[str, str]:
    return min(claim.order for claim in group)


def _vetoed(one: Sequence[_Claim], other: Sequence[_Claim]) -> bool:
    if {claim.listing.source for claim in one} & {claim.listing.source for claim in other}:
        return True
    mbids = {claim.act.mbid for claim in (*one, *other)} - {None}
    if len(mbids) > 1:
        return True
    return {is_tribute(claim.act.name) for claim in one} != {is_tribute(claim.act.name) for claim in other}


def _shared_id(one: Sequence[_Claim], other: Sequence[_Claim]) -> float:
    shared = {claim.act.mbid for claim in one} & {claim.act.mbid for claim in other}
    return 1.0 if shared - {None} else 0.0


ALIKE = 0.84
"""Edits over length of two names in one venue: 'Grateful Ded' .92, 'Jaguares' and 'Jaguar' .75."""


def _alike(one: Sequence[_Claim], other: Sequence[_Claim]) -> float:
    """Like names that two sources put in the same place: 0 for not the same."""
    best = 0.0
    for claim in one:
        for rival in other:
            a, b = squash(claim.act.name), squash(rival.act.name)
            near = similarity(a, b)
            if near < ALIKE and not (skeleton(a) == skeleton(b) and near >= 0.7 and len(skeleton(a)) > 3):
                continue
            if len(min(a, b, key=len)) < 5 or not _same_place(claim.listing.place, rival.listing.place):
                continue
            best = max(best, near)
    return best


def _same_place(one: Place, other: Place) -> bool:
    venue = venue_relation(one.name, other.name, one.city)
    if venue in (SameVenue.SAME, SameVenue.PART):
        return not _far(one, other)
    return venue is SameVenue.UNKNOWN and town_relation(one, other).near in (Near.SAME, Near.SUBURB)


@lru_cache(maxsize=65_536)
def _far(one: Place, other: Place) -> bool:
    """Known to be in towns that one night cannot hold both of."""
    if one.country and other.country and one.country != other.country and not (points(one) and points(other)):
        return True
    here, there = points(one), points(other)
    return bool(here and there) and min(distance_km(a, b) for a in here for b in there) > APART_KM


# -- early and late ---------------------------------------------------------------------------------------------------

MOST_SHOWS = 6
"""Of one act on one night in one source, for which every assignment is tried; beyond, order decides."""


def _shows(group: Sequence[_Claim]) -> list[list[_Claim]]:
    """The shows of one act on one night: one record a source in each."""
    by_source: dict[str, list[_Claim]] = defaultdict(list)
    for claim in group:
        by_source[claim.listing.source].append(claim)
    if max(len(claims) for claims in by_source.values()) == 1:
        return [list(group)]
    # The source that tells most shows apart is the frame; the others fit in, those that tell more first.
    frame, *others = sorted(by_source, key=lambda source: (-len(by_source[source]), source))
    shows = [[claim] for claim in sorted(by_source[frame], key=_sequence)]
    for source in others:
        claims = sorted(by_source[source], key=_sequence)
        for claim, slot in zip(claims, _slots(claims, shows), strict=True):
            shows[slot].append(claim)
    return shows


def _sequence(claim: _Claim) -> tuple[str, int, str, str]:
    """Early before late: by the hour, else as the source numbers them."""
    start = claim.listing.start_at
    return (
        start.isoformat() if start else "",
        len(claim.listing.source_id),
        claim.listing.source_id,
        str(claim.listing.listing_id),
    )


def _slots(claims: Sequence[_Claim], shows: Sequence[Sequence[_Claim]]) -> tuple[int, ...]:
    """Which show each claim joins, no two the same: the best sum of fits, earlier shows on a tie."""
    fits = [[_fit(claim, show) for show in shows] for claim in claims]
    if len(shows) > MOST_SHOWS:
        taken: list[int] = []
        for row in fits:
            free = [(-row[slot], slot) for slot in range(len(shows)) if slot not in taken]
            taken.append(min(free)[1])
        return tuple(taken)
    return max(
        permutations(range(len(shows)), len(claims)),
        key=lambda slots: (round(sum(fits[row][slot] for row, slot in enumerate(slots)), 6), [-slot for slot in slots]),
    )


def _fit(claim: _Claim, show: Sequence[_Claim]) -> float:
    return max(_pair_fit(claim, other) for other in show)


def _pair_fit(claim: _Claim, other: _Claim) -> float:
    """Place, hour, songs and fate, in that order of weight."""
    fit = _place_fit(claim, other)
    one, two = claim.listing, other.listing
    if one.start_at and two.start_at:
        hours = abs((one.start_at - two.start_at).total_seconds()) / 3600
        fit += 1.5 if hours <= 0.5 else 0.5 if hours <= 1.5 else -1.0
    if one.songs and two.songs:
        a, b = set(map(fold, one.songs)), set(map(fold, two.songs))
        fit += 2.0 * len(a & b) / len(a | b)
    if one.place.room and two.place.room:
        fit += 0.5 if fold(one.place.room) == fold(two.place.room) else -0.25
    if (one.status is Status.CANCELLED) != (two.status is Status.CANCELLED):
        fit -= 1.0
    elif bool(one.songs) == bool(two.songs):
        fit += 0.1
    return fit


@lru_cache(maxsize=65_536)
def _places_fit(one: Place, other: Place) -> float:
    venue = venue_relation(one.name, other.name, one.city)
    town = town_relation(one, other).near
    fit = {SameVenue.SAME: 2.0, SameVenue.PART: 1.8, SameVenue.SIMILAR: 1.0}.get(venue, 0.0)
    fit += {Near.SAME: 1.0, Near.SUBURB: 0.5, Near.FAR: -2.0}.get(town, 0.0)
    if one.name and other.name:
        fit += 0.3 * fuzz.ratio(fold(one.name), fold(other.name)) / 100
    return fit


def _place_fit(claim: _Claim, other: _Claim) -> float:
    return _places_fit(claim.listing.place, other.listing.place)


# -- one concert out of its claims ------------------------------------------------------------------------------------


def _concert(cluster: Sequence[_Claim], venues: dict[str, list[Venue]]) -> Concert:
    """Every field by a vote whose ties fall to the smallest listing id; `cluster` is sorted by it."""
    listings = [claim.listing for claim in cluster]
    standing = [listing for listing in listings if listing.status is not Status.CANCELLED] or listings
    anchor = _place_of(standing)
    place, venue_id = _with_venue(_filled(anchor, [listing.place for listing in standing]), listings, venues)
    start = _start(standing)
    artist = _vote([claim.act.name for claim in cluster])
    return Concert(
        concert_id=_id(cluster),
        artist=artist,
        artist_key=fold(artist)[:2_000],
        artist_mbid=_vote([claim.act.mbid for claim in cluster if claim.act.mbid]) if _has_mbid(cluster) else None,
        night=listings[0].night,
        place=place,
        venue_id=venue_id,
        start_at=start.start_at if start else None,
        start_precision=start.start_precision if start else StartPrecision.UNKNOWN,
        status=_status(listings),
        title=_most(listing.title for listing in standing),
        festival=_most(listing.festival for listing in standing),
        tour=_most(listing.tour for listing in standing),
        songs=max((listing.songs for listing in listings), key=len),
        role=_role(cluster),
        vanished=all(listing.vanished for listing in listings),
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
    """What most say who say something, the latest of them on a tie.

    `announced` is what a source says that never looked again: it counts against a cancellation only when it was seen
    later. Songs prove the show. A cancelled booking in another town is not this night's.
    """
    if any(listing.songs for listing in listings):
        return Status.HAPPENED
    here = [listing for listing in listings if listing.status is not Status.CANCELLED]
    told = [
        listing
        for listing in listings
        if listing.status is not Status.ANNOUNCED
        and not (listing.status is Status.CANCELLED and here and all(_elsewhere(listing, other) for other in here))
    ]
    if not told:
        return Status.ANNOUNCED
    last_told = max(listing.seen_at for listing in told)
    later = [listing for listing in listings if listing.status is Status.ANNOUNCED and listing.seen_at > last_told]
    counts = Counter(listing.status for listing in told)
    if len(later) >= max(counts.values()):
        return Status.ANNOUNCED
    order = list(Status)
    return max(
        counts,
        key=lambda status: (
            counts[status],
            max(listing.seen_at for listing in told if listing.status is status),
            order.index(status),
        ),
    )


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
    return tuple(sorted(bill, key=lambda act: (act.role is not Role.HEADLINE, fold(act.artist), str(act.concert_id))))


def _festivals(block: Sequence[Listing]) -> dict[str, UUID]:
    """The parent of each festival of the block, by its key."""
    smallest: dict[str, UUID] = {}
    for listing in block:  # sorted by listing id
        if listing.festival:
            smallest.setdefault(_festival_key(listing), listing.listing_id)
    return {key: ids.festival_id(first) for key, first in smallest.items()}


def _festival_key(listing: Listing) -> str:
    return f"{listing.night.year}:{fold(listing.festival or '')}:{_town(listing.place)}"


def _parent(cluster: Sequence[_Claim], parents: dict[str, UUID]) -> UUID | None:
    found = [parents[_festival_key(claim.listing)] for claim in cluster if claim.listing.festival]
    return min(found, key=str) if found else None

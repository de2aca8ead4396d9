"""Whether two names mean one venue: by what sets them apart, not by the words that venues share.

Words       in one spelling (Theater, Teatro, Theatre), with slips of the hand in long ones
Kinds       hall, club, arena, ...: what a venue is. On their own they say nothing
Rooms       Werk, Studio, Main Stage, Room 2: parts of a house that has a name
What is left, without the town's name, is the venue's own; sponsors' names and renamed halls only an alias can tell
(`VenueAliases`).
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum
from functools import lru_cache

from rapidfuzz.distance import OSA

from matchers.gazetteer import SUBURB_KM, cities, country_code, distance_km, exact_cities, known, region_code
from matchers.text import edits, fold, similarity
from schemas.listing import Place
from schemas.reference import Venue

MOST_WORDS = 24
"""Of a name: what comes behind is left out, so that a text of thousands of words costs no more than a name."""

# Spellings, abbreviations and the same word in other languages. English, German, Dutch, French, Spanish, Catalan,
# Portuguese, Italian, Danish, Norwegian, Swedish, Finnish, Polish, Czech.
_SPELLINGS = {
    "theatre": "theater theaters theatres teatro teatre théâtre theatro teater teatern teatr divadlo teatteri thtr th"
    " schauspielhaus playhouse",
    "amphitheatre": "amphitheater amphiteatre amphi anfiteatro amphithéâtre amfiteatr amfitheater ampitheatre"
    " ampitheater ampithetre amphitheatres",
    "centre": "center centro zentrum centrum ctr cntr cntre keskus centret senter centers",
    "hall": "halle hal halli hallen halls sala salle sal salón salon salone zaal saal hala salen salle",
    "auditorium": "aud auditório auditori audit auditoire auditorio",
    "university": "univ uni universität universidad universidade universitat université universiteit università"
    " universitet uniwersytet universitetet u",
    "college": "coll collège colegio",
    "stadium": "stadion estadio estádio stade stadio estadi stadionul stad stadiums",
    "arena": "aréna arène arènes arenas arenan areena",
    "pavilion": "pavillion pavillon pavilhão pabellón pavelló padiglione paviljoen paviljong pav pavilon pabellon",
    "coliseum": "colosseum coliseu coliseo colisée colosseo kolosseum coliseums",
    "club": "klub clube klubb klubi nightclub nightklub discoteca disco diskothek discotheque",
    "cafe": "café caffe caffè kafe kaffee coffeehouse coffee",
    "bar": "bars bär bistro",
    "park": "parc parque parco parken puisto parks",
    "festival": "fest festivals festivalen festspiele",
    "house": "haus huis casa maison hus huset dom",
    "church": "kirche kerk église iglesia igreja chiesa kyrka kirke kathedrale cathedral kapelle chapel capela basilica"
    " kościół kirk",
    "castle": "schloss burg kasteel château castillo castelo castello slott slot zamek",
    "concert": "konzert concerten concierto conciertos concerto konsert koncert concerts concertgebouw konserthuset"
    " konzerthaus konserthus koncerthuset",
    "music": "musik musique música muziek musica musiikki muzyka muzik musical",
    "culture": "kultur cultuur cultura cultural culturel culturelle kulturní kultury kulttuuri kulturhus kulturhaus"
    " kulturhuset kulturzentrum cultuurcentrum kulturladen kulturfabrik kulturbrauerei",
    "city": "stadt ville ciudad cidade città byen stad stads staden municipal civic municipale municipio miasto",
    "memorial": "mem memoriale meml",
    "fairground": "fairgrounds messe messehalle feria fiera foire",
    "gym": "gymnasium gymnase gimnasio sporthalle sporthal sportpaleis sports"
    " sport esports deportes esportes sportzentrum",
    "ballroom": "ballrm tanzsaal ballsaal balroom",
    "meadow": "meadows wiese wiesen prairie prado",
    "garden": "gardens garten jardin jardim jardín giardino tuin jardins biergarten",
    "square": "platz plein place plaza praça piazza plaça torg torget plac sq pza",
    "open": "openair freilicht freilichtbühne outdoor outdoors",
    "stage": "bühne bühnen scene scène escenario palco podium stages bandstand",
    "room": "rooms rm raum zimmer chambre",
    "small": "kleine kleiner kleines kleinen klein petit petite petits pequeña pequeño pequena pequeno piccola piccolo"
    " lilla mały mala malá little",
    "large": "grosse grosser grosses grossen gross grote groot grand grande grandes große großer großes stora store"
    " wielka velká big great main haupt hauptbühne",
    "upper": "upstairs oben obere up superior",
    "lower": "downstairs unten untere basement cellar keller kelder cave sótano inferior down",
    "north": "nord norte noord",
    "south": "süd sud sur sul zuid",
    "east": "ost est este oost leste",
    "west": "ouest oeste",
    "performing": "perf performance",
    "arts": "art artes artistico kunst",
    "hotel": "hôtel hotels",
    "opera": "oper opéra opernhaus operahouse operahuset ooppera",
    "convention": "conv congress kongress kongresshalle congreso congressi kongresszentrum congrescentrum",
    "exhibition": "expo exposition exhib ausstellung",
    "racecourse": "racetrack raceway speedway velodrome hippodrome racing",
    "warehouse": "lager lagerhalle entrepot entrepôt magazzino almacén",
    "school": "schule école escuela escola scuola skola skole",
    "street": "strasse straat rue calle rua via gata gade str straße",
    "saint": "sankt sint san santa santo são sainte st",
    "national": "nacional nazionale nationale nationaal nacionales",
    "international": "intl int'l internacional internationale",
    "museum": "musée museo museu muzeum",
    "station": "bahnhof gare estación estação stazione",
    "live": "livemusic",
    "academy": "akademie academia académie accademia",
    "tent": "zelt tente carpa tenda",
    "terrace": "terrasse terraza terraço terrazza",
    "palace": "palais palacio palácio palazzo palast palau paleis palads",
    "association": "assn assoc",
    "building": "bldg gebouw gebäude",
    "brewery": "brauerei brewing brewpub taproom cervecería",
}
_SPELLING = {fold(word): one for one, words in _SPELLINGS.items() for word in words.split()}
_SPELLING |= {one: one for one in _SPELLINGS}

_SITTING = frozenset(["theatre", "hall", "auditorium", "opera", "concert", "house", "music", "performing", "arts"])
_SITTING |= frozenset(["ballroom", "palace"])
_BIG = frozenset(["arena", "stadium", "coliseum", "centre", "field", "dome", "forum", "gym", "racecourse", "bowl"])
_SMALL = frozenset(
    ["club", "bar", "cafe", "pub", "lounge", "tavern", "saloon", "inn", "kneipe", "cantina", "ballroom", "brewery"]
)
_OUTSIDE = frozenset(["park", "amphitheatre", "pavilion", "garden", "lawn", "open", "air", "tent"])
_OUTSIDE |= frozenset(["fairground", "square", "castle", "field", "terrace"])
_KIND_GROUPS = (_SITTING, _BIG, _SMALL, _OUTSIDE)
_KINDS = _SITTING | _BIG | _SMALL | _OUTSIDE
_ROOM = frozenset(
    ["room", "stage", "studio", "werk", "backyard", "foyer", "lobby", "attic", "loft", "patio", "rooftop", "annex"]
)
_ROOM |= frozenset(
    ["gallery", "floor", "bereich", "terrace", "deck", "courtyard", "hof", "innenhof", "atrium", "chapel"]
)
_WHICH = frozenset(
    ["small", "large", "upper", "lower", "north", "south", "east", "west", "middle", "old", "new", "second"]
)
"""Words that tell rooms of one house apart, or a second house from the first."""
# fmt: off
_LITTLE = frozenset(
    [
        "the", "of", "at", "in", "on", "and", "for", "de", "do", "da", "du", "des", "di", "del", "dels", "della",
        "dello", "den", "la", "le", "el", "les", "los", "las", "der", "die", "das", "dem", "am", "im", "zum", "zur",
        "van", "von", "het", "i", "y", "e", "et", "a", "an", "au", "aux", "em", "na", "no", "dos", "o", "os", "auf",
    ]
)
_SHARED = _LITTLE | _SITTING | _BIG | _SMALL | _OUTSIDE | _ROOM | frozenset(
    [
        "university", "college", "school", "church", "civic", "memorial", "live", "festival", "city", "state", "county",
        "culture", "community", "youth", "jugendzentrum", "jugendhaus", "juz", "student", "students", "union", "campus",
        "convention", "exhibition", "conference", "event", "events", "eventlocation", "entertainment", "complex",
        "national", "international", "royal", "central", "grounds", "hotel", "resort", "casino", "museum", "street",
        "saint", "station", "academy", "building", "association", "warehouse", "o2", "venue", "location", "forum",
        "society", "social", "public", "town", "village", "world", "restaurant", "restaurante", "ristorante",
        "gasthaus", "grill", "kitchen", "dance", "rock", "jazz",
    ]
)
# fmt: on
"""Words that many venues share: agreement on them alone says nothing."""
_SMALL_WORDS = frozenset(["the", "of", "at"])
_ROOM_ENDS = (
    "halle",
    "hall",
    "saal",
    "zaal",
    "raum",
    "keller",
    "buhne",
    "werk",
    "house",
    "haus",
    "room",
    "stage",
    "studio",
)
_TOWN_ENDS = frozenset(["er", "ner", "s", "n", "se"])
"""Of a town's name before a noun: Wiener, Münchner, Göteborgs."""
_LONG_SHARED = tuple(sorted(word for word in set(_SPELLING) | _SHARED if len(word) > 6 and word.isascii()))


class SameVenue(StrEnum):
    """How two venue names relate."""

    SAME = "same"
    PART = "part"
    """One names a room, campus or complex of the other."""
    ROOM = "room"
    """Two rooms of one complex."""
    SIMILAR = "similar"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@lru_cache(maxsize=16_384)
def _spelled(word: str) -> str:
    """One spelling of a folded word: 'theater', 'teatro' and 'theartre' are 'theatre'."""
    found = _SPELLING.get(word)
    if found is not None or word in _SHARED:
        return found or word
    if len(word) > 6 and word.isascii():
        most = 2 if len(word) > 9 else 1
        near = {_SPELLING.get(one, one) for one in _LONG_SHARED if edits(word, one, most) <= most}
        if len(near) == 1:
            return near.pop()
    elif word in ("arean", "aerna", "areana"):
        return "arena"
    return word


@lru_cache(maxsize=65_536)
def venue_words(name: str) -> tuple[str, ...]:
    """The folded words of a venue's name in one spelling."""
    return tuple(_spelled(word) for word in fold(name).split()[:MOST_WORDS] if word != "and")


@lru_cache(maxsize=65_536)
def venue_key(name: str) -> str:
    """'The Shoreline Amphitheater' -> 'shorelineamphitheatre'."""
    return "".join(word for word in venue_words(name) if word not in _SMALL_WORDS)


@lru_cache(maxsize=131_072)
def venue_relation(one: str | None, other: str | None, city: str | None = None) -> SameVenue:
    """Whether two names mean one venue. `city`: its name, where known, counts for nothing in the venue's."""
    one, other = known(one), known(other)
    if one is None or other is None:
        return SameVenue.UNKNOWN
    if venue_key(one) == venue_key(other):
        return SameVenue.SAME
    here, where = _parts(one, city)
    there, other_where = _parts(other, city)
    if where and other_where and not _near_each_other(where, other_where):
        return SameVenue.DIFFERENT  # 'Fox Theatre, Atlanta' and 'Fox Theatre, St. Louis'
    if len(here) > 1 or len(there) > 1:
        related = _of_parts(here, there, city)
        if related is not None:
            return related
        return _whole(one, other, city)
    return _whole(here[0], there[0], city)


def is_kind_of_venue(text: str) -> bool:
    """Whether a word of it says what kind of venue it is: 'Milla Club'."""
    return not _KINDS.isdisjoint(venue_words(text))


# -- rooms and complexes ----------------------------------------------------------------------------------------------

_BOUNDARY = re.compile(r"\s*[,(/|;\[]\s*|[)\]]\s*|\s+[-–—@:]\s+|:\s+|\s+(?:at|in(?= the)|@)\s+")


@lru_cache(maxsize=65_536)
def _parts(name: str, city: str | None) -> tuple[tuple[str, ...], str | None]:
    """What commas, brackets, dashes and 'at' set apart: 'West Gym, Harpur College' is two. Then the town it names."""
    parts = [part.strip() for part in _BOUNDARY.split(name)[:8] if part.strip()]
    if len(parts) < 2:
        return (name,), None
    places = [part for part in parts[1:] if _is_where(part, city)]
    kept = [part for part in parts[:1] + [part for part in parts[1:] if part not in places] if venue_key(part)]
    town = next((part for part in places if exact_cities(part)), None)
    return tuple(kept) or (name,), town


def _is_where(part: str, city: str | None) -> bool:
    """Whether a part of a name only says in which town, region or country."""
    if city and fold(part) == fold(city):
        return True
    if set(venue_words(part)) & (_SHARED - {"saint", "city"}):
        return False
    return bool(country_code(part) or region_code(part, "US") or any(c.population > 50_000 for c in exact_cities(part)))


@lru_cache(maxsize=16_384)
def _near_each_other(town: str, other: str) -> bool:
    return any(distance_km(a, b) <= SUBURB_KM for a in exact_cities(town) for b in exact_cities(other))


def _of_parts(here: Sequence[str], there: Sequence[str], city: str | None) -> SameVenue | None:
    """By the parts that set off a room from its house; None where they do not say."""
    pairs = [(a, b) for a in here for b in there if _says(a) and _says(b) and _same(a, b, city)]
    if not pairs:
        return None
    if len(here) == 1 and len(there) == 1:
        return SameVenue.SAME
    if len(here) == 1 or len(there) == 1:
        return SameVenue.PART
    a, b = pairs[0]
    rest = [" ".join(part for part in parts if part != shared) for parts, shared in ((here, a), (there, b))]
    if not rest[0] or not rest[1]:
        return SameVenue.PART
    left = _whole(rest[0], rest[1], city)
    return left if left in (SameVenue.SAME, SameVenue.PART) else SameVenue.ROOM


def _says(part: str) -> bool:
    return not set(venue_words(part)) <= _SHARED | _WHICH and len(venue_key(part)) > 3


def _same(a: str, b: str, city: str | None) -> bool:
    return venue_key(a) == venue_key(b) or _whole(a, b, city) is SameVenue.SAME


# -- one name against another -----------------------------------------------------------------------------------------


def _whole(one: str, other: str, city: str | None) -> SameVenue:
    where = _town_words(city)
    here, there = _own(one, where), _own(other, where)
    key, other_key = venue_key(one), venue_key(other)
    numbers, other_numbers = _numbers(here), _numbers(there)
    if numbers != other_numbers and numbers and other_numbers:
        # 'Studio 7' and 'Studio 8', but 'Bunker Halle 1' and 'Bunker Halle 2'.
        named, other_named = here - numbers, there - other_numbers
        return SameVenue.ROOM if named and named == other_named else SameVenue.DIFFERENT
    words, others = venue_words(one), venue_words(other)
    if words[:1] == others[:1] or words[-1:] == others[-1:] or not here or not there:
        related = _rooms_of(words, others)
        if related is not None:
            return related
    if _slip(key, other_key, here, there):
        # A word more on one side: 'White House' and 'White Horse', or a slip in a word that venues share.
        return SameVenue.SAME if bool(here - there) == bool(there - here) else SameVenue.SIMILAR
    if not here or not there:
        return _of_shared(words, others, where)
    here, there = _merged(here, one, there, other), _merged(there, other, here, one)
    found, other_found = _aligned(here, there)
    only, other_only = here - found, there - other_found
    if found <= _WHICH or (here.isdisjoint(there) and (only or other_only)):
        # Nothing in common, or only a word that is like another: 'Shady Grove' and 'Groove Club'.
        if len(min(key, other_key, key=len)) > 5 and similarity(key, other_key) >= 0.85:
            return SameVenue.SIMILAR
        return SameVenue.DIFFERENT
    if (only or other_only) and all(_is_town(word) for word in found):
        # 'Hollywood Bowl' and 'Hollywood Palladium'.
        if only and other_only:
            return SameVenue.DIFFERENT
        return _of_shared(words, others, where)
    if not only and not other_only:
        return _same_named(words, others, where)
    if not only or not other_only:
        if city and any(_elsewhere(word, city) for word in only or other_only):
            return SameVenue.DIFFERENT
        few, many = (other, one) if only else (one, other)
        fewer = _telling(venue_words(few), where) - here - there
        return SameVenue.PART if fewer <= frozenset(venue_words(many)) else SameVenue.SIMILAR
    if any(map(_is_town, only)) and any(map(_is_town, other_only)):
        return SameVenue.DIFFERENT
    if numbers or other_numbers:
        return SameVenue.DIFFERENT
    if all(map(_tells_rooms, only | other_only)):
        return SameVenue.ROOM
    said = sum(map(len, found))
    return SameVenue.SIMILAR if said >= 0.6 * min(sum(map(len, here)), sum(map(len, there))) else SameVenue.DIFFERENT


@lru_cache(maxsize=65_536)
def _own(name: str, where: frozenset[str]) -> frozenset[str]:
    """The words that are the venue's own."""
    return frozenset(_singular(word) for word in venue_words(name) if word not in _SHARED and not _of_town(word, where))


def _of_town(word: str, where: frozenset[str]) -> bool:
    """Whether it is the town's name, or an adjective of it."""
    return word in where or any(
        len(town) > 3 and word.startswith(town[:-1]) and word[len(town) :] in _TOWN_ENDS for town in where
    )


def _merged(own: frozenset[str], name: str, other: frozenset[str], other_name: str) -> frozenset[str]:
    """As the other name has them: two neighbours in one ('Wolf Trap', 'Wolftrap'), initials in full."""
    for short in sorted(own):
        # 'RFK Stadium' and 'Robert F. Kennedy Memorial Stadium'.
        if 2 < len(short) < 5 and (run := _initialled(other_name, short)):
            own = (own - {short}) | (other & run)
    for whole in sorted(_pairs(name) & other):
        a, b = next(pair for pair in itertools.pairwise(venue_words(name)) if pair[0] + pair[1] == whole)
        own = (own - {a, b, _singular(a), _singular(b)}) | {whole}
    return own


def _initialled(name: str, short: str) -> frozenset[str]:
    """The words at the start of a name whose first letters these are."""
    words = [word for word in venue_words(name) if word not in _LITTLE]
    if len(words) < len(short) or any(word[0] != letter for word, letter in zip(words, short, strict=False)):
        return frozenset()
    return frozenset(map(_singular, words[: len(short)]))


@lru_cache(maxsize=65_536)
def _pairs(name: str) -> frozenset[str]:
    return frozenset(a + b for a, b in itertools.pairwise(venue_words(name)))


def _tells_rooms(word: str) -> bool:
    """'Werk', 'small', 'Kranhalle': a room of a house."""
    return word in _ROOM or word in _WHICH or (len(word) > 6 and word.endswith(_ROOM_ENDS))


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word


def _kinds(words: frozenset[str]) -> frozenset[str]:
    return words & _KINDS


def _numbers(words: frozenset[str]) -> frozenset[str]:
    return frozenset(word for word in words if word.isdigit())


@lru_cache(maxsize=4_096)
def _town_words(city: str | None) -> frozenset[str]:
    """The words of the town's names."""
    if not city:
        return frozenset()
    words = set(fold(city).split())
    for town in cities(city)[:3]:
        words |= set(fold(town.name).split())
    return frozenset({_singular(_spelled(word)) for word in words} | words)


@lru_cache(maxsize=16_384)
def _is_town(word: str) -> bool:
    return any(town.population >= 100_000 for town in exact_cities(word))


@lru_cache(maxsize=16_384)
def _elsewhere(word: str, city: str) -> bool:
    """Whether a word names a large town that is not near the city."""
    towns = [town for town in exact_cities(word) if town.population >= 100_000]
    here = cities(city)
    return bool(towns and here) and all(distance_km(a, b) > SUBURB_KM for a in towns for b in here)


def _slip(key: str, other: str, here: frozenset[str], there: frozenset[str]) -> bool:
    """One or two slips of the hand in the whole name, and none of them in a word that tells rooms apart."""
    shortest = min(len(key), len(other))
    most = 2 if shortest > 10 else 1 if shortest > 5 else 0
    if most == 0 or OSA.distance(key, other, score_cutoff=most) > most:
        return False
    differ = here ^ there
    if differ & (_WHICH | _ROOM) or any(word.isdigit() for word in differ):
        return False
    return bool(here and there) and all(len(word) > 3 for word in differ)


def _aligned(here: frozenset[str], there: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The words of each that the other has, too, but for slips of the hand."""
    both = here & there
    found, other_found = set(both), set(both)
    for word in sorted(here - both):
        for rival in sorted(there - other_found):
            if _near(word, rival):
                found.add(word)
                other_found.add(rival)
                break
    return frozenset(found), frozenset(other_found)


def _near(word: str, rival: str) -> bool:
    shortest = min(len(word), len(rival))
    if shortest < 5 or word in _WHICH or rival in _WHICH or word.isdigit() or rival.isdigit():
        return False
    return edits(word, rival, 2) <= (2 if shortest > 7 else 1)


def _rooms_of(words: tuple[str, ...], others: tuple[str, ...]) -> SameVenue | None:
    """'Sala' and 'Sala Grande', 'Fillmore West' and 'Fillmore East': alike but for the words that tell rooms apart."""
    here, there = frozenset(words) - _LITTLE, frozenset(others) - _LITTLE
    if here == there or here - _WHICH != there - _WHICH or not here - _WHICH:
        return None
    return SameVenue.ROOM if here & _WHICH and there & _WHICH else SameVenue.PART


def _of_shared(words: tuple[str, ...], others: tuple[str, ...], where: frozenset[str]) -> SameVenue:
    """One name has no words of its own: 'Music Hall' may be short for 'Music Hall of Williamsburg'."""
    here, there = _telling(words, where), _telling(others, where)
    if here and here == there:
        return SameVenue.SAME
    few, many = sorted((here, there), key=len)
    return SameVenue.SIMILAR if few and few <= many else SameVenue.DIFFERENT


def _telling(words: tuple[str, ...], where: frozenset[str]) -> frozenset[str]:
    return frozenset(word for word in words if word not in _LITTLE and not _of_town(word, where))


def _same_named(words: tuple[str, ...], others: tuple[str, ...], where: frozenset[str]) -> SameVenue:
    """One name of its own; what is said besides tells the rooms apart, or only what kind of place it is."""
    here, there = frozenset(words) - where, frozenset(others) - where
    rooms, other_rooms = here & (_ROOM | _WHICH), there & (_ROOM | _WHICH)
    kinds, other_kinds = _kinds(here), _kinds(there)
    if rooms != other_rooms:
        return SameVenue.ROOM if (rooms or kinds) and (other_rooms or other_kinds) else SameVenue.PART
    if "university" in here & there and "state" in here ^ there:
        return SameVenue.SIMILAR
    if kinds <= other_kinds or other_kinds <= kinds:
        return SameVenue.SAME
    only, other_only = kinds - other_kinds, other_kinds - kinds
    if any(only & kind and other_only & kind for kind in _KIND_GROUPS):
        return SameVenue.SIMILAR
    return SameVenue.ROOM


# -- names that change ------------------------------------------------------------------------------------------------


class Named(StrEnum):
    """Whether a venue goes by a name."""

    THEN = "then"
    """On that night, or nobody knows when."""
    OTHER_TIME = "other_time"
    NEVER = "never"


def venue_named(venue: Venue, name: str | None, night: date | None = None) -> Named:
    """Whether a venue bore a name on a night: its present one, or another with the time it was in use."""
    if known(name) is None:
        return Named.NEVER
    key = venue_key(name or "")
    found = Named.NEVER
    for dated in venue.names:
        if venue_key(dated.name) != key:
            continue
        if night is None or ((dated.since or night) <= night <= (dated.until or night)):
            return Named.THEN
        found = Named.OTHER_TIME
    if venue_key(venue.name) == key:
        return Named.THEN if found is Named.NEVER else found
    return found


class VenueAliases:
    """Venues by all their names, in any order given. Names that differ in a letter are not looked for."""

    def __init__(self, venues: Iterable[Venue]) -> None:
        newest: dict[object, Venue] = {}
        for venue in venues:
            held = newest.get(venue.venue_id)
            if held is None or (venue.version, venue.to_bytes()) > (held.version, held.to_bytes()):
                newest[venue.venue_id] = venue
        by_key: dict[str, dict[object, Venue]] = defaultdict(dict)
        for venue in newest.values():
            for name in (venue.name, *(dated.name for dated in venue.names)):
                by_key[venue_key(name)][venue.venue_id] = venue
        self._by_key = {key: sorted(held.values(), key=lambda v: str(v.venue_id)) for key, held in by_key.items()}

    def named(self, place: Place, night: date | None = None) -> tuple[Venue, ...]:
        """The venues of that name in that town; those that bore it that night, else those that did at another time."""
        name = known(place.name)
        if name is None:
            return ()
        here = [venue for venue in self._by_key.get(venue_key(name), ()) if not _apart(venue.place, place)]
        then = [venue for venue in here if venue_named(venue, name, night) is Named.THEN]
        return tuple(then or here)

    def relation(self, one: Place, other: Place, night: date | None = None) -> SameVenue:
        """As `venue_relation`, and SAME for two names that one venue bore: 'Universal' and 'Gibson Amphitheatre'."""
        by_name = venue_relation(one.name, other.name, one.city or other.city)
        if by_name in (SameVenue.SAME, SameVenue.UNKNOWN):
            return by_name
        here, there = self.named(one, night), self.named(other, night)
        if not {venue.venue_id for venue in here}.isdisjoint(venue.venue_id for venue in there):
            return SameVenue.SAME
        return by_name


def _apart(one: Place, other: Place) -> bool:
    """Known to be in two towns."""
    here, there = _spots(one), _spots(other)
    return bool(here and there) and min(distance_km(a, b) for a in here for b in there) > SUBURB_KM


def _spots(place: Place) -> tuple[tuple[float, float], ...]:
    if place.lat is not None and place.lon is not None:
        return ((place.lat, place.lon),)
    return tuple((city.lat, city.lon) for city in cities(place.city, place.region, place.country))

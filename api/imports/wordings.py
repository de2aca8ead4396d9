"""What a line of words says: who, where and when, in 'Radiohead @ Paradiso, Amsterdam (14 Nov 2014)'.

Shared by plain lists, calendars, mails and titles of any kind.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from matchers.billing import festival_name, read_names
from matchers.dates import readings
from matchers.gazetteer import country_code, exact_cities, known, region_code
from matchers.text import clean, fold
from matchers.venues import is_kind_of_venue

LONGEST = 300
"""Characters: a longer line is prose."""
_SHOW_WORDS = (
    r"(?:live[ -]?)?(?:concert|konzert|koncert|konsert|concierto|concerto|concertje|keikka|gig|show|live|optreden"
    r"|концерт|auftritt|spectacle|festival|tour(?:née)?|recital)s?"
)
SHOW = re.compile(
    rf"\b{_SHOW_WORDS}\b|\b(?:tickets?|eintrittskarten?|karten|billets?|entradas?|biglietti|bilhetes|ingressos|bilety"
    r"|kaartjes|billetter|biljetter|line-?up|support act|open ?air|album release|musik|music|música|musique|band)\b"
    r"|🎸|🎤|🎵|🎶|🎫",
    re.IGNORECASE,
)
"""Words that only occasions with music have."""
_LEAD = re.compile(
    rf"^(?:[🎸🎤🎵🎶🎫\s]+|{_SHOW_WORDS}\s*(?:[:–—|-]|von|de|of|by|med|met|mit)\s+|live\s*:\s*)", re.IGNORECASE
)
_TAIL = re.compile(
    rf"(?:\s*[(\[]\s*(?:{_SHOW_WORDS}|live)\s*[)\]]|\s+(?-i:Concert|Konzert|Live|live|concert)|\s+[🎸🎤🎵🎶🎫]+)$",
    re.IGNORECASE,
)
_BRACKET = re.compile(r"\s*[(\[]([^()\[\]]{4,60})[)\]]\s*$")
_AT = re.compile(
    r"\s+(?:live\s+)?(?:@|at|live in|live im|live au|live en|live på)\s*(?<=[@\s])(?=\S)|\s*@\s*", re.IGNORECASE
)
_IN = re.compile(
    r"\s+(?:im|in|in der|in the|in het|au|aux|à|à la|a la|en|en el|en la|no|na|em|al|allo|alla|nel|på|i|w|v|в)\s+"
    r"(?=[\w'])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a title says; each part as it stands there."""

    artist: str | None = None
    place: str | None = None
    date: str | None = None


@lru_cache(maxsize=4_096)
def title(text: str) -> Said:
    """Who, where and when of a title."""
    text = clean(text)
    day = None
    if (found := _BRACKET.search(text)) and readings(found[1]):
        day, text = found[1], text[: found.start()]
    for _ in range(2):
        text = _TAIL.sub("", _LEAD.sub("", text)).strip(" -–|,:")
    parts = _AT.split(text, maxsplit=1)
    if len(parts) == 2 and parts[0].strip() and parts[1].strip():
        return Said(parts[0].strip(" -–|,:"), parts[1].strip(), day)
    for found in _IN.finditer(text):
        where = text[found.end() :]
        if is_place(where.split(",")[0]):
            return Said(text[: found.start()].strip(" -–|,:"), where, day)
    head, dash, tail = text.partition(" - ")
    if dash and head.strip():  # a tour, or where it was
        return Said(head.strip(" -–|,:"), tail.strip() if is_place(tail.split(",")[0]) else None, day)
    return Said(text or None, None, day)


def is_place(text: str) -> bool:
    """Whether a text names a town, a house or a festival."""
    return likeness(text) > 0


@lru_cache(maxsize=16_384)
def likeness(text: str) -> int:
    """How much a text looks like a place: a large town or a house more than a village; 0 for what may be anything."""
    text = text.strip()
    if not text or len(text) > 100:
        return 0
    towns = exact_cities(text)
    people = max((town.population for town in towns), default=0)
    points = 3 if people >= 100_000 else 2 if people >= 50_000 else 1 if people else 0
    if is_kind_of_venue(text):
        points += 3
    if festival_name(text):
        points += 2
    if country_code(text) is not None:
        points += 2
    return points


def is_town(text: str) -> bool:
    """Whether a text is a town's name and nothing else."""
    return bool(exact_cities(text.strip()))


def is_well_known(text: str) -> bool:
    """Whether a name that stands alone is a town's: a hall may be called like a village."""
    towns = exact_cities(text.strip())
    own = fold(text)
    return not is_kind_of_venue(text) and any(
        town.population >= 100_000 or (town.population >= 15_000 and fold(town.name) == own) for town in towns
    )


_STREET = re.compile(
    r"\b(?:str(?:\.|aße|asse|eet)?|rd|road|ave(?:nue)?|blvd|lane|platz|straat|rue|calle|via|rua|plaza)\b",
    re.IGNORECASE,
)
_POSTCODE = re.compile(
    r"\b(?:[A-Z]{1,2}-)?\d{4,6}(?:[- ]?[A-Z]{2}\b|-\d{3,4})?|\b[A-Z]{1,2}\d{1,2}[A-Z]? ?\d[A-Z]{2}\b"
    r"|\b[A-Z]\d[A-Z] ?\d[A-Z]\d\b"
)
_PARTS = re.compile(r"\s*(?:,|\n|\\n|;|\s[-–—|·•]\s)\s*")


@lru_cache(maxsize=4_096)
def place(text: str) -> tuple[tuple[str, str], ...]:
    """Venue, city, region and country of an address in one line: 'Paradiso, Weteringschans 6, 1017 SG Amsterdam'."""
    text = text.replace("\\,", ",").replace("\\n", "\n")
    bracket = re.match(r"(.+?)\s*\(([^()]+)\)\s*$", text)
    if bracket:
        text = f"{bracket[1]}, {bracket[2]}"
    parts = [tidy for part in _PARTS.split(text[:1_000]) if known(tidy := clean(part).strip(" ,"))]
    found: dict[str, str] = {}
    while len(parts) > 1 and "country" not in found and (code := country_code(parts[-1])) is not None:
        if region_code(parts[-1], None) and is_town(parts[-2]) and len(code) == 2 and parts[-1].upper() == parts[-1]:
            break  # 'Los Angeles, CA' is no Canada
        found["country"] = parts.pop()
    if (
        len(parts) > 1
        and (bare := _POSTCODE.sub("", parts[-1]).strip())
        and len(bare) <= 25
        and not is_town(bare)
        and region_code(bare, None)
    ):
        found["region"] = bare
        parts.pop()
    elif len(parts) > 1 and len(parts[-1]) <= 3 and region_code(parts[-1], None):
        found["region"] = parts.pop()
    for at in range(len(parts) - 1, -1, -1):
        bare = _POSTCODE.sub("", parts[at]).strip(" ,-")
        if bare and (is_town(bare) if at > 0 or found else is_well_known(bare)):
            found["city"] = bare
            del parts[at:]
            break
    if "city" not in found and "region" in found and len(parts) > 1:
        found["city"] = parts.pop()
    houses = [part for at, part in enumerate(parts) if is_kind_of_venue(part) or not _is_street(part, at == 0)]
    if houses:
        found["venue"] = houses[0]
    elif parts and "city" not in found:
        found["venue"] = parts[0]
    return tuple(found.items())


def _is_street(part: str, first: bool) -> bool:
    """'Weteringschans 6' behind a name is one; a name may end in a number, too: 'Große Freiheit 36', 'Studio 7'."""
    if part[:1].isdigit():
        return True
    numbered = re.search(r"\d+(?:-\d+)?[a-z]?$", part) is not None
    return numbered and (not first or _STREET.search(part) is not None)


_COMPANY = re.compile(
    r"(?:family|familie|famille|co\.?|company|sons|daughters|brothers|guests?|choir)\b", re.IGNORECASE
)


def _with_company(names: list[str], text: str) -> Iterator[str]:
    """'Willie Nelson and Family' is one name at the end of a list, too."""
    for name, behind in zip(names, [*names, ""][1:], strict=True):
        if _COMPANY.match(name) and names[0] != name and re.search(rf"\b(?:and|&|und)\s+{re.escape(name)}", text):
            continue
        joined = re.search(rf"{re.escape(name)}(\s+(?:and|&|und)\s+){re.escape(behind)}", text)
        yield f"{name}{joined[1]}{behind}" if _COMPANY.match(behind) and joined else name


def acts(text: str, separator: str | None) -> list[str]:
    """The acts in a cell: parted by the column's sign, or by commas and their like where the column is of lists."""
    if separator is None:
        return [clean(text)]
    if separator == "names":
        return list(dict.fromkeys(_with_company(read_names({"acts": text}, "acts"), text))) or [clean(text)]
    return list(dict.fromkeys(tidy for part in text.split(separator) if (tidy := clean(part))))

"""Evidence in the reader's language: each wording of the matchers, and whether it tells of a difference.

Evidence travels in English (`schemas.suggestion.Evidence.text`). A wording is found again by its pattern and said with
the same names, dates and distances in another language; one that no pattern knows, of an older or newer matcher, stays
as it came. A test goes through all that the matchers can say.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from api.pages.words import _, day, distance, marked
from schemas.suggestion import Evidence


class Agreement(StrEnum):
    """How two accounts of one thing go together."""

    SAME = "same"
    NEAR = "near"
    """Told less closely, or spelled otherwise."""
    OTHER = "other"


class Wording(NamedTuple):
    """What a matcher says, with the names of its parts, and what it comes to; None: its bits decide."""

    text: str
    agreement: Agreement | None = None
    note: str = ""
    """The same in a word or two, beside what it is about; empty: as it is."""


class Told(NamedTuple):
    """A piece of evidence for a person."""

    text: str
    agreement: Agreement
    note: str


_SAME, _NEAR, _OTHER = Agreement.SAME, Agreement.NEAR, Agreement.OTHER

_TOWN = (
    Wording(marked("same town"), _SAME),
    Wording(marked("%(place)s is another town, %(km)s away"), _OTHER, marked("%(km)s away")),
    Wording(marked("%(place)s is another town"), _OTHER, marked("another town")),
    Wording(marked("%(place)s is another name than %(typed)s"), _OTHER, marked("another name")),
    Wording(marked("%(place)s is %(km)s from %(typed)s"), _NEAR, marked("%(km)s away")),
    Wording(marked("%(typed)s is %(place)s"), _NEAR, marked("another name of it")),
)
_BESIDE = (
    Wording(marked("on the same bill as %(artist)s, which you confirmed")),
    Wording(marked("same day of the festival as %(artist)s, which you confirmed")),
    Wording(marked("same day of %(festival)s as %(artist)s, which you confirmed")),
    Wording(marked("same night at %(place)s as %(artist)s, which you confirmed")),
    Wording(marked("which you confirmed")),
)

WORDINGS: Mapping[str, tuple[Wording, ...]] = {
    "artist": (
        Wording(marked("same artist"), _SAME),
        Wording(marked("'%(typed)s' is short for %(artist)s"), _NEAR, marked("short form")),
        Wording(marked("%(artist)s is short for '%(typed)s'"), _NEAR, marked("short form")),
        Wording(marked("'%(typed)s' is another name of %(artist)s"), _NEAR, marked("another name of it")),
        Wording(marked("'%(typed)s' and %(artist)s have a name in common"), _NEAR, marked("one name in common")),
        Wording(marked("artist spelled '%(typed)s'"), _NEAR, marked("spelled otherwise")),
        Wording(marked("artist written like '%(typed)s'"), _NEAR, marked("spelled otherwise")),
        Wording(marked("artist written somewhat like '%(typed)s'"), _NEAR, marked("spelled otherwise")),
        Wording(marked("shares a word with '%(typed)s'"), _OTHER, marked("one word in common")),
        Wording(marked("one plays the other's songs"), _OTHER),
        Wording(marked("another artist than '%(typed)s'"), _OTHER, marked("another artist")),
        Wording(marked("you logged %(artist)s once")),
        Wording(marked("you logged %(artist)s %(num)s times")),
    ),
    "date": (
        Wording(marked("same night"), _SAME),
        Wording(marked("same night, where the date reads %(night)s"), _NEAR, marked("as it can be read")),
        Wording(marked("%(night)s is within what was typed"), _NEAR, marked("fits")),
        Wording(marked("day and month the other way round"), _OTHER, marked("day and month swapped")),
        Wording(marked("the same day of %(year)s"), _OTHER, marked("another year")),
        Wording(marked("another night: %(night)s"), _OTHER, marked("another night")),
        Wording(marked("one day outside what was typed"), _OTHER, marked("one day outside")),
        Wording(marked("%(num)s days outside what was typed"), _OTHER, marked("%(num)s days outside")),
        Wording(marked("one day later than typed"), _OTHER, marked("one day later")),
        Wording(marked("%(num)s days later than typed"), _OTHER, marked("%(num)s days later")),
        Wording(marked("one day earlier than typed"), _OTHER, marked("one day earlier")),
        Wording(marked("%(num)s days earlier than typed"), _OTHER, marked("%(num)s days earlier")),
        Wording(marked("you logged %(artist)s there that night")),
        Wording(marked("in %(year)s, when you logged one show there")),
        Wording(marked("in %(year)s, when you logged %(num)s shows there")),
    ),
    "city": (
        Wording(marked("in and around %(place)s, where you logged one show")),
        Wording(marked("in and around %(place)s, where you logged %(num)s shows")),
        Wording(marked("in %(place)s, where you logged one show")),
        Wording(marked("in %(place)s, where you logged %(num)s shows")),
        *_TOWN,
    ),
    "distance": (Wording(marked("%(km)s away")),),
    "region": (Wording(marked("same region"), _SAME), Wording(marked("another region"), _OTHER)),
    "country": (Wording(marked("same country"), _SAME), Wording(marked("another country"), _OTHER)),
    "venue": (
        Wording(marked("same venue"), _SAME),
        Wording(marked("%(typed)s is the festival"), _NEAR, marked("the festival")),
        Wording(marked("%(typed)s is another name of %(place)s"), _NEAR, marked("another name of it")),
        Wording(marked("%(place)s is another name than %(typed)s"), _OTHER, marked("another name")),
        Wording(marked("%(typed)s and %(place)s are rooms of one complex"), _NEAR, marked("rooms of one complex")),
        Wording(marked("%(typed)s is much like %(place)s"), _NEAR, marked("spelled otherwise")),
        Wording(marked("%(typed)s is %(place)s, or part of it"), _NEAR, marked("the same, or part of it")),
        *_BESIDE,
    ),
    "songs": (
        Wording(marked("your song was played"), _SAME),
        Wording(marked("your song was not played"), _OTHER),
        Wording(marked("%(num)s of your %(all)s songs was played"), _NEAR),
        Wording(marked("%(num)s of your %(all)s songs were played"), _NEAR),
    ),
    "time": (Wording(marked("began at %(time)s")),),
    "status": (
        Wording(marked("this night was postponed"), _OTHER),
        Wording(marked("no source lists it any more"), _OTHER),
    ),
    "prior": (Wording(marked("one of about a million concerts")),),
    "cap": (Wording(marked("only the nearest %(many)s shows were compared")),),
    "bill": _BESIDE,
    "festival": _BESIDE,
    "acts": (Wording(marked("of that day's many acts")),),
    "because": (
        *_BESIDE,
        Wording(marked("you logged %(artist)s once, and one show in and around %(place)s")),
        Wording(marked("you logged %(artist)s once, and %(num)s shows in and around %(place)s")),
        Wording(marked("you logged %(artist)s once, and one show in %(place)s")),
        Wording(marked("you logged %(artist)s once, and %(num)s shows in %(place)s")),
        Wording(marked("you logged %(artist)s %(times)s times, and one show in and around %(place)s")),
        Wording(marked("you logged %(artist)s %(times)s times, and %(num)s shows in and around %(place)s")),
        Wording(marked("you logged %(artist)s %(times)s times, and one show in %(place)s")),
        Wording(marked("you logged %(artist)s %(times)s times, and %(num)s shows in %(place)s")),
    ),
}
"""Field of the evidence -> its wordings, the closer before the wider. `because`: what a companion or habit hangs on."""

LABELS = {
    "prior": marked("start"),
    "artist": marked("artist"),
    "date": marked("night"),
    "city": marked("town"),
    "region": marked("region"),
    "country": marked("country"),
    "distance": marked("distance"),
    "venue": marked("venue"),
    "songs": marked("songs"),
    "time": marked("hour"),
    "status": marked("status"),
    "cap": marked("compared"),
    "bill": marked("bill"),
    "festival": marked("festival"),
    "acts": marked("acts"),
}
"""A word for each field of the evidence."""

_PARTS = {
    "night": r"\d{4}-\d\d-\d\d",
    "km": r"\d+ k?m",
    "year": r"\d{1,4}",
    "num": r"\d+",
    "times": r"\d+",
    "all": r"\d+",
    "many": r"[\d,]+",
    "time": r"\d\d:\d\d",
}
NEAR_M = 40_000
"""Metres: so far reaches what people call by the name of its town; beyond, it is elsewhere."""


def told(evidence: Evidence) -> Told:
    """The evidence as a person reads it."""
    found = read(evidence.field, evidence.text)
    if found is None:
        return Told(evidence.text, _SAME if evidence.bits >= 0 else _OTHER, evidence.text)
    wording, parts = found
    agreement = wording.agreement
    if evidence.field == "songs" and "all" in parts:
        played = int(parts["num"])
        agreement = _SAME if played == int(parts["all"]) else _NEAR if played else _OTHER
    elif evidence.field == "distance":
        metres = _metres(parts["km"])
        agreement = _SAME if metres <= 2_000 else _NEAR if metres <= NEAR_M else _OTHER
    elif agreement is None:
        agreement = _SAME if evidence.bits >= 0 else _OTHER
    text = say(wording.text, parts)
    return Told(text, agreement, say(wording.note, parts) if wording.note else text)


def told_because(text: str) -> str:
    """What a companion or a habit hangs on, as a person reads it."""
    found = read("because", text)
    return say(found[0].text, found[1]) if found else text


def read(field: str, text: str) -> tuple[Wording, Mapping[str, str]] | None:
    """The wording that a text is, and its parts; None for one that is not known."""
    for wording, pattern in _patterns(field):
        matched = pattern.fullmatch(text)
        if matched:
            return wording, matched.groupdict()
    return None


def say(text: str, parts: Mapping[str, str]) -> str:
    """It in the reader's language."""
    return _(text, **{name: _part(name, part) for name, part in parts.items()})


def label(field: str) -> str:
    """A word for a field of the evidence; one that is not known stays as it is."""
    return _(LABELS[field]) if field in LABELS else field[:12]


def _part(name: str, part: str) -> str:
    if name == "night":
        try:
            return day(date.fromisoformat(part))
        except ValueError:
            return part
    if name == "km" and part.endswith(" km"):
        return distance(int(part.removesuffix(" km")))
    return part


def _metres(length: str) -> int:
    number, unit = length.split()
    return int(number) * (1_000 if unit == "km" else 1)


@lru_cache(maxsize=len(WORDINGS) + 8)
def _patterns(field: str) -> tuple[tuple[Wording, re.Pattern[str]], ...]:
    return tuple(
        (wording, re.compile("".join(_pattern(wording.text)), re.DOTALL)) for wording in WORDINGS.get(field, ())
    )


def _pattern(text: str) -> Iterator[str]:
    for place, part in enumerate(re.split(r"%\((\w+)\)s", text)):
        yield f"(?P<{part}>{_PARTS.get(part, '.+?')})" if place % 2 else re.escape(part)

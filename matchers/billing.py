"""Who plays: headliner, support and festival out of the names and titles that sources give; and whether it happened."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from matchers.places import known
from matchers.refused import LONGEST, Refusal, kind_of
from matchers.text import clean, fold, names
from schemas.listing import Act, Role, Status
from schemas.rejection import Reason

# -- status -----------------------------------------------------------------------------------------------------------

_STATUS_WORDS = (
    (
        Status.CANCELLED,
        r"cancel|abgesagt|entf[aä]llt|annul|afgelast|aflyst|inst[aä]lld|called off|ausgefallen|suspendid",
    ),
    (Status.POSTPONED, r"postpon|verschoben|adiad|aplazad|pospuest|report[ée]|rinviat|uitgesteld|udsat|delayed"),
    (Status.MOVED, r"moved|resched|relocat|verlegt|hochverlegt|verplaatst|venue change|upgraded"),
    (Status.HAPPENED, r"happened|past|played|took place|ended|completed|finished|stattgefunden|realizad"),
)
_STATUSES = tuple((status, re.compile(words, re.IGNORECASE)) for status, words in _STATUS_WORDS)


def read_status(text: str | None, songs: tuple[str, ...]) -> Status:
    """A source's word for it (schema.org's names among them); songs prove that it happened."""
    for status, words in _STATUSES:
        if text and words.search(text):
            return status
    return Status.HAPPENED if songs else Status.ANNOUNCED


_TITLE_STATUS = re.compile(
    r"[|([/*–-]+\s*(?:leider\s+)?(abgesagt|entf[aä]llt|cancell?ed|verschoben|postponed|verlegt|hochverlegt|rescheduled)\b",
    re.IGNORECASE,
)


def status_of_title(title: str | None) -> str | None:
    """'Amber Falcon - Tour 2025 | Abgesagt'; what stands apart only, so that no band is cancelled by its name."""
    found = _TITLE_STATUS.search(title) if title else None
    return found[1] if found else None


# -- who --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Billing:
    """The acts of one event, headliner first, and the festival it belongs to."""

    acts: tuple[Act, ...]
    festival: str | None = None


# No act, whatever stands there: guests to come, prices, doors.
_NO_ACT = re.compile(
    r"^(?:(?:und |and |plus |\+ ?|& ?|mit |with )*(?:very |more |weitere[nr]? |viele |several |secret |local |tba )*"
    r"(?:special guests?|guests?|g[aä]ste?|support(?: acts?| act)?|supports|more|mehr|m ?o ?r ?e|others|bands|opener)"
    r"(?: (?:tba|tbc|folgt|follows|to be announced|bands))?"
    r"|tb[acd]|t\.b\.a\.?|n/?a|to be (?:announced|confirmed)|wird (?:noch )?bekannt ?gegeben"
    r"|.*\b(?:eintritt|abendkasse|einlass|ausverkauft|sold ?out|vvk|beginn|tickets?|doors|presale)\b.*"
    r"|viele weitere.*|u\.?v\.?m\.?"
    r"|various artists|diverse|aftershow(?: ?party)?|support:?)[\s.!?:…]*$",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^(?:support(?: acts?)?|special guests?|guests?|opener|with|mit|plus|feat\.?|featuring|dj-?support)\s*[:+]\s*"
    r"|^[+&,;/|•·*–-]+\s*",
    re.IGNORECASE,
)
_LIST = re.compile(r"\s*(?:[,;|•·\n]|\s\+|\+\s|\s/{1,2}\s|\s[-–—]\s)\s*")
_PLUS = re.compile(r"\s+\+\s+(?!the\b|die\b|band\b)|\s+//\s+", re.IGNORECASE)
# One name with a comma in it: the list may grow by the row.
_ONE_NAME = re.compile(
    r"tyler, the creator|earth, wind (?:&|and) fire|emerson, lake (?:&|and) palmer|crosby, stills(?:,)? (?:&|and) nash"
    r"|crosby, stills, nash (?:&|and) young|blood, sweat (?:&|and) tears|peter, paul (?:&|and) mary"
    r"|kitty, daisy (?:&|and) lewis"
    r"|now, now|me, mom (?:&|and) morgentaler|10,000 maniacs|black country, new road|bob, the drag queen"
    r"|dave dee, dozy, beaky, mick (?:&|and) tich|nothing, nowhere|oh, sleeper",
    re.IGNORECASE,
)
_COMMA = "\ue000"

_TITLE_TAIL = re.compile(
    r"\s+(?:[-–—|]|//)\s*(?=.*(?:\btour\b|tournee|\blive\b|19\d\d|20\d\d|konzert|concert|anniversary|jahre|release|album"
    r"|ausverkauft|sold out|nachholtermin|zusatz|special|show|party|verlegt|abgesagt|open air|world|europe"
    r"|festival|fest\b)).*$|\s+\|.*$",
    re.IGNORECASE,
)
_FESTIVAL = re.compile(r"\b(?:festival|open[ -]?air|\w*fest|metal meeting|all[ -]?dayer|weekender)\b", re.IGNORECASE)
_YEARS = re.compile(r"\s*[-–(]?\s*\b(?:19|20)\d\d\b\)?$")


def read_names(fields: Mapping[str, Any], name: str, *, split: bool = True) -> list[str]:
    """Names given as an array or as one text ('A, B + C')."""
    value = fields.get(name)
    if value is None:
        return []
    if isinstance(value, str):
        parts = _split(clean(value)) if split else [clean(value)]
    elif isinstance(value, list | tuple):
        parts = [clean(part) for part in value if isinstance(part, str)]
    else:
        raise Refusal(Reason.WRONG_TYPE, f"{name}: an array of names or text was expected, not {kind_of(value)}")
    tidy = (_LEAD.sub("", part).strip(" ,;+|") if split else part for part in parts)
    return [part for part in tidy if 0 < len(part) <= LONGEST and not (split and _NO_ACT.match(part))]


def _split(text: str) -> list[str]:
    guarded = _ONE_NAME.sub(lambda found: found.group().replace(",", _COMMA), text)
    return [part.replace(_COMMA, ",") for part in _LIST.split(guarded) if part]


def billing(artist: str | None, title: str | None, support: list[str], mbid: UUID | None) -> Billing:
    """The acts, headliner first; without an artist the title tells who plays."""
    festival = None
    if artist is None:
        if title is None:
            raise Refusal(Reason.NO_ARTIST, "artist: a listing needs it, or a title")
        headliners, support, festival = _from_title(title, support)
        mbid = None
    else:
        headliners = [artist]
    if known(headliners[0]) is None:
        raise Refusal(Reason.NO_ARTIST, f"{'title' if artist is None else 'artist'}: {headliners[0]!r} names nobody")
    acts: dict[str, Act] = {}
    for index, name in enumerate(headliners):
        acts.setdefault(fold(name), Act(name=name, role=Role.HEADLINE, mbid=mbid if index == 0 else None))
    # "Amber Falcon - Long Road Tour" heads a bill that lists Amber Falcon.
    heads = {fold(name) for headliner in headliners for name in names(headliner)[:3]}
    for name in support:
        if fold(name) not in heads:
            acts.setdefault(fold(name), Act(name=name, role=Role.SUPPORT))
    return Billing(tuple(acts.values()), festival)


def _from_title(title: str, support: list[str]) -> tuple[list[str], list[str], str | None]:
    """Headliners, support, festival of an event that has only a title."""
    for name in support:
        # The bill repeats its headliner, the title adds the tour: "Amber Falcon - Long Road Tour 2026".
        if len(fold(name)) > 2 and (fold(title) + " ").startswith(fold(name) + " "):
            return [name], [other for other in support if other != name], None
    head = _TITLE_TAIL.sub("", title).strip(" -–—|+") or title
    if _FESTIVAL.search(head) and support:
        # A festival is no act: the bill plays.
        return [support[0]], support[1:], _YEARS.sub("", head).strip() or head
    parts = [part.strip() for part in _PLUS.split(head)]
    playing = [part for part in parts if part and not _NO_ACT.match(part)]
    if not playing:
        return [head], support, None
    return playing, support, None

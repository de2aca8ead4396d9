"""What a text tells of a show besides who plays: which of two of a night it is, and whether a band only plays records.

Read of names and titles as sources write them. Words in English, German, French, Spanish, Portuguese and Italian.
"""

import re
from functools import lru_cache

# 'Early' and 'late' alone are words of names: Early Moods, The Late Show Band. In brackets they are none.
_KIND = r"(?:shows?|sets?|performances?|concerts?|gigs?|sessions?|konzert|vorstellung)"
_EARLY = re.compile(
    rf"\b(?:early|1st|first|afternoon) {_KIND}\b|\bmatin[eé]e\b|\bnachmittags?[ -]?(?:vorstellung|konzert|show)\b"
    rf"|\b(?:1\.|erste[sr]?) {_KIND}|\b(?:show|set) (?:1|one)\b|\b(?:primer|1er) (?:pase|show|concierto)\b"
    r"|\b(?:primeira|1ª) sess[aã]o\b|\bpremi[eè]re s[eé]ance\b|\bprimo (?:spettacolo|set)\b|[(\[](?:early|1st)[)\]]",
    re.IGNORECASE,
)
_LATE = re.compile(
    rf"\b(?:late|2nd|second|midnight|late[ -]?night) {_KIND}\b|\bsp[aä]t(?:[ -]?(?:vorstellung|konzert|show))\b"
    rf"|\b(?:2\.|zweite[sr]?) {_KIND}|\b(?:show|set) (?:2|two)\b|\b(?:segundo|2º) (?:pase|show|concierto)\b"
    r"|\b(?:segunda|2ª) sess[aã]o\b|\b(?:deuxi[eè]me|seconde) s[eé]ance\b|\bsecondo (?:spettacolo|set)\b"
    r"|[(\[](?:late|2nd)[)\]]",
    re.IGNORECASE,
)
_DJ_SET = re.compile(r"\bdj[ -]?sets?\b|[(\[]\s*dj\s*[)\]]|\bvinyl set\b", re.IGNORECASE)


@lru_cache(maxsize=65_536)
def which_show(text: str) -> str | None:
    """'early' or 'late', where the text says exactly one of them: '(Early Show)', 'Matinee', '2nd set'."""
    early, late = bool(_EARLY.search(text)), bool(_LATE.search(text))
    return None if early == late else "early" if early else "late"


@lru_cache(maxsize=65_536)
def is_dj_set(text: str) -> bool:
    """Whether the band plays records: 'Hot Chip (DJ Set)'."""
    return bool(_DJ_SET.search(text))

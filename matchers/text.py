"""One way to fold text, and what follows from it: squashed, skeleton, tokens.

fold        'Sigur Rós ' -> 'sigur ros'             equality
squash      'The Wonder Stuff' -> 'wonderstuff'     equality but for spaces and joining words
skeleton    'Metalica', 'Metallica' -> 'mtlk'       what is left when vowels and doubled letters may be wrong
"""

import html
import re
import unicodedata
from functools import lru_cache

from rapidfuzz.distance import OSA

FOLD_VERSION = "1"
"""Goes up with every change of `fold`: keys in stores were made with one version."""

# Letters that Unicode does not decompose.
_LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŋ": "n"}
_ARTICLES = frozenset(["the", "thee", "a", "an", "die", "der", "das", "le", "la", "les", "el", "los", "las", "os"])
_TRAILING_ARTICLES = frozenset(["the", "die", "los", "las", "les"])
_AND = frozenset(["and", "und", "n", "y", "och", "og"])
_UNITS = {
    word: number
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
}
_UNITS |= {"thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18}
_UNITS |= {"nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70}
_UNITS |= {"eighty": 80, "ninety": 90, "hundred": 100, "thousand": 1000}
# One-letter numerals stay letters: X, V and I are names.
_ROMAN = {"ii": 2, "iii": 3, "iv": 4, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "xi": 11, "xii": 12, "xiii": 13}
_WORDS = {word: str(number) for word, number in (_UNITS | _ROMAN).items()} | {"mt": "mount", "ste": "saint"}
_WORDS |= dict.fromkeys(_AND, "and")

_ENTITY = re.compile(r"&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31}\d{0,2});")
_ACRONYM_DOT = re.compile(r"(?<=\b\w)\.(?=\w\b|\s|$|[^\w\s])")
_STYLED = re.compile(r"(?<=\w)[!$](?=\w)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\ud800-\udfff]+")
_SPACE = re.compile(r"\s+")


class _Table(dict[int, str]):
    """Character by character, worked out when first met."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold_character(chr(code))
        return folded


def _fold_character(character: str) -> str:
    if character in "'’‘‛`´ʼʻ′\u00ad":
        return ""
    if character in "&+＆＋":
        return " and "
    if character in "йЙ":  # a letter of its own; elsewhere the marks of Cyrillic go as those of Latin do
        return "й"
    if 0x300 <= ord(character) <= 0x36F:
        return ""
    kept = []
    for part in unicodedata.normalize("NFKD", character.casefold()):
        part = _LETTERS.get(part, part)
        if "\u0300" <= part <= "\u036f":
            continue
        kept.append(part if unicodedata.category(part[0])[0] in "LNM" else " ")
    return unicodedata.normalize("NFC", "".join(kept))


_TABLE = _Table()


def clean(text: str) -> str:
    """As a person would have typed it: entities read, no control characters, single spaces, composed."""
    if "&" in text:
        text = _ENTITY.sub(_entity, text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return _SPACE.sub(" ", _CONTROL.sub(" ", text)).strip()


def _entity(found: re.Match[str]) -> str:
    return html.unescape(found.group())


@lru_cache(maxsize=200_000)
def fold(text: str) -> str:
    """'Sigur Rós ' -> 'sigur ros': no case, accents or punctuation, single spaces. Idempotent.

    Besides: & and + are 'and', number words and Roman numerals are digits, an article at the ends goes.
    Other scripts stay as they are. What has no letters at all ('!!!') stays, too.
    """
    folded = fold_once(text)
    for _ in range(8):
        again = fold_once(folded)
        if again == folded:
            break
        folded = again
    return folded


def fold_once(text: str) -> str:
    """One pass of `fold`, uncached: for building tables."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if "." in text:
        text = _ACRONYM_DOT.sub("", text)
    if "$" in text or "!" in text:
        text = _STYLED.sub(lambda found: "s" if found.group() == "$" else "i", text)
    words = text.translate(_TABLE).split()
    while words and words[0] == "and":
        del words[0]
    while words and words[-1] == "and":
        del words[-1]
    while len(words) > 1 and words[0] in _ARTICLES:
        del words[0]
    if len(words) > 1 and words[-1] in _TRAILING_ARTICLES:
        del words[-1]
    if not words:
        return " ".join(text.casefold().split())
    last = len(words) - 1
    for index, word in enumerate(words):
        if word in _WORDS:
            if word in _AND and index in (0, last):
                continue
            words[index] = _WORDS[word]
        elif word == "st":
            words[index] = "street" if index == last and last > 0 else "saint"
    if "100" in words:
        words = " ".join(words).replace("1 100", "100").split()
    return " ".join(words)


@lru_cache(maxsize=100_000)
def tokens(text: str) -> tuple[str, ...]:
    """The words of the folded text that say something: no articles, no 'and'."""
    words = fold(text).split()
    return tuple(word for word in words if word != "and" and word not in _ARTICLES) or tuple(words)


@lru_cache(maxsize=100_000)
def squash(text: str) -> str:
    """The folded words in one, without articles and 'and': 'Wonderstuff' is 'The Wonder Stuff'."""
    return "".join(tokens(text))


@lru_cache(maxsize=100_000)
def skeleton(text: str) -> str:
    """What is heard: consonants, no doubles. 'Grateful Dead' -> 'grtfltd'. Other scripts stay whole."""
    whole = squash(text)
    if not whole.isascii() or len(whole) < 4:
        return whole
    heard = whole
    for written, sound in _SOUNDS:
        heard = heard.replace(written, sound)
    heard = _DOUBLED.sub(r"\1", heard)
    kept = heard[0] + _SILENT.sub("", heard[1:])
    return kept if len(kept) > 2 else whole


_SOUNDS = (
    ("ph", "f"),
    ("ck", "k"),
    ("sch", "s"),
    ("sh", "s"),
    ("ce", "se"),
    ("ci", "si"),
    ("cy", "si"),
    ("c", "k"),
    ("q", "k"),
    ("x", "ks"),
    ("z", "s"),
    ("v", "f"),
    ("d", "t"),
    ("b", "p"),
    ("j", "g"),
)
_SILENT = re.compile("[aeiouyhw]+")
_DOUBLED = re.compile(r"([a-z])\1+")


@lru_cache(maxsize=50_000)
def initials(text: str) -> str:
    """'Orchestral Manoeuvres in the Dark' -> 'omd': first letters without the small words."""
    return "".join(word[0] for word in tokens(text) if word not in _SMALL)


# fmt: off
_SMALL = frozenset(
    ["of", "in", "on", "at", "de", "da", "do", "dos", "del", "di", "du", "des", "von", "van", "e", "et", "y", "for",
     "to", "with"]
)
# fmt: on


def similarity(one: str, other: str) -> float:
    """1 for equal, 0 for nothing in common: edits and swapped neighbours over the longer length."""
    return float(OSA.normalized_similarity(one, other))


def edits(one: str, other: str, most: int) -> int:
    """Letters left out, put in, changed or swapped; `most` + 1 for more."""
    return int(OSA.distance(one, other, score_cutoff=most))


@lru_cache(maxsize=100_000)
def letters(text: str) -> str:
    """Letters and digits of the text as it stands, articles and all: where a slip may have hit the article."""
    return "".join(character for character in clean(text).casefold() if character.isalnum())


_TRIBUTE = re.compile(
    r"\b(tribute|tributo|cover band|coverband|cover version|plays? the (music|songs|hits) of|the music of|the songs of"
    r"|performed by|a night of|celebrating|salute to|homage|hommage|best of british)\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=50_000)
def is_tribute(text: str) -> bool:
    """Somebody else playing somebody's songs: never equal to the original."""
    return bool(_TRIBUTE.search(text))


_PARENTHESIS = re.compile(r"\s*[(\[][^)\]]*[)\]]")
_GLUED = re.compile(r"\s+(?:[-–—|/]{1,2}|::?)\s+|:\s+")
_WITH = re.compile(
    r"\s+(?:feat\.?|ft\.?|featuring|with(?!\s+the\b)|w/|presents|pres\.|vs\.?|x|/|\+|with special guests?)\s+|\s*;\s*",
    re.IGNORECASE,
)


@lru_cache(maxsize=50_000)
def names(artist: str) -> tuple[str, ...]:
    """The name as written, then the names it may hold: before a tour title, without brackets, each of 'A feat. B'."""
    found = [artist]
    bare = _PARENTHESIS.sub("", artist).strip()
    glued = _GLUED.split(bare, maxsplit=1)[0].strip()
    for name in (bare, glued, *_WITH.split(glued)):
        name = name.strip(" ,&+")
        if name and name not in found and fold(name):
            found.append(name)
    return tuple(found[:6])

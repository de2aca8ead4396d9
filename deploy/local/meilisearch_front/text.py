"""The words of a text as Meilisearch's tokenizer (charabia) sees them, near enough for search.

Case is dropped; accents too on Latin, Greek, Arabic and Hebrew letters (café = cafe), not on others, where they make
another letter (й, が). Separators are the punctuation, space and mathematical signs of Unicode. Scripts written
without spaces give one word a character; Meilisearch segments them with dictionaries.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

BREAK, START, END = "\x01", "\x02", "\x03"
"""Marks among the words: a hard separator (end of a clause), the start and the end of a value."""

_SEPARATOR_CATEGORIES = {"Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sm", "Zl", "Zp", "Zs", "Cc"}
_HARD = frozenset(BREAK + "!;?¡§¶¿։،؛؟۔।॥…‼‽⁇⁈⁉、。！，．：；？｡､")
_CLAUSE_END = re.compile(r"[.,](?=\s)")
_STRIPPED_MARKS = (
    range(0x300, 0x370),
    range(0x591, 0x5C8),  # Hebrew points
    range(0x610, 0x61B),  # Arabic signs
    range(0x64B, 0x660),
    range(0x1DC0, 0x1E00),
)
_UNSPACED = (
    range(0x0E00, 0x0F00),  # Thai, Lao
    range(0x1000, 0x10A0),  # Burmese
    range(0x1780, 0x1800),  # Khmer
    range(0x3005, 0x3008),
    range(0x3040, 0x3100),  # kana
    range(0x31F0, 0x3200),
    range(0x3400, 0xA000),  # Han
    range(0xF900, 0xFB00),
    range(0x20000, 0x32000),
)
_LIGATURES = {"æ": "ae", "œ": "oe"}


def _in(codepoint: int, ranges: tuple[range, ...]) -> bool:
    return any(codepoint in r for r in ranges)


def _fold_character(character: str) -> str:
    if character in _HARD:
        return f" {BREAK} "
    if character == "`" or unicodedata.category(character) in _SEPARATOR_CATEGORIES:
        return " "
    decomposed = unicodedata.normalize("NFKD", character).lower()
    if not "\u0400" <= decomposed[0] < "\u0530":  # Cyrillic marks make other letters
        decomposed = "".join(c for c in decomposed if not _in(ord(c), _STRIPPED_MARKS))
    folded = unicodedata.normalize("NFC", decomposed)
    folded = "".join(_LIGATURES.get(c, c) for c in folded)
    return f" {folded} " if _in(ord(character), _UNSPACED) else folded


class _FoldTable(dict[int, str]):
    """Codepoint -> folded text, filled as characters are met."""

    def __missing__(self, codepoint: int) -> str:
        folded = self[codepoint] = _fold_character(chr(codepoint))
        return folded


_FOLD = _FoldTable()


def fold(text: str) -> str:
    """'Sigur Rós, live' -> 'sigur ros BREAK live', with any number of spaces between."""
    return _CLAUSE_END.sub(BREAK, text).translate(_FOLD)


def words(text: str) -> list[str]:
    """'Sigur Rós, live' -> ['sigur', 'ros', BREAK, 'live']."""
    return fold(text).split()


@lru_cache(maxsize=65_536)
def normalise_value(text: str) -> str:
    """A string as filters, facets and sort compare it: trimmed, decomposed, lower case; accents count."""
    return unicodedata.normalize("NFKD", text.strip()).lower()


@dataclass(frozen=True, slots=True)
class Token:
    """A word or one separator of a text; start and end are offsets in characters."""

    lemma: str
    start: int
    end: int
    is_word: bool
    is_hard: bool = False


def tokens(text: str) -> Iterator[Token]:
    """All words and separators in order; joined they are the text."""
    start = 0
    lemma: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        folded = _FOLD[ord(character)]
        if folded and not folded[0].isspace():
            lemma.append(folded)
            position += 1
            continue
        if not folded:  # a mark without base: part of the word before it
            position += 1
            continue
        if position > start:
            yield Token("".join(lemma), start, position, bool(lemma))
            lemma = []
        hard = BREAK in folded or _CLAUSE_END.match(text, position) is not None
        width = 2 if hard and character in ".," else 1
        word = folded.strip()
        if word and not hard:
            yield Token(word, position, position + 1, is_word=True)
        else:
            yield Token(text[position : position + width], position, position + width, is_word=False, is_hard=hard)
        position += width
        start = position
    if position > start:
        yield Token("".join(lemma), start, position, bool(lemma))


def characters_of(original: str, folded_length: int) -> int:
    """How many characters of a word make the first `folded_length` of its folded form."""
    covered = 0
    for count, character in enumerate(original, 1):
        covered += len(_FOLD[ord(character)].strip())
        if covered >= folded_length:
            return count
    return len(original)

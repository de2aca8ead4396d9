"""Highlighting, cropping and the places of matches.

Source  milli/src/search/new/matches and meilisearch/src/search/mod.rs (format_fields), release 1.50.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from deploy.local.meilisearch_front.columns import covers
from deploy.local.meilisearch_front.index import scalar_text
from deploy.local.meilisearch_front.query import MatchingTerm
from deploy.local.meilisearch_front.text import Token, characters_of, tokens

MAX_DISTANCE = 7
"""Words further apart than this are equally far."""


@dataclass(frozen=True)
class Options:
    """How one attribute is formatted; `crop` is in words."""

    highlight: bool = False
    crop: int | None = None

    def merged(self, other: "Options") -> "Options":
        """Both."""
        return Options(self.highlight or other.highlight, self.crop if self.crop is not None else other.crop)


@dataclass(frozen=True)
class Style:
    """What is put around matches and crops."""

    pre_tag: str = "<em>"
    post_tag: str = "</em>"
    crop_marker: str = "…"


@dataclass(frozen=True)
class _Match:
    first: int  # tokens
    last: int
    first_word: int  # the same, counted in words
    last_word: int
    characters: int
    term: int


class Formatter:
    """Formats values for one query."""

    def __init__(self, terms: Sequence[MatchingTerm], style: Style) -> None:
        self._phrases = [(place, phrase) for place, term in enumerate(terms) for phrase in term.phrases]
        # Whole words before beginnings: they are the better match.
        self._words = sorted(((p, t) for p, t in enumerate(terms) if t.words), key=lambda item: item[1].is_prefix)
        self._style = style

    def positions(self, text: str) -> list[dict[str, Any]]:
        """Start and length of the matches, in bytes of UTF-8."""
        found = list(tokens(text))
        places = []
        for match in self._matches(text, found):
            start = found[match.first].start
            length = len(text[start : start + match.characters].encode())
            places.append({"start": len(text[:start].encode()), "length": length})
        return places

    def format(self, text: str, options: Options) -> str:
        """The text with its matches marked, cropped around the best of them."""
        found = list(tokens(text))
        matches = self._matches(text, found)
        start, end = 0, len(text)
        if options.crop:
            start, end = _crop(found, matches, options.crop, len(text))
        parts = [self._style.crop_marker] if start > 0 else []
        at = start
        for match in matches if options.highlight else ():
            first, last = found[match.first].start, found[match.last].end
            if last < start or first > end:
                continue
            first, last = max(first, start), min(last, end)
            marked = min(first + match.characters, last)
            parts += [text[at:first], self._style.pre_tag, text[first:marked], self._style.post_tag, text[marked:last]]
            at = last
        parts.append(text[at:end])
        if end < len(text):
            parts.append(self._style.crop_marker)
        return "".join(parts)

    def _matches(self, text: str, found: Sequence[Token]) -> list[_Match]:
        places = [place for place, token in enumerate(found) if token.is_word]
        matches: list[_Match] = []
        word = 0
        while word < len(places):
            match = self._phrase_at(found, places, word) or self._word_at(text, found, places, word)
            if match is not None:
                matches.append(match)
                word = match.last_word
            word += 1
        return matches

    def _phrase_at(self, found: Sequence[Token], places: Sequence[int], word: int) -> _Match | None:
        for term, phrase in self._phrases:
            window = places[word : word + len(phrase)]
            if len(window) == len(phrase) and all(found[p].lemma == w for p, w in zip(window, phrase, strict=True)):
                first, last = window[0], window[-1]
                characters = found[last].end - found[first].start
                return _Match(first, last, word, word + len(phrase) - 1, characters, term)
        return None

    def _word_at(self, text: str, found: Sequence[Token], places: Sequence[int], word: int) -> _Match | None:
        token = found[places[word]]
        for place, term in self._words:
            length = term.prefix_matched(token.lemma)
            if length is not None:
                characters = characters_of(text[token.start : token.end], length)
                if length >= len(token.lemma):
                    characters = token.end - token.start
                return _Match(places[word], places[word], word, word, characters, place)
        return None


def _score(matches: Sequence[_Match]) -> tuple[int, int, int]:
    distance = order = 0
    for before, after in pairwise(matches):
        order += after.term > before.term
        distance -= min(after.first_word - before.last_word, MAX_DISTANCE)
    for match in matches:
        order += match.last_word - match.first_word
        distance -= match.last_word - match.first_word
    return len({match.term for match in matches}), distance, order


def _best_interval(matches: Sequence[_Match], size: int) -> tuple[_Match, _Match]:
    best: tuple[tuple[int, int, int], _Match, _Match] | None = None
    for first in range(len(matches)):
        inside = [m for m in matches[first:] if m.last_word - matches[first].first_word < size]
        if inside and (best is None or _score(inside) > best[0]):
            best = (_score(inside), inside[0], inside[-1])
    return (matches[0], matches[0]) if best is None else best[1:]


def _crop(found: Sequence[Token], matches: Sequence[_Match], size: int, length: int) -> tuple[int, int]:
    """Start and end of `size` words around the best matches."""
    before, after, remaining = -1, 0, size  # next tokens to take on either side
    if matches:
        first, last = _best_interval(matches, size)
        before, after = first.first - 1, last.last + 1
        remaining = size - (last.last_word - first.first_word + 1)
        if remaining < 0:  # a phrase longer than the crop: its first words
            words = [token for token in found[first.first :] if token.is_word][:size]
            return found[first.first].start, words[-1].end
    while remaining > 0 and (before >= 0 or after < len(found)):
        left = found[before] if before >= 0 else None
        right = found[after] if after < len(found) else None
        if left is not None and right is not None:
            if left.is_word or right.is_word:
                if left.is_word:
                    before -= 1
                    remaining -= 1
                if right.is_word and remaining > 0:
                    after += 1
                    remaining -= 1
            elif left.is_hard == right.is_hard:
                before -= 1
                after += 1 if remaining > 1 else 0
            elif left.is_hard:
                after += 1
            else:
                before -= 1
        elif left is not None:
            before -= 1
            remaining -= left.is_word
        elif right is not None:
            after += 1
            remaining -= right.is_word
    return (found[before].end if before >= 0 else 0), (found[after].start if after < len(found) else length)


def map_leaves(value: Any, change: Callable[[str, Any], Any], path: str = "") -> Any:
    """The same document with every scalar changed."""
    if isinstance(value, dict):
        return {key: map_leaves(inner, change, f"{path}.{key}" if path else key) for key, inner in value.items()}
    if isinstance(value, list):
        return [map_leaves(inner, change, path) for inner in value]
    return change(path, value)


def formatted(document: Mapping[str, Any], formatter: Formatter, options: Mapping[str, Options]) -> dict[str, Any]:
    """`_formatted`: numbers become text, as Meilisearch has it; attributes in `options` are marked and cropped."""

    def change(path: str, leaf: Any) -> Any:
        chosen = [o for attribute, o in options.items() if covers(attribute, path) or covers(path, attribute)]
        text = None if isinstance(leaf, bool) else scalar_text(leaf)
        if text is None:
            return leaf
        wanted = Options()
        for option in chosen:
            wanted = wanted.merged(option)
        return formatter.format(text, wanted) if wanted != Options() else text

    return {key: map_leaves(value, change, key) for key, value in document.items()}


def matches_position(document: Mapping[str, Any], formatter: Formatter) -> dict[str, list[dict[str, Any]]]:
    """`_matchesPosition`: attribute -> places of the matches in its values."""
    places: dict[str, list[dict[str, Any]]] = {}

    def walk(value: Any, path: str, indices: list[int]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else key, indices)
        elif isinstance(value, list):
            for place, inner in enumerate(value):
                walk(inner, path, [*indices, place])
        elif (text := None if isinstance(value, bool) else scalar_text(value)) is not None:
            found = [{**p, "indices": indices} if indices else p for p in formatter.positions(text)]
            if found:
                places.setdefault(path, []).extend(found)

    walk(dict(document), "", [])
    return places

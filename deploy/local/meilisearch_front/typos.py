"""The words of an index, and those a typed word may stand for.

Meilisearch's rules: no typo below 5 letters, one from 5, two from 9; a typo on the first letter counts as two;
swapping two letters is one typo; the last word typed may be the beginning of a word.

Source  milli/src/search/new/query_term/compute_derivations.rs and limits.rs, release 1.50.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from rapidfuzz import process
from rapidfuzz.distance import OSA

MAX_ONE_TYPO_WORDS = 150
MAX_TWO_TYPO_WORDS = 50
"""Derived words kept of each kind; more would make a query slow and say little."""


@dataclass(frozen=True)
class Derivations:
    """Words of the index by number of typos; beginnings are not listed among those without."""

    exact: bool
    one: frozenset[str] = frozenset()
    two: frozenset[str] = frozenset()


@dataclass(frozen=True)
class TypoRules:
    """Meilisearch's `typoTolerance` setting, as far as words decide."""

    enabled: bool = True
    one_from: int = 5
    two_from: int = 9
    exact_words: frozenset[str] = frozenset()
    numbers: bool = True

    def allowed(self, word: str) -> int:
        """How many typos a word of the query may have."""
        if not self.enabled or len(word) < self.one_from or word in self.exact_words:
            return 0
        if not self.numbers and word.isdecimal():
            return 0
        return 1 if len(word) < self.two_from else 2


class Vocabulary:
    """The words of one view of an index with the number of documents of each. Immutable."""

    def __init__(self, frequencies: Mapping[str, int]) -> None:
        self.frequencies = frequencies
        self._derived: dict[tuple[str, bool, int], Derivations] = {}

    @cached_property
    def sorted_words(self) -> list[str]:
        """All words in order."""
        return sorted(self.frequencies)

    @cached_property
    def first_letters(self) -> list[str]:
        """The letters words begin with."""
        return sorted({word[0] for word in self.sorted_words})

    def starting_with(self, prefix: str) -> list[str]:
        """Words with that beginning, in order."""
        ordered = self.sorted_words
        low = bisect_left(ordered, prefix)
        return ordered[low : bisect_left(ordered, prefix + "\U0010ffff", low)]

    def derive(self, word: str, is_prefix: bool, typos: int) -> Derivations:
        """Words of the index that `word` may stand for with up to `typos` typos."""
        key = (word, is_prefix, typos)
        found = self._derived.get(key)
        if found is None:
            found = self._derived[key] = self._derive(*key)
        return found

    def _derive(self, word: str, is_prefix: bool, typos: int) -> Derivations:
        exact = word in self.frequencies
        if typos == 0:
            return Derivations(exact)
        distances = self._near(word, is_prefix, typos)
        one = [w for w, d in distances.items() if d == 1]
        two = [w for w, d in distances.items() if d == 2]
        if typos == 2:
            two = sorted({*two, *self._first_letter_typos(word, is_prefix)})
        return Derivations(
            exact, frozenset(islice(one, MAX_ONE_TYPO_WORDS)), frozenset(islice(two, MAX_TWO_TYPO_WORDS))
        )

    def _near(self, word: str, is_prefix: bool, typos: int) -> dict[str, int]:
        """Words with the same first letter and 1 to `typos` typos -> typos."""
        candidates = self.starting_with(word[0])
        if not is_prefix:
            near = process.extract(word, candidates, scorer=OSA.distance, score_cutoff=typos, limit=None)
            return {w: int(d) for w, d, _ in sorted(near) if d > 0}
        lengths = range(max(1, len(word) - typos), len(word) + typos + 1)
        heads = list({candidate[:n] for candidate in candidates for n in lengths})
        distances: dict[str, int] = {}
        for head, distance, _ in process.extract(word, heads, scorer=OSA.distance, score_cutoff=typos, limit=None):
            for candidate in self.starting_with(head):
                distances[candidate] = min(distances.get(candidate, typos), int(distance))
        return {w: d for w, d in sorted(distances.items()) if d > 0}

    def _first_letter_typos(self, word: str, is_prefix: bool) -> Iterable[str]:
        """Words one typo away whose first letter differs: that typo counts as two."""
        letters = [letter for letter in self.first_letters if letter != word[0]]
        patterns = [word[1:], word[1] + word[0] + word[2:]]
        patterns += [letter + tail for letter in letters for tail in (word, word[1:])]
        for pattern in patterns:
            if pattern[0] == word[0]:
                continue
            if is_prefix:
                yield from self.starting_with(pattern)
            elif pattern in self.frequencies:
                yield pattern

    def splits(self, word: str) -> list[tuple[str, str]]:
        """Ways to read one word as two of the index, the likeliest first: 'gratefuldead' -> ('grateful', 'dead')."""
        found = [
            (word[:cut], word[cut:])
            for cut in range(1, len(word))
            if word[:cut] in self.frequencies and word[cut:] in self.frequencies
        ]
        return sorted(found, key=lambda pair: -min(self.frequencies[part] for part in pair))[:3]

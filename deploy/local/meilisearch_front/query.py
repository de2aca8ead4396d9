"""A typed query as terms, and as a tantivy query whose score carries Meilisearch's ranking.

Each matched word adds constant parts to the score, packed so that sums stay apart (23 bits, exact in tantivy's f32):

    words matched | typos saved | rank of the attribute | words matched exactly | attribute is or begins with the query

so that one pass of tantivy finds and ranks all documents by words, typo, attributeRank and exactness. Proximity is
computed afterwards, from the text of the best documents (`search`).

Source  milli/src/search/new/query_term/parse_query.rs and ranking_rule_graph/typo, release 1.50.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tantivy import Occur, Query

from deploy.local.meilisearch_front import settings as index_settings
from deploy.local.meilisearch_front.index import Field, View
from deploy.local.meilisearch_front.text import END, START, Token, tokens, words
from deploy.local.meilisearch_front.typos import Derivations

MAX_TERMS = 10
"""Words of a query that count; Meilisearch ignores the rest too."""

ATTRIBUTE_UNIT = 4  # below: 2 attribute is the query, 1 begins with it
EXACT_UNIT = 4
RANK_UNIT = EXACT_UNIT * 16
TYPO_UNIT = RANK_UNIT * 256
WORD_UNIT = TYPO_UNIT * 32
LAST_RANK = 15
MOST_TYPOS = 2


@dataclass(frozen=True)
class Ranks:
    """A score taken apart; greater is better."""

    words: int
    typos_saved: int
    attribute: int
    exact: int
    attribute_match: int


def unpack(score: float) -> Ranks:
    """The parts of a score."""
    packed = int(score)
    return Ranks(
        words=packed // WORD_UNIT,
        typos_saved=packed // TYPO_UNIT % 32,
        attribute=packed // RANK_UNIT % 256,
        exact=packed // EXACT_UNIT % 16,
        attribute_match=packed % ATTRIBUTE_UNIT,
    )


def weight(typos: int, rank: int, *, exact: bool) -> int:
    """What one matched word adds."""
    saved = MOST_TYPOS - min(typos, MOST_TYPOS)
    place = LAST_RANK - min(rank, LAST_RANK)
    return WORD_UNIT + saved * TYPO_UNIT + place * RANK_UNIT + (EXACT_UNIT if exact else 0)


@dataclass(frozen=True)
class Term:
    """A word, or a phrase in quotes; `words` has more than one entry only for a phrase."""

    words: tuple[str, ...]
    position: int
    is_phrase: bool = False
    is_prefix: bool = False

    @property
    def text(self) -> str:
        """The word."""
        return self.words[0]


@dataclass(frozen=True)
class TypedQuery:
    """What was typed: terms in order, and what must not be there."""

    terms: tuple[Term, ...]
    without: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class MatchingTerm:
    """What a term may match, for highlighting and proximity."""

    words: frozenset[str]
    is_prefix: bool
    length: int
    phrases: tuple[tuple[str, ...], ...] = ()

    def prefix_matched(self, lemma: str) -> int | None:
        """Folded characters of a word that this term matches; None when it does not."""
        if lemma in self.words and not self.is_prefix:
            return len(lemma)
        if self.is_prefix:
            for word in self.words:
                if lemma.startswith(word):
                    return min(self.length, len(word))
        return None


@dataclass
class _Phrase:
    words: list[str] = field(default_factory=list)
    position: int = 0
    negated: bool = False


def read(text: str, stop_words: frozenset[str], *, prefix_search: bool) -> TypedQuery:
    """'live "dark star" -demo grat' -> terms live, the phrase, the prefix grat; without demo."""
    found = list(tokens(text))
    terms: list[Term] = []
    without: list[tuple[str, ...]] = []
    phrase: _Phrase | None = None
    position = -1
    negate_next = False
    after_space = True

    def close() -> None:
        if phrase is not None and phrase.words:
            if phrase.negated:
                without.append(tuple(phrase.words))
            else:
                terms.append(Term(tuple(phrase.words), phrase.position, is_phrase=True))

    for place, token in enumerate(found):
        if token.is_word and token.lemma:
            position += 1
            last = place == len(found) - 1
            if phrase is not None:
                phrase.position = phrase.position if phrase.words else position
                if token.lemma not in stop_words:
                    phrase.words.append(token.lemma)
            elif negate_next:
                without.append((token.lemma,))
            elif last or token.lemma not in stop_words:
                terms.append(Term((token.lemma,), position, is_prefix=last and prefix_search))
            negate_next = False
        elif not token.is_word:
            position += 7 if token.is_hard else 0
            if token.is_hard and phrase is not None:
                close()
                phrase = _Phrase(negated=phrase.negated)
            if token.lemma == '"':
                if phrase is None:
                    phrase = _Phrase(negated=negate_next)
                else:
                    close()
                    phrase = None
            negate_next = phrase is None and token.lemma == "-" and after_space
        after_space = _is_space(token)
    close()
    return TypedQuery(tuple(terms[:MAX_TERMS]), tuple(without))


def _is_space(token: Token) -> bool:
    return not token.is_word and token.lemma[-1:].isspace()


class Composer:
    """Turns a typed query into a tantivy query over one view."""

    def __init__(self, view: View, fields: Sequence[Field]) -> None:
        self._schema = view.schema
        self._fields = fields
        self._vocabulary = view.vocabulary
        self._rules = index_settings.typo_rules(view.settings)
        self._synonyms = _synonyms(view.settings["synonyms"])

    def compose(self, typed: TypedQuery, strategy: str) -> Query:
        """All documents that match, scored. The strategy is Meilisearch's: last, all or frequency."""
        terms = typed.terms
        clauses = {term: self._term(terms, place) for place, term in enumerate(terms)}
        phrases = [clauses[term] for term in terms if term.is_phrase]
        others = [term for term in terms if not term.is_phrase]
        if strategy == "all":
            phrases, others = [clauses[term] for term in terms], []
        elif strategy == "frequency":
            others.sort(key=self._frequency)
        chain: Query | None = None
        for term in reversed(others):  # the last word is dropped first
            tail = [] if chain is None else [(Occur.Should, chain)]
            chain = Query.boolean_query([(Occur.Must, clauses[term]), *tail])
        parts = [(Occur.Must, phrase) for phrase in phrases]
        if chain is not None:
            parts.append((Occur.Should if phrases else Occur.Must, chain))
        elif not parts:
            parts.append((Occur.Must, _constant(Query.all_query(), WORD_UNIT)))
        parts += [(Occur.Should, query) for query in self._attribute_match(terms)]
        parts += [
            (Occur.MustNot, self._words_in(name, unwanted))
            for unwanted in typed.without
            for name in (f.name for f in self._fields)
        ]
        return Query.boolean_query(parts)

    def matching(self, typed: TypedQuery) -> list[MatchingTerm]:
        """What each term matches, in the order of the terms."""
        return [self._matching(term) for term in typed.terms]

    def _matching(self, term: Term) -> MatchingTerm:
        if term.is_phrase:
            return MatchingTerm(frozenset(), False, 0, (term.words,))
        derived = self._derive(term.text, term.is_prefix)
        phrases = [p for p in self._synonyms.get(term.words, ()) if len(p) > 1]
        phrases += self._vocabulary.splits(term.text)
        same = {p[0] for p in self._synonyms.get(term.words, ()) if len(p) == 1}
        return MatchingTerm(
            frozenset({term.text, *derived.one, *derived.two, *same}), term.is_prefix, len(term.text), tuple(phrases)
        )

    def _derive(self, word: str, is_prefix: bool, typos: int | None = None) -> Derivations:
        return self._vocabulary.derive(word, is_prefix, self._rules.allowed(word) if typos is None else typos)

    def _frequency(self, term: Term) -> float:
        known = self._vocabulary.starting_with(term.text) if term.is_prefix else [term.text]
        return sum(self._vocabulary.frequencies.get(word, 0) for word in known) or float("inf")

    def _term(self, terms: Sequence[Term], place: int) -> Query:
        """One term with all it may stand for; the best of them counts."""
        term = terms[place]
        options = [] if term.is_phrase else self._word(term.text, term.is_prefix)
        for f in self._fields:
            if term.is_phrase:
                options.append(_constant(self._words_in(f.name, term.words), weight(0, f.rank, exact=True)))
                continue
            for synonym in self._synonyms.get(term.words, ()):
                options.append(_constant(self._words_in(f.name, synonym), weight(0, f.rank, exact=False)))
            for split in self._vocabulary.splits(term.text):
                options.append(_constant(self._words_in(f.name, split), weight(1, f.rank, exact=False)))
        for joined in _ngrams(terms, place):
            options += self._ngram(joined)
        return Query.disjunction_max_query(options) if options else Query.empty_query()

    def _word(self, word: str, is_prefix: bool) -> list[Query]:
        derived = self._derive(word, is_prefix)
        options: list[Query] = []
        for f in self._fields:
            if derived.exact:
                options.append(_constant(Query.term_query(self._schema, f.name, word), weight(0, f.rank, exact=True)))
            if is_prefix:
                options.append(_constant(self._beginning(f.name, word), weight(0, f.rank, exact=False)))
            if f.typos:
                options += self._any_of(f.name, derived.one, weight(1, f.rank, exact=False))
                options += self._any_of(f.name, derived.two, weight(2, f.rank, exact=False))
        return options

    def _ngram(self, joined: Sequence[Term]) -> list[Query]:
        """Neighbouring words written as one: each counts as a typo."""
        words_joined = tuple(term.text for term in joined)
        word = "".join(words_joined)
        is_prefix = joined[-1].is_prefix
        typos = max(0, self._rules.allowed(word) - len(joined) + 1)
        derived = self._derive(word, is_prefix, typos)
        options: list[Query] = []
        for f in self._fields:
            for synonym in self._synonyms.get(words_joined, ()):
                options.append(_constant(self._words_in(f.name, synonym), weight(1, f.rank, exact=False)))
            if is_prefix:
                options.append(_constant(self._beginning(f.name, word), weight(1, f.rank, exact=False)))
            elif derived.exact:
                options.append(_constant(Query.term_query(self._schema, f.name, word), weight(1, f.rank, exact=False)))
            if f.typos:
                options += self._any_of(f.name, derived.one | derived.two, weight(2, f.rank, exact=False))
        return options

    def _beginning(self, name: str, prefix: str) -> Query:
        return Query.fuzzy_term_query(self._schema, name, prefix, distance=0, prefix=True)

    def _any_of(self, name: str, derived: Iterable[str], score: int) -> list[Query]:
        listed = list(derived)
        return [_constant(Query.term_set_query(self._schema, name, listed), score)] if listed else []

    def _words_in(self, name: str, listed: Sequence[str]) -> Query:
        if len(listed) == 1:
            return Query.term_query(self._schema, name, listed[0])
        return Query.phrase_query(self._schema, name, [*listed])

    def _attribute_match(self, terms: Sequence[Term]) -> list[Query]:
        """Scores 2 when an attribute is the query, 1 when it begins with it, word for word."""
        listed = [word for term in terms for word in term.words]
        if not listed:
            return []
        is_prefix = terms[-1].is_prefix
        options = []
        for f in self._fields:
            options.append(_constant(Query.phrase_query(self._schema, f.name, [START, *listed, END]), 2))
            begin = Query.phrase_prefix_query if is_prefix else Query.phrase_query
            options.append(_constant(begin(self._schema, f.name, [START, *listed]), 1))
        return [Query.disjunction_max_query(options)]


def _constant(query: Query, score: int) -> Query:
    return Query.const_score_query(query, float(score))


def _ngrams(terms: Sequence[Term], place: int) -> Iterable[Sequence[Term]]:
    """Runs of two and three neighbouring words that contain the term at `place`."""
    for size in (2, 3):
        for first in range(max(0, place - size + 1), min(place, len(terms) - size) + 1):
            run = terms[first : first + size]
            neighbours = all(b.position == a.position + 1 for a, b in pairwise(run))
            if neighbours and not any(term.is_phrase for term in run):
                yield run


def _synonyms(setting: Mapping[str, Any]) -> dict[tuple[str, ...], list[tuple[str, ...]]]:
    return {tuple(words(key)): [tuple(w) for other in others if (w := words(other))] for key, others in setting.items()}

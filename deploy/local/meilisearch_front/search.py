"""A search: parameters -> response.

tantivy finds and scores all matching documents; the filter's documents are kept; what is left is ordered by the ranking
rules, one stable pass for each rule from the last to the first. Proximity needs the text of documents, so it is
computed for the first WINDOW documents only and those are ordered again.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from tantivy import Query

from deploy.local.meilisearch_front import filters
from deploy.local.meilisearch_front import format as formats
from deploy.local.meilisearch_front.columns import covers, leaves
from deploy.local.meilisearch_front.errors import ApiError, not_served
from deploy.local.meilisearch_front.index import NUMBER, Field, View, scalar_text
from deploy.local.meilisearch_front.query import Composer, MatchingTerm, TypedQuery, read, unpack, weight
from deploy.local.meilisearch_front.settings import route_of
from deploy.local.meilisearch_front.text import BREAK, normalise_value, words

WINDOW = 1_000
"""Documents whose proximity is computed: Meilisearch's default maxTotalHits, so no page is ordered differently."""
MAX_PROXIMITY = 8
"""Two neighbouring words of the query further apart than this cost no more."""
DEFAULT_LIMIT = 20
MAX_COUNT = 2**32 - 1
"""The greatest number taken in a parameter."""

Fetch = Callable[[Sequence[int]], dict[int, dict[str, Any]]]
"""Documents by number."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a string")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        raise TypeError("a positive integer")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("a boolean")
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError("an array of strings")
    return value


def _strategy(value: Any) -> str:
    if value not in ("last", "all", "frequency"):
        raise TypeError("one of `last`, `all`, `frequency`")
    return str(value)


def _any(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Parameters:
    """What a search asks for, with Meilisearch's defaults."""

    q: str | None = None
    offset: int = 0
    limit: int = DEFAULT_LIMIT
    page: int | None = None
    hits_per_page: int | None = None
    attributes_to_retrieve: list[str] = field(default_factory=lambda: ["*"])
    attributes_to_crop: list[str] | None = None
    crop_length: int = 10
    crop_marker: str = "…"
    attributes_to_highlight: list[str] | None = None
    highlight_pre_tag: str = "<em>"
    highlight_post_tag: str = "</em>"
    show_matches_position: bool = False
    show_ranking_score: bool = False
    filter: Any = None
    sort: list[str] | None = None
    distinct: str | None = None
    facets: list[str] | None = None
    matching_strategy: str = "last"
    attributes_to_search_on: list[str] | None = None

    @property
    def counts_pages(self) -> bool:
        """Pages with an exact number of hits, instead of offset and limit with an estimate."""
        return self.page is not None or self.hits_per_page is not None


_PARAMETERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "q": ("q", _text),
    "offset": ("offset", _count),
    "limit": ("limit", _count),
    "page": ("page", _count),
    "hitsPerPage": ("hits_per_page", _count),
    "attributesToRetrieve": ("attributes_to_retrieve", _texts),
    "attributesToCrop": ("attributes_to_crop", _texts),
    "cropLength": ("crop_length", _count),
    "cropMarker": ("crop_marker", _text),
    "attributesToHighlight": ("attributes_to_highlight", _texts),
    "highlightPreTag": ("highlight_pre_tag", _text),
    "highlightPostTag": ("highlight_post_tag", _text),
    "showMatchesPosition": ("show_matches_position", _flag),
    "showRankingScore": ("show_ranking_score", _flag),
    "filter": ("filter", _any),
    "sort": ("sort", _texts),
    "distinct": ("distinct", _text),
    "facets": ("facets", _texts),
    "matchingStrategy": ("matching_strategy", _strategy),
    "attributesToSearchOn": ("attributes_to_search_on", _texts),
}
_REFUSED = (
    "vector",
    "media",
    "hybrid",
    "retrieveVectors",
    "showRankingScoreDetails",
    "showPerformanceDetails",
    "rankingScoreThreshold",
    "locales",
    "personalize",
    "useNetwork",
)
_LISTS = frozenset(name for name, (_, check) in _PARAMETERS.items() if check is _texts)
_COUNTS = frozenset(name for name, (_, check) in _PARAMETERS.items() if check is _count)
_FLAGS = frozenset(name for name, (_, check) in _PARAMETERS.items() if check is _flag)


def read_parameters(body: Any) -> Parameters:
    """The body of a search, checked. ApiError names what is wrong."""
    if not isinstance(body, dict):
        raise ApiError("bad_request", f"Invalid value type: expected an object, but found: `{body!r}`")
    given: dict[str, Any] = {}
    for name, value in body.items():
        if name in _REFUSED:
            if value:
                raise not_served(f"The search parameter `{name}`")
            continue
        if name not in _PARAMETERS:
            known = ", ".join(f"`{parameter}`" for parameter in (*_PARAMETERS, *_REFUSED))
            raise ApiError("bad_request", f"Unknown field `{name}`: expected one of {known}")
        attribute, check = _PARAMETERS[name]
        if value is None:
            continue
        try:
            given[attribute] = check(value)
        except TypeError as error:
            code = "invalid_search_" + route_of(name).replace("-", "_")
            raise ApiError(code, f"Invalid value at `.{name}`: expected {error}, but found: `{value!r}`") from error
    return Parameters(**given)


def from_query_string(query: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of a GET as the body of a POST."""
    body: dict[str, Any] = {}
    for name, value in query.items():
        if name in _LISTS:
            body[name] = value.split(",")
        elif name in _COUNTS:
            body[name] = int(value) if value.isdecimal() else value
        elif name in _FLAGS:
            body[name] = {"true": True, "false": False}.get(value, value)
        else:
            body[name] = value
    return body


def search(view: View, fetch: Fetch, given: Parameters) -> dict[str, Any]:
    """The answer to one search."""
    started = time.perf_counter()
    found = _find(view, fetch, given)
    most = view.settings["pagination"]["maxTotalHits"]
    total = min(len(found.numbers), most)
    answer: dict[str, Any] = {"hits": [], "query": given.q or ""}
    if given.counts_pages:
        page = 1 if given.page is None else given.page
        size = DEFAULT_LIMIT if given.hits_per_page is None else given.hits_per_page
        offset, limit = ((page - 1) * size, size) if page else (0, 0)
        pages = -(-total // size) if size else 0
        counts = {"hitsPerPage": size, "page": page, "totalPages": pages, "totalHits": total}
    else:
        offset, limit = given.offset, given.limit
        counts = {"limit": limit, "offset": offset, "estimatedTotalHits": total}
    offset = min(offset, most)
    shown = found.numbers[offset : min(offset + limit, most)]
    answer["hits"] = _hits(view, fetch, given, found, shown)
    if given.facets is not None:
        answer["facetDistribution"], answer["facetStats"] = _facets(view, given.facets, found.numbers)
    answer["processingTimeMs"] = round((time.perf_counter() - started) * 1000)
    return {**answer, **counts}


@dataclass(frozen=True)
class _Found:
    numbers: list[int]
    scores: Mapping[int, float]
    terms: list[MatchingTerm]
    best: float  # a score that cannot be exceeded


def _find(view: View, fetch: Fetch, given: Parameters) -> _Found:
    tree = filters.parse(given.filter) if given.filter is not None else None
    allowed = None if tree is None else select(view, tree, "invalid_search_filter")
    sort = _sort_rules(view, given.sort)
    fields = _fields(view, given.attributes_to_search_on)
    typed = _typed(view, given.q)
    if typed is None:
        numbers = sorted(view.columns.documents if allowed is None else allowed)
        found = _Found(_order(view, numbers, {}, sort, {}), {}, [], 0.0)
    else:
        composer = Composer(view, fields)
        scores = _run(view, composer.compose(typed, given.matching_strategy), allowed)
        terms = composer.matching(typed)
        numbers = _order(view, sorted(scores), scores, sort, {})
        if len(terms) > 1 and len(numbers) > 1 and "proximity" in view.settings["rankingRules"]:
            window = sorted(numbers[:WINDOW])
            proximity = _Proximity(terms, fields)
            costs = {number: proximity.cost(document) for number, document in fetch(window).items()}
            numbers[:WINDOW] = _order(view, window, scores, sort, costs)
        best = len(typed.terms) * weight(0, 0, exact=True) + 2.0
        found = _Found(numbers, scores, terms, best)
    return _distinct(view, given.distinct, found)


def select(view: View, tree: filters.Filter, code: str) -> set[int] | frozenset[int]:
    """Documents that a filter lets through. ApiError with the code when an attribute is not filterable."""
    filterable = view.settings["filterableAttributes"]
    for attribute in filters.attributes(tree):
        if not any(covers(f, attribute) for f in filterable):
            available = (
                f"Available filterable attribute patterns are: {', '.join(f'`{f}`' for f in sorted(filterable))}."
                if filterable
                else "This index does not have configured filterable attributes."
            )
            raise ApiError(code, f"Attribute `{attribute}` is not filterable. {available}")
    return view.columns.select(tree)


def _typed(view: View, q: str | None) -> TypedQuery | None:
    if q is None or not q.strip():
        return None
    stop_words = frozenset(word for text in view.settings["stopWords"] for word in words(text))
    typed = read(q, stop_words, prefix_search=view.settings["prefixSearch"] == "indexingTime")
    return typed if typed.terms or typed.without else None


def _fields(view: View, attributes: list[str] | None) -> tuple[Field, ...]:
    if attributes is None or "*" in attributes:
        return view.fields
    searchable = view.settings["searchableAttributes"]
    if "*" in searchable:
        raise not_served("`attributesToSearchOn` while `searchableAttributes` is `*`")
    unknown = [attribute for attribute in attributes if attribute not in searchable]
    if unknown:
        raise ApiError(
            "invalid_search_attributes_to_search_on",
            f"Attribute `{unknown[0]}` is not searchable. "
            f"Available searchable attributes are: `{', '.join(sorted(searchable))}`.",
        )
    return tuple(f for f in view.fields if f.attributes[0] in attributes)


def _run(view: View, query: Query, allowed: Collection[int] | None) -> dict[int, float]:
    """Document number -> score, of all that match."""
    hits = view.searcher.search(query, limit=max(1, view.searcher.num_docs), count=False).hits
    numbers = cast(list[int], view.searcher.fast_field_values(NUMBER, [address for _, address in hits]))
    scored = zip(numbers, (score for score, _ in hits), strict=True)
    return dict(scored) if allowed is None else {number: score for number, score in scored if number in allowed}


# -- ranking ---------------------------------------------------------------------------------------------------------


def sort_rules(expressions: Sequence[str], sortable: Collection[str], code: str) -> list[tuple[str, bool]]:
    """['night:desc'] -> [('night', True)]. ApiError with the code for bad syntax or an attribute not sortable."""
    rules = []
    for expression in expressions:
        attribute, _, direction = expression.rpartition(":")
        if not attribute or direction not in ("asc", "desc"):
            raise ApiError(
                code,
                "Invalid syntax for the sort parameter: expected expression ending by `:asc` or `:desc`, "
                f"found `{expression}`.",
            )
        if attribute.startswith("_geo"):
            raise not_served("Sorting by `_geoPoint`")
        if not any(covers(s, attribute) for s in sortable):
            available = (
                f"Available sortable attributes are: `{', '.join(sorted(sortable))}`."
                if sortable
                else "This index does not have configured sortable attributes."
            )
            raise ApiError(code, f"Attribute `{attribute}` is not sortable. {available}")
        rules.append((attribute, direction == "desc"))
    return rules


def _sort_rules(view: View, expressions: list[str] | None) -> list[tuple[str, bool]]:
    if not expressions:
        return []
    if "sort" not in view.settings["rankingRules"]:
        raise ApiError(
            "invalid_search_sort",
            "You must specify where `sort` is listed in the rankingRules setting to use the sort parameter at search "
            "time.",
        )
    return sort_rules(expressions, view.settings["sortableAttributes"], "invalid_search_sort")


_SCORE_KEYS: dict[str, Callable[[float], Any]] = {
    "words": lambda score: -unpack(score).words,
    "typo": lambda score: -unpack(score).typos_saved,
    "attributeRank": lambda score: -unpack(score).attribute,
    "attribute": lambda score: (-unpack(score).attribute, -min(1, unpack(score).attribute_match)),
    "wordPosition": lambda score: -min(1, unpack(score).attribute_match),
    "exactness": lambda score: (-unpack(score).attribute_match, -unpack(score).exact),
}


def _order(
    view: View,
    numbers: list[int],
    scores: Mapping[int, float],
    sort: Sequence[tuple[str, bool]],
    proximity: Mapping[int, int],
) -> list[int]:
    """Numbers by the ranking rules; those that tie stay in the order given."""
    ordered = list(numbers)
    tied: list[Callable[[float], Any]] = []  # neighbouring rules that the score decides: one pass for all

    def settle() -> None:
        if tied and scores:
            keys = {score: tuple(key(score) for key in reversed(tied)) for score in set(scores.values())}
            ordered.sort(key=_through(scores, keys))
        tied.clear()

    for rule in reversed(view.settings["rankingRules"]):
        if rule in _SCORE_KEYS:
            tied.append(_SCORE_KEYS[rule])
            continue
        chosen = sort if rule == "sort" else [(rule.rpartition(":")[0], rule.endswith(":desc"))]
        if rule == "proximity":
            if proximity:
                settle()
                ordered.sort(key=lambda number: proximity.get(number, 0))
        elif chosen:
            settle()
            for attribute, descending in reversed(chosen):
                sort_by_value(view, ordered, attribute, descending=descending)
    settle()
    return ordered


def _through(scores: Mapping[int, float], keys: Mapping[float, Any]) -> Callable[[int], Any]:
    return lambda number: keys[scores[number]]


def sort_by_value(view: View, numbers: list[int], attribute: str, *, descending: bool) -> None:
    """Sort in place by an attribute; documents without it come last either way."""
    column = view.columns.column(attribute)
    numbers.sort(key=lambda number: column.sort_key(number, descending=descending), reverse=descending)


class _Proximity:
    """How near the words of the query stand to each other in a document."""

    def __init__(self, terms: Sequence[MatchingTerm], fields: Sequence[Field]) -> None:
        self._terms = terms
        self._fields = fields
        self._matched = lru_cache(maxsize=None)(self._match)
        self._held = lru_cache(maxsize=None)(self._hold)

    def _match(self, lemma: str) -> tuple[int, ...]:
        """Which terms a word matches; a phrase by its first word."""
        return tuple(
            place
            for place, term in enumerate(self._terms)
            if term.prefix_matched(lemma) is not None or any(phrase[0] == lemma for phrase in term.phrases)
        )

    def _hold(self, path: str) -> tuple[int, ...]:
        """Which fields the values under a path belong to."""
        return tuple(place for place, f in enumerate(self._fields) if f.holds(path))

    def cost(self, document: Mapping[str, Any]) -> int:
        """Sum over neighbouring terms of the least distance in any one attribute; lower is better."""
        pairs = len(self._terms) - 1
        best = [MAX_PROXIMITY] * pairs
        for places in self._places(document):
            for pair in range(pairs):
                for first in places[pair]:
                    for second in places[pair + 1]:
                        if first != second:
                            distance = second - first if second > first else first - second + 1
                            best[pair] = min(best[pair], distance)
        return sum(best)

    def _places(self, document: Mapping[str, Any]) -> list[list[list[int]]]:
        """For each field, for each term, the positions of its words."""
        found: list[list[list[int]]] = [[[] for _ in self._terms] for _ in self._fields]
        position = 0
        for path, leaf in leaves(document):
            holding = self._held(path)
            text = scalar_text(leaf) if holding else None
            for word in words(text) if text else ():
                if word == BREAK:
                    position += MAX_PROXIMITY
                    continue
                for term in self._matched(word):
                    for place in holding:
                        found[place][term].append(position)
                position += 1
            position += MAX_PROXIMITY
        return found


def _distinct(view: View, asked: str | None, found: _Found) -> _Found:
    attribute = asked or view.settings["distinctAttribute"]
    if attribute is None:
        return found
    filterable = view.settings["filterableAttributes"]
    if asked and not any(covers(f, asked) for f in filterable):
        raise ApiError(
            "invalid_search_distinct",
            f"Attribute `{asked}` is not filterable and thus, cannot be used as distinct attribute. "
            f"Available filterable attributes patterns are: `{', '.join(sorted(filterable))}`.",
        )
    column = view.columns.column(attribute)
    seen: set[Any] = set()
    kept = []
    for number in found.numbers:
        values = {normalise_value(v) if isinstance(v, str) else v for v in column.cells.get(number, ())} - {None}
        if not values & seen:
            seen |= values
            kept.append(number)
    return _Found(kept, found.scores, found.terms, found.best)


# -- the answer ------------------------------------------------------------------------------------------------------


def pick(document: Mapping[str, Any], attributes: Iterable[str]) -> dict[str, Any]:
    """The attributes of a document, dotted paths included, in the document's order; '*' is all."""
    wanted = list(attributes)
    if "*" in wanted:
        return dict(document)
    picked = {}
    for key, value in document.items():
        if key in wanted:
            picked[key] = value
            continue
        below = [attribute[len(key) + 1 :] for attribute in wanted if attribute.startswith(key + ".")]
        if below and isinstance(value, dict) and (part := pick(value, below)):
            picked[key] = part
        elif below and isinstance(value, list):
            picked[key] = [part for item in value if isinstance(item, dict) and (part := pick(item, below))]
    return picked


def _hits(view: View, fetch: Fetch, given: Parameters, found: _Found, shown: Sequence[int]) -> list[dict[str, Any]]:
    documents = fetch(shown)
    displayed = view.settings["displayedAttributes"]
    style = formats.Style(given.highlight_pre_tag, given.highlight_post_tag, given.crop_marker)
    formatter = formats.Formatter(found.terms, style)
    hits = []
    score = 1.0
    for number in shown:
        if number not in documents:  # removed since the view was taken
            continue
        document = pick(documents[number], displayed)
        hit = pick(document, given.attributes_to_retrieve)
        if options := _format_options(given, document):
            chosen = pick(document, [*given.attributes_to_retrieve, *options])
            hit["_formatted"] = formats.formatted(chosen, formatter, options)
        if given.show_matches_position:
            hit["_matchesPosition"] = formats.matches_position(document, formatter)
        if given.show_ranking_score:
            # Never rises along the hits: proximity and sort are not part of it.
            score = min(score, found.scores[number] / found.best) if found.best else 1.0
            hit["_rankingScore"] = round(score, 6)
        hits.append(hit)
    return hits


def _format_options(given: Parameters, document: Mapping[str, Any]) -> dict[str, formats.Options]:
    options: dict[str, formats.Options] = {}

    def add(attribute: str, wanted: formats.Options) -> None:
        for name in document if attribute == "*" else [attribute]:
            if any(covers(name, key) or covers(key, name) for key in document):
                options[name] = options.get(name, formats.Options()).merged(wanted)

    for attribute in given.attributes_to_highlight or ():
        add(attribute, formats.Options(highlight=True))
    for attribute in given.attributes_to_crop or ():
        name, _, length = attribute.rpartition(":")
        crop = int(length) if name and length.isdecimal() else given.crop_length
        add(name or attribute, formats.Options(crop=crop))
    return options


def _facets(
    view: View, asked: Sequence[str], numbers: Sequence[int]
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    filterable = view.settings["filterableAttributes"]
    faceting = view.settings["faceting"]
    for facet in asked:
        if facet != "*" and not any(covers(f, facet) or covers(facet, f) for f in filterable):
            available = (
                f"Available filterable attributes patterns are: `{', '.join(sorted(filterable))}`."
                if filterable
                else "This index does not have configured filterable attributes."
            )
            raise ApiError(
                "invalid_search_facets", f"Invalid facet distribution: Pattern `{facet}` is not filterable. {available}"
            )
    distributions: dict[str, dict[str, int]] = {}
    stats: dict[str, dict[str, float]] = {}
    for path in sorted(view.columns.columns):
        if not any(covers(f, path) for f in filterable) or not any(a == "*" or covers(a, path) for a in asked):
            continue
        values, distinct_numbers = view.columns.column(path).distribution(numbers)
        orders = faceting["sortFacetValuesBy"]
        if orders.get(path, orders.get("*")) == "count":
            values = sorted(values, key=lambda item: -item[1])
        distributions[path] = dict(values[: faceting["maxValuesPerFacet"]])
        if distinct_numbers:
            stats[path] = {"min": distinct_numbers[0], "max": distinct_numbers[-1]}
    return distributions, stats


def facet_search(view: View, fetch: Fetch, body: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a facet that begin with the query, with the number of documents of the search that have them."""
    started = time.perf_counter()
    facet, text = body.get("facetName"), body.get("facetQuery")
    if not isinstance(facet, str):
        raise ApiError("missing_facet_search_facet_name", "Missing field `facetName`")
    if text is not None and not isinstance(text, str):
        raise ApiError(
            "invalid_facet_search_query", f"Invalid value at `.facetQuery`: expected a string, found: `{text!r}`"
        )
    if not view.settings["facetSearch"]:
        raise ApiError("facet_search_disabled", "The facet search is disabled for this index")
    filterable = view.settings["filterableAttributes"]
    if not any(covers(f, facet) for f in filterable):
        raise ApiError(
            "invalid_facet_search_facet_name",
            f"Attribute `{facet}` is not facet-searchable. Available facet-searchable attributes patterns are: "
            f"`{', '.join(sorted(filterable))}`. To make it facet-searchable add it to the `filterableAttributes` "
            "index settings.",
        )
    given = read_parameters({name: value for name, value in body.items() if name not in ("facetName", "facetQuery")})
    prefix = " ".join(words(text or ""))
    counted, _ = view.columns.column(facet).distribution(_find(view, fetch, given).numbers)
    # Facet search is over strings; numbers are not offered.
    strings = {value for value, _ in counted if normalise_value(value) in view.columns.column(facet).by_string}
    kept = [
        (value, count) for value, count in counted if value in strings and " ".join(words(value)).startswith(prefix)
    ]
    if view.settings["faceting"]["sortFacetValuesBy"].get(facet) == "count":
        kept.sort(key=lambda hit: -hit[1])
    shown = kept[: view.settings["faceting"]["maxValuesPerFacet"]]
    return {
        "facetHits": [{"value": value, "count": count} for value, count in shown],
        "facetQuery": text,
        "processingTimeMs": round((time.perf_counter() - started) * 1000),
    }

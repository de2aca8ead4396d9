from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.cluster import MOST, WINDOW, Comparison, Model, Weighed, cluster, fitted, pair_figures, pairs


@dataclass(frozen=True)
class Book:
    """A record small enough to count by hand."""

    id: str
    source: str
    title: str
    year: int | None = None
    banned: bool = False
    pages: int = 0


def _title(one: Book, other: Book) -> str:
    shared = len(set(one.title) & set(other.title)) / len(set(one.title) | set(other.title))
    return "equal" if one.title == other.title else "alike" if shared >= 0.5 else "unlike"


def _year(one: Book, other: Book) -> str | None:
    return None if one.year is None or other.year is None else "same" if one.year == other.year else "other"


def _veto(one: Book, other: Book) -> str | None:
    return "banned" if one.banned != other.banned else None


MODEL: Model[Book] = Model(
    order=lambda book: (book.id,),
    source=lambda book: book.source,
    keys=lambda book: set(book.title),
    comparisons=(
        Comparison("title", _title, {"equal": 6.0, "alike": 3.0, "unlike": -6.0}),
        Comparison("year", _year, {"same": 2.0, "other": -3.0}),
    ),
    prior=-2.0,
    veto=_veto,
)


def ids(groups: Sequence[Sequence[Book]]) -> list[list[str]]:
    return [[book.id for book in group] for group in groups]


# What a set of records is, and its clusters.
CASES: list[tuple[str, list[Book], list[list[str]]]] = [
    ("two sources, one thing", [Book("1", "a", "xyz"), Book("2", "b", "xyz")], [["1", "2"]]),
    ("nothing in common, nothing compared", [Book("1", "a", "xyz"), Book("2", "b", "uvw")], [["1"], ["2"]]),
    ("one record a source", [Book("1", "a", "xyz"), Book("2", "a", "xyz")], [["1"], ["2"]]),
    (
        "the better link takes the only place",
        [Book("1", "a", "xyz", 1990), Book("2", "b", "xyz", 1991), Book("3", "b", "xyz", 1990)],
        [["1", "3"], ["2"]],
    ),
    ("equal links fall to the smaller record", [Book(i, s, "xyz") for i, s in ("3b", "2a", "1b")], [["1", "2"], ["3"]]),
    (
        "a missing field says nothing",
        [Book("1", "a", "xyz", 1990), Book("2", "b", "xyz")],
        [["1", "2"]],
    ),
    ("a veto beats any bits", [Book("1", "a", "xyz", banned=True), Book("2", "b", "xyz")], [["1"], ["2"]]),
    (
        "a veto against one member is a veto against the cluster",
        [Book("1", "a", "xyz"), Book("2", "b", "xyz"), Book("3", "c", "xyz", banned=True)],
        [["1", "2"], ["3"]],
    ),
    (
        "one good pair does not outweigh what the rest of the cluster says",
        [
            Book("1", "a", "wxyz", 1990),
            Book("2", "b", "wxyz", 1990),
            Book("3", "c", "wxyv", 1991),
            Book("4", "d", "wxyv", 1991),
        ],
        [["1", "2"], ["3", "4"]],
    ),
    (
        "a chain of three holds where the average does",
        [Book("1", "a", "wxyz"), Book("2", "b", "wxyv"), Book("3", "c", "uxyv")],
        [["1", "2"], ["3"]],
    ),
]


@pytest.mark.parametrize(("books", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_records_cluster(books: list[Book], expected: list[list[str]]) -> None:
    assert ids(cluster(books, MODEL)) == expected
    assert ids(cluster(books[::-1], MODEL)) == expected


def test_the_bits_of_a_pair_are_named_and_add_up() -> None:
    one, other = Book("1", "a", "xyz", 1990), Book("2", "b", "xyzw", 1991)
    assert MODEL.explain(one, other) == (Weighed("title", "alike", 3.0), Weighed("year", "other", -3.0))
    assert MODEL.score(one, other) == MODEL.prior + 3.0 - 3.0


BOOKS = st.lists(
    st.builds(
        Book,
        id=st.text("0123456789", min_size=1, max_size=3),
        source=st.sampled_from("abcd"),
        title=st.text("uvwxyz", min_size=1, max_size=4),
        year=st.sampled_from([None, 1990, 1991]),
        banned=st.booleans(),
    ),
    max_size=14,
    unique_by=lambda book: book.id,
)


@settings(max_examples=200, deadline=None)
@given(BOOKS, st.randoms(use_true_random=False))
def test_the_order_of_records_changes_nothing(books: list[Book], random: Any) -> None:
    shuffled = books[:]
    random.shuffle(shuffled)
    assert cluster(shuffled, MODEL) == cluster(books, MODEL)


@settings(max_examples=200, deadline=None)
@given(BOOKS)
def test_clusters_obey_their_rules(books: list[Book]) -> None:
    groups = cluster(books, MODEL)
    assert sorted(book.id for group in groups for book in group) == sorted(book.id for book in books)
    for group in groups:
        assert len({book.source for book in group}) == len(group)
        assert len({book.banned for book in group}) == 1


@settings(max_examples=100, deadline=None)
@given(BOOKS)
def test_records_that_share_no_key_do_not_touch_each_other(books: list[Book]) -> None:
    far = [Book(f"far{book.id}", book.source, book.title.upper(), book.year, book.banned) for book in books]
    together = cluster(books + far, MODEL)
    assert [group for group in together if not group[0].id.startswith("far")] == cluster(books, MODEL)


def test_a_large_key_compares_neighbours_only() -> None:
    def compared(size: int, model: Model[Book]) -> int:
        return len(pairs([Book(f"{i:05}", str(i % 2), "x") for i in range(size)], model))

    assert compared(MOST, MODEL) == (MOST // 2) ** 2
    assert compared(4 * MOST, MODEL) <= 4 * MOST * WINDOW
    assert compared(8 * MOST, MODEL) <= 2.2 * compared(4 * MOST, MODEL)
    assert compared(2 * MOST, Model(**{name: getattr(MODEL, name) for name in MODEL.__slots__} | {"beyond": 0})) == 0


def test_weights_come_from_the_records_themselves() -> None:
    # 200 books in two sources: titles and pages are right, half of the years wrong. Nobody says which pairs are one.
    told = [Book(f"a{i}", "a", f"{i:03}", 1900 + i % 7, pages=i % 9) for i in range(200)]
    told += [Book(f"b{i}", "b", f"{i:03}", 1900 + (i + i % 2) % 7, pages=i % 9) for i in range(200)]
    begun = Model(
        order=MODEL.order,
        source=MODEL.source,
        keys=lambda book: {book.title[:2]},
        comparisons=(
            Comparison(
                "title", lambda a, b: "equal" if a.title == b.title else "unlike", {"equal": 1.0, "unlike": -1.0}
            ),
            Comparison("year", _year, {"same": 1.0, "other": -1.0}),
            Comparison("pages", lambda a, b: "same" if a.pages == b.pages else "other", {"same": 1.0, "other": -1.0}),
        ),
        prior=0.0,
    )
    learnt = fitted(told, begun)
    title, year, pages = (comparison.bits for comparison in learnt.comparisons)
    assert min(title["equal"], pages["same"]) > 5 > year["same"] > 0 > year["other"]
    assert max(title["unlike"], pages["other"]) < -5
    assert -4.0 < learnt.prior < -2.5  # one pair in ten that share a key
    assert fitted(told[::-1], begun) == learnt
    assert fitted([], begun) is begun


@pytest.mark.parametrize(
    ("groups", "sizes", "figures"),
    [
        ([["x", "x"], ["y"]], {"x": 2, "y": 1}, (1.0, 1.0, 1.0)),
        ([["x", "x", "y"]], {"x": 2, "y": 1}, (0.3333, 1.0, 0.5)),
        ([["x"], ["x"]], {"x": 2}, (1.0, 0.0, 0.0)),
        ([["x", "x"], []], {"x": 3}, (1.0, 0.3333, 0.5)),
    ],
)
def test_figures_count_pairs(groups: list[list[str]], sizes: dict[str, int], figures: tuple[float, ...]) -> None:
    found = pair_figures(groups, sizes)
    assert (found["precision"], found["recall"], found["f1"]) == figures

"""The parts of the Meilisearch front that need no server: words, filters, typos, values, settings, crops."""

import fcntl
import string
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from deploy.local.meilisearch_front import settings as index_settings
from deploy.local.meilisearch_front.__main__ import main
from deploy.local.meilisearch_front.columns import Columns, as_number, cells_of
from deploy.local.meilisearch_front.errors import ApiError
from deploy.local.meilisearch_front.filters import (
    And,
    Between,
    Compare,
    Filter,
    FilterSyntaxError,
    Has,
    In,
    Not,
    Or,
    attributes,
    parse,
    parse_expression,
)
from deploy.local.meilisearch_front.format import Formatter, Options, Style
from deploy.local.meilisearch_front.index import LiveIndex
from deploy.local.meilisearch_front.query import MatchingTerm, read, unpack, weight
from deploy.local.meilisearch_front.search import read_parameters, search
from deploy.local.meilisearch_front.store import Store, TaskQuery
from deploy.local.meilisearch_front.tasks import Catalogue, Writer
from deploy.local.meilisearch_front.text import BREAK, tokens, words
from deploy.local.meilisearch_front.typos import TypoRules, Vocabulary

LETTERS = st.text("abcde", min_size=1, max_size=12)


# -- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Sigur Rós", ["sigur", "ros"]),
        ("CAFÉ cafe\u0301", ["cafe", "cafe"]),
        ("AC/DC", ["ac", "dc"]),
        ("don’t it's", ["don", "t", "it", "s"]),
        ("1977-05-08", ["1977", "05", "08"]),
        ("Live, tonight", ["live", BREAK, "tonight"]),
        ("32.5", ["32", "5"]),
        ("Æther Œuvre", ["aether", "oeuvre"]),
        ("Мумий Тролль", ["мумий", "тролль"]),
        ("東京ドーム", ["東", "京", "ド", "ー", "ム"]),
        ("방탄소년단", ["방탄소년단"]),
        ("प्रेम", ["प्रेम"]),
        ("Straße", ["straße"]),
        ("$uicideboy$", ["$uicideboy$"]),
        ("…", [BREAK]),
    ],
)
def test_a_text_falls_into_folded_words(text: str, found: list[str]) -> None:
    assert words(text) == found


@given(st.text())
def test_tokens_cover_a_text_without_gap_or_overlap(text: str) -> None:
    found = list(tokens(text))
    assert "".join(text[token.start : token.end] for token in found) == text


@given(st.text())
def test_tokens_and_words_agree(text: str) -> None:
    from_tokens = [token.lemma for token in tokens(text) if token.is_word and token.lemma]
    assert from_tokens == [word for word in words(text) if word != BREAK]


# -- filters -------------------------------------------------------------------------------------------------------

VALUES = st.text(min_size=1, max_size=8)
NAMES = st.text(string.ascii_letters + "_.", min_size=1, max_size=6).map(lambda name: "a" + name)


def leaf() -> st.SearchStrategy[Filter]:
    return st.one_of(
        st.builds(Compare, NAMES, st.sampled_from(["=", "!=", ">", ">=", "<", "<=", "STARTS WITH"]), VALUES),
        st.builds(Between, NAMES, VALUES, VALUES),
        st.builds(In, NAMES, st.lists(VALUES, max_size=3).map(tuple)),
        st.builds(Has, NAMES, st.sampled_from(["exists", "null", "empty"])),
    )


TREES: st.SearchStrategy[Filter] = st.recursive(
    leaf(),
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(tree: Filter) -> str:
    match tree:
        case Compare(attribute, operator, value):
            return f"{attribute} {operator} {quoted(value)}"
        case Between(attribute, low, high):
            return f"{attribute} {quoted(low)} TO {quoted(high)}"
        case In(attribute, values):
            return f"{attribute} IN [{', '.join(map(quoted, values))}]"
        case Has(attribute, what):
            return f"{attribute} {'EXISTS' if what == 'exists' else f'IS {what.upper()}'}"
        case Not(operand):
            return f"NOT ({written(operand)})"
        case And(operands):
            return " AND ".join(f"({written(operand)})" for operand in operands)
        case Or(operands):
            return " OR ".join(f"({written(operand)})" for operand in operands)


@settings(max_examples=40)
@given(TREES)
def test_a_filter_is_read_as_it_was_written(tree: Filter) -> None:
    assert parse_expression(written(tree)) == tree


@given(st.text())
def test_any_text_is_a_filter_or_a_clear_error(text: str) -> None:
    try:
        tree = parse(text)
    except ApiError as error:
        assert error.code in ("invalid_search_filter", "feature_not_enabled")
    else:
        assert tree is None or list(attributes(tree))


@pytest.mark.parametrize(
    ("expression", "tree"),
    [
        ("a = b", Compare("a", "=", "b")),
        ("a=b", Compare("a", "=", "b")),
        (
            "a = 1 OR b = 2 AND c = 3",
            Or((Compare("a", "=", "1"), And((Compare("b", "=", "2"), Compare("c", "=", "3"))))),
        ),
        ("(a=1)AND(b=2)", And((Compare("a", "=", "1"), Compare("b", "=", "2")))),
        ("NOT a = 1 AND b = 2", And((Not(Compare("a", "=", "1")), Compare("b", "=", "2")))),
        ("NOT NOT a = 1", Not(Not(Compare("a", "=", "1")))),
        ("a NOT IN[1,2,]", Not(In("a", ("1", "2")))),
        ("a IN []", In("a", ())),
        ("a 1 TO 2", Between("a", "1", "2")),
        ("'a b' = 'it\\'s'", Compare("a b", "=", "it's")),
        ("a IS NOT NULL", Not(Has("a", "null"))),
        ("a NOT EXISTS", Not(Has("a", "exists"))),
        ("Android = 1", Compare("Android", "=", "1")),
        ("venue.city = Zürich", Compare("venue.city", "=", "Zürich")),
        ("a = -1.5", Compare("a", "=", "-1.5")),
    ],
)
def test_precedence_and_forms_of_the_filter_language(expression: str, tree: Filter) -> None:
    assert parse_expression(expression) == tree


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("a", "Was expecting an operation"),
        ("a = ", "Was expecting a value but instead got nothing"),
        ("a = AND", "reserved keyword"),
        ("a = 1 b = 2", "You probably forgot an `OR` or an `AND` rule"),
        ("(a = 1", "missing the following closing delimiter: `)`"),
        ("a = 'x", "missing the following closing delimiter: `'`"),
        ("a IN 1", "Expected `[` after `IN` keyword"),
        ("(" * 300 + "a = 1", "maximum depth"),
    ],
)
def test_a_filter_error_names_the_place_and_the_remedy(expression: str, said: str) -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        parse_expression(expression)
    assert said in str(caught.value)
    assert expression in str(caught.value)


# -- values --------------------------------------------------------------------------------------------------------

ROWS: dict[int, dict[str, Any]] = {
    0: {"year": 1977, "night": "1977-05-08", "who": ["Jerry", "Bob"], "venue": {"city": "Ithaca"}},
    1: {"year": "1977", "night": "1972-08-27", "who": [], "venue": {"city": None}},
    2: {"year": 1990.5, "who": "bob", "venue": [{"city": "Paris"}, {"city": "Lyon"}]},
    3: {"year": None, "who": ""},
    4: {"year": True},
}


@pytest.fixture(scope="module")
def columns() -> Columns:
    return Columns(("year", "night", "who", "venue"), {}, frozenset()).changed((), ROWS)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("year = 1977", {0, 1}),
        ("year > 1977", {2, 4}),  # a number against numbers, a text against texts: 'true' > '1977'
        ("year >= 1977", {0, 1, 2, 4}),
        ("year 1900 TO 1977", {0, 1}),
        ("year = true", {4}),
        ("night >= 1973-01-01", {0}),
        ("night STARTS WITH 1972", {1}),
        ("who = BOB", {0, 2}),
        ("who IS EMPTY", {1, 3}),
        ("year IS NULL", {3}),
        ("venue.city = paris", {2}),
        ("venue EXISTS", {0, 1, 2}),
        ("venue.city IS NULL", {1}),
        ("year != 1977", {2, 3, 4}),
        ("NOT year EXISTS", set()),
    ],
)
def test_filters_select_by_value_type_and_path(columns: Columns, expression: str, found: set[int]) -> None:
    tree = parse_expression(expression)
    assert tree is not None
    assert set(columns.select(tree)) == found


@settings(max_examples=40)
@given(TREES, TREES)
def test_filters_obey_the_laws_of_sets(left: Filter, right: Filter) -> None:
    values: list[Any] = ["x", 1, None, "", []]
    columns = Columns(("a",), {}, frozenset()).changed((), {n: {"a": v} for n, v in enumerate(values)})
    one, two = frozenset(columns.select(left)), frozenset(columns.select(right))
    assert columns.select(And((left, right))) == one & two
    assert columns.select(Or((left, right))) == one | two
    assert columns.select(Not(left)) == columns.documents - one


def test_a_write_leaves_earlier_columns_as_they_were(columns: Columns) -> None:
    later = columns.changed([0], {1: {"year": 2000}})
    assert set(columns.column("year").cells) == {0, 1, 2, 3, 4}
    assert set(later.column("year").cells) == {1, 2, 3, 4}
    assert later.column("night").cells == {}
    assert later.documents == {1, 2, 3, 4}


def test_values_are_sorted_numbers_first_and_missing_last(columns: Columns) -> None:
    year = columns.column("year")
    assert sorted(ROWS, key=lambda n: year.sort_key(n, descending=False)) == [0, 2, 1, 4, 3]
    down = sorted(ROWS, key=lambda n: year.sort_key(n, descending=True), reverse=True)
    assert down == [2, 0, 4, 1, 3]


def test_facets_count_documents_whatever_the_case(columns: Columns) -> None:
    assert columns.column("who").distribution(range(5))[0] == [("", 2), ("Bob", 2), ("Jerry", 1)]
    values, numbers = columns.column("year").distribution(range(5))
    assert values == [("1977", 1), ("1990.5", 1), ("1977", 1), ("true", 1)]
    assert numbers == [1977.0, 1990.5]


def test_not_every_text_that_python_reads_is_a_number() -> None:
    assert as_number("1e3") == 1000
    assert [as_number(text) for text in ("nan", "inf", "1_000", "x")] == [None] * 4


def test_only_asked_attributes_get_cells() -> None:
    assert cells_of({"a": 1, "b": {"c": 2, "d": 3}}, ["b.c"]) == {"b.c": (2,)}


# -- typos ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "allowed"), [("ab", 0), ("abcd", 0), ("abcde", 1), ("abcdefgh", 1), ("abcdefghi", 2), ("2014", 0)]
)
def test_longer_words_may_have_more_typos(word: str, allowed: int) -> None:
    assert TypoRules().allowed(word) == allowed


def test_typos_are_switched_off_for_words_numbers_or_all() -> None:
    assert TypoRules(exact_words=frozenset({"radiohead"})).allowed("radiohead") == 0
    assert TypoRules(numbers=False).allowed("123456") == 0
    assert TypoRules().allowed("123456") == 1
    assert TypoRules(enabled=False).allowed("radiohead") == 0


def typos_between(word: str, other: str) -> int:
    """Meilisearch's count, the slow way: a typo on the first letter counts as two."""
    distance = int(OSA.distance(word, other))
    return distance if word[0] == other[0] else {1: 2}.get(distance, 9)


@given(LETTERS.filter(lambda word: len(word) > 1), st.lists(LETTERS, max_size=20), st.sampled_from([1, 2]))
def test_derived_words_are_those_within_the_allowed_typos(word: str, others: list[str], typos: int) -> None:
    derived = Vocabulary(dict.fromkeys(others, 1)).derive(word, False, typos)
    counted = {other: typos_between(word, other) for other in others}
    assert derived.exact == (word in others)
    assert derived.one == {other for other, count in counted.items() if count == 1}
    assert derived.two == {other for other, count in counted.items() if count == 2 and typos == 2}


@given(LETTERS.filter(lambda word: len(word) > 1), st.lists(LETTERS, max_size=20), st.sampled_from([1, 2]))
def test_beginnings_are_derived_by_their_best_part(word: str, others: list[str], typos: int) -> None:
    derived = Vocabulary(dict.fromkeys(others, 1)).derive(word, True, typos)
    best = {other: min(typos_between(word, other[: n + 1]) for n in range(len(other))) for other in others}
    assert derived.one == {other for other, count in best.items() if count == 1}
    assert derived.two == {other for other, count in best.items() if count == 2 and typos == 2}


# -- queries -------------------------------------------------------------------------------------------------------


def test_a_typed_query_becomes_terms() -> None:
    typed = read('live "Dark Star, Jam" -demo grat', frozenset(), prefix_search=True)
    assert [term.words for term in typed.terms] == [("live",), ("dark", "star"), ("jam",), ("grat",)]
    assert [term.is_phrase for term in typed.terms] == [False, True, True, False]
    assert [term.is_prefix for term in typed.terms] == [False, False, False, True]
    assert typed.without == (("demo",),)


def test_a_space_or_a_setting_ends_the_last_word() -> None:
    assert not read("grat ", frozenset(), prefix_search=True).terms[-1].is_prefix
    assert not read("grat", frozenset(), prefix_search=False).terms[-1].is_prefix


@given(st.text())
def test_any_text_can_be_typed(text: str) -> None:
    typed = read(text, frozenset({"the"}), prefix_search=True)
    assert len(typed.terms) <= 10


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20), st.booleans()), min_size=1, max_size=10))
def test_sums_of_weights_stay_apart_in_a_32_bit_float(parts: list[tuple[int, int, bool]]) -> None:
    total = sum(weight(typos, rank, exact=exact) for typos, rank, exact in parts) + 2
    assert total < 2**24
    ranks = unpack(float(total))
    assert ranks.words == len(parts)
    assert ranks.typos_saved == sum(2 - typos for typos, _, _ in parts)
    assert ranks.exact == sum(exact for _, _, exact in parts)
    assert ranks.attribute_match == 2


def searched(index: LiveIndex, rows: dict[int, dict[str, object]], **body: object) -> list[object]:
    answer = search(index.view, lambda numbers: {n: rows[n] for n in numbers if n in rows}, read_parameters(body))
    return [hit["id"] for hit in answer["hits"]]


def test_characters_of_unspaced_scripts_are_found() -> None:
    rows: dict[int, dict[str, object]] = {0: {"id": 0, "name": "日本武道館"}, 1: {"id": 1, "name": "日本"}}
    index = LiveIndex({}, iter(rows.items()))
    assert searched(index, rows, q="武道館") == [0]
    assert searched(index, rows, q="日本") == [1, 0]


def test_a_view_is_not_disturbed_by_a_later_write() -> None:
    rows: dict[int, dict[str, object]] = {0: {"id": 0, "name": "Phish"}}
    index = LiveIndex({}, iter(rows.items()))
    before = index.view
    index.view = index.apply([0], {1: {"id": 1, "name": "Goose"}})
    rows[1] = {"id": 1, "name": "Goose"}
    assert searched(index, rows, q="phish") == []
    assert searched(index, rows, q="goose") == [1]
    index.view = before
    assert searched(index, rows, q="phish") == [0]


# -- formatting ----------------------------------------------------------------------------------------------------


@given(st.text(max_size=60), st.text(max_size=10), st.integers(1, 6))
def test_without_tags_and_markers_a_crop_is_a_part_of_the_text(text: str, word: str, size: int) -> None:
    terms = [MatchingTerm(frozenset(words(word)), True, max(1, len(word)))]
    cropped = Formatter(terms, Style("", "", "")).format(text, Options(highlight=True, crop=size))
    assert cropped in text
    assert len([token for token in tokens(cropped) if token.is_word and token.lemma]) <= size


def test_phrases_are_highlighted_as_one() -> None:
    formatter = Formatter([MatchingTerm(frozenset(), False, 0, (("dark", "star"),))], Style())
    assert formatter.format("the Dark Star, dark", Options(highlight=True)) == "the <em>Dark Star</em>, dark"


# -- settings and tasks --------------------------------------------------------------------------------------------


def test_settings_are_merged_and_reset_part_by_part() -> None:
    one = index_settings.check({"typoTolerance": {"minWordSizeForTypos": {"oneTypo": 4}}, "stopWords": ["the"]})
    two = index_settings.check({"typoTolerance": {"disableOnWords": ["gd"]}, "stopWords": None})
    settings = index_settings.effective(index_settings.merge(index_settings.merge({}, one), two))
    assert settings["typoTolerance"]["minWordSizeForTypos"] == {"oneTypo": 4, "twoTypos": 9}
    assert settings["typoTolerance"]["disableOnWords"] == ["gd"]
    assert settings["stopWords"] == []
    assert index_settings.effective({}) == index_settings.DEFAULTS


@pytest.mark.parametrize(
    "name", ["dictionary", "embedders", "separatorTokens", "searchCutoffMs", "localizedAttributes"]
)
def test_settings_that_cannot_be_honoured_are_refused_unless_default(name: str) -> None:
    assert index_settings.check({name: index_settings.DEFAULTS[name]}) == {name: None}
    with pytest.raises(ApiError) as caught:
        index_settings.check({name: ["something"]})
    assert caught.value.code == "feature_not_enabled"


def test_a_task_begun_before_a_crash_is_done_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    clock = lambda: datetime(2024, 1, 1, tzinfo=UTC)  # noqa: E731
    content = {"contentType": "application/json", "csvDelimiter": None, "primaryKey": None, "merge": False}
    task = store.enqueue(
        type_="documentAdditionOrUpdate",
        index_uid="concerts",
        content={**content, "skipCreation": False},
        details={"receivedDocuments": 1, "indexedDocuments": None},
        now="2024-01-01T00:00:00Z",
        payload=b'[{"id": 1}]',
    )
    store.start(task.uid, "2024-01-01T00:00:00Z")  # and then the process died
    store.close()
    again = Store(tmp_path)
    catalogue = Catalogue(again)
    writer = Writer(catalogue, clock)
    writer.start()
    deadline = time.monotonic() + 20
    while (found := again.task(task.uid)) and found.status != "succeeded" and time.monotonic() < deadline:
        time.sleep(0.01)
    writer.stop()
    assert found is not None
    assert (found.status, found.payload) == ("succeeded", None)
    assert again.count_tasks(TaskQuery({"statuses": ["succeeded"]})) == 1
    assert again.document(catalogue.entry("concerts").row.id, "1") == {"id": 1}
    again.close()


def test_only_loopback_is_listened_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path)])
    assert "loopback only" in capsys.readouterr().err


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "front.sqlite").write_bytes(b"this is not a database" * 100)
    assert main(["--port", "0", "--data", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_two_processes_never_share_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["--port", "0", "--data", str(tmp_path)]) == 1
    assert "another process" in capsys.readouterr().err

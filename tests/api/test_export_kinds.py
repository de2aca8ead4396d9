"""An export holds every place of a user's that is declared, or says why not; its cells are texts, not formulas."""

import csv
import io

import pytest

from api.export.kinds import KINDS, LEFT_OUT, read_places
from api.export.zip_file import cell
from schemas import erasure
from schemas.erasure import How


def of_users() -> set[str]:
    stores = (erasure.POSTGRES, erasure.TOPICS, erasure.CLICKHOUSE, erasure.MEILISEARCH)
    return {name for places in stores for name, place in places.items() if place.how is not How.NOTHING}


def test_every_place_of_a_users_is_in_the_export_or_left_out_with_a_reason() -> None:
    """A new table fails here: give it a kind in api/export/kinds.py, or a reason there."""
    assert of_users() == read_places() | set(LEFT_OUT)
    assert not read_places() & set(LEFT_OUT)
    assert all(len(why) > 20 for why in LEFT_OUT.values())


def test_a_place_that_names_a_second_user_is_read_from_both_sides() -> None:
    for name, place in erasure.POSTGRES.items():
        if place.also:
            queries = " ".join(kind.query for kind in KINDS if kind.table == name)
            assert "user_id = :user" in queries
            # A block is its owner's secret; a follow is known to both.
            assert (f"{place.also} = :user" in queries) is (name != "state.blocks"), name


def test_nobody_reads_in_an_export_that_their_request_was_declined() -> None:
    (mine,) = [kind for kind in KINDS if kind.name == "follows"]
    assert "declined" not in mine.query and "updated_at" not in mine.query


def test_kinds_have_names_and_columns_of_their_own() -> None:
    names = [kind.name for kind in KINDS]
    assert len(names) == len(set(names))
    assert all(kind.columns or kind.files for kind in KINDS)
    assert all(len(set(kind.columns)) == len(kind.columns) for kind in KINDS)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=cmd|' /C calc'!A0",
        "＝1+1",
        '=HYPERLINK("http://x")',
    ],
)
def test_a_text_that_would_run_as_a_formula_does_not_begin_as_one(text: str) -> None:
    assert cell(text) == f"'{text}"
    assert cell([text]) == f"'{text}"


def test_numbers_dates_and_lists_are_what_they_are() -> None:
    assert [cell(one) for one in (None, True, -1.5, 3, "2014-11-14", "Sigur Rós")] == [
        *("", "true", "-1.5", "3", "2014-11-14", "Sigur Rós"),
    ]
    assert cell(["a", "b"]) == "a; b"
    assert cell({"a": 1}) == '{"a":1}'
    assert cell([{"a": 1}]) == '[{"a":1}]'


def test_what_a_cell_holds_comes_back_from_a_reader_of_csv() -> None:
    texts = ['a "quoted", line\nbreak', "semi;colon", "'", "x\r\ny"]
    out = io.StringIO(newline="")
    csv.writer(out).writerow([cell(one) for one in texts])
    (row,) = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert row == texts

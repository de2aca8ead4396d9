import pytest

from matchers.evaluate import cluster_tracks, evaluate_history, evaluate_resolve, first_right
from matchers.match import match
from matchers.resolve import resolve
from tests.matchers.make import concert, entry, listing

SHOW = concert(source="setlistfm", source_id="gold", date="2011-03-19", artist="Hallworth")
FOUND = match(entry(artist="Hallworth", date="2011-03-19"), [SHOW])


@pytest.mark.parametrize(("gold", "right"), [("gold", 1), ("another", 0)])
def test_a_first_suggestion_is_right_when_a_member_is_the_gold_one(gold: str, right: int) -> None:
    row = {"user": "me", "entry_id": "1", "label": "match", "gold": gold}
    assert first_right([row], [FOUND]) == (right, 1)
    figures = evaluate_history([row], [FOUND])
    assert (figures["sure"], figures["sure_right"]) == (1, right)
    assert figures["missed"] == ([] if right else ["me/1"])


def test_an_entry_without_suggestions_counts_as_missed() -> None:
    row = {"user": "me", "entry_id": "2", "label": "match", "gold": "gold"}
    assert first_right([row], [FOUND]) == (0, 1)


def test_suggestions_for_doubtful_rows_are_counted_apart() -> None:
    row = {"user": "me", "entry_id": "1", "label": "other_date", "other": "gold"}
    figures = evaluate_history([row], [FOUND])
    assert figures["labelled"] == 0
    assert figures["wrong_bands"] == {"other_date": {"sure": 1}}


def test_pairs_are_counted_over_labelled_listings() -> None:
    told = [listing(source=source) for source in "ab"] + [listing(source="c", date="1977-05-09")]
    rows = [{"source": source, "source_id": "1", "gold": "x"} for source in "abc"]
    figures = evaluate_resolve(rows, resolve(told))
    assert (figures["true_pairs"], figures["found_pairs"], figures["right_pairs"]) == (3, 1, 1)
    assert (figures["precision"], figures["recall"], figures["f1"]) == (1.0, 0.3333, 0.5)


def test_tracks_are_clustered_over_the_sources_own_formats() -> None:
    common = {"language": "", "cluster_id": "?"}
    album = "Harbour Lights"
    fields = ("id", "source", "number", "title", "length", "artist", "album", "year")
    told = [
        ("1", "1", "016", f"The Lamplighter ({album})", "02:13", "Nroa Velde", album, "1992"),
        ("2", "2", "16", "Nora Velde - The Lamplighter", "133", "", album, "92"),
        ("3", "4", "16", "016-The Lamplighter", "2m 13sec", "Velde", f"{album} (1992)", ""),
        ("4", "5", "3", "Winter Orchard", "149773", "The Quiet Ones", "The Quiet Ones", "2009"),
    ]
    rows = [dict(zip(fields, row, strict=True)) for row in told]
    clusters = cluster_tracks([row | common for row in rows])
    assert sorted(map(sorted, clusters)) == [["1", "2", "3"], ["4"]]

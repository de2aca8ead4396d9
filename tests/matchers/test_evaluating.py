from typing import Any

import pytest

from matchers.judge.evaluate import (
    GOALS,
    against_goals,
    evaluate_history,
    evaluate_resolve,
    evaluate_variants,
    figures_of,
    first_right,
    judge,
    precision_recall,
    reliability,
    wilson,
)
from matchers.judge.variants import VARIANTS
from matchers.resolve import resolve
from schemas.concert import Concert
from schemas.ids import suggestion_id
from schemas.suggestion import Suggestion, Suggestions
from tests.matchers.make import concert, listing

SHOW = concert(
    source="setlistfm", source_id="gold", date="2011-03-19", artist="Hallworth", venue="Sala Grande", city="Lisboa"
)
NEXT = concert(
    source="setlistfm", source_id="next", date="2011-03-20", artist="Hallworth", venue="Sala Grande", city="Lisboa"
)
MEANT = {"user": "me", "entry_id": "1", "artist": "Hallworth", "date": "2011-03-19", "label": "match", "gold": "gold"}


def answer(*offered: tuple[Concert, float, str], user: str = "me", entry_id: str = "1") -> Suggestions:
    return Suggestions(
        user=user,
        entry_id=entry_id,
        suggestions=tuple(
            Suggestion(
                suggestion_id=suggestion_id(user, entry_id, show.concert_id),
                rank=rank,
                concert_id=show.concert_id,
                concert=show.facts,
                members=show.members,
                confidence=confidence,
                band=band,
                why=(),
                signature="",
            )
            for rank, (show, confidence, band) in enumerate(offered, 1)
        ),
    )


def values(rows: list[dict[str, Any]], answers: list[Suggestions], *concerts: Concert) -> dict[str, Any]:
    return {name: one["value"] for name, one in figures_of(judge(rows, answers, concerts)).items()}


@pytest.mark.parametrize(("gold", "right"), [("gold", 1), ("another", 0)])
def test_a_first_suggestion_is_right_when_a_member_is_the_gold_one(gold: str, right: int) -> None:
    rows, found = [MEANT | {"gold": gold}], [answer((SHOW, 0.999, "sure"))]
    assert first_right(rows, found) == (right, 1)
    figures = evaluate_history(rows, found)
    assert (figures["sure"], figures["sure_right"]) == (1, right)
    assert figures["missed"] == ([] if right else ["me/1"])
    assert figures["figures"]["wrong_sure"]["count"] == 1 - right


def test_an_entry_without_suggestions_counts_as_missed() -> None:
    assert first_right([MEANT], [answer()]) == first_right([MEANT], []) == (0, 1)


def test_suggestions_for_doubtful_rows_are_counted_apart() -> None:
    row = MEANT | {"label": "other_date", "gold": None, "other": "gold"}
    figures = evaluate_history([row], [answer((SHOW, 0.999, "sure"))], [SHOW])
    assert figures["labelled"] == 0
    assert figures["wrong_bands"] == {"other_date": {"sure": 1}}
    assert figures["figures"]["wrong_sure_other_date"]["count"] == 1
    assert (figures["mistakes"][0]["kind"], figures["mistakes"][0]["meant"]) == ("wrong and sure", None)


OTHERS = [
    # (what, what was typed beside artist and night, what the other concert has, whether it fits as well)
    ("the night of another", {}, {"date": "2011-03-20"}, False),
    ("a month that holds both", {"date": "2011-03"}, {"date": "2011-03-20"}, True),
    ("a month that holds one", {"date": "2011-03"}, {"date": "2011-04-20"}, False),
    ("a year that holds both", {"date": "2011"}, {"date": "2011-12-20"}, True),
    ("a night between two", {"date": "2011-03-20"}, {"date": "2011-03-21"}, True),
    ("a night nearer to it", {"date": "2011-03-20"}, {"date": "2011-03-22"}, False),
    ("no date at all", {"date": None}, {"date": "2020-03-22"}, True),
    ("early and late, no hour", {}, {}, True),
    ("another artist", {"date": "2011-03"}, {"artist": "Hallmark", "date": "2011-03-20"}, False),
    ("the artist, folded", {"date": "2011-03"}, {"artist": "HALLWORTH!", "date": "2011-03-20"}, True),
    ("the town by another name", {"date": "2011", "city": "Lisbon"}, {"date": "2011-04-20"}, True),
    ("another town", {"date": "2011", "city": "Lisboa"}, {"date": "2011-04-20", "city": "Porto"}, False),
    ("no town typed", {"date": "2011"}, {"date": "2011-04-20", "city": "Porto"}, True),
    ("a town nobody knows", {"date": "2011", "city": "Lisboa"}, {"date": "2011-04-20", "city": None}, True),
    ("another venue", {"date": "2011", "venue": "Sala Grande"}, {"date": "2011-04-20", "venue": "Coliseu"}, False),
    ("a venue with slips", {"date": "2011", "venue": "Slaa Grande"}, {"date": "2011-04-20"}, True),
    ("no venue typed", {"date": "2011"}, {"date": "2011-04-20", "venue": "Coliseu"}, True),
    ("a cancelled one", {"date": "2011"}, {"date": "2011-04-20", "status": "cancelled"}, False),
]


@pytest.mark.parametrize(("typed", "other", "fits"), [row[1:] for row in OTHERS], ids=[row[0] for row in OTHERS])
def test_an_entry_is_ambiguous_when_another_concert_fits_as_well(
    typed: dict[str, Any], other: dict[str, Any], fits: bool
) -> None:
    told = {
        "artist": "Hallworth",
        "date": "2011-03-19",
        "venue": "Sala Grande",
        "city": "Lisboa",
        "source_id": "2",
    } | other
    (one,) = judge([MEANT | typed], [], [SHOW, concert(**{k: v for k, v in told.items() if v})])
    assert one.ambiguous is fits


def test_of_a_bill_the_act_that_was_typed_is_meant() -> None:
    bill = resolve([listing(source_id="gold", artist="Hallworth", support=["Hallmark"], date="2011-03-19")])
    for artist in ("Hallworth", "Halmark"):
        (one,) = judge([MEANT | {"artist": artist}], [], bill)
        assert one.meant is not None and one.meant.artist == ("Hallworth" if artist == "Hallworth" else "Hallmark")


def test_ambiguous_entries_are_counted_apart() -> None:
    rows = [MEANT | {"date": "2011-03"}, MEANT | {"entry_id": "2"}]
    found = [answer((NEXT, 0.5, "possible"), (SHOW, 0.5, "possible")), answer((SHOW, 0.999, "sure"), entry_id="2")]
    figures = values(rows, found, SHOW, NEXT)
    assert (figures["right_ambiguous"], figures["right_unambiguous"], figures["right"]) == (0.0, 1.0, 0.5)
    assert figures["in_three"] == 1.0


def test_calibration_is_of_all_whose_truth_is_known() -> None:
    removed = {"user": "me", "entry_id": "2", "label": "removed", "other": "gold"}
    unknown = {"user": "me", "entry_id": "3", "label": "unknown"}
    found = [
        answer((SHOW, 0.9, "likely")),
        answer((SHOW, 0.4, "possible"), entry_id="2"),
        answer((SHOW, 0.9, "likely"), entry_id="3"),
    ]
    figures = values([MEANT, removed, unknown], found, SHOW)
    assert figures["ece"] == pytest.approx((0.1 + 0.4) / 2)
    assert figures["brier"] == pytest.approx((0.01 + 0.16) / 2)
    assert figures["log_loss"] == pytest.approx((0.1520 + 0.7370) / 2, abs=1e-4)
    assert figures["ece_labelled"] == pytest.approx(0.1)
    assert figures["proposed"] == 1.0
    # An entry with nothing says that there is nothing to find: right of a removed one, wrong of a labelled one.
    nothing = values([MEANT, removed], [answer(), answer(entry_id="2")], SHOW)
    assert nothing["ece_all"] == 0.5
    assert "ece" not in nothing


def test_two_sure_suggestions_are_no_answer() -> None:
    figures = evaluate_history([MEANT], [answer((SHOW, 0.995, "sure"), (NEXT, 0.995, "sure"))], [SHOW, NEXT])
    assert (figures["two_sure"], figures["first_right"]) == (1, 1)
    assert figures["figures"]["wrong_sure"]["count"] == 1
    assert len(figures["mistakes"]) == 1


def test_the_worst_mistakes_come_first_and_are_at_most_fifty() -> None:
    rows = [MEANT | {"entry_id": str(number)} for number in range(60)]
    found = [answer((NEXT, number / 100, "possible"), entry_id=str(number)) for number in range(1, 59)]
    found.append(answer((NEXT, 0.999, "sure"), entry_id="59"))
    figures = evaluate_history(rows, found, [SHOW, NEXT])
    assert len(figures["missed"]) == 60
    assert [one["entry_id"] for one in figures["mistakes"][:3]] == ["59", "58", "57"]
    assert len(figures["mistakes"]) == 50
    first = figures["mistakes"][0]
    assert first["typed"] == {"artist": "Hallworth", "date": "2011-03-19"}
    assert first["proposed"][0]["night"] == "2011-03-20" and first["proposed"][0]["confidence"] == 0.999
    assert first["meant"] == {"artist": "Hallworth", "night": "2011-03-19", "venue": "Sala Grande", "city": "Lisboa"}


def test_curves_go_from_the_surest_to_the_least_sure() -> None:
    rows = [MEANT | {"entry_id": str(number)} for number in range(4)]
    offered = [(SHOW, 0.99), (SHOW, 0.9), (NEXT, 0.5), None]
    found = [answer((one[0], one[1], "likely"), entry_id=str(n)) for n, one in enumerate(offered) if one]
    judged = judge(rows, found)
    points = [(one["confidence"], one["precision"], one["recall"]) for one in precision_recall(judged)]
    assert points == [(0.99, 1.0, 0.25), (0.9, 1.0, 0.5), (0.5, 0.6667, 0.5)]
    assert [(one["n"], one["confidence"], one["right"]) for one in reliability(judged)] == [(1, 0.5, 0), (2, 0.945, 1)]


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_wilsons(count: int, of: int, low: float, high: float) -> None:
    assert wilson(count, of) == pytest.approx((low, high), abs=1e-4)


def test_goals_are_of_variants_and_figures_that_exist() -> None:
    assert set(GOALS) <= set(VARIANTS)
    figures = {"right": {"value": 0.95}, "two_sure": {"value": 0.0}, "sure": {"value": 0.1}}
    told = against_goals("shifted", figures)
    assert told["right"] == {"value": 0.95, "goal": {"at_least": 0.97}, "met": False}
    assert told["two_sure"]["met"] is True
    assert "goal" not in told["sure"]


def test_variants_are_answered_under_the_users_own_names() -> None:
    rows: list[dict[str, Any]] = [
        MEANT,
        MEANT | {"user": "you", "date": "2011-04-01", "label": "unknown", "gold": None},
    ]
    exact, month, removed = evaluate_variants(["exact", "month", "removed"], rows, [SHOW, NEXT])
    assert [one.name for one in exact.judged] == ["me/1", "you/1"]
    assert exact.judged[0].right and not exact.judged[0].ambiguous
    assert month.judged[0].ambiguous and month.judged[0].row["date"] == "2011-03"
    assert [one.label for one in removed.judged] == ["removed", "unknown"]
    assert removed.judged[0].meant is not None
    told = removed.as_json()
    assert (told["variant"], told["labelled"], told["entries"]) == ("removed", 0, 2)
    halves = [evaluate_variants(["exact"], rows, [SHOW], half=half)[0].judged for half in (0, 1)]
    assert sorted(one.name for half in halves for one in half) == ["me/1", "you/1"]


def test_pairs_are_counted_over_labelled_listings() -> None:
    told = [listing(source=source) for source in "ab"] + [listing(source="c", date="1977-05-09")]
    rows = [{"source": source, "source_id": "1", "gold": "x"} for source in "abc"]
    figures = evaluate_resolve(rows, resolve(told))
    assert (figures["true_pairs"], figures["found_pairs"], figures["right_pairs"]) == (3, 1, 1)
    assert (figures["precision"], figures["recall"], figures["f1"]) == (1.0, 0.3333, 0.5)

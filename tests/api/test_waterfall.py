"""Evidence as bars: where each begins and ends, whatever it is."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages.waterfall import BARS, LABELS, MOST_BARS, Waterfall, in_order, waterfall
from schemas.suggestion import Evidence

WHY = (
    Evidence(field="artist", bits=14.2, text="same artist"),
    Evidence(field="city", bits=-2.5, text="another town"),
    Evidence(field="date", bits=11.0, text="same night"),
    Evidence(field="prior", bits=-20.0, text="one of about a million concerts"),
)


def ends(picture: Waterfall) -> list[tuple[float, float]]:
    """Where each bar begins and where it ends, in its own direction."""
    spans = []
    for bar in picture.bars:
        left, right = bar.x, bar.x + bar.width
        spans.append((left, right) if bar.bits >= 0 else (right, left))
    return spans


def test_each_bar_begins_where_the_one_before_ended() -> None:
    picture = waterfall(WHY)
    assert [bar.field for bar in picture.bars] == ["prior", "artist", "date", "city", "total"]
    spans = ends(picture)
    assert spans[0][0] == pytest.approx(picture.zero, abs=0.2)
    for (_, end), (begin, _) in pairwise(spans[:-1]):
        assert begin == pytest.approx(end, abs=0.2)
    assert spans[-1] == pytest.approx((picture.zero, spans[-2][1]), abs=0.2)
    assert picture.total == pytest.approx(2.7)


def test_what_is_known_beforehand_comes_first_and_the_strongest_before_the_weak() -> None:
    assert [one.field for one in in_order(WHY)] == ["prior", "artist", "date", "city"]


def test_bars_are_for_against_or_ends_and_each_is_drawn_once() -> None:
    picture = waterfall(WHY)
    assert [bar.kind for bar in picture.bars] == ["ends", "for", "for", "against", "ends"]
    drawn = sum(picture.path(kind).count("M") for kind in ("ends", "for", "against"))
    assert drawn == len(picture.bars) and picture.height == 18 * len(picture.bars)


def test_no_evidence_is_a_picture_of_nothing() -> None:
    picture = waterfall(())
    assert [bar.field for bar in picture.bars] == ["total"] and picture.total == 0.0


def test_more_evidence_than_there_is_room_for_becomes_one_bar() -> None:
    many = [Evidence(field=f"f{number}", bits=1.0, text="x") for number in range(40)]
    picture = waterfall(many)
    assert len(picture.bars) == MOST_BARS + 1 and picture.total == 40.0
    assert picture.bars[-2].bits == 40 - MOST_BARS + 1


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=30))
def test_whatever_the_bits_the_picture_stays_within_its_frame(bits: list[float]) -> None:
    picture = waterfall([Evidence(field="artist", bits=one, text="x") for one in bits])
    for bar in picture.bars:
        assert bar.x >= LABELS - 0.2 and bar.x + bar.width <= LABELS + BARS + 1.2
        assert re.fullmatch(r"M[\d.]+ \d+h[\d.]+v10h-[\d.]+z", bar.path), bar.path

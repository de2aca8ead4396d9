"""Shows per year as bars: every year has its place, and the highest fills the picture."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from api.pages.pictures import LABELS, share, years

COUNTS = st.dictionaries(st.integers(1900, 2299), st.integers(0, 5_000), max_size=40)


@given(COUNTS)
def test_years_stand_side_by_side_and_fill_the_width(counts: dict[int, int]) -> None:
    bars = years(counts).bars
    there = [year for year, shows in counts.items() if shows]
    assert [bar.year for bar in bars] == (list(range(min(there), max(there) + 1)) if there else [])
    for one, other in pairwise(bars):
        assert abs(one.left + one.width - other.left) < 0.01
    if bars:
        assert bars[0].left == 0 and abs(bars[-1].left + bars[-1].width - 100) < 0.05
        assert max(bar.height for bar in bars) == 100 and all(bar.top + bar.height == 100 for bar in bars if bar.shows)


@given(COUNTS)
def test_so_many_years_are_written_as_there_is_room_for(counts: dict[int, int]) -> None:
    bars = years(counts).bars
    written = [bar.year for bar in bars if bar.labelled]
    assert bool(written) == bool(bars) and len(written) <= LABELS + 1


def test_a_year_without_shows_is_a_gap_and_not_left_out() -> None:
    assert [(bar.year, bar.shows) for bar in years({2019: 2, 2022: 1}).bars] == [
        (2019, 2),
        (2020, 0),
        (2021, 0),
        (2022, 1),
    ]


def test_lines_stand_where_bars_of_their_number_end() -> None:
    found = years({2001: 9, 2002: 4})
    for line in found.lines:
        assert all(bar.top == line.y for bar in found.bars if bar.shows == line.shows)
    assert [line.shows for line in found.lines] == [9, 4]
    assert [line.shows for line in years({2001: 1}).lines] == [1]


def test_the_shortest_share_is_still_seen() -> None:
    assert (share(10, 10), share(5, 10), share(1, 1_000), share(0, 0)) == (100.0, 50.0, 2.0, 0.0)

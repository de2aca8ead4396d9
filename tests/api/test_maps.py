"""Places on the bundled outlines: they lie where they belong, and one looks as near as a continent allows."""

import re
from math import cos, hypot, radians
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages.frame import STATIC
from api.pages.maps import HEIGHT, MOST_LABELS, VIEW_WIDTH, WIDTH, Spot, around, point, view
from tests import world

TOWNS = {
    "Reykjavik": (64.15, -21.94),
    "London": (51.51, -0.13),
    "Nairobi": (-1.29, 36.82),
    "Sydney": (-33.87, 151.21),
    "Denver": (39.74, -104.99),
    "Santiago": (-33.45, -70.67),
    "Moscow": (55.76, 37.62),
    "Delhi": (28.61, 77.21),
}
SEAS = {
    "Atlantic": (30.0, -45.0),
    "Pacific": (0.0, -140.0),
    "Indian Ocean": (-30.0, 80.0),
    "Biscay": (45.5, -6.0),
    "Greenland Sea": (71.0, -8.0),
    "Arctic, at the date line": (75.0, 179.5),
    "Southern Ocean": (-58.0, 20.0),
}
PLACES = st.tuples(st.floats(-85, 85), st.floats(-180, 180))
SPOTS = st.lists(
    st.builds(
        lambda name, shows, place: Spot(name, "GB", shows, *place), st.text(max_size=30), st.integers(1, 400), PLACES
    ),
    min_size=1,
    max_size=60,
)


def spot(name: str, shows: int = 1) -> Spot:
    return Spot(name, None, shows, *TOWNS[name])


def land(lat: float, lon: float) -> bool:
    """Whether a place is within the outlines, by counting the lines north of it."""
    x, y = point(lat, lon)
    crossed = 0
    for ring in _rings():
        for (left, top), (right, bottom) in zip(ring, ring[1:] + ring[:1], strict=True):
            if (left > x) != (right > x) and top + (x - left) / (right - left) * (bottom - top) < y:
                crossed += 1
    return crossed % 2 == 1


def _rings() -> list[list[tuple[float, float]]]:
    drawn = re.search(r'fill-rule="evenodd" d="([^"]+)"', (STATIC / "world.svg").read_text(encoding="utf-8"))
    assert drawn
    rings = []
    for told in drawn[1].split("z"):
        numbers = [int(number) for number in re.findall(r"-?\d+", told)]
        if numbers:
            x, y = numbers[0], numbers[1]
            ring = [(float(x), float(y))]
            for dx, dy in zip(numbers[2::2], numbers[3::2], strict=True):
                x, y = x + dx, y + dy
                ring.append((float(x), float(y)))
            rings.append(ring)
    return rings


@pytest.mark.parametrize("town", ["London", "Nairobi", "Denver", "Moscow", "Delhi"])
def test_towns_lie_on_land(town: str) -> None:
    assert land(*TOWNS[town])


@pytest.mark.parametrize("place", [(66.5, 178.0), (66.5, -175.0), (-80.0, 20.0), (-89.0, -170.0), (72.0, -40.0)])
def test_land_at_the_date_line_and_the_pole_is_land(place: tuple[float, float]) -> None:
    assert land(*place)


@pytest.mark.parametrize("sea", SEAS)
def test_seas_do_not(sea: str) -> None:
    assert not land(*SEAS[sea])


def test_the_picture_is_small_loads_nothing_and_names_its_source() -> None:
    picture = Path(STATIC / "world.svg").read_text(encoding="utf-8")
    assert len(picture) < 60_000 and f'viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}"' in picture
    assert "Natural Earth" in picture and "public domain" in picture
    assert not re.search(r"href|url\(|<script|<style", picture)


@given(PLACES)
def test_every_place_is_on_the_picture_and_east_is_right_of_west(place: tuple[float, float]) -> None:
    x, y = point(*place)
    assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT
    assert point(place[0] + 1, place[1])[1] < y


def test_the_poles_have_a_place_too() -> None:
    assert point(90, 0)[1] == pytest.approx(0, abs=1) and point(-90, 0)[1] == pytest.approx(HEIGHT, abs=1)
    assert point(123, 0) == point(90, 0)


@given(SPOTS)
def test_whatever_was_placed_is_seen_once(spots: list[Spot]) -> None:
    seen = view(spots)
    assert seen is not None
    assert sorted(seen.circles, key=lambda one: -one.shows) == list(seen.circles)
    assert sum(circle.shows for circle in seen.circles) == sum(one.shows for one in spots)
    for circle in seen.circles:
        assert -1 <= circle.x <= seen.width + 1 and -1 <= circle.y <= seen.height + 1
    apart = [(one, other) for one in seen.circles for other in seen.circles if one is not other]
    assert all(hypot(one.x - other.x, one.y - other.y) > 8 for one, other in apart)
    assert sum(circle.label is not None for circle in seen.circles) <= MOST_LABELS


@given(SPOTS)
def test_the_picture_fills_the_view(spots: list[Spot]) -> None:
    seen = view(spots)
    assert seen is not None
    x, y, width, height = seen.picture
    assert x <= 0.5 and y <= 0.5 and x + width >= seen.width - 0.5 and y + height >= seen.height - 0.5


def test_one_continent_is_looked_at_from_near_and_two_from_afar() -> None:
    near, far = view([spot("London"), spot("Moscow")]), view([spot("London"), spot("Sydney"), spot("Denver")])
    assert near is not None and far is not None
    assert near.scale > 3 * far.scale
    assert far.picture[0] == 0 and far.picture[2] == pytest.approx(VIEW_WIDTH)
    assert view([]) is None


def test_a_picture_that_is_looked_at_from_near_is_as_wide_as_it_is_high() -> None:
    """Two hundred kilometres east are as long as two hundred north, where one looks."""
    for lat, lon in TOWNS.values():
        seen = around(lat, lon)
        x, y = seen.at(lat, lon)
        north = y - seen.at(lat + 1.8, lon)[1]
        east = seen.at(lat, lon + 1.8 / cos(radians(lat)))[0] - x
        assert east == pytest.approx(north, rel=0.04)


def test_neighbours_share_a_circle_and_the_town_of_most_shows_gives_its_name() -> None:
    reading = Spot("Reading", "GB", 2, 51.455, -0.97)
    seen = view([reading, spot("London", 30), spot("Denver"), spot("Sydney")])
    assert seen is not None
    first = seen.circles[0]
    assert [one.name for one in first.spots] == ["London", "Reading"] and first.shows == 32
    assert first.label is not None and len(seen.circles) == 3


def test_two_countries_of_a_topology_are_one_land_with_a_border() -> None:
    """The file that the outlines come from: arcs told by differences, shared ones once, backwards with a sign."""
    topology = {
        "transform": {"scale": [1, 1], "translate": [0, 0]},
        "arcs": [[[10, 0], [0, 10]], [[10, 10], [-10, 0], [0, -10], [10, 0]], [[10, 0], [10, 0], [0, 10], [-10, 0]]],
    }
    west, east = {"type": "Polygon", "arcs": [[0, 1]]}, {"type": "Polygon", "arcs": [[2, -1]]}
    whole = {"type": "MultiPolygon", "arcs": [[[1, 2]]]}
    arcs = world.arcs_of(topology)
    (between,) = world.borders(arcs, [west, east])
    assert [x for x, _ in between] == [1_900, 1_900] and between[0][1] == HEIGHT / 2
    (land_,) = world.rings(arcs, [whole])
    assert {x for x, _ in land_} == {1_800, 1_900, 2_000}
    assert world.path([[(0, 0), (0, 0), (5, -3), (5, 2)]], "z") == "M0,0l5-3 0 5z"

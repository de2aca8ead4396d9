"""Places on the bundled picture of the world, `api/static/world.svg`: where they lie, how near one looks at them.

Picture      outlines at 1:110 million of Natural Earth, 3600 by 2640 units, ten to a degree of longitude; made by
             `python -m tests.world`
Projection   Miller's cylinder: meridians stay upright, so that a part of it can be looked at without leaning, and the
             poles stay on the paper. A closer look is narrowed by as much as the projection widens at its middle.
Views        1000 units wide; what is drawn upon the picture is told in these, whatever part of the world they show.

Source  O. M. Miller 1942, Notes on cylindrical world map projections, doi:10.2307/210384
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import atan, cos, exp, hypot, log, pi, radians, sqrt, tan

TEN = 10.0
"""Units of the picture in a degree of longitude."""
WIDTH, HEIGHT = 3600.0, 2640.0
VIEW_WIDTH, VIEW_HEIGHT = 1000.0, 620.0
NARROWEST = 260.0
"""Nearer than 26 degrees the outlines are too coarse to tell where one is."""
WIDEST = 1300.0
"""No continent is wider; beyond that the whole world is shown."""
TOP, BOTTOM = 78.0, -57.0
"""What is shown of the whole world, degrees: people go to few shows beyond."""
LABEL_HEIGHT = 40.0
"""Of a name upon the view; as the style sheet writes it."""
MOST_LABELS = 6


@dataclass(frozen=True)
class Spot:
    """A town, and how many shows: what a circle stands for."""

    name: str
    country: str | None
    shows: int
    lat: float
    lon: float


@dataclass(frozen=True)
class Circle:
    """Towns too near to each other to be drawn apart, the one with most shows first."""

    x: float
    y: float
    radius: float
    spots: tuple[Spot, ...]
    label: "Label | None" = None

    @property
    def shows(self) -> int:
        """Of all its towns."""
        return sum(spot.shows for spot in self.spots)


@dataclass(frozen=True)
class Label:
    """Where a town's name is written, and from which end."""

    x: float
    y: float
    anchor: str
    """start or end, as SVG has it."""


@dataclass(frozen=True)
class View:
    """The part of the picture that is shown, and how the picture lies behind it."""

    scale: float
    """Units of the view in one of the picture, upright."""
    narrow: float
    """Sideways by this much less."""
    left: float
    top: float
    """Of the view, upon the picture."""
    circles: tuple[Circle, ...] = field(default=())
    width: float = VIEW_WIDTH
    height: float = VIEW_HEIGHT

    @property
    def picture(self) -> tuple[float, float, float, float]:
        """x, y, width, height of the picture, in units of the view."""
        across = self.scale * self.narrow
        return (-self.left * across, -self.top * self.scale, WIDTH * across, HEIGHT * self.scale)

    def at(self, lat: float, lon: float) -> tuple[float, float]:
        """Where a place lies upon the view."""
        x, y = point(lat, lon)
        return ((x - self.left) * self.scale * self.narrow, (y - self.top) * self.scale)


def point(lat: float, lon: float) -> tuple[float, float]:
    """Where a place lies upon the picture; degrees north and east, WGS 84.

    >>> point(0.0, 0.0)
    (1800.0, 1320.0)
    """
    north = max(-90.0, min(90.0, lat))
    return ((lon + 180.0) * TEN, HEIGHT / 2 - _up(north) * TEN)


def view(spots: Iterable[Spot]) -> View | None:
    """Everything where something is: as near as a continent allows, else the whole world. None: nothing is placed."""
    placed = list(spots)
    if not placed:
        return None
    seen = _around([point(spot.lat, spot.lon) for spot in placed])
    return replace(seen, circles=tuple(_labelled(_together(seen, placed))))


def around(lat: float, lon: float) -> View:
    """One place, and the coasts and borders by which one knows where it is."""
    seen = view([Spot("", None, 1, lat, lon)])
    assert seen is not None
    return seen


def _around(points: Sequence[tuple[float, float]]) -> View:
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    top, bottom = min(y for _, y in points), max(y for _, y in points)
    middle = (top + bottom) / 2
    narrow = _narrowed(middle)
    # Room for the circles themselves, and for names beside them.
    width = max((right - left) * 1.3, (bottom - top) * 1.35 * VIEW_WIDTH / VIEW_HEIGHT / narrow, NARROWEST / narrow)
    if width > WIDEST:
        return _world(top, bottom)
    scale = VIEW_WIDTH / (width * narrow)
    height = VIEW_HEIGHT / scale
    return View(
        scale,
        narrow,
        _within((left + right - width) / 2, WIDTH - width),
        _within(middle - height / 2, HEIGHT - height),
    )


def _world(top: float, bottom: float) -> View:
    """All longitudes; further to the poles where something is."""
    upper = max(0.0, min(point(TOP, 0.0)[1], top - 60.0))
    lower = min(HEIGHT, max(point(BOTTOM, 0.0)[1], bottom + 60.0))
    scale = VIEW_WIDTH / WIDTH
    return View(scale, 1.0, 0.0, upper, height=round((lower - upper) * scale, 1))


def _together(seen: View, spots: Sequence[Spot]) -> list[Circle]:
    """Circles, large ones first: who lies within a larger one belongs to it."""
    kept: list[tuple[float, float, list[Spot]]] = []
    for spot in sorted(spots, key=lambda one: (-one.shows, one.name, one.country or "")):
        x, y = seen.at(spot.lat, spot.lon)
        home = next((one for one in kept if hypot(one[0] - x, one[1] - y) < _radius(one[2])), None)
        if home is None:
            kept.append((x, y, [spot]))
        else:
            home[2].append(spot)
    circles = [Circle(x, y, _radius(spots), tuple(spots)) for x, y, spots in kept]
    return sorted(circles, key=lambda one: -one.shows)


def _radius(spots: Sequence[Spot]) -> float:
    """Grows with the square root, as the area that is seen; one show is still to be hit by a finger."""
    return min(46.0, 9.0 + 4.0 * sqrt(sum(spot.shows for spot in spots)))


def _labelled(circles: Sequence[Circle]) -> list[Circle]:
    """The largest with their names, where these cover neither each other nor a circle as large."""
    taken = [_box_of(circle) for circle in circles[: 4 * MOST_LABELS]]
    told, named = [], 0
    for circle in circles:
        label = None
        if named < MOST_LABELS:
            others = [box for box in taken if box != _box_of(circle)]
            for candidate, box in _labels(circle):
                if box[0] > 0 and box[2] < VIEW_WIDTH and not any(_cover(box, other) for other in others):
                    label = candidate
                    taken.append(box)
                    named += 1
                    break
        told.append(Circle(circle.x, circle.y, circle.radius, circle.spots, label))
    return told


def _labels(circle: Circle) -> list[tuple[Label, tuple[float, float, float, float]]]:
    """Right of it, else left: where the name begins, and the room that it takes."""
    name, gap = circle.spots[0].name, circle.radius + 8.0
    if not name or len(name) > 24:
        return []
    length, up = 0.56 * LABEL_HEIGHT * len(name), LABEL_HEIGHT / 2
    right, left = circle.x + gap, circle.x - gap
    base = circle.y + 0.34 * LABEL_HEIGHT
    return [
        (Label(right, base, "start"), (right, circle.y - up, right + length, circle.y + up)),
        (Label(left, base, "end"), (left - length, circle.y - up, left, circle.y + up)),
    ]


def _box_of(circle: Circle) -> tuple[float, float, float, float]:
    return (
        circle.x - circle.radius,
        circle.y - circle.radius,
        circle.x + circle.radius,
        circle.y + circle.radius,
    )


def _cover(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _up(lat: float) -> float:
    """Degrees of the cylinder above the equator."""
    return 1.25 * log(tan(pi / 4 + 0.4 * radians(lat))) * 180.0 / pi


def _narrowed(y: float) -> float:
    """By how much a view around this height is drawn narrower, so that there all directions are alike."""
    lat = 2.5 * (atan(exp(0.8 * radians((HEIGHT / 2 - y) / TEN))) - pi / 4)
    return max(cos(lat) / cos(0.8 * lat), 0.35)


def _within(value: float, most: float) -> float:
    return max(0.0, min(value, most))

"""api/static/world.svg, made again from Natural Earth's outlines; run by hand.

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python -m tests.world package/countries-110m.json > api/static/world.svg

The projection is that of `api.pages.maps`, so that what is drawn upon the picture lies where it belongs. Land is one
path and borders another, in whole units, each point told by its distance from the one before.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from api.pages.maps import HEIGHT, WIDTH, point

Point = tuple[int, int]
HEAD = (
    "<!-- Outlines: Natural Earth 4.1.0, 1:110m, public domain (naturalearthdata.com), by way of the npm package "
    "world-atlas 2.0.2. Miller's projection. Made by: python -m tests.world -->"
)


def arcs_of(topology: dict[str, Any]) -> list[list[Point]]:
    """The lines of a TopoJSON file upon the picture, points that fall together once.

    Source  github.com/topojson/topojson-specification, 2.1.3 and 2.1.4
    """
    (east, north), (from_east, from_north) = topology["transform"]["scale"], topology["transform"]["translate"]
    lines = []
    for arc in topology["arcs"]:
        x = y = 0
        line: list[Point] = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            left, top = point(y * north + from_north, x * east + from_east)
            here = (round(left), round(top))
            if not line or line[-1] != here:
                line.append(here)
        lines.append(line)
    return lines


def rings(arcs: list[list[Point]], geometries: Iterable[dict[str, Any]]) -> list[list[Point]]:
    """Closed lines of all polygons, each with its lakes; what shrank to a dot is left out."""
    found = []
    for geometry in geometries:
        polygons = [geometry["arcs"]] if geometry["type"] == "Polygon" else geometry["arcs"]
        for polygon in polygons:
            for ring in polygon:
                line = [place for index in ring for place in _walk(arcs, index)]
                if len(set(line)) > 2:
                    found += _unrolled(line)
    return found


def _unrolled(ring: Sequence[Point]) -> list[list[Point]]:
    """A ring that crosses the date line leaves the picture there, and comes in again on the other side.

    One that goes round a pole is closed below the picture.
    """
    line, turns = [ring[0]], 0
    for (before, _), (x, y) in pairwise(ring):
        turns += (x - before < -WIDTH / 2) - (x - before > WIDTH / 2)
        line.append((x + turns * round(WIDTH), y))
    if turns:
        line += [(line[-1][0], round(HEIGHT)), (line[0][0], round(HEIGHT))]
    shifts = {-(x // round(WIDTH)) for x, _ in line if x % round(WIDTH)}
    return [[(x + shift * round(WIDTH), y) for x, y in line] for shift in sorted(shifts | {0})]


def borders(arcs: list[list[Point]], geometries: Iterable[dict[str, Any]]) -> list[list[Point]]:
    """Lines between two countries: those that two of them have."""
    used: Counter[int] = Counter()
    for geometry in geometries:
        polygons = [geometry["arcs"]] if geometry["type"] == "Polygon" else geometry["arcs"]
        used.update(index if index >= 0 else ~index for polygon in polygons for ring in polygon for index in ring)
    return [arcs[index] for index, times in sorted(used.items()) if times > 1 and len(arcs[index]) > 1]


def path(lines: Iterable[Sequence[Point]], end: str) -> str:
    """Lines as the `d` of an SVG path, each point told from the one before."""
    parts: list[str] = []
    for line in lines:
        steps = [
            (x - before_x, y - before_y)
            for (before_x, before_y), (x, y) in pairwise(line)
            if (before_x, before_y) != (x, y)
        ]
        told = "".join(_number(one, place == 0) for step in steps for place, one in enumerate(step))
        parts.append(f"M{line[0][0]},{line[0][1]}l{told.strip()}{end}")
    return "".join(parts)


def _number(one: int, first: bool) -> str:
    return str(one) if one < 0 else f" {one}"


def _walk(arcs: list[list[Point]], index: int) -> list[Point]:
    return arcs[index] if index >= 0 else arcs[~index][::-1]


def main(source: str) -> None:
    """The picture, on standard output."""
    topology = json.loads(Path(source).read_text(encoding="utf-8"))
    arcs = arcs_of(topology)
    land = path(rings(arcs, topology["objects"]["land"]["geometries"]), "z")
    between = path(borders(arcs, topology["objects"]["countries"]["geometries"]), "")
    # One colour that stands out from light paper and from dark: a picture within a page knows nothing of its theme.
    sys.stdout.write(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none">\n'
        f"{HEAD}\n"
        f'<path fill="#8f80ad" fill-opacity=".34" fill-rule="evenodd" d="{land}"/>\n'
        f'<path fill="none" stroke="#8f80ad" stroke-opacity=".55" stroke-width="1" '
        f'vector-effect="non-scaling-stroke" d="{between}"/>\n'
        "</svg>\n"
    )


if __name__ == "__main__":
    main(sys.argv[1])

"""Bars, histograms and lines as SVG, by hand: readable in light and dark, where a page shows them as an image."""

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH = 760
INK = ("#1b6ca8", "#c8553d", "#3d8361", "#8a5a9e", "#a67c00", "#4b6584", "#b0336a")
STYLE = """<style>
svg { background: #ffffff; font: 13px system-ui, sans-serif; }
text { fill: #24292f; } .quiet { fill: #57606a; } .title { font-weight: 600; font-size: 15px; }
.grid { stroke: #d0d7de; stroke-width: 1; } .mark { stroke: #24292f; stroke-width: 1.5; stroke-dasharray: 5 4; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; } text { fill: #e6edf3; } .quiet { fill: #9da7b3; }
.grid { stroke: #30363d; } .mark { stroke: #e6edf3; } .ink { filter: brightness(1.45); }
}
</style>"""


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" role="img">'
    shown = f"<title>{escape(title)}</title>\n{_text(16, 24, title, 'title')}"
    return "\n".join([head, STYLE, shown, *parts, "</svg>", ""])


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend(y: float, names: Sequence[str]) -> list[str]:
    parts, x = [], 16.0
    for number, name in enumerate(names):
        if x + 24 + 7.2 * len(name) > WIDTH:
            x, y = 16.0, y + 20
        parts.append(f'<rect class="ink" x="{x:.1f}" y="{y - 10:.1f}" width="12" height="12" fill="{INK[number]}"/>')
        parts.append(_text(x + 18, y, name))
        x += 40 + 7.2 * len(name)
    return parts


def bars(title: str, groups: Mapping[str, Mapping[str, float]], unit: str, goals: Mapping[str, float]) -> str:
    """Groups of horizontal bars, the first of a group above; each group has a scale of its own, 100 % its longest.

    `goals`: where in its group a line marks what was to be reached, in the unit.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    left, most = 150.0, WIDTH - 150.0 - 130.0
    parts, y = _legend(48, names), 68.0
    for group, values in groups.items():
        top = y
        longest = max(values.values()) or 1.0
        parts.append(_text(left - 10, y + 4 + 9 * len(values), group, anchor="end"))
        for name, value in values.items():
            ink, length = INK[names.index(name)], max(1.0, most * value / longest)
            parts.append(
                f'<rect class="ink" x="{left}" y="{y:.1f}" width="{length:.1f}" height="14" fill="{ink}" rx="2"/>'
            )
            parts.append(_text(left + length + 6, y + 11.5, f"{value:,.0f} {unit}"))
            y += 18
        if group in goals:
            x = left + most * goals[group] / longest
            parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 3:.1f}" y2="{y:.1f}"/>')
        y += 12
    return _svg(y + 6, title, parts)


def histogram(title: str, values: Sequence[float], width: float, marks: Mapping[str, float], unit: str) -> str:
    """How many values lie in each step of `width`; `marks` are named lines."""
    last = max(*values, *marks.values()) + width
    counts = [0] * (math.ceil(last / width) + 1)
    for value in values:
        counts[int(value / width)] += 1
    left, top, high, wide = 60.0, 90.0, 220.0, WIDTH - 90.0
    step, most = wide / len(counts), max(counts)
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = top + high * (1 - share)
        parts.append(f'<line class="grid" x1="{left}" x2="{left + wide}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 8, y + 4, f"{most * share:.0f}", "quiet", "end"))
    for number, count in enumerate(counts):
        tall = high * count / most
        parts.append(
            f'<rect class="ink" x="{left + number * step + 1:.1f}" y="{top + high - tall:.1f}" '
            f'width="{max(1.0, step - 2):.1f}" height="{tall:.1f}" fill="{INK[0]}"/>'
        )
    every = max(1, len(counts) // 12)
    for number in range(0, len(counts) + 1, every):
        parts.append(_text(left + number * step, top + high + 18, f"{number * width:.1f}", "quiet", "middle"))
    parts.append(_text(left + wide, top + high + 36, unit, "quiet", "end"))
    for row, (name, value) in enumerate(sorted(marks.items(), key=lambda mark: mark[1])):
        x = left + step * value / width
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 8:.1f}" y2="{top + high:.1f}"/>')
        aside, anchor = (-4, "end") if x > left + wide - 130 else (4, "start")
        parts.append(_text(x + aside, 44 + 14 * (row % 3), name, anchor=anchor))
    return _svg(top + high + 48, title, parts)


def curves(title: str, lines: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> str:
    """A line for each name, of pairs (across, up); both axes begin at 0."""
    widest = max(x for points in lines.values() for x, _ in points) or 1.0
    highest = _round_up(max(y for points in lines.values() for _, y in points) or 1.0)
    left, top, high, wide = 60.0, 92.0, 260.0, WIDTH - 90.0
    parts = _legend(48, list(lines))
    for number in range(5):
        y = top + high * number / 4
        parts.append(f'<line class="grid" x1="{left}" x2="{left + wide}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 8, y + 4, f"{highest * (4 - number) / 4:,.0f}", "quiet", "end"))
        parts.append(_text(left + wide * number / 4, top + high + 18, f"{widest * number / 4:,.0f}", "quiet", "middle"))
    parts.append(_text(left - 44, top - 10, up, "quiet"))
    parts.append(_text(left + wide, top + high + 36, across, "quiet", "end"))
    for number, points in enumerate(lines.values()):
        told = " ".join(
            f"{left + wide * x / widest:.1f},{top + high * (1 - y / highest):.1f}" for x, y in _thinned(points)
        )
        parts.append(f'<polyline class="ink" points="{told}" fill="none" stroke="{INK[number]}" stroke-width="2"/>')
    return _svg(top + high + 48, title, parts)


def _thinned(points: Sequence[tuple[float, float]], most: int = 300) -> Sequence[tuple[float, float]]:
    every = max(1, len(points) // most)
    return [*points[::every], points[-1]]


def _round_up(value: float) -> float:
    step: float = 10 ** math.floor(math.log10(value))
    return math.ceil(value / step) * step

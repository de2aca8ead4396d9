"""Figures as one HTML page that needs no network: for people who would rather look than read.

Curves and tables are drawn here and can be read without scripts; the script on the page only shows one variant at a
time and draws the bits of the pair that is chosen. Whatever was typed by people is escaped: in the markup by
`html.escape`, in the data block by escaping `<`, and the script writes text only as text.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import orjson

from matchers.judge.evaluate import (
    TYPED,
    Evaluated,
    Judged,
    against_goals,
    figures_of,
    mistake,
    precision_recall,
    worst,
)
from matchers.judge.evaluate import reliability as reliability_of
from matchers.judge.variants import VARIANTS

SIZE, LEFT, BOTTOM, TOP, RIGHT = 250, 50, 36, 10, 14
"""Pixels of a chart's drawing area, and around it."""
SHOWN = (
    *("right", "right_unambiguous", "right_ambiguous", "in_three", "sure", "sure_right"),
    *("wrong_sure", "two_sure", "proposed", "ece", "log_loss", "brier"),
)
"""Columns of the table of all variants."""
SHARES = ("sure", "likely", "possible", "wrong", "none")


def history_report(
    evaluated: Sequence[Evaluated],
    about: Sequence[str] = (),
    unasked: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """The page of some variants of one history. `about`: what it was made from, a few words each.

    `unasked`: figures of companions and habits, by name.
    """
    sections = "\n".join(_section(one, index) for index, one in enumerate(evaluated))
    tabs = "".join(
        f'<button data-variant="{index}">{escape(one.variant)}</button>' for index, one in enumerate(evaluated)
    )
    return _PAGE.format(
        style=_STYLE,
        about=escape(" · ".join(about)),
        overview=_overview(evaluated),
        shares="\n".join(_shares(one) for one in evaluated),
        tabs=tabs,
        sections=sections,
        unasked="\n".join(_unasked(name, figures) for name, figures in (unasked or {}).items()),
        data=_embedded([_pairs(one) for one in evaluated]),
        script=_SCRIPT,
    )


# -- figures ----------------------------------------------------------------------------------------------------------


def _overview(evaluated: Sequence[Evaluated]) -> str:
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in SHOWN)
    lines = []
    for index, one in enumerate(evaluated):
        figures = against_goals(one.variant, figures_of(one.judged))
        cells = "".join(_cell(figures.get(name)) for name in SHOWN)
        lines.append(f'<tr><th><a href="#v{index}">{escape(one.variant)}</a></th>{cells}</tr>')
    return f"<table class=figures><thead><tr><th>variant</th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "<td class=none>–</td>"
    met = {True: "met", False: "missed"}.get(figure.get("met"), "")  # type: ignore[arg-type]
    said = f"95 %: {figure['low']:.4f} to {figure['high']:.4f}, n {figure['n']:,}"
    return f'<td class="{met}" title="{said}">{figure["value"]:.4f}{_goal(figure)}</td>'


def _goal(figure: Mapping[str, Any]) -> str:
    goal = figure.get("goal")
    if not goal:
        return ""
    sign = "≥" if "at_least" in goal else "≤"
    return f"<small>{sign} {next(iter(goal.values())):g}</small>"


def _shares(one: Evaluated) -> str:
    """Two bars: what became of entries whose concert is known, and of the others."""
    known = Counter(_share_of(judged) for judged in one.judged if judged.labelled)
    others = Counter(judged.band for judged in one.judged if not judged.labelled)
    name = escape(one.variant)
    return _bar(name, "to be found", known, "") + _bar("" if known else name, "not to be found", others, "unfounded ")


def _share_of(judged: Judged) -> str:
    return judged.band if judged.right or not judged.offered else "wrong"


def _bar(name: str, what: str, counts: Counter[str], kind: str) -> str:
    whole = counts.total()
    if not whole:
        return ""
    parts = []
    for share in SHARES:
        if count := counts[share]:
            said = f"{share}: {count:,} of {whole:,} ({100 * count / whole:.1f} %)"
            text = f"{count:,}" if count / whole > 0.04 else ""
            parts.append(f'<i class="{kind}{share}" style="flex:{count}" title="{said}">{text}</i>')
    return f"<div class=share><b>{name}</b><span>{what}</span><div class=bar>{''.join(parts)}</div></div>"


def _section(one: Evaluated, index: int) -> str:
    figures = against_goals(one.variant, figures_of(one.judged))
    rows = "".join(
        f"<tr><th>{name.replace('_', ' ')}</th>{_cell(figure)}"
        f"<td class=dim>{figure['low']:.4f} – {figure['high']:.4f}</td><td class=dim>{figure['n']:,}</td></tr>"
        for name, figure in figures.items()
    )
    about = VARIANTS[one.variant].about if one.variant in VARIANTS else ""
    return f"""<section class=variant id="v{index}" data-variant="{index}">
<h2>{escape(one.variant)} <small>{escape(about)}</small></h2>
<div class=charts>
<figure>{_reliability(one.judged)}<figcaption>How often a confidence is right. On the line: as often as said.
The bars are 95 % intervals, the area of a point is how many.</figcaption></figure>
<figure>{_precision_recall(one.judged)}<figcaption>Precision over recall of first suggestions, as less and less sure
ones are taken.</figcaption></figure>
<table class=list><thead><tr><th></th><th>figure</th><th>95 %</th><th>n</th></tr></thead><tbody>{rows}</tbody></table>
</div>
{_mistakes(one)}
</section>"""


# -- charts -----------------------------------------------------------------------------------------------------------


def _chart(title: str, across: str, up: str, drawn: str, ticks: tuple[Sequence[float], Sequence[float]]) -> str:
    (left, right), (low, high) = (ticks[0][0], ticks[0][-1]), (ticks[1][0], ticks[1][-1])
    x, y = _scale(left, right), _scale(low, high)
    grid = "".join(
        f'<line class=grid x1="{x(at):.1f}" x2="{x(at):.1f}" y1="0" y2="{SIZE}"/>'
        f'<text x="{x(at):.1f}" y="{SIZE + 15}" text-anchor="middle">{at:g}</text>'
        for at in ticks[0]
    ) + "".join(
        f'<line class=grid x1="0" x2="{SIZE}" y1="{SIZE - y(at):.1f}" y2="{SIZE - y(at):.1f}"/>'
        f'<text x="-6" y="{SIZE - y(at) + 4:.1f}" text-anchor="end">{at:g}</text>'
        for at in ticks[1]
    )
    width, height = LEFT + SIZE + RIGHT, TOP + SIZE + BOTTOM
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{title}">'
        f'<g transform="translate({LEFT},{TOP})">{grid}{drawn}'
        f'<text class=axis x="{SIZE / 2}" y="{SIZE + 31}" text-anchor="middle">{across}</text>'
        f'<text class=axis transform="translate(-38,{SIZE / 2}) rotate(-90)" text-anchor="middle">{up}</text></g></svg>'
    )


def _scale(low: float, high: float) -> Callable[[float], float]:
    return lambda value: SIZE * (value - low) / (high - low)


def _reliability(judged: Sequence[Judged]) -> str:
    curve = reliability_of(judged)
    most = max((point["n"] for point in curve), default=1)
    drawn = f'<line class=ideal x1="0" y1="{SIZE}" x2="{SIZE}" y2="0"/>'
    path = " ".join(f"{SIZE * p['confidence']:.1f},{SIZE * (1 - p['right']):.1f}" for p in curve)
    drawn += f'<polyline class=line points="{path}"/>'
    for point in curve:
        at, up = SIZE * point["confidence"], SIZE * (1 - point["right"])
        said = f"{point['n']:,} said {point['confidence']:.3f} on average: {point['right']:.3f} right"
        drawn += (
            f'<line class=whisker x1="{at:.1f}" x2="{at:.1f}" '
            f'y1="{SIZE * (1 - point["low"]):.1f}" y2="{SIZE * (1 - point["high"]):.1f}"/>'
            f'<circle cx="{at:.1f}" cy="{up:.1f}" r="{3 + 7 * (point["n"] / most) ** 0.5:.1f}"><title>{said}</title>'
            "</circle>"
        )
    ticks = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    return _chart("reliability", "confidence", "share right", drawn, (ticks, ticks))


def _precision_recall(judged: Sequence[Judged]) -> str:
    curve = precision_recall(judged)
    # Nearly everything happens near 1: the axis begins where the curve does.
    lowest = min((point["precision"] for point in curve), default=0.0)
    low = next((at for at in (0.95, 0.9, 0.8, 0.5) if lowest >= at), 0.0)
    ups = [round(low + (1 - low) * step / 5, 3) for step in range(6)]
    y = _scale(low, 1.0)
    path = " ".join(f"{SIZE * p['recall']:.1f},{SIZE - y(p['precision']):.1f}" for p in curve)
    dots = "".join(
        f'<circle cx="{SIZE * p["recall"]:.1f}" cy="{SIZE - y(p["precision"]):.1f}" r="2.5"><title>'
        f"from {p['confidence']:.3f}: precision {p['precision']:.3f}, recall {p['recall']:.3f}</title></circle>"
        for p in curve
    )
    across = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    drawn = f'<polyline class=line points="{path}"/>{dots}'
    return _chart("precision and recall", "recall", "precision", drawn, (across, ups))


# -- what nobody asked for ---------------------------------------------------------------------------------------------


def _unasked(name: str, figures: Mapping[str, Any]) -> str:
    """How often a companion or a habit was right, as a whole and by kind; then those that were not."""
    lines = "".join(
        f"<tr><th>{escape(what)}</th><td>{one['right']:,} of {one['asked']:,}</td><td>"
        f"{'–' if one['precision'] is None else format(one['precision'], '.4f')}</td>"
        f"<td class=dim>{one['interval'][0]:.4f} – {one['interval'][1]:.4f}</td></tr>"
        for what, one in _shared(name, figures)
    )
    wrong = "".join(f"<li>{escape(str(one))}</li>" for one in figures.get("wrong", ()))
    return (
        f"<h2>{escape(name)} <small>asked without being asked, and logged by the user</small></h2>"
        f"<table class=list><thead><tr><th></th><th>right</th><th>precision</th><th>95 %</th></tr></thead>"
        f"<tbody>{lines}</tbody></table>" + (f"<details><summary>Not logged</summary><ul>{wrong}</ul></details>")
    )


def _shared(name: str, figures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """What has a precision, with the way to it: companions, links: bill, users: one: kinds: two."""
    found = [(name, figures)] if "asked" in figures else []
    for group, inner in figures.items():
        if isinstance(inner, Mapping):
            for key, one in inner.items():
                if isinstance(one, Mapping) and "interval" in one:
                    found += _shared(f"{group}: {key}", one)
    return found


# -- mistakes and pairs -----------------------------------------------------------------------------------------------


def _mistakes(one: Evaluated) -> str:
    wrong = worst(one.judged)
    if not wrong:
        return "<p>No mistakes.</p>"
    places = {id(judged): index for index, judged in enumerate(one.judged)}
    lines = []
    for judged in wrong:
        told = mistake(judged)
        first = told["proposed"][0] if told["proposed"] else None
        found = "nothing"
        if first is not None:
            found = f"{escape(_words(first))} <b class={first['band']}>{first['confidence']:.3f} {first['band']}</b>"
        meant = escape(_words(told["meant"])) if told["meant"] else f"<i>{escape(told['label'])}</i>"
        hint = " <small>ambiguous</small>" if told["ambiguous"] else ""
        lines.append(
            f'<tr data-entry="{places[id(judged)]}"><td>{escape(told["kind"])}{hint}</td>'
            f"<td>{escape(judged.name)}</td><td>{escape(_typed(judged))}</td><td>{found}</td><td>{meant}</td></tr>"
        )
    head = "<tr><th>mistake</th><th>entry</th><th>typed</th><th>proposed first</th><th>meant</th></tr>"
    return (
        f"<h3>The worst mistakes, {len(wrong)} <small>a click shows the bits</small></h3>"
        f"<table class=mistakes><thead>{head}</thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _words(told: Mapping[str, Any]) -> str:
    return ", ".join(str(told[name]) for name in ("artist", "night", "venue", "city") if told.get(name))


def _typed(judged: Judged) -> str:
    said = []
    for name in TYPED:
        value = judged.row.get(name)
        if value not in (None, "", []):
            said.append("songs: " + "; ".join(map(str, value)) if isinstance(value, list) else str(value))
    return ", ".join(said)


def _pairs(one: Evaluated) -> dict[str, Any]:
    """Every entry with its candidates and their bits; texts are numbered, since most occur many times."""
    texts: dict[str, int] = {}

    def number(text: str) -> int:
        return texts.setdefault(text, len(texts))

    wrong = {id(judged) for judged in worst(one.judged, len(one.judged))}
    entries = []
    for judged in one.judged:
        candidates = []
        for suggestion, right in zip(judged.offered, judged.rights, strict=True):
            facts = suggestion.concert
            words = {"artist": facts.artist, "night": facts.night, "venue": facts.place.name, "city": facts.place.city}
            bits = [[number(piece.field), round(piece.bits, 2), number(piece.text)] for piece in suggestion.why]
            candidates.append(
                [number(_words(words)), round(suggestion.confidence, 4), suggestion.band.value, int(right), bits]
            )
        entries.append([judged.name, number(_typed(judged)), judged.label, int(id(judged) in wrong), candidates])
    return {"texts": list(texts), "entries": entries}


def _embedded(data: Any) -> str:
    """JSON that cannot end its script element."""
    return orjson.dumps(data).decode().replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


_STYLE = """
:root{--ink:#1d2328;--dim:#6a747c;--line:#dfe4e8;--ground:#fff;--card:#f6f8f9;--good:#1b7f5c;--bad:#bf3b2b;--blue:#2f6fb3}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaed;--dim:#98a3ab;--line:#343c43;--ground:#15191c;--card:#1d2327;
--good:#5cc79c;--bad:#ee7d6d;--blue:#7ab0ea}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1240px;padding:28px 24px 80px;background:var(--ground);color:var(--ink);
font:14px/1.45 system-ui,sans-serif}
h1{font-size:24px;margin:0}h2{font-size:19px;margin:26px 0 10px}h3{font-size:15px;margin:22px 0 6px}
h2 small,h3 small,.dim,figcaption{color:var(--dim);font-weight:400;font-size:13px}
a{color:inherit}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:4px 9px;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
thead th{font-weight:500;color:var(--dim);font-size:12px}
tbody th{font-weight:600;white-space:nowrap}
.figures td,.list td{text-align:right;white-space:nowrap}
.figures{width:100%}.figures td{font-size:13px}
td small{display:block;color:var(--dim);font-size:11px}.list td small{display:inline;margin-left:6px}
td.none{color:var(--dim)}td.met{color:var(--good);font-weight:600}td.missed{color:var(--bad);font-weight:600}
.share{display:grid;grid-template-columns:120px 110px 1fr;gap:8px;align-items:center;margin:2px 0}
.share b{font-weight:600}.share span{color:var(--dim);font-size:12px}
.bar{display:flex;height:19px;border-radius:3px;overflow:hidden;background:var(--card)}
.bar i{font-style:normal;font-size:11px;color:#fff;text-align:center;min-width:2px;overflow:hidden;line-height:19px}
i.sure{background:#1b7f5c}i.likely{background:#69b391}i.possible{background:#e0bd5a;color:#40350f}
i.none{background:#b9c1c7}i.wrong{background:#bf3b2b}
i.unfounded.sure{background:#bf3b2b}i.unfounded.likely{background:#e07f55}i.unfounded.possible{background:#efc9a8;color:#5a3a20}
i.unfounded.none{background:#cfd8d4;color:#46514c}
.legend i{display:inline-block;width:12px;height:12px;border-radius:2px;margin:0 5px 0 14px;vertical-align:-1px}
nav{position:sticky;top:0;background:var(--ground);padding:10px 0;margin-top:26px;border-bottom:1px solid var(--line);
z-index:1}
button{font:inherit;border:1px solid var(--line);background:var(--card);color:inherit;border-radius:5px;
padding:4px 11px;margin:0 5px 5px 0;cursor:pointer}
button.on{background:var(--blue);border-color:var(--blue);color:#fff}
.charts{display:flex;flex-wrap:wrap;gap:22px;align-items:flex-start}
figure{margin:0;width:314px}figcaption{padding-left:50px}
svg text{font-size:11px;fill:var(--dim)}svg .axis{font-size:12px;fill:var(--ink)}
svg .grid{stroke:var(--line)}svg .ideal{stroke:var(--dim);stroke-dasharray:4 4}
svg .line{fill:none;stroke:var(--blue);stroke-width:1.6}svg circle{fill:var(--blue);fill-opacity:.75}
svg .whisker{stroke:var(--blue);stroke-width:1.2;opacity:.6}
.mistakes{width:100%;font-size:13px}.mistakes td{overflow-wrap:anywhere}.mistakes tbody tr{cursor:pointer}
.mistakes tbody tr:hover{background:var(--card)}
.mistakes td:first-child{white-space:nowrap}
b.sure,b.wrong{color:var(--bad)}b.likely,b.possible{font-weight:500;color:var(--dim)}
#pair{background:var(--card);border-radius:8px;padding:14px 18px 20px;margin-top:10px}
#pair .pick{display:grid;grid-template-columns:360px 1fr;gap:22px}
#pair input[type=search]{width:100%;font:inherit;padding:5px 8px;border:1px solid var(--line);border-radius:5px;
background:var(--ground);color:inherit}
#pair select{width:100%;height:250px;font:12px/1.4 ui-monospace,monospace;margin-top:6px;border:1px solid var(--line);
background:var(--ground);color:inherit}
#typed{font-size:15px;font-weight:600;overflow-wrap:anywhere}#which button{text-align:left;max-width:100%}
#which .right::before{content:"✓ "}
.pos{fill:var(--good)}.neg{fill:var(--bad)}.sum{fill:var(--dim)}svg .says{fill:var(--ink);font-size:12px}
@media (max-width:900px){#pair .pick{grid-template-columns:1fr}.figures{display:block;overflow-x:auto}}
"""

_SCRIPT = """
const data = JSON.parse(document.getElementById("data").textContent);
const el = id => document.getElementById(id);
const sections = [...document.querySelectorAll("section.variant")];
const tabs = [...document.querySelectorAll("nav button")];
let variant = 0, entry = -1, candidate = 0;

function text(tag, said, className) {
  const made = document.createElement(tag);
  made.textContent = said;
  if (className) made.className = className;
  return made;
}

function svg(tag, attributes, said) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (said !== undefined) made.textContent = said;
  return made;
}

function show(index) {
  variant = index;
  sections.forEach((one, at) => one.hidden = at !== index);
  tabs.forEach((one, at) => one.classList.toggle("on", at === index));
  const wrong = data[index].entries.findIndex(one => one[3] && one[4].length);
  list();
  choose(wrong < 0 ? data[index].entries.findIndex(one => one[4].length) : wrong);
}

function list() {
  const {texts, entries} = data[variant];
  const asked = el("search").value.toLowerCase(), only = el("only").checked;
  const options = [];
  entries.forEach((one, at) => {
    const said = texts[one[1]] + "  · " + one[0];
    if ((only && !one[3]) || !said.toLowerCase().includes(asked) || options.length >= 3000) return;
    const option = text("option", (one[3] ? "✗ " : one[4].length ? "\u2007 " : "· ") + said);
    option.value = at;
    options.push(option);
  });
  el("entries").replaceChildren(...options);
  el("entries").value = entry;
}

function choose(at) {
  entry = at; candidate = 0;
  el("entries").value = at;
  draw();
}

function draw() {
  const {texts, entries} = data[variant], one = entries[entry];
  el("which").replaceChildren(); el("bits").replaceChildren();
  if (!one) { el("typed").textContent = "nothing to show"; return; }
  el("typed").textContent = texts[one[1]];
  el("label").textContent = one[0] + " · label: " + one[2];
  if (!one[4].length) { el("which").append(text("p", "Nothing was proposed.")); return; }
  one[4].forEach((other, at) => {
    const said = texts[other[0]] + " · " + other[1].toFixed(3) + " " + other[2];
    const button = text("button", said, other[3] ? "right" : "");
    button.classList.toggle("on", at === candidate);
    button.onclick = () => { candidate = at; draw(); };
    el("which").append(button);
  });
  waterfall(one[4][candidate][4].map(([field, bits, said]) => [texts[field], bits, texts[said]]));
}

function waterfall(pieces) {
  // What holds for every pair comes first, then what speaks for this one, step by step to the sum.
  pieces = pieces.filter(one => one[0] === "prior").concat(pieces.filter(one => one[0] !== "prior"));
  let at = 0, low = 0, high = 0;
  const steps = pieces.map(([field, bits, said]) => {
    const from = at; at += bits; low = Math.min(low, at); high = Math.max(high, at);
    return [field, from, at, bits, said];
  });
  steps.push(["sum", 0, at, at, "odds of " + odds(at)]);
  const row = 27, left = 74, width = 330, x = bits => left + width * (bits - low) / ((high - low) || 1);
  const box = "0 0 760 " + (steps.length * row + 26);
  const drawn = svg("svg", {viewBox: box, width: "100%", role: "img", "aria-label": "bits"});
  drawn.append(svg("line", {class: "grid", x1: x(0), x2: x(0), y1: 0, y2: steps.length * row}));
  drawn.append(svg("text", {x: x(0), y: steps.length * row + 15, "text-anchor": "middle"}, "0 bits"));
  steps.forEach(([field, from, to, bits, said], index) => {
    const y = index * row + 4, sum = field === "sum";
    drawn.append(svg("text", {x: left - 8, y: y + 14, "text-anchor": "end", class: "says"}, field));
    drawn.append(svg("rect", {class: sum ? "sum" : bits < 0 ? "neg" : "pos", x: Math.min(x(from), x(to)), y,
      width: Math.max(1.5, Math.abs(x(to) - x(from))), height: row - 9, rx: 2}));
    if (!sum) drawn.append(svg("line", {class: "grid", x1: x(to), x2: x(to), y1: y + row - 9, y2: y + row}));
    const signed = (bits < 0 ? "−" : "+") + Math.abs(bits).toFixed(1);
    drawn.append(svg("text", {x: left + width + 12, y: y + 14, class: "says"}, signed));
    const told = svg("text", {x: left + width + 56, y: y + 14}, said.length > 52 ? said.slice(0, 50) + "…" : said);
    told.append(svg("title", {}, said));
    drawn.append(told);
  });
  el("bits").append(drawn);
}

function odds(bits) {
  const many = 2 ** Math.abs(bits), said = many < 1e6 ? Math.round(many).toLocaleString("en") : many.toExponential(1);
  return bits < 0 ? "1 to " + said : said + " to 1";
}

tabs.forEach((one, at) => one.onclick = () => show(at));
el("search").oninput = el("only").onchange = list;
el("entries").onchange = event => choose(Number(event.target.value));
document.querySelectorAll("tr[data-entry]").forEach(one => one.onclick = () => {
  choose(Number(one.dataset.entry));
  el("pair").scrollIntoView({behavior: "smooth", block: "nearest"});
});
document.querySelectorAll(".figures a").forEach(one => one.onclick = event => {
  event.preventDefault();
  show(Number(one.getAttribute("href").slice(2)));
  document.querySelector("nav").scrollIntoView({behavior: "smooth"});
});
el("pair").hidden = false;
const asked = Number(location.hash.slice(2));
show(asked in data ? asked : 0);
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'">
<title>Gigz: which concert is it, and how sure are we</title>
<style>{style}</style>
</head>
<body>
<h1>Which concert is it, and how sure are we</h1>
<p class=dim>{about}</p>
{overview}
<p class=dim>Green and red: a goal that is met or missed, below its figure. Point at a figure for its interval.</p>
<h2>How suggestions read</h2>
<p class="dim legend"><i class=sure></i>sure and right<i class=likely></i>likely and right<i class=possible></i>possible
and right<i class=wrong></i>wrong<i class=none></i>nothing proposed<i class="unfounded possible"></i>proposed though not
to be found: possible<i class="unfounded likely"></i>likely<i class="unfounded sure"></i>sure</p>
{shares}
<nav>{tabs}</nav>
<div id=pair hidden>
<h3>Bits of a pair <small>✗ wrong, · nothing proposed</small></h3>
<div class=pick>
<div><input type=search id=search placeholder="an entry: artist, date, town">
<label class=dim><input type=checkbox id=only> only wrong ones</label><select id=entries size=12></select></div>
<div><div id=typed></div><p class=dim id=label></p><div id=which></div><div id=bits></div></div>
</div>
</div>
{sections}
{unasked}
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""

"""As much of PromQL as the rules and the dashboard need to be held against the code: names, labels, brackets.

Not a parser: `promql-parser`, where it is installed, judges the grammar.
"""

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from api.metrics import Metrics
from deploy.meters import RelayMeters, SchedulerMeters, StageMeters
from deploy.settings import load

FUNCTIONS = {"absent", "avg_over_time", "changes", "histogram_quantile", "increase", "max", "rate", "scalar", "sum"}
KEYWORDS = {"and", "or", "unless", "bool", "offset"}
LISTS = ("by", "without", "on", "ignoring", "group_left", "group_right")
OF_PROMETHEUS = {"up": frozenset[str]()}
"""Made by Prometheus itself for each target."""
OF_TARGETS = frozenset({"job", "instance"})
"""Labels that Prometheus adds to everything it reads."""
OF_HISTOGRAMS = ("_bucket", "_sum", "_count")
_TOKEN = re.compile(
    r"""(?P<string>"[^"]*")|(?P<duration>\[[^\]]*\])|(?P<number>\d+(?:\.\d+)?)|(?P<name>\$?[a-zA-Z_:][a-zA-Z0-9_:]*)"""
    r"""|(?P<operator>=~|!~|!=|==|>=|<=|[-+*/%^<>=])|(?P<bracket>[(){},])|(?P<space>\s+)"""
)


@dataclass(frozen=True)
class Family:
    """A metric as the code makes it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Asked:
    """A metric as an expression names it."""

    name: str
    labels: frozenset[str]


def registries() -> list[CollectorRegistry]:
    """Of each kind of process that is scraped."""
    settings = load()
    stage, scheduler = StageMeters("normalise", home=settings.home), SchedulerMeters(settings)
    return [stage.registry, RelayMeters(home=settings.home).registry, scheduler.registry, Metrics(settings).registry]


def families() -> dict[str, Family]:
    """Every metric that a process of ours tells, by the name that expressions use."""
    found: dict[str, Family] = {}
    for registry in registries():
        for collector in registry._collector_to_names:
            for metric in collector.collect():
                name = metric.name + ("_total" if metric.type == "counter" else "")
                labels = (
                    tuple(collector._labelnames)
                    if isinstance(collector, MetricWrapperBase)
                    else tuple(getattr(metric, "_labelnames", ()))
                )
                family = Family(name, metric.type, labels, metric.documentation)
                assert found.setdefault(name, family) == family, f"{name} is not the same everywhere"
    return found


def asked(expression: str) -> list[Asked]:
    """The metrics that an expression names, with the labels that it matches of them or groups by. ValueError."""
    tokens = _tokens(expression)
    found: list[Asked] = []
    around: list[set[str]] = []
    pending: set[str] = set()
    place = 0
    while place < len(tokens):
        kind, token = tokens[place]
        after = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind == "name" and token in LISTS:
            end = tokens.index(("bracket", ")"), place)
            pending = {text for what, text in tokens[place + 2 : end] if what == "name"} if token == "by" else set()
            place = end
        elif token == "(":
            around.append(pending)
            pending = set()
        elif token == ")":
            around.pop()
        elif kind == "name" and token in FUNCTIONS:
            assert after in {"(", *LISTS}, expression
        elif kind == "name" and token not in KEYWORDS:
            if after == "(":
                raise ValueError(f"{token} is no function that the tests know: {expression}")
            labels = set().union(*around) - {"le"}
            if after == "{":
                end = tokens.index(("bracket", "}"), place)
                labels |= {text for what, text in tokens[place + 2 : end] if what == "name"}
                place = end
            found.append(Asked(token, frozenset(labels)))
        place += 1
    return found


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens = []
    open_ones: list[str] = []
    place = 0
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        if match is None:
            raise ValueError(f"{expression[place:]!r} in {expression!r}")
        place = match.end()
        kind, text = str(match.lastgroup), match[0]
        if text in {"(", "{"}:
            open_ones.append(")" if text == "(" else "}")
        elif text in {")", "}"} and (not open_ones or open_ones.pop() != text):
            raise ValueError(f"a bracket too many: {expression}")
        if kind not in {"space", "duration"}:
            tokens.append((kind, text))
    if open_ones:
        raise ValueError(f"{open_ones[-1]} is missing: {expression}")
    return tokens


def wrong(expression: str, known: dict[str, Family]) -> list[str]:
    """What an expression asks for that no process tells, or asks of it in a way that its type does not allow."""
    faults = []
    for one in asked(expression):
        if one.name in OF_PROMETHEUS:
            family = Family(one.name, "gauge", (), "")
        else:
            suffix = next((s for s in OF_HISTOGRAMS if one.name.endswith(s)), "")
            found = known.get(one.name) or known.get(one.name.removesuffix(suffix))
            if found is None or (suffix and found.kind != "histogram") or (found.kind == "histogram" and not suffix):
                faults.append(f"no process tells {one.name}")
                continue
            family = found
        strange = one.labels - set(family.labels) - OF_TARGETS
        if strange:
            faults.append(f"{one.name} has no label {', '.join(sorted(strange))}")
        counts = family.kind in {"counter", "histogram"}
        grows = re.search(rf"(?:rate|increase)\(\s*{one.name}\b", expression) is not None
        only_whether = re.search(rf"(?:absent|changes)\(\s*{one.name}\b", expression) is not None
        if counts != grows and not only_whether:
            faults.append(f"{one.name} is a {family.kind}: {'it needs' if counts else 'no'} rate or increase")
    return faults


def grammar() -> ModuleType | None:
    """The parser of PromQL, where it is installed."""
    try:
        return importlib.import_module("promql_parser")
    except ModuleNotFoundError:
        return None


def headings(page: Path) -> set[str]:
    """The anchors of a Markdown page, as forges make them."""
    found = set()
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            text = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            found.add(text.replace(" ", "-"))
    return found

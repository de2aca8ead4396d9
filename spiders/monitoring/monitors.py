"""Whether a run is like the good runs before it: pure. docs/monitors.md tells of every rule.

Baseline  median and MAD of the figures of the last 20 good runs of the same spider, scope and reach.
Limit     the median and the largest of: 3.5 standard deviations (1.4826 MAD), a share of the median, a fixed step. Good
          runs that are all alike have a MAD of 0, and without the other two the first wobble would be suspect.
Source    Iglewicz & Hoaglin 1993, "How to Detect and Handle Outliers": modified z-score above 3.5.

Fewer than COLD good runs are no baseline: only the absolute limits hold then, and every judgement says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from spiders.monitoring.figures import Figures, Reach, failing, figures_of

BASELINE = 20
"""Good runs that are looked back on."""
COLD = 5
"""Good runs that a baseline needs: the median of fewer follows one odd run."""
DEVIATIONS = 3.5
SIGMA = 1.4826
"""MAD times this is the standard deviation, for figures that are spread normally."""
HALF = 0.5
"""A run that did not find more than this share of the known ids moves no watermark and lets nothing vanish."""
AFTER_ACCEPTED = 0.1
"""A share that an operator accepted may be exceeded by this much until there is a baseline again."""


@dataclass(frozen=True)
class Rule:
    """How one figure is judged."""

    name: str
    high: bool
    """Too much is bad; else too little is."""
    share: float = 0.0
    """Of the median: a smaller step is never beyond."""
    step: float = 0.0
    """In the figure's own unit: likewise."""
    absolute: float | None = None
    """The limit without a baseline."""


FEWER = Rule("items_fewer", high=False, share=0.25, step=3)
MORE = Rule("items_more", high=True, share=1.0, step=10)
ERRORS = Rule("errors", high=True, step=0.02, absolute=HALF)
REJECTED = Rule("rejected", high=True, step=0.02, absolute=HALF)
REQUESTS = Rule("requests_failing", high=True, step=0.05, absolute=HALF)
LATENCY = Rule("latency", high=True, share=1.0, step=1.0)
NEW = Rule("new_ids", high=True, step=0.25)
MISSING = Rule("missing_ids", high=True, step=0.1, absolute=HALF)
COVERAGE = Rule("coverage", high=False, step=0.1)
"""One for each field: `coverage.venue`."""
OF_IDS = (NEW.name, MISSING.name)
RULES = (FEWER, MORE, ERRORS, REJECTED, REQUESTS, LATENCY, NEW, MISSING, COVERAGE)


@dataclass(frozen=True)
class Finding:
    """What one rule compared, and what came of it."""

    rule: str
    value: float
    baseline: float | None
    """The median; None without a baseline."""
    mad: float | None
    limit: float | None
    """None: no limit holds yet."""
    beyond: bool
    text: str

    def as_json(self) -> dict[str, Any]:
        """For the row."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """What was compared; nothing beyond a limit is good."""

    compared: tuple[Finding, ...] = ()
    runs: int = 0
    """Good runs behind the baseline."""
    withholds: bool = False
    """Neither the watermark moves nor anything vanishes."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is beyond its limit."""
        return tuple(one for one in self.compared if one.beyond)

    @property
    def cold(self) -> bool:
        """There is no baseline yet."""
        return self.runs < COLD

    @property
    def suspect(self) -> bool:
        """Operators are told."""
        return bool(self.findings)

    def as_json(self) -> dict[str, Any]:
        """For the row: what `gigz monitors explain` shows."""
        return {
            "runs": self.runs,
            "cold": self.cold,
            "withholds": self.withholds,
            "compared": [one.as_json() for one in self.compared],
        }


def judge(run: Figures, good: Sequence[Mapping[str, Any]], *, looked: bool = True) -> Verdict:
    """A run beside the figures of the last good runs of its scope, newest first.

    `looked`: it came far enough to know which ids are missing; one that failed did not.

    A run that an operator accepted (`accepted` in its figures) is where the present normal begins: what was before it
    does not count any more.
    """
    alike = _alike(run.reach, good)
    before = [dict(measured(figures)) for figures in alike]
    compared = tuple(one for one in _findings(run, alike, before) if looked or one.rule not in OF_IDS)
    suspect = any(one.beyond for one in compared)
    return Verdict(compared, len(before), suspect and any(_lost_half(run.reach, one) for one in compared))


def _lost_half(reach: Reach, finding: Finding) -> bool:
    """Whether more than half is not there: of the known ids, or, of what is new, of the usual number."""
    if reach is Reach.NEWS:
        return finding.rule == FEWER.name and finding.beyond and finding.value < HALF * (finding.baseline or 0.0)
    return finding.rule == MISSING.name and finding.value > HALF


def _alike(reach: Reach, good: Sequence[Mapping[str, Any]]) -> list[Figures]:
    alike = []
    for told in good:
        figures = figures_of(told)
        if figures.reach is not reach:
            continue
        alike.append(figures)
        if told.get("accepted") or len(alike) == BASELINE:
            break
    return alike


def measured(run: Figures) -> Iterator[tuple[str, float]]:
    """Rule -> value, of the rules that mean something for such a run."""
    if run.reach is not Reach.PART:
        yield FEWER.name, run.items
        yield MORE.name, run.items
    yield ERRORS.name, min(1.0, _share(run.errors, run.items + run.requests))
    yield REJECTED.name, _share(run.rejected, run.items)
    yield REQUESTS.name, _share(max(0, failing(run.statuses) - run.nothing_found), sum(run.statuses.values()))
    yield LATENCY.name, run.latency_s
    if run.reach is Reach.WHOLE:
        if run.known:
            yield NEW.name, _share(run.new, run.items)
        yield MISSING.name, _share(run.missing, run.known)
    if run.items > run.rejected:
        for name, share in run.coverage.items():
            yield f"{COVERAGE.name}.{name}", share


def _findings(run: Figures, alike: Sequence[Figures], before: Sequence[Mapping[str, float]]) -> Iterator[Finding]:
    values = dict(measured(run))
    if any(name.startswith(f"{COVERAGE.name}.") for name in values):
        # A field that no message has any more is not in the run's figures at all.
        values |= {f"{COVERAGE.name}.{name}": run.coverage.get(name, 0.0) for one in alike for name in one.coverage}
    by_name = {rule.name: rule for rule in RULES}
    for name, value in values.items():
        rule = by_name[name.partition(".")[0]]
        absent = 0.0 if rule is COVERAGE else None
        known = [one.get(name, absent) for one in before]
        yield compare(rule, name, value, [one for one in known if one is not None])


def compare(rule: Rule, name: str, value: float, before: Sequence[float]) -> Finding:
    """One figure beside those of the good runs, newest first."""
    middle = spread = limit = None
    if len(before) >= COLD:
        middle = median(before)
        spread = median(abs(one - middle) for one in before)
        room = max(DEVIATIONS * SIGMA * spread, rule.share * abs(middle), rule.step)
        limit = middle + room if rule.high else max(0.0, middle - room)
        told = f"usual is {_told(name, middle)} (median of {len(before)} good runs, MAD {_told(name, spread)})"
    else:
        if rule.absolute is not None:
            # A good run before the baseline is beyond the absolute limit only where an operator accepted one.
            accepted = bool(before) and before[0] > rule.absolute
            limit = before[0] + AFTER_ACCEPTED if accepted else rule.absolute
        told = f"cold start: {len(before)} good runs, a baseline needs {COLD}"
    beyond = limit is not None and (value > limit if rule.high else value < limit)
    if limit is None:
        verdict = f"{_told(name, value)}: not judged"
    else:
        sign = ("above" if rule.high else "below") if beyond else "within"
        verdict = f"{_told(name, value)} is {sign} the limit of {_told(name, limit)}"
    return Finding(
        name,
        round(value, 4),
        None if middle is None else round(middle, 4),
        None if spread is None else round(spread, 4),
        None if limit is None else round(limit, 4),
        beyond,
        f"{WORDS[rule.name]}{name.partition('.')[2]}: {verdict}; {told}",
    )


WORDS = {
    FEWER.name: "items",
    MORE.name: "items",
    ERRORS.name: "errors, of items and requests",
    REJECTED.name: "rejected items",
    REQUESTS.name: "requests that failed",
    LATENCY.name: "mean latency",
    NEW.name: "ids found for the first time",
    MISSING.name: "known ids that were not found",
    COVERAGE.name: "items with ",
}


def _told(name: str, value: float) -> str:
    if name.startswith("items_"):
        return f"{value:,.4g}" if value < 1_000 else f"{value:,.0f}"
    return f"{value:.2f} s" if name == LATENCY.name else f"{100 * value:.1f} %"


def _share(part: int, of: int) -> float:
    return part / of if of else 0.0

"""`gigz calibrate` on rows of files: which lines are fitted on what, and what cannot be used. Nothing is read here."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import log2
from typing import Any, TypeVar

import orjson

from matchers.files import Lines, Refusal, read_concerts, read_messages
from matchers.fit.em import GROUPS, OF_SLIPS, Groups
from matchers.fit.learn import Fitted, Learned, decision_from_row, fit, learn, with_what_was_typed
from matchers.fit.people import two_sides, type_all
from matchers.judge.variants import Row, half_of, vary
from schemas.concert import Concert
from schemas.history import Entry
from schemas.listing import Listing
from schemas.message import MessageError
from schemas.raw import RawMessage
from schemas.rows import LABELS, entry_from_row
from schemas.suggestion import Suggestions
from schemas.weights import Weights

T = TypeVar("T")

Sheet = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, columns, rows."""
FEWEST_SHARED = 200
"""Shows that two sources tell of: with fewer, the catalogue's own concerts are typed and looked for."""


@dataclass(frozen=True, slots=True)
class Told:
    """Lines of nobody's or somebody's history, and where what they mean is to be found."""

    about: str
    entries: Sequence[Entry]
    concerts: Sequence[Concert]
    groups: Groups
    """Levels that such lines can tell."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What a run came to. `weights` are those it began with where nothing better was found."""

    begun: Weights
    weights: Weights
    told: Told | None
    fitted: Fitted | None
    learned: Learned | None
    refused: Sequence[Refusal]
    keep: Sequence[str] = ()
    """Levels that were not to be fitted."""

    @property
    def worse(self) -> bool:
        """Whether what was held out speaks against it."""
        return (self.fitted is not None and self.fitted.worse) or (self.learned is not None and self.learned.refused)

    @property
    def about(self) -> str:
        """What they were fitted on."""
        said = []
        if self.fitted is not None and self.told is not None:
            kept = f", but for {', '.join(self.keep)}" if self.keep else ""
            said.append(f"{self.fitted.concerts:,} concerts and {self.told.about}{kept}")
        if self.learned is not None:
            said.append(f"decisions on {self.learned.answers:,} lines")
        return "fitted on " + "; ".join(said)

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        told: dict[str, Any] = {"version": self.weights.version, "worse": self.worse, "refused_rows": len(self.refused)}
        if self.fitted is not None and self.told is not None:
            estimate = self.fitted.estimate
            told["catalogue"] = {
                "concerts": self.fitted.concerts,
                "lines": self.told.about,
                "pairs": round(estimate.matched, 1),
                "steps": estimate.steps,
                "settled": estimate.settled,
                "bits_held_out": {"before": self.fitted.before, "after": self.fitted.after},
                "levels": [
                    {"field": field, "level": name, "pairs": round(pairs, 2), "before": before, "after": after}
                    for field, name, pairs, before, after in self._levels()
                ],
                "artists": len(self.weights.frequencies.artists),
                "towns": len(self.weights.frequencies.towns),
            }
        if self.learned is not None:
            told["decisions"] = {
                "answers": self.learned.answers,
                "unused": self.learned.unused,
                "steps": [
                    {
                        "name": step.name,
                        "about": step.about,
                        "kept": step.kept,
                        "held_out": [
                            {"half": half, "before": asdict(before), "after": asdict(after)}
                            for half, (before, after) in enumerate(zip(step.before, step.after, strict=True))
                        ],
                    }
                    for step in self.learned.steps
                ],
            }
        return told

    def as_tables(self) -> list[Sheet]:
        """The same for people."""
        tables: list[Sheet] = []
        rows: list[tuple[str, ...]]
        if self.fitted is not None and self.told is not None:
            estimate = self.fitted.estimate
            rows = [
                (field, name, f"{pairs:,.1f}", f"{before:.2f}", f"{after:.2f}")
                for field, name, pairs, before, after in self._levels()
                if pairs >= 0.05 or abs(after - before) >= 0.05
            ]
            end = "settled" if estimate.settled else "not settled"
            title = (
                f"{self.fitted.concerts:,} concerts, {self.told.about}: {estimate.matched:,.0f} pairs,"
                f" {end} after {estimate.steps} steps"
            )
            tables.append((title, ("field", "level", "pairs", "bits before", "after"), rows))
            halves: list[tuple[str, ...]] = [
                (f"half {half}", f"{before:.4f}", f"{after:.4f}")
                for half, (before, after) in enumerate(zip(self.fitted.before, self.fitted.after, strict=True))
            ]
            tables.append(("Held out: bits a line is likelier by", ("", "before", "after"), halves))
        if self.learned is not None:
            rows = [
                (
                    step.name if half == 0 else "",
                    f"half {half}",
                    f"{before.pairs:,}",
                    f"{before.log_loss:.4f}",
                    f"{after.log_loss:.4f}",
                    f"{before.ece:.4f}",
                    f"{after.ece:.4f}",
                    f"{before.wrong_sure} > {after.wrong_sure}",
                    ("kept" if step.kept else "refused") if half == 0 else "",
                )
                for step in self.learned.steps
                for half, (before, after) in enumerate(zip(step.before, step.after, strict=True))
            ]
            title = f"Decisions on {self.learned.answers:,} lines, {self.learned.unused:,} not used"
            columns = (
                "change",
                "held out",
                "pairs",
                "log loss before",
                "after",
                "ECE before",
                "after",
                "wrong and sure",
                "",
            )
            tables.append((title, columns, rows))
            tables.append(("Changes", ("", ""), [(step.name, step.about) for step in self.learned.steps]))
        return tables

    def _levels(self) -> Iterator[tuple[str, str, float, float, float]]:
        """Field, level, pairs that had it, bits before and after."""
        assert self.fitted is not None
        for field, levels in self.begun.levels.items():
            for name, level in levels.items():
                now = self.fitted.weights.levels[field][name]
                pairs = self.fitted.estimate.counts.get(field, {}).get(name, 0.0)
                yield field, name, pairs, round(log2(level.m / level.u), 4), round(log2(now.m / now.u), 4)


def calibrate_rows(
    weights: Weights,
    message: type[RawMessage],
    catalogue: Lines = (),
    history: Lines = (),
    decisions: Lines = (),
    suggestions: Lines = (),
    *,
    names: Sequence[str] = (),
    half: int | None = None,
    seed: int = 0,
    general: bool = False,
    keep: Collection[tuple[str, str]] = (),
    doing: Callable[[str], None] = lambda what: None,
) -> Calibrated:
    """Weights fitted on a catalogue, then refined by decisions, as far as there are any.

    `names` and `half`: of the variants that the history is typed in, and of its entries (all where None);
    `general` and `keep`: see `fit`. A worse fit is not built on: the decisions then refine the weights that the run
    began with.
    """
    doing("reading")
    lines = list(catalogue)
    concerts, refused = read_concerts(lines, message)
    rows = _objects(history, refused)
    fitted: Fitted | None = None
    told: Told | None = None
    present = weights
    if concerts:
        told = _history(rows, concerts, names, half, seed, refused)
        if told is None:
            listings = (one for one in read_messages(lines, message) if isinstance(one, Listing))
            told = _made_up(concerts, listings, seed)
        doing(f"fitting on {len(concerts):,} concerts and {told.about}")
        fitted = fit(told.entries, told.concerts, weights, told.groups, concerts, general=general, keep=keep)
        present = weights if fitted.worse else fitted.weights
    learned: Learned | None = None
    said = list(_parsed(decisions, decision_from_row, refused))
    if said:
        shown = list(_parsed(suggestions, lambda row: Suggestions.from_bytes(orjson.dumps(row)), refused))
        typed = list(_parsed(((where, line) for where, line, _ in rows), lambda row: entry_from_row(row, Entry), []))
        said, seen = with_what_was_typed(said, typed, shown)
        doing(f"learning from {len(said):,} decisions")
        learned = learn(said, [*concerts, *seen], present)
        present = learned.weights
    return Calibrated(weights, present, told, fitted, learned, refused, [f"{field}.{name}" for field, name in keep])


def _history(
    rows: Sequence[tuple[str, bytes, Row]],
    concerts: Sequence[Concert],
    names: Sequence[str],
    half: int | None,
    seed: int,
    refused: list[Refusal],
) -> Told | None:
    kept: list[Row] = []
    for where, line, row in rows:
        try:
            entry = entry_from_row(row, Entry)
        except MessageError as error:
            refused.append(Refusal.of(where, line, error.reason, error.text))
            continue
        kept.append(dict(row) | {"user": entry.user, "entry_id": entry.entry_id})
    if not kept:
        return None
    kept = [row for row in kept if half is None or half_of(row) == half]
    varied = (row for name in names or ("exact",) for row in vary(name, kept, concerts, seed).rows)
    entries = [entry_from_row(row, Entry) for row in varied]
    about = f"{len(kept):,} lines of a history" + ("" if half is None else f" (half {half})")
    return Told(about + (f" typed as {', '.join(names)}" if names else ""), entries, concerts, GROUPS)


def _made_up(concerts: Sequence[Concert], listings: Iterable[Listing], seed: int) -> Told:
    """Lines where nobody typed any: of one source, looked for in the others, or of the catalogue itself."""
    shared = sum(len({member.source for member in one.members}) > 1 for one in concerts)
    if shared >= FEWEST_SHARED:
        typed, others = two_sides(concerts, listings)
        entries = type_all(typed, seed)
        return Told(
            f"{len(entries):,} shows of one source, typed, and looked for in the others", entries, others, GROUPS
        )
    entries = type_all(concerts, seed)
    return Told(f"{len(entries):,} of its concerts, typed", entries, concerts, OF_SLIPS)


def _objects(lines: Lines, refused: list[Refusal]) -> list[tuple[str, bytes, Row]]:
    """Rows without their labels, each with its line."""
    found: list[tuple[str, bytes, Row]] = []
    for where, line in lines:
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            refused.append(Refusal.of(where, line, "not_json", f"not JSON: {error}"))
            continue
        if not isinstance(row, dict):
            refused.append(Refusal.of(where, line, "wrong_type", "the line is not a JSON object"))
            continue
        found.append((where, line, {name: value for name, value in row.items() if name not in LABELS}))
    return found


def _parsed(lines: Lines, parse: Callable[[Any], T], refused: list[Refusal]) -> Iterable[T]:
    for where, line in lines:
        try:
            yield parse(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            refused.append(Refusal.of(where, line, "not_json", f"not JSON: {error}"))
        except MessageError as error:
            refused.append(Refusal.of(where, line, error.reason, error.text))

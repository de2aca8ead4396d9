"""Figures against labelled data. Nothing that matches reads `gold`, `label` and `other`.

history     entries with the concert they mean: is it the first suggestion, and how sure
resolve     listings of which some are told to be one show: precision, recall and F1 over pairs
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from rapidfuzz import fuzz

from matchers.cluster import pair_figures
from matchers.dates import When, readings
from matchers.files import match_entries
from matchers.judge.variants import REMOVED, VARIANTS, Varied, half_of, vary
from matchers.places import Near, distance_km, points, town_relation
from matchers.text import fold
from matchers.weights import Tables
from schemas.concert import Concert, Facts
from schemas.listing import Place, Status
from schemas.suggestion import Band, Suggestion, Suggestions

Row = Mapping[str, Any]


# -- histories --------------------------------------------------------------------------------------------------------

MOST_MISTAKES = 50
POINTS = 60
"""Of a curve."""
LEAST_CHANCE = 0.001
"""A confidence counts as no further from 0 and 1 in the log loss: one mistake costs 10 bits at most."""
TYPED = ("artist", "date", "venue", "city", "region", "country", "lat", "lon", "time", "songs")

# Figure -> whether a higher one is better, and the figure to reach; for each variant of a history.
GOALS: Mapping[str, Mapping[str, tuple[bool, float]]] = {
    "exact": {
        "right": (True, 0.997),
        "sure": (True, 0.93),
        "sure_right": (True, 0.999),
        "ece": (False, 0.02),
        "wrong_sure": (False, 0.0),
        "two_sure": (False, 0.0),
    },
    "month": {"right_unambiguous": (True, 0.997), "sure_right": (True, 0.995), "two_sure": (False, 0.0)},
    "month-songs": {"right_ambiguous": (True, 0.8), "sure_right": (True, 0.995), "two_sure": (False, 0.0)},
    "year": {
        "right_unambiguous": (True, 0.992),
        "in_three": (True, 0.99),
        "sure_right": (True, 0.995),
        "two_sure": (False, 0.0),
    },
    "shifted": {"right": (True, 0.97), "wrong_sure": (False, 0.0), "two_sure": (False, 0.0)},
    "typos": {"right": (True, 0.99), "sure": (True, 0.85), "ece": (False, 0.03), "two_sure": (False, 0.0)},
    "artist-month": {"right": (True, 0.97), "sure_right": (True, 0.99), "two_sure": (False, 0.0)},
    "removed": {"proposed": (False, 8 / 842), "wrong_sure": (False, 0.0)},
    "half": {"wrong_sure": (False, 0.0)},
    "half-month": {"wrong_sure": (False, 0.0)},
}


@dataclass(frozen=True, slots=True)
class Judged:
    """An entry beside its answer and what was meant."""

    row: Row
    label: str
    offered: tuple[Suggestion, ...]
    rights: tuple[bool, ...]
    """Of each suggestion."""
    meant: Concert | None
    """The gold concert; of other labels the one that is near and not it."""
    ambiguous: bool | None
    """Whether another concert fits what was typed as well as the gold one; None where that cannot be told."""

    @property
    def name(self) -> str:
        """user/entry_id."""
        return f"{self.row['user']}/{self.row['entry_id']}"

    @property
    def labelled(self) -> bool:
        """Whether it is known which concert was meant, and that concert is to be found."""
        return self.label == "match"

    @property
    def right(self) -> bool:
        """Whether the first suggestion is the one that was meant."""
        return self.rights[:1] == (True,)

    @property
    def band(self) -> str:
        """Of the first suggestion."""
        return self.offered[0].band.value if self.offered else "none"

    @property
    def confidence(self) -> float:
        """Of the first suggestion; 0 without one."""
        return self.offered[0].confidence if self.offered else 0.0

    @property
    def sures(self) -> int:
        """How many of its suggestions are sure."""
        return sum(one.band is Band.SURE for one in self.offered)

    @property
    def wrong_sure(self) -> bool:
        """Whether a suggestion is sure and is not known to be right."""
        return any(one.band is Band.SURE and not right for one, right in zip(self.offered, self.rights, strict=True))

    @property
    def counts(self) -> bool:
        """Whether its confidence can be held against the truth; of `unknown` nobody knows."""
        return self.label in ("match", "other_date", REMOVED)


def judge(
    rows: Iterable[Row],
    suggestions: Iterable[Suggestions],
    concerts: Sequence[Concert] = (),
    gone: Sequence[Concert] = (),
) -> list[Judged]:
    """Each row beside the set of its user and entry_id. `concerts`: what was matched against; `gone`: what was not."""
    found = {(one.user, one.entry_id): one.suggestions for one in suggestions}
    rows = list(rows)
    named = {str(row[key]) for row in rows for key in ("gold", "other") if row.get(key)}
    by_id: dict[str, dict[Any, Concert]] = defaultdict(dict)
    for concert in (*gone, *concerts):
        for name in named & {member.source_id for member in concert.members}:
            by_id[name][concert.concert_id] = concert
    by_artist: dict[str, list[Concert]] = defaultdict(list)
    for concert in concerts:
        by_artist[concert.artist_key].append(concert)
    judged = []
    for row in rows:
        offered = found.get((row["user"], row["entry_id"]), ())
        gold = str(row["gold"]) if row.get("gold") else None
        label = row.get("label") or ("match" if gold else "unknown")
        meant = _meant(row, by_id.get(gold or str(row.get("other")), {}).values())
        rights = tuple(gold in {member.source_id for member in one.members} for one in offered)
        ambiguous = None
        if label == "match" and meant is not None:
            whens = readings(str(row["date"]), False) if row.get("date") else ()
            ambiguous = any(_fits_as_well(row, whens, meant, one) for one in by_artist[meant.artist_key])
        judged.append(Judged(row, label, offered, rights, meant, ambiguous))
    return judged


def _meant(row: Row, concerts: Iterable[Concert]) -> Concert | None:
    """Of the concerts of one listing, a bill, the one whose artist was typed."""
    typed = fold(str(row.get("artist") or ""))
    ranked = sorted(concerts, key=lambda one: (-fuzz.ratio(typed, one.artist_key), one.concert_id.int))
    return ranked[0] if ranked else None


def _fits_as_well(row: Row, whens: tuple[When, ...], gold: Concert, other: Concert) -> bool:
    """Whether all that was typed, songs and hour aside, says the other concert of the artist as much as the gold one.

    No further from the typed nights; in the town and in the venue that was typed or is the gold one's, or in one that
    is not known. What was typed with slips is so compared by what was meant.
    """
    if other.concert_id == gold.concert_id or other.status is Status.CANCELLED:
        return False
    if whens:
        near, far = (min(when.away(one.night) for when in whens) for one in (other, gold))
        if near > far:
            return False
    if row.get("city"):
        towns = (town_relation(Place(city=str(row["city"])), other.place), town_relation(gold.place, other.place))
        if not any(town.near in (Near.SAME, Near.UNKNOWN) for town in towns):
            return False
    if isinstance(row.get("lat"), int | float) and isinstance(row.get("lon"), int | float):
        here, there = points(other.place), points(gold.place)
        at = (float(row["lat"]), float(row["lon"]))
        if here and there and distance_km(at, here[0]) > max(2.0, distance_km(at, there[0])):
            return False
    if row.get("venue") and other.place.name and gold.place.name:
        return fold(other.place.name) in {fold(gold.place.name), fold(str(row["venue"]))}
    return True


def evaluate_history(
    rows: Iterable[Row], suggestions: Iterable[Suggestions], concerts: Sequence[Concert] = ()
) -> dict[str, Any]:
    """Figures of entry rows with `gold` (a source_id) and `label`, and the suggestions of each user and entry.

    right: share of labelled entries whose first suggestion is the gold concert; bands: of their first suggestions;
    wrong_bands: the same for rows of other labels, where a suggestion is doubtful or wrong; sure_right: first
    suggestions in band sure that are right, of `sure`; two_sure: entries with more than one; missed: whose first is
    wrong. `figures` has the same and more as `figures_of` tells it; then the curves, and the worst mistakes.
    `concerts`, the catalogue, tells which entries are ambiguous and what was meant.
    """
    return summary(judge(rows, suggestions, concerts))


def summary(judged: Sequence[Judged]) -> dict[str, Any]:
    """What `evaluate_history` gives."""
    labelled = [one for one in judged if one.labelled]
    wrong: dict[str, Counter[str]] = defaultdict(Counter)
    for one in judged:
        if not one.labelled:
            wrong[one.label][one.band] += 1
    figures = figures_of(judged)
    first = sum(one.right for one in labelled)
    return {
        "entries": len(judged),
        "labelled": len(labelled),
        "first_right": first,
        "right": round(first / len(labelled), 4) if labelled else 0.0,
        "in_three": sum(any(one.rights) for one in labelled),
        "bands": dict(sorted(Counter(one.band for one in labelled).items())),
        "sure": sum(one.band == Band.SURE.value for one in labelled),
        "sure_right": sum(one.right and one.band == Band.SURE.value for one in labelled),
        "two_sure": sum(one.sures > 1 for one in judged),
        "wrong_bands": {label: dict(sorted(counts.items())) for label, counts in sorted(wrong.items())},
        "ece": figures["ece"]["value"] if "ece" in figures else 0.0,
        "figures": figures,
        "reliability": reliability(judged),
        "precision_recall": precision_recall(judged),
        "missed": [one.name for one in labelled if not one.right],
        "mistakes": [mistake(one) for one in worst(judged)],
    }


def first_right(rows: Iterable[Row], suggestions: Iterable[Suggestions]) -> tuple[int, int]:
    """How many labelled rows have their gold concert as first suggestion, and how many are labelled."""
    labelled = [one for one in judge(rows, suggestions) if one.labelled]
    return sum(one.right for one in labelled), len(labelled)


def figures_of(judged: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """Each figure with `n`, what it is a mean over, and `low` and `high`, its 95 % interval; none over nothing.

    right                first suggestion right, of labelled entries; right_unambiguous, right_ambiguous: of those for
                         which no other concert, or another one, fits what was typed as well
    in_three             the truth among the suggestions, of labelled entries
    sure                 first suggestion sure, of labelled entries; sure_right: of these the right ones
    wrong_sure           a sure suggestion that is not known to be right, of all entries, whatever their label
    wrong_sure_LABEL     the same of the entries of a label
    proposed             any suggestion at all, of entries whose concert was taken out of the catalogue
    two_sure             more than one sure suggestion, of all entries
    ece                  expected calibration error of first suggestions (ten bins of equal width), of entries that have
                         one and of which it is known whether it is right: labelled, other_date, removed
    ece_labelled         the same of labelled entries alone
    ece_all              the same of all these, with those that have none: confidence 0 that there is anything to find
    log_loss, brier      of the same first suggestions as ece; log loss in bits
    """
    labelled = [one for one in judged if one.labelled]
    sure = [one for one in labelled if one.band == Band.SURE.value]
    removed = [one for one in judged if one.label == REMOVED]
    counted = [one for one in judged if one.counts]
    told = [(one.confidence, one.right) for one in counted if one.offered]
    nothing = [(0.0, one.labelled) for one in counted if not one.offered]
    found = {
        "right": _share(labelled, lambda one: one.right),
        "right_unambiguous": _share([one for one in labelled if one.ambiguous is False], lambda one: one.right),
        "right_ambiguous": _share([one for one in labelled if one.ambiguous], lambda one: one.right),
        "in_three": _share(labelled, lambda one: any(one.rights)),
        "sure": _share(labelled, lambda one: one.band == Band.SURE.value),
        "sure_right": _share(sure, lambda one: one.right),
        "wrong_sure": _share(judged, lambda one: one.wrong_sure),
    }
    for label in sorted({one.label for one in judged}):
        found[f"wrong_sure_{label}"] = _share([one for one in judged if one.label == label], lambda one: one.wrong_sure)
    found |= {
        "proposed": _share(removed, lambda one: bool(one.offered)),
        "two_sure": _share(judged, lambda one: one.sures > 1),
        "ece": _calibration_error(told),
        "ece_labelled": _calibration_error([(one.confidence, one.right) for one in labelled if one.offered]),
        "ece_all": _calibration_error(told + nothing),
        "log_loss": _mean([-math.log2(min(1.0, max(LEAST_CHANCE, c if right else 1 - c))) for c, right in told]),
        "brier": _mean([(c - right) ** 2 for c, right in told]),
    }
    return {name: figure for name, figure in found.items() if figure is not None}


def against_goals(variant: str, figures: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The figures of a variant, where there is one with its `goal` (at_least or at_most) and whether it is `met`."""
    told = {}
    for name, figure in figures.items():
        goal = GOALS.get(variant, {}).get(name)
        told[name] = dict(figure)
        if goal is not None:
            least, value = goal
            met = figure["value"] >= value if least else figure["value"] <= value
            told[name] |= {"goal": {"at_least" if least else "at_most": round(value, 4)}, "met": met}
    return told


def wilson(count: int, of: int) -> tuple[float, float]:
    """Between what the share behind `count` of `of` lies, 19 times of 20 (Wilson 1927)."""
    if not of:
        return 0.0, 1.0
    share, z2 = count / of, _Z * _Z
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


_Z = 1.96


def _share(among: Sequence[Judged], holds: Callable[[Judged], bool]) -> dict[str, Any] | None:
    if not among:
        return None
    count = sum(map(holds, among))
    low, high = wilson(count, len(among))
    return {"value": round(count / len(among), 4), "count": count, "n": len(among)} | _between(low, high)


def _mean(values: Sequence[float]) -> dict[str, Any] | None:
    if not values:
        return None
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))
    half = _Z * spread / math.sqrt(len(values))
    return {"value": round(mean, 4), "n": len(values)} | _between(max(0.0, mean - half), mean + half)


def _calibration_error(told: Sequence[tuple[float, bool]]) -> dict[str, Any] | None:
    """Mean distance of confidence and frequency, weighted by how many fall in each bin."""
    if not told:
        return None
    error = spread = 0.0
    for one in _bins(told):
        error += abs(sum(c for c, _ in one) - sum(r for _, r in one))
        # With one right and one wrong more, so that ten of ten leave some doubt.
        share = (sum(r for _, r in one) + 1) / (len(one) + 2)
        spread += len(one) * share * (1 - share)
    half = _Z * math.sqrt(spread) / len(told)
    error /= len(told)
    return {"value": round(error, 4), "n": len(told)} | _between(max(0.0, error - half), error + half)


def _between(low: float, high: float) -> dict[str, float]:
    return {"low": round(low, 4), "high": round(high, 4)}


def _bins(told: Iterable[tuple[float, bool]]) -> list[list[tuple[float, bool]]]:
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for confidence, right in told:
        bins[min(9, int(confidence * 10))].append((confidence, right))
    return [bins[index] for index in sorted(bins)]


def reliability(judged: Iterable[Judged]) -> list[dict[str, Any]]:
    """For each tenth of confidence that occurs: how many first suggestions, their mean confidence, the share right."""
    curve = []
    for one in _bins((j.confidence, j.right) for j in judged if j.counts and j.offered):
        right = sum(r for _, r in one)
        low, high = wilson(right, len(one))
        confidence = sum(c for c, _ in one) / len(one)
        curve.append(
            {"n": len(one), "confidence": round(confidence, 4), "right": round(right / len(one), 4)}
            | _between(low, high)
        )
    return curve


def precision_recall(judged: Iterable[Judged]) -> list[dict[str, float]]:
    """Of the first suggestions at least so sure: the share that is right, and the share of labelled entries found."""
    counted = [one for one in judged if one.counts]
    labelled = sum(one.labelled for one in counted)
    told = sorted(((one.confidence, one.right) for one in counted if one.offered), reverse=True)
    curve = []
    right = 0
    for index, (confidence, is_right) in enumerate(told, 1):
        right += is_right
        if index == len(told) or told[index][0] < confidence:
            point = {"precision": right / index, "recall": right / max(1, labelled)}
            curve.append({"confidence": confidence} | {name: round(value, 4) for name, value in point.items()})
    step = max(1, -(-len(curve) // POINTS))
    return [point for index, point in enumerate(curve) if index % step == 0 or index == len(curve) - 1]


def worst(judged: Iterable[Judged], most: int = MOST_MISTAKES) -> list[Judged]:
    """The mistakes: wrong and sure before wrong and less so, then what was not found; ambiguous ones last."""

    def cost(one: Judged) -> float:
        if one.wrong_sure or one.sures > 1:
            return 2.0 + max(s.confidence for s in one.offered)
        if one.labelled:
            return 0.0 if one.right else (one.confidence if one.offered else 0.5) * (0.5 if one.ambiguous else 1.0)
        return one.confidence if one.label == REMOVED or one.confidence >= 0.8 else 0.0

    wrong = [(cost(one), one) for one in judged]
    return [one for _, one in sorted((w for w in wrong if w[0] > 0), key=lambda w: (-w[0], w[1].name))[:most]]


def mistake(one: Judged) -> dict[str, Any]:
    """What was typed, what was proposed, and what is right, for a person to read."""
    kind = "proposed" if not one.labelled else "wrong" if one.offered else "nothing found"
    if one.wrong_sure or one.sures > 1:
        kind = "wrong and sure" if one.wrong_sure else "two sure"
    proposed = [
        _told(suggestion.concert) | {"confidence": suggestion.confidence, "band": suggestion.band.value, "right": right}
        for suggestion, right in zip(one.offered, one.rights, strict=True)
    ]
    return {
        "user": one.row["user"],
        "entry_id": one.row["entry_id"],
        "kind": kind,
        "label": one.label,
        "ambiguous": one.ambiguous,
        "typed": {name: one.row[name] for name in TYPED if one.row.get(name) not in (None, "", [])},
        "proposed": proposed,
        "meant": None if one.meant is None or not one.row.get("gold") else _told(one.meant),
    }


def _told(concert: Facts) -> dict[str, Any]:
    place = concert.place
    told = {"artist": concert.artist, "night": concert.night.isoformat(), "venue": place.name, "city": place.city}
    return {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A variant of a history, answered and judged."""

    variant: str
    judged: list[Judged]

    def as_json(self) -> dict[str, Any]:
        """`summary`, with the variant's name and goals."""
        told = {"variant": self.variant} | summary(self.judged)
        return told | {"figures": against_goals(self.variant, told["figures"])}


def evaluate_variants(
    names: Sequence[str],
    rows: Sequence[Row],
    concerts: Sequence[Concert],
    tables: Tables | None = None,
    *,
    seed: int = 0,
    half: int | None = None,
) -> list[Evaluated]:
    """Variants of labelled rows, matched and judged; each catalogue is indexed once. `half`: only these entries."""
    varied = {}
    for name in names:
        made = vary(name, rows, concerts, seed)
        varied[name] = Varied([row for row in made.rows if half is None or half_of(row) == half], made.concerts)
    users = {user: str(number) for number, user in enumerate(sorted({str(row["user"]) for row in rows}))}
    found: dict[str, list[Suggestions]] = {name: [] for name in names}
    for kept in sorted({VARIANTS[name].kept for name in names}):
        together = [name for name in names if VARIANTS[name].kept == kept]
        asked = [(name, row) for name in together for row in varied[name].rows]
        # Another user for each variant: one user's entries may speak for each other, and these are the same ones.
        lines = ((name, orjson.dumps(dict(row) | {"user": f"{name}:{users[str(row['user'])]}"})) for name, row in asked)
        answers = match_entries(lines, varied[together[0]].concerts, tables)
        for (name, row), (answer, _) in zip(asked, answers, strict=True):
            if isinstance(answer, Suggestions):
                found[name].append(answer.model_copy(update={"user": row["user"]}))
    return [Evaluated(name, judge(varied[name].rows, found[name], varied[name].concerts, concerts)) for name in names]


# -- pairs ------------------------------------------------------------------------------------------------------------


def evaluate_resolve(rows: Iterable[Row], concerts: Iterable[Concert]) -> dict[str, Any]:
    """Figures of pairs over the listing rows that have a `gold`.

    merged: records put together with another of their own source, labelled or not.
    """
    gold = {(row["source"], str(row["source_id"])): row["gold"] for row in rows if row.get("gold")}
    groups = []
    merged = 0
    for concert in concerts:
        sources = [member.source for member in concert.members]
        merged += len(sources) - len(set(sources))
        groups.append([gold[key] for m in concert.members if (key := (m.source, m.source_id)) in gold])
    return pair_figures(groups, Counter(gold.values())) | {"merged": merged}

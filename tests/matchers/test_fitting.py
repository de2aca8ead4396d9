import json
import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from math import log2
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import pytest
from typer.testing import CliRunner

import gigz
from matchers import weights as w
from matchers.catalogue import Catalogue
from matchers.fit.calibration import Case, calibrate, fitted, odds, score
from matchers.fit.counts import WORLD, chances, frequencies, with_chances
from matchers.fit.em import CHAINS, GROUPS, OF_SLIPS, Patterns, estimate, ordered, patterns, shares
from matchers.fit.learn import answers, decision_from_row, fit, held_in, learn, shown_concert, standing
from matchers.fit.names import Called, learn_names
from matchers.fit.people import type_all
from matchers.match import match
from matchers.weights import Tables, default_tables, read_weights
from schemas.concert import Concert, Facts
from schemas.decision import Action, Decision
from schemas.history import Entry, Remembered
from schemas.listing import Place
from schemas.message import MessageError
from schemas.weights import Calibration, Level, Method, Weights
from tests.matchers.make import NOON

DATA = Path(__file__).parents[2].parent / "shared" / "data"
WEIGHTS = default_tables().weights


def show(artist: str, night: str, venue: str, city: str = "Leipzig", country: str = "DE", **facts: Any) -> Concert:
    place = Place(name=venue, city=city, country=country)
    told = Facts(artist=artist, night=date.fromisoformat(night), place=place, **facts)
    return shown_concert(uuid5(UUID(int=7), f"{artist}/{night}/{venue}/{city}"), told)


def bits(weights: Weights, field: str, level: str) -> float:
    of = weights.levels[field][level]
    return log2(of.m / of.u)


# -- expectation and maximisation -------------------------------------------------------------------------------------

TRUE = {
    "artist": {"exact": 0.7, "close": 0.2, "similar": 0.08, "different": 0.02},
    "date": {"same": 0.8, "day-off": 0.15, "days-off": 0.04, "other": 0.01},
    "city": {"same": 0.9, "suburb": 0.08, "far": 0.02},
}
BY_CHANCE = {
    "artist": {"exact": 0.001, "close": 0.001, "similar": 0.01, "different": 0.988},
    "date": {"same": 0.01, "day-off": 0.02, "days-off": 0.12, "other": 0.85},
    "city": {"same": 0.02, "suburb": 0.03, "far": 0.95},
}


EVEN = log2(0.8 / 0.2 / 41)
"""Prior of drawn patterns: four of five entries mean one of their 41 candidates."""


def drawn_patterns(start: Weights, entries: int, others: int = 40, without: float = 0.2) -> Patterns:
    """Entries with candidates whose levels are drawn: one by TRUE, but for some entries, and all others by chance."""
    rng = np.random.default_rng(3)
    owner = np.repeat(np.arange(entries), others + 1)
    meant = np.zeros(len(owner), dtype=bool)
    meant[:: others + 1] = rng.random(entries) >= without
    levels, total = {}, np.full(len(owner), start.prior)
    for field in GROUPS:
        if field == "song":
            continue
        codes = np.full(len(owner), -1, dtype=np.int32)
        if field in TRUE:
            for chosen, table in ((meant, TRUE), (~meant, BY_CHANCE)):
                names = list(table[field])
                at = [w.FIELDS[field].index(name) for name in names]
                codes[chosen] = rng.choice(at, size=int(chosen.sum()), p=list(table[field].values()))
            worth = np.array([bits(start, field, name) for name in w.FIELDS[field]])
            total += worth[codes]
        levels[field] = codes
    nothing = np.zeros(len(owner), dtype=np.int32)
    return Patterns(
        owner=owner,
        entries=entries,
        rows=np.arange(len(owner)),
        levels=levels,
        played=nothing,
        missing=nothing,
        bits=total,
        hidden=np.zeros(len(owner)),
        timely=np.ones(len(owner), dtype=bool),
        verdict=np.full(len(owner), -1, dtype=np.int32),
        keyed=np.ones(len(owner), dtype=bool),
    )


def with_u(prior: float) -> Weights:
    """A start that knows nothing: all levels that occur are as frequent among right pairs."""
    levels = {field: dict(of) for field, of in WEIGHTS.levels.items()}
    for field, of in BY_CHANCE.items():
        for name, u in of.items():
            levels[field][name] = Level(m=1 / len(of), u=u)
    return WEIGHTS.model_copy(update={"levels": levels, "prior": prior})


def test_m_is_found_again_without_labels() -> None:
    start = with_u(EVEN)
    told = estimate(drawn_patterns(start, 4_000), start)
    assert told.settled and told.after > told.before
    assert told.matched == pytest.approx(3_200, rel=0.04)
    for field, of in TRUE.items():
        for name, m in of.items():
            assert told.m[field][name] == pytest.approx(m, rel=0.25, abs=0.01), (field, name, told.m[field])


def test_levels_that_no_pair_has_keep_their_m() -> None:
    start = with_u(EVEN)
    told = estimate(drawn_patterns(start, 400), start)
    for field, name in (("artist", "tribute"), ("venue", "same"), ("city", "other"), ("distance", "far")):
        assert told.m[field][name] == pytest.approx(start.levels[field][name].m), (field, name)
    assert told.m["song"] == pytest.approx({name: level.m for name, level in start.levels["song"].items()})


def test_the_levels_of_a_field_keep_their_sum() -> None:
    start = with_u(EVEN)
    told = estimate(drawn_patterns(start, 1_000), start)
    for field in GROUPS:
        assert sum(told.m[field].values()) == pytest.approx(sum(_m(start)[field].values()), rel=0.01), field


def _m(weights: Weights) -> dict[str, dict[str, float]]:
    return {field: {name: level.m for name, level in of.items()} for field, of in weights.levels.items()}


@pytest.mark.parametrize("field", sorted(CHAINS))
def test_a_better_agreement_is_never_worth_less(field: str) -> None:
    rng = random.Random(field)
    for _ in range(50):
        u = {name: rng.uniform(0.001, 0.9) for name in w.FIELDS[field]}
        m = ordered(field, {name: rng.uniform(0.001, 0.9) for name in w.FIELDS[field]}, u)
        for chain in CHAINS[field]:
            worth = [m[name] / u[name] for name in chain]
            assert all(one >= other * (1 - 1e-6) for one, other in pairwise(worth)), (chain, worth)
            assert all(0 < m[name] <= 1 for name in chain)


def test_an_answer_is_worth_more_than_odds() -> None:
    start = with_u(EVEN)
    found = drawn_patterns(start, 3)
    verdict = found.verdict.copy()
    verdict[1], verdict[41] = 1, 0
    share, _ = shares(Patterns(**{**vars(found), "verdict": verdict}), found.bits)
    assert share[1] == 1 and share[0] == 0 and share[2:41].sum() == 0
    assert share[41] == 0


# -- counting ---------------------------------------------------------------------------------------------------------


def nights(count: int, first: str = "2001-01-01") -> list[str]:
    return [(date.fromisoformat(first) + timedelta(days=step)).isoformat() for step in range(count)]


def test_a_catalogue_of_one_artist_makes_that_one_common_and_no_other() -> None:
    counted = frequencies([show("Grateful Dead", night, "Hall") for night in nights(2_000)], WEIGHTS)
    usual = WEIGHTS.levels["artist"]["exact"].u
    assert counted.concerts == 2_000
    assert counted.artists == pytest.approx({"grateful dead": 2_000 / WORLD + (1 - 2_000 / WORLD) * usual}, abs=1e-8)
    tables = Tables(WEIGHTS.model_copy(update={"frequencies": counted}))
    assert tables.artist_frequency("grateful dead") == pytest.approx(-6.3, abs=0.2)
    assert tables.artist_frequency("sigur ros") == 0


def test_a_town_of_many_shows_is_worth_less_and_the_others_stay() -> None:
    concerts = [show(f"Act {number}", "2001-01-01", "Hall", "Porto", "PT") for number in range(50_000)]
    counted = frequencies([*concerts, show("One", "2001-01-01", "Hall", "Braga", "PT")], WEIGHTS)
    tables, before = Tables(WEIGHTS.model_copy(update={"frequencies": counted})), default_tables()
    assert set(counted.towns) == {"porto,PT"} and not counted.artists
    assert tables.town("porto,PT", 249_633) < before.town("porto,PT", 249_633) - 2
    assert tables.town("braga,PT", 121_394) == before.town("braga,PT", 121_394)


@pytest.mark.parametrize("concerts", [[], [show("One", "2001-01-01", "Hall")]])
def test_the_smallest_catalogues_change_next_to_nothing(concerts: list[Concert]) -> None:
    made = fit(type_all(concerts), concerts, WEIGHTS, OF_SLIPS)
    assert not made.worse
    for field, of in made.weights.levels.items():
        for name in of:
            assert bits(made.weights, field, name) == pytest.approx(bits(WEIGHTS, field, name), abs=0.3), (field, name)


def test_one_artist_and_one_town_leave_the_weights_usable() -> None:
    concerts = [
        show("Grateful Dead", night, "Hall" if number % 3 else "Other Hall") for number, night in enumerate(nights(900))
    ]
    made = fit(type_all(concerts), concerts, WEIGHTS, OF_SLIPS).weights
    assert 7 < bits(made, "artist", "exact") + Tables(made).artist_frequency("grateful dead") < 12
    assert bits(made, "city", "same") == pytest.approx(bits(WEIGHTS, "city", "same"), abs=0.2)
    assert 3 < bits(made, "venue", "same") < 5.5


def test_chance_is_counted_on_random_pairs_and_held_by_the_present_u() -> None:
    concerts = [show(f"{number}th Act", night, f"Hall {number % 4}") for number, night in enumerate(nights(400))]
    catalogue = Catalogue(concerts)
    counted = chances(catalogue, default_tables())
    same = counted["venue"].levels["same"] / counted["venue"].pairs
    assert same == pytest.approx(0.25, abs=0.03)
    u = with_chances(WEIGHTS, counted).levels["venue"]["same"].u
    usual = WEIGHTS.levels["venue"]["same"].u
    assert u == pytest.approx(usual + (same - usual) * 400 / 10_400, rel=1e-3)
    assert with_chances(WEIGHTS, counted).levels["date"] == WEIGHTS.levels["date"]


# -- calibration ------------------------------------------------------------------------------------------------------


def answered(claimed: Sequence[float], share_right: Any, users: int = 8) -> list[Case]:
    """One candidate each, at these log2 odds, right as often as `share_right` of the odds says."""
    rng = random.Random(5)
    one = np.ones(1)
    return [
        Case(
            f"user {number % users}",
            str(number),
            np.array([x]),
            np.zeros(1),
            one,
            (0,),
            (rng.random() < share_right(x),),
        )
        for number, x in enumerate(claimed)
    ]


def chance(x: float) -> float:
    return float(1 / (1 + 2.0**-x))


SPREAD: list[float] = np.random.default_rng(1).uniform(-6, 9, size=1_500).tolist()


@pytest.mark.parametrize(
    ("share_right", "method"),
    [
        (chance, Method.IDENTITY),
        (lambda x: chance(0.4 * x - 1), Method.PLATT),
        (lambda x: 0.05 if x < 2 else 0.9, Method.ISOTONIC),
    ],
    ids=["as claimed", "too sure throughout", "one step"],
)
def test_the_method_is_the_one_that_held_out_answers_choose(share_right: Any, method: Method) -> None:
    cases = answered(SPREAD, share_right)
    chosen, losses = calibrate(cases, WEIGHTS)
    assert chosen.method is method, losses
    fresh = answered([x + 0.01 for x in SPREAD], share_right)
    before, after = (
        score(fresh, Tables(WEIGHTS.model_copy(update={"calibration": c}))) for c in (Calibration(), chosen)
    )
    assert after.log_loss <= before.log_loss and after.ece <= max(before.ece, 0.02)


def test_platts_line_is_found_again() -> None:
    line = fitted(Method.PLATT, *odds(answered(SPREAD, lambda x: chance(0.4 * x - 1)), WEIGHTS))
    assert (line.slope, line.shift) == pytest.approx((0.4, -1), abs=0.1)


def test_steps_rise_and_never_say_all_or_nothing() -> None:
    steps = fitted(Method.ISOTONIC, *odds(answered(SPREAD, lambda x: x > 2), WEIGHTS))
    assert list(steps.y) == sorted(set(steps.y)) and list(steps.x) == sorted(set(steps.x))
    assert max(map(abs, steps.y[1:])) <= log2(2 * len(SPREAD) + 1) + 1e-6
    assert (steps.x[0], steps.y[0]) == (-16, -16), "what nobody was asked about stays hopeless"


@pytest.mark.parametrize("right", [True, False])
def test_a_few_answers_or_answers_all_alike_do_not_run_away(right: bool) -> None:
    assert calibrate(answered(SPREAD[:10], lambda x: right), WEIGHTS)[0] == WEIGHTS.calibration
    line = fitted(Method.PLATT, *odds(answered([5.0] * 100, lambda x: right), WEIGHTS))
    assert 0 < line.slope < 3 and abs(line.shift) < 12


# -- decisions --------------------------------------------------------------------------------------------------------


def decided(
    concert: Concert, action: Action = Action.CONFIRMED, user: str = "me", entry_id: str = "1", **typed: Any
) -> Decision:
    return decision_from_row(
        {
            "user": user,
            "entry_id": entry_id,
            "action": action.value,
            "concert_id": str(concert.concert_id),
            "listing_ids": [str(member.listing_id) for member in concert.members],
            "concert": concert.facts.model_dump(mode="json"),
            "entry": {"artist": concert.artist, "date": concert.night.isoformat(), **typed},
        }
    )


def later(action: Action, concert: Concert) -> Decision:
    """Said of the same entry a day after everything else."""
    return decided(concert, action, venue="Mo's").model_copy(
        update={"decided_at": NOON + timedelta(days=1), "decision_id": uuid5(UUID(int=8), action)}
    )


def called(decisions: Sequence[Decision], *concerts: Concert) -> Called:
    """The names in these decisions, whatever they are worth on others."""
    catalogue = Catalogue(concerts)
    said, _ = answers(standing(decisions), catalogue, WEIGHTS)
    return learn_names(patterns(said, catalogue, Tables(WEIGHTS)), said, catalogue)


CELLAR = show("Mogwai", "2014-03-01", "Moritzbastei")
AGAIN = show("Low", "2015-04-02", "Moritzbastei")
ELSEWHERE = show("Low", "2015-04-02", "Conne Island")
BERLIN = show("Low", "2015-04-02", "SO36", "Berlin")


@pytest.mark.parametrize(
    ("decisions", "learned"),
    [
        pytest.param([decided(CELLAR, venue="Mo's")], True, id="once, all else agreeing"),
        pytest.param([decided(CELLAR, venue="Mo's", city="Leipzig")], True, id="once, with the town"),
        pytest.param([decided(CELLAR, venue="Mo's", date="2014-03-02")], False, id="once, another night"),
        pytest.param([decided(CELLAR, venue="Mo's", artist="Unwound")], False, id="once, another artist"),
        pytest.param([decided(CELLAR, venue="Mo's", date="2014")], False, id="once, the year alone"),
        pytest.param(
            [decided(CELLAR, venue="Mo's", date="2014"), decided(AGAIN, entry_id="2", venue="Mo's", date="2015")],
            True,
            id="twice, the year alone",
        ),
        pytest.param([decided(CELLAR, Action.DISMISSED, venue="Mo's")], False, id="dismissed"),
        pytest.param([decided(CELLAR, Action.OTHER_NIGHT, venue="Mo's")], False, id="another night was meant"),
        pytest.param(
            [decided(CELLAR, venue="Mo's"), decided(AGAIN, Action.DISMISSED, entry_id="2", venue="Mo's")],
            False,
            id="dismissed as often",
        ),
        pytest.param(
            [decided(CELLAR, venue="Mo's"), decided(ELSEWHERE, entry_id="2", venue="Mo's")],
            False,
            id="confirmed for another one in that town",
        ),
        pytest.param(
            [decided(CELLAR, venue="Mo's"), decided(BERLIN, entry_id="2", venue="Mo's")],
            True,
            id="confirmed for another one in another town",
        ),
        pytest.param([decided(CELLAR, venue="Moritzbastei")], False, id="its own name"),
        pytest.param([decided(CELLAR, venue="Mo's"), later(Action.UNDONE, CELLAR)], False, id="taken back"),
        pytest.param([decided(CELLAR, venue="Mo's"), later(Action.SNOOZED, CELLAR)], True, id="put off afterwards"),
        pytest.param(
            [decided(CELLAR, venue="Mo's"), later(Action.DISMISSED, CELLAR)], False, id="dismissed afterwards"
        ),
    ],
)
def test_what_a_user_calls_a_venue(decisions: list[Decision], learned: bool) -> None:
    users = called(decisions, CELLAR, AGAIN, ELSEWHERE, BERLIN).users
    venues = users["me"].venues if "me" in users else {}
    assert ("Moritzbastei" in [house.name for house in venues.get("mos", ())]) is learned


@pytest.mark.parametrize(
    ("typed", "concert", "learned"),
    [
        pytest.param("Moqway", "Mogwai", True, id="alike, once"),
        pytest.param("Haldern Pop", "Mogwai", False, id="not alike, once: a festival's name, say"),
        pytest.param("Mogwai", "Mogwai", False, id="its own name"),
    ],
)
def test_what_a_user_calls_an_artist(typed: str, concert: str, learned: bool) -> None:
    meant = show(concert, "2014-03-01", "Moritzbastei")
    users = called([decided(meant, artist=typed, venue="Moritzbastei", city="Leipzig")], meant).users
    assert ("me" in users and bool(users["me"].artists)) is learned


def test_two_nights_teach_a_name_that_is_not_alike_but_not_the_name_of_a_festival() -> None:
    days = [show("Mogwai", night, "Moritzbastei") for night in ("2014-03-01", "2015-03-01")]
    said = [
        decided(one, entry_id=str(number), artist="The Glasgow Lot", city="Leipzig") for number, one in enumerate(days)
    ]
    assert called(said, *days).users["me"].artists == {"glasgow lot": ("Mogwai",)}
    fests = [show("Mogwai", night, "Field", festival="Glasgow Lot") for night in ("2014-03-01", "2015-03-01")]
    said = [decided(one, entry_id=str(n), artist="Glasgow Lot", city="Leipzig") for n, one in enumerate(fests)]
    assert not called(said, *fests).users


def test_what_two_users_call_alike_everybody_may() -> None:
    one = called([decided(CELLAR, venue="Mo's", user="ann")], CELLAR)
    assert not one.everybody.venues and "mos" in one.users["ann"].venues
    two = called([decided(CELLAR, venue="Mo's", user=user) for user in ("ann", "bob")], CELLAR)
    assert [house.name for house in two.everybody.venues["mos"]] == ["Moritzbastei"]


def test_a_learned_name_finds_the_show_and_the_town_for_this_user_alone() -> None:
    """A month and a venue's nickname are all that is typed beside the artist; there are two shows that month."""
    here, there = show("Low", "2019-05-05", "Moritzbastei"), show("Low", "2019-05-07", "SO36", "Berlin")
    made = Tables(learn([decided(CELLAR, venue="Mo's")], [CELLAR], WEIGHTS).weights)
    line = {"entry_id": "9", "seen_at": NOON, "artist": "Low", "date": "2019-05", "venue": "Mo's"}
    mine = match(Entry(user="me", **line), [here, there], tables=made)
    assert mine.suggestions[0].concert.place.name == "Moritzbastei" and mine.weights == made.version
    assert "Mo's is another name of Moritzbastei" in [one.text for one in mine.suggestions[0].why]
    theirs = match(Entry(user="you", **line), [here, there], tables=made)
    assert mine.suggestions[0].confidence > 0.5
    assert all(one.confidence < 0.5 for one in theirs.suggestions)


def history(count: int, **typed: Any) -> tuple[list[Concert], list[Decision]]:
    """So many shows of as many artists, each confirmed; every third venue is called something else."""
    concerts = [show(f"Act Number {n}", night, f"Hall {n % 5}") for n, night in enumerate(nights(count))]
    said = []
    for number, one in enumerate(concerts):
        venue = f"Corner {number % 5}" if number % 3 == 0 else one.place.name
        said.append(decided(one, entry_id=str(number), venue=venue, city="Leipzig", **typed))
    return concerts, said


def test_decisions_give_a_new_version_that_tells_both_halves_no_worse() -> None:
    concerts, said = history(60)
    made = learn(said, concerts, WEIGHTS)
    assert made.answers == 60 and made.kept and not made.refused
    assert made.weights.version not in ("", WEIGHTS.version)
    for step in made.steps:
        for before, after in zip(step.before, step.after, strict=True):
            assert before.pairs == after.pairs > 0
            assert not step.kept or (after.log_loss <= before.log_loss + 1e-4 and not after.wrong_sure)


def test_the_order_of_decisions_and_concerts_changes_nothing() -> None:
    concerts, said = history(40)
    made = learn(said, concerts, WEIGHTS)
    for seed in (1, 2):
        random.Random(seed).shuffle(concerts)
        random.Random(seed).shuffle(said)
        assert learn(said, concerts, WEIGHTS).weights.to_bytes() == made.weights.to_bytes()


def contradictory(count: int) -> tuple[list[Concert], list[Decision]]:
    """Artist and month are typed each time: always right in one half of the answers, never in the other."""
    concerts = [show(f"Act Number {n}", night, "Hall") for n, night in enumerate(nights(count))]
    said = []
    for number, one in enumerate(concerts):
        action = Action.CONFIRMED if held_in("me", str(number)) else Action.DISMISSED
        said.append(decided(one, action, entry_id=str(number), date=f"{one.night:%Y-%m}"))
    return concerts, said


def test_a_change_that_tells_the_held_out_half_worse_is_refused() -> None:
    concerts, said = contradictory(80)
    made = learn(said, concerts, WEIGHTS)
    assert made.refused and not made.kept
    assert made.weights == WEIGHTS
    assert all(
        any(new.log_loss > old.log_loss or new.ece > old.ece for old, new in zip(step.before, step.after, strict=True))
        for step in made.steps
    )


def test_nothing_said_is_nothing_refused() -> None:
    made = learn([], [CELLAR], WEIGHTS)
    assert made.weights == WEIGHTS and not made.refused and not made.kept and not made.steps


def test_a_decision_on_a_companion_or_on_an_unknown_show_is_counted_and_not_used() -> None:
    companion = decided(CELLAR).model_copy(update={"entry": Remembered()})
    unknown = decided(AGAIN, entry_id="2").model_copy(update={"concert": None})
    made = learn([companion, unknown], [CELLAR], WEIGHTS)
    assert (made.answers, made.unused) == (0, 2)


def test_the_last_word_on_a_concert_counts() -> None:
    assert [one.action for one in standing([decided(CELLAR), later(Action.DISMISSED, CELLAR)])] == [Action.DISMISSED]
    assert standing([decided(CELLAR), later(Action.UNDONE, CELLAR)]) == []
    assert len(standing([decided(CELLAR), decided(AGAIN, entry_id="2")])) == 2


# -- the command ------------------------------------------------------------------------------------------------------


def written(path: Path, rows: Sequence[Mapping[str, Any] | Concert | Decision]) -> Path:
    lines = [json.dumps(row).encode() if isinstance(row, Mapping) else row.to_bytes() for row in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def calibrate_command(*arguments: object) -> Any:
    return CliRunner().invoke(gigz.app, ["calibrate", *map(str, arguments)])


def test_the_command_writes_weights_that_match_reads(tmp_path: Path) -> None:
    _, said = history(60)
    out = tmp_path / "new.json"
    ran = calibrate_command("--decisions", written(tmp_path / "said.jsonl", said), "--out", out)
    assert ran.exit_code == 0, ran.output
    assert "log loss" in ran.stdout and "ECE" in ran.stdout
    made = read_weights(out.read_bytes())
    assert made.version != WEIGHTS.version and made.version == made.weights.versioned().version
    assert "decisions on 60 lines" in made.weights.source


def test_the_command_refuses_and_writes_nothing(tmp_path: Path) -> None:
    _, said = contradictory(80)
    out = tmp_path / "new.json"
    ran = calibrate_command("--decisions", written(tmp_path / "said.jsonl", said), "--out", out)
    assert ran.exit_code == 1 and "Refused" in ran.stderr
    assert not out.exists()


def test_decisions_may_be_rows_that_name_a_listing(tmp_path: Path) -> None:
    listing = {"source": "one", "source_id": "5", "artist": "Mogwai", "date": "2014-03-01", "venue": "Moritzbastei"}
    entry = {"user": "me", "entry_id": "1", "artist": "Mogwai", "date": "2014-03-01", "venue": "Mo's"}
    said = {"user": "me", "entry_id": "1", "action": "confirmed", "source": "one", "source_id": "5"}
    files = {name: written(tmp_path / name, [row]) for name, row in (("c", listing), ("h", entry), ("d", said))}
    out = tmp_path / "new.json"
    ran = calibrate_command(files["c"], "--history", files["h"], "--decisions", files["d"], "--out", out, "--json")
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["decisions"]["answers"] == 1
    assert "mos" in read_weights(out.read_bytes()).weights.users["me"].venues


def test_a_line_that_is_no_decision_is_named(tmp_path: Path) -> None:
    rows: list[Mapping[str, Any] | Decision] = [{"user": "me", "entry_id": "1", "action": "confirmed"}]
    rows.append(decided(CELLAR, venue="Mo's"))
    ran = calibrate_command("--decisions", written(tmp_path / "d.jsonl", rows))
    assert ran.exit_code == 0
    assert "d.jsonl:1: missing_field: concert_id" in ran.stderr


def test_weights_that_lack_a_level_are_refused_by_its_name() -> None:
    body = json.loads(WEIGHTS.to_bytes())
    del body["levels"]["artist"]["close"]
    with pytest.raises(MessageError, match=r"levels\.artist\.close"):
        read_weights(json.dumps(body).encode())

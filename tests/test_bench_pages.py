"""What the pages of benchmarks say is what was measured, and the arithmetic of docs/scale.md is right."""

import json
import re
from typing import Any

import pytest

from schemas.topics import BY_NAME
from tests.bench import charts, frameworks, latency, memory, profiles, report, scale, stores
from tests.bench.frameworks import FRAMEWORKS
from tests.bench.inputs import A_SHOW, entries, listings
from tests.support import ENGINES, ROOT


@pytest.fixture
def results() -> dict[str, Any]:
    found = report.read(report.FOLDER)
    assert found, "docs/benchmarks/results.json is not there. Remedy: make bench"
    return found


def test_the_page_and_its_charts_follow_from_the_results(results: dict[str, Any]) -> None:
    for name, text in report.rendered(results).items():
        assert (report.FOLDER / name).read_text(encoding="utf-8") == text, (
            f"{name}: written by hand? make bench writes it"
        )


def test_every_measured_part_tells_where_when_and_with_what(results: dict[str, Any]) -> None:
    for name, part in results.items():
        at = part["machine"]
        assert {"date", "cpu", "cores", "memory_gb", "load_at_start"} <= at.keys(), name
        peers = {"sentry-arroyo", "quixstreams"} if name == "stages" else set()
        assert {"kafka", "faust-streaming", "chdb-core"} | peers <= part["versions"].keys(), name


def test_the_figures_of_the_scale_page_follow_from_the_results(results: dict[str, Any]) -> None:
    page = scale.PAGE.read_text(encoding="utf-8")
    assert {name for _, name, _ in scale.MARKED.findall(page)} == set(scale.BLOCKS)
    assert scale.filled(page, scale.units(results)) == page, "Remedy: python -m tests.bench.scale"


def test_the_scale_page_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", scale.PAGE.read_text(encoding="utf-8").replace("\n  ", ""))
    assert len(named) >= 5
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), test


def made_up() -> scale.Units:
    """Units of round numbers."""
    free = dict.fromkeys(("worker", *ENGINES), 0.0)
    steps = {
        name: scale.Step(name, 100.0, free)
        for name in ("normalise", "resolve", "rematch", "relay", *(f"sink-{store}" for store in stores.STORES))
    }
    steps["match"] = scale.Step("match", 500.0, {**free, "worker": 2.0, "postgres": 1.0})
    rows = {"state.listings": 1_000.0, "state.concerts": 2_000.0, "state.entries": 500.0}
    return scale.Units(
        steps,
        {"postgres": rows, "meilisearch": {"concerts": 100.0}, "kafka": {}, "clickhouse": {}},
        {"state.listings": 100.0, "state.concerts": 1_000.0, "state.entries": 250.0},
        {"state.listings": 150.0, "state.concerts": 100.0, "state.entries": 10.0, "gigz.concert.v1": 120.0},
    )


def test_copies_are_counted_at_half_of_what_one_does_alone() -> None:
    size = scale.Size("some", 10_000, 1_000, 100, 10_000_000)
    assert scale.dearer(size) == 1.0
    assert scale.copies({"match": 10_000_000}, made_up(), size, 10_000.0) == {"match": 4}
    spent = scale.core_seconds({"match": 10_000_000}, made_up(), size)
    assert (spent["match"], spent["postgres"], spent["kafka"]) == (20_000.0, 10_000.0, 0.0)


def test_a_match_is_dearer_where_there_are_more_concerts() -> None:
    assert scale.dearer(scale.Size("a million", 1_000_000, 0, 0, 0)) == pytest.approx(scale.GROWTH)


def test_sizes_on_disk_are_rows_times_bytes() -> None:
    size = scale.Size("some", 1_000_000, 1_000_000, 10, 2_000_000)
    of = scale.gigabytes(size, made_up())
    assert of["postgres"] == pytest.approx({"state.listings": 1.5, "state.concerts": 2.0, "state.entries": 1.0})
    assert of["meilisearch"] == pytest.approx({"concerts": 0.1, "artists": 0.1})
    assert scale.indexes_gb(size, made_up()) == pytest.approx(0.15 + 1.0 + 0.5)
    assert [scale.pieces(gb) for gb in (0.1, 20, 21, 500)] == [1, 1, 2, 32]


def test_the_scale_page_counts_topics_and_tables_that_exist() -> None:
    known = scale.units(report.read(report.FOLDER))
    assert known.row_bytes["kafka"].keys() <= BY_NAME.keys()
    assert {"state.listings", "state.concerts", "state.entries", "state.suggestions"} <= known.row_bytes[
        "postgres"
    ].keys()


def figure(framework: str, seconds: float) -> dict[str, Any]:
    costs = {"stage": {"cpu_s": seconds / 2, "peak_mb": 100 * seconds}}
    return {"framework": framework, "what": "resolve", "messages": 100, "seconds": seconds, "costs": costs}


def test_the_ratio_is_of_medians_and_to_the_faster_peer() -> None:
    told = {"faust": (1.0, 2.0, 9.0), "arroyo": (4.0, 4.0, 1.0), "quix": (1.0, 8.0, 8.0)}
    figures = [figure(name, seconds) for name in FRAMEWORKS for seconds in told[name]]
    assert report.ratio_to_peers({"figures": figures}, "resolve") == pytest.approx(50 / 25)
    one = frameworks.medians(figures, "faust", "resolve")
    assert one is not None and one["cpu_ms"]["stage"] == pytest.approx(10) and one["peak_mb"]["stage"] == 900


def test_a_sinks_ratio_is_the_median_of_its_rounds() -> None:
    figures = [
        {"round": number, "what": "postgres", "how": how, "messages": 100, "seconds": seconds}
        for number, pair in enumerate([(2.0, 1.0), (4.0, 3.0), (30.0, 3.0)])
        for how, seconds in zip(("gigz", "bare"), pair, strict=True)
    ]
    assert stores.ratio(figures, "postgres") == pytest.approx(0.5)


def test_growth_of_memory_leaves_the_first_tenth_aside() -> None:
    taken = [{"taken": {"w": n}, "mb": {"w": mb}} for n, mb in [(0, 10), (100, 90), (300, 90), (600, 99), (1_000, 99)]]
    assert memory.halves(taken, "w") == (90, 99)


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [latency.quantile(values, share) for share in (0.01, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]


def test_the_input_is_the_same_each_time_and_as_large_as_asked() -> None:
    some = list(listings(400, first_show=7))
    assert some == list(listings(400, first_show=7)) and len(some) == 400
    assert 400 / len({row["source_id"] for row in some}) == pytest.approx(A_SHOW, rel=0.15)
    assert json.dumps(list(entries(50))) == json.dumps(list(entries(50)))


def test_charts_are_readable_in_the_light_and_in_the_dark() -> None:
    drawn = [
        charts.bars("some & others", {"a": {"x": 3.0, "y": 1.0}}, "/s", {"a": 2.0}),
        charts.histogram("times", [0.1, 0.15, 0.9], 0.1, {"p50": 0.15}, "seconds"),
        charts.curves("memory", {"a": [(0, 1), (5, 2)], "b": [(0, 3), (4, 3)]}, "messages", "MB"),
    ]
    for one in drawn:
        assert "prefers-color-scheme: dark" in one and "<title>" in one and "&amp;" in drawn[0]
        assert "NaN" not in one and "inf" not in one


def test_a_sample_belongs_to_the_innermost_package_that_is_named() -> None:
    main, faust = f"run ({ROOT}/streams/main.py:1)", "loop (/x/site-packages/faust/app.py:3)"
    parsing = "validate (/x/site-packages/pydantic/main.py:9)"
    assert profiles.owner_of([faust, main, parsing]) == "Gigz: streams"
    assert profiles.owner_of([main, faust, "select (/usr/lib/selectors.py:4)"]) == "Faust"
    assert profiles.owner_of([parsing]) == profiles.OTHER
    raw = "\n".join([f"{faust} 3", f"{faust};{main};{parsing} 1"])
    assert profiles.shares(raw) == {"Faust": 0.75, "Gigz: streams": 0.25}


def test_thinned_samples_keep_the_last() -> None:
    samples = [{"n": n} for n in range(1_000)]
    some = memory.thinned(samples)
    assert len(some) <= memory.MOST_SAMPLES and some[-1] == samples[-1] and memory.thinned(samples[:7]) == samples[:7]

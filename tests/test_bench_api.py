"""The page of the API's load follows from what was measured, and its verdict can fail."""

import json
from dataclasses import asdict, replace

import pytest

from schemas.decision import Action
from tests.bench.api_data import a_concert, a_decision, a_set
from tests.bench.api_load import (
    BARE,
    FOLDER,
    GATES,
    KINDS,
    LIMITS,
    PAGE,
    RESULTS,
    Measured,
    measured,
    page,
    percentile,
    verdict,
)

GOOD = [
    Measured(BARE, 100, 0, 10.0, 20.0, 30.0),
    *(Measured(route, 100, 0, 20.0, 40.0, 60.0) for route in KINDS),
]


def test_percentiles_are_latencies_that_were_seen() -> None:
    ordered = [float(number) for number in range(1, 101)]
    assert [percentile(ordered, share) for share in (0.5, 0.95, 0.99)] == [50.0, 95.0, 99.0]
    assert percentile([7.0], 0.99) == 7.0
    (one,) = measured({"GET /v1/journal": {"ms": [3.0, 1.0, 2.0], "errors": ["500"]}})
    assert one == Measured("GET /v1/journal", 3, 1, 2.0, 3.0, 3.0)


@pytest.mark.parametrize(
    ("place", "changed", "said"),
    [
        (1, {"errors": 1}, "1 errors"),
        (1, {"requests": 3}, "too few"),
        (1, {"p50": 10.0 * max(GATES.values()) + 1}, "times the bare route"),
        (1, {"route": "GET /v1/other"}, f"{next(iter(KINDS))} was not asked"),
        (0, {"route": "GET /v1/other"}, "bare was not asked"),
    ],
)
def test_the_verdict_names_what_is_wrong(place: int, changed: dict[str, float], said: str) -> None:
    assert verdict(GOOD) == []
    found = [replace(one, **changed) if number == place else one for number, one in enumerate(GOOD)]
    assert any(said in one for one in verdict(found)), verdict(found)


def test_a_page_shows_every_route_beside_its_limits() -> None:
    results = {
        "machine": {
            "date": "2026-03-01",
            "cores": 2,
            "cpu": "any",
            "memory_gb": 8,
            "load_at_start": [0.1],
            "commit": "abc",
            "system": "Linux",
        },
        "versions": {"litestar": "2"},
        "minutes": 3.0,
        "people": 50,
        "think_s": 1.0,
        "seconds": 60,
        "concerts": 100,
        "entries": 20,
        "users": 4,
        "routes": [asdict(one) for one in GOOD],
    }
    text = page(results)
    assert all(f"| {route} |" in text for route in KINDS) and "**PASS**" in text
    assert "| half | 2.0x |" in text and "100 / 300 / 600" in text
    assert set(KINDS.values()) <= set(LIMITS) == set(GATES)
    assert "**FAIL**" in page(results | {"routes": [asdict(replace(one, errors=1)) for one in GOOD]})


def test_the_page_of_the_api_follows_from_its_results() -> None:
    results = json.loads((FOLDER / RESULTS).read_text(encoding="utf-8"))
    assert (FOLDER / PAGE).read_text(encoding="utf-8") == page(results), "written by hand? make bench-api writes it"


def test_what_is_filled_in_is_what_the_stages_would_have_stored() -> None:
    shows = [a_concert(number) for number in range(3)]
    assert a_concert(1) == shows[1] and len({one.concert_id for one in shows}) == 3
    found = a_set("user-0", 5, shows)
    assert [one.rank for one in found.suggestions] == [1, 2, 3]
    decided = a_decision(found, Action.CONFIRMED, 1)
    assert decided.suggestion_id == found.suggestions[0].suggestion_id

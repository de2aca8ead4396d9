"""The small parts of the API, each by itself."""

import asyncio
from datetime import UTC, datetime

import pytest

from api.answers import cursor_of, place_of
from api.app import create_app
from api.edge import trace_of
from api.errors import InvalidError
from api.metrics import Metrics
from api.pages.cards import sources
from api.pages.words import choose, country, night, percent, spoken
from deploy.settings import Settings, load
from schemas.concert import Member
from schemas.ids import listing_id

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("place", [[0.1 + 0.2, "entry/1"], [1.0, "Ünïcode ' \\ \n"], [0.0, ""]])
def test_a_cursor_leads_back_to_its_exact_place(place: list[object]) -> None:
    assert place_of(cursor_of(place), float, str) == place


@pytest.mark.parametrize("cursor", ["", "abc", "Ünïcode", "bnVsbA", cursor_of(["a", "b"]), cursor_of([1.0]), "=" * 9])
def test_a_foreign_cursor_is_refused_by_name(cursor: str) -> None:
    with pytest.raises(InvalidError) as refused:
        place_of(cursor, float, str)
    assert [detail.field for detail in refused.value.details] == ["cursor"]


def test_the_callers_trace_id_is_kept_and_anything_else_gets_a_new_one() -> None:
    mine = "0af7651916cd43dd8448eb211c80319c"
    assert trace_of([(b"x-request-id", b"0AF76519-16CD-43DD-8448-EB211C80319C")]) == mine
    assert trace_of([(b"traceparent", f"00-{mine}-b7ad6b7169203331-01".encode())]) == mine
    made = trace_of([(b"x-request-id", b"<script>")])
    assert len(made) == 32 and made != trace_of([])


@pytest.mark.parametrize(
    ("accepted", "told"),
    [
        ("", "en_GB"),
        ("de", "de"),
        ("en;q=0.5, de-CH;q=0.9", "de_CH"),
        ("fr, de;q=0.1", "de"),
        ("de;q=0", "en_GB"),
        ("xx-YY;q=zero, *, \x00,;;==", "en_GB"),
        ("fr," * 500 + "de", "en_GB"),
    ],
)
def test_the_language_is_the_readers_favourite_of_those_that_there_are(accepted: str, told: str) -> None:
    assert str(choose(accepted).locale) == told


def test_requests_are_counted_in_the_buckets_that_were_agreed_and_labels_are_escaped() -> None:
    metrics = Metrics(load())
    for seconds in (0.005, 0.05, 0.3, 7.0):
        metrics.answered(seconds, "GET", '/"x"\n', 200)
    lines = [line for line in metrics.render().splitlines() if line.startswith("http_")]
    buckets = [line for line in lines if "_bucket" in line]
    told = [(line.partition('le="')[2].partition('"')[0], line.rpartition(" ")[2]) for line in buckets]
    bounds = ["0.01", "0.05", "0.1", "0.5", "1.0", "2.0", "5.0", "+Inf"]
    assert told == list(zip(bounds, ["1.0", "2.0", "2.0", "3.0", "3.0", "3.0", "3.0", "4.0"], strict=True))
    assert r'http_requests_total{method="GET",path="/\"x\"\n",status="200"} 4.0' in lines


def test_a_method_that_somebody_made_up_is_no_label_of_its_own() -> None:
    metrics = Metrics(load())
    for number in range(50):
        metrics.answered(0.1, f"FOO{number}", "none", 405)
    counts = [line for line in metrics.render().splitlines() if line.startswith("http_requests_total{")]
    assert counts == ['http_requests_total{method="other",path="none",status="405"} 50.0']


def test_nights_are_read_with_their_weekday() -> None:
    assert night(START.date()) == "Sunday, 1 March 2026"
    with spoken("de-AT,de;q=0.9,en;q=0.8"):
        assert (night(START.date()), country("GB")) == ("Sonntag, 1. März 2026", "Vereinigtes Königreich")
    with spoken("en-US"):
        assert night(START.date()) == "Sunday, March 1, 2026"


def test_nothing_is_called_entirely_certain() -> None:
    assert [percent(one) for one in (0.9999, 1.0, 0.5)] == ["99.9%", "99.9%", "50%"]


def test_only_web_addresses_become_links() -> None:
    def member(url: str | None) -> Member:
        return Member(listing_id=listing_id("s", str(url)), source="s", source_id="1", version=1, act="a", url=url)

    members = tuple(map(member, ["https://a.example/", "javascript:alert(1)", "data:text/html,x", None]))
    assert [one.url for one in sources(members)] == ["https://a.example/", None]


async def test_all_who_wait_for_clickhouse_share_one_connection_though_the_first_gives_up(
    offline: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []

    async def connect(_: Settings) -> object:
        made.append(object())
        await asyncio.sleep(0.02)
        if len(made) == 1:
            raise OSError("away")
        return made[-1]

    monkeypatch.setattr("api.services.clickhouse_async", connect)
    services = create_app(offline).state.services
    with pytest.raises(OSError, match="away"):
        await services.clickhouse()
    impatient = asyncio.create_task(services.clickhouse())
    await asyncio.sleep(0)
    impatient.cancel()
    assert await asyncio.gather(*(services.clickhouse() for _ in range(50))) == [made[1]] * 50

"""Pages for people become events by declared selectors."""

import math
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse, Response
from twisted.python.failure import Failure

from matchers.normalise import normalise
from schemas.listing import Listing
from schemas.raw import RawMessage
from schemas.rejection import Reason
from spiders.errand import Errand
from spiders.formats.base import Shows
from spiders.formats.html_page import HtmlSpider
from spiders.formats.pages import address_in, has_year, place_in, plain
from spiders.sources import SPIDERS
from tests.spiders.reading import ANSWERS, NOW, followed, messages, spider_for, unreadable

URL = "https://pit.example/agenda/"
SPIDER_BY_NAME = {spider.name: spider for spider in SPIDERS}


class Pit(HtmlSpider):
    name = "pit"
    start_urls = [URL]  # noqa: RUF012
    row = "li.gig"
    fields = {"title": "h3", "date": ("b", "i"), "support": ".with", "start_time": ".time"}  # noqa: RUF012
    next_page = "a[rel=next]::attr(href)"
    house = {"venue": "The Pit", "city": "Oslo", "country": "NO"}  # noqa: RUF012


def page(body: str, url: str = URL, **meta: Any) -> HtmlResponse:
    return HtmlResponse(url, body=body.encode(), encoding="utf-8", request=Request(url, meta=meta))


def read(body: str, kind: type[HtmlSpider] = Pit) -> list[RawMessage]:
    return messages(list(spider_for(kind).parse(page(body))))


def row(
    title: str = "Moths", day: str = "1 March", year: str = "2024", more: str = "", link: str = "/gigs/moths"
) -> str:
    return f'<li class="gig"><a href="{link}"><h3>{title}</h3></a><b>{day}</b><i>{year}</i>{more}</li>'


def listing(message: RawMessage) -> Listing:
    found = normalise(message)
    assert isinstance(found, tuple), found
    (one,) = found
    assert isinstance(one, Listing)
    return one


def test_a_row_becomes_a_message_with_its_fields_its_link_and_its_html() -> None:
    (moths,) = read(row(more='<p class="with">Lamps<br>Dust &amp; Rust</p><span class="time">20:00</span>'))
    assert moths.fields == {
        "title": "Moths",
        "date": "1 March 2024",
        "support": ["Lamps", "Dust & Rust"],
        "start_time": "20:00",
        "venue": "The Pit",
        "city": "Oslo",
        "country": "NO",
    }
    assert (moths.source, moths.source_id, moths.url) == (
        "pit.example",
        "/gigs/moths",
        "https://pit.example/gigs/moths",
    )
    assert "<h3>Moths</h3>" in (moths.payload or "").replace("\\", "")


def test_text_is_what_a_person_sees() -> None:
    (moths,) = read(
        row("The&nbsp;<span>Mo</span><span>ths</span><br>of &amp;amp; Oslo<script>x</script><style>y</style>")
    )
    assert moths.fields["title"] == "The Moths of & Oslo"


def test_a_row_without_its_date_is_a_rejection_with_its_html_and_its_neighbours_are_read() -> None:
    found = list(spider_for(Pit).parse(page(row(day="", year="") + row("Lamps", link="/gigs/lamps"))))
    (bad,) = unreadable(found)
    assert (bad.reason, bad.text) == (Reason.MISSING_FIELD, "date: the page has none here (row 1, Moths)")
    assert b"<h3>Moths</h3>" in bad.original
    assert [one.fields["title"] for one in messages(found)] == ["Lamps"]


def test_a_page_on_which_no_row_is_found_is_a_fault_that_names_the_selector() -> None:
    spider = spider_for(Pit)
    assert list(spider.parse(page("<ul><li class='show'><h3>Moths</h3></li></ul>"))) == []
    (fault,) = spider.faults
    assert "'li.gig' finds nothing" in fault and URL in fault and "Remedy" in fault and "test_html" in fault


def test_a_page_that_says_it_is_empty_is_none() -> None:
    class Closed(Pit):
        name = "closed"
        empty = "//p[contains(., 'no concerts')]"

    spider = spider_for(Closed)
    assert list(spider.parse(page("<p>There are no concerts in summer.</p>"))) == [] and spider.faults == []
    assert list(spider.parse(page("<p>Welcome</p>"))) == [] and spider.faults != []


def test_what_is_no_page_is_a_fault() -> None:
    spider = spider_for(Pit)
    assert list(spider.parse(Response(URL, body=b"%PDF-1.7"))) == [] and "no page of text" in spider.faults[0]


def test_the_next_page_is_asked_for_relative_to_the_base() -> None:
    body = f'<base href="https://pit.example/"><body>{row()}<a rel="next" href="agenda/2">more</a></body>'
    assert followed(list(spider_for(Pit).parse(page(body)))) == ["https://pit.example/agenda/2"]
    assert followed(list(spider_for(Pit).parse(page(f'{row()}<a rel="next" href="{URL}">more</a>')))) == []


def test_counted_pages_end_with_the_first_that_has_no_rows() -> None:
    class Counted(Pit):
        name = "counted"
        pages_at = "https://pit.example/agenda/?page={page}"

    spider = spider_for(Counted)
    first = list(spider.parse(page(row())))
    assert followed(first) == ["https://pit.example/agenda/?page=2"]
    (request,) = [one for one in first if isinstance(one, Request)]
    last = HtmlResponse(request.url, body=b"<ul></ul>", encoding="utf-8", request=request)
    assert list(spider.parse(last)) == [] and spider.faults == []


class Detailed(Pit):
    name = "detailed"
    detail = {"title": "h1", "support": "li.support"}  # noqa: RUF012


def test_what_stands_behind_the_link_is_merged_and_asked_for_once() -> None:
    body = row("Mo…") + row("Mo…", day="2 March") + row("Dust", link="/gigs/dust")
    spider = spider_for(Detailed)
    found = list(spider.parse(page(body)))
    assert messages(found) == []
    assert followed(found) == ["https://pit.example/gigs/moths", "https://pit.example/gigs/dust"]
    request = found[0]
    assert isinstance(request, Request)
    behind = HtmlResponse(request.url, body=b"<h1>Moths</h1><li class=support>Lamps", encoding="utf-8", request=request)
    told = messages(list(spider.parse(behind)))
    assert [(one.fields["title"], one.fields["support"], one.fields["date"]) for one in told] == [
        ("Moths", ["Lamps"], "1 March 2024"),
        ("Moths", ["Lamps"], "2 March 2024"),
    ]
    assert {one.url for one in told} == {"https://pit.example/gigs/moths"}


def test_a_link_that_leads_nowhere_loses_no_row() -> None:
    spider = spider_for(Detailed)
    (request,) = (one for one in spider.parse(page(row())) if isinstance(one, Request))
    failure = Failure(OSError("gone"))
    failure.request = request  # type: ignore[attr-defined]
    assert request.errback is not None
    assert [one.fields["title"] for one in messages(list(request.errback(failure)))] == ["Moths"]
    assert spider.faults == []


def test_days_of_one_row_are_listings_of_their_own_where_the_source_says_so() -> None:
    class Both(Pit):
        name = "both"
        fields = {"title": "h3", "date": "b"}  # noqa: RUF012
        nights = r"\s&\s"

    found = read(row(day="Thu 8 Feb &amp; Fri 9 Feb"), Both)
    assert [one.source_id for one in found] == ["/gigs/moths@Thu 8 Feb", "/gigs/moths@Fri 9 Feb"]
    assert [listing(one).night for one in found] == [date(2024, 2, 8), date(2024, 2, 9)]


def test_rows_that_share_a_link_have_ids_of_their_own_on_one_page_and_over_pages() -> None:
    spider = spider_for(Pit)
    first = messages(list(spider.parse(page(row()))))
    second = messages(list(spider.parse(page(row(day="8 March"), "https://pit.example/agenda/2"))))
    assert [one.source_id for one in first + second] == ["/gigs/moths", "/gigs/moths@8 March 2024"]


def test_a_row_that_is_shown_twice_is_given_once() -> None:
    assert len(read(row() + row())) == 1


def test_rows_without_a_link_have_derived_ids() -> None:
    body = '<li class="gig"><h3>Moths</h3><b>1 March 2024</b></li><li class="gig"><h3>Dust</h3><b>1 March 2024</b></li>'
    ids = [one.source_id for one in read(body)]
    assert len(set(ids)) == 2 and all(one.startswith("derived-") for one in ids)
    assert ids == [one.source_id for one in read(body)]


@pytest.mark.parametrize(
    ("written", "night", "doubtful"),
    [
        ("Fri 1 March", date(2024, 3, 1), False),  # the weekday decides
        ("Wed 1 March", date(2023, 3, 1), False),
        ("Sat 1 March", date(2025, 3, 1), False),
        ("Wednesday, Mar 6 @ 8:00 pm", date(2024, 3, 6), False),
        ("vr 22 november", date(2024, 11, 22), False),
        ("1 March", date(2024, 3, 1), True),  # the first from the month before on
        ("31 January", date(2024, 1, 31), True),
        ("31 December", date(2024, 12, 31), True),
        ("Mon 1 March", date(2024, 3, 1), True),  # a Monday in none of the three years
        ("1 March 2019", date(2019, 3, 1), False),
    ],
)
def test_a_date_without_a_year_is_settled_by_its_weekday_else_by_the_month_it_was_read_in_and_in_doubt(
    written: str, night: date, doubtful: bool
) -> None:
    (moths,) = read(row(day=written, year=""))
    assert moths.fields.get("read_in") == (None if has_year(written) else "2024-02")
    assert (listing(moths).night, listing(moths).doubt is not None) == (night, doubtful)


def test_an_archive_does_not_guess_years() -> None:
    class Archive(Pit):
        name = "archive"
        shows = Shows.EVERYTHING

    (moths,) = read(row(day="Fri 1 March", year=""), Archive)
    assert "read_in" not in moths.fields and not isinstance(normalise(moths), tuple)


def test_numbers_have_the_declared_order() -> None:
    class American(Pit):
        name = "american"
        date_order = "MDY"

    (moths,) = read(row(day="03/01/2024", year=""), American)
    assert listing(moths).night == date(2024, 3, 1)


def test_only_the_nights_that_the_errand_asks_for_are_given() -> None:
    class Iso(Pit):
        name = "iso"

    spider = Iso(errand=Errand(start_url=URL, since=date(2024, 3, 2)), clock=lambda: NOW)
    body = row(day="2024-03-01", year="") + row("Lamps", day="2024-03-02", year="", link="/l")
    assert [one.fields["title"] for one in messages(list(spider.parse(page(body))))] == ["Lamps"]


def test_a_wrong_declaration_is_told_when_the_file_is_read() -> None:
    with pytest.raises(TypeError, match="no listing row has price"):
        type("Wrong", (Pit,), {"fields": {"price": ".price"}})
    with pytest.raises(TypeError, match=r"row: 'li\[' is no selector"):
        type("Wrong", (Pit,), {"row": "li["})


def test_a_page_for_people_is_recognised_by_its_dates_and_one_for_machines_is_not() -> None:
    dates = "".join(f"<li>{day} March 2024: Moths</li>" for day in range(1, 5))
    assert HtmlSpider.recognises(page(f"<body><ul>{dates}</ul></body>")).startswith("a page for people with 4 dates")
    event = '<script type="application/ld+json">{"@type": "Event", "name": "M", "startDate": "2024-03-01"}</script>'
    assert HtmlSpider.recognises(page(f"<body>{event}<ul>{dates}</ul></body>")) == ""
    assert HtmlSpider.recognises(page("<body><p>About us</p></body>")) == ""
    assert Pit.recognises(page(row())) == "1 rows of pit"
    assert Pit.recognises(page("<li class='gig'><p>of another site</p></li>")) == ""


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Paradiso, Amsterdam", {"venue": "Paradiso, Amsterdam"}),
        ("O2 Arena", {"venue": "O2 Arena"}),
        (
            "The Pit, 207 Clemens Pkwy, Elmira, NY, 14901, United States",
            {"venue": "The Pit", "city": "Elmira", "region": "NY", "country": "US"},
        ),
        (
            "Studio 54, 254 W 54th St, New York, NY 10019",
            {"venue": "Studio 54", "city": "New York", "region": "NY", "country": "US"},
        ),
        (
            "Horseshoe, 370 Queen St W, Toronto, ON M5V 2A2, Canada",
            {"venue": "Horseshoe", "city": "Toronto", "region": "ON", "country": "CA"},
        ),
        ("The Fleece, 12 St Thomas St, Bristol BS1 6JJ", {"venue": "The Fleece", "city": "Bristol", "country": "GB"}),
        (
            "Artrix, Slideslow Drive, Bromsgrove, Worcestershire, B60 1GN",
            {"venue": "Artrix", "city": "Bromsgrove", "country": "GB"},
        ),
        ("The Alibi, Gade 1, 8000 Århus C, Denmark", {"venue": "The Alibi", "city": "Århus C", "country": "Denmark"}),
        ("Tivoli, Kade 11, 3511 WC Utrecht", {"venue": "Tivoli", "city": "Utrecht"}),
        ("Debaser, Strand 4, 117 39 Stockholm, Sweden", {"venue": "Debaser", "city": "Stockholm", "country": "Sweden"}),
        ("Café X, Rue 12, Paris, France", {"venue": "Café X", "city": "Paris, France"}),
        ("", {}),
    ],
)
def test_a_place_in_one_line_is_split_as_far_as_it_is_certain(text: str, place: dict[str, str]) -> None:
    assert place_in(text) == place


def test_an_address_in_one_line_tells_its_town_where_it_is_certain() -> None:
    assert address_in("Gade 1, 8000 Århus C") == {"city": "Århus C"}
    assert address_in("Oslo, Norway") == {"city": "Oslo, Norway"}
    assert address_in("Behind house 12") == {}


def test_plain_text_has_no_tags_and_no_entities() -> None:
    assert plain("AT&amp;amp;T <b>Moths</b><br>Lamps") == "AT&T Moths Lamps"
    assert plain("R&B <3 &") == "R&B <3 &"
    assert plain(" \u00a0 ") is None and plain(math.pi) is None


SITES = {
    "albany_theatre": [("The Moths & Friends", "2020-02-14", "Albany Theatre", "announced")],
    "alexandra_birmingham": [("The Moths", "2020-02-12", "The Alexandra", "announced")],
    "arena_birmingham": [
        ("Moths / Lamps", "2020-01-24", "Arena Birmingham", "announced"),
        ("Dust", "2020-01-25", "Resorts World Arena", "announced"),
    ],
    "artrix": [("Moths", "2020-01-10", "Artrix", "announced")],
    "belgrade_theatre": [
        ("Dust", "2019-12-31", "Belgrade Theatre", "announced"),
        ("Moths of Coventry", "2020-01-16", "Belgrade Theatre", "announced"),
    ],
    "birmingham_hippodrome": [
        ("Moths", "2020-02-06", "Birmingham Hippodrome", "announced"),
        ("Moths", "2020-02-07", "Birmingham Hippodrome", "announced"),
    ],
    "corning_chamber": [("Moths on the Square", "2026-08-09", None, "announced")],
    "heavymetal_dk": [
        ("Moths / Lamps", "2025-12-18", "Amager Bio", "announced"),
        ("Dust / Rust", "2026-10-04", "Amager Bio", "announced"),
    ],
    "resorts_world_arena": [
        ("Moths / Lamps", "2020-01-24", "Resorts World Arena", "announced"),
        ("Dust", "2020-01-25", "Arena Birmingham", "announced"),
    ],
    "rockwell_museum": [("Moths on the Terrace", "2020-01-11", "The Rockwell Museum", "announced")],
    "symphony_hall": [("Moths", "2020-01-18", "Town Hall", "announced")],
    "tivolivredenburg": [
        ("The Moths", "2022-07-22", "TivoliVredenburg", "cancelled"),
        ("Lamps", "2022-08-10", "Slottuin Zeist", "announced"),
    ],
    "warwick_arts_centre": [("The Moths", "2020-01-15", "Warwick Arts Centre", "announced")],
}


@pytest.mark.parametrize("name", sorted(SITES))
def test_each_site_is_read_as_its_saved_answer_says(name: str) -> None:
    kind = SPIDER_BY_NAME[name]
    spider = kind(clock=lambda: datetime(2020, 1, 5, 12, tzinfo=UTC))
    body = (ANSWERS / "sites" / f"{name}.html").read_bytes()
    found = messages(list(spider.parse(HtmlResponse(spider.start_url, body=body, encoding="utf-8"))))
    told = [one[0] for one in map(normalise, found) if isinstance(one, tuple)]
    assert [
        (" / ".join(act.name for act in one.acts), one.night.isoformat(), one.place.name, one.status.value)
        for one in told
        if isinstance(one, Listing)
    ] == SITES[name]
    response = HtmlResponse(spider.start_url, body=body, encoding="utf-8")
    assert spider.faults == []
    assert [one.name for one in SPIDERS if one.format == "html" and one.recognises(response)] in (
        [name],
        ["arena_birmingham", "resorts_world_arena"],  # one house runs both
    ) or name == "albany_theatre"  # of its two rows one has no date


def test_every_source_of_a_page_or_a_calendar_is_a_short_file_with_a_saved_answer() -> None:
    folder = Path(__file__).parents[2] / "spiders" / "sources"
    answers = {path.stem for path in (ANSWERS / "sites").iterdir()}
    for name in answers:
        assert len((folder / f"{name}.py").read_text().splitlines()) <= 20, name
    own = {one.name for one in SPIDERS if one.format in ("html", "icalendar") and one.start_urls}
    assert own <= answers

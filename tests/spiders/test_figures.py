"""What a run is measured by."""

from datetime import UTC, datetime

from scrapy import Request
from scrapy.http import Response

from schemas.raw import RawEvent
from schemas.rejection import Reason
from schemas.rows import envelope
from spiders.delivery import Counts, Lost
from spiders.errand import Errand
from spiders.formats.base import SourceSpider, Unreadable
from spiders.monitoring.figures import LONGEST_SAMPLE, SAMPLES, Figures, Reach, Tally, figures_of, filled, statuses_in


class Hall(SourceSpider):
    name = "hall"
    message = RawEvent
    key_hosts = frozenset({"hall.example"})


def event(number: int, **fields: object) -> RawEvent:
    return envelope(
        RawEvent,
        source="hall",
        source_id=str(number),
        seen_at=datetime(2024, 1, 1, tzinfo=UTC),
        spider="hall",
        fields={"artist": "Moths", **fields},
    )


def unreadable(text: str) -> Unreadable:
    return Unreadable("gigz.raw-event.v1", "hall", "https://hall.example/1", Reason.BAD_DATE, text, b"{}")


def figures(tally: Tally, **stats: object) -> Figures:
    return tally.figures(Counts(scraped=4, delivered=3, rejected=1), stats, 1.5, Lost(10, 2, 1), Reach.WHOLE)


def test_a_field_that_says_nothing_is_not_covered_and_coordinates_need_both() -> None:
    assert filled({"artist": "Moths", "venue": "", "songs": [], "city": None, "lat": 1.0}) == {"artist"}
    assert filled({"lat": 0.0, "lon": 0.0}) == {"coordinates"}


def test_coverage_is_the_share_of_messages_and_not_of_what_was_refused() -> None:
    tally = Tally()
    for number in range(4):
        tally.add(event(number, **({"venue": "Alibi"} if number else {})))
    tally.add(unreadable("no such day"))
    assert figures(tally).coverage == {"artist": 1.0, "venue": 0.75}


def test_requests_are_counted_by_status_and_by_what_broke_and_a_missing_robots_txt_is_no_error() -> None:
    told = figures(
        Tally(),
        **{
            "downloader/request_count": 7,
            "downloader/response_bytes": 900,
            "downloader/response_status_count/200": 3,
            "downloader/response_status_count/404": 2,
            "downloader/exception_type_count/twisted.internet.error.TimeoutError": 2,
            "robotstxt/response_status_count/404": 1,
        },
    )
    assert dict(told.statuses) == {"200": 3, "404": 1, "TimeoutError": 2}
    assert (told.requests, told.bytes, told.errors) == (7, 900, 4)  # 404, two without an answer, one item refused


def test_an_answer_that_says_that_nothing_was_found_is_no_failure_and_no_sample() -> None:
    tally, spider = Tally(), Hall(Errand(start_url="https://hall.example/"))
    for meta in ({"handle_httpstatus_list": [404]}, {"handle_httpstatus_list": [404]}, {}):
        request = Request("https://hall.example/search", meta=meta)
        tally.answered(Response(request.url, status=404), request, spider)
    told = tally.figures(Counts(), {"downloader/response_status_count/404": 3}, 1.0, Lost(), Reach.PART)
    assert (dict(told.statuses), told.nothing_found, told.errors) == ({"404": 3}, 2, 1)
    assert told.samples == ("https://hall.example/search answered 404",)


def test_requests_that_were_not_sent_because_the_crawl_was_ending_are_no_failures() -> None:
    told = statuses_in(
        {
            "downloader/response_status_count/200": 3,
            "downloader/exception_type_count/spiders.formats.base.Left": 5,
            "downloader/exception_type_count/spiders.polite.limits.QuotaUsed": 1,
            "downloader/exception_type_count/spiders.polite.guard.Refused": 1,
        }
    )
    assert told == {"200": 3, "Refused": 1}


def test_marks_for_normalising_are_no_fields_that_a_source_covers() -> None:
    marks = {"read_in": "2024-02", "doubt": "tentative", "date_order": "DMY", "synthetic_time": "20:00"}
    assert filled({"date": "3 May"} | marks) == {"date"}
    old = figures_of({"coverage": {"date": 1.0, "read_in": 1.0}})
    assert old.coverage == {"date": 1.0}, "else runs of before would make the next one suspect"


def test_messages_are_counted_by_the_year_of_their_night() -> None:
    tally = Tally()
    dates = ("1997-11-17", "1998-01-01T01:30", "31-12-1997", "3 May 1998", "1997/1998", "May", None, "0001-01-01")
    for number, date in enumerate(dates):
        tally.add(event(number, date=date))
    assert figures(tally).years == {"1997": 3, "1998": 1}


def test_why_the_first_piece_was_refused_is_known() -> None:
    tally = Tally()
    assert tally.first_refused == ""
    tally.add(unreadable("no such\nday"))
    tally.add(unreadable("another"))
    assert tally.first_refused == "bad_date: no such day"


def test_a_fault_and_the_request_that_it_tells_of_are_one_error() -> None:
    tally = Tally()
    faults = ["https://hall.example/ answered 404", "no JSON"]
    tally.faulty(faults, unanswered={faults[0]})
    told = tally.figures(Counts(), {"downloader/response_status_count/404": 1}, 1.0, Lost(), Reach.WHOLE)
    assert told.errors == 2


def test_latency_is_the_mean_of_answers_that_came_over_the_wire() -> None:
    tally, spider = Tally(), Hall(Errand(start_url="https://hall.example/"))
    for waited in (0.1, 0.3, None):
        request = Request("https://hall.example/", meta={} if waited is None else {"download_latency": waited})
        tally.answered(Response("https://hall.example/"), request, spider)
    assert figures(tally).latency_s == 0.2


def test_errors_are_told_as_they_were_without_the_key_a_few_of_each_kind() -> None:
    tally, spider = Tally(), Hall(Errand(start_url="https://hall.example/"), api_key="s3cret")
    url = "https://hall.example/agenda?key=s3cret"
    for number in range(9):
        tally.add(unreadable(f"no such day {number} " + "x" * 900))
        tally.answered(Response(url, status=500), Request(url), spider)
    tally.answered(Response("https://hall.example/robots.txt", status=404), Request(url), spider)
    tally.faulty(["the page is gone"])
    samples = figures(tally).samples
    assert samples[0] == "the page is gone"
    assert samples[1] == "https://hall.example/agenda answered 500"
    assert len(samples) == 1 + 2 * SAMPLES and not any("s3cret" in sample for sample in samples)
    assert all(len(sample) <= LONGEST_SAMPLE for sample in samples)


def test_figures_come_back_out_of_a_row_also_of_one_that_knew_less() -> None:
    told = figures(Tally())
    assert figures_of(told.as_json() | {"accepted": True, "judged": {}}) == told
    assert figures_of({"items": 3}) == Figures(items=3)

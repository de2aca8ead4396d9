"""Calendars become events, each as often as it takes place."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from scrapy.http import Response, TextResponse

from matchers.normalise import normalise
from schemas.listing import Listing
from schemas.raw import RawMessage
from schemas.rejection import Reason
from spiders.formats import calendar_file
from spiders.formats.calendar_file import CalendarSpider
from spiders.formats.pages import MOST_A_PAGE
from spiders.sources import SPIDERS
from spiders.sources.calendars import CalendarsSpider
from tests.spiders.reading import ANSWERS, messages, spider_for, unreadable

URL = "https://pit.example/events.ics"
SPIDER_BY_NAME = {spider.name: spider for spider in SPIDERS}
BERLIN = "DTSTART;TZID=Europe/Berlin:20240301T200000"
LISBON = """BEGIN:VTIMEZONE
TZID:House clock
BEGIN:STANDARD
DTSTART:19961027T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19960331T010000
TZOFFSETFROM:+0000
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""


def calendar(*events: str, head: str = "") -> bytes:
    written = "".join(f"BEGIN:VEVENT\n{event.strip()}\nEND:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\n{head}{written}END:VCALENDAR\n".replace("\n", "\r\n").encode()


def read(body: bytes, **errand: Any) -> tuple[list[RawMessage], list[Any], CalendarSpider]:
    spider = spider_for(CalendarsSpider, URL, **errand)
    found = list(spider.parse(Response(URL, body=body)))
    return messages(found), unreadable(found), spider


def one(*lines: str, head: str = "") -> RawMessage:
    (found,), _, _ = read(calendar("\n".join(("UID:1", "SUMMARY:Moths", *lines)), head=head))
    return found


def dates(found: Sequence[RawMessage]) -> list[str]:
    return [message.fields["date"] for message in found]


def test_an_event_becomes_a_message_with_everything_it_says() -> None:
    lines = """UID:moths-1@pit.example
DTSTAMP:20240101T120000Z
LAST-MODIFIED:20240115T120000Z
DTSTART;TZID=Europe/Berlin:20240301T200000
DTEND;TZID=Europe/Berlin:20240302T010000
SUMMARY:Moths\\, Lamps &amp\\; Dust
LOCATION:The Pit\\, Gade 1\\, 8000 Århus C\\, Denmark
GEO:56.15;10.2
URL:https://pit.example/gigs/moths
STATUS:CANCELLED
DESCRIPTION:long
"""
    (moths,), bad, spider = read(calendar(lines))
    assert moths.fields == {
        "title": "Moths, Lamps & Dust",
        "date": "2024-03-01T20:00:00+01:00",
        "tz": "Europe/Berlin",
        "status": "cancelled",
        "venue": "The Pit",
        "city": "Århus C",
        "country": "Denmark",
        "lat": 56.15,
        "lon": 10.2,
    }
    assert (moths.source_id, moths.url) == ("moths-1@pit.example", "https://pit.example/gigs/moths")
    assert moths.seen_at == datetime(2024, 1, 15, 12, tzinfo=UTC)
    assert "DESCRIPTION:long" in (moths.payload or "") and bad == [] and spider.faults == []


@pytest.mark.parametrize(
    ("line", "head", "written", "tz"),
    [
        ("DTSTART;TZID=Europe/Berlin:20240701T200000", "", "2024-07-01T20:00:00+02:00", "Europe/Berlin"),
        ("DTSTART;TZID=W. Europe Standard Time:20240701T200000", "", "2024-07-01T20:00:00+02:00", "Europe/Berlin"),
        ("DTSTART;TZID=Eastern Standard Time:20240701T200000", "", "2024-07-01T20:00:00-04:00", "America/New_York"),
        ("DTSTART;TZID=/mozilla.org/x/Europe/Oslo:20240701T200000", "", "2024-07-01T20:00:00+02:00", "Europe/Oslo"),
        ("DTSTART;TZID=House clock:20240701T200000", LISBON, "2024-07-01T20:00:00+01:00", None),
        ("DTSTART;TZID=House clock:20240101T200000", LISBON, "2024-01-01T20:00:00Z", None),
        ("DTSTART;TZID=Nowhere/Land:20240701T200000", "", "2024-07-01T20:00:00", None),
        ("DTSTART:20240701T200000", "", "2024-07-01T20:00:00", None),
        ("DTSTART:20240701T200000", "X-WR-TIMEZONE:Europe/Paris\n", "2024-07-01T20:00:00", "Europe/Paris"),
        ("DTSTART:20240701T180000Z", "", "2024-07-01T18:00:00Z", None),
        ("DTSTART:20240701T180000Z", "X-WR-TIMEZONE:Europe/Paris\n", "2024-07-01T20:00:00+02:00", "Europe/Paris"),
        ("DTSTART;VALUE=DATE:20240701", "", "2024-07-01", None),
        ("DTSTART;VALUE=DATE:20240701\nDTEND;VALUE=DATE:20240702", "", "2024-07-01", None),
        ("DTSTART;VALUE=DATE:20240701\nDTEND;VALUE=DATE:20240704", "", "2024-07-01/2024-07-03", None),
        ("DTSTART;VALUE=DATE:20240701\nDURATION:P2D", "", "2024-07-01/2024-07-02", None),
        ("DTSTART:20240701T000000\nDTEND:20240702T000000", "", "2024-07-01", None),
        ("DTSTART:20240701T190000\nDTEND:garbage", "", "2024-07-01T19:00:00", None),
    ],
)
def test_times_are_by_the_clock_of_their_zone(line: str, head: str, written: str, tz: str | None) -> None:
    fields = one(line, head=head).fields
    assert (fields["date"], fields.get("tz")) == (written, tz)


def test_a_zone_of_one_calendar_is_forgotten_with_it() -> None:
    assert one("DTSTART;TZID=House clock:20240701T200000", head=LISBON).fields["date"].endswith("+01:00")
    assert one("DTSTART;TZID=House clock:20240701T200000").fields["date"] == "2024-07-01T20:00:00"


def test_what_returns_is_a_listing_for_each_night_without_those_taken_out() -> None:
    found, bad, _ = read(
        calendar(
            f"UID:jam\nSUMMARY:Jam\n{BERLIN}\nRRULE:FREQ=WEEKLY;COUNT=5\nRDATE;TZID=Europe/Berlin:20240310T170000\n"
            "EXDATE;TZID=Europe/Berlin:20240308T200000",
            "UID:jam\nSUMMARY:Jam in the hall\nRECURRENCE-ID;TZID=Europe/Berlin:20240315T200000\n"
            "DTSTART;TZID=Europe/Berlin:20240316T210000",
            "UID:jam\nSUMMARY:Jam\nRECURRENCE-ID;TZID=Europe/Berlin:20240322T200000\nSTATUS:CANCELLED\n"
            "DTSTART;TZID=Europe/Berlin:20240322T200000",
        )
    )
    assert bad == []
    assert sorted((m.source_id, m.fields["date"], m.fields["title"], m.fields.get("status")) for m in found) == [
        ("jam@20240301T190000Z", "2024-03-01T20:00:00+01:00", "Jam", None),
        ("jam@20240310T160000Z", "2024-03-10T17:00:00+01:00", "Jam", None),
        ("jam@20240315T190000Z", "2024-03-16T21:00:00+01:00", "Jam in the hall", None),
        ("jam@20240322T190000Z", "2024-03-22T20:00:00+01:00", "Jam", "cancelled"),
        ("jam@20240329T190000Z", "2024-03-29T20:00:00+01:00", "Jam", None),
    ]
    moved = next(m for m in found if "hall" in m.fields["title"])
    assert "RECURRENCE-ID" in (moved.payload or "")


def test_a_change_from_a_night_on_keeps_the_ids_of_the_nights_that_are_known() -> None:
    series = f"UID:jam\nSUMMARY:Jam\n{BERLIN}\nRRULE:FREQ=WEEKLY;COUNT=6"
    later = (
        "UID:jam\nSUMMARY:Late jam\nRECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20240315T200000\n"
        "DTSTART;TZID=Europe/Berlin:20240316T210000"
    )
    alone = "UID:jam\nSUMMARY:Jam\nRECURRENCE-ID;TZID=Europe/Berlin:20240329T200000\nDTSTART:20240329T170000Z"
    before, _, _ = read(calendar(series))
    after, bad, _ = read(calendar(series, later, alone))
    assert bad == [] and [m.source_id for m in before] == [m.source_id for m in after]
    assert dates(after) == [
        "2024-03-01T20:00:00+01:00",
        "2024-03-08T20:00:00+01:00",
        "2024-03-16T21:00:00+01:00",
        "2024-03-23T21:00:00+01:00",
        "2024-03-29T17:00:00Z",
        "2024-04-06T21:00:00+02:00",
    ]
    assert "THISANDFUTURE" in (after[3].payload or "") and "THISANDFUTURE" not in (after[4].payload or "")
    days, _, _ = read(
        calendar(
            "UID:1\nSUMMARY:Jam\nDTSTART;VALUE=DATE:20240301\nRRULE:FREQ=WEEKLY;COUNT=3",
            "UID:1\nSUMMARY:Jam\nRECURRENCE-ID;RANGE=THISANDFUTURE;VALUE=DATE:20240308\nDTSTART;VALUE=DATE:20240309",
        )
    )
    assert [(m.source_id, m.fields["date"]) for m in days] == [
        ("1@20240301", "2024-03-01"),
        ("1@20240308", "2024-03-09"),
        ("1@20240315", "2024-03-16"),
    ]


def test_an_hour_stays_through_the_change_of_clocks() -> None:
    found, _, _ = read(calendar(f"UID:jam\nSUMMARY:Jam\n{BERLIN}\nRRULE:FREQ=MONTHLY;COUNT=2"))
    assert dates(found) == ["2024-03-01T20:00:00+01:00", "2024-04-01T20:00:00+02:00"]


def test_what_never_ends_is_followed_a_year_back_and_two_ahead_of_the_spiders_clock() -> None:
    found, _, _ = read(calendar("UID:jam\nSUMMARY:Jam\nDTSTART;VALUE=DATE:20000101\nRRULE:FREQ=DAILY"))
    assert (dates(found)[0], dates(found)[-1]) == ("2023-01-31", "2026-02-01")
    found, _, _ = read(calendar("UID:jam\nSUMMARY:Jam\nDTSTART;VALUE=DATE:20000101\nRRULE:FREQ=DAILY"),
                       since=date(2010, 5, 1), until=date(2010, 5, 3))  # fmt: skip
    assert dates(found) == ["2010-05-01", "2010-05-02", "2010-05-03"]


def test_a_single_event_is_given_however_old() -> None:
    assert one("DTSTART:19690815T170000").fields["date"] == "1969-08-15T17:00:00"


@pytest.mark.parametrize(
    ("lines", "reason", "told"),
    [
        ("DTSTART:20241301T000000", Reason.BAD_DATE, "DTSTART"),
        ("DTSTART:soon", Reason.BAD_DATE, "DTSTART"),
        ("DTEND:20240301T200000", Reason.NO_DATE, "DTSTART"),
        (f"{BERLIN}\nRRULE:FREQ=WEEKLYY", Reason.BAD_VALUE, "RRULE"),
        (f"{BERLIN}\nRRULE:FREQ=SECONDLY", Reason.BAD_VALUE, "RRULE"),
        (f"{BERLIN}\nRRULE:FREQ=DAILY;INTERVAL=0", Reason.BAD_VALUE, "RRULE"),
        (f"{BERLIN}\nRRULE:FREQ=DAILY;BYHOUR=1,2,3,4,5;BYMINUTE=1,2,3,4,5,6", Reason.BAD_VALUE, "RRULE"),
        (f"{BERLIN}\nRRULE:FREQ=DAILY\nEXDATE:never", Reason.BAD_VALUE, "EXDATE"),
        (f"{BERLIN}\nRECURRENCE-ID:once", Reason.BAD_VALUE, "RECURRENCE-ID"),
    ],
)
def test_a_broken_event_is_a_rejection_and_its_neighbours_are_read(lines: str, reason: Reason, told: str) -> None:
    found, (bad,), spider = read(
        calendar(f"UID:1\nSUMMARY:Dust\n{lines}", f"UID:2\nSUMMARY:Moths\n{BERLIN}", f"UID:3\nSUMMARY:Rust\n{BERLIN}")
    )
    assert [message.fields["title"] for message in found] == ["Moths", "Rust"]
    assert (bad.reason, told in bad.text, b"SUMMARY:Dust" in bad.original) == (reason, True, True)
    assert spider.faults == []


def test_an_event_without_an_end_is_a_rejection_and_the_next_is_read() -> None:
    body = calendar("UID:1\nSUMMARY:Dust", f"UID:2\nSUMMARY:Moths\n{BERLIN}").replace(b"Dust\r\nEND:VEVENT", b"Dust")
    found, (bad,), spider = read(body)
    assert [message.fields["title"] for message in found] == ["Moths"] and b"Dust" in bad.original
    assert spider.faults == []


def test_a_calendar_that_is_cut_off_is_a_fault_and_what_was_whole_is_given() -> None:
    body = calendar(f"UID:1\nSUMMARY:Moths\n{BERLIN}", f"UID:2\nSUMMARY:Dust\n{BERLIN}")
    found, (bad,), spider = read(body[: body.index(b"Dust")])
    assert [message.fields["title"] for message in found] == ["Moths"] and b"UID:2" in bad.original
    assert "cut off" in spider.faults[0]


def test_what_is_no_calendar_is_a_fault_and_a_rejection() -> None:
    found, (bad,), spider = read(b"<html><body>Not found</body></html>")
    assert found == [] and bad.reason is Reason.BAD_DOCUMENT and "no calendar" in spider.faults[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_every_usual_encoding_is_read(encoding: str) -> None:
    body = calendar(f"UID:1\nSUMMARY:Møths på Århus\n{BERLIN}").decode().encode(encoding)
    (moths,), _, _ = read(body)
    assert moths.fields["title"] == "Møths på Århus"


def test_the_charset_of_the_server_counts_where_it_is_no_utf_8() -> None:
    body = calendar(f"UID:1\nSUMMARY:Мотыльки\n{BERLIN}").decode().encode("koi8-r")
    spider = spider_for(CalendarsSpider, URL)
    (moths,) = messages(list(spider.parse(TextResponse(URL, body=body, encoding="koi8-r"))))
    assert moths.fields["title"] == "Мотыльки"


def test_folded_lines_are_whole_whatever_ends_them() -> None:
    body = calendar(f"UID:1\nSUMMARY:Moths and\n  Lamps\n{BERLIN}")
    assert [read(body.replace(b"\r\n", end))[0][0].fields["title"] for end in (b"\r\n", b"\n", b"\r")] == [
        "Moths and Lamps"
    ] * 3


def test_a_fold_within_a_character_breaks_no_text() -> None:
    body = calendar(f"UID:1\nSUMMARY:Møths på Århus\n{BERLIN}").replace("ø".encode(), b"\xc3\r\n \xb8")
    (moths,), bad, _ = read(body)
    assert (moths.fields["title"], bad) == ("Møths på Århus", [])
    spider = spider_for(CalendarsSpider, URL)
    folded = calendar(f"UID:1\nSUMMARY:Møths\n and Lamps\n{BERLIN}").decode().encode("utf-16-le")
    (moths,) = messages(list(spider.parse(TextResponse(URL, body=folded, encoding="utf-16-le"))))
    assert moths.fields["title"] == "Møthsand Lamps"


def test_an_event_that_was_sent_again_counts_as_it_was_last() -> None:
    again = f"UID:1\nSUMMARY:Moths\nSEQUENCE:2\n{BERLIN.replace('0301', '0401')}"
    found, _, _ = read(calendar(f"UID:1\nSUMMARY:Moths\nSEQUENCE:1\n{BERLIN}", again))
    assert dates(found) == ["2024-04-01T20:00:00+02:00"]


def test_different_events_under_one_id_have_ids_of_their_own() -> None:
    other = f"UID:1\nSUMMARY:Dust\n{BERLIN.replace('0301', '0401')}"
    found, _, _ = read(calendar(f"UID:1\nSUMMARY:Moths\n{BERLIN}", other))
    assert [message.source_id for message in found] == [f"1@{day}" for day in dates(found)]


def test_an_event_without_an_id_gets_one_that_lasts() -> None:
    (moths,), _, _ = read(calendar(f"SUMMARY:Moths\n{BERLIN}"))
    (again,), _, _ = read(calendar(f"SUMMARY:Moths\nDESCRIPTION:more\n{BERLIN}"))
    assert moths.source_id == again.source_id and moths.source_id.startswith("derived-")


def test_tentative_is_doubt_and_a_link_is_no_place() -> None:
    fields = one(BERLIN, "STATUS:TENTATIVE", "LOCATION:https://zoom.example/j/1").fields
    assert fields["doubt"] == "the calendar calls it tentative" and "venue" not in fields and "status" not in fields


def test_a_message_that_takes_events_back_cancels_them() -> None:
    assert one(BERLIN, head="METHOD:CANCEL\n").fields["status"] == "cancelled"


def test_webcal_is_https() -> None:
    assert spider_for(CalendarsSpider, "webcal://pit.example/x.ics").start_url == "https://pit.example/x.ics"


def test_a_calendar_is_recognised_and_a_page_is_not() -> None:
    body = calendar(f"UID:1\n{BERLIN}")
    assert CalendarSpider.recognises(Response(URL, body=b"\xef\xbb\xbf" + body)) == "a calendar with 1 events"
    assert CalendarSpider.recognises(Response(URL, body=b"<html>BEGIN:VCALENDAR</html>")) == ""


def test_xcal_is_read_as_the_calendar_it_stands_for() -> None:
    kind = SPIDER_BY_NAME["flxcalendar"]
    body = (ANSWERS / "sites" / "flxcalendar.xml").read_bytes()
    spider = kind(clock=lambda: datetime(2026, 8, 9, 12, tzinfo=UTC))
    found = messages(list(spider.parse(Response(spider.start_url, body=body))))
    assert [(m.source_id, m.fields["date"]) for m in found] == [
        ("moths-time.ly@20260811T220000Z", "2026-08-11T18:00:00-04:00"),
        ("moths-time.ly@20260825T220000Z", "2026-08-25T18:00:00-04:00"),
    ]
    assert found[0].fields["title"] == "Moths, live; & loud"
    assert {n: found[0].fields[n] for n in ("venue", "city", "region", "lat", "lon", "tz")} == {
        "venue": "The Pit", "city": "Corning", "region": "NY", "lat": 42.14, "lon": -77.05, "tz": "America/New_York",
    }  # fmt: skip
    assert kind.recognises(Response(URL, body=body)) == "a calendar as XML with 1 events" and spider.faults == []
    cut = kind()
    list(cut.parse(Response(URL, body=body[:-20])))
    assert "cut off" in cut.faults[0]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("clemens_center", ("Moths", "2026-08-20", "Clemens Center", "Elmira", "cancelled")),
        ("chemung_museum", ("Out to Lunch", "2026-08-12", "Chemung Valley Museum", "Elmira", "announced")),
    ],
)
def test_each_calendar_is_read_as_its_saved_answer_says(name: str, told: tuple[str, ...]) -> None:
    spider = SPIDER_BY_NAME[name]()
    body = (ANSWERS / "sites" / f"{name}.ics").read_bytes()
    (message,) = messages(list(spider.parse(Response(spider.start_url, body=body))))
    found = normalise(message)
    assert isinstance(found, tuple)
    (listing,) = found
    assert isinstance(listing, Listing)
    place = listing.place
    assert (listing.acts[0].name, str(listing.night), place.name, place.city, listing.status.value) == told


def test_no_calendar_stops_the_reading() -> None:
    spoiled = calendar(f"UID:1\nSUMMARY:Moths\n{BERLIN}\nRRULE:FREQ=WEEKLY;COUNT=3")
    told: Counter[str] = Counter()
    for at in range(0, len(spoiled), 5):
        for wrong in (b"", b"\x00", b"\xff", b";", b":", b"\r\n", b"BEGIN:VEVENT\r\n", b"99999999"):
            found, bad, _ = read(spoiled[:at] + wrong + spoiled[at + 1 :])
            told["messages"] += len(found)
            told["rejections"] += len(bad)
    assert told["messages"] > 500 and told["rejections"] > 50


def test_a_calendar_is_given_as_it_is_read_and_no_further_than_a_house_plays() -> None:
    daily = [f"UID:{at}\nSUMMARY:Moths {at}\nDTSTART:20240101T200000Z\nRRULE:FREQ=DAILY" for at in range(2_000)]
    spider = spider_for(CalendarsSpider, URL)
    started = time.monotonic()
    found = iter(spider.parse(Response(URL, body=calendar(*daily))))
    assert isinstance(next(found), RawMessage) and time.monotonic() - started < 1
    assert len(messages(list(found))) == MOST_A_PAGE - 1
    (fault,) = spider.faults
    assert f"{URL} has more than 20,000 nights: the rest is not read. Remedy: " in fault and "--since" in fault


@pytest.mark.parametrize("more", [0, 1])
def test_a_calendar_with_as_many_nights_as_are_given_is_whole(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_file, "MOST_A_PAGE", 3)
    events = [f"UID:1\nSUMMARY:Moths\nDTSTART:2024030{day}T200000Z" for day in range(1, 4 + more)]
    found, _, spider = read(calendar(*events))
    assert (len(found), len(spider.faults)) == (3, more)
    alone = [f"SUMMARY:Moths\nDTSTART:2024030{day}T200000Z" for day in range(1, 4 + more)]
    found, _, spider = read(calendar(*alone))
    assert (len(found), len(spider.faults)) == (3, more)


def test_what_returns_is_the_same_however_far_it_is_followed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [
        "UID:1\nSUMMARY:Moths\nDTSTART;TZID=Europe/Berlin:20230601T200000\nRRULE:FREQ=WEEKLY\nDURATION:P3D",
        "UID:1\nSUMMARY:Dust\nDTSTART;TZID=Europe/Berlin:20240320T210000\n"
        "RECURRENCE-ID;TZID=Europe/Berlin:20230615T200000",
        "UID:2\nSUMMARY:Lamps\nDTSTART:20230601\nRRULE:FREQ=YEARLY;INTERVAL=2",
    ]
    told = []
    for stride in (10_000, 366, 10):
        monkeypatch.setattr(calendar_file, "STRIDE", timedelta(days=stride))
        found, bad, spider = read(calendar(*events))
        assert (bad, spider.faults) == ([], [])
        told.append(sorted((one.source_id, str(one.fields)) for one in found))
    assert told[0] == told[1] == told[2] and len(told[0]) > 100

"""Each kind of file, as people and programs write it."""

import json
from email.message import EmailMessage
from pathlib import Path

import pytest

from api.imports.photos import shot_of
from api.imports.reading import dry_run, read_photos, read_rows
from api.imports.shapes import Format, Standing
from tests.api.imports.files import exif, faults_of, heic, jpeg, reading_of, rows_of, said, shows_of, zipped

MUSE = {"artist": "Muse", "date": "2001-05-05", "venue": "Brixton Academy", "city": "London"}


# -- plain lists ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "show"),
    [
        ("Radiohead, Reading 1994", {"artist": "Radiohead", "date": "1994", "city": "Reading"}),
        ("1994 Reading - Radiohead", {"artist": "Radiohead", "date": "1994", "city": "Reading"}),
        (
            "14.11.2014 Tocotronic @ Große Freiheit",
            {"artist": "Tocotronic", "date": "2014-11-14", "venue": "Große Freiheit"},
        ),
        (
            "Nirvana - Paradiso, Amsterdam - 25 Nov 1991",
            {"artist": "Nirvana", "date": "1991-11-25", "venue": "Paradiso", "city": "Amsterdam"},
        ),
        ("Sigur Rós, Wien, März 2003", {"artist": "Sigur Rós", "date": "März 2003", "city": "Wien"}),
        (
            "* The 1975 at Brixton Academy, London (14 March 2014)",
            {"artist": "The 1975", "date": "2014-03-14", "venue": "Brixton Academy", "city": "London"},
        ),
        ("3) 2019-06-21: The Cure, Roskilde", {"artist": "The Cure", "date": "2019-06-21", "city": "Roskilde"}),
    ],
)
def test_a_line_of_a_list_tells_who_where_and_when(line: str, show: dict[str, str]) -> None:
    assert shows_of("list.txt", line + "\n") == [show]


def test_a_heading_that_is_a_year_holds_for_the_lines_below_it() -> None:
    text = "# My concerts\n\n## 1994\n- 28 Aug: Radiohead, Reading\n\n1995\n====\n- Blur, Mile End Stadium\n"
    assert shows_of("list.txt", text) == [
        {"artist": "Radiohead", "date": "1994-08-28", "city": "Reading"},
        {"artist": "Blur", "date": "1995", "venue": "Mile End Stadium"},
    ]


def test_lines_of_one_shape_say_together_which_part_is_the_place() -> None:
    lines = ["Boston - Paradiso - 1977", "Chicago - Hammersmith Odeon - 1979", "Europe - Wembley Arena - 1987"]
    lines += ["Foreigner - Madison Square Garden - 1982", "Asia - Olympiahalle - 1983"]
    assert [show["artist"] for show in shows_of("list.txt", "\n".join(lines))] == [
        "Boston",
        "Chicago",
        "Europe",
        "Foreigner",
        "Asia",
    ]


def test_beside_a_dash_a_comma_parts_acts_and_a_place_may_stand_in_brackets() -> None:
    shows = shows_of("list.txt", "AC/DC, Metallica - Donington 1991\nPrince (Rotterdam 1988)\n")
    assert [(show["artist"], show["date"]) for show in shows] == [
        ("AC/DC", "1991"),
        ("Metallica", "1991"),
        ("Prince", "1988"),
    ]
    assert shows[2]["city"] == "Rotterdam"


def test_prose_in_a_list_comes_back_with_its_reason() -> None:
    text = (
        "Radiohead, Reading 1994\n"
        "That summer was hot and we drove all night to see some bands that nobody knows any "
        "more.\n"
    )
    rows = rows_of("list.txt", text)
    assert [row.standing for row in rows] == [Standing.UNDERSTOOD, Standing.UNREADABLE]
    assert rows[1].original.startswith(b"That summer")
    assert "Remedy" in faults_of(rows)[0]


# -- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        [MUSE],
        {"concerts": [MUSE]},
        {"user": "me", "data": {"concerts": [MUSE]}},
        {name: [value, value] for name, value in MUSE.items()},
        [{"band": "Muse", "when": "2001-05-05", "venue": {"name": "Brixton Academy", "city": {"name": "London"}}}],
        [["Artist", "Date", "Venue", "City"], ["Muse", "2001-05-05", "Brixton Academy", "London"]],
    ],
)
def test_json_of_any_build_is_searched_for_its_shows(document: object) -> None:
    assert shows_of("mine.json", json.dumps(document)) == [MUSE]


def test_json_that_lists_shows_under_their_year_takes_the_year_from_there() -> None:
    document = {"1994": [{"artist": "Radiohead", "city": "Reading"}], "1995": [{"artist": "Blur", "city": "London"}]}
    assert [show["date"] for show in shows_of("mine.json", json.dumps(document))] == ["1994", "1995"]


def test_a_broken_line_of_json_lines_leaves_its_neighbours_alone() -> None:
    rows = rows_of("mine.jsonl", json.dumps(MUSE) + "\nnot json\n" + json.dumps(MUSE | {"artist": "Pulp"}) + "\n")
    assert [row.standing.value for row in rows] == ["understood", "unreadable", "understood"]
    assert rows[1].original == b"not json"


def test_typed_rows_of_any_names_are_read() -> None:
    reading = read_rows([{"Künstler": "Muse", "Datum": "05.05.2001", "Ort": "London"}])
    assert said(list(reading.rows())) == [{"artist": "Muse", "date": "2001-05-05", "city": "London"}] or dry_run(
        reading
    )
    assert [row.entries[0].remembered.artist for row in reading.rows()] == ["Muse"]


def test_pages_of_a_setlistfm_list_keep_songs_and_ids() -> None:
    show = {
        "id": "63de4613",
        "eventDate": "03-04-2014",
        "artist": {"mbid": "x", "name": "Hallworth"},
        "venue": {
            "name": "Sala Grande",
            "city": {"name": "Lisbon", "coords": {"lat": 38.7, "long": -9.1}, "country": {"code": "PT"}},
        },
        "sets": {"set": [{"song": [{"name": "One"}, {"name": "Intro", "tape": True}, {"name": "Two"}]}]},
    }
    pages = [{"type": "setlists", "page": page, "setlist": [show | {"id": f"a{page}"}]} for page in (1, 2)]
    for body in (json.dumps(pages[0]), json.dumps(pages), "\n".join(json.dumps(page, indent=1) for page in pages)):
        reading = reading_of("attended.json", body)
        assert reading.parts[0].format is Format.SETLISTFM
        assert said(list(reading.rows()))[0] == {
            "artist": "Hallworth",
            "date": "2014-04-03",
            "venue": "Sala Grande",
            "city": "Lisbon",
            "country": "PT",
            "lat": 38.7,
            "lon": -9.1,
            "songs": ["One", "Two"],
        }
    assert reading.total == 2


def test_a_songkick_gigography_is_read_with_every_act_of_its_bills() -> None:
    event = {
        "id": 7,
        "type": "Concert",
        "displayName": "Deltron at Irving Plaza (November 6, 2000)",
        "start": {"date": "2000-11-06", "time": "20:00:00", "datetime": None},
        "location": {"city": "New York, NY, US", "lat": 40.7, "lng": -73.9},
        "venue": {"displayName": "Irving Plaza", "lat": None, "lng": None},
        "performance": [
            {"billingIndex": 2, "artist": {"displayName": "Second"}},
            {"billingIndex": 1, "artist": {"displayName": "Deltron"}},
        ],
    }
    for inner in ({"event": [event]}, {"calendarEntry": [{"reason": {}, "event": event}]}):
        body = json.dumps({"resultsPage": {"status": "ok", "results": inner, "page": 1}})
        shows = shows_of("gigography.json", body)
        assert [show["artist"] for show in shows] == ["Deltron", "Second"]
        assert shows[0] | {"artist": ""} == {
            "artist": "",
            "date": "2000-11-06",
            "time": "20:00:00",
            "venue": "Irving Plaza",
            "city": "New York",
            "region": "NY",
            "country": "US",
            "lat": 40.7,
            "lon": -73.9,
        }


def test_bandsintown_events_are_read() -> None:
    event = {
        "id": "1",
        "datetime": "2018-02-13T19:30:00",
        "lineup": ["The Beach Boys"],
        "venue": {
            "name": "Ruth Eckerd Hall",
            "city": "Clearwater",
            "region": "FL",
            "country": "United States",
            "latitude": "27.97",
            "longitude": "-82.7",
        },
    }
    reading = reading_of("bandsintown.json", json.dumps([event]))
    assert reading.parts[0].format is Format.BANDSINTOWN
    assert said(list(reading.rows())) == [
        {
            "artist": "The Beach Boys",
            "date": "2018-02-13",
            "time": "19:30",
            "venue": "Ruth Eckerd Hall",
            "city": "Clearwater",
            "region": "FL",
            "country": "United States",
            "lat": 27.97,
            "lon": -82.7,
        }
    ]


@pytest.mark.data
def test_recorded_answers_of_the_services_are_read_whole(data_dir: Path) -> None:
    page = (data_dir / "fixtures/apis/setlistfm_tkozzer_phish.json").read_bytes()
    rows = rows_of("attended.json", page)
    assert len(rows) == len(json.loads(page)["setlist"])
    assert all(row.standing is Standing.UNDERSTOOD and row.entries[0].remembered.songs for row in rows[:3])
    calendar = (data_dir / "fixtures/songkick_api/users_attendance_calendar.json").read_bytes()
    assert all(row.standing is Standing.UNDERSTOOD for row in rows_of("calendar.json", calendar))


# -- calendars --------------------------------------------------------------------------------------------------------


def calendar(*events: str) -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", *events, "END:VCALENDAR", ""])


def event(*lines: str) -> str:
    return "\r\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT"])


def test_an_event_with_its_place_is_a_show_by_the_clock_of_its_zone() -> None:
    text = calendar(
        event(
            "UID:aaaa-1111@x",
            "DTSTART;TZID=Europe/Berlin:20141114T200000",
            "SUMMARY:Tocotronic @ Große Freiheit 36",
            "LOCATION:Große Freiheit 36\\, 22767 Hamburg\\, Deutschland",
        ),
        event(
            "UID:aaaa-2222@x",
            "DTSTART:20150302T030000Z",
            "SUMMARY:Concert: Low",
            "LOCATION:First Avenue\\, Minneapolis",
        ),
    )
    assert shows_of("mine.ics", text) == [
        {
            "artist": "Tocotronic",
            "date": "2014-11-14",
            "time": "20:00",
            "venue": "Große Freiheit 36",
            "city": "Hamburg",
            "country": "Deutschland",
        },
        {"artist": "Low", "date": "2015-03-01", "time": "21:00", "venue": "First Avenue", "city": "Minneapolis"},
    ]


def test_appointments_that_are_no_shows_come_back_and_nothing_of_them_is_an_entry() -> None:
    rows = rows_of(
        "mine.ics",
        calendar(
            event("UID:aaaa-1@x", "DTSTART:20141117T090000Z", "SUMMARY:Dentist", "LOCATION:Main Street 5"),
            event("UID:aaaa-2@x", "DTSTART;VALUE=DATE:20150117", "SUMMARY:Konzert: Element of Crime"),
            event("UID:aaaa-3@x", "DTSTART:20150117T190000Z", "SUMMARY:Konzert: Wir", "STATUS:CANCELLED"),
            "BEGIN:VEVENT",
            "DTSTART:nonsense",
            "END:VEVENT",
        ),
    )
    assert [row.standing.value for row in rows] == ["unreadable", "understood", "unreadable", "unreadable"]
    assert b"Dentist" in rows[0].original and not rows[0].entries
    assert "cancelled" in faults_of(rows)[1]


# -- mails ------------------------------------------------------------------------------------------------------------

MARKUP = {
    "@context": "http://schema.org",
    "@type": "EventReservation",
    "reservationFor": {
        "@type": "MusicEvent",
        "name": "Foo Fighters Concert",
        "startDate": "2027-03-06T19:30:00-08:00",
        "location": {
            "@type": "Place",
            "name": "AT&T Park",
            "address": {
                "@type": "PostalAddress",
                "addressLocality": "San Francisco",
                "addressRegion": "CA",
                "addressCountry": "US",
            },
        },
    },
}
RESERVED = {
    "artist": "Foo Fighters",
    "date": "2027-03-06",
    "time": "19:30",
    "venue": "AT&T Park",
    "city": "San Francisco",
    "region": "CA",
    "country": "US",
}
MICRODATA = """<div itemscope itemtype="http://schema.org/EventReservation">
<meta itemprop="reservationNumber" content="E1"/>
<div itemprop="reservationFor" itemscope itemtype="http://schema.org/MusicEvent">
<meta itemprop="name" content="Foo Fighters Concert"/>
<meta itemprop="startDate" content="2027-03-06T19:30:00-08:00"/>
<div itemprop="location" itemscope itemtype="http://schema.org/Place">
<meta itemprop="name" content="AT&amp;T Park"/><div itemprop="address" itemscope itemtype="http://schema.org/PostalAddress">
<meta itemprop="addressLocality" content="San Francisco"/><meta itemprop="addressRegion" content="CA"/>
<meta itemprop="addressCountry" content="US"/></div></div></div></div>"""


def mail(subject: str, text: str, html: str | None = None, sent: str = "Tue, 04 Mar 2014 10:00:00 +0000") -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"], message["Date"] = (
        "shop@example.com",
        "me@example.com",
        subject,
        sent,
    )
    message["Message-ID"] = f"<{abs(hash(subject))}@example.com>"
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message.as_bytes()


@pytest.mark.parametrize(
    "page",
    [f'<html><script type="application/ld+json">{json.dumps(MARKUP)}</script></html>', f"<html>{MICRODATA}</html>"],
)
def test_markup_in_a_ticket_mail_comes_before_its_words(page: str) -> None:
    rows = rows_of("ticket.eml", mail("Your tickets for Somebody Else", "Venue: Nowhere\nDate: 2011-01-01", page))
    assert said(rows) == [RESERVED]
    assert rows[0].standing is Standing.UNDERSTOOD


@pytest.mark.parametrize(
    ("subject", "text", "show"),
    [
        (
            "Deine Tickets für Tocotronic",
            "Veranstaltung: Tocotronic - Tour 2014\nDatum: Fr, 14.11.2014, 20:00 Uhr\n"
            "Veranstaltungsort: Große Freiheit 36, Hamburg",
            {
                "artist": "Tocotronic",
                "date": "2014-11-14",
                "time": "20:00",
                "venue": "Große Freiheit 36",
                "city": "Hamburg",
            },
        ),
        (
            "Vos billets",
            "Artiste : Air\nDate : 13 février 2015\nLieu : L'Olympia\nVille : Paris",
            {"artist": "Air", "date": "2015-02-13", "venue": "L'Olympia", "city": "Paris"},
        ),
        (
            "Tus entradas",
            "Artista: Vetusta Morla\nFecha: 20/05/2016\nRecinto: Sala Apolo\nCiudad: Barcelona",
            {"artist": "Vetusta Morla", "date": "2016-05-20", "venue": "Sala Apolo", "city": "Barcelona"},
        ),
        (
            "Your order: Radiohead at Paradiso",
            "You are going! May 20, 2016 8pm. Paid on 3 March 2014. Your e-tickets are attached.",
            {"artist": "Radiohead", "date": "2016-05-20", "venue": "Paradiso"},
        ),
    ],
)
def test_words_of_a_ticket_mail_are_read_where_no_markup_is(subject: str, text: str, show: dict[str, str]) -> None:
    assert shows_of("ticket.eml", mail(subject, text)) == [show]


def test_a_mailbox_gives_its_tickets_and_tells_of_the_other_mails() -> None:
    letters = [
        mail("Hello", "How are you?"),
        mail("Deine Tickets für Low", "Datum: 14.11.2014\nOrt: Knust, Hamburg"),
        mail("Order cancelled: tickets for Muse", "Date: 14.11.2015"),
    ]
    box = b"".join(b"From shop@example.com Tue Mar  4 10:00:00 2014\n" + letter + b"\n" for letter in letters)
    rows = rows_of("box.mbox", box)
    assert [row.standing.value for row in rows] == ["unreadable", "doubtful", "unreadable"] or rows[1].entries
    assert rows[1].entries[0].remembered.artist == "Low"
    assert rows[1].entries[0].remembered.date == "2014-11-14"
    assert "cancelled" in faults_of(rows)[1]


# -- photos -----------------------------------------------------------------------------------------------------------

HALL = (53.5502, 9.9556)


@pytest.mark.parametrize("container", [jpeg, heic])
def test_a_photo_tells_when_and_where(container: object) -> None:
    shot = shot_of("a.jpg", container(exif("2014:11:14 21:03:22", HALL)))  # type: ignore[operator]
    assert shot.taken is not None and f"{shot.taken:%Y-%m-%d %H:%M:%S}" == "2014-11-14 21:03:22"
    assert shot.lat == pytest.approx(HALL[0], abs=1e-4)
    assert shot.lon == pytest.approx(HALL[1], abs=1e-4)


def test_the_photos_of_one_evening_at_one_place_are_one_entry() -> None:
    photos = {
        "a/IMG_1.jpg": jpeg(exif("2014:11:14 21:03:22", HALL)),
        "a/IMG_2.heic": heic(exif("2014:11:15 00:33:22", (53.5505, 9.9560))),
        "a/IMG_3.jpg": jpeg(exif("2014:11:14 19:03:22", (48.137, 11.575))),
        "a/IMG_4.jpg": jpeg(exif("2014:11:16 21:03:22", HALL)),
        "a/IMG_5.jpg": jpeg(exif("2014:11:17 21:03:22")),
        "a/IMG_6.jpg": b"\xff\xd8\xff\xd9",
    }
    rows = rows_of("photos.zip", zipped(photos))
    shows = said(rows)
    assert [(show["date"], show.get("time")) for show in shows] == [
        ("2014-11-14", "19:03"),
        ("2014-11-14", "21:03"),
        ("2014-11-16", "21:03"),
    ]
    assert shows[1]["lat"] == pytest.approx(HALL[0], abs=0.01)
    assert rows[2].where == "IMG_1.jpg and 1 more" or any(row.where == "IMG_1.jpg and 1 more" for row in rows)
    assert sorted(fault.split(".")[0] for fault in faults_of(rows)) == [
        "it does not tell when it was taken",
        "the photos do not tell where they were taken",
    ]
    assert all(b"\xff" not in row.original for row in rows), "a name is given back, never a picture"


def test_a_folder_of_photos_and_a_table_of_them_say_the_same() -> None:
    table = (
        "SourceFile,DateTimeOriginal,GPSLatitude,GPSLongitude\n"
        'IMG_1.JPG,2014:11:14 21:03:22,"53 deg 33\' 0.72"" N","9 deg 57\' 20.16"" E"\n'
        'IMG_2.JPG,2014:11:14 23:03:22,"53 deg 33\' 0.80"" N","9 deg 57\' 20.10"" E"\n'
    )
    files = {"IMG_1.JPG": jpeg(exif("2014:11:14 21:03:22", HALL)), "IMG_2.JPG": jpeg(exif("2014:11:14 23:03:22", HALL))}
    reading = read_photos("folder", ((name, lambda body=body: body) for name, body in files.items()))
    (of_folder,) = said(list(reading.rows()))
    (of_table,) = shows_of("photos.csv", table)
    assert of_folder["date"] == of_table["date"] == "2014-11-14"
    assert of_folder["lat"] == pytest.approx(of_table["lat"], abs=1e-3)


# -- archives ---------------------------------------------------------------------------------------------------------


def test_an_archive_is_all_that_is_in_it() -> None:
    rows = rows_of(
        "all.zip",
        zipped(
            {
                "x/shows.csv": b"Artist,Date,City\nMuse,2001-05-05,London\nPulp,2002-06-06,Glasgow\n",
                "x/list.txt": b"Radiohead, Reading 1994\n",
                "x/ticket.eml": mail("Deine Tickets für Low", "Datum: 14.11.2014\nOrt: Knust, Hamburg"),
                "__MACOSX/._list.txt": b"\0\1\2",
                "x/IMG.jpg": jpeg(exif("2014:11:14 21:03:22", HALL)),
            }
        ),
    )
    assert {show.get("artist") for show in said(rows)} == {"Muse", "Pulp", "Radiohead", "Low", None}
    assert not faults_of(rows)

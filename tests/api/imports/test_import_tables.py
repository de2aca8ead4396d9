"""Tables of any build: headings in many languages, delimiters, encodings, orders of day and month."""

import pytest

from api.imports.headings import meant
from api.imports.reading import dry_run
from api.imports.shapes import Corrections, Field, ImportFailed, Standing
from matchers.dates import Order
from tests.api.imports.files import faults_of, reading_of, rows_of, said, shows_of

GERMAN = """Künstler;Datum;Spielstätte;Ort;Land;Begleitung;Bemerkung
Tocotronic;14.11.2014;Große Freiheit 36;Hamburg;Deutschland;Anna, Ben;schön
Die Ärzte;03.04.2015;Wuhlheide;Berlin;Deutschland;;
Element of Crime;24.12.2014;"Huxleys ""Neue"" Welt";Berlin;Deutschland;;
"""
READ = [
    {
        "artist": "Tocotronic",
        "date": "2014-11-14",
        "venue": "Große Freiheit 36",
        "city": "Hamburg",
        "country": "Deutschland",
        "note": "schön",
        "with": ["Anna", "Ben"],
    },
    {"artist": "Die Ärzte", "date": "2015-04-03", "venue": "Wuhlheide", "city": "Berlin", "country": "Deutschland"},
    {
        "artist": "Element of Crime",
        "date": "2014-12-24",
        "venue": 'Huxleys "Neue" Welt',
        "city": "Berlin",
        "country": "Deutschland",
    },
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_encoding_and_an_end_of_line_change_nothing(encoding: str, end: str) -> None:
    assert shows_of("gigs.csv", GERMAN.replace("\n", end).encode(encoding)) == READ


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_sign_between_cells_is_found(delimiter: str) -> None:
    lines = ["Artist,Date,Venue,City", "Muse,2001-05-05,Brixton Academy,London", "Pulp,2002-06-06,Barrowland,Glasgow"]
    text = "\n".join(line.replace(",", delimiter) for line in lines)
    for name in ("gigs.csv", "gigs.txt"):
        assert [show["artist"] for show in shows_of(name, text)] == ["Muse", "Pulp"]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        (
            "cp1251",
            "Группа;Дата;Город\nКино;24.06.1990;Москва\nАквариум;25.07.1991;Санкт-Петербург\n"
            "Мумий Тролль;13.05.1998;Владивосток\n",
        ),
        (
            "cp1250",
            "Zespół;Data;Miasto\nMyslovitz;24.06.1999;Łódź\nKult;25.07.2001;Gdańsk\n"
            "Hey;13.05.1998;Wrocław\nLao Che;14.05.2008;Poznań\n",
        ),
        (
            "shift_jis",
            "アーティスト,日付,都市\nくるり,2014-11-14,京都\nサカナクション,2015-04-03,札幌\n東京事変,2010-05-06,東京\n",
        ),
    ],
)
def test_other_alphabets_are_told_by_their_bytes(encoding: str, text: str) -> None:
    expected = [show["artist"] for show in shows_of("a.csv", text)]
    assert expected and [show["artist"] for show in shows_of("a.csv", text.encode(encoding))] == expected


@pytest.mark.parametrize(
    ("headings", "row"),
    [
        ("Date,Artist,Venue,City", "2014-11-14,Muse,Apollo,London"),
        ("Fecha,Artista,Recinto,Ciudad", "2014-11-14,Muse,Apollo,London"),
        ("Data,Artista,Local,Cidade", "2014-11-14,Muse,Apollo,London"),
        ("Data,Artista,Locale,Città", "2014-11-14,Muse,Apollo,London"),
        ("Datum,Artiest,Zaal,Plaats", "2014-11-14,Muse,Apollo,London"),
        ("Dato,Kunstner,Spillested,By", "2014-11-14,Muse,Apollo,London"),
        ("Datum,Artist,Plats,Stad", "2014-11-14,Muse,Apollo,London"),
        ("Päivämäärä,Esiintyjä,Paikka,Kaupunki", "2014-11-14,Muse,Apollo,London"),
        ("Data,Wykonawca,Miejsce,Miasto", "2014-11-14,Muse,Apollo,London"),
        ("Datum,Kapela,Místo,Město", "2014-11-14,Muse,Apollo,London"),
        ("Dátum,Előadó,Helyszín,Város", "2014-11-14,Muse,Apollo,London"),
        ("Tarih,Sanatçı,Mekan,Şehir", "2014-11-14,Muse,Apollo,London"),
        ("Дата,Исполнитель,Место,Город", "2014-11-14,Muse,Apollo,London"),
        ("日付,アーティスト,会場,都市", "2014-11-14,Muse,Apollo,London"),
        ("When,Who,Where,Town", "2014-11-14,Muse,Apollo,London"),
        ("event_date,bandName,venueName,venue.city.name", "2014-11-14,Muse,Apollo,London"),
        ("Date of show,Name of band,Name of venue,City", "2014-11-14,Muse,Apollo,London"),
    ],
)
def test_headings_are_read_in_many_languages(headings: str, row: str) -> None:
    assert shows_of("gigs.csv", f"{headings}\n{row}\n") == [
        {"artist": "Muse", "date": "2014-11-14", "venue": "Apollo", "city": "London"}
    ]


def test_a_column_that_only_sounds_like_a_field_is_left_alone() -> None:
    for heading in ("Date added", "Ticket price", "Venue id", "artist_mbid", "End date", "created_at"):
        assert meant(heading) is None, heading
    text = "Date added,Artist,Date,Price\n2020-01-01,Muse,2001-05-05,20\n2020-01-01,Pulp,2002-06-06,30\n"
    assert [show["date"] for show in shows_of("gigs.csv", text)] == ["2001-05-05", "2002-06-06"]


def test_a_table_without_a_heading_is_read_by_what_stands_in_it() -> None:
    text = (
        "2014-11-14,Tocotronic,Große Freiheit 36,Hamburg\n"
        "2015-04-03,Die Ärzte,Wuhlheide,Berlin\n2016-05-03,Muse,Olympiahalle,München\n"
    )
    for name in ("gigs.csv", "gigs.txt"):
        assert shows_of(name, text)[0] == {
            "artist": "Tocotronic",
            "date": "2014-11-14",
            "venue": "Große Freiheit 36",
            "city": "Hamburg",
        }


def test_lines_before_the_heading_and_the_heading_once_more_are_no_rows() -> None:
    text = (
        "My concerts,,\nupdated 2024,,\nArtist,Date,City\nMuse,2001-05-05,London\n"
        "Artist,Date,City\nPulp,2002-06-06,Glasgow\n"
    )
    assert [show["artist"] for show in shows_of("gigs.csv", text)] == ["Muse", "Pulp"]


def test_a_date_of_three_columns_is_one() -> None:
    text = "Year,Month,Day,Band\n2001,5,6,Muse\n2002,June,,Pulp\n2003,,,Blur\n"
    assert [show["date"] for show in shows_of("gigs.csv", text)] == ["2001-05-06", "June 2002", "2003"]


def test_support_acts_and_numbered_bands_are_entries_of_the_same_night() -> None:
    text = 'Date,Headliner,Support,City\n2001-05-05,Muse,"Toploader, Haven",London\n'
    assert [show["artist"] for show in shows_of("gigs.csv", text)] == ["Muse", "Toploader", "Haven"]
    text = "Date,Band 1,City,Band 2\n2001-05-05,Muse,London,Haven\n2001-05-06,Pulp,Leeds,\n"
    assert [show["artist"] for show in shows_of("gigs.csv", text)] == ["Muse", "Haven", "Pulp"]


def test_a_name_with_a_comma_in_a_column_of_single_names_stays_one() -> None:
    text = (
        'Artist,Date\n"Tyler, The Creator",2014-11-14\nMuse,2015-01-01\nPulp,2015-02-01\n'
        "Blur,2015-03-01\nLow,2015-04-01\nWire,2016-01-01\n"
    )
    assert shows_of("gigs.csv", text)[0]["artist"] == "Tyler, The Creator"


def test_a_sheet_with_headings_of_several_words_is_read() -> None:
    text = (
        "Show #,Date (MM/DD/YYYY),Artist / Band,Opening Act(s),Venue / Location,City/State,Price,Who I went with\n"
        '1,06/12/2004,Pixies,"The Datsuns, Mission of Burma",Crystal Ballroom,"Portland, OR",$35,Sam & Jo\n'
        '2,07/25/2005,Low,,First Avenue,"Minneapolis, MN",$40,\n'
    )
    first, *_, last = shows_of("gigs.csv", text)
    assert first == {
        "artist": "Pixies",
        "date": "2004-06-12",
        "venue": "Crystal Ballroom",
        "city": "Portland",
        "region": "OR",
        "with": ["Sam", "Jo"],
    }
    assert last == {
        "artist": "Low",
        "date": "2005-07-25",
        "venue": "First Avenue",
        "city": "Minneapolis",
        "region": "MN",
    }


# -- the order of day and month ---------------------------------------------------------------------------------------

SLASHED = "Artist,Date\n" + "".join(f"Band {n},{n % 12 + 1}/{n % 27 + 1}/2014\n" for n in range(40))


def test_the_order_of_day_and_month_is_told_by_the_whole_column() -> None:
    reading = reading_of("gigs.csv", SLASHED)
    layout = reading.parts[0].layout
    assert layout.date_order is Order.MDY and layout.order.confidence > 0.95
    assert "month first" in layout.order.text
    assert all(row.standing is Standing.UNDERSTOOD for row in reading.rows())


def test_a_column_that_does_not_tell_its_order_is_doubtful_until_it_is_said() -> None:
    text = "Artist,Date\nMuse,03/04/2014\nPulp,05/06/2014\n"
    rows = rows_of("gigs.csv", text)
    assert {row.standing for row in rows} == {Standing.DOUBTFUL}
    assert "2014-03-04 or 2014-04-03" in rows[0].doubts[0]
    told = {
        order: shows_of("gigs.csv", text, corrections=Corrections(date_order=order)) for order in (Order.DMY, Order.MDY)
    }
    assert told[Order.DMY][0]["date"] == "2014-04-03"
    assert told[Order.MDY][0]["date"] == "2014-03-04"


def test_a_row_against_the_order_of_its_column_is_a_doubt_and_not_lost() -> None:
    rows = rows_of("gigs.csv", SLASHED + "Odd,25/12/2014\n")
    assert rows[-1].standing is Standing.DOUBTFUL
    assert said(rows[-1:])[0]["date"] == "2014-12-25"


# -- corrections ------------------------------------------------------------------------------------------------------


def test_columns_are_shown_with_their_reason_and_can_be_corrected() -> None:
    text = "Alpha,Beta,When\nLondon Calling,Muse,2001-05-05\nSecond Night,Pulp,2002-06-06\n"
    reading = reading_of("gigs.csv", text)
    shown = dry_run(reading).as_json()["parts"][0]["columns"]
    assert {"field": "date", "columns": ["When"], "why": "its heading 'When'", "confidence": 0.98} in shown
    corrected = reading.corrected(Corrections({Field.ARTIST: ("beta",), Field.NOTE: ("1",)}))
    assert said(list(corrected.rows()))[0] == {"artist": "Muse", "date": "2001-05-05", "note": "London Calling"}
    with pytest.raises(
        ImportFailed, match=r"artist: there is no column 'Gamma'. Remedy: name one of 'Alpha', 'Beta', 'When'"
    ):
        reading.corrected(Corrections({Field.ARTIST: ("Gamma",)}))


def test_the_sign_between_acts_can_be_corrected() -> None:
    text = "Artist,Date\nMuse ~ Haven,2001-05-05\nPulp,2002-06-06\n"
    assert shows_of("gigs.csv", text)[0]["artist"] == "Muse ~ Haven"
    shows = shows_of("gigs.csv", text, corrections=Corrections(separator="~"))
    assert [show["artist"] for show in shows] == ["Muse", "Haven", "Pulp"]


# -- rows that cannot be read -----------------------------------------------------------------------------------------


def test_an_unreadable_row_comes_back_byte_for_byte_with_reason_and_remedy() -> None:
    bad = 'Mus\u00e9;"31.02.2014";;'.encode("cp1252")
    body = "Künstler;Datum;Ort;Land\nTocotronic;14.11.2014;Köln;\n".encode("cp1252") + bad + b"\r\n;;;nowhere\n"
    rows = rows_of("gigs.csv", body)
    assert [row.standing.value for row in rows] == ["understood", "unreadable", "unreadable"]
    assert rows[1].original == bad
    assert rows[1].where == "gigs.csv:3"
    assert "'31.02.2014' does not exist in the calendar. Remedy: write the day as 2014-11-14" in faults_of(rows)[0]
    assert "neither who played nor when and where" in faults_of(rows)[1]


def test_a_quote_that_nobody_closes_spoils_its_own_line_only() -> None:
    lines = ["Artist,Date", *(f"Band {n},2014-11-{n:02}" for n in range(1, 10))]
    lines[3] = '"Band 3,2014-11-03'
    shows = shows_of("gigs.csv", "\n".join(lines))
    assert [show["artist"] for show in shows if show["artist"] != "Band 3"] == [
        f"Band {n}" for n in (1, 2, 4, 5, 6, 7, 8, 9)
    ]


def test_a_cell_of_several_lines_is_one_cell() -> None:
    text = 'Artist,Date,Note\nMuse,2001-05-05,"first\nsecond"\nPulp,2002-06-06,\n'
    rows = rows_of("gigs.csv", text)
    assert [show.get("note") for show in said(rows)] == ["first second", None]
    assert rows[0].original == b'Muse,2001-05-05,"first\nsecond"'


# -- Markdown and HTML ------------------------------------------------------------------------------------------------


def test_markup_in_a_table_of_markdown_is_shown_and_not_read() -> None:
    text = (
        "Words.\n\n| **Date** | Band | Where |\n|---|:--:|--|\n"
        "| 2001-05-05 | [Muse](http://x) | *Apollo* |\n| 2002-06-06 | `Pulp` | A\\|B |\n\n"
        "More words | here\n"
    )
    assert shows_of("gigs.md", text) == [
        {"artist": "Muse", "date": "2001-05-05", "venue": "Apollo"},
        {"artist": "Pulp", "date": "2002-06-06", "venue": "A|B"},
    ]


def test_tables_of_a_page_are_read_and_its_frame_is_not() -> None:
    text = (
        "<html><body><table><tr><td>Home</td></tr></table><table><thead><tr><th>When</th><th>"
        "Who</th><th>Where</th></tr></thead>"
        "<tr><td>5 May 2001</td><td><a href=x>Muse</a></td><td>Brixton Academy, London</td></tr>"
        "<tr><td>6 June 2002</td><td>Pulp &amp; Friends<script>alert(1)</script></td><td>Barrowland</td></tr></table>"
    )
    assert shows_of("gigs.html", text) == [
        {"artist": "Muse", "date": "2001-05-05", "venue": "Brixton Academy", "city": "London"},
        {"artist": "Pulp & Friends", "date": "2002-06-06", "venue": "Barrowland"},
    ]


def test_a_page_without_a_table_is_read_by_its_list() -> None:
    text = "<html><ul><li>Radiohead, Reading 1994</li><li>Blur, London 1995</li></ul>"
    assert [show["artist"] for show in shows_of("gigs.html", text)] == ["Radiohead", "Blur"]

"""The same file twice adds nothing; a corrected file changes the entries that it had; nothing depends on chance."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from api.imports.identity import Known, carried
from api.imports.kept import known_in, rows_in, rows_into
from api.imports.reading import dry_run, read, read_rows
from api.imports.shapes import Standing
from api.imports.uploads import Upload
from tests.api.imports.files import reading_of, rows_of

TEXT = "Artist,Date,Venue\nMuse,2001-05-05,Apollo\nPulp,2002-06-06,Barrowland\nBlur,2003-07-07,Astoria\n"


def entries(body: str, name: str = "gigs.csv") -> list[Known]:
    return [Known.of(one) for row in rows_of(name, body) for one in row.entries]


def ids(body: str, name: str = "gigs.csv") -> list[str]:
    return [one.entry_id for one in entries(body, name)]


def test_the_same_file_gives_the_same_ids_whatever_it_is_called() -> None:
    assert ids(TEXT) == ids(TEXT, "other.csv")
    assert reading_of("a.csv", TEXT).file_hash == reading_of("b.csv", TEXT).file_hash


def test_another_delimiter_or_order_of_columns_gives_the_same_ids() -> None:
    assert ids(TEXT.replace(",", ";")) == ids(TEXT)
    turned = "\n".join(",".join(reversed(line.split(","))) for line in TEXT.splitlines())
    assert ids(turned) == ids(TEXT)


def test_each_act_of_a_row_is_an_entry_of_its_own() -> None:
    found = ids('Acts,Date\n"Muse, Haven, Low",2001-05-05\n')
    assert len(set(found)) == 3


def test_a_row_that_stands_twice_is_one_entry() -> None:
    rows = rows_of("gigs.csv", TEXT + "Muse,2001-05-05,Apollo\n")
    assert rows[-1].standing is Standing.REPEATED and not rows[-1].entries


def test_a_corrected_row_keeps_its_entry() -> None:
    before = entries(TEXT)
    now = entries(TEXT.replace("Pulp", "Pulpp").replace("Barrowland", "Barrowland Ballroom") + "New,2024-01-01,Hall\n")
    found = carried(before, entries(TEXT.replace("Barrowland", "Barrowland Ballroom") + "New,2024-01-01,Hall\n"))
    assert list(found.ids[:3]) == [one.entry_id for one in before]
    assert found.changed == (before[1].entry_id,)
    assert len(found.added) == 1 and found.gone == () and found.unchanged == 2
    both = carried(before, now)
    assert len(both.added) == 2 and both.gone == (before[1].entry_id,), "two facts of three changed: another show"


def test_a_row_that_was_moved_and_corrected_is_found_by_what_it_still_says() -> None:
    before = entries(TEXT)
    lines = TEXT.splitlines()
    moved = "\n".join([lines[0], lines[3], lines[1], lines[2].replace("2002-06-06", "2002-06-07")])
    found = carried(before, entries(moved))
    assert found.changed == (before[1].entry_id,) and not found.added and not found.gone


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)))
def test_no_entry_is_lost_or_doubled_by_any_correction(order: list[int], left: set[int]) -> None:
    lines = [f"Band {n},2001-05-{n + 1:02},Hall {n}" for n in range(12)]
    before = entries("Artist,Date,Venue\n" + "\n".join(lines))
    now = entries("Artist,Date,Venue\n" + "\n".join(lines[n] for n in order if n not in left or n == order[0]))
    found = carried(before, now)
    assert len(set(found.ids)) == len(now)
    assert len(found.added) + len(found.changed) + found.unchanged == len(now)
    assert found.unchanged == len(now)
    assert len(found.gone) == len(before) - len(now)


def test_an_interrupted_run_goes_on_where_it_was() -> None:
    reading = reading_of("gigs.csv", TEXT + "Muse,2001-05-05,Apollo\n")
    whole = list(reading.rows())
    assert list(reading.rows(after=2)) == whole[2:]


def test_progress_is_told_with_the_whole() -> None:
    told: list[tuple[int, int]] = []
    body = "Artist,Date\n" + "".join(f"Band {n},2014-01-01\n" for n in range(1200))
    reading = reading_of("gigs.csv", body)
    dry_run(reading, tell=lambda done, total: told.append((done, total)))
    assert told == [(500, 1200), (1000, 1200), (1200, 1200)]


@settings(deadline=None)  # the first bytes that are no UTF-8 load tables of alphabets
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_with_a_remedy(body: bytes) -> None:
    from api.imports.shapes import ImportFailed

    try:
        reading = read(Upload.of_bytes("x", body))
    except ImportFailed as error:
        assert "Remedy" in error.text
        return
    first = [(row.standing, row.where, [one.entry_id for one in row.entries]) for row in reading.rows()]
    assert first == [(row.standing, row.where, [one.entry_id for one in row.entries]) for row in reading.rows()]


def test_entries_of_doubtful_rows_are_kept_and_may_be_left(tmp_path: Path) -> None:
    rows = read_rows([{"artist": "Muse", "date": "05/06/2001"}, {"artist": "Pulp", "date": "2002-07-26"}]).rows()
    kept = tmp_path / "entries"
    with kept.open("wb") as file:
        take = rows_into(file)
        standings = [row.standing for row in rows if take(row) is None]
    assert standings == [Standing.DOUBTFUL, Standing.UNDERSTOOD]
    assert [len(entries) for entries in rows_in(kept, doubtful=False)] == [0, 1]
    assert [len(entries) for entries in rows_in(kept, doubtful=True)] == [1, 1]
    assert len(list(known_in(kept, doubtful=False))) == 1

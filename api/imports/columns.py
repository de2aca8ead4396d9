"""Which column is what: by its heading, and by what stands in it.

A sample of rows, evenly drawn, tells the fields; all rows of the date's column tell its order of day and month.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from api.imports.headings import base, is_other, is_plural, meant
from api.imports.shapes import Cell, Choice, Code, Corrections, Field, ImportFailed, Layout, Record
from api.imports.wordings import place
from matchers.columns import column_order
from matchers.dates import clock, readings
from matchers.gazetteer import country_code, exact_cities
from matchers.text import clean
from matchers.venues import is_kind_of_venue

SAMPLE = 1_000
"""Rows from which columns are told. Every second is dropped, and every second then taken, whenever it is full."""
SEEN = 300
"""Different texts of a column that are looked at."""
UNTITLED = re.compile(r"column \d+$")
_COORDINATE = re.compile(r"[+-]?\d{1,3}[.,]\d+$")
_EXIF_TIME = re.compile(r"\d{4}:\d{2}:\d{2}(?: \d{2}:\d{2}(?::\d{2})?)?")
_DEGREES = re.compile(r"\d{1,3}(?:\.\d+)? ?(?:deg|°)")
_ADDRESS = re.compile(r"https?://|www\.", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d$")


def drawn(records: Iterable[Record]) -> list[Record]:
    """An even sample of any number of records, the first among them."""
    kept: list[Record] = []
    step = 1
    for index, record in enumerate(records):
        if index % step == 0:
            kept.append(record)
            if len(kept) >= 2 * SAMPLE:
                kept, step = kept[::2], step * 2
    return kept


def texts_of(cell: Cell | None) -> tuple[str, ...]:
    """A cell's texts."""
    if cell is None:
        return ()
    return (cell,) if isinstance(cell, str) else cell


@dataclass
class Column:
    """What a sample of a column looks like."""

    name: str
    filled: int = 0
    texts: Counter[str] = field(default_factory=Counter)
    lists: int = 0

    def see(self, cell: Cell) -> None:
        """One row's."""
        texts = [text for one in texts_of(cell) if (text := one.strip())]
        self.filled += bool(texts)
        self.lists += not isinstance(cell, str) and len(cell) > 1
        self.texts.update(texts)

    @property
    def some(self) -> list[str]:
        """Its commonest different texts."""
        return [text for text, _ in self.texts.most_common(SEEN)]

    def share(self, fits: Iterable[bool]) -> float:
        """Of its different texts."""
        told = list(fits)
        return sum(told) / len(told) if told else 0.0

    @property
    def dates(self) -> float:
        """Share of texts that are dates; a bare number is none."""
        return self.share(is_date(text) for text in self.some)

    @property
    def links(self) -> float:
        """Share of texts that are addresses of pages."""
        return self.share(bool(_ADDRESS.match(text)) for text in self.some if text != "0")

    @property
    def words(self) -> float:
        """Share of texts that could be names."""
        return self.share(
            any(letter.isalpha() for letter in text)
            and len(text) <= 200
            and not _ADDRESS.match(text)
            and not is_date(text)
            for text in self.some
        )


def is_date(text: str) -> bool:
    """Whether it says when; a year alone or a spreadsheet's number does not."""
    if text.isdecimal() and len(text) < 8:
        return False
    return bool(readings(text) or _EXIF_TIME.match(text))


def sampled(records: Sequence[Record]) -> dict[str, Column]:
    """The columns of a sample, in their order."""
    found: dict[str, Column] = {}
    for record in records:
        for name, cell in record.cells.items():
            if name not in found:
                found[name] = Column(name)
            found[name].see(cell)
    return found


# -- guessing ---------------------------------------------------------------------------------------------------------


def guess(records: Sequence[Record], corrections: Corrections) -> Layout:
    """The columns of a table by a sample of it; without the order of its dates. ImportFailed for a bad correction."""
    columns = sampled(records)
    taken: dict[Field, Choice] = {}
    used: set[str] = set()
    for name, names in corrections.columns.items():
        missing = [one for one in names if _called(one, columns) is None]
        if missing:
            raise ImportFailed(
                Code.BAD_MAPPING,
                f"{name.value}: there is no column {', '.join(map(repr, missing))}. "
                f"Remedy: name one of {', '.join(map(repr, columns)) or 'none'}",
            )
        found = tuple(called for one in names if (called := _called(one, columns)) is not None)
        taken[name] = Choice(name, found, "as you said", 1.0)
        used |= set(found)
    for choice in (*_by_heading(columns, used, set(taken)),):
        taken[choice.field] = choice
        used |= set(choice.columns)
    for choice in _alternates(records, columns, used, taken):
        taken[choice.field] = choice
        used |= set(choice.columns)
    for choice in _by_content(columns, used, taken):
        taken[choice.field] = choice
        used |= set(choice.columns)
    _settle(columns, taken, corrections)
    _second_place(columns, taken, set(corrections.columns))
    if Field.ARTIST in taken and Field.ARTIST not in corrections.columns:
        taken[Field.ARTIST] = _with_neighbours(taken[Field.ARTIST], columns, used)
    separator, why = _separator(taken.get(Field.ARTIST), columns, corrections)
    used = {name for choice in taken.values() for name in choice.columns}
    return Layout(
        choices=tuple(taken[name] for name in Field if name in taken and taken[name].columns),
        unused=tuple(name for name, column in columns.items() if name not in used and column.filled),
        given=corrections.date_order,
        separator=separator,
        separator_why=why,
    )


def _called(name: str, columns: dict[str, Column]) -> str | None:
    """The column that a person means: by its name, whatever its case, or by its number from 1."""
    if name in columns:
        return name
    by_case = {one.casefold().strip(): one for one in reversed(columns)}
    if name.casefold().strip() in by_case:
        return by_case[name.casefold().strip()]
    if name.isdecimal() and 0 < int(name) <= len(columns):
        return list(columns)[int(name) - 1]
    return None


def _by_heading(columns: Mapping[str, Column], used: set[str], done: set[Field]) -> Iterator[Choice]:
    offers: list[tuple[float, int, Field, str]] = []
    for index, (name, column) in enumerate(columns.items()):
        if name in used or not column.filled or (found := meant(name)) is None:
            continue
        what, sure = found
        if what is Field.SONGS and column.links >= 0.5:
            what = Field.LINK
        if what not in done and _fits(what, column):
            offers.append((-sure, index, what, name))
    chosen: dict[Field, Choice] = {}
    for sure, _, what, name in sorted(offers):
        if what not in chosen:
            why = f"its heading {name!r}" + ("" if sure <= -0.95 else " holds a word for it")
            chosen[what] = Choice(what, (name,), why, -sure)
    yield from chosen.values()


def _alternates(
    records: Sequence[Record], columns: Mapping[str, Column], used: set[str], taken: Mapping[Field, Choice]
) -> list[Choice]:
    """Columns of one meaning of which a row fills only one: 'city' and 'city.name', in objects of two kinds."""
    found: dict[Field, Choice] = {}
    for name, column in columns.items():
        if name in used or not column.filled or (told := meant(name)) is None or told[0] not in taken:
            continue
        choice = found.get(told[0], taken[told[0]])
        if (choice.confidence == 1.0 and choice.why == "as you said") or not _fits(told[0], column):
            continue
        if not any(_filled(record, name) and any(_filled(record, one) for one in choice.columns) for record in records):
            found[told[0]] = replace(choice, columns=(*choice.columns, name))
    return list(found.values())


def _filled(record: Record, name: str) -> bool:
    return any(text.strip() for text in texts_of(record.cells.get(name)))


def _fits(what: Field, column: Column) -> bool:
    """Whether what stands in a column can be what its heading says."""
    if what is Field.DATE and column.name.casefold() == Field.DATE:
        return True
    if what is Field.DATE:
        return (
            column.dates >= 0.2
            or column.share(text.isdecimal() and len(text) in (4, 5, 8) for text in column.some) > 0.5
        )
    if what in (Field.LAT, Field.LON):
        return (
            column.share(
                bool(_COORDINATE.match(text) or _DEGREES.match(text)) or text.lstrip("-").isdecimal()
                for text in column.some
            )
            > 0.5
        )
    if what is Field.TIME:
        return column.share(clock(text) is not None for text in column.some) >= 0.3
    if what in (Field.SONGS, Field.NOTE):
        return column.links < 0.5 and not set(column.texts) <= {"0"}
    if what is Field.LINK:
        return column.links >= 0.5
    if what is Field.YEAR:
        return column.share(bool(_YEAR.match(text)) for text in column.some) > 0.8
    if what is Field.EVENT and column.words < 0.3:
        return False
    if what in (Field.ARTIST, Field.EVENT, Field.SUPPORT):
        return column.links < 0.5 and column.dates < 0.8
    return column.links < 0.5


def _by_content(columns: Mapping[str, Column], used: set[str], taken: Mapping[Field, Choice]) -> Iterator[Choice]:
    free = {
        name: column for name, column in columns.items() if name not in used and column.filled and not is_other(name)
    }
    done = set(taken)
    if Field.DATE not in done and Field.YEAR not in done:
        best = max(free.values(), key=lambda column: column.dates, default=None)
        if best is not None and best.dates >= 0.5:
            yield Choice(Field.DATE, (best.name,), f"{best.dates:.0%} of its texts are dates", 0.6 + 0.35 * best.dates)
            del free[best.name]
        else:
            years = next((c for c in free.values() if c.share(bool(_YEAR.match(text)) for text in c.some) > 0.8), None)
            if years is not None:
                yield Choice(Field.DATE, (years.name,), "its texts are years", 0.8)
                del free[years.name]
    if not {Field.LAT, Field.LON} & done:
        numbers = [c for c in free.values() if c.share(bool(_COORDINATE.match(text)) for text in c.some) > 0.8]
        for one, other in pairwise(numbers):
            if _within(one, 90) and _within(other, 180):
                for what, column in ((Field.LAT, one), (Field.LON, other)):
                    yield Choice(what, (column.name,), "numbers as coordinates have them", 0.7)
                    del free[column.name]
                break
    names = {name: column for name, column in free.items() if column.words >= 0.7}
    if Field.ARTIST in done and {Field.VENUE, Field.CITY} <= done:
        return
    if Field.COUNTRY not in done:
        for column in list(names.values()):
            share = column.share(country_code(text) is not None for text in column.some)
            if share >= 0.8 and len(column.texts) <= max(3, column.filled // 2):
                yield Choice(Field.COUNTRY, (column.name,), f"{share:.0%} of its texts are countries", 0.7)
                del names[column.name]
                break
    if Field.ARTIST in done and not names:
        return
    if Field.CITY not in done:
        shares = {
            name: column.share(bool(exact_cities(text)) for text in column.some) for name, column in names.items()
        }
        town = max(shares, key=lambda name: shares[name], default=None)
        if town is not None and shares[town] >= 0.6:
            yield Choice(Field.CITY, (town,), f"{shares[town]:.0%} of its texts are towns", 0.5 + 0.4 * shares[town])
            del names[town]
    houses = {name: column.share(is_kind_of_venue(text) for text in column.some) for name, column in names.items()}
    if Field.ARTIST not in done and Field.EVENT not in done and names:
        # Who plays is said first, and no house is called like most acts.
        who = min(names, key=lambda name: (houses[name] >= 0.3, list(names).index(name)))
        yield Choice(Field.ARTIST, (who,), "the first column of names", 0.6)
        del names[who]
    if Field.VENUE not in done and names:
        where = max(names, key=lambda name: (houses[name], -list(names).index(name)))
        if houses[where] >= 0.15 or (Field.ARTIST not in done and UNTITLED.match(where)):
            yield Choice(
                Field.VENUE,
                (where,),
                "names of houses" if houses[where] >= 0.15 else "the next column of names",
                0.5 + houses[where] / 3,
            )


def _within(column: Column, most: float) -> bool:
    return all(abs(float(text.replace(",", "."))) <= most for text in column.some if _COORDINATE.match(text))


def _settle(columns: Mapping[str, Column], taken: dict[Field, Choice], corrections: Corrections) -> None:
    """What one choice means for another."""
    free = {name for name in taken if name not in corrections.columns}
    if Field.ARTIST not in taken and Field.EVENT in free:
        name = taken[Field.EVENT].columns[0]
        if (
            meant(name) == (Field.EVENT, 0.98)
            and base(name) in {"name", "title", "titel", "titre", "titulo", "titolo"}
            and not _tells_places(columns[name])
        ):
            taken[Field.ARTIST] = replace(
                taken.pop(Field.EVENT),
                field=Field.ARTIST,
                why=f"its heading {name!r}, and no other column says who",
                confidence=0.8,
            )
    if Field.YEAR in taken and Field.DATE in taken and taken[Field.DATE].columns:
        whole = columns[taken[Field.DATE].columns[0]]
        if Field.YEAR in free and whole.dates >= 0.5:
            del taken[Field.YEAR]
            taken.pop(Field.MONTH, None)
        elif Field.DATE in free:
            # 'Day', 'Month', 'Year': three columns are one date
            taken[Field.DAY] = replace(taken.pop(Field.DATE), field=Field.DAY, why="beside a column of years")
    if Field.YEAR not in taken:
        taken.pop(Field.MONTH, None)
    if Field.VENUE in free and Field.CITY not in taken:
        column = columns[taken[Field.VENUE].columns[0]]
        if base(column.name) in _ANY_PLACE and column.share(bool(exact_cities(text)) for text in column.some) >= 0.6:
            taken[Field.CITY] = replace(
                taken.pop(Field.VENUE),
                field=Field.CITY,
                why=f"its heading {column.name!r}, and towns stand in it",
                confidence=0.8,
            )
    elif Field.CITY in free and Field.VENUE not in taken:
        column = columns[taken[Field.CITY].columns[0]]
        if base(column.name) in _ANY_PLACE and column.share(bool(exact_cities(text)) for text in column.some) < 0.3:
            taken[Field.VENUE] = replace(
                taken.pop(Field.CITY),
                field=Field.VENUE,
                why=f"its heading {column.name!r}, and few towns stand in it",
                confidence=0.8,
            )


_ANY_PLACE = frozenset(
    [
        "where",
        "place",
        "location",
        "wo",
        "ort",
        "lieu",
        "lugar",
        "local",
        "luogo",
        "plats",
        "plaats",
        "sted",
        "paikka",
        "miejsce",
        "misto",
        "onde",
        "dove",
        "waar",
        "hvor",
        "var",
        "место",
        "где",
        "ou",
        "donde",
    ]
)


def _second_place(columns: Mapping[str, Column], taken: dict[Field, Choice], named: set[Field]) -> None:
    """Beside the houses, a column 'location' in which towns stand, with or without their country."""
    used = {name for choice in taken.values() for name in choice.columns}
    for name, column in columns.items():
        towns = column.share("city" in dict(place(text)) for text in column.some) if base(name) in _ANY_PLACE else 0.0
        if towns >= 0.6 and name not in used and not {Field.CITY} & {*taken, *named}:
            taken[Field.CITY] = Choice(Field.CITY, (name,), f"its heading {name!r}, and towns stand in it", 0.8)


def _tells_places(column: Column) -> bool:
    return column.share(bool(re.search(r"\s(?:@|at)\s", text)) for text in column.some) > 0.3


def _with_neighbours(choice: Choice, columns: Mapping[str, Column], used: set[str]) -> Choice:
    """'band', 'band 2', and the columns without a heading behind the last: a row that goes on for each act."""
    names = list(columns)
    first = names.index(choice.columns[0])
    found = [choice.columns[0]]
    stem = base(choice.columns[0])
    for name in names[first + 1 :]:
        if name in used:
            break
        same = base(name) == stem and name != choice.columns[0]
        if (
            same
            or (UNTITLED.match(name) and columns[name].filled and columns[name].words >= 0.5)
            or (UNTITLED.match(name) and not columns[name].filled)
        ):
            found.append(name)
        else:
            break
    for name in names:  # 'artist 1 ... artist 2' with others between
        if name not in used and name not in found and stem and base(name) == stem:
            found.append(name)
    found = [name for name in found if columns[name].filled]
    if len(found) < 2:
        return choice
    return replace(
        choice, columns=tuple(found), why=f"{choice.why}, and the {len(found) - 1} columns that go on with it"
    )


_STRONG = ("---", "|||", "||", " | ", "\n", ";", " // ", " • ", " · ", "→")
_LISTED = re.compile(r"\S, \S|\S \+ \S|\S / \S|\S/\S")


def _separator(
    choice: Choice | None, columns: Mapping[str, Column], corrections: Corrections
) -> tuple[str | None, str]:
    """What parts the acts in a cell."""
    if corrections.separator is not None:
        told = corrections.separator
        return (None, "as you said") if told in ("", "none") else (told, "as you said")
    if choice is None:
        return None, ""
    texts = [clean(text) if "\n" not in text else text for name in choice.columns for text in columns[name].some]
    for sign in _STRONG:
        having = sum(sign in text for text in texts)
        if having >= max(2, len(texts) * 0.02) or (having and len(texts) < 20):
            return sign, f"{having} of {len(texts)} texts have {sign!r} in them"
    listed = sum(bool(_LISTED.search(text)) for text in texts)
    if listed and (is_plural(choice.columns[0]) or listed >= 0.2 * len(texts)):
        return "names", f"{listed} of {len(texts)} texts are lists"
    return None, ""


# -- dates ------------------------------------------------------------------------------------------------------------


def with_order(layout: Layout, records: Iterable[Record]) -> Layout:
    """The layout with the order of day and month that all dates of the table tell."""
    columns = layout.columns(Field.DATE)
    if not columns:
        return layout
    return replace(layout, order=column_order(_dates(records, columns)))


def _dates(records: Iterable[Record], columns: tuple[str, ...]) -> Iterator[str]:
    for record in records:
        for name in columns:
            for text in texts_of(record.cells.get(name)):
                yield text.strip()

"""Import: a file, a list or rows come in, are shown as they were understood, and are taken, or not.

    /imports                    drop a file, paste, type, or name a setlist.fm user; the imports so far
    /imports/{id}               progress; the dry run with its columns; the report
    /imports/{id}/read          its form: read it otherwise
    /imports/{id}/apply, /undo  take it; take it back, after a page that says what that does
    /imports/{id}/unknown       for which of its shows nothing was found, and what would help
    /imports/{id}/unread        the rows that could not be read, as a file
    /imports/{id}/progress      how far it is, as it happens

They do what /v1/imports does (api.importing.routes). A form that carries a file is checked by its first field, before
anything of the file is taken.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import ServerSentEvent, Stream
from litestar.response.sse import ServerSentEventMessage
from pydantic import ValidationError
from sqlalchemy import text

from api.answers import TAKE
from api.errors import AnyRequest, ApiError, ConflictError, InvalidError, NotFoundError, RateLimitedError
from api.importing import files
from api.importing.leases import AT_WORK
from api.importing.progress import MOST_FOLLOWING, told_as_it_goes
from api.importing.routes import (
    Made,
    answers_to,
    apply,
    correct,
    first_view,
    page_of,
    standing,
    take_in,
    undo,
    unread,
    uuid_of,
    view_of,
)
from api.importing.runs import needs_key
from api.importing.uploads import Received, receive
from api.importing.views import Answers, Apply, Corrected, ImportBrief, ImportView, PartView, SampleRow
from api.imports.shapes import MOST_BYTES, MOST_ROWS, Code, Format
from api.imports.shapes import Field as Column
from api.pages import wordings
from api.pages.frame import Form, back, check_form, show
from api.pages.wordings import Told
from api.pages.words import _, country, day, listed, marked, ngettext
from api.services import Caller, Services
from deploy.inbox import ENTRIES
from schemas.tables import ImportKind, ImportState

WAIT_S = 3.0
"""A small file is read in that time, and a form is answered with what was understood; else with its progress."""
BEGIN_S = 0.5
"""For what goes on for long anyway: its progress is shown."""
AGAIN_S = 3
"""A page without scripts is read again after that, while something goes on."""
FEW = 3
"""Rows to type in, at first; and names that are said before the others are counted."""
MOST_TYPED = 200
MOST_GIVEN_BACK = 1_000_000
"""Characters of a pasted list that come back with what is wrong with it."""
UNKNOWN_TAKE = 50
MOST_HEADINGS = 60
LONGEST_HEADING = 200
MOST_CHOSEN = 5
"""Tables of a file whose columns can be chosen: what is said of one holds in all that have the column."""
AGAIN_TOMORROW_S = 300
"""The same where a list waits for the next day."""

ROW = ("artist", "date", "where", "note")
"""What can be typed of a show, by the headings that the reader knows."""
MAIN = (Column.ARTIST, Column.DATE, Column.VENUE, Column.CITY, Column.COUNTRY)
"""Fields that are always offered; the others where they were found, and behind a word."""
OWN_COLUMNS = frozenset({Format.CSV, Format.MARKDOWN, Format.HTML, Format.JSON, Format.ROWS, Format.SETLISTFM})
"""Formats whose columns somebody named: it makes sense to choose among them."""
SEPARATORS = {
    "none": marked("Nothing: a cell is one act"),
    "names": marked("Commas, & and the like"),
    ";": ";",
    "/": "/",
    " | ": "|",
    "---": "---",
    "\n": marked("A line break"),
}
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "cp1252": marked("Western European (Windows-1252)"),
    "iso8859_15": marked("Western European (ISO 8859-15)"),
    "mac_roman": marked("Western European (Mac)"),
    "cp1250": marked("Central European (Windows-1250)"),
    "cp1251": marked("Cyrillic (Windows-1251)"),
    "koi8_r": marked("Cyrillic (KOI8-R)"),
    "cp1253": marked("Greek (Windows-1253)"),
    "cp1254": marked("Turkish (Windows-1254)"),
    "cp1255": marked("Hebrew (Windows-1255)"),
    "cp1256": marked("Arabic (Windows-1256)"),
    "cp1257": marked("Baltic (Windows-1257)"),
    "shift_jis": marked("Japanese (Shift JIS)"),
    "euc_kr": marked("Korean (EUC-KR)"),
    "gb18030": marked("Chinese (GB 18030)"),
    "big5": marked("Chinese (Big5)"),
}
ASKED_FORMATS = (
    Format.CSV,
    Format.MARKDOWN,
    Format.HTML,
    Format.TEXT,
    Format.JSON,
    Format.ICALENDAR,
    Format.MAIL,
)
KEPT, NONE, GUESS = "=", "-", ""
"""Of a choice: as it is; no column; as it is guessed. A column is "c:" and its name."""

UNKNOWN = text(
    ENTRIES
    + """
select said.seq, said.body, entries.body->>'reason' as reason
from state.import_entries said join entries using (entry_id)
where said.import_id = :id and said.body is not null and not said.undone and entries.state = 'nothing'
    and said.seq > :after
order by said.seq limit :most
"""
)
TAKEN_BEFORE = text(
    "select exists (select from state.imports where user_id = :user and state = 'applied' and import_id <> :id)"
)
SAMPLE_COLUMNS = {
    "artist": marked("Artist"),
    "when": marked("Date"),
    "venue": marked("Venue"),
    "town": marked("City"),
    "songs": marked("Songs"),
    "with": marked("With whom"),
    "note": marked("Note"),
}
_DAY = re.compile(r"\d{4}-\d\d-\d\d$")


class Sparse(dict[str, Any]):
    """What is not in it is None: templates take a name that is not given for a mistake."""

    def __missing__(self, name: str) -> None:
        return None


@dataclass(frozen=True)
class Typed:
    """What somebody wrote into the forms of the first page."""

    text: str = ""
    setlistfm_user: str = ""
    rows: tuple[Mapping[str, str], ...] = (Sparse(),) * FEW


@dataclass(frozen=True)
class Pick:
    """One field of a table of the file: the column it is read from, why, and what else it could be."""

    field: Column
    columns: tuple[str, ...]
    why: str
    confidence: float
    options: tuple[tuple[str, str], ...]
    """Value and label; the first is how it is."""
    chosen: str
    fault: Told | None = None


@dataclass(frozen=True)
class Table:
    """One part of the file, ready to be corrected."""

    index: int
    part: PartView
    picks: tuple[Pick, ...]
    more: tuple[Pick, ...]
    own_columns: bool
    faults: Mapping[str, Told] = field(default_factory=Sparse)
    typed: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_wrong(self) -> bool:
        """Whether something of its form was not taken."""
        return bool(self.faults)


@dataclass(frozen=True)
class Shown:
    """A row of the file beside what was made of it, cell by cell."""

    row: SampleRow
    where: str
    entries: tuple[Mapping[str, str], ...]


# -- the first page ----------------------------------------------------------------------------------------------------


@get("/imports", include_in_schema=False)
async def imports(
    request: AnyRequest,
    services: NamedDependency[Services],
    cursor: Annotated[str | None, QueryParameter(name="cursor", max_length=1_000)] = None,
) -> Response[Any]:
    """The ways in, and the imports so far."""
    return await start_page(request, services, cursor=cursor)


async def start_page(
    request: AnyRequest,
    services: Services,
    *,
    status: int = 200,
    faults: Mapping[str, Told] | None = None,
    typed: Typed | None = None,
    cursor: str | None = None,
) -> Response[Any]:
    """The page with what was typed, and what is wrong with it: of the forms file, text, setlistfm, rows."""
    caller: Caller = request.user
    page = await page_of(services, caller.user, TAKE, cursor)
    return show(
        request,
        services,
        "imports.html",
        status=status,
        faults=Sparse(faults or {}),
        typed=typed or Typed(),
        row_names=ROW,
        most_typed=MOST_TYPED,
        imports=page.data,
        next=page.meta.next_cursor,
        older=bool(cursor),
        title_of=title_of,
        say=wordings,
        states=ImportState,
        setlistfm=not needs_key(services.settings, ImportKind.SETLISTFM),
        most_mb=MOST_BYTES // 1_000_000,
        most_rows=MOST_ROWS,
    )


@post("/imports", include_in_schema=False, opt={"limit": "import"}, request_max_body_size=None, status_code=303)
async def bring(
    request: AnyRequest,
    services: NamedDependency[Services],
    way: FromQuery[Literal["file", "text", "setlistfm"]] = "file",
) -> Response[Any]:
    """A file, a pasted list or a name; the form of `way` is shown again with what is wrong."""
    with files.folder() as folder:
        typed, name = Typed(), ""
        try:
            received = await receive(request, Path(folder), None, None, partial(check_form, request, services))
            typed = _typed(received)
            if received.kind is ImportKind.TEXT:
                name = f"pasted {services.clock():%Y-%m-%d %H.%M.%S}.txt"
                received = replace(received, name=name)
            return await _begun(request, services, received, Path(folder))
        except (InvalidError, NotFoundError) as error:
            fault: dict[str, Told] = {way: fault_of(error, way, name)}
            return await start_page(request, services, status=error.status, faults=fault, typed=typed)


def _typed(received: Received) -> Typed:
    if received.kind is ImportKind.TEXT and received.path is not None:
        return Typed(text=received.path.read_text("utf-8", "replace")[:MOST_GIVEN_BACK])
    return Typed(setlistfm_user=received.setlistfm_user or "")


async def _begun(request: AnyRequest, services: Services, received: Received, folder: Path) -> Response[Any]:
    """To the import. InvalidError when it cannot be imported."""
    caller: Caller = request.user
    made: Made = await take_in(services, caller.user, received, folder)
    await first_view(services, caller.user, made, received.kind, wait_s=WAIT_S)
    return back(f"/imports/{made.import_id}")


@post("/imports/more-rows", include_in_schema=False)
async def more_rows(request: AnyRequest, services: NamedDependency[Services], data: Form) -> Response[Any]:
    """The same form with more rows; what was typed stays."""
    check_form(request, services, data)
    rows = _rows(data)
    more = min(MOST_TYPED, 2 * max(FEW, len(rows))) - len(rows)
    return await start_page(request, services, typed=Typed(rows=(*rows, *[Sparse()] * max(0, more))))


@post("/imports/rows", include_in_schema=False, opt={"limit": "import"})
async def type_rows(request: AnyRequest, services: NamedDependency[Services], data: Form) -> Response[Any]:
    """Typed rows."""
    check_form(request, services, data)
    rows = _rows(data)
    said = [{name: cell for name in ROW if (cell := row.get(name, "").strip())} for row in rows]
    told = [row for row in said if row]
    typed = Typed(rows=rows or Typed().rows)
    if not told:
        fault = {"rows": Told(_("Fill in a row: who, when and where, as far as you remember."))}
        return await start_page(request, services, status=400, faults=fault, typed=typed)
    with files.folder() as folder:
        path = Path(folder) / "rows"
        path.write_bytes(orjson.dumps(told))
        name = f"typed {services.clock():%Y-%m-%d %H.%M.%S}.json"
        received = Received(ImportKind.ROWS, name, path, Format.ROWS)
        try:
            return await _begun(request, services, received, Path(folder))
        except InvalidError as error:
            fault = {"rows": fault_of(error, "rows", name)}
            return await start_page(request, services, status=error.status, faults=fault, typed=typed)


def _rows(data: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """The rows of the form as they were typed, empty ones in their place; NUL, which no store holds, left out."""
    told = data.get("rows", "")
    count = min(MOST_TYPED, int(told)) if told.isdecimal() and len(told) < 6 else 0
    return tuple({name: data.get(f"{name}-{at}", "").replace("\0", "")[:2_000] for name in ROW} for at in range(count))


def fault_of(error: ApiError, way: str, name: str = "") -> Told:
    """What is wrong with an upload, in the page's words. `name`: which the upload got from us, and nobody knows."""
    if isinstance(error, NotFoundError):
        return Told(_("This Gigz has no key for setlist.fm."), _("Export the list there, and drop the file here."))
    detail = error.details[0].message if error.details else ""
    code, parted, message = detail.partition(": ")
    if parted and code in set(Code):
        return wordings.told(message.replace(name, _("Your list")) if name else message)
    if way == "setlistfm":
        return Told(
            _("That is no name of a user."),
            _("Write the name as it stands in the address of the profile: setlist.fm/user/NAME"),
        )
    return wordings.told(detail if error.message == "The request is not valid." else error.message)


# -- one import --------------------------------------------------------------------------------------------------------


@get("/imports/{import_id:str}", include_in_schema=False)
async def read_one(request: AnyRequest, services: NamedDependency[Services], import_id: FromPath[str]) -> Response[Any]:
    """Its progress, its dry run, or its report."""
    caller: Caller = request.user
    return await import_page(request, services, await view_of(services, caller.user, uuid_of(import_id)))


async def import_page(
    request: AnyRequest,
    services: Services,
    view: ImportView,
    *,
    status: int = 200,
    part: int = 0,
    faults: Mapping[str, Told] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response[Any]:
    """The import; `faults` and `typed` are of the form of one part, which was not taken."""
    caller: Caller = request.user
    before = view.state is ImportState.READY and await _taken_before(services, caller.user, view.import_id)
    told = pictured(view, before, part, faults or {}, typed or {})
    return show(request, services, "import.html", status=status, **told)


def pictured(
    view: ImportView,
    taken_before: bool = False,
    part: int = 0,
    faults: Mapping[str, Told] = MappingProxyType({}),
    typed: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """What the template of one import is told."""
    dry = view.dry_run
    put_off = view.state is ImportState.FETCHING and view.error is not None
    names = ("understood", "doubtful", "unreadable", "repeated")
    return {
        "view": view,
        "title": title_of(view),
        "say": wordings,
        "states": ImportState,
        "at_work": view.state in AT_WORK,
        "waiting": bool(view.answers and view.answers.waiting),
        "matched": matched(view.answers),
        "so_far": so_far(view),
        "again_s": AGAIN_TOMORROW_S if put_off else AGAIN_S,
        # A choice that the reader refused some time ago, or what stopped the work.
        "refused": refusal(view) if not faults else None,
        "partly": partly(view),
        "taken_before": taken_before,
        "tables": [
            table_of(view, at, one, Sparse(faults if at == part else {}), typed if at == part else {})
            for at, one in enumerate(dry.parts if dry is not None else ())
        ],
        "most_chosen": MOST_CHOSEN,
        "several": several,
        "orders": wordings.ORDERS,
        "separators": SEPARATORS,
        "encodings": ENCODINGS,
        "formats": ASKED_FORMATS,
        "samples": {name: shown(view, getattr(dry.samples, name)) for name in names} if dry is not None else {},
        "columns_in": columns_in,
        "sample_columns": SAMPLE_COLUMNS,
    }


def refusal(view: ImportBrief) -> Told | None:
    """What a reader said against it, by the name that the page calls it."""
    if view.error is None:
        return None
    own = view.kind is ImportKind.FILE
    return wordings.told(view.error.message if own else view.error.message.replace(view.name, title_of(view)))


def shown(view: ImportView, rows: Iterable[SampleRow]) -> list[Shown]:
    """Samples, cell by cell."""
    return [Shown(row, where_of(view, row), tuple(map(cells_of, row.entries))) for row in rows]


def title_of(view: ImportBrief) -> str:
    """What an import is called: a file by its name."""
    if view.kind is ImportKind.TEXT:
        return _("A pasted list")
    if view.kind is ImportKind.ROWS:
        return _("Typed shows")
    if view.kind is ImportKind.SETLISTFM:
        return _("setlist.fm: %(user)s", user=view.name.removeprefix("setlist.fm ").removesuffix(".jsonl"))
    return view.name


def partly(view: ImportBrief) -> bool:
    """Whether it failed while it was taken: it can go on, or be undone."""
    told = view.entries.model_dump(exclude={"expected"})
    return view.state is ImportState.FAILED and any(told.values())


def matched(answers: Answers | None) -> tuple[int, int]:
    """How many entries match has answered, and of how many."""
    if answers is None:
        return 0, 0
    total = sum(answers.model_dump().values())
    return total - answers.waiting, total


def so_far(view: ImportView) -> float:
    """The share of what goes on that is done, in tenths: it is read aloud."""
    done, total = (view.progress.done, view.progress.total) if view.state in AT_WORK else matched(view.answers)
    return 10 * min(done, total) // total / 10 if total else 0.0


async def _taken_before(services: Services, user: str, import_id: UUID) -> bool:
    async with services.engine.connect() as connection:
        return bool(await connection.scalar(TAKEN_BEFORE, {"user": user, "id": import_id}))


def table_of(
    view: ImportView, index: int, part: PartView, faults: Mapping[str, Told], typed: Mapping[str, str]
) -> Table:
    """A part of the file with what can be chosen of it."""
    headings = headings_of(part)
    chosen = {one.field: one for one in part.columns}

    def pick(name: Column) -> Pick:
        choice = chosen.get(name)
        columns = tuple(choice.columns) if choice is not None else ()
        options: list[tuple[str, str]] = []
        if columns:
            options.append((KEPT, several(columns)))
        options.append((NONE if columns else KEPT, _("None of them")))
        options += [(f"c:{one}", heading_name(one)) for one in headings if (one,) != columns]
        if name.value in view.corrections.mapping:
            options.append((GUESS, _("Guess again")))
        asked = typed.get(f"map-{name.value}", KEPT)
        if asked not in dict(options):  # what was asked for is shown as it was, with what is wrong with it
            options.append((asked, asked.removeprefix("c:")))
        return Pick(
            name,
            columns,
            wordings.tell(choice.why) if choice is not None else "",
            choice.confidence if choice is not None else 0.0,
            tuple(options),
            asked,
            faults.get(name.value),
        )

    offered = [*MAIN, *(name for name in Column if name in chosen and name not in MAIN)]
    wrong = [name for name in Column if name.value in faults and name not in offered]
    picks = tuple(pick(name) for name in (*offered, *wrong))
    more = tuple(pick(name) for name in Column if name not in offered and name not in wrong)
    return Table(index, part, picks, more, part.format in OWN_COLUMNS, faults, typed)


def headings_of(part: PartView) -> list[str]:
    """The columns of a table that can be chosen: those that are read, then the others."""
    names = dict.fromkeys([*(name for one in part.columns for name in one.columns), *part.unused])
    return [name for name in names if len(name) <= LONGEST_HEADING][:MOST_HEADINGS]


def several(columns: Sequence[str]) -> str:
    """The headings that are read together: 'Band, Band 2 and 14 more'."""
    if len(columns) <= FEW:
        return listed(map(heading_name, columns))
    more = len(columns) - FEW + 1
    names = ", ".join(map(heading_name, columns[: FEW - 1]))
    return ngettext("%(names)s and %(num)s more", "%(names)s and %(num)s more", more, names=names)


def heading_name(name: str) -> str:
    """'Column 3' of a table without headings, else the heading."""
    bare = re.fullmatch(r"column (\d+)", name)
    return _("Column %(number)s", number=bare[1]) if bare else name


def cells_of(entry: Mapping[str, Any]) -> Mapping[str, str]:
    """An entry of a sample, or of what is remembered, by SAMPLE_COLUMNS."""
    said = {name: value for name, value in entry.items() if value not in (None, "", [])}
    when = " ".join(filter(None, [_when(str(said.get("date", ""))), str(said.get("time", ""))]))
    town = [str(said[name]) for name in ("city", "region") if name in said]
    if told := str(said.get("country", "")):
        town.append(country(told.upper()) if len(told) == 2 else told)
    if not town and "venue" not in said and "lat" in said and "lon" in said:
        town.append(f"{said['lat']:.3f}, {said['lon']:.3f}")
    songs = said.get("songs", ())
    cells = {
        "artist": str(said.get("artist", "")),
        "when": when,
        "venue": str(said.get("venue", "")),
        "town": ", ".join(town),
        "songs": ngettext("%(num)s song", "%(num)s songs", len(songs)) if songs else "",
        "with": listed(map(str, said.get("with", ()))),
        "note": str(said.get("note", "")),
    }
    return Sparse({name: one for name, one in cells.items() if one})


def _when(written: str) -> str:
    if not _DAY.match(written):
        return written
    try:
        return day(date.fromisoformat(written))
    except ValueError:
        return written


def where_of(view: ImportView, row: SampleRow) -> str:
    """'Line 12' of the file itself; of a file in an archive, or a place in JSON, as the reader calls it."""
    where = row.where.removeprefix(f"{view.name}:")
    return _("Line %(number)s", number=where) if where.isdecimal() else where


def columns_in(samples: Iterable[Shown]) -> list[str]:
    """The columns that some samples need; who and when always."""
    used = {"artist", "when"}.union(*(cells for one in samples for cells in one.entries))
    return [name for name in SAMPLE_COLUMNS if name in used]


# -- reading it otherwise ----------------------------------------------------------------------------------------------


@post("/imports/{import_id:str}/read", include_in_schema=False)
async def read_otherwise(
    request: AnyRequest, services: NamedDependency[Services], import_id: FromPath[str], data: Form
) -> Response[Any]:
    """The dry run anew, with what was chosen; or the form again with what does not fit."""
    check_form(request, services, data)
    caller: Caller = request.user
    one = uuid_of(import_id)
    view = await view_of(services, caller.user, one)
    index = int(data["part"]) if data.get("part", "").isdecimal() and len(data["part"]) < 6 else 0
    parts = view.dry_run.parts if view.dry_run is not None else []
    try:
        wish = correction_of(view, parts[index] if index < len(parts) else None, data)
        await correct(services, caller.user, one, wish, wait_s=WAIT_S)
    except InvalidError as error:
        faults = dict([_misfit(error)])
        now = await view_of(services, caller.user, one)
        return await import_page(request, services, now, status=400, part=index, faults=faults, typed=data)
    except ConflictError:
        return back(f"/imports/{one}")  # which says how it stands
    return back(f"/imports/{one}#parts")


def correction_of(view: ImportView, part: PartView | None, data: Mapping[str, str]) -> Corrected:
    """What a form says otherwise than the reading has it. InvalidError for what no page of ours offers."""
    told: dict[str, Any] = {}
    if data.get("do") == "guess":
        told = dict.fromkeys(("mapping", "date_order", "separator", "encoding"))
        if view.kind is not ImportKind.ROWS:
            told["format"] = None
    elif data.get("do") != "again" and part is not None:
        mapping = dict(_chosen(part, data))
        if mapping:
            told["mapping"] = mapping
        for name in ("date_order", "separator", "encoding", "format"):
            if name in data and data[name] != (getattr(view.corrections, name) or ""):
                told[name] = data[name].replace("\r\n", "\n") or None
    try:
        return Corrected.model_validate(told)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        raise InvalidError(f"{wrong['loc'][0] if wrong['loc'] else 'mapping'}: {wrong['msg']}") from None


def _chosen(part: PartView, data: Mapping[str, str]) -> Iterator[tuple[str, list[str] | None]]:
    by_form = {one.replace("\r\n", "\n"): one for one in headings_of(part)}
    for name in Column:
        value = data.get(f"map-{name.value}", KEPT)
        if value == GUESS:
            yield name.value, None
        elif value == NONE:
            yield name.value, []
        elif value.startswith("c:"):
            asked = value[2:].replace("\r\n", "\n")  # as forms write a line's end
            yield name.value, [by_form.get(asked, asked)]


def _misfit(error: InvalidError) -> tuple[str, Told]:
    """Which field of the form, and what is wrong with it."""
    code, parted, message = (error.details[0].message if error.details else "").partition(": ")
    said = message if parted and code in set(Code) else error.message
    name = said.partition(":")[0]
    if name in set(Column):
        return name, wordings.told(said)
    if name in ("date_order", "separator", "format"):
        return name, Told(_("Choose one of the list."))
    return ("encoding" if "is no encoding" in said or name == "encoding" else "part"), wordings.told(said)


# -- taking it, and taking it back -------------------------------------------------------------------------------------


@post("/imports/{import_id:str}/apply", include_in_schema=False)
async def apply_on_page(
    request: AnyRequest, services: NamedDependency[Services], import_id: FromPath[str], data: Form
) -> Response[Any]:
    """Into the history; its page tells how far it is."""
    check_form(request, services, data)
    caller: Caller = request.user
    one = uuid_of(import_id)
    gone: Literal["keep", "withdraw"] = "withdraw" if data.get("gone") == "withdraw" else "keep"
    # A box that is not ticked is not sent: that it was there says another field.
    how = Apply(doubtful="doubtful" in data or "asked" not in data, gone=gone)
    with suppress(ConflictError):  # its page says how it stands
        await apply(services, caller.user, one, how, wait_s=BEGIN_S)
    return back(f"/imports/{one}")


@get("/imports/{import_id:str}/undo", include_in_schema=False)
async def before_undo(
    request: AnyRequest, services: NamedDependency[Services], import_id: FromPath[str]
) -> Response[Any]:
    """What taking it back does, and the button."""
    caller: Caller = request.user
    view = await view_of(services, caller.user, uuid_of(import_id))
    if view.state is not ImportState.APPLIED and not partly(view):
        return back(f"/imports/{view.import_id}")
    return show(request, services, "import_undo.html", view=view, title=title_of(view))


@post("/imports/{import_id:str}/undo", include_in_schema=False)
async def undo_on_page(
    request: AnyRequest, services: NamedDependency[Services], import_id: FromPath[str], data: Form
) -> Response[Any]:
    """Taken back; its page tells how far it is."""
    check_form(request, services, data)
    caller: Caller = request.user
    one = uuid_of(import_id)
    with suppress(ConflictError):  # its page says how it stands
        await undo(services, caller.user, one, wait_s=BEGIN_S)
    return back(f"/imports/{one}")


# -- what was not found, or not read -----------------------------------------------------------------------------------


@get("/imports/{import_id:str}/unknown", include_in_schema=False)
async def unknown(
    request: AnyRequest,
    services: NamedDependency[Services],
    import_id: FromPath[str],
    after: Annotated[int, QueryParameter(name="after", ge=0)] = 0,
) -> Response[Any]:
    """The entries of an import for which nothing was found, each with what would help."""
    caller: Caller = request.user
    view = await view_of(services, caller.user, uuid_of(import_id))
    asked = {"user": caller.user, "id": view.import_id, "now": services.clock(), "after": after}
    async with services.engine.connect() as connection:
        rows = (await connection.execute(UNKNOWN, asked | {"most": UNKNOWN_TAKE + 1})).all()
    shown = rows[:UNKNOWN_TAKE]
    return show(
        request,
        services,
        "import_unknown.html",
        view=view,
        title=title_of(view),
        entries=[(cells_of(row.body), wordings.nothing_told(row.reason)) for row in shown],
        sample_columns=SAMPLE_COLUMNS,
        next=shown[-1].seq if len(rows) > len(shown) else None,
        first=not after,
    )


@get("/imports/{import_id:str}/unread", include_in_schema=False)
async def unread_on_page(
    request: AnyRequest,
    services: NamedDependency[Services],
    import_id: FromPath[str],
    shape: Annotated[Literal["original", "csv", "jsonl"], QueryParameter(name="as")] = "original",
) -> Stream:
    """The rows that could not be read, to be corrected and dropped again."""
    caller: Caller = request.user
    return await unread(services, caller.user, uuid_of(import_id), shape)


# -- how far it is -----------------------------------------------------------------------------------------------------


@get("/imports/{import_id:str}/progress", include_in_schema=False)
async def follow_on_page(
    request: AnyRequest, services: NamedDependency[Services], import_id: FromPath[str]
) -> Response[Any]:
    """Events `progress`, then `rest` once it rests and match has answered all of it."""
    caller: Caller = request.user
    one = uuid_of(import_id)
    await standing(services, caller.user, one)
    if services.imports.following.get(caller.user, 0) >= MOST_FOLLOWING:
        raise RateLimitedError(60)
    headers = {"x-accel-buffering": "no", "cache-control": "no-store"}
    return ServerSentEvent(until_found(services, caller, one), headers=headers)


async def until_found(services: Services, caller: Caller, import_id: UUID) -> AsyncIterator[ServerSentEventMessage]:
    """How far the import is, and then how many of its entries match has answered."""
    last_word = None
    async with aclosing(told_as_it_goes(services, caller, import_id, None)) as told:
        async for message in told:
            if message.event == "rest":
                last_word = message
            else:
                yield message
    if last_word is None:  # the session is over, or the process is about to end
        return
    if orjson.loads(str(last_word.data))["state"] != ImportState.APPLIED:
        yield last_word
        return
    with _following(services, caller.user):
        last = -1
        while services.clock() < caller.claims.expires and not services.news.closed:
            began = monotonic()
            waiting = (await answers_to(services, caller.user, import_id)).waiting
            if not waiting:
                yield ServerSentEventMessage(data="{}", event="rest")
                return
            if waiting != last:
                last = waiting
                yield ServerSentEventMessage(data=orjson.dumps({"waiting": waiting}).decode(), event="progress")
            await asyncio.sleep(max(services.news.every_s, 10 * (monotonic() - began)))


@contextmanager
def _following(services: Services, user: str) -> Iterator[None]:
    following = services.imports.following
    following[user] = following.get(user, 0) + 1
    try:
        yield
    finally:
        following[user] -= 1
        if not following[user]:
            del following[user]


handlers: Sequence[Any] = [
    imports,
    bring,
    more_rows,
    type_rows,
    read_one,
    read_otherwise,
    apply_on_page,
    before_undo,
    undo_on_page,
    unknown,
    unread_on_page,
    follow_on_page,
]

"""`gigz import`: a file of any kind to entry rows, with no service running."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, BinaryIO, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from api.imports.reading import DryRun, Part, Reading
    from api.imports.shapes import Corrections, Limits, Row
    from api.imports.uploads import Upload

LONGEST_SHOWN = 160
"""Characters of a row on a terminal."""


def import_file(
    file: Annotated[
        Path, typer.Argument(help="Any kind of list; a folder of photos; - is standard input, .gz is read.")
    ],
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="csv, markdown, html, text, json, icalendar, setlistfm, songkick, bandsintown, photos, mail, zip,"
            " rows; without, the content tells.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would come of it: columns, counts, samples.")
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help='Which column is what: artist=Band,date="When". A field without a column is left out.'
        ),
    ] = None,
    date_order: Annotated[str | None, typer.Option(help="dmy, mdy or ymd: how the file writes its dates.")] = None,
    separator: Annotated[
        str | None,
        typer.Option(help="What stands between acts in one cell: '/', 'names' (commas and the like), 'none'."),
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="utf-8, cp1252, ...; without, the bytes tell.")] = None,
    user: Annotated[str, typer.Option(help="Whose history it is.")] = "me",
    doubtful: Annotated[
        bool, typer.Option("--doubtful/--no-doubtful", help="Entries of doubtful rows as well.")
    ] = True,
    unmatched: Annotated[
        Path | None,
        typer.Option(help="Where rows go that could not be read: JSON lines, or a table where it ends in .csv."),
    ] = None,
    before: Annotated[
        Path | None,
        typer.Option(help="Entry rows that an earlier state of this file gave: what was corrected keeps its entry_id."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: the dry run as one object.")] = False,
) -> None:
    """Rows of any file as entry rows: JSON lines for `gigz match --history` and `gigz feed --topic history`."""
    from rich.console import Console

    from api.imports.shapes import ImportFailed

    err = Console(stderr=True, highlight=False, emoji=False, markup=False, soft_wrap=True)
    told = _corrections(columns or [], date_order, separator, encoding)
    try:
        reading = _read(file, format_, told)
        if dry_run:
            _tell(reading, err, as_json)
        else:
            _write(reading, err, user, doubtful, unmatched, before)
    except ImportFailed as error:
        err.print(error.text, style="red")
        raise typer.Exit(2 if error.code == "bad_mapping" else 1) from None
    except BrokenPipeError:
        raise typer.Exit(1) from None


def _corrections(
    columns: list[str], date_order: str | None, separator: str | None, encoding: str | None
) -> "Corrections":
    import csv

    from api.imports.shapes import Corrections, Field
    from matchers.dates import Order

    named: dict[Field, tuple[str, ...]] = {}
    for pair in (one for text in columns for one in next(csv.reader([text], skipinitialspace=True))):
        name, sign, column = pair.partition("=")
        if not sign or name.strip().lower() not in set(Field):
            known = ", ".join(Field)
            raise typer.BadParameter(f"{pair!r}: write FIELD=COLUMN, FIELD one of {known}", param_hint="--map")
        column = column.strip().strip("\"'")
        what = Field(name.strip().lower())
        named[what] = (*named.get(what, ()), column) if column else ()
    order = None
    if date_order is not None:
        if date_order.upper() not in Order.__members__:
            raise typer.BadParameter(f"{date_order!r}: dmy, mdy or ymd", param_hint="--date-order")
        order = Order(date_order.upper())
    return Corrections(named, order, separator, encoding)


def _read(file: Path, format_: str | None, corrections: "Corrections") -> "Reading":
    from api.imports.reading import read, read_photos
    from api.imports.shapes import Code, Format, ImportFailed, Limits

    if format_ is not None and format_.lower() not in set(Format):
        raise typer.BadParameter(f"{format_!r} is none of {', '.join(Format)}", param_hint="--format")
    asked = None if format_ is None else Format(format_.lower())
    if file.is_dir():
        from functools import partial

        from api.imports.photos import HEAD, SUFFIXES

        def head(path: Path) -> bytes:
            with path.open("rb") as photo:
                return photo.read(HEAD)

        found = sorted(path for path in file.rglob("*") if path.suffix.casefold() in SUFFIXES and path.is_file())
        return read_photos(file.name, ((str(path.relative_to(file)), partial(head, path)) for path in found))
    if str(file) != "-" and not file.exists():
        text = f"{file} does not exist. Remedy: look at its name and folder"
        raise ImportFailed(Code.NOT_A_FILE, text)
    try:
        return read(_upload(file, Limits()), format=asked, corrections=corrections)
    except OSError as error:
        raise ImportFailed(
            Code.NOT_A_FILE, f"{file} cannot be read: {error.strerror}. Remedy: look at its rights"
        ) from None


def _upload(file: Path, limits: "Limits") -> "Upload":
    from api.imports.uploads import Upload, copied

    if str(file) == "-":
        return copied(sys.stdin.buffer, "standard input", limits)
    return Upload.of_path(file)


# -- entries ----------------------------------------------------------------------------------------------------------


def _write(
    reading: "Reading", err: "Console", user: str, doubtful: bool, unmatched: Path | None, before: Path | None
) -> None:
    import orjson

    from api.imports.shapes import Standing

    counts = dict.fromkeys(Standing, 0)
    entries = 0
    ids = _ids(reading, before, doubtful, err) if before is not None else {}
    with _refusals(unmatched) as refuse, err.status("reading") as status:
        for row in reading.rows(tell=lambda done, total: status.update(f"{done:,} of {total:,} rows")):
            counts[row.standing] += 1
            if row.standing is Standing.UNREADABLE:
                refuse(row)
            if row.standing is Standing.DOUBTFUL and not doubtful:
                continue
            for one in row.entries:
                entries += 1
                said = one.as_row(user) | {"entry_id": ids.get(one.entry_id, one.entry_id)}
                sys.stdout.write(orjson.dumps(said | {"from": row.where, "row": row.row_hash}).decode() + "\n")
    sys.stdout.flush()
    told = ", ".join(f"{count:,} {standing.value}" for standing, count in counts.items() if count)
    err.print(f"{reading.upload.name}: {reading.total:,} rows ({told}), {entries:,} entries")
    if counts[Standing.UNREADABLE]:
        where = f"they are in {unmatched}" if unmatched else "`--unmatched FILE` keeps them, `--dry-run` shows some"
        err.print(f"{counts[Standing.UNREADABLE]:,} rows could not be read; {where}", style="yellow")


@contextlib.contextmanager
def _refusals(path: Path | None) -> "Iterator[Callable[[Row], None]]":
    from api.imports.unmatched import writer

    if path is None:

        def nowhere(row: "Row") -> None:
            """`--dry-run` shows them."""

        yield nowhere
        return
    with path.open("wb") as file:
        yield writer(cast("IO[bytes]", file), path.name)


def _ids(reading: "Reading", before: Path, doubtful: bool, err: "Console") -> dict[str, str]:
    """Of the file's entries, the ids that they had before."""
    import orjson

    from api.imports.identity import Known, carried
    from api.imports.shapes import Imported, Standing
    from schemas.history import Remembered

    known = []
    with before.open("rb") as file:
        for line in file:
            row = orjson.loads(line)
            known.append(Known.of(Imported(row["entry_id"], Remembered.model_validate(row))))
    kept = (row for row in reading.rows() if doubtful or row.standing is not Standing.DOUBTFUL)
    now = [Known.of(one) for row in kept for one in row.entries]
    found = carried(known, now)
    counts = f"{found.unchanged:,} unchanged, {len(found.changed):,} changed, {len(found.added):,} added"
    named = ", ".join(found.gone[:5]) + (", ..." if len(found.gone) > 5 else "")
    err.print(f"beside {before.name}: {counts}, {len(found.gone):,} gone" + (f" ({named})" if found.gone else ""))
    return {one.entry_id: entry_id for one, entry_id in zip(now, found.ids, strict=True)}


# -- the dry run ------------------------------------------------------------------------------------------------------


def _tell(reading: "Reading", err: "Console", as_json: bool) -> None:
    from rich.console import Console

    from api.imports.reading import dry_run

    with err.status("reading") as status:
        run = dry_run(reading, tell=lambda done, total: status.update(f"{done:,} of {total:,} rows"))
    if as_json:
        typer.echo(json.dumps(run.as_json(), ensure_ascii=False))
        return
    _show(Console(highlight=False, emoji=False, markup=False, soft_wrap=True), run)


def _show(console: "Console", run: "DryRun") -> None:
    for part in run.reading.parts[:10]:
        _show_part(console, part)
    if len(run.reading.parts) > 10:
        console.print(f"and {len(run.reading.parts) - 10} parts more\n")
    for standing, count in run.counts.items():
        console.print(f"{count:,} {standing.value}", style="bold")
        for row in run.samples.get(standing, ()):
            _show_row(console, row)
    console.print(f"\n{run.reading.total:,} rows would be {run.entries:,} entries. Nothing was kept.")
    console.print("Otherwise? --map artist=COLUMN,date=COLUMN  --date-order dmy  --separator ' / '  --format FORMAT")


def _show_part(console: "Console", part: "Part") -> None:
    from rich import box
    from rich.table import Table

    console.print(f"{part.name}: {part.format.value}, {part.rows:,} rows", style="bold")
    table = Table("field", "columns", "sure", "why", box=box.SIMPLE_HEAD if console.is_terminal else None)
    for choice in part.layout.choices:
        names = ", ".join(choice.columns[:3]) + (
            f" and {len(choice.columns) - 3} more" if len(choice.columns) > 3 else ""
        )
        table.add_row(choice.field.value, names, f"{choice.confidence:.0%}", choice.why)
    console.print(table)
    layout = part.layout
    if layout.unused:
        console.print(f"not used: {', '.join(layout.unused[:12])}")
    if layout.given is not None:
        console.print(f"dates: {layout.given.value.lower()}, as you said")
    elif layout.order.confidence or layout.order.ambiguous:
        console.print(f"dates: {layout.order.text}")
    else:
        console.print("dates: none needs an order of day and month")
    if layout.separator_why:
        console.print(f"several acts: {layout.separator_why}")
    console.print()


def _show_row(console: "Console", row: "Row") -> None:
    shown = " ".join(row.original[: 4 * LONGEST_SHOWN].decode("utf-8", "replace").split())[:LONGEST_SHOWN]
    console.print(f"  {row.where}: {shown}", style="dim")
    for one in row.entries[:4]:
        said = {name: value for name, value in one.as_row("").items() if name not in ("user", "entry_id")}
        console.print("    -> " + ", ".join(f"{name} {value}" for name, value in said.items())[:300])
    if len(row.entries) > 4:
        console.print(f"    -> and {len(row.entries) - 4} acts more")
    for doubt in row.doubts:
        console.print(f"    ? {doubt}")
    if row.fault is not None:
        console.print(f"    {row.fault.reason.value}: {row.fault}")


__all__ = ["BinaryIO", "import_file"]

"""`gigz wanted`: what users ask for and no source has told yet; operators add to it, hide, and say what comes first."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from deploy.settings import Settings
    from spiders.wanted import Outlook

app = typer.Typer(help="Artists and years that users ask for and no source has told yet.", no_args_is_help=True)
T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
Artist = Annotated[str, typer.Argument(help="As `gigz wanted list` writes it.")]
Years = Annotated[list[str] | None, typer.Argument(help="1991, or 1990-1993; none: all of the artist's.")]
Who = Annotated[str, typer.Option(help="Who does it, for the log; the user of this machine unless given.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the operators' log.")]
Why = Annotated[str, typer.Option("--why", hidden=True, help="As --reason.")]
MOST_SHOWN = 50
MOST_RANGES = 10
MOST_EXPLAINED = 10
FIRST_YEAR, LAST_YEAR = 1900, 2200


@app.callback()
def wanted() -> None:
    """Artists and years that users ask for and no source has told yet."""


@app.command("list")
def list_(
    as_json: AsJson = False,
    most: Annotated[int, typer.Option(min=1, help="Rows shown.")] = MOST_SHOWN,
    everything: Annotated[bool, typer.Option("--all", help="Those that were answered as well.")] = False,
) -> None:
    """Most wanted first; what will be searched for next, by which spider, and what its quota leaves."""
    from spiders.formats.base import utc_now
    from spiders.sources import SPIDERS
    from spiders.wanted import outlook

    now = utc_now()

    async def look(settings: "Settings", engine: "AsyncEngine") -> "tuple[str, Outlook]":
        stale = await _catch_up(settings, engine)
        return stale, await outlook(engine, settings, SPIDERS, now, most, everything=everything)

    stale, seen = _with_engine(look)
    if as_json:
        typer.echo(json.dumps(_as_json(seen, stale)))
    else:
        _show(seen, stale, now)


@app.command()
def add(
    artist: Annotated[str, typer.Argument(help="The artist's name.")],
    years: Annotated[list[str], typer.Argument(help="1991, or 1990-1993.")],
    who: Who = "",
    reason: Reason = "",
    why: Why = "",
) -> None:
    """Have an artist's years searched for though no user asks."""
    from spiders import wanted as rows

    told = _years(years)
    _say("added", _changed(lambda engine, at: rows.add(engine, artist, told, _who(who), reason or why, at)))


@app.command()
def hide(
    artist: Artist,
    years: Years = None,
    undo: Annotated[bool, typer.Option("--undo", help="Search for them again after all.")] = False,
    who: Who = "",
    reason: Reason = "",
    why: Why = "",
) -> None:
    """Never search for these, whoever asks."""
    from spiders import wanted as rows

    told = _years(years)
    done = _changed(lambda engine, at: rows.hide(engine, artist, told, _who(who), reason or why, at, hidden=not undo))
    _say("shown again" if undo else "hidden", done)


@app.command(context_settings={"ignore_unknown_options": True})
def boost(
    by: Annotated[int, typer.Argument(metavar="N", help="The larger, the earlier; 0 takes it back.")],
    artist: Artist,
    years: Years = None,
    who: Who = "",
    reason: Reason = "",
    why: Why = "",
) -> None:
    """Search for these before what others ask for."""
    from spiders import wanted as rows

    told = _years(years)
    _say(f"boost {by}", _changed(lambda engine, at: rows.boost(engine, artist, told, by, _who(who), reason or why, at)))


@app.command()
def remove(artist: Artist, years: Years = None, who: Who = "", reason: Reason = "", why: Why = "") -> None:
    """Take off the list what an operator added; what users ask for can only be hidden."""
    from spiders import wanted as rows

    told = _years(years)
    _say("removed", _changed(lambda engine, at: rows.remove(engine, artist, told, _who(who), reason or why, at)))


def _say(what: str, artists: "Mapping[str, Sequence[int]]") -> None:
    for artist, years in artists.items():
        number = f" ({len(years)} years)" if len(years) > 1 else ""
        typer.echo(f"{what}: {artist} {_ranges(years)}{number}")


def _ranges(years: Sequence[int]) -> str:
    """1990-1993, 1995."""
    starts = [year for year in years if year - 1 not in years]
    ends = [year for year in years if year + 1 not in years]
    told = [str(first) if first == last else f"{first}-{last}" for first, last in zip(starts, ends, strict=True)]
    return ", ".join(told if len(told) <= MOST_RANGES else [*told[:MOST_RANGES], "..."])


def _years(written: Iterable[str] | None) -> list[int]:
    """1991 and 1990-1993, one by one. SettingsError."""
    from deploy.settings import SettingsError

    found: list[int] = []
    for one in written or ():
        first, _, last = one.strip().partition("-")
        if not (first.isdigit() and (last or first).isdigit()):
            raise SettingsError(f"{one!r} is no year. Remedy: 1991, or 1990-1993.")
        years = range(int(first), int(last or first) + 1)
        if not years or years[0] < FIRST_YEAR or years[-1] > LAST_YEAR:
            raise SettingsError(f"{one!r} are no years from {FIRST_YEAR} to {LAST_YEAR}. Remedy: 1991, or 1990-1993.")
        found.extend(years)
    return found


def _who(who: str) -> str:
    import getpass

    return who or getpass.getuser()


async def _catch_up(settings: "Settings", engine: "AsyncEngine") -> str:
    """Read what the scheduler has not read; why the list may be old, where that cannot be done."""
    from aiokafka.errors import KafkaError

    from deploy.settings import SettingsError
    from spiders.wanted import drain

    try:
        await drain(settings, engine)
    except (SettingsError, KafkaError, OSError, TimeoutError) as error:
        return " ".join(str(error).split())[:300] or type(error).__name__
    return ""


def _as_json(seen: "Outlook", stale: str) -> dict[str, object]:
    return {
        "wanted": [row.as_json() for row in seen.rows],
        "next": [{"spider": name, "errand": errand.as_json(), "keys": keys} for name, errand, keys in seen.next],
        "spiders": [{"spider": one.spider, "a_day": one.a_day, "left": one.left} for one in seen.spiders],
        "lacking": seen.lacking,
        "as_of": seen.as_of and seen.as_of.isoformat(),
        "stale": stale or None,
    }


def _show(seen: "Outlook", stale: str, now: datetime) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, emoji=False, markup=False)

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if stale:
        say(f"the list is as of {_day(seen.as_of)}, what came since could not be read: {stale}")
    if seen.rows:
        table = Table("artist", "year", "asked", "boost", "since", "tries", "found", "last try", "", box=None)
        for row in seen.rows:
            told = [row.state, *(["added"] if row.added else [])]
            if row.state == "tried" and row.next_at is not None and row.next_at > now:
                told.append(f"again {row.next_at:%Y-%m-%d}")
            if row.waits and row.waits != row.state and not row.waits.startswith("tried"):
                told.append(row.waits)
            figures = [str(row.year), f"{row.asked:,}", str(row.boost or ""), _day(row.since)]
            figures += [str(row.tries or ""), str(row.found) if row.tries else "", _day(row.last_tried_at)]
            table.add_row(row.artist, *figures, ", ".join(told))
        console.print(table)
    else:
        say("nothing is wanted: every entry that could be searched for is answered, and no operator added anything")
    for name, errand, keys in seen.next:
        years = f"{errand.since:%Y}" if len(keys) == 1 else f"{errand.since:%Y}-{errand.until:%Y}"
        say(f"next: {name} searches for {errand.artist}, {years}")
    if seen.rows and not seen.next:
        say(_why_not(seen))
        for row in seen.rows[:MOST_EXPLAINED]:
            say(f"  {row.artist} {row.year}: {row.waits}")
        if len(seen.rows) > MOST_EXPLAINED:
            say(f"  and {len(seen.rows) - MOST_EXPLAINED:,} more: the table says why")
    for one in seen.spiders:
        if one.a_day is not None:
            say(f"{one.spider}: {one.left:,} of {one.a_day:,} requests left today (UTC)")
        else:
            say(f"{one.spider}: no daily limit")
    if seen.lacking:
        say(f"set {', '.join(seen.lacking)} for more spiders that can search")


def _why_not(seen: "Outlook") -> str:
    if not seen.spiders:
        return "nothing will be searched for: no spider that can search has its key"
    used = [one.spider for one in seen.spiders if one.left is not None and one.left < 1]
    if len(used) == len(seen.spiders):
        return f"nothing will be searched for today: the quota of {', '.join(used)} is used up"
    return "nothing will be searched for now:"


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d}"


def _changed(work: "Callable[[AsyncEngine, datetime], Awaitable[list[str]]]") -> "Mapping[str, Sequence[int]]":
    """What was changed: artist -> years."""
    from spiders.formats.base import utc_now
    from spiders.wanted import told_of

    async def change(settings: "Settings", engine: "AsyncEngine") -> dict[str, list[int]]:
        return await told_of(engine, await work(engine, utc_now()))

    return _with_engine(change)


def _with_engine(work: "Callable[[Settings, AsyncEngine], Awaitable[T]]") -> T:
    from deploy.clients import check_postgres, postgres_engine
    from deploy.settings import current

    settings = current()

    async def open_() -> T:
        engine = postgres_engine(settings, pool_size=2, name="gigz-wanted")
        try:
            await check_postgres(engine, settings)
            return await work(settings, engine)
        finally:
            await engine.dispose()

    return asyncio.run(open_())

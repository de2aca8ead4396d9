"""`gigz trace`: where a suggestion came from, and whether it would be made again."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from streams.trace import Shown, Stood, Traced


def trace(
    suggestion: Annotated[str, typer.Argument(help="The API's suggestion id, or user/entry.")],
    weights: Annotated[
        Path | None, typer.Option(help="Replay with the weights in this file; else those that match goes by.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: one object.")] = False,
) -> None:
    """Offsets, listings, evidence and weights of a suggestion; replays it, exit 1 when it comes out otherwise."""
    from rich.console import Console

    from deploy.settings import current
    from streams.trace import NotTraced
    from streams.trace import trace as follow_back

    err = Console(stderr=True, highlight=False, emoji=False)
    try:
        with err.status("tracing"):
            traced = asyncio.run(follow_back(current(), suggestion, weights))
    except NotTraced as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(traced.as_json(), default=str))
    else:
        _show(Console(highlight=False, emoji=False, markup=False, soft_wrap=True), traced)
    raise typer.Exit(0 if traced.same else 1)


def _show(console: "Console", traced: "Traced") -> None:
    found = traced.again.stored
    wrote = found.entry.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    console.print(f"{found.key}: {', '.join(f'{name} {value}' for name, value in wrote.items()) or 'nothing written'}")
    console.print(f"  entry    {_place(traced.entry)}")
    made = f"rev {found.rev}" + (f", made {found.made_at:%Y-%m-%d %H:%M:%S} UTC" if found.made_at else "")
    console.print(f"  set      {_place(traced.message)}  {made}")
    if traced.message is not None and traced.message.cause:
        console.print(f"  cause    {traced.message.cause}, trace {traced.message.trace}")
    console.print(f"  weights  {found.weights or 'unknown'}, fold {found.fold or 'unknown'}")
    for decision in traced.again.decisions:
        console.print(f"  decision {decision.action.value} at {decision.decided_at:%Y-%m-%d %H:%M:%S} UTC")
    if not traced.shown:
        console.print(f"  nothing is proposed: {found.reason.value if found.reason else 'no reason given'}")
    for one in traced.shown:
        _show_one(console, one)
    replayed = f"{len(traced.again.candidates):,} candidates, weights {traced.again.weights}"
    if traced.same:
        console.print(f"\nreplayed: the same ({replayed})", style="green")
        return
    console.print(f"\nreplayed: comes out otherwise ({replayed})", style="red")
    for line in traced.differences:
        console.print(f"  {line}")
    console.print("because")
    for line in traced.reasons:
        console.print(f"  {line}")


def _show_one(console: "Console", one: "Shown") -> None:
    suggestion, facts = one.suggestion, one.suggestion.concert
    where = ", ".join(part for part in (facts.place.name, facts.place.city, facts.place.country) if part)
    mark = " <- asked for" if one.asked else ""
    console.print(f"\n{suggestion.rank}. {facts.artist}, {facts.night}, {where}{mark}", style="bold")
    console.print(f"   {suggestion.band.value}, {suggestion.confidence:.4f}, suggestion {suggestion.suggestion_id}")
    console.print(f"   concert {suggestion.concert_id}, {_place(one.concert)}{'' if one.concert_live else ', no more'}")
    for piece in suggestion.why:
        console.print(f"   {piece.bits:+7.2f}  {piece.field}: {piece.text}")
    for listing in one.listings:
        now = "" if listing.version_now == listing.version else f", now {listing.version_now or 'gone'}"
        console.print(f"   listing {listing.source}:{listing.source_id} version {listing.version}{now}")
        console.print(f"     {_place(listing.stood)}" + (f"  {listing.url}" if listing.url else ""))


def _place(stood: "Stood | None") -> str:
    return "no longer in Kafka" if stood is None else str(stood)

"""A user with something on every page, through the calls that the pages make themselves; and names nobody expects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import update

from schemas.concert import BillAct, Concert, Facts
from schemas.history import Remembered
from schemas.ids import companion_entry_id
from schemas.listing import Place, Role
from schemas.outgoing import Origin
from schemas.suggestion import Evidence, Suggestion
from schemas.tables import ErasureRow, ImportState
from sinks.meilisearch import open_meilisearch_sink
from sinks.received import Received
from tests.api.imports.test_import_api import Importing
from tests.api.support import START, Clock, Story
from tests.api.test_api_decisions import known
from tests.api.test_friends import Person, befriend

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>&lt;b&gt;"\''
TURNED = "\u202ethgir ot tfel\u202c \u200f\u0639\u0631\u0628\u064a"
"""Written from right to left, and made to look so."""
LONG = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch" * 9
"""500 letters without a place where a line could be broken."""

EVIDENCE = (
    Evidence(field="artist", bits=14.2, text="same artist"),
    Evidence(field="date", bits=-1.4, text="2 days outside what was typed"),
    Evidence(field="city", bits=-2.5, text="Reading is another town, 59 km away"),
    Evidence(field="venue", bits=5.1, text="same venue"),
    Evidence(field="songs", bits=6.0, text="2 of your 3 songs were played"),
    Evidence(field="prior", bits=-13.0, text="one of about a million concerts"),
)
LIST = """Band,When,Where,Town
Muse,25/06/2001,Apollo,Manchester
Pulp,26/07/2002,Barrowland,Glasgow
Blur,5/6/2003,Astoria,London
Oasis,31/31/2004,Knebworth,Stevenage
,,,
"""
"""What people keep: three that can be read, one of them in two ways, and two that cannot."""


@dataclass(frozen=True)
class Names:
    """What the artists and places of a furnished user are called."""

    artist: str = "Radiohead"
    venue: str = "Little John's Farm"
    city: str = "Reading"
    songs: tuple[str, ...] = ("You", "Bones", "Ripcord", "Black Star", "Creep", "Anyone Can Play Guitar", "Blow Out")
    note: str = "Rain all day"
    company: str = "Jo"


PLAIN = Names()
WILD = (
    Names(HOSTILE, HOSTILE, HOSTILE, (HOSTILE, "Creep"), HOSTILE, HOSTILE),
    Names(LONG, LONG, LONG[:200], (LONG, "Creep"), LONG, LONG[:200]),
    Names(TURNED, TURNED, TURNED, (TURNED, "Creep"), TURNED, TURNED),
)


@dataclass(frozen=True)
class Furnished:
    """Somebody with something on every page, and the ids that addresses of pages are made of."""

    person: Person
    friend: Person
    named: dict[str, str]
    """Parameter of a path -> an id that this user has."""


def newcomer(client: httpx.AsyncClient, story: Story, clock: Clock) -> Furnished:
    """Somebody who has nothing yet, nor a friend."""
    return Furnished(somebody(client, story, clock), somebody(client, story, clock), {})


def somebody(client: httpx.AsyncClient, story: Story, clock: Clock) -> Person:
    """A user of their own, without anything."""
    return Person(client, replace(story, user=f"u-{uuid4().hex}"), clock)


async def furnished(client: httpx.AsyncClient, story: Story, clock: Clock, *names: Names) -> Furnished:
    """Somebody with entries, decisions, shows, imports and friends, called by these names in turn."""
    calls = names or (PLAIN,)
    ann, bob = somebody(client, story, clock), somebody(client, story, clock)
    confirmed = [await inbox_of(ann, one, f"n{number}") for number, one in enumerate(calls)]
    journal = [await journal_of(ann, one, f"n{number}") for number, one in enumerate(calls)]
    await searchable(ann, [concert for _, concerts in journal for concert in concerts])
    undone, ready, applied = await imports_of(ann, calls[0])
    await friends_of(ann, bob, calls[0])
    told = {"dry_run": True, "action": "snooze", "filter": {"band": "possible"}}
    token = (await ann.post("/suggestions/bulk", told))["data"]["token"]
    await ann.post("/suggestions/bulk", {"token": token})
    named = {
        "entry_id": "n0-sure",
        "confirmed_id": str(confirmed[0]),
        "token": token,
        "receipt_id": str(await gone(ann)),
        "done_id": str(await gone(ann, done=True)),
        "show_id": str(journal[0][0]),
        "import_id": str(ready),
        "applied_id": str(applied),
        "undone_id": str(undone),
        "user": bob.user,
    }
    return Furnished(ann, bob, named)


def facts(names: Names, night: date, **more: Any) -> Facts:
    """A show under these names."""
    place = Place(name=names.venue, city=names.city, country="GB", lat=51.47, lon=-0.99, tz="Europe/London")
    return Facts.model_validate({"artist": names.artist, "night": night, "place": place, "songs": names.songs} | more)


async def inbox_of(ann: Person, names: Names, prefix: str) -> UUID:
    """An entry of each kind, to be decided and decided; the suggestion of the one that was confirmed."""
    typed = Remembered.model_validate(
        {
            "artist": names.artist.lower(),
            "date": "29 August 1994",
            "venue": names.venue,
            "city": "London",
            "songs": (names.songs[0], names.songs[-1], "Karma Police"),
            "note": names.note,
            "with": (names.company,),
        }
    )
    night = facts(names, date(1994, 8, 27), tour=names.artist, festival=names.venue)
    elsewhere = Place(name="Astoria", city="London", country="GB", lat=51.516, lon=-0.131, tz="Europe/London")
    other = facts(names, date(1994, 5, 27), place=elsewhere, songs=())
    billed = BillAct(concert_id=uuid4(), artist=names.company, role=Role.SUPPORT)
    far = facts(names, date(1994, 5, 30), bill=(billed,))

    async def found(entry_id: str, *said: tuple[Facts, float], entry: Remembered = typed, **more: Any) -> UUID:
        made = [suggested(ann, f"{prefix}-{entry_id}", one, confidence) for one, confidence in said]
        await ann.story.found(f"{prefix}-{entry_id}", *made, entry=entry, **more)
        return made[0].suggestion_id if made else UUID(int=0)

    await found("sure", (night, 0.97), (other, 0.02), (far, 0.01))
    await found("likely", (other, 0.71), (far, 0.2))
    await found("possible", (far, 0.3), entry=Remembered(date="1994", city=names.city))
    await found("unknown", entry=Remembered(artist=names.artist, date="the nineties", note=names.note))
    companion = companion_entry_id(uuid4(), uuid4())
    because = {"text": f"on the same bill as {names.artist[:80]}, which you confirmed", "artist": names.artist}
    beside = suggested(ann, companion, far, 0.4)
    await ann.story.found(companion, beside, entry=Remembered(), origin="companion", because=because)
    confirmed = await found("confirmed", (night, 0.97))
    await ann.say("confirm", confirmed)
    await found("sure-too", (facts(names, date(2003, 6, 5)), 0.99))
    await ann.say("dismiss", await found("dismissed", (other, 0.8)))
    await ann.say("snooze", await found("snoozed", (far, 0.5)), {"days": 7})
    moved = await found("moved", (night, 0.6), (other, 0.4))
    concert = suggested(ann, f"{prefix}-moved", other, 0.4).concert_id
    await ann.say("other-night", moved, {"concert_id": str(concert)})
    taken_back = await found("undone", (night, 0.9))
    await ann.say("confirm", taken_back)
    await ann.say("undo", taken_back)
    return confirmed


def suggested(ann: Person, entry_id: str, one: Facts, confidence: float) -> Suggestion:
    """As match proposes it, with evidence of every kind."""
    return ann.story.suggestion(entry_id, one, confidence, why=EVIDENCE)


async def journal_of(ann: Person, names: Names, prefix: str) -> tuple[UUID, list[Concert]]:
    """Shows of several years and places; the one that tells most, and those that sources know."""
    towns = (("Berlin", "DE", 52.52, 13.40), ("Nashville", "US", 36.16, -86.78), ("Melbourne", "AU", -37.81, 144.96))
    concerts = []
    for number, (city, country, lat, lon) in enumerate(towns):
        place = Place(name=names.venue, city=city, country=country, lat=lat, lon=lon)
        concerts.append(await known(ann.story, facts(names, date(2001 + 4 * number, 3, 9), place=place), f"{uuid4()}"))
    concerts.append(await known(ann.story, facts(names, date(1997, 6, 28), festival=names.venue), f"{uuid4()}"))
    shows = [await ann.was_at(one, f"{prefix}-was-{number}") for number, one in enumerate(concerts)]
    await ann.keep(shows[-1], **{"note": names.note, "rating": 4, "with": [names.company]})
    own = {"artist": names.artist, "night": "2011-05-06", "venue": names.venue, "city": names.city, "country": "GB"}
    await ann.post("/journal", own | {"note": names.note}, 201)
    return shows[-1], concerts


async def searchable(ann: Person, concerts: Sequence[Concert]) -> None:
    """Put them where search looks."""
    async with open_meilisearch_sink(ann.story.settings) as sink:
        told = [
            Received(Origin(one.topic, 0, number), one.key, one, one.to_bytes(), START, "")
            for number, one in enumerate(concerts)
        ]
        await sink.write([sink.prepare(one) for one in told])


async def imports_of(ann: Person, names: Names) -> tuple[UUID, UUID, UUID]:
    """An import that was undone, one that is shown as a dry run, and one that was taken."""
    importing = Importing(ann.client, ann.story, ann.clock)
    row = ",".join(f'"{one[:150].replace(chr(34), chr(34) * 2)}"' for one in (names.artist, names.venue, names.city))
    wild = f"Band,Where,Town,When\n{row},14/11/2004\n{row},15/11/2005\n"
    undone = await importing.taken(wild, "undone.csv")
    await importing.undo(undone["import_id"])
    ready = await importing.upload(LIST, f"{names.artist[:60].replace('/', '')}.csv")
    applied = await importing.taken(LIST.replace("2001", "1999"), "taken.csv")
    assert (ready["state"], applied["state"]) == (ImportState.READY, ImportState.APPLIED)
    return UUID(undone["import_id"]), UUID(ready["import_id"]), UUID(applied["import_id"])


async def friends_of(ann: Person, bob: Person, names: Names) -> None:
    """A friend who was at the same show, one who asks, one who is asked, and one who is kept away."""
    await befriend(ann, bob)
    await bob.prefer(journal="friends")
    together = await known(ann.story, facts(names, date(2009, 8, 30)), f"{uuid4()}")
    for one in (ann, bob):
        await one.was_at(together, "together")
    await somebody(ann.client, ann.story, ann.clock).follow(ann)
    await ann.follow(somebody(ann.client, ann.story, ann.clock))
    await ann.post(f"/blocks/{uuid4().hex}")


async def gone(ann: Person, done: bool = False) -> UUID:
    """The receipt of somebody else who asked to be erased, and, where it is `done`, was."""
    who = somebody(ann.client, ann.story, ann.clock)
    answer = await who.ask("DELETE", "/me", {"confirm": who.user})
    receipt = UUID(answer.json()["data"]["receipt_id"])
    if done:
        left = {"where": "kafka gigz.rejection.v1", "count": 1, "until": START.isoformat()}
        told = {"removed": {"postgres state.entries": 3}, "found": [left]}
        changed = {"user_id": None, "done_at": ann.clock(), "receipt": told}
        async with ann.story.engine.begin() as connection:
            await connection.execute(update(ErasureRow).where(ErasureRow.receipt_id == receipt).values(**changed))
    return receipt

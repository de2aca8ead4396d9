"""A journal of thirty years, written straight into the tables that hold one: as many shows as asked for."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas import ids
from schemas.concert import Concert, Facts, Member
from schemas.decision import Action, Decision
from schemas.history import Remembered
from schemas.listing import Place, Status
from schemas.tables import CatalogueConcert, ConcertRow, DecisionRow, JournalRow, MemberRow
from tests.api.support import START

AT_ONCE = 1_000
FIRST = date(1995, 3, 1)
DAYS = 365 * 31
ARTISTS = (
    "Low", "Radiohead", "The Paper Kites", "Sigur Rós", "Mogwai", "Einstürzende Neubauten", "PJ Harvey", "Yo La Tengo",
    "Tocotronic", "Björk", "Wilco", "The National", "Nick Cave and the Bad Seeds", "Godspeed You! Black Emperor",
    "Sleater-Kinney", "Kraftwerk", "Fugazi", "Stereolab", "Bonnie 'Prince' Billy", "Grandaddy", "Arcade Fire",
    "Portishead",
)  # fmt: skip
TOWNS = (
    ("Berlin", "DE", 52.52, 13.40, ("SO36", "Columbiahalle", "Volksbühne"), 9),
    ("Hamburg", "DE", 53.55, 9.99, ("Knust", "Docks", "Große Freiheit 36"), 6),
    ("London", "GB", 51.51, -0.13, ("Astoria", "Brixton Academy", "Union Chapel"), 6),
    ("Glasgow", "GB", 55.86, -4.25, ("Barrowland",), 2),
    ("Brussels", "BE", 50.85, 4.35, ("Ancienne Belgique", "Botanique"), 3),
    ("Amsterdam", "NL", 52.37, 4.90, ("Paradiso", "Melkweg"), 3),
    ("Paris", "FR", 48.86, 2.35, ("Olympia", "Le Trianon"), 2),
    ("Copenhagen", "DK", 55.68, 12.57, ("Vega",), 2),
    ("Stockholm", "SE", 59.33, 18.07, ("Debaser",), 1),
    ("Vienna", "AT", 48.21, 16.37, ("Flex", "Arena"), 2),
    ("Zürich", "CH", 47.38, 8.54, ("Rote Fabrik",), 1),
    ("Reykjavik", "IS", 64.15, -21.94, ("Harpa",), 1),
    ("Barcelona", "ES", 41.39, 2.17, ("Parc del Fòrum",), 2),
    ("Prague", "CZ", 50.08, 14.44, ("Roxy",), 1),
)
"""Name, country, where, venues, and how often people go there."""
NOTES = (
    "Rain all day, and nobody left.",
    "So loud that we stood outside for the last song.",
    "The best night of that year.",
)
SONGS = tuple(f"Song number {number}" for number in range(22))


@dataclass(frozen=True)
class Lived:
    """A show of somebody's, and the rows that hold it."""

    night: date
    rows: dict[type, dict[str, Any]]


def lived(user: str, shows: int, seed: int = 8) -> Iterator[Lived]:
    """Shows of thirty years, more of them of some artists and in some towns; the same for the same seed."""
    chance = random.Random(seed)
    for number in range(shows):
        night = FIRST + timedelta(days=round(DAYS * chance.random() ** 0.8))
        city, country, lat, lon, venues, _ = chance.choices(TOWNS, [town[5] for town in TOWNS])[0]
        artist = ARTISTS[min(int(chance.expovariate(0.18)), len(ARTISTS) - 1)]
        near = (round(lat + chance.uniform(-0.02, 0.02), 4), round(lon + chance.uniform(-0.02, 0.02), 4))
        place = Place(name=chance.choice(venues), city=city, country=country, lat=near[0], lon=near[1])
        known = Facts(artist=artist, night=night, place=place, status=Status.HAPPENED, songs=SONGS)
        yield Lived(night, _rows(user, number, known, chance))


def _rows(user: str, number: int, facts: Facts, chance: random.Random) -> dict[type, dict[str, Any]]:
    listing = ids.listing_id("setlistfm", f"{user} {number}")
    concert_id, entry_id = ids.concert_id(listing, facts.artist), f"e{number}"
    url = f"https://www.setlist.fm/setlist/{number}.html"
    member = Member(
        listing_id=listing, source="setlistfm", source_id=f"{user} {number}", version=1, act=facts.artist, url=url
    )
    told = facts.model_dump() | {"concert_id": concert_id, "rev": 1, "artist_key": facts.artist.lower()}
    concert = Concert.model_validate(told | {"members": (member,)})
    decision = Decision(
        decision_id=uuid4(),
        user=user,
        entry_id=entry_id,
        entry=Remembered(artist=facts.artist, date=facts.night.isoformat(), city=facts.place.city),
        suggestion_id=ids.suggestion_id(user, entry_id, concert_id),
        concert_id=concert_id,
        action=Action.CONFIRMED,
        decided_at=START,
        concert=facts,
        members=(member,),
    )
    rows: dict[type, dict[str, Any]] = {
        ConcertRow: {
            "concert_id": concert_id,
            "anchor_listing_id": listing,
            "anchor_act": facts.artist,
            "live": True,
            "rev": 1,
            "night": facts.night,
            "keys": [],
            "body": orjson.loads(concert.to_bytes()),
        },
        MemberRow: {"listing_id": listing, "act": facts.artist, "concert_id": concert_id},
        CatalogueConcert: {
            "concert_id": concert_id,
            "rev": 1,
            "gone": False,
            "artist": facts.artist,
            "artist_key": facts.artist.lower(),
            "night": facts.night,
            "city": facts.place.city,
            "country": facts.place.country,
            "status": facts.status,
            "body": orjson.loads(concert.to_bytes()),
        },
        DecisionRow: {
            "decision_id": decision.decision_id,
            "user_id": user,
            "entry_id": entry_id,
            "suggestion_id": decision.suggestion_id,
            "concert_id": concert_id,
            "action": Action.CONFIRMED,
            "decided_at": START,
            "body": orjson.loads(decision.to_bytes()),
        },
    }
    if chance.random() < 0.3:
        kept = {"note": chance.choice(NOTES), "rating": chance.randint(3, 5), "company": ["Jo"]}
        rows[JournalRow] = {"user_id": user, "entry_id": entry_id} | kept
    return rows


async def fill(engine: AsyncEngine, user: str, shows: int) -> UUID:
    """Write them down; the suggestion id of the latest."""
    made = sorted(lived(user, shows), key=lambda one: one.night)
    for first in range(0, shows, AT_ONCE):
        part = made[first : first + AT_ONCE]
        async with engine.begin() as connection:
            for table in (ConcertRow, MemberRow, CatalogueConcert, DecisionRow, JournalRow):
                listed = [one.rows[table] for one in part if table in one.rows]
                if listed:
                    await connection.execute(insert(table), listed)
    latest: UUID = made[-1].rows[DecisionRow]["suggestion_id"]
    return latest

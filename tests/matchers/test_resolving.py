import json
import re
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.files import Held, Refusal, distinct, resolve_blocks, resolve_rows
from matchers.normalise import normalise
from matchers.refused import Refused
from matchers.resolve import _act_level, block_keys, listing_venue_keys, nights_of, resolve, venue_keys
from schemas import ids
from schemas.concert import Concert
from schemas.listing import Listing, Role, Status
from schemas.raw import RawEvent, RawVenue
from schemas.reference import Venue
from schemas.rows import concert_row
from tests.matchers.make import NOON, listing, raw

ROOT = Path(__file__).parents[2]


def groups(concerts: Sequence[Concert]) -> set[frozenset[str]]:
    return {frozenset(f"{m.source}:{m.source_id}" for m in concert.members) for concert in concerts}


def rows(*told: dict[str, Any]) -> list[Listing]:
    made = [listing(**{name: value for name, value in row.items() if name != "url"}) for row in told]
    return [one.model_copy(update={"url": row.get("url")}) for one, row in zip(made, told, strict=True)]


# One row of data for each rule: the listings, and which of them are one concert.
A, B, C = {"source": "a"}, {"source": "b"}, {"source": "c"}
ITHACA: dict[str, Any] = {"venue": "Barton Hall", "city": "Ithaca", "region": "NY", "country": "US"}
MUNICH = {"city": "München", "country": "DE"}
RULES: list[tuple[str, list[dict[str, Any]], set[frozenset[str]]]] = [
    ("two sources, one show", [A | ITHACA, B | ITHACA], {frozenset({"a:1", "b:1"})}),
    ("another night", [A | ITHACA, B | ITHACA | {"date": "1977-05-09"}], {frozenset({"a:1"}), frozenset({"b:1"})}),
    (
        "another spelling in one venue",
        [A | ITHACA, B | ITHACA | {"artist": "Grateful Ded"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "another act in one venue",
        [A | ITHACA, B | ITHACA | {"artist": "Santana"}],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "a tribute and its original",
        [A | ITHACA, B | ITHACA | {"artist": "Grateful Dead Tribute"}],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "an early and a late show of one source stay two",
        [
            A | ITHACA | {"source_id": "1", "start_time": "19:00"},
            A | ITHACA | {"source_id": "2", "start_time": "23:00"},
            B | ITHACA | {"start_time": "23:15"},
        ],
        {frozenset({"a:1"}), frozenset({"a:2", "b:1"})},
    ),
    (
        "songs tell which of two shows",
        [
            A | ITHACA | {"source_id": "1", "songs": ["Bertha", "Sugaree"]},
            A | ITHACA | {"source_id": "2", "songs": ["Dark Star"]},
            B | ITHACA | {"songs": ["Dark Star", "St. Stephen"]},
        ],
        {frozenset({"a:1"}), frozenset({"a:2", "b:1"})},
    ),
    (
        "the venue tells which of two shows",
        [
            A | {"source_id": "1", "venue": "Palace of Fine Arts", "city": "San Francisco"},
            A | {"source_id": "2", "venue": "Fillmore West", "city": "San Francisco"},
            B | {"venue": "Fillmore", "city": "San Francisco"},
        ],
        {frozenset({"a:1"}), frozenset({"a:2", "b:1"})},
    ),
    (
        "without a hint, the first of two shows",
        [A | ITHACA | {"source_id": "1"}, A | ITHACA | {"source_id": "2"}, B | ITHACA],
        {frozenset({"a:1", "b:1"}), frozenset({"a:2"})},
    ),
    (
        "a short name in two far towns is two acts",
        [
            A | {"artist": "Fear", "city": "London", "country": "GB"},
            B | {"artist": "Fear", "city": "Los Angeles", "country": "US"},
        ],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "a long one is one act and a mistake",
        [A | {"city": "Houston", "country": "US"}, B | {"city": "Boston", "country": "US"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "two MusicBrainz ids are two acts",
        [A | ITHACA | {"artist_mbid": str(UUID(int=1))}, B | ITHACA | {"artist_mbid": str(UUID(int=2))}],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "one MusicBrainz id is one act, whatever it is called",
        [
            A | ITHACA | {"artist": "Prince", "artist_mbid": str(UUID(int=1))},
            B | ITHACA | {"artist": "The Artist", "artist_mbid": str(UUID(int=1))},
        ],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "a guest is an act of the bill",
        [
            A | ITHACA | {"artist": "Peter Gabriel feat. Ane Brun"},
            B | ITHACA | {"artist": "Peter Gabriel"},
            B | ITHACA | {"source_id": "2", "artist": "Ane Brun"},
        ],
        {frozenset({"a:1", "b:1"}), frozenset({"a:1", "b:2"})},
    ),
    (
        "where an act is from is no other act",
        [A | ITHACA | {"artist": "Suede (UK)"}, B | ITHACA | {"artist": "Suede"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "a tour is no other act",
        [A | ITHACA | {"artist": "Amber Falcon - Long Road Tour 1977"}, B | ITHACA | {"artist": "Amber Falcon"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "a tribute goes with its own name",
        [A | ITHACA | {"artist": "Remode - The Music of Depeche Mode"}, B | ITHACA | {"artist": "Remode"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "two of one series are two",
        [A | ITHACA | {"artist": "Jazz Night: Ostrander Trio"}, B | ITHACA | {"artist": "Jazz Night: Velde Quartet"}],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "one address spelt twice is one record of its source",
        [
            A | ITHACA | {"source_id": "https://barton.example/events/7/dead"},
            A | ITHACA | {"source_id": "http://www.barton.example//events/7/dead/"},
            B | ITHACA,
        ],
        {frozenset({"a:https://barton.example/events/7/dead", "a:http://www.barton.example//events/7/dead/", "b:1"})},
    ),
    (
        "but not where the hours differ",
        [
            A | ITHACA | {"source_id": "https://barton.example/events/7/dead", "start_time": "19:00"},
            A | ITHACA | {"source_id": "https://barton.example/events/7/dead/", "start_time": "22:00"},
        ],
        {frozenset({"a:https://barton.example/events/7/dead"}), frozenset({"a:https://barton.example/events/7/dead/"})},
    ),
    (
        "a row that was given its id later is one record of its source",
        [A | ITHACA | {"source_id": "derived-5f0c"}, A | ITHACA | {"source_id": "77"}],
        {frozenset({"a:derived-5f0c", "a:77"})},
    ),
    (
        "even where its name was mended with it",
        [
            A | ITHACA | {"source_id": "derived-5f0c", "artist": "Please Madam"},
            A | ITHACA | {"source_id": "77", "artist": "Please Madame"},
        ],
        {frozenset({"a:derived-5f0c", "a:77"})},
    ),
    (
        "a row without an id is one of two shows at most",
        [
            A | ITHACA | {"source_id": "derived-5f0c", "start_time": "22:00"},
            A | ITHACA | {"source_id": "77", "start_time": "19:00"},
            A | ITHACA | {"source_id": "78", "start_time": "22:00"},
            A | ITHACA | {"source_id": "derived-77aa", "start_time": "23:59"},
        ],
        {frozenset({"a:derived-5f0c", "a:78"}), frozenset({"a:77"}), frozenset({"a:derived-77aa"})},
    ),
    (
        "two rows without ids that name one bill the other way round",
        [
            A | ITHACA | {"source_id": "derived-1", "artist": "Tin Harbour", "support": ["Amber Falcon"]},
            A | ITHACA | {"source_id": "derived-2", "artist": "Amber Falcon", "support": ["Tin Harbour"]},
        ],
        {frozenset({"a:derived-1", "a:derived-2"})},
    ),
    (
        "two pages of one source are two shows",
        [A | ITHACA | {"source_id": "https://x.example/7"}, A | ITHACA | {"source_id": "https://x.example/8"}],
        {frozenset({"a:https://x.example/7"}), frozenset({"a:https://x.example/8"})},
    ),
    (
        "early and late of two sources, the hours in another order than the ids",
        [
            A | ITHACA | {"source_id": "1", "start_time": "19:00"},
            A | ITHACA | {"source_id": "2", "start_time": "22:30"},
            B | ITHACA | {"source_id": "1", "start_time": "22:30"},
            B | ITHACA | {"source_id": "2", "start_time": "19:00"},
        ],
        {frozenset({"a:1", "b:2"}), frozenset({"a:2", "b:1"})},
    ),
    (
        "early and late of two sources, told by their order alone",
        [who | ITHACA | {"source_id": f"19770508-{show}"} for who in (A, B) for show in "12"],
        {frozenset({"a:19770508-1", "b:19770508-1"}), frozenset({"a:19770508-2", "b:19770508-2"})},
    ),
    (
        "early and late told by words",
        [
            A | ITHACA | {"source_id": "1", "title": "Late Show: Grateful Dead"},
            A | ITHACA | {"source_id": "2", "title": "Grateful Dead (Matinée)"},
            B | ITHACA | {"source_id": "1", "title": "Grateful Dead, early show"},
            B | ITHACA | {"source_id": "2", "title": "Grateful Dead, late show"},
        ],
        {frozenset({"a:1", "b:2"}), frozenset({"a:2", "b:1"})},
    ),
    (
        "of three sources one lists both shows, two the late one",
        [
            A | ITHACA | {"source_id": "1", "start_time": "18:00"},
            A | ITHACA | {"source_id": "2", "start_time": "22:00"},
            B | ITHACA | {"start_time": "22:00"},
            C | ITHACA | {"start_time": "21:30"},
        ],
        {frozenset({"a:1"}), frozenset({"a:2", "b:1", "c:1"})},
    ),
    (
        "the cancelled show of two is the cancelled one",
        [
            A | ITHACA | {"source_id": "1"},
            A | ITHACA | {"source_id": "2", "status": "cancelled"},
            B | ITHACA | {"status": "cancelled"},
        ],
        {frozenset({"a:1"}), frozenset({"a:2", "b:1"})},
    ),
    (
        "a start after midnight with the date of the evening",
        [A | ITHACA | {"date": "1977-05-08", "start_time": "00:30"}, B | ITHACA],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "midnight for an hour that is not known",
        [A | ITHACA | {"date": "1977-05-08T04:00:00Z"}, B | ITHACA | {"start_time": "20:00"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "an hour after midnight is not the next evening's show",
        [A | ITHACA | {"start_time": "00:30"}, B | ITHACA | {"start_time": "20:00"}],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "two nights of a run stay two, whatever the hour",
        [
            A | ITHACA | {"date": "1977-05-08", "start_time": "00:30"},
            B | ITHACA | {"source_id": "1", "date": "1977-05-07"},
            B | ITHACA | {"source_id": "2", "date": "1977-05-08"},
        ],
        {frozenset({"a:1", "b:1"}), frozenset({"b:2"})},
    ),
    (
        "two nights that the doubtful source lists itself stay two",
        [
            A | ITHACA | {"source_id": "1", "date": "1977-05-08", "start_time": "00:30"},
            A | ITHACA | {"source_id": "2", "date": "1977-05-09", "start_time": "00:30"},
            B | ITHACA | {"date": "1977-05-09"},
        ],
        {frozenset({"a:1"}), frozenset({"a:2", "b:1"})},
    ),
    (
        "nor where a third source lists both, wherever it says that they were",
        [
            A | ITHACA | {"date": "1977-05-08", "start_time": "00:30"},
            B | ITHACA | {"date": "1977-05-08"},
            C | {"source_id": "1", "date": "1977-05-07"},
            C | {"source_id": "2", "date": "1977-05-08"},
        ],
        {frozenset({"a:1", "c:1"}), frozenset({"b:1", "c:2"})},
    ),
    (
        "midnight joins no two venues",
        [A | ITHACA | {"start_time": "00:30"}, B | ITHACA | {"venue": "Zenith"}],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "a start in Greenwich's time, of a venue whose town is not told",
        [A | {"venue": "Barton Hall", "date": "1977-05-09T05:30:00Z"}, B | ITHACA],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "and one that is another night there",
        [A | {"venue": "Barton Hall", "date": "1977-05-09T20:00:00Z"}, B | ITHACA],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "where nobody tells the zone, the dates stand",
        [
            A | {"venue": "Barton Hall", "date": "1977-05-08T19:00:00Z"},
            B | {"venue": "Barton Hall", "date": "1977-05-09"},
        ],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "two sources on two sides of midnight, by the same clock",
        [A | ITHACA | {"date": "1977-05-09", "start_time": "00:30"}, B | ITHACA | {"start_time": "00:30"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "an early and a late show of two sources, in words",
        [A | ITHACA | {"artist": "Bill Frisell (early show)"}, B | ITHACA | {"artist": "Bill Frisell (late show)"}],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "first and second set, and who says neither goes with one of them",
        [
            A | ITHACA | {"title": "Bill Evans - 1st set", "artist": "Bill Evans"},
            B | ITHACA | {"title": "Bill Evans - 2nd set", "artist": "Bill Evans"},
            C | ITHACA | {"artist": "Bill Evans"},
        ],
        {frozenset({"a:1", "c:1"}), frozenset({"b:1"})},
    ),
    (
        "an afternoon's and an evening's show of two sources, by their hours",
        [A | ITHACA | {"start_time": "15:00"}, B | ITHACA | {"start_time": "22:15"}],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "a third source without an hour does not make them one",
        [A | ITHACA | {"start_time": "15:00"}, B | ITHACA | {"start_time": "22:15"}, C | ITHACA],
        {frozenset({"a:1", "c:1"}), frozenset({"b:1"})},
    ),
    (
        "nor one id of the act",
        [
            who | ITHACA | {"artist_mbid": str(UUID(int=1)), "start_time": at}
            for who, at in ((A, "15:00"), (B, "20:00"))
        ],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "doors, and the hour of the headliner",
        [A | ITHACA | {"start_time": "18:00"}, B | ITHACA | {"start_time": "21:00"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "a clock of twelve hours misread",
        [A | ITHACA | {"start_time": "08:00"}, B | ITHACA | {"start_time": "20:00"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "the gates of a festival, and the hour on stage",
        [A | ITHACA | {"festival": "Kettlefest", "start_time": "12:00"}, B | ITHACA | {"start_time": "21:00"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "a DJ set in one hall and the band in another",
        [
            A | MUNICH | {"artist": "Hot Chip (DJ Set)", "venue": "Rote Sonne"},
            B | MUNICH | {"artist": "Hot Chip", "venue": "Muffathalle"},
        ],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "whatever the name",
        [
            A | MUNICH | {"artist": "Jamie Harbour-Lights DJ Set", "venue": "Rote Sonne", "start_time": "23:00"},
            B | MUNICH | {"artist": "Jamie Harbour-Lights", "venue": "Muffathalle", "start_time": "23:00"},
        ],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "a DJ set that one source forgets to call so",
        [
            A | MUNICH | {"artist": "Hot Chip (DJ Set)", "venue": "Rote Sonne"},
            B | MUNICH | {"artist": "Hot Chip", "venue": "Rote Sonne"},
        ],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "a short name in two halls of one town, even at one hour",
        [
            A | MUNICH | {"artist": "DJ Koze", "venue": "Blitz", "start_time": "23:00"},
            B | MUNICH | {"artist": "DJ Koze", "venue": "Rote Sonne", "start_time": "23:00"},
        ],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "and in two halls of neighbouring towns",
        [
            A | {"artist": "Mono", "venue": "Turbinenhalle", "city": "Oberhausen", "country": "DE"},
            B | {"artist": "Mono", "venue": "Zeche Carl", "city": "Essen", "country": "DE"},
        ],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "a third source that names no hall does not make them one",
        [
            A | MUNICH | {"artist": "DJ Koze", "venue": "Blitz", "start_time": "23:00"},
            B | MUNICH | {"artist": "DJ Koze", "venue": "Rote Sonne", "start_time": "23:00"},
            C | MUNICH | {"artist": "DJ Koze"},
        ],
        {frozenset({"a:1", "c:1"}), frozenset({"b:1"})},
    ),
    (
        "but not where one of the halls is not known",
        [A | MUNICH | {"artist": "DJ Koze", "venue": "Blitz"}, B | MUNICH | {"artist": "DJ Koze"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "a long name in two halls is one show that moved",
        [A | MUNICH | {"venue": "Zenith", "status": "cancelled"}, B | MUNICH | {"venue": "Muffathalle"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "a day without an hour, of a show after midnight",
        [A | ITHACA | {"date": "1977-05-09T01:00"}, B | ITHACA | {"date": "1977-05-09"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "and with the evening before, too",
        [A | ITHACA | {"date": "1977-05-09T01:00"}, B | ITHACA | {"date": "1977-05-09"}, C | ITHACA],
        {frozenset({"a:1", "b:1", "c:1"})},
    ),
    (
        "but not the evening before elsewhere",
        [
            A | ITHACA | {"artist": "Fear", "date": "1977-05-09T01:00"},
            B | MUNICH | {"artist": "Fear", "venue": "Zenith", "date": "1977-05-09"},
            C | MUNICH | {"artist": "Fear", "venue": "Zenith"},
        ],
        {frozenset({"a:1"}), frozenset({"b:1"}), frozenset({"c:1"})},
    ),
    (
        "two ids that give one page are one record of their source",
        [A | ITHACA | {"source_id": one, "url": "https://barton.example/dead"} for one in "12"] + [B | ITHACA],
        {frozenset({"a:1", "a:2", "b:1"})},
    ),
    (
        "but not where their hours, rooms or halls differ",
        [
            A | ITHACA | {"source_id": one, "url": "https://barton.example/programme"} | more
            for one, more in (
                ("1", {"start_time": "18:00"}),
                ("2", {"start_time": "21:00"}),
                ("3", {"start_time": "21:00", "venue": "Zenith"}),
            )
        ],
        {frozenset({"a:1"}), frozenset({"a:2"}), frozenset({"a:3"})},
    ),
    (
        "exonyms and suburbs are one town",
        [
            A | {"artist": "Ostrander", "venue": "Zenith", "city": "München", "country": "DE"},
            B | {"artist": "Ostrander", "venue": "Zenith", "city": "Munich", "country": "Germany"},
        ],
        {frozenset({"a:1", "b:1"})},
    ),
]


@pytest.mark.parametrize(("told", "expected"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES])
def test_listings_of_one_show_are_one_concert(told: list[dict[str, Any]], expected: set[frozenset[str]]) -> None:
    assert groups(resolve(rows(*told))) == expected


# Two names in one hall on one night, what else both say of it, and whether they are one act.
NAMES: list[tuple[str, str, dict[str, Any], bool]] = [
    ("The Iron Maidens", "Iron Maiden", {"start_time": "20:00"}, False),
    ("Fleetwood Bac", "Fleetwood Mac", {"songs": ["Dreams"]}, False),
    ("Level 4", "Level 42", {}, False),
    ("Blink 182", "Blink 183", {"start_time": "20:00"}, False),
    ("Blink 182", "Blink-182", {}, True),
    ("Maroon 5", "Maroon Five", {}, True),
    ("Maroon 5", "Maroon", {}, False),
    ("Seven Seconds", "7 Secnds", {}, True),
    ("The Sea", "The Sea and Cake", {"start_time": "20:00"}, False),
    ("Iron & Wine", "Iron", {}, False),
    ("Crosby", "Crosby & Nash", {}, False),
    ("Godspeed You Black Emperor", "Godspeed You Black Emperor Duo", {}, False),
    ("Florence", "Florence and the Machine", {}, True),
    ("Peter Gabriel", "Peter Gabriel & The New Blood Orchestra", {}, True),
    ("Gorilla", "Gorillaz", {}, False),
    ("Gorilla", "Gorillaz", {"start_time": "20:00"}, True),
    ("Gorilla", "Gorillaz", {"songs": ["Dare", "Feel Good Inc."]}, True),
    ("Interpol", "Interpool", {}, True),
    ("Ostrander", "Ostranders", {}, True),
    ("Sisters of Mercy", "Sisters Mercy", {}, True),
]


@pytest.mark.parametrize(("one", "other", "more", "same"), NAMES)
def test_a_slip_of_the_hand_is_no_other_act(one: str, other: str, more: dict[str, Any], same: bool) -> None:
    told = rows(A | ITHACA | more | {"artist": one}, B | ITHACA | more | {"artist": other})
    assert len(resolve(told)) == (1 if same else 2)


# Of rows with a place in common: the night of the one concert.
NIGHTS: list[tuple[str, list[dict[str, Any]], str]] = [
    ("the definition", [A | {"date": "1977-05-09T01:00"}], "1977-05-08"),
    ("a day and no hour", [A | {"date": "1977-05-09T01:00"}, B | {"date": "1977-05-09"}], "1977-05-08"),
    (
        "two days and no hour",
        [A | {"date": "1977-05-09T01:00"}, B | {"date": "1977-05-09"}, C | {"date": "1977-05-09"}],
        "1977-05-08",
    ),
    (
        "the evening before as well",
        [A | {"date": "1977-05-09T01:00"}, B | {"date": "1977-05-09"}, C | {"date": "1977-05-08"}],
        "1977-05-08",
    ),
    (
        "midnight sharp is no hour",
        [A | {"date": "1977-05-08T00:00-04:00"}, B | {"date": "1977-05-08"}, C | {"date": "1977-05-08"}],
        "1977-05-08",
    ),
]


@pytest.mark.parametrize(("told", "night"), [row[1:] for row in NIGHTS], ids=[row[0] for row in NIGHTS])
def test_the_night_is_what_the_start_tells(told: list[dict[str, Any]], night: str) -> None:
    (concert,) = resolve(rows(*(ITHACA | row for row in told)))
    assert concert.night.isoformat() == night


# Nights of a source and of another that is a day off at times, and the pairs that are one.
SHIFTS: list[tuple[list[int], list[int], set[tuple[int, int]]]] = [
    ([1, 2], [2, 3], {(1, 2), (2, 3)}),
    ([2, 3], [1, 2], {(2, 1), (3, 2)}),
    ([1, 2, 3], [2, 3, 4], {(1, 2), (2, 3), (3, 4)}),
    ([1, 2], [1, 2], {(1, 1), (2, 2)}),
    ([1, 2], [2], {(2, 2)}),
    ([1], [2], {(1, 2)}),
    ([1, 2, 10], [2, 3, 10], {(1, 2), (2, 3), (10, 10)}),
]


@pytest.mark.parametrize(("sure", "off", "same"), SHIFTS)
def test_the_nights_of_a_run_shift_together(sure: list[int], off: list[int], same: set[tuple[int, int]]) -> None:
    told = [A | ITHACA | {"source_id": str(day), "date": f"1977-05-{day:02}"} for day in sure]
    told += [B | ITHACA | {"source_id": str(day), "date": f"1977-05-{day:02}"} for day in off]
    concerts = resolve(rows(*told), day_off={"b"})
    assert {one for one in groups(concerts) if len(one) > 1} == {frozenset({f"a:{a}", f"b:{b}"}) for a, b in same}
    assert {concert.night.day for concert in concerts} >= set(sure)
    assert len(concerts) == len(sure) + len(off) - len(same)
    assert resolve(rows(*told[::-1]), day_off={"b"}) == concerts


STATUSES: list[tuple[str, list[dict[str, Any]], Status]] = [
    ("one cancels, one never looked again", [A | {"status": "cancelled"}, B], Status.CANCELLED),
    (
        "another source that only never looked again lifts no cancellation",
        [A | {"status": "cancelled"}, B | {"seen_at": NOON + timedelta(days=3)}],
        Status.CANCELLED,
    ),
    ("songs prove it", [A | {"status": "cancelled"}, B | {"songs": ["Bertha"]}], Status.HAPPENED),
    (
        "the majority of those who say so at one moment",
        [A | {"status": "cancelled"}, B | {"status": "postponed"}, C | {"status": "postponed"}],
        Status.POSTPONED,
    ),
    (
        "the latest word",
        [A | {"status": "postponed", "seen_at": NOON + timedelta(days=1)}, B | {"status": "cancelled"}],
        Status.POSTPONED,
    ),
    (
        "a cancelled booking elsewhere is not this night's",
        [A | {"city": "Chicago", "country": "US", "status": "cancelled"}, B | {"city": "Calgary", "country": "CA"}],
        Status.ANNOUNCED,
    ),
]


@pytest.mark.parametrize(("told", "status"), [row[1:] for row in STATUSES], ids=[row[0] for row in STATUSES])
def test_the_fate_of_a_show_is_what_is_known_of_it(told: list[dict[str, Any]], status: Status) -> None:
    (concert,) = resolve(rows(*told))
    assert concert.status is status


def test_ids_follow_the_smallest_listing_and_its_own_spelling() -> None:
    told = rows(A | ITHACA | {"artist": "The Grateful Dead"}, B | ITHACA, C | ITHACA)
    (concert,) = resolve(told)
    smallest = min(told, key=lambda one: str(one.listing_id))
    assert concert.concert_id == ids.concert_id(smallest.listing_id, smallest.acts[0].name)
    assert concert.artist == "Grateful Dead"
    assert [m.listing_id for m in concert.members] == sorted((one.listing_id for one in told), key=str)
    assert concert.rev == 0


def test_fields_that_one_source_lacks_come_from_another() -> None:
    told = rows(
        A | {"city": "Ithaca", "country": "US", "venue": "Barton Hall"},
        B | ITHACA | {"lat": 42.4456, "lon": -76.4804, "start_time": "20:00", "tour": "Spring"},
    )
    (concert,) = resolve(told)
    assert (concert.place.region, concert.place.lat, concert.tour) == ("NY", 42.4456, "Spring")
    assert concert.start_at is not None


def test_a_concert_has_vanished_when_no_source_shows_it() -> None:
    assert not resolve(rows(A | {"vanished": True}, B))[0].vanished
    assert resolve(rows(A | {"vanished": True}, B | {"vanished": True}))[0].vanished


def test_the_newest_version_of_a_listing_counts() -> None:
    old, new = listing(date="1977-05-07"), listing(date="1977-05-08", seen_at=NOON + timedelta(days=1))
    assert resolve([old, new]) == resolve([new, old]) == resolve([new])


def test_a_bill_is_a_concert_for_each_act() -> None:
    concerts = resolve(rows(A | {"artist": "Amber Falcon", "support": ["Tin Harbour", "Slow Tide"]}))
    heads = {concert.artist: concert for concert in concerts}
    assert set(heads) == {"Amber Falcon", "Tin Harbour", "Slow Tide"}
    assert [(act.artist, act.role) for act in heads["Tin Harbour"].bill] == [
        ("Amber Falcon", Role.HEADLINE),
        ("Slow Tide", Role.SUPPORT),
    ]
    assert {act.concert_id for act in heads["Amber Falcon"].bill} == {
        heads["Tin Harbour"].concert_id,
        heads["Slow Tide"].concert_id,
    }
    assert heads["Slow Tide"].role is Role.SUPPORT


def test_a_festivals_nights_share_a_parent() -> None:
    told = rows(
        A | {"source_id": "1", "artist": "Kettle Row", "festival": "Northfest", "city": "München"},
        A | {"source_id": "2", "artist": "Iron Birch", "festival": "NORTHFEST", "city": "Munich", "date": "1977-05-09"},
    )
    concerts = resolve(told)
    assert {concert.parent for concert in concerts} == {ids.festival_id(min((o.listing_id for o in told), key=str))}
    assert len(concerts) == 2


@pytest.mark.parametrize(
    "name",
    [
        "Rock im Park Festival",
        "Rock im Park '19",
        "Rock im Park 2019",
        "ROCK IM PARK – Day 3",
        "Rock im Park Day Three",
        "Rock im Park Open Air 2019 (Tag 2)",
        "Rock Im Park, 2nd Day",
    ],
)
def test_a_festival_has_one_parent_however_it_is_written(name: str) -> None:
    park = {"city": "Nürnberg", "country": "DE"}
    told = rows(
        A | park | {"artist": "Kettle Row", "festival": "Rock im Park", "date": "2019-06-07"},
        B | park | {"artist": "Iron Birch", "festival": name, "date": "2019-06-09"},
        B | park | {"source_id": "2", "artist": "Iron Birch", "festival": "Rock am Ring", "date": "2019-06-08"},
        B | park | {"source_id": "3", "artist": "Iron Birch", "festival": name, "date": "2020-06-08"},
    )
    concerts = resolve(told)
    parents = {(concert.night.year, concert.festival != "Rock am Ring", concert.parent) for concert in concerts}
    assert len(parents) == 3 and len({parent for _, _, parent in parents}) == 3
    assert [concert_row(concert)["festival"] for concert in concerts if concert.parent] == [
        concert.festival for concert in concerts
    ]


def venue(**fields: Any) -> Venue:
    made = normalise(raw(fields, source="venues", source_id=f"{fields['name']}, {fields['city']}", message=RawVenue))
    assert not isinstance(made, Refused)
    assert isinstance(made[0], Venue)
    return made[0]


def test_a_venue_gives_its_id_zone_and_coordinates() -> None:
    barton = venue(
        name="Barton Hall", names=["Drill Hall"], city="Ithaca", region="NY", country="US", lat=42.44, lon=-76.48
    )
    elsewhere = venue(name="Barton Hall", city="Paris", country="FR", lat=48.85, lon=2.35)
    one = listing(**ITHACA)
    assert venue_keys(barton) & listing_venue_keys(one)
    assert venue_keys(barton) & listing_venue_keys(listing(**ITHACA | {"venue": "Drill Hall"}))
    assert not venue_keys(elsewhere) & listing_venue_keys(one)
    (concert,) = resolve([one], [elsewhere, barton])
    assert (concert.venue_id, concert.place.lat, concert.place.tz) == (barton.venue_id, 42.44, "America/New_York")


def test_a_venue_of_the_metropolis_is_found_by_the_map() -> None:
    forum = venue(name="The Forum", city="Los Angeles", country="US", lat=33.958, lon=-118.342)
    one = listing(venue="Forum", city="Inglewood", region="CA", country="US")
    assert venue_keys(forum) & listing_venue_keys(one)
    assert resolve([one], [forum])[0].venue_id == forum.venue_id


def test_a_renamed_hall_is_one_venue_while_it_bore_the_name() -> None:
    arena = venue(
        name="Crypto.com Arena",
        names=[{"name": "Staples Center", "until": "2021-12-25"}],
        city="Los Angeles",
        region="CA",
        country="US",
    )
    town = {"city": "Los Angeles", "region": "CA", "country": "US", "date": "2020-02-02"}
    told = rows(
        A | town | {"source_id": "1", "venue": "Staples Center", "date": "2020-02-02T23:30"},
        B | town | {"source_id": "1", "venue": "Crypto.com Arena"},
        B | town | {"source_id": "2", "venue": "Staples Centre Annex"},
    )
    assert frozenset({"a:1", "b:1"}) not in groups(resolve(told))
    assert frozenset({"a:1", "b:1"}) in groups(resolve(told, [arena]))


def test_a_tour_is_no_block() -> None:
    nights = [listing(source_id=str(day), date=f"1977-05-{day:02}") for day in range(1, 20)]
    assert all(not block_keys(a) & block_keys(b) for a, b in pairwise(nights))


def test_a_source_that_is_known_for_it_may_be_a_day_off() -> None:
    told = rows(A | ITHACA | {"date": "1977-05-09"}, B | ITHACA, C | ITHACA)
    assert groups(resolve(told)) == {frozenset({"a:1"}), frozenset({"b:1", "c:1"})}
    (concert,) = resolve(told, day_off={"a"})
    assert concert.night.isoformat() == "1977-05-08"
    run = told + rows(B | ITHACA | {"source_id": "2", "date": "1977-05-09"})
    assert groups(resolve(run, day_off={"a"})) == {frozenset({"b:1", "c:1"}), frozenset({"a:1", "b:2"})}


def test_a_venue_with_a_show_every_night_chains_no_year() -> None:
    nights = [NOON.date() + timedelta(days=day) for day in range(60)]
    told = [
        listing(source_id=str(i), artist=f"Act {i}", date=night.isoformat(), start_time="00:00", **ITHACA)
        for i, night in enumerate(nights)
    ]
    assert all(not block_keys(a) & block_keys(b) for a, b in pairwise(told))


def test_a_changed_listing_changes_its_concert() -> None:
    later = {"seen_at": NOON + timedelta(days=1)}
    old = rows(A | ITHACA, B | ITHACA)
    (together,) = resolve(old)
    moved, kept = resolve(old + rows(A | ITHACA | later | {"date": "1977-06-08"}))[::-1]
    assert (moved.night.isoformat(), kept.night.isoformat()) == ("1977-06-08", "1977-05-08")
    assert {m.source for m in moved.members} == {"a"}
    (cancelled,) = resolve(old + rows(B | ITHACA | later | {"status": "cancelled"}))
    assert (cancelled.concert_id, cancelled.status) == (together.concert_id, Status.CANCELLED)
    head, support = resolve(old + rows(A | ITHACA | later | {"support": ["Tin Harbour"]}))
    assert {head.artist, support.artist} == {"Grateful Dead", "Tin Harbour"}


def test_a_sources_newer_page_speaks_for_it() -> None:
    old = A | ITHACA | {"source_id": "derived-5f0c", "artist": "Please Madam", "status": "postponed"}
    new = A | ITHACA | {"source_id": "77", "artist": "Please Madame", "seen_at": NOON + timedelta(days=1)}
    (concert,) = resolve(rows(old, new))
    assert (concert.artist, concert.status, len(concert.members)) == ("Please Madame", Status.ANNOUNCED, 2)


def test_a_late_listing_joins_two_concerts_and_its_change_parts_them() -> None:
    # Nothing but the third source knows that the two are one.
    told = rows(A | ITHACA | {"artist": "Prince"}, C | ITHACA | {"artist": "The Artist"})
    later = {"artist_mbid": str(UUID(int=1)), "seen_at": NOON + timedelta(days=1)}
    known = rows(A | ITHACA | {"artist": "Prince"} | later, C | ITHACA | {"artist": "The Artist"} | later)
    before = {concert.concert_id for concert in resolve(told)}
    assert len(before) == 2
    (joined,) = resolve(told + known)
    smallest = min(told, key=lambda one: str(one.listing_id))
    assert joined.concert_id == ids.concert_id(smallest.listing_id, smallest.acts[0].name)
    assert joined.concert_id in before
    back = rows(C | ITHACA | {"artist": "The Artist", "seen_at": NOON + timedelta(days=2)})
    assert {concert.concert_id for concert in resolve(told + known + back)} == before


@pytest.mark.parametrize("kind", ["many acts", "one act of one source", "one act of two", "one act of many", "alike"])
def test_a_night_of_thousands_grows_no_faster_than_its_listings(kind: str) -> None:
    """A cap on what is compared: counted in comparisons, which are the same on every machine."""

    def compared(size: int) -> int:
        source = {"one act of one source": "a", "one act of many": "{i}"}.get(kind, "{half}")
        artist = {"many acts": "Act {name} of {name}", "alike": "Grateful Dead {i}"}.get(kind, "Grateful Dead")
        base = listing(**ITHACA)
        told = []
        for i in range(size):
            name = "".join("abcdefghij"[int(digit)] for digit in f"{i // 2:04}")
            act = base.acts[0].model_copy(update={"name": artist.format(i=i, name=name)})
            told.append(
                base.model_copy(
                    update={
                        "source": source.format(i=i, half=i % 2),
                        "source_id": str(i),
                        "listing_id": ids.listing_id("x", str(i)),
                        "acts": (act,),
                    }
                )
            )
        counted = 0

        def count(one: Any, other: Any) -> str:
            nonlocal counted
            counted += 1
            return _act_level(one, other)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("matchers.resolve._act_level", count)
            resolve(told)
        return counted

    small, large = compared(500), compared(2_000)
    assert large <= 5 * small


WORDS = st.sampled_from(
    ["Grateful Dead", "Grateful Ded", "Fear", "Ostrander", "Ostranders", "Fear Tribute", "Fear feat. Ostrander"]
)
LISTING = st.fixed_dictionaries(
    {
        "source": st.sampled_from("abc"),
        "source_id": st.sampled_from(["1", "2", "3", "https://x.example/1", "https://x.example//1", "derived-1"]),
        "artist": WORDS,
        "date": st.sampled_from(["1977-05-07", "1977-05-08", "1977-05-09"]),
    },
    optional={
        "support": st.lists(WORDS, max_size=2),
        "venue": st.sampled_from(["Barton Hall", "Zenith", "Zenith Club", "TBA"]),
        "city": st.sampled_from(["Ithaca", "München", "Munich", "Los Angeles", "Hollywood"]),
        "country": st.sampled_from(["US", "DE"]),
        "start_time": st.sampled_from(["00:00", "00:30", "19:00", "23:00", "1977-05-09T03:00:00Z"]),
        "songs": st.lists(st.sampled_from(["Bertha", "Dark Star"]), max_size=2),
        "artist_mbid": st.sampled_from([str(UUID(int=1)), str(UUID(int=2))]),
        "festival": st.sampled_from(["Fest", "Fest 1977", "Other Fest"]),
        "status": st.sampled_from(["cancelled", "postponed"]),
        "vanished": st.booleans(),
        "seen_at": st.sampled_from([NOON, NOON + timedelta(days=1), NOON + timedelta(days=2)]),
    },
)
LISTINGS = st.lists(LISTING, max_size=9)


@settings(max_examples=150, deadline=None)
@given(LISTINGS, st.randoms(use_true_random=False))
def test_the_order_of_listings_changes_nothing(told: list[dict[str, Any]], random: Any) -> None:
    listings = rows(*told)
    shuffled = listings[:] + listings[:2]
    random.shuffle(shuffled)
    assert resolve(shuffled) == resolve(listings)
    assert resolve(shuffled, day_off={"c"}) == resolve(listings, day_off={"c"})


VENUES = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["Barton Hall", "Zenith", "Zenith Club"]),
            "city": st.sampled_from(["Ithaca", "Munich"]),
        },
        optional={"names": st.lists(st.sampled_from(["Barton Hall", "Zenith Club", "Drill Hall"]), max_size=2)},
    ),
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(LISTINGS, VENUES, st.sampled_from([(), ("c",)]))
def test_blocks_resolve_as_they_do_together(
    told: list[dict[str, Any]], halls: list[dict[str, Any]], off: tuple[str, ...]
) -> None:
    venues = [venue(**hall) for hall in halls]
    listings = list({one.listing_id: one for one in rows(*told)}.values())
    blocks: list[list[Listing]] = []
    for one in listings:
        keys = block_keys(one, off)
        touching = [block for block in blocks if any(keys & block_keys(other, off) for other in block)]
        blocks = [block for block in blocks if block not in touching] + [
            [one, *(o for block in touching for o in block)]
        ]
    apart = [concert for block in blocks for concert in resolve(block, venues, off)]
    together = resolve(listings, venues, off)
    assert sorted(apart, key=lambda c: str(c.concert_id)) == sorted(together, key=lambda c: str(c.concert_id))


@settings(max_examples=150, deadline=None)
@given(LISTINGS)
def test_every_act_of_every_listing_is_in_exactly_one_concert(told: list[dict[str, Any]]) -> None:
    listings = {one.listing_id: one for one in rows(*told)}
    concerts = resolve(list(listings.values()))
    held = [(m.listing_id, m.act) for concert in concerts for m in concert.members]
    assert len(held) == len(set(held))
    assert {listing_id for listing_id, _ in held} == set(listings)
    assert len({concert.concert_id for concert in concerts}) == len(concerts)
    for concert in concerts:
        members = [listings[m.listing_id] for m in concert.members]
        records = {(m.source, m.source_id.replace("//1", "/1")) for m in members if m.source_id != "derived-1"}
        assert len(records) == len({m.source for m in members if m.source_id != "derived-1"})
        assert all(concert.night in nights_of(m) or any(m.night in nights_of(o) for o in members) for m in members)
        assert concert.night in {m.night for m in members}


class Store:
    """As the stage does it: each batch resolves the blocks around the old and the new keys of its listings."""

    def __init__(self) -> None:
        self.listings: dict[UUID, Listing] = {}
        self.concerts: dict[UUID, Concert] = {}

    def apply(self, batch: Sequence[Listing]) -> None:
        keys: set[str] = set()
        for one in batch:
            held = self.listings.get(one.listing_id)
            if held is not None:
                keys |= block_keys(held)
            if held is None or one.version >= held.version:
                self.listings[one.listing_id] = one
            keys |= block_keys(one)
        block: dict[UUID, Listing] = {}
        grown = True
        while grown:
            near = {i: one for i, one in self.listings.items() if i not in block and block_keys(one) & keys}
            block |= near
            keys |= {key for one in near.values() for key in block_keys(one)}
            grown = bool(near)
        gone = [i for i, c in self.concerts.items() if any(m.listing_id in block for m in c.members)]
        for concert_id in gone:
            del self.concerts[concert_id]
        self.concerts |= {concert.concert_id: concert for concert in resolve(list(block.values()))}


@settings(max_examples=200, deadline=None)
@given(st.lists(LISTING, max_size=12), st.data())
def test_any_order_any_batches_and_any_replay_give_the_same_concerts(told: list[dict[str, Any]], data: Any) -> None:
    listings = rows(*told)
    sent = data.draw(st.permutations(listings + listings[: data.draw(st.integers(0, 4))]))
    store = Store()
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        store.apply(sent[:size])
        sent = sent[size:]
    assert store.concerts == {concert.concert_id: concert for concert in resolve(listings)}


@settings(max_examples=100, deadline=None)
@given(LISTINGS, VENUES)
def test_files_resolve_as_the_stage_does(told: list[dict[str, Any]], halls: list[dict[str, Any]]) -> None:
    listings = rows(*told)
    venues = [venue(**hall) for hall in halls]
    found = resolve_blocks(listings, venues)
    assert {c.concert_id: c for c in found} == {c.concert_id: c for c in resolve(listings, venues)}
    assert resolve_blocks(listings[::-1], venues[::-1]) == found
    assert found == sorted(found, key=lambda c: (c.night, c.artist_key, str(c.concert_id)))


def lines(*told: dict[str, Any]) -> list[tuple[str, bytes]]:
    return [(f"x:{number}", json.dumps(row).encode()) for number, row in enumerate(told, 1)]


SEEN = {"source": "a", "source_id": "1", "artist": "Ostrander", "date": "1977-05-08"}


def test_of_rows_that_say_the_same_the_last_seen_is_read() -> None:
    times: dict[str, int] = {}
    told = lines(
        SEEN | {"observed_at": "2024-01-01T12:00:00+01:00"},
        SEEN | {"observed_at": "2024-01-01T12:30:00+02:00"},  # earlier, though it reads later
        SEEN | {"venue": "Zenith", "observed_at": "2023-01-01T12:00:00Z"},
        SEEN,
        SEEN | {"observed_at": "yesterday"},
    )
    assert [where for where, _ in distinct(told, times)] == ["x:4", "x:5", "x:1", "x:3"]
    assert times == {"x:1": 2}


def test_a_refusal_counts_for_every_row_that_it_stands_for() -> None:
    bad = {"source": "a", "source_id": "2", "date": "1977-05-08"}
    told = lines(
        *(bad | {"observed_at": f"2024-01-0{day}T12:00:00Z"} for day in (1, 2, 3)),
        SEEN | {"observed_at": "2024-01-01T12:00:00Z"},
        {"concert_id": "no id"},
    )
    found = list(resolve_rows([*told, ("x:9", b"{")], RawEvent))
    assert Counter(one.reason if isinstance(one, Refusal) else one.artist for one in found) == {
        "no_artist": 3,
        "missing_field": 1,
        "not_json": 1,
        "Ostrander": 1,
    }


def test_concert_rows_pass_and_progress_is_told() -> None:
    (concert,) = resolve(rows(A | ITHACA))
    progress: list[tuple[int, int]] = []
    told = lines(concert_row(concert), SEEN, SEEN | {"source_id": "2", "date": "1978-05-08"})
    found = list(resolve_rows(told, RawEvent, told=lambda done, of: progress.append((done, of))))
    assert [one.artist for one in found if isinstance(one, Concert)] == ["Grateful Dead", "Ostrander", "Ostrander"]
    assert progress == [(1, 2), (2, 2)]


def test_a_held_listing_costs_little_more_than_its_bytes() -> None:
    told = rows(*({"source_id": str(i), "date": f"1977-0{1 + i % 9}-08", **ITHACA} for i in range(1_000)))
    size = sum(len(one.to_bytes()) for one in told) / len(told)
    tracemalloc.start()
    held = Held()
    for one in told:
        held.add(one)
    each = tracemalloc.get_traced_memory()[0] / len(told)
    tracemalloc.stop()
    assert each < size + 1_000


def test_the_command_tells_its_rate_and_draws_no_bar_into_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    told = lines(SEEN | {"venue": "Zenith"}, SEEN | {"source": "b", "venue": "Zenith", "date": "1977-05-09"}, {"a": 1})
    file.write_bytes(b"\n".join(line for _, line in told))
    for option, concerts in (([], 2), (["--day-off", "b"], 1)):
        done = subprocess.run(
            [sys.executable, "-m", "gigz", "resolve", *option, str(file)], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(f"3 rows, 2 listings: {concerts} concerts in "), done.stderr
        assert "1 rows could not be used" in done.stderr
        assert "\x1b" not in done.stderr
        assert len(done.stdout.splitlines()) == concerts


@pytest.mark.data
def test_the_stream_of_a_city_resolves_in_bounded_memory(data_dir: Path) -> None:
    file = data_dir / "stream/munich.jsonl.gz"
    done = subprocess.run(
        [sys.executable, "-m", "gigz", "resolve", str(file)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    told = re.search(r"([\d,]+) rows, ([\d,]+) listings: ([\d,]+) concerts in .*, ([\d,]+) MB at most", done.stderr)
    assert told is not None, done.stderr
    read, listings, concerts, peak = (int(number.replace(",", "")) for number in told.groups())
    assert (read, listings) == (354_223, 3_323)
    assert concerts == len(done.stdout.splitlines())
    assert peak < 1_500
    nights = [json.loads(line)["night"] for line in done.stdout.splitlines()]
    assert nights == sorted(nights)

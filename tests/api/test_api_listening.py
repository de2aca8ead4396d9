"""A user's shows, counted by ClickHouse from what the sink wrote of decisions and concerts."""

from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from sqlalchemy import insert

from api.app import create_app
from api.tokens import issue_token
from deploy.clients import clickhouse
from deploy.migrations.clickhouse import apply_clickhouse
from deploy.settings import Settings
from schemas import ids
from schemas.concert import Concert, Facts
from schemas.decision import Action, Decision
from schemas.listing import Place
from schemas.message import Message
from schemas.reference import Artist, DatedName, Venue
from schemas.tables import CatalogueArtist, CatalogueVenue
from sinks.clickhouse import open_clickhouse_sink
from sinks.received import receive
from tests.api.support import START, Client, Clock, Story, reach
from tests.sinks.support import record_of, sent

ASTORIA = Place(name="London Astoria", city="London", country="GB", lat=51.5156, lon=-0.1304)
FARM = Place(name="Little John's Farm", city="Reading", country="GB", lat=51.4646, lon=-0.9876)


class Lived:
    """What one user decided, as the sink keeps it."""

    def __init__(self, story: Story, settings: Settings) -> None:
        self.story, self.settings = story, settings
        self.minute = 0

    def says(
        self, entry: str, facts: Facts, action: Action = Action.CONFIRMED, concert: UUID | None = None
    ) -> Decision:
        concert = concert or ids.own_concert_id(self.story.user, entry)
        self.minute += 1
        return Decision(
            decision_id=uuid4(),
            user=self.story.user,
            entry_id=entry,
            suggestion_id=ids.suggestion_id(self.story.user, entry, concert),
            concert_id=concert,
            action=action,
            decided_at=START.replace(minute=self.minute),
            concert=facts,
        )

    async def sink(self, messages: Iterable[Message]) -> None:
        client = clickhouse(self.settings)
        apply_clickhouse(client)
        client.close()
        async with open_clickhouse_sink(self.settings) as sink:
            await sink.write([sink.prepare(receive(record_of(sent(one), n))) for n, one in enumerate(messages)])


async def _get(client: Client, story: Story, clock: Clock, path: str) -> dict[str, Any]:
    answer = await client.get(f"/v1{path}", headers=story.headers(clock))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


@pytest.mark.stack
async def test_shows_are_counted_by_year_artist_venue_song_and_distance(
    client: Client, story: Story, clock: Clock, migrated: Settings
) -> None:
    lived, other = Lived(story, migrated), Lived(Story(story.engine, migrated), migrated)
    marker = story.user
    name, key = f"Radiohead {marker}", f"radiohead {marker}"
    known = Concert(
        concert_id=uuid4(),
        rev=1,
        artist=name,
        artist_key=key,
        night=date(1994, 5, 27),
        place=ASTORIA,
        songs=("Creep", "Lurgee"),
        members=({"listing_id": uuid4(), "source": "s", "source_id": "1", "version": 1, "act": name},),  # type: ignore[arg-type]
    )
    farm = Facts(artist=name.upper(), night=date(1994, 8, 27), place=FARM, songs=("Creep",))
    late = Facts(artist=f"Low {marker}", night=date(2004, 7, 1), place=Place(name="Somewhere"))
    undone = Facts(artist="Nobody", night=date(2004, 7, 2))
    stale = Facts(artist="as it was shown", night=date(1994, 5, 28))
    await lived.sink(
        [
            known,
            lived.says("e1", farm, Action.DISMISSED, uuid4()),
            lived.says("e1", farm),
            lived.says("e2", stale, concert=known.concert_id),
            lived.says("e3", stale, concert=known.concert_id),  # two lines of one show are one show
            lived.says("e4", late),
            lived.says("e5", undone),
            lived.says("e5", undone, Action.UNDONE),
            # Taken back last: a refusal of another concert, on an entry that stays confirmed.
            lived.says("e4", farm, Action.UNDONE, uuid4()),
            other.says("e1", undone),
        ]
    )
    stats = (await _get(client, story, clock, "/journal/stats"))["data"]
    assert (stats["shows"], stats["artists"], stats["venues"]) == (3, 2, 3)
    assert stats["years"] == [{"name": "1994", "shows": 2}, {"name": "2004", "shows": 1}]
    assert [(one["name"].lower(), one["shows"]) for one in stats["top_artists"]] == [
        (name.lower(), 2),
        (late.artist.lower(), 1),
    ]
    assert {one["name"]: one["city"] for one in stats["top_venues"]}["Somewhere"] is None
    assert [(one["song"], one["shows"]) for one in stats["top_songs"]] == [("Creep", 2), ("Lurgee", 1)]
    assert stats["distance_km"] == pytest.approx(59.6, abs=1.0)
    nothing = (await _get(client, Story(story.engine, migrated), clock, "/journal/stats"))["data"]
    assert (nothing["shows"], nothing["years"], nothing["distance_km"]) == (0, [], 0.0)

    artist = Artist(artist_id=uuid4(), source="s", source_id=marker, version=1, seen_at=START, name=name)
    venue = Venue(
        venue_id=uuid4(), source="s", source_id=marker, version=1, seen_at=START, name="Astoria",
        names=(DatedName(name="London Astoria"),), place=Place(city="London"),
    )  # fmt: skip
    async with story.engine.begin() as connection:
        told: Any = {"version": 1, "body": orjson.loads(artist.to_bytes())}
        await connection.execute(insert(CatalogueArtist).values(artist_id=artist.artist_id, name=name, **told))
        told = {"version": 1, "body": orjson.loads(venue.to_bytes())}
        await connection.execute(insert(CatalogueVenue).values(venue_id=venue.venue_id, name=venue.name, **told))
    history = await _get(client, story, clock, f"/artists/{artist.artist_id}/history?take=1")
    assert {field: history["data"][field] for field in ("name", "shows", "first", "last")} == {
        "name": name, "shows": 2, "first": "1994-05-27", "last": "1994-08-27",
    }  # fmt: skip
    assert [(one["night"], one["songs"]) for one in history["data"]["items"]] == [("1994-08-27", 1)]
    cursor = history["meta"]["next_cursor"]
    history = await _get(client, story, clock, f"/artists/{artist.artist_id}/history?take=1&cursor={cursor}")
    assert [one["concert_id"] for one in history["data"]["items"]] == [str(known.concert_id)]
    assert history["meta"]["next_cursor"] is None
    at = (await _get(client, story, clock, f"/venues/{venue.venue_id}/history"))["data"]
    assert (at["name"], at["shows"], at["items"][0]["artist"]) == ("Astoria", 1, name)
    for path, code in (("artists/nobody", "ARTIST"), (f"artists/{uuid4()}", "ARTIST"), (f"venues/{uuid4()}", "VENUE")):
        answer = await client.get(f"/v1/{path}/history", headers=story.headers(clock))
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, f"{code}_NOT_FOUND")


@pytest.mark.network
async def test_without_clickhouse_the_figures_are_unavailable_and_nobody_is_named(
    offline: Settings, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(offline.model_copy(update={"clickhouse_url": "http://127.0.0.1:1"}), clock=clock)
    async with reach(app) as client:
        bearer = {"Authorization": f"Bearer {issue_token(offline, 'alice-marker', START)}"}
        answer: httpx.Response = await client.get("/v1/journal/stats", headers=bearer)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert "127.0.0.1" not in answer.text and "alice-marker" not in capsys.readouterr().out

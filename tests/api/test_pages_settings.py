"""/settings without a script: each group saves itself, says so, and says at the field what it cannot take."""

import io
import zipfile
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from api.export.kinds import KINDS
from api.pages.settings import CONTENTS, SAVED, offered_zones, zone_named
from api.preferences import Preferences
from schemas.tables import PreferencesRow
from tests.api.forms import page, send
from tests.api.support import Client, Clock, Story


@pytest.mark.parametrize(
    ("typed", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("  europe/berlin ", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("America/Argentina/Buenos Aires", "America/Argentina/Buenos_Aires"),
        ("utc", "UTC"),
        ("US/Eastern", "US/Eastern"),  # of yesterday, and still known
        ("Louisville", "America/Kentucky/Louisville"),
        ("", None),
        ("Nowhere/Town", None),
        ("../etc/passwd", None),
        ("localtime", None),
    ],
)
def test_a_zone_is_known_by_its_name_or_its_town_however_it_is_written(typed: str, zone: str | None) -> None:
    if typed == "Louisville":  # there are two names of it: which one is meant cannot be told
        assert zone_named(typed) in (None, zone)
    else:
        assert zone_named(typed) == zone


def test_the_page_offers_zones_of_towns_and_no_names_of_yesterday() -> None:
    zones = offered_zones()
    assert {"Europe/Berlin", "UTC", "Australia/Melbourne"} <= set(zones) and len(zones) > 300
    assert not [zone for zone in zones if zone.startswith(("Etc/", "US/", "posix", "SystemV"))]


def test_every_kind_of_an_export_is_called_something() -> None:
    assert set(CONTENTS) == {kind.name for kind in KINDS}


async def kept(story: Story) -> dict[str, Any]:
    names = [PreferencesRow.__table__.c[name] for name in Preferences.model_fields]
    async with story.engine.connect() as connection:
        row = (await connection.execute(select(*names).where(PreferencesRow.user_id == story.user))).one_or_none()
    return {} if row is None else {name: getattr(value, "value", value) for name, value in row._mapping.items()}


@pytest.mark.stack
async def test_each_group_saves_itself_and_says_so(client: Client, story: Story, clock: Clock) -> None:
    await story.sign_in(client, clock)
    shown = await page(client, "/settings")
    assert shown.form("/settings", group="visibility").fields["journal"] == "private"
    assert {"companions", "habits"} & set(shown.form("/settings", group="questions").fields) == {"companions"}
    digest = shown.form("/settings", group="digest").fields
    assert (digest["digest"], digest["tz"], digest["quiet_from"]) == ("yes", "UTC", "22:00")

    after = await send(client, shown.form("/settings", group="visibility"), {"journal": "friends"})
    assert "Saved: who sees your shows." in after.text
    assert after.form("/settings", group="visibility").fields["journal"] == "friends"
    after = await send(client, after.form("/settings", group="questions"), {"companions": None, "habits": "yes"})
    assert "Saved: what Gigz asks you." in after.text
    changes: dict[str, str | None] = {"digest": None, "tz": "berlin", "quiet_from": "21:30:00", "quiet_until": "09:00"}
    after = await send(client, after.form("/settings", group="digest"), changes)
    assert "Saved: the weekly digest." in after.text
    assert await kept(story) == {
        "companions": False,
        "habits": True,
        "journal": "friends",
        "digest": False,
        "tz": "Europe/Berlin",
        "quiet_from": (await kept(story))["quiet_from"],
        "quiet_until": (await kept(story))["quiet_until"],
    }
    digest = after.form("/settings", group="digest").fields
    assert "digest" not in digest and (digest["quiet_from"], digest["quiet_until"]) == ("21:30", "09:00")
    # A reload says nothing anew that did not happen; a word that we do not know says nothing at all.
    assert "Saved" not in (await page(client, "/settings?saved=<script>")).text
    async with story.engine.connect() as connection:
        query = text("select before, after from state.audit where user_id = :u and what = 'visibility'")
        assert (await connection.execute(query, {"u": story.user})).one() == (
            {"visibility": "private"},
            {"visibility": "friends"},
        )


@pytest.mark.stack
async def test_what_cannot_be_taken_stands_in_its_field_with_what_is_wrong(
    client: Client, story: Story, clock: Clock
) -> None:
    await story.sign_in(client, clock)
    shown = await page(client, "/settings")
    typed: dict[str, str | None] = {"tz": '"><script>', "quiet_from": "25:00", "quiet_until": "08:00", "digest": None}
    refused = await send(client, shown.form("/settings", group="digest"), typed, 400)
    assert set(refused.wrong) == {"tz", "quiet_from"}
    assert "Europe/Berlin" in refused.wrong["tz"] and "22:00" in refused.wrong["quiet_from"]
    fields = refused.form("/settings", group="digest").fields
    assert {name: fields.get(name) for name in typed} == typed
    assert "<script>" not in refused.html
    refused = await send(client, shown.form("/settings", group="visibility"), {"journal": "everybody"}, 400)
    assert "Choose one of the two." in refused.text
    assert await kept(story) == {}
    german = await send(client, shown.form("/settings", group="digest"), typed, 400, language="de")
    assert "Europe/Berlin" in german.wrong["tz"] and "no such" not in german.wrong["tz"]


@pytest.mark.stack
async def test_a_form_of_another_session_saves_nothing(client: Client, story: Story, clock: Clock) -> None:
    await story.sign_in(client, clock)
    for group in SAVED:
        for token in ({}, {"form_token": "0" * 64}):
            answer = await client.post("/settings", data={"group": group, "journal": "friends"} | token)
            assert answer.status_code == 403
    form = (await page(client, "/settings")).form("/settings", group="digest")
    await send(client, form, {"group": "everything"}, 400)
    assert await kept(story) == {}


@pytest.mark.stack
async def test_everything_comes_as_a_file_under_the_cookie_and_is_written_down(
    client: Client, story: Story, clock: Clock
) -> None:
    await story.sign_in(client, clock)
    shown = await page(client, "/settings")
    links = [link for link in shown.links if link.startswith("/settings/export")]
    assert len(links) == 2 and all(about in shown.text for about in CONTENTS.values())
    csv, json = [await client.get(link) for link in links]
    assert zipfile.ZipFile(io.BytesIO(csv.content)).testzip() is None
    assert json.json()["meta"]["user"] == story.user and json.json()["meta"]["complete"]
    assert all("attachment" in answer.headers["content-disposition"] for answer in (csv, json))
    assert (await client.get("/settings/export?format=exe")).status_code == 400
    client.cookies.clear()
    assert (await client.get(links[0])).status_code == 401
    async with story.engine.connect() as connection:
        query = text("select count(*) from state.audit where user_id = :u and what = 'exported'")
        assert await connection.scalar(query, {"u": story.user}) == 2


@pytest.mark.stack
async def test_the_settings_tell_the_own_id_and_lead_out(client: httpx.AsyncClient, story: Story, clock: Clock) -> None:
    await story.sign_in(client, clock)
    shown = await page(client, "/settings")
    assert story.user in shown.text and "/settings/leave" in shown.links
    assert shown.form("/sign-out").buttons == ["Sign out"]

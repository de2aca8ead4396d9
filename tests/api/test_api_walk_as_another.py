"""Every route of the application, called with a good token by somebody whose things these are not.

The ids are real: the owner's suggestions, decisions, bulks, shows, imports. Each is answered as if there were none, and
nothing of the owner's is told or changed, on whichever route.

A new route with an id in its path fails here until it is in OWNED (whose value the path gets) or in OF_NOBODY.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import LargeBinary, text

from api.app import create_app
from api.services import COOKIE
from api.tokens import development_secret, form_token, issue_token, page_token
from deploy.settings import Settings
from schemas import erasure
from schemas.erasure import How
from schemas.history import Remembered
from schemas.tables import Base
from tests.api.support import ASTORIA, READING, START, Client, Clock, Story, reach
from tests.api.walking import Step, steps

pytestmark = pytest.mark.stack

OWNED = {
    "/v1/suggestions/{suggestion_id}": "open",
    "/v1/suggestions/bulk/{token}": "bulk",
    "/v1/journal/{suggestion_id}": "show",
    "/v1/imports/{import_id}": "import",
    "/imports/{import_id}": "import",
    "/inbox/{suggestion_id}": "open",
    "/inbox/entries/{entry_id}": "entry",
    "/inbox/bulk/{token}": "bulk",
    "/decisions/{decision_id}": "decision",
    "/journal/{suggestion_id}": "show",
}
"""Beginning of a template -> which thing of the owner's its first id is."""
OF_NOBODY = {
    "/v1/concerts/{concert_id}": "the catalogue's",
    "/v1/artists/{artist_id}/history": "the catalogue's; what is counted is the caller's own",
    "/v1/venues/{venue_id}/history": "the catalogue's; what is counted is the caller's own",
    "/v1/concerts/{concert_id}/friends": "the catalogue's; told are the caller's friends, of whom the owner is none",
}
"""Templates whose ids name nothing of a user's: answered, but not with anything of the owner's."""
AIMED = ("/v1/follows/{", "/v1/blocks/{")
"""Beginnings of templates whose id is meant to be another user's: answered alike whether there is one or not."""
VERBS = {"verb": "confirm"}
IN_BODIES = [
    ("POST", "/v1/suggestions/bulk", "token", "bulk"),
]
"""Ids that are sent in bodies: method, address, field, thing."""
WITHOUT_END = {"GET /v1/stream", "GET /inbox/stream"}
LAST = {"DELETE /v1/me"}
"""Ends the caller's own account."""


@dataclass
class Owner:
    """Somebody with one of everything; whatever is written down has the mark in it."""

    story: Story
    mark: str = field(default_factory=lambda: f"zq{uuid4().hex}")
    owned: dict[str, str] = field(default_factory=dict)

    async def fill(self, client: Client, clock: Clock) -> None:
        headers = self.story.headers(clock) | {"X-Device": self.mark}
        entry = Remembered(artist=f"Radiohead {self.mark}", date="1994", note=self.mark)
        for name, facts, confidence in (("open", READING, 0.97), ("kept", ASTORIA, 0.97), ("bulked", READING, 0.7)):
            suggested = self.story.suggestion(f"{name}-{self.mark}", facts, confidence)
            (found,) = await self.story.found(f"{name}-{self.mark}", suggested, entry=entry)
            self.owned[name] = str(found)
        kept = await client.post(f"/v1/suggestions/{self.owned['kept']}/confirm", headers=headers)
        assert kept.status_code == 200, kept.text
        self.owned["decision"] = kept.json()["data"]["decision_id"]
        asked = {"dry_run": True, "action": "dismiss", "filter": {"band": "likely"}}
        bulk = await client.post("/v1/suggestions/bulk", headers=headers, json=asked)
        self.owned["bulk"] = bulk.json()["data"]["token"]
        applied = await client.post("/v1/suggestions/bulk", headers=headers, json={"token": self.owned["bulk"]})
        assert applied.json()["data"]["decisions"] == 1, applied.text
        own = {"artist": f"The {self.mark}s", "night": "2011-05-06", "note": self.mark, "with": [self.mark]}
        show = await client.post("/v1/journal", headers=headers | {"Idempotency-Key": self.mark}, json=own)
        assert show.status_code == 201, show.text
        self.owned["show"] = show.json()["data"]["suggestion_id"]
        self.owned["entry"] = show.json()["data"]["entry_id"]
        rows = f"artist,date,city\nImported {self.mark},2001-05-10,Reading\nUnread {self.mark},32.13.1994,Reading\n"
        sent = await client.post(f"/v1/imports?name={self.mark}.csv", headers=headers, content=rows.encode())
        assert sent.status_code == 201, sent.text
        self.owned["import"] = sent.json()["data"]["import_id"]
        applied = await client.post(f"/v1/imports/{self.owned['import']}/apply", headers=headers, json={})
        assert applied.status_code == 200, applied.text
        line = {"entries": [{"artist": f"Line {self.mark}", "date": "1999", "note": self.mark}]}
        assert (await client.post("/v1/history", headers=headers, json=line)).status_code == 202

    async def rows(self) -> dict[str, str]:
        """All rows of the owner, by table, hashed."""
        found = {}
        async with self.story.engine.connect() as connection:
            for name, place in erasure.POSTGRES.items():
                if place.how is not How.DELETE_ROWS or place.user is None:
                    continue
                if isinstance(Base.metadata.tables[name].columns[place.user].type, LargeBinary):
                    continue
                query = f"select md5(string_agg(t::text, ',' order by t::text)) from {name} t where {place.user} = :u"
                found[name] = str(await connection.scalar(text(query), {"u": self.story.user}))
        return found


@pytest.fixture
async def owner(client: Client, clock: Clock, story: Story) -> Owner:
    owner = Owner(story)
    await owner.fill(client, clock)
    return owner


@dataclass(frozen=True)
class Another:
    """Somebody else, signed in everywhere."""

    settings: Settings
    user: str = field(default_factory=lambda: f"u-{uuid4().hex}")
    session: str = field(default_factory=lambda: uuid4().hex)

    def headers(self, step: Step) -> dict[str, str]:
        if step.credential == "cookie":
            return {"Cookie": f"{COOKIE}={page_token(self.settings, self.user, START, self.session)}"}
        return {"Authorization": f"Bearer {issue_token(self.settings, self.user, START)}"}

    def more(self, step: Step) -> dict[str, Any]:
        """What a page's form sends."""
        if step.credential == "cookie" and step.method == "POST":
            return {"data": {"form_token": form_token(development_secret(self.settings), self.session)}}
        return {}


def _thing(step: Step) -> str | None:
    """Which of the owner's things a route's first id is; None: none. Fails for a route that nobody looked at."""
    if step.template in OF_NOBODY or step.template.startswith(AIMED):
        return None
    for beginning, thing in OWNED.items():
        if step.template.startswith(beginning) and beginning.count("{") == 1:
            return thing
    pytest.fail(
        f"{step.name} has an id in its path, and no id of another user is known for it. Make one in Owner.fill and "
        f"name it in OWNED of {__file__}, or say in OF_NOBODY why the id names nothing of a user's, or in AIMED that "
        "it is meant to be another user's."
    )


def _given(step: Step, value: str) -> Mapping[str, str]:
    names = list(step.types)
    return VERBS | {names[0]: value}


async def test_another_users_id_is_answered_as_if_there_were_none(
    client: Client, clock: Clock, migrated: Settings, owner: Owner
) -> None:
    another, walked = Another(migrated), 0
    before = await owner.rows()
    for step in steps(client_app(client)):
        if not step.types or step.credential not in ("bearer", "cookie"):
            continue
        thing = _thing(step)
        if thing is None:
            continue
        told = []
        for value in (owner.owned[thing], str(uuid4())):
            answer = await step.call(client, another.headers(step), _given(step, value), **another.more(step))
            assert answer.status_code == 404, f"{step.name} with another user's id: {answer.status_code} {answer.text}"
            assert owner.mark not in answer.text + str(answer.headers), step.name
            told.append(answer.text.replace(value, "…"))
        assert told[0] == told[1], f"{step.name} tells an id that exists from one that does not"
        if step.credential == "bearer":
            assert answer.json()["error"]["code"].endswith("_NOT_FOUND"), step.name
        walked += 1
    for method, path, name, thing in IN_BODIES:
        headers = {"Authorization": f"Bearer {issue_token(migrated, another.user, START)}"}
        answer = await client.request(method, path, headers=headers, json={name: owner.owned[thing]})
        assert answer.status_code == 404, (path, answer.text)
    assert walked >= 10
    assert await owner.rows() == before


async def test_no_route_tells_somebody_else_anything_of_the_owner(
    client: Client, clock: Clock, migrated: Settings, owner: Owner
) -> None:
    another = Another(migrated)
    before = await owner.rows()
    to_walk = [step for step in steps(client_app(client)) if step.credential in ("bearer", "cookie")]
    for step in sorted(to_walk, key=lambda step: step.name in LAST):
        if step.name in WITHOUT_END or (step.types and _thing(step) is not None):
            continue
        given = {name: "radiohead" for name, kind in step.types.items() if kind == "str"}
        # Most of the mark finds whatever has it; an answer that repeats what was asked does not have all of it.
        for query in ("", "?artist={0}&q={0}&venue={0}".format(owner.mark[:-4])):
            if query and step.method != "GET":
                continue
            more = another.more(step)
            answer = await client.request(
                step.method,
                step.path(given) + query,
                headers=another.headers(step),
                **(more or {"json": step.body()} if step.body() is not None else more),
            )
            assert answer.status_code < 500 or answer.status_code == 503, (step.name, answer.text)
            assert owner.mark not in answer.text + str(answer.headers), f"{step.name}{query}: {answer.text[:500]}"
            if step.method == "GET" and not step.types:
                # Search wants words, and an entry's page an id; figures and what is found are in stores that these
                # rows have not reached.
                elsewhere = step.template.startswith(("/v1/journal/stats", "/v1/search", "/inbox/entries"))
                assert answer.status_code == 200 or elsewhere or query, (step.name, answer.text)
    assert await owner.rows() == before


async def test_naming_another_user_does_not_tell_whether_there_is_one(
    client: Client, migrated: Settings, owner: Owner
) -> None:
    before, walked = await owner.rows(), 0
    for step in steps(client_app(client)):
        if not step.template.startswith(AIMED):
            continue
        told = []
        for named in (owner.story.user, f"u-{uuid4().hex}"):
            answer = await step.call(client, Another(migrated).headers(step), _given(step, named))
            assert answer.status_code < 500 and owner.mark not in answer.text, (step.name, answer.text)
            told.append((answer.status_code, answer.text.replace(named, "…")))
        assert told[0] == told[1], f"{step.name} tells a user who is there from one who is not"
        walked += 1
    assert walked >= 4
    assert await owner.rows() == before


async def test_the_owner_still_finds_all_of_it(client: Client, clock: Clock, owner: Owner) -> None:
    headers = owner.story.headers(clock)
    found = ""
    for path in ("/v1/suggestions?state=all", "/v1/journal", "/v1/me/audit", "/v1/imports", "/v1/export"):
        answer = await client.get(path, headers=headers)
        assert answer.status_code == 200 and owner.mark in answer.text, path
        found += answer.text
    assert {thing for thing in ("open", "kept", "show", "import") if owner.owned[thing] not in found} == set()


async def test_a_route_with_an_id_that_nobody_looked_at_is_found(migrated: Settings, clock: Clock) -> None:
    from litestar import Router, get
    from litestar.params import FromPath

    @get("/{picture_id:str}")
    async def picture(picture_id: FromPath[str]) -> dict[str, str]:
        return {"picture": picture_id}

    app = create_app(migrated, clock=clock, rate_limits=False)
    app.register(Router("/v1/pictures", route_handlers=[picture], opt={"credential": "bearer"}))
    async with reach(app):
        (step,) = [step for step in steps(app) if "picture" in step.template]
        with pytest.raises(pytest.fail.Exception, match=r"GET /v1/pictures/\{picture_id\} has an id"):
            _thing(step)


def client_app(client: httpx.AsyncClient) -> Any:
    """The application behind a client of `reach`."""
    transport: Any = client._transport
    return transport.app

"""Friends: both ways or not at all, shown only what is shown, and nothing to be learned by trying."""

import asyncio
from datetime import date
from random import Random
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from deploy.erasing import ledger
from schemas.concert import Concert, Facts
from tests.api.support import ASTORIA, READING, Client, Clock, Story
from tests.api.test_api_decisions import Said, known

pytestmark = pytest.mark.stack


class Person(Said):
    """A user with a journal."""

    @property
    def user(self) -> str:
        return self.story.user

    async def get(self, path: str, status: int = 200) -> Any:
        answer = await self.client.get(f"/v1{path}", headers=self.story.headers(self.clock))
        assert answer.status_code == status, answer.text
        return answer.json()["data"] if status == 200 else answer.json()["error"]

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = self.story.headers(self.clock) | headers
        return await self.client.request(method, f"/v1{path}", headers=sent, json=body)

    async def follow(self, other: "Person | str") -> str:
        name = other if isinstance(other, str) else other.user
        state: str = (await self.post(f"/follows/{name}"))["data"]["state"]
        return state

    async def unfollow(self, other: "Person") -> str:
        answer = await self.ask("DELETE", f"/follows/{other.user}")
        assert answer.status_code == 200, answer.text
        state: str = answer.json()["data"]["state"]
        return state

    async def others(self, path: str) -> list[str]:
        return [one["user"] for one in await self.get(path)]

    async def keep(self, show: UUID | str, **kept: Any) -> None:
        answer = await self.ask("PATCH", f"/journal/{show}", kept)
        assert answer.status_code == 200, answer.text

    async def prefer(self, **wishes: Any) -> None:
        answer = await self.ask("PATCH", "/preferences", wishes)
        assert answer.status_code == 200, answer.text

    async def was_at(self, concert: Concert, entry_id: str = "e1") -> UUID:
        one = self.story.suggestion(entry_id, concert.facts, concert_id=concert.concert_id)
        await self.story.found(entry_id, one)
        await self.say("confirm", one.suggestion_id)
        return one.suggestion_id

    async def sees(self, query: str = "") -> list[tuple[str, str]]:
        shows = await self.get(f"/friends/shows{query}")
        return [(one["friend"], one["concert"]["night"]) for one in shows]


@pytest.fixture
def people(client: Client, story: Story, clock: Clock) -> list[Person]:
    return [Person(client, Story(story.engine, story.settings), clock) for _ in range(3)]


async def befriend(one: Person, other: Person) -> None:
    assert await one.follow(other) == "requested"
    assert (await other.post(f"/follows/{one.user}/accept"))["data"] == {"user": one.user, "state": "friends"}


async def at_a_show(story: Story, facts: Facts = READING) -> Concert:
    return await known(story, facts, f"artist {uuid4()}")


async def test_a_request_is_listed_on_both_sides_and_becomes_a_friendship_when_it_is_accepted(
    people: list[Person],
) -> None:
    ann, bob, _ = people
    assert await ann.follow(bob) == "requested"
    assert await ann.follow(bob) == "requested"
    assert await ann.others("/follows?direction=out") == [bob.user]
    assert await bob.others("/follows") == await bob.others("/follows?direction=in") == [ann.user]
    assert await ann.others("/friends") == await bob.others("/friends") == []
    assert (await bob.post(f"/follows/{ann.user}/accept"))["data"]["state"] == "friends"
    for one, other in ((ann, bob), (bob, ann)):
        assert await one.others("/friends") == [other.user]
        assert await one.others("/follows?direction=out") == await one.others("/follows") == []
    assert await bob.unfollow(ann) == "none"
    assert await ann.others("/friends") == await bob.others("/friends") == []
    # Ann's wish stands, and Bob is not asked again for what he has just ended.
    assert await ann.others("/follows?direction=out") == [bob.user]
    assert await bob.others("/follows") == []
    assert await bob.follow(ann) == "friends"


async def test_two_who_follow_each_other_without_a_word_are_friends(people: list[Person]) -> None:
    ann, bob, _ = people
    states = await asyncio.gather(ann.follow(bob), bob.follow(ann))
    assert sorted(states) == ["friends", "requested"]
    assert await ann.others("/friends") == [bob.user]


async def test_who_is_declined_cannot_tell(people: list[Person]) -> None:
    ann, bob, cid = people
    await ann.follow(bob)
    await ann.follow(cid)
    before = await ann.get("/follows?direction=out")
    assert (await bob.post(f"/follows/{ann.user}/decline"))["data"]["state"] == "none"
    assert await bob.others("/follows") == []
    assert await ann.get("/follows?direction=out") == before
    assert await ann.follow(bob) == await ann.follow(cid) == "requested"
    assert await bob.others("/follows") == []
    # Thought better of.
    assert await bob.follow(ann) == "friends"
    answer = await bob.ask("POST", f"/follows/{ann.user}/decline")
    assert answer.status_code == 409 and "DELETE /v1/follows" in answer.json()["error"]["message"]


async def test_an_answer_to_nobody_is_not_found(people: list[Person]) -> None:
    ann, bob, cid = people
    await ann.follow(cid)
    for verb in ("accept", "decline"):
        known_one = await bob.post(f"/follows/{ann.user}/{verb}", status=404)
        unknown = await bob.post(f"/follows/{uuid4().hex}/{verb}", status=404)
        assert known_one["error"]["code"] == unknown["error"]["code"] == "REQUEST_NOT_FOUND"


async def test_whoever_is_blocked_is_gone_and_cannot_tell(people: list[Person], story: Story) -> None:
    ann, bob, cid = people
    await befriend(ann, bob)
    await bob.prefer(journal="friends")
    await ann.prefer(journal="friends")
    concert = await at_a_show(story)
    await bob.was_at(concert)
    await ann.was_at(concert)
    assert await ann.sees() and await bob.sees()
    assert (await bob.post(f"/blocks/{ann.user}"))["data"]["state"] == "blocked"
    assert await bob.others("/blocks") == [ann.user]
    assert await ann.sees() == await bob.sees() == []
    assert await ann.get(f"/concerts/{concert.concert_id}/friends") == []
    # As with somebody who only ended it: a request that waits.
    await befriend(ann, cid)
    await cid.unfollow(ann)
    assert set(await ann.others("/follows?direction=out")) == {bob.user, cid.user}
    assert await ann.unfollow(bob) == await ann.unfollow(cid) == "none"
    assert await ann.follow(bob) == await ann.follow(cid) == "requested"
    assert await bob.others("/follows") == [] and await cid.others("/follows") == [ann.user]
    assert (await bob.post(f"/follows/{ann.user}/accept", status=404))["error"]["code"] == "REQUEST_NOT_FOUND"
    refused = await bob.post(f"/follows/{ann.user}", status=409)
    assert "DELETE /v1/blocks" in refused["error"]["message"]
    assert (await bob.ask("DELETE", f"/blocks/{ann.user}")).json()["data"]["state"] == "none"
    assert await bob.others("/follows") == [ann.user]


async def test_nobody_follows_themselves(people: list[Person]) -> None:
    ann, *_ = people
    for path in (f"/follows/{ann.user}", f"/blocks/{ann.user}"):
        answer = await ann.post(path, status=400)
        assert answer["error"]["details"][0]["message"].startswith("is yourself")


async def test_friends_see_what_is_shown_and_nothing_else(people: list[Person], story: Story) -> None:
    ann, bob, cid = people
    await befriend(ann, bob)
    reading, astoria = await at_a_show(story), await at_a_show(story, ASTORIA)
    show = await bob.was_at(reading, "a line of Bob's")
    other = await bob.was_at(astoria, "e2")
    assert await ann.sees() == []
    await bob.keep(show, visibility="friends", note="Rain all day.", rating=5, **{"with": ["Wilhelmina"]})
    assert await ann.sees() == [(bob.user, "1994-08-27")]
    (told,) = await ann.get("/friends/shows")
    assert set(told) == {"friend", "concert_id", "concert", "own", "note", "rating"}
    assert (told["note"], told["rating"], told["concert"]["artist"]) == (None, None, "Radiohead")
    assert not any(one in str(told) for one in ("Wilhelmina", "a line of", "Rain", str(show)))
    await bob.keep(show, shared=["rating"])
    (told,) = await ann.get("/friends/shows")
    assert (told["note"], told["rating"]) == (None, 5)
    await bob.prefer(journal="friends")
    assert await ann.sees() == [(bob.user, "1994-08-27"), (bob.user, "1994-05-27")]
    await bob.keep(other, visibility="private")
    assert await ann.sees() == [(bob.user, "1994-08-27")]
    await bob.keep(show, visibility=None)
    await bob.prefer(journal="private")
    assert await ann.sees() == []
    await bob.prefer(journal="friends")
    await bob.say("undo", show)
    assert await ann.sees() == []
    assert await cid.sees() == await bob.sees() == []


async def test_a_show_on_two_lines_is_hidden_when_one_of_them_is(people: list[Person], story: Story) -> None:
    ann, bob, _ = people
    await befriend(ann, bob)
    concert = await at_a_show(story)
    await bob.prefer(journal="friends")
    first, second = await bob.was_at(concert), await bob.was_at(concert, "e2")
    assert len(await ann.sees()) == 1
    await bob.keep(second, visibility="private")
    assert await ann.sees() == []
    await bob.keep(second, visibility=None)
    await bob.keep(first, visibility="friends")
    assert len(await ann.sees()) == 1


async def test_a_show_of_ones_own_is_shown_without_its_coordinates(people: list[Person]) -> None:
    ann, bob, _ = people
    await befriend(ann, bob)
    body = {"artist": "Low", "night": "2011-05-06", "city": "Bath", "lat": 51.38, "lon": -2.36, "visibility": "friends"}
    written = (await bob.post("/journal", body, 201))["data"]
    assert (written["visibility"], written["visibility_set"]) == ("friends", "friends")
    (told,) = await ann.get("/friends/shows")
    assert told["own"] and told["concert"]["place"]["city"] == "Bath"
    assert told["concert"]["place"]["lat"] is None and "51.38" not in str(told)


async def test_friends_who_were_there_are_told_of_a_show_that_is_confirmed(
    people: list[Person], story: Story, clock: Clock
) -> None:
    ann, bob, cid = people
    concert = await at_a_show(story)
    path = f"/concerts/{concert.concert_id}/friends"
    await befriend(ann, bob)
    await befriend(ann, cid)
    for one in (bob, cid):
        await one.was_at(concert)
    await bob.prefer(journal="friends")
    await bob.keep((await bob.get("/journal"))[0]["suggestion_id"], rating=4, shared=["rating"])
    assert (await ann.get(path, 404))["code"] == "SHOW_NOT_FOUND"
    assert (await ann.get(f"/concerts/{uuid4()}/friends", 404))["code"] == "SHOW_NOT_FOUND"
    mine = await ann.was_at(concert)
    assert await ann.get(path) == [{"friend": bob.user, "note": None, "rating": 4}]
    await cid.prefer(journal="friends")
    assert sorted(one["friend"] for one in await ann.get(path)) == sorted((bob.user, cid.user))
    first = (await ann.ask("GET", f"{path}?take=1")).json()
    rest = (await ann.ask("GET", f"{path}?take=1&cursor={first['meta']['next_cursor']}")).json()
    assert [one["friend"] for one in first["data"] + rest["data"]] == sorted((bob.user, cid.user))
    # Bob and Cid are not friends of each other.
    assert await bob.get(path) == []
    await ann.say("undo", mine)
    assert (await ann.get(path, 404))["code"] == "SHOW_NOT_FOUND"


async def test_a_show_that_has_another_id_by_now_is_still_shared(people: list[Person], story: Story) -> None:
    ann, bob, _ = people
    await befriend(ann, bob)
    await bob.prefer(journal="friends")
    concert, old, listing = await at_a_show(story), uuid4(), uuid4()
    await bob.was_at(concert.model_copy(update={"concert_id": old}))
    await ann.was_at(concert)
    path = f"/concerts/{concert.concert_id}/friends"
    assert await ann.get(path) == []
    async with story.engine.begin() as connection:
        for statement in (
            "insert into state.concerts (concert_id, anchor_listing_id, anchor_act, live, rev, night, keys, body) "
            "values (:old, :listing, 'Radiohead', false, 1, '1994-08-27', '{}', '{}')",
            "insert into state.concert_members (listing_id, act, concert_id) values (:listing, 'Radiohead', :now)",
        ):
            await connection.execute(text(statement), {"old": old, "listing": listing, "now": concert.concert_id})
    for asked in (concert.concert_id, old):
        assert [one["friend"] for one in await ann.get(f"/concerts/{asked}/friends")] == [bob.user]
    assert [one["concert_id"] for one in await ann.get("/friends/shows")] == [str(concert.concert_id)]


async def test_friends_shows_come_in_pages_by_friend_and_year(people: list[Person], story: Story) -> None:
    ann, bob, cid = people
    for one in (bob, cid):
        await befriend(ann, one)
        await one.prefer(journal="friends")
        for place, facts in enumerate((READING, ASTORIA)):
            await one.was_at(await at_a_show(story, facts), f"e{place}")
    whole = await ann.sees()
    assert len(whole) == 4 and [night for _, night in whole] == sorted((n for _, n in whole), reverse=True)
    found: list[tuple[str, str]] = []
    cursor = ""
    while cursor is not None:
        page = (await ann.ask("GET", f"/friends/shows?take=1{cursor and '&cursor=' + cursor}")).json()
        found += [(one["friend"], one["concert"]["night"]) for one in page["data"]]
        cursor = page["meta"]["next_cursor"]
    assert found == whole
    assert {friend for friend, _ in await ann.sees(f"?friend={bob.user}")} == {bob.user}
    assert await ann.sees(f"?friend={uuid4().hex}") == []
    assert await ann.sees("?year=1995") == []


async def in_pages(ann: Person, take: int, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = (await ann.ask("GET", f"/friends/shows?take={take}{query}{cursor and '&cursor=' + cursor}")).json()
        found += page["data"]
        cursor = page["meta"]["next_cursor"]
    return found


async def test_a_friends_journal_is_shown_whole_and_nothing_hidden_in_pages_of_any_size(
    people: list[Person], story: Story
) -> None:
    """Shows on several lines, under ids of before, hidden, taken back, of one night: as counted here."""
    ann, bob, cid = people
    dice = Random(7)
    told: set[tuple[str, str]] = set()
    for friend in (bob, cid):
        await befriend(ann, friend)
        await friend.prefer(journal="friends" if friend is bob else "private")
        for number in range(9):
            night = date(2001 + number // 2, 5, 1 + number % 2)
            concert = await at_a_show(story, READING.model_copy(update={"night": night}))
            old = await was_called(story, concert) if number % 3 == 0 else concert.concert_id
            hidden, there = False, False
            for line in range(1 + number % 3):
                known_as = dice.choice((concert.concert_id, old))
                show = await friend.was_at(concert.model_copy(update={"concert_id": known_as}), f"e{number}-{line}")
                if dice.random() < 0.2:
                    await friend.say("undo", show)
                    continue
                there = True
                wish = dice.choice(("friends", "friends", "private", None))
                await friend.keep(show, visibility=wish, rating=3, shared=["rating"])
                hidden |= wish == "private" or (wish is None and friend is cid)
            if there and not hidden:
                told.add((friend.user, str(concert.concert_id)))
    assert len(told) > 6
    whole = await in_pages(ann, 100)
    assert len(whole) == len(told) == len({(one["friend"], one["concert_id"]) for one in whole})
    assert {(one["friend"], one["concert_id"]) for one in whole} == told
    assert [one["concert"]["night"] for one in whole] == sorted((o["concert"]["night"] for o in whole), reverse=True)
    assert {one["rating"] for one in whole} == {3}
    for take in (1, 2, 5):
        assert await in_pages(ann, take) == whole
    for year in (2001, 2003):
        found = await in_pages(ann, 2, f"&year={year}")
        assert found == [one for one in whole if one["concert"]["night"].startswith(str(year))]
    assert await in_pages(ann, 2, f"&friend={bob.user}") == [one for one in whole if one["friend"] == bob.user]


async def was_called(story: Story, concert: Concert) -> UUID:
    """An id that the concert had before: resolve keeps who holds its listing now."""
    old, listing = uuid4(), uuid4()
    async with story.engine.begin() as connection:
        for statement in (
            "insert into state.concerts (concert_id, anchor_listing_id, anchor_act, live, rev, night, keys, body) "
            "values (:old, :listing, 'Radiohead', false, 1, '1994-08-27', '{}', '{}')",
            "insert into state.concert_members (listing_id, act, concert_id) values (:listing, 'Radiohead', :now)",
        ):
            await connection.execute(text(statement), {"old": old, "listing": listing, "now": concert.concert_id})
    return old


async def test_a_show_that_the_sources_moved_tells_its_night_of_now_and_is_listed_where_it_was_confirmed(
    people: list[Person], story: Story
) -> None:
    ann, bob, _ = people
    await befriend(ann, bob)
    await bob.prefer(journal="friends")
    concert = await at_a_show(story)
    await bob.was_at(concert)
    moved = concert.model_copy(update={"night": date(1995, 1, 1)})
    async with story.engine.begin() as connection:
        await connection.execute(
            text("update catalogue.concerts set night = :night, body = cast(:body as jsonb) where concert_id = :id"),
            {"night": moved.night, "body": moved.to_bytes().decode(), "id": concert.concert_id},
        )
    assert await ann.sees() == await ann.sees("?year=1994") == [(bob.user, "1995-01-01")]
    assert await ann.sees("?year=1995") == []


# -- nothing is revealed -----------------------------------------------------------------------------------------------


async def answers_to(ann: Person, concert: Concert, theirs: list[UUID], other: str) -> dict[str, Any]:
    """Whatever Ann can ask about another user, a show, or what is another's."""
    told: dict[str, Any] = {}
    paths = [
        *("/suggestions?state=all", "/journal", "/journal?artist=radiohead", "/preferences", "/me", "/follows"),
        *("/follows?direction=out", "/friends", "/blocks", "/friends/shows", f"/friends/shows?friend={other}"),
        *(f"/concerts/{concert.concert_id}", f"/concerts/{concert.concert_id}/friends"),
        *(f"/journal/{one}" for one in theirs),
        *(f"/suggestions/{one}/nights" for one in theirs),
    ]
    for path in paths:
        answer = await ann.ask("GET", path)
        told[path] = (answer.status_code, answer.json())
    for verb in ("confirm", "dismiss", "snooze", "undo", "not-seen"):
        for one in theirs:
            answer = await ann.ask("POST", f"/suggestions/{one}/{verb}", {} if verb in ("snooze", "not-seen") else None)
            told[f"{verb} {one}"] = (answer.status_code, answer.json())
    for method, path in (
        ("PATCH", f"/journal/{theirs[0]}"),
        ("POST", f"/follows/{other}/accept"),
        ("POST", f"/follows/{other}/decline"),
    ):
        answer = await ann.ask(method, path, {"visibility": "friends"} if method == "PATCH" else None)
        told[f"{method} {path}"] = (answer.status_code, answer.json())
    return told


async def test_whether_somebody_was_there_shows_nowhere_to_who_is_no_friend(people: list[Person], story: Story) -> None:
    """Each answer byte for byte the same, before and after: to a stranger, to one who asked, to one who was refused."""
    ann, bob, cid = people
    concert = await at_a_show(story)
    one = bob.story.suggestion("e1", concert.facts, concert_id=concert.concert_id)
    theirs = [one.suggestion_id, uuid4()]
    await ann.was_at(concert, "mine")
    await bob.prefer(journal="friends")
    await ann.follow(bob)  # asked, and never answered
    before = await answers_to(ann, concert, theirs, bob.user)
    await bob.was_at(concert)
    await bob.keep(one.suggestion_id, visibility="friends", note="x", rating=5, shared=["note", "rating"])
    await befriend(bob, cid)
    assert await cid.sees() == [(bob.user, "1994-08-27")]
    assert await answers_to(ann, concert, theirs, bob.user) == before
    await bob.post(f"/follows/{ann.user}/decline")
    assert await answers_to(ann, concert, theirs, bob.user) == before
    await bob.post(f"/blocks/{ann.user}")
    assert await answers_to(ann, concert, theirs, bob.user) == before
    # A friend of a friend, and one who follows without being followed, are nobody, too.
    await befriend(ann, cid)
    assert await ann.sees() == []


async def test_an_id_that_nobody_has_is_answered_as_one_that_somebody_has(people: list[Person], story: Story) -> None:
    ann, bob, cid = people
    await bob.was_at(await at_a_show(story))
    await bob.prefer(journal="friends")
    await bob.follow(cid)
    ids = {"known": bob.user, "unknown": "u-" + uuid4().hex}
    for method, path, listed in (
        ("POST", "/follows/{}", "/follows?direction=out"),
        ("POST", "/follows/{}", "/friends/shows?friend={}"),
        ("POST", "/follows/{}/accept", "/friends"),
        ("POST", "/follows/{}/decline", "/follows"),
        ("DELETE", "/follows/{}", "/follows?direction=out"),
        ("POST", "/blocks/{}", "/blocks"),
        ("POST", "/follows/{}", "/blocks"),
        ("DELETE", "/blocks/{}", "/blocks"),
        ("DELETE", "/follows/{}", "/friends"),
    ):
        told = {}
        for which, other in ids.items():
            answer = await ann.ask(method, path.format(other))
            lists = await ann.ask("GET", listed.format(other))
            words = f"{answer.status_code} {answer.text} {[one for one in lists.json()['data'] if other in str(one)]}"
            since = [one["since"] for one in lists.json()["data"] if "since" in one]
            for moment in since:
                words = words.replace(moment, "…")
            told[which] = words.replace(other, "OTHER")
        assert told["known"] == told["unknown"], (method, path)


async def test_what_follows_cost_does_not_depend_on_whether_there_is_somebody(
    people: list[Person], story: Story
) -> None:
    """The same statements, counted by PostgreSQL's driver: there is no look-up whose time could tell."""
    from sqlalchemy import event

    ann, bob, _ = people
    await bob.was_at(await at_a_show(story))
    engine = ann.client._transport.app.state.services.engine.sync_engine  # type: ignore[attr-defined]
    said: list[str] = []

    def hear(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(statement)

    event.listen(engine, "before_cursor_execute", hear)
    try:
        heard = []
        for other in (bob.user, "u-" + uuid4().hex):
            for method, path in (
                ("POST", f"/follows/{other}"),
                ("POST", f"/follows/{other}/accept"),
                ("GET", f"/friends/shows?friend={other}"),
                ("DELETE", f"/follows/{other}"),
                ("POST", f"/blocks/{other}"),
            ):
                await ann.ask(method, path)
            heard.append([*said])
            said.clear()
    finally:
        event.remove(engine, "before_cursor_execute", hear)
    assert heard[0] == heard[1] and len(heard[0]) > 20


async def test_a_call_that_is_repeated_gets_its_answer_and_names_nobody_else_in_what_is_kept(
    people: list[Person], story: Story
) -> None:
    ann, bob, _ = people
    key = {"Idempotency-Key": "f-1"}
    first = await ann.post(f"/follows/{bob.user}", **key)
    await bob.follow(ann)
    assert await ann.post(f"/follows/{bob.user}", **key) == first
    assert (await ann.post(f"/follows/{uuid4().hex}", status=409, **key))["error"]["code"] == "CONFLICT"
    async with story.engine.connect() as connection:
        kept = (
            await connection.execute(text("select c::text from state.calls c where user_id = :u"), {"u": ann.user})
        ).all()
    assert kept and bob.user not in str(kept)


async def test_nothing_names_somebody_who_was_erased_and_the_answer_is_the_same(
    people: list[Person], story: Story, clock: Clock
) -> None:
    ann, bob, _ = people
    await ledger.enter(story.engine, bob.user, clock())
    assert await ann.follow(bob) == "requested"
    assert (await ann.post(f"/blocks/{bob.user}"))["data"]["state"] == "blocked"
    async with story.engine.connect() as connection:
        for table in ("follows", "blocks"):
            rows = await connection.scalar(
                text(f"select count(*) from state.{table} where other_id = :other"), {"other": bob.user}
            )
            assert rows == 0


async def test_what_others_see_is_private_at_first_and_its_changes_stand_in_the_audit(
    people: list[Person], story: Story
) -> None:
    ann, *_ = people
    show = await ann.was_at(await at_a_show(story))
    (kept,) = await ann.get("/journal")
    assert (kept["visibility"], kept["visibility_set"], kept["shared"]) == ("private", None, [])
    assert (await ann.get("/preferences"))["journal"] == "private"
    await ann.prefer(journal="friends")
    await ann.keep(show, visibility="private")
    await ann.keep(show, shared=["note"])
    await ann.keep(show, note="not a change of what others see")
    lines = [(one["thing"], one["before"], one["after"]) for one in await ann.get("/me/audit?what=visibility")]
    assert lines == [
        (str(show), {"visibility": "private", "shared": []}, {"visibility": "private", "shared": ["note"]}),
        (str(show), {"visibility": "friends", "shared": []}, {"visibility": "private", "shared": []}),
        ("journal", {"visibility": "private"}, {"visibility": "friends"}),
    ]
    refused = await ann.ask("PATCH", f"/journal/{show}", {"visibility": "everybody"})
    assert (refused.status_code, refused.json()["error"]["details"][0]["field"]) == (400, "visibility")

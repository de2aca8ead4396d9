"""/friends without a script: asked, accepted, ended; and nothing to be learned by trying ids."""

import re
from datetime import date, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from tests.api.forms import Shown, page, send
from tests.api.support import READING, Client, Clock, Story
from tests.api.test_api_decisions import known
from tests.api.test_friends import Person, at_a_show, befriend

pytestmark = pytest.mark.stack
HOSTILE = '<script>alert("x")</script>'


class Visitor(Person):
    """Somebody with a browser of their own: the client's cookies are set before each request."""

    async def read(self, address: str = "/friends", status: int = 200) -> Shown:
        await self._come()
        return await page(self.client, address, status)

    async def press(self, verb: str, other: "str | Person", status: int = 303) -> Shown:
        """The button that the page has for it."""
        name = other if isinstance(other, str) else other.user
        form = (await self.read()).form("/friends", verb=verb, other=name)
        return await send(self.client, form, {}, status)

    async def ask_for(self, other: str, status: int = 303) -> Shown:
        """Type an id."""
        form = (await self.read()).form("/friends", verb="follow")
        return await send(self.client, form, {"other": other}, status)

    async def _come(self) -> None:
        self.client.cookies.clear()
        await self.story.sign_in(self.client, self.clock)


@pytest.fixture
def visitors(client: Client, story: Story, clock: Clock) -> list[Visitor]:
    return [Visitor(client, Story(story.engine, story.settings), clock) for _ in range(3)]


async def test_asked_accepted_and_ended_by_buttons_alone(visitors: list[Visitor]) -> None:
    ann, bob, cid = visitors
    asked = await ann.ask_for(f"  {bob.user} ")
    assert "Asked." in asked.text and "no answer yet" in asked.text
    assert "They want to follow you" in (await bob.read()).text
    assert "You are friends now" in (await bob.press("accept", ann)).text
    for one, other in ((ann, bob), (bob, ann)):
        shown = await one.read()
        assert other.user in shown.text and "since" in shown.text and "no answer yet" not in shown.text
    ended = await ann.press("unfollow", bob)
    assert "Neither of you sees" in ended.text and bob.user not in re.sub(r"toast.*?</div>", "", ended.text)
    # Asked for by both, it is a friendship at once.
    await cid.ask_for(ann.user)
    assert "You are friends now" in (await ann.ask_for(cid.user)).text


async def test_declined_blocked_and_taken_back_the_other_is_not_told(visitors: list[Visitor]) -> None:
    ann, bob, cid = visitors
    await ann.ask_for(bob.user)
    await cid.ask_for(bob.user)
    before = (await ann.read()).text
    assert "Declined." in (await bob.press("decline", ann)).text
    assert "Blocked." in (await bob.press("block", cid)).text
    shown = await bob.read()
    assert ann.user not in shown.text and cid.user in shown.text
    assert (await ann.read()).text == before
    assert (await cid.read()).text.replace(cid.user, "…") == before.replace(ann.user, "…")
    stopped = await bob.ask_for(cid.user, 400)
    assert "You block this id." in stopped.wrong["other"]
    assert "Not blocked any more." in (await bob.press("unblock", cid)).text
    assert "Done." in (await ann.press("unfollow", bob)).text
    assert bob.user not in (await ann.read()).text


async def test_an_id_that_nobody_has_is_answered_like_one_that_somebody_has(visitors: list[Visitor]) -> None:
    ann, bob, _ = visitors
    await bob.was_at(await at_a_show(bob.story))
    await bob.prefer(journal="friends")
    told = []
    for other in (bob.user, f"u-{uuid4().hex}"):
        asked = await ann.ask_for(other)
        told.append((asked.status, re.sub(r"[0-9a-f]{64}", "a form's token", asked.html.replace(other, "…"))))
        await ann.press("unfollow", other)
    assert told[0] == told[1]


async def test_what_is_no_id_is_said_at_the_field_and_kept(visitors: list[Visitor]) -> None:
    ann = visitors[0]
    for typed, wrong in (("a/b", "no slash"), ("", "1 to 128"), ("x" * 129, "1 to 128"), (ann.user, "your own id")):
        refused = await ann.ask_for(typed, 400)
        assert wrong in refused.wrong["other"], typed
        assert refused.form("/friends", verb="follow").fields["other"] == typed
    refused = await ann.ask_for(HOSTILE, 400)
    assert HOSTILE not in refused.html
    form = (await ann.read()).form("/friends", verb="follow")
    for changes, status in (({"verb": "eat"}, 400), ({"verb": "accept", "other": "nobody"}, 409)):
        assert "friends" not in (await send(ann.client, form, changes, status)).wrong
    assert (await ann.client.post("/friends", data={"verb": "follow", "other": "bob"})).status_code == 403
    async with ann.story.engine.connect() as connection:
        rows = text("select count(*) from state.follows where user_id = :u")
        assert await connection.scalar(rows, {"u": ann.user}) == 0


async def test_friends_shows_are_listed_with_what_they_share_and_the_own_ones_that_they_see(
    visitors: list[Visitor], story: Story
) -> None:
    ann, bob, _ = visitors
    concert = await at_a_show(story, READING.model_copy(update={"artist": HOSTILE}))
    hidden = await at_a_show(story, READING.model_copy(update={"night": date(1997, 6, 28)}))
    show = await bob.was_at(concert)
    await bob.keep(show, note=HOSTILE, rating=4, shared=["note", "rating"])
    await bob.keep(await bob.was_at(hidden, "e2"), visibility="private")
    assert "Shows of your friends appear here" in (await ann.read()).text
    assert "you have not confirmed a show yet" in (await ann.read()).text
    await befriend(ann, bob)
    assert "Nothing yet." in (await ann.read()).text
    private = await bob.read()
    assert "0 of your 2 shows." in private.text and "Your journal is private." in private.text
    await bob.prefer(journal="friends")
    shown = await ann.read()
    assert "Saturday" in shown.text and "Little John's Farm, Reading, United Kingdom" in shown.text
    assert (
        HOSTILE in shown.text and HOSTILE not in shown.html and "4 of 5" in shown.text and "June 1997" not in shown.text
    )
    seen = await bob.read()
    assert "1 of your 2 shows." in seen.text and "Your journal is shown to friends." in seen.text
    assert "1 of your 2 shows" in (await bob.read("/settings")).text
    await bob.press("unfollow", ann)
    assert "Little John's Farm" not in (await ann.read()).text


async def test_long_lists_are_read_on_page_by_page(visitors: list[Visitor], story: Story) -> None:
    ann, bob, _ = visitors
    await befriend(ann, bob)
    await bob.prefer(journal="friends")
    nights = [READING.night + timedelta(days=n) for n in range(25)]
    for n, night in enumerate(nights):
        concert = await known(story, READING.model_copy(update={"night": night}), f"artist {uuid4()}")
        await bob.was_at(concert, f"e{n}")
        await ann.follow(f"u-{n:02}-{uuid4().hex}")
    for part, label in (("shows", 'datetime="(1994-[^"]+)"'), ("asked", r"<bdi>(u-\d\d)-")):
        first = await ann.read()
        (onward,) = {link for link in first.links if f"?{part}=" in link}
        second = await ann.read(onward)
        parts = [one.html.partition(f'id="{part}"')[2].partition("</section>")[0] for one in (first, second)]
        both = [re.findall(label, html) for html in parts]
        assert [len(one) for one in both] == [20, 5] and len({*both[0], *both[1]}) == 25
        assert f"/friends#{part}" in second.links
    await ann.read("/friends?shows=broken", 400)

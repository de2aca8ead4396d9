"""Companions and habits as match keeps them: what they follow from is stored, in whatever order it came."""

import random

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas import ids
from schemas.action import Action
from schemas.decision import Decision
from schemas.history import Entry, Rematch
from schemas.listing import Listing
from schemas.suggestion import Band, Nothing, Origin, Suggestions
from tests.streams.conftest import rows
from tests.streams.flow import Flow
from tests.streams.support import decision, entry, listing

pytestmark = pytest.mark.stack

HALL = {"venue": "Sala Grande", "city": "Lisbon", "country": "PT"}
LOW = listing("one", "1", "Low", "2011-03-19", **HALL)
QUILL = listing("two", "2", "Vesper Quill", "2011-03-19", **HALL)
OSTRANDER = listing("three", "3", "Ostrander", "2011-03-19", **HALL)


async def unasked(flow: Flow) -> dict[str, Suggestions]:
    """Artist -> the open questions that nobody asked."""
    sets = [one for one in (await flow.suggestions()).values() if one.origin is not Origin.ENTRY]
    return {one.suggestions[0].concert.artist: one for one in sets if one.suggestions and one.decision is None}


async def confirm(flow: Flow, found: Suggestions, action: Action = Action.CONFIRMED) -> Decision:
    """As the API keeps it: with the listings' own words."""
    first = found.suggestions[0]
    made = decision(found, action).model_copy(update={"members": first.members})
    await flow.decide(made)
    return made


async def prefer(engine: AsyncEngine, flow: Flow, user: str, **wishes: bool) -> None:
    """As the API does: the row, and a rematch."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "insert into state.preferences (user_id, companions, habits) values (:user, :companions, :habits) "
                "on conflict (user_id) do update set companions = :companions, habits = :habits"
            ),
            {"user": user, "companions": True, "habits": False} | wishes,
        )
    hooks = (ids.COMPANION, ids.HABIT)
    await flow.send([Rematch(user=user, entry_id=hook, cause="preferences") for hook in hooks])


async def test_a_confirmed_show_asks_for_the_others_of_its_night_and_no_answer_is_lost(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    await flow.send([LOW, QUILL, entry("u", "1", artist="Low", date="2011-03-19", city="Lisbon")])
    assert await unasked(flow) == {}
    yes = await confirm(flow, (await flow.suggestions())["u", "1"])
    (asked,) = (await unasked(flow)).values()
    assert (asked.origin, asked.suggestions[0].concert.artist) == (Origin.COMPANION, "Vesper Quill")
    assert asked.suggestions[0].band is Band.POSSIBLE
    assert asked.because is not None and "Low" in asked.because.text
    # Another act is listed later: it shares no key with the entry, but one with the night.
    await flow.send([OSTRANDER])
    assert set(await unasked(flow)) == {"Vesper Quill", "Ostrander"}
    await confirm(flow, asked, Action.NOT_SEEN)
    assert set(await unasked(flow)) == {"Ostrander"}
    assert (await flow.suggestions())["u", asked.entry_id].reason is Nothing.DISMISSED
    # The user wrote a line of their own about the other one: that is its question now.
    await flow.send([entry("u", "2", artist="Ostrander", date="2011-03-19", city="Lisbon")])
    assert await unasked(flow) == {}
    undone = yes.model_copy(
        update={"decision_id": ids.own_concert_id("u", "undo"), "action": Action.UNDONE, "undoes": yes.decision_id}
    )
    await flow.decide(undone)
    assert await unasked(flow) == {}


async def test_switched_off_they_are_withdrawn_but_not_what_was_confirmed(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    await flow.send([LOW, QUILL, OSTRANDER, entry("u", "1", artist="Low", date="2011-03-19", city="Lisbon")])
    await confirm(flow, (await flow.suggestions())["u", "1"])
    await confirm(flow, (await unasked(flow))["Vesper Quill"])
    assert set(await unasked(flow)) == {"Ostrander"}
    await prefer(engine, flow, "u", companions=False)
    assert await unasked(flow) == {}
    kept = [one for one in (await flow.suggestions()).values() if one.origin is Origin.COMPANION and one.suggestions]
    assert [(one.suggestions[0].concert.artist, one.decision) for one in kept] == [("Vesper Quill", Action.CONFIRMED)]
    await prefer(engine, flow, "u", companions=True)
    assert set(await unasked(flow)) == {"Ostrander"}


async def test_habits_come_once_they_are_asked_for(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    around = {"city": "Lisbon", "country": "PT"}
    lines: list[Listing | Entry] = [
        listing("one", f"h{n}", artist, night, **HALL)
        for n, (artist, night) in enumerate([("Low", "2011-06-02"), ("Ostrander", "2011-05-02")])
    ]
    lines += [entry("u", "a", artist="Low", date="2011-01-10", **around)]
    lines += [entry("u", "b", artist="Low", date="2011-03-19", **around)]
    lines += [entry("u", "c", artist="Vesper Quill", date="2011-02-01", **around)]
    lines += [entry("u", "d", artist="Vesper Quill", date="2011-12-20", **around)]
    await flow.send(lines)
    assert await unasked(flow) == {}
    await prefer(engine, flow, "u", habits=True)
    (asked,) = (await unasked(flow)).values()
    assert (asked.origin, asked.suggestions[0].concert.artist) == (Origin.HABIT, "Low")
    assert asked.because is not None and asked.because.text
    await prefer(engine, flow, "u", habits=False)
    assert await unasked(flow) == {}


async def test_any_order_of_shows_entries_and_decisions_asks_the_same(engine: AsyncEngine) -> None:
    ends = []
    for seed in range(4):
        user = f"u{seed}"
        flow = Flow(engine)
        if not seed:
            await flow.send([LOW])
        await flow.send([entry(user, "1", artist="Low", date="2011-03-19", city="Lisbon")])
        yes = await confirm(flow, (await flow.suggestions())[user, "1"])
        messages: list[Listing | Entry | Decision] = [
            QUILL,
            OSTRANDER,
            entry(user, "2", artist="Ostrander", date="2011-03-19", city="Lisbon"),
            yes,
        ]
        random.Random(seed).shuffle(messages)
        for one in messages:
            await flow.send([one])
        sets = [
            one for at, one in (await flow.suggestions()).items() if at[0] == user and one.origin is not Origin.ENTRY
        ]
        ends.append([(one.entry_id, one.suggestions[0].concert.artist) for one in sets if one.suggestions])
    assert len(ends) == 4 and ends[0] and all(end == ends[0] for end in ends)


async def test_whoever_confirmed_nothing_costs_no_row(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    await flow.send([LOW, QUILL, entry("u", "1", artist="Low", date="2011-03-19", city="Lisbon")])
    assert await rows(engine, "select count(*) from state.unasked") == [(0,)]
    await confirm(flow, (await flow.suggestions())["u", "1"])
    found = await rows(engine, "select entry_id, cardinality(keys) > 0 from state.unasked order by 1")
    assert found == [(ids.COMPANION, True), (ids.HABIT, False)]
    # The same message again changes nothing and tells nobody.
    before = len(flow.published)
    await flow.send([Rematch(user="u", entry_id=ids.COMPANION, cause="again")])
    assert len(flow.published) == before

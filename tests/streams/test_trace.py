"""Where a suggestion came from, and that the same comes out again, or why not."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.settings import Settings, SettingsError, environment_for
from matchers.text import FOLD_VERSION
from matchers.weights import default_tables
from schemas.concert import Concert
from schemas.decision import Action
from schemas.listing import Listing
from schemas.message import Message
from schemas.outgoing import outgoing
from schemas.suggestion import Suggestions
from schemas.topics import partition_of
from streams.stage import utc_now
from streams.trace import NotTraced, differences, trace
from tests.streams.conftest import rows, send
from tests.streams.flow import Flow, insert_decision
from tests.streams.support import caused, decision, entry, listing
from tests.support import ROOT

OSLO = {"venue": "Rockefeller", "city": "Oslo", "country": "NO"}


@pytest.fixture
def flow(engine: AsyncEngine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> "Published":
    monkeypatch.setattr("tests.streams.flow.clock", utc_now)  # what is newer is told by the clock, too
    return Published(engine, settings)


class Published(Flow):
    """The stages chained, and everything put in Kafka as well."""

    def __init__(self, engine: AsyncEngine, settings: Settings) -> None:
        super().__init__(engine)
        self.settings = settings

    async def happens(self, *messages: Message) -> None:
        before = len(self.published)
        await self.send(messages)
        said = [outgoing(one, trace="t" * 32, stage="test") for one in messages]
        await send(self.settings, [*said, *self.published[before:]])

    async def set_of(self, user: str, entry_id: str) -> Suggestions:
        return (await self.suggestions())[user, entry_id]


def shows(tag: str) -> list[Message]:
    """Two sources of one show, another night of the same artist, a line of somebody who was there."""
    return [
        listing("a", f"{tag}-1", f"Quiet {tag}", "2019-05-04", url="https://example.org/1", **OSLO),
        listing("b", f"{tag}-1", f"Quiet {tag}", "2019-05-04", **OSLO),
        listing("a", f"{tag}-2", f"Quiet {tag}", "2019-05-05", **OSLO),
        entry(tag, "e1", artist=f"Quiet {tag}", date="2019-05-04", city="Oslo"),
    ]


@pytest.mark.stack
async def test_a_suggestion_is_traced_to_its_messages_and_comes_out_the_same(flow: Published) -> None:
    made = shows("trace-same")
    await flow.happens(*made)
    found = await flow.set_of("trace-same", "e1")
    traced = await trace(flow.settings, str(found.suggestions[0].suggestion_id))
    assert traced.same
    assert traced.differences == ()
    assert traced.again.stored.suggestions == found.suggestions
    assert traced.again.weights == default_tables().version == found.weights
    assert traced.again.stored.fold == FOLD_VERSION
    first = traced.shown[0]
    assert first.asked
    assert {(one.source, one.source_id) for one in first.listings} == {("a", "trace-same-1"), ("b", "trace-same-1")}
    for one in first.listings:
        assert one.version == one.version_now
        assert one.stood is not None
        assert one.stood == one.stands
        key = f"{one.source}:{one.source_id}"
        assert (one.stood.topic, one.stood.partition) == (Listing.topic, partition_of(key, flow.settings.partitions))
    assert traced.message is not None
    assert traced.message.topic == Suggestions.topic
    assert traced.message.stage == "match"
    assert traced.message.cause
    assert traced.entry is not None
    assert traced.entry.topic == "gigz.history.v1"
    assert first.concert is not None
    assert first.concert.topic == Concert.topic
    assert sum(piece.bits for piece in first.suggestion.why) > 10
    by_key = await trace(flow.settings, "trace-same/e1")
    assert by_key.same
    assert not any(one.asked for one in by_key.shown)


@pytest.mark.stack
async def test_a_listing_that_is_newer_than_the_suggestion_is_named(flow: Published) -> None:
    await flow.happens(*shows("trace-newer"))
    moved = listing(
        "b", "trace-newer-1", "Quiet trace-newer", "2019-05-04", hours=5, **(OSLO | {"venue": "Parkteatret"})
    )
    await flow.concerts.apply(caused([moved]))  # resolve has it, match has not come to it
    traced = await trace(flow.settings, "trace-newer/e1")
    assert not traced.same
    told = "\n".join(traced.reasons)
    assert "listing b:trace-newer-1 is newer than the suggestion" in told
    assert str(moved.version) in told
    assert traced.differences
    [one] = [one for one in traced.shown[0].listings if one.source == "b"]
    assert one.version_now == moved.version
    assert one.version < moved.version
    assert one.stood is not None, "the version it came from is still in Kafka"


@pytest.mark.stack
async def test_a_version_that_kafka_has_forgotten_is_told_as_that(flow: Published) -> None:
    made = shows("trace-gone")
    await flow.send(made)  # to the stages alone: as if compaction had taken every message
    traced = await trace(flow.settings, "trace-gone/e1")
    assert traced.same
    assert traced.message is None
    assert all(one.stood is None for shown in traced.shown for one in shown.listings)


@pytest.mark.stack
async def test_a_row_that_was_changed_by_hand_is_told_from_one_that_is_merely_old(flow: Published) -> None:
    await flow.happens(*shows("trace-hand"))
    async with flow.engine.begin() as connection:
        await connection.execute(
            text(
                "update state.suggestions set body = jsonb_set(body, '{suggestions,0,confidence}', '0.123') "
                "where user_id = 'trace-hand'"
            )
        )
    traced = await trace(flow.settings, "trace-hand/e1")
    assert not traced.same
    [line] = traced.differences
    assert line.startswith("Quiet trace-hand, 2019-05-04, Rockefeller: confidence 0.123 -> 0.9")
    assert traced.reasons == (
        "nothing that it was made from is newer: the row in state.suggestions was changed by hand, "
        "or Gigz computes otherwise than it did",
    )


@pytest.mark.stack
async def test_other_weights_are_named_and_the_file_that_it_came_from_gives_the_same(
    flow: Published, tmp_path: Path
) -> None:
    await flow.happens(*shows("trace-weights"))
    shipped = default_tables().weights
    other = shipped.model_copy(update={"prior": shipped.prior - 9}).versioned()
    path, original = tmp_path / "other.json", tmp_path / "shipped.json"
    path.write_bytes(other.to_bytes())
    original.write_bytes(shipped.to_bytes())
    settings = flow.settings.model_copy(update={"weights": str(path)})
    traced = await trace(settings, "trace-weights/e1")
    assert not traced.same
    assert any(line == f"weights: {shipped.version} -> {other.version}" for line in traced.differences)
    assert any("confidence" in line for line in traced.differences)
    assert any(f"made with the weights {shipped.version}" in reason for reason in traced.reasons)
    assert (await trace(settings, "trace-weights/e1", weights=original)).same
    with pytest.raises(SettingsError, match=r"--weights.*Remedy"):
        await trace(settings, "trace-weights/e1", weights=tmp_path / "none.json")


@pytest.mark.stack
async def test_decisions_are_part_of_the_replay(flow: Published) -> None:
    await flow.happens(*shows("trace-decided"))
    found = await flow.set_of("trace-decided", "e1")
    said = decision(found, Action.CONFIRMED)
    await flow.decide(said)
    traced = await trace(flow.settings, "trace-decided/e1")
    assert traced.same
    assert [one.action for one in traced.again.decisions] == [Action.CONFIRMED]
    later = decision(found, Action.DISMISSED).model_copy(update={"decided_at": utc_now()})
    async with flow.engine.begin() as connection:
        await insert_decision(connection, later)  # and match has not come to it
    traced = await trace(flow.settings, "trace-decided/e1")
    assert not traced.same
    assert any("the user said 'dismissed'" in reason for reason in traced.reasons)


@pytest.mark.stack
async def test_an_entry_that_reads_otherwise_now_is_told(flow: Published) -> None:
    await flow.happens(*shows("trace-entry"))
    later = entry("trace-entry", "e1", hours=3, artist="Quiet trace-entry", date="2019-05-05", city="Oslo")
    await flow.store.put([later])
    traced = await trace(flow.settings, "trace-entry/e1")
    assert not traced.same
    assert any(reason.startswith("the entry reads otherwise") for reason in traced.reasons)
    await flow.store.put([], deleted=[("trace-entry", "e1")])
    traced = await trace(flow.settings, "trace-entry/e1")
    assert not traced.same
    assert "the entry was deleted" in traced.reasons


@pytest.mark.stack
async def test_what_is_not_there_is_told_with_what_to_do(flow: Published) -> None:
    await flow.happens(*shows("trace-none"))
    found = await flow.set_of("trace-none", "e1")
    for asked, told in (
        (str(uuid4()), "no entry has the suggestion.*Remedy"),
        ("not an id", "neither a suggestion's id nor user/entry"),
        ("trace-none/e9", "has no suggestions"),
    ):
        with pytest.raises(NotTraced, match=told):
            await trace(flow.settings, asked)
    await flow.decide(decision(found, Action.DISMISSED))
    assert found.suggestions[0].concert_id not in {
        one.concert_id for one in (await flow.set_of("trace-none", "e1")).suggestions
    }
    with pytest.raises(NotTraced, match=r"no more; its user said 'dismissed'.*gigz trace trace-none/e1"):
        await trace(flow.settings, str(found.suggestions[0].suggestion_id))


@pytest.mark.stack
async def test_tracing_writes_nothing(flow: Published) -> None:
    await flow.happens(*shows("trace-read"))
    everything = "select (select count(*) from state.outbox), (select max(updated_at) from state.suggestions)"
    before = await rows(flow.engine, everything)
    await trace(flow.settings, "trace-read/e1")
    assert await rows(flow.engine, everything) == before


@pytest.mark.stack
async def test_the_command_is_readable_and_its_exit_code_is_the_verdict(flow: Published) -> None:
    await flow.happens(*shows("trace-command"))
    found = await flow.set_of("trace-command", "e1")
    told = await asyncio.to_thread(gigz, flow.settings, "trace", str(found.suggestions[0].suggestion_id))
    assert told.returncode == 0, told.stderr
    for part in ("Quiet trace-command", "asked for", "listing a:trace-command-1", "gigz.listing.v1:", "the same"):
        assert part in told.stdout, part
    machine = await asyncio.to_thread(gigz, flow.settings, "trace", "trace-command/e1", "--json")
    row = json.loads(machine.stdout)
    assert row["replay"]["same"] is True
    assert row["suggestions"][0]["listings"][0]["stood"]["offset"] >= 0
    assert row["weights"] == found.weights
    async with flow.engine.begin() as connection:
        await connection.execute(text("update state.suggestions set body = jsonb_set(body, '{weights}', '\"x\"')"))
    told = await asyncio.to_thread(gigz, flow.settings, "trace", "trace-command/e1")
    assert told.returncode == 1
    assert "comes out otherwise" in told.stdout
    assert "weights: x -> " in told.stdout
    told = await asyncio.to_thread(gigz, flow.settings, "trace", str(uuid4()))
    assert told.returncode == 1
    assert "Remedy" in told.stderr


def gigz(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gigz", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment_for(settings), capture_output=True, text=True, check=False)


def test_sets_that_say_the_same_differ_in_nothing_and_others_in_what_is_named() -> None:
    one = Suggestions(user="u", entry_id="e", rev=1, weights="w1")
    assert differences(one, one.model_copy(update={"rev": 9, "made_at": utc_now()})) == []
    assert differences(one, one.model_copy(update={"weights": "w2"})) == ["weights: w1 -> w2"]

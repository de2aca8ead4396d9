"""What the card of an entry shows, without a server: words, differences, songs, distances, addresses."""

import re
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.entries import EntryView, State
from api.pages import cards
from api.pages.cards import Run, address_of, alike, card, differing, key_of, set_list, short
from api.pages.evidence import Agreement
from api.pages.inbox import _back, _neighbours, told
from api.pages.words import spoken
from schemas.action import Action
from schemas.concert import BillAct, Facts, Member
from schemas.decision import Decision
from schemas.history import Remembered
from schemas.ids import NAMESPACE
from schemas.listing import Place, Role, StartPrecision, Status
from schemas.suggestion import Band, Because, Evidence, Nothing, Origin, Suggestion

FARM = Place(name="Little John's Farm", city="Reading", country="GB", lat=51.46, lon=-0.99, tz="Europe/London")
READING = Facts(
    artist="Radiohead",
    night=date(1994, 8, 27),
    start_at=datetime(1994, 8, 27, 18, 30, tzinfo=UTC),
    start_precision=StartPrecision.MINUTE,
    place=FARM,
    songs=("Planet Telex", "My Iron Lung", "Creep", "Street Spirit (Fade Out)"),
)
BERLIN = Facts(
    artist="Radiohead",
    night=date(1994, 8, 30),
    place=Place(name="Huxleys", city="Berlin", country="DE", lat=52.52, lon=13.41),
)


def some(name: str) -> UUID:
    return uuid5(NAMESPACE, name)


def suggestion(facts: Facts = READING, *why: tuple[str, float, str], **more: Any) -> Suggestion:
    of = f"{facts.artist} {facts.night}"
    fields: dict[str, Any] = {
        "suggestion_id": some(f"suggestion {of}"),
        "rank": 1,
        "concert_id": some(of),
        "concert": facts,
        "members": (Member(listing_id=some("l"), source="one", source_id="1", version=1, act=facts.artist),),
        "confidence": 0.97,
        "band": Band.SURE,
        "why": tuple(Evidence(field=field, bits=bits, text=text) for field, bits, text in why),
        "signature": "s",
    }
    return Suggestion(**(fields | more))


def view(*found: Suggestion, state: State = State.OPEN, **more: Any) -> EntryView:
    fields: dict[str, Any] = {"user": "u", "entry_id": "e1", "entry": Remembered(artist="Radiohead")}
    return EntryView(**(fields | {"suggestions": found, "state": state} | more))


def decision(action: Action = Action.CONFIRMED, **more: Any) -> Decision:
    fields: dict[str, Any] = {
        "decision_id": some("decision"),
        "user": "u",
        "entry_id": "e1",
        "suggestion_id": some("decided"),
        "concert_id": some("concert"),
        "action": action,
        "decided_at": datetime(2026, 3, 1, tzinfo=UTC),
        "concert": READING,
    }
    return Decision(**(fields | more))


def text(runs: tuple[Run, ...]) -> str:
    return "".join(f"[{run.text}]" if run.marked else run.text for run in runs)


# -- what was written beside what sources say -------------------------------------------------------------------------


def test_a_row_stands_for_each_thing_that_was_written_and_says_how_it_agrees() -> None:
    entry = Remembered(artist="Radiohed", date="summer 1994", city="London", country="UK", venue="the farm")
    why = (
        ("artist", 9.0, "artist spelled 'Radiohed'"),
        ("date", 6.0, "1994-08-27 is within what was typed"),
        ("city", -2.5, "Reading is another town, 61 km away"),
        ("prior", -20.0, "one of about a million concerts"),
    )
    rows = {str(row.label): row for row in card(view(suggestion(READING, *why), entry=entry)).rows}
    assert list(rows) == ["Artist", "When", "Venue", "Town"]
    assert (text(rows["Artist"].written), text(rows["Artist"].said)) == ("[Radiohed]", "[Radiohead]")
    assert (rows["Artist"].agreement, rows["When"].agreement) == (Agreement.NEAR, Agreement.NEAR)
    assert text(rows["When"].said) == "27 Aug 1994"
    assert rows["When"].note == "fits" and rows["Artist"].note == "spelled otherwise"
    assert rows["Town"].agreement is Agreement.OTHER and rows["Town"].note == "61 km away"
    assert (text(rows["Town"].written), text(rows["Town"].said)) == ("[London], UK", "[Reading], United Kingdom")


def test_what_agrees_is_not_marked_whatever_its_letters() -> None:
    why = (("artist", 14.0, "same artist"), ("city", 8.0, "same town"))
    (artist, town) = card(
        view(suggestion(READING, *why), entry=Remembered(artist="RADIOHEAD", city="reading", country="england"))
    ).rows
    assert artist.agreement is town.agreement is Agreement.SAME
    assert not any(run.marked for run in (*artist.written, *artist.said, *town.written, *town.said))


def test_what_sources_do_not_tell_is_neither_the_same_nor_different() -> None:
    entry = Remembered(artist="Radiohead", venue="Somewhere", time="20:00", songs=("Creep",))
    bare = Facts(artist="Radiohead", night=READING.night)
    rows = {str(row.label): row for row in card(view(suggestion(bare), entry=entry)).rows}
    for label in ("Venue", "Time", "Songs"):
        assert rows[label].said == () and rows[label].agreement is None


def test_only_the_words_that_differ_are_marked() -> None:
    mine, theirs = differing("The Beatels live in Hamburg", "Beatles, live in HAMBURG")
    assert (text(mine), text(theirs)) == ("[The Beatels] live in Hamburg", "[Beatles,] live in HAMBURG")
    assert differing("Sigur Ros", "sigur rós")[0] == (Run("Sigur Ros"),)


@given(st.text(max_size=60), st.text(max_size=60))
def test_marking_changes_no_letter(one: str, other: str) -> None:
    mine, theirs = differing(one, other)
    assert ("".join(run.text for run in mine), "".join(run.text for run in theirs)) == (one, other)


@pytest.mark.parametrize(
    ("one", "other", "comes_to"),
    [
        ("Motörhead", "motorhead", Agreement.SAME),
        ("Astoria", "London Astoria", Agreement.NEAR),
        ("Radiohed", "Radiohead", Agreement.NEAR),
        ("Low", "Slayer", Agreement.OTHER),
    ],
)
def test_names_without_evidence_are_compared_by_their_letters(one: str, other: str, comes_to: Agreement) -> None:
    assert alike(one, other) is comes_to


# -- songs ------------------------------------------------------------------------------------------------------------


def test_remembered_songs_are_marked_and_those_that_were_not_played_are_named() -> None:
    played = set_list(("creep", "Street Spirit fade out", "My iron lungs", "Karma Police"), READING.songs)
    assert played is not None
    assert [song.name for song in played.songs if song.remembered] == [
        "My Iron Lung",
        "Creep",
        "Street Spirit (Fade Out)",
    ]
    assert played.missing == ("Karma Police",) and played.remembered == 3
    assert "3 of 4" in played.summary


def test_a_long_set_list_is_cut_on_a_card_and_whole_on_the_entrys_page() -> None:
    long = READING.model_copy(update={"songs": tuple(f"Song {number}" for number in range(90))})
    cut, whole = (card(view(suggestion(long)), whole=whole).set_list for whole in (False, True))
    assert cut is not None and whole is not None
    assert (len(cut.songs), len(whole.songs)) == (cards.MOST_PLAYED, 90)
    assert "90 songs" in cut.summary


# -- places and hours -------------------------------------------------------------------------------------------------


def test_a_distance_is_told_where_places_differ_and_a_map_where_they_are_far_apart() -> None:
    near = card(view(suggestion(READING), entry=Remembered(artist="Radiohead", lat=51.51, lon=-0.13)))
    assert near.apart == "60 km apart" and near.map is None
    far = card(view(suggestion(READING), entry=Remembered(artist="Radiohead", lat=48.1, lon=11.6)))
    assert far.map is not None
    for x, y in (far.map.here, far.map.there):
        assert 0 <= x <= far.map.view.width and 0 <= y <= far.map.view.height
    same = card(view(suggestion(READING), entry=Remembered(artist="Radiohead", lat=51.461, lon=-0.991)))
    assert same.apart == "" and same.map is None


def test_an_alternative_says_how_far_and_how_many_days_it_is_away() -> None:
    (other,) = card(view(suggestion(READING), suggestion(BERLIN))).others
    assert (other.later, other.away) == ("3 days later", "991 km apart")
    (other,) = card(view(suggestion(BERLIN), suggestion(READING))).others
    assert other.later == "3 days earlier"


@pytest.mark.parametrize(
    ("zone", "precision", "began"),
    [
        ("Europe/London", StartPrecision.MINUTE, "19:30"),
        ("America/New_York", StartPrecision.MINUTE, "14:30"),
        ("Europe/London", StartPrecision.DOORS, "doors 19:30"),
        ("Europe/London", StartPrecision.UNKNOWN, ""),
        ("Nowhere/Else", StartPrecision.MINUTE, "18:30"),
    ],
)
def test_hours_are_told_in_the_venues_zone(zone: str, precision: StartPrecision, began: str) -> None:
    place = FARM.model_copy(update={"tz": zone})
    assert cards.show(READING.model_copy(update={"place": place, "start_precision": precision})).began == began


@pytest.mark.parametrize("status", list(Status))
def test_what_became_of_a_night_is_told_unless_it_took_place(status: Status) -> None:
    said = cards.show(READING.model_copy(update={"status": status})).status
    assert bool(said) == (status not in (Status.ANNOUNCED, Status.HAPPENED))


# -- whole cards ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "origin", "ask"),
    [
        (State.OPEN, Origin.ENTRY, "Is this the one?"),
        (State.OPEN, Origin.COMPANION, "Did you also see them?"),
        (State.OPEN, Origin.HABIT, "Were you there, too?"),
        (State.CONFIRMED, Origin.ENTRY, "You were there"),
        (State.DISMISSED, Origin.ENTRY, "Not you"),
        (State.SNOOZED, Origin.ENTRY, "For later"),
        (State.NOTHING, Origin.ENTRY, "Nothing found yet"),
    ],
)
def test_every_card_says_what_it_is_about(state: State, origin: Origin, ask: str) -> None:
    assert card(view(suggestion(), state=state, origin=origin)).ask == ask


def test_an_entry_without_an_artist_has_a_heading_all_the_same() -> None:
    assert card(view(state=State.NOTHING, entry=Remembered(date="1994"))).title == "Something you saw"


def test_every_reason_for_finding_nothing_has_words() -> None:
    for reason in Nothing:
        if reason is not Nothing.ENTRY_DELETED:
            assert reason in cards._NOTHING, reason
            assert card(view(state=State.NOTHING, reason=reason)).nothing
    assert card(view(state=State.NOTHING)).nothing


def test_every_decision_has_words_for_its_card_and_its_toast() -> None:
    for action in Action:
        toast = told(decision(action))
        assert toast.said and toast.rule
        assert (toast.undo is None) == (action is Action.UNDONE)
        if action is not Action.UNDONE:
            assert card(view(state=State.DISMISSED, decisions=(decision(action),))).verdicts[0].said
            assert told(decision(action), "conflict").conflict
    assert told(decision(), "other-night").said == "Moved to another night."


def test_the_bill_of_a_confirmed_show_can_be_said_not_to_have_been_seen() -> None:
    bill = tuple(BillAct(concert_id=some(name), artist=name, role=Role.SUPPORT) for name in "abcdefghi")
    facts = READING.model_copy(update={"bill": bill})
    confirmed = card(view(state=State.CONFIRMED, decisions=(decision(concert=facts),)))
    assert confirmed.verdicts[0].acts == tuple((act.concert_id, act.artist) for act in bill)
    assert cards.show(facts).others.endswith("3 more")


def test_a_companion_says_what_it_hangs_on_in_the_readers_language() -> None:
    because = Because(text="you logged Pulp 3 times, and 12 shows in and around Reading")
    found = view(suggestion(), origin=Origin.HABIT, because=because, entry=Remembered())
    assert card(found).because == because.text
    assert card(found).rows == ()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "http://[", None])
def test_only_addresses_of_the_web_are_linked(url: str | None) -> None:
    member = suggestion().members[0].model_copy(update={"url": url})
    assert cards.sources([member, member]) == (cards.Source("one", None),)


def test_dates_and_words_are_those_of_the_readers_language() -> None:
    entry = Remembered(artist="Radiohead", date="27.8.94")
    with spoken("de"):
        shown = card(view(suggestion(READING, ("date", 11.0, "same night")), entry=entry))
        assert text(shown.rows[1].said) == "27.08.1994"
        assert shown.best is not None and shown.best.show.town == "Reading, Vereinigtes Königreich"


def test_long_names_are_cut_on_a_card_and_whole_on_the_entrys_page() -> None:
    long = READING.model_copy(update={"artist": "x" * 2_000})
    found = view(suggestion(long), entry=Remembered(artist="y" * 2_000, note="z" * 9_000))
    shown = card(found)
    assert len(shown.title) <= cards.MOST_NAME and len(text(shown.rows[0].written)) <= cards.MOST_NAME + 2
    assert len(shown.asides[0][1]) <= cards.MOST_LETTERS
    whole = card(found, whole=True)
    assert len(whole.title) == 2_000 and len(whole.asides[0][1]) == 9_000
    assert short("abc", 3) == "abc" and short("abcd", 3) == "ab…"


# -- addresses --------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=200))
def test_every_entry_has_an_address_of_its_own_whatever_it_is_called(entry_id: str) -> None:
    address = address_of(entry_id)
    assert re.fullmatch(r"/inbox/entries(/[A-Za-z0-9._~-]+|\?id=[A-Za-z0-9._~%-]+)", address)
    assert unquote(address.removeprefix("/inbox/entries").removeprefix("/").removeprefix("?id=")) == entry_id
    assert re.fullmatch(r"card-[0-9a-f]{12}", key_of(entry_id))


@pytest.mark.parametrize("entry_id", [".", "..", "a/b", "a b", "?id=x", "%2e%2e", "ü", "entries#x"])
def test_ids_that_a_path_cannot_hold_stand_in_the_query(entry_id: str) -> None:
    assert address_of(entry_id).startswith("/inbox/entries?id=")


@pytest.mark.parametrize(
    ("back", "leads_to"),
    [
        ("", "/inbox?decided=1"),
        ("/inbox?band=sure&cursor=x&decided=0&did=conflict", "/inbox?band=sure&cursor=x&decided=1"),
        ("/inbox/entries?id=a%2Fb", "/inbox/entries?id=a%2Fb&decided=1"),
        ("/inbox/entries/e1", "/inbox/entries/e1?decided=1"),
        ("https://evil.example/inbox", "/inbox?decided=1"),
        ("//evil.example/inbox", "/inbox?decided=1"),
        ("/inboxes", "/inbox?decided=1"),
        ("/v1/me", "/inbox?decided=1"),
        ("http://[", "/inbox?decided=1"),
    ],
)
def test_a_form_leads_back_to_where_it_came_from_and_nowhere_else(back: str, leads_to: str) -> None:
    assert _back({"back": back}, decided="1").url == leads_to


def test_the_answer_leads_to_the_card_that_comes_next() -> None:
    made = [card(view(suggestion(), entry_id=f"e{number}")) for number in range(3)]
    keys = [one.key for one in made]
    assert _neighbours(made) == [keys[1], keys[2], keys[1]]
    assert _neighbours(made[:1]) == [""] and _neighbours([]) == []
    assert _back({"at": keys[0]}, decided="1").url == f"/inbox?decided=1#{keys[0]}"
    assert _back({"at": "x' onclick="}, decided="1").url == "/inbox?decided=1"

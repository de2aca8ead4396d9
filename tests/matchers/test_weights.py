import json
from importlib.resources import files

import pytest

from matchers.candidates import entry_keys
from matchers.fit.counts import frequencies
from matchers.match import match
from matchers.normalise import normalise
from matchers.reference import names_of, with_names
from matchers.weights import FIELDS, default_tables, read_weights
from schemas.message import MessageError
from schemas.raw import RawArtist, RawVenue
from schemas.reference import Artist, DatedName, Venue
from schemas.weights import AliasVenue, Calibration, Frequencies, Method, Names
from tests.matchers.make import concert, entry, raw, why

SHIPPED = files("matchers").joinpath("weights.json").read_bytes()


def test_the_shipped_weights_are_whole_and_named_by_their_content() -> None:
    weights = read_weights(SHIPPED).weights
    assert weights.versioned().version == weights.version
    assert all(set(weights.levels[field]) >= set(names) for field, names in FIELDS.items())


@pytest.mark.parametrize("field", ["artist", "city", "distance", "venue"])
def test_better_agreement_is_worth_more(field: str) -> None:
    bits = default_tables().bits[field]
    assert bits[0] == max(bits)
    assert bits[-1] < 0


WRONG = [
    ("not JSON", b"{", "not_json"),
    ("a level lacks", None, "missing_field"),
    ("a chance above 1", json.dumps(json.loads(SHIPPED) | {"unlisted": -1}).encode(), "bad_value"),
]


@pytest.mark.parametrize(("body", "reason"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_weights_that_the_matcher_cannot_use_are_refused_by_name(body: bytes | None, reason: str) -> None:
    if body is None:
        told = json.loads(SHIPPED)
        del told["levels"]["artist"]["close"]
        body = json.dumps(told).encode()
    with pytest.raises(MessageError) as caught:
        read_weights(body)
    assert caught.value.reason == reason
    if reason == "missing_field":
        assert "levels.artist.close" in caught.value.text


def test_an_agreement_on_a_frequent_value_is_worth_less() -> None:
    weights = default_tables().weights
    often = Frequencies(concerts=10_000, artists={"hallworth": 0.01}, towns={"lisbon,PT": 0.2})
    tables = type(default_tables())(weights.model_copy(update={"frequencies": often}).versioned())
    show = concert(artist="Hallworth", date="2011-03-19", city="Lisbon", country="PT")
    typed = entry(artist="Hallworth", date="2011-03-19", city="Lisbon")
    rare, common = (why(match(typed, [show], tables=one).suggestions[0]) for one in (default_tables(), tables))
    assert common["artist"].bits == pytest.approx(rare["artist"].bits - 8.64, abs=0.01)
    assert common["city"].bits < rare["city"].bits - 3
    assert match(typed, [show], tables=tables).weights != match(typed, [show]).weights


def test_a_hall_that_few_shows_use_says_more_than_the_arena_of_the_town() -> None:
    shows = [
        concert(source_id=str(n), artist=f"Act {n}", date="2011-03-19", venue="Big Arena", city="Porto")
        for n in range(90)
    ]
    tiny = concert(source_id="tiny", artist="Hallworth", date="2011-03-19", venue="Quarto Andar", city="Porto")
    counted = frequencies([*shows, tiny], default_tables().weights)
    tables = type(default_tables())(default_tables().weights.model_copy(update={"frequencies": counted}).versioned())
    bits = {}
    for hall in ("Big Arena", "Quarto Andar"):
        show = concert(artist="Hallworth", date="2011-03-19", venue=hall, city="Porto")
        typed = entry(artist="Hallworth", date="2011-03-19", venue=hall, city="Porto")
        bits[hall] = why(match(typed, [show], tables=tables).suggestions[0])["venue"].bits
    assert bits["Quarto Andar"] > bits["Big Arena"] + 3


def venue(name: str, *names: DatedName, city: str = "San Francisco") -> Venue:
    fields = {"name": name, "city": city, "names": [json.loads(one.model_dump_json()) for one in names]}
    (made,) = normalise(raw(fields, source_id=name, message=RawVenue))  # type: ignore[misc]
    assert isinstance(made, Venue)
    return made


def artist(name: str, *aliases: str) -> Artist:
    (made,) = normalise(raw({"name": name, "aliases": list(aliases)}, message=RawArtist))  # type: ignore[misc]
    assert isinstance(made, Artist)
    return made


def test_another_name_of_the_artist_finds_the_show_and_is_told() -> None:
    tables = with_names(default_tables(), names_of([artist("Thornwick", "Alma")]))
    show = concert(artist="Thornwick", date="2008-07-24", city="Costa Mesa")
    typed = entry(artist="Alma", date="Jul 2008", city="Costa Mesa")
    assert entry_keys(typed, tables) & entry_keys(entry(artist="Thornwick", date="Jul 2008", city="Costa Mesa"))
    (one,) = match(typed, [show], tables=tables).suggestions
    assert why(one)["artist"].text == "'Alma' is another name of Thornwick"
    assert not match(typed, [show]).suggestions


RENAMED = DatedName(name="Carousel Ballroom", since="1968-01-01", until="1968-07-04")


@pytest.mark.parametrize(("date", "alias"), [("1968-06-08", True), ("1970-02-27", False)])
def test_a_hall_is_known_by_its_name_of_that_time(date: str, alias: bool) -> None:
    tables = with_names(default_tables(), names_of(venues=[venue("Fillmore West", RENAMED)]))
    show = concert(artist="Hallworth", date=date, venue="Fillmore West", city="San Francisco")
    typed = entry(artist="Hallworth", date=date, venue="Carousel Ballroom", city="San Francisco")
    (one,) = match(typed, [show], tables=tables).suggestions
    assert ("another name of Fillmore West" in why(one)["venue"].text) is alias


def test_a_hall_that_is_only_in_one_town_tells_the_town() -> None:
    tables = with_names(default_tables(), names_of(venues=[venue("Fillmore West")]))
    show = concert(artist="Hallworth", date="1970-02-27", city="San Francisco")
    (one,) = match(
        entry(artist="Hallworth", date="1970-02-27", venue="Fillmore West"), [show], tables=tables
    ).suggestions
    assert why(one)["city"].text == "same town"


def test_what_one_user_calls_a_hall_is_that_users_own() -> None:
    weights = default_tables().weights
    mine = Names(venues={"mos": (AliasVenue(name="Maus Hábitos", city="Porto"),)})
    tables = type(default_tables())(weights.model_copy(update={"users": {"me": mine}}).versioned())
    show = concert(artist="Hallworth", date="2014-11-14", venue="Maus Hábitos", city="Porto")
    typed = entry(artist="Hallworth", date="2014-11-14", venue="Mo's", city="Porto")
    assert "another name of Maus" in why(match(typed, [show], tables=tables).suggestions[0])["venue"].text
    other = typed.model_copy(update={"user": "you"})
    assert "than Mo's" in why(match(other, [show], tables=tables).suggestions[0])["venue"].text


@pytest.mark.parametrize(
    ("calibration", "below"),
    [
        (Calibration(method=Method.PLATT, slope=0.5), True),
        (Calibration(method=Method.ISOTONIC, x=(-10.0, 0.0, 30.0), y=(-10.0, 0.0, 3.0)), True),
        (Calibration(), False),
    ],
)
def test_confidence_is_as_calibrated(calibration: Calibration, below: bool) -> None:
    weights = default_tables().weights.model_copy(update={"calibration": calibration})
    show = concert(artist="Hallworth", date="2011-03-19", city="Lisbon")
    typed = entry(artist="Hallworth", date="2011-03-19", city="Lisbon")
    told = match(typed, [show], tables=type(default_tables())(weights.versioned())).suggestions[0].confidence
    assert (told < match(typed, [show]).suggestions[0].confidence) is below

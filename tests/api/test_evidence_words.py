"""Whatever the matchers can say of a suggestion is said in every language of the pages."""

import ast
import inspect
import re
from collections.abc import Iterator
from datetime import date
from types import ModuleType

import numpy as np
import pytest
from markupsafe import Markup

from api.pages import evidence
from api.pages.evidence import Agreement
from api.pages.words import spoken
from matchers import companions, habits, match, questions
from matchers import evidence as matcher
from matchers import weights as w
from matchers.catalogue import Catalogue
from matchers.dates import readings
from matchers.weights import default_tables
from schemas.decision import Action
from schemas.listing import Place
from schemas.suggestion import Evidence, Suggestions
from tests.matchers.make import concert, entry
from tests.matchers.test_companions import FESTIVAL, LOW, QUILL, bill, decided
from tests.matchers.test_companions import made as act
from tests.matchers.test_habits import HISTORY, SHOW, extended, logged
from tests.matchers.test_habits import made as show

SPEAKING = {
    matcher: ("pieces", "_artist_text", "_date_text", "_days", "_place_text", "_km", "_songs_text"),
    match: ("_suggestion",),
    companions: ("_question", "_words"),
    habits: ("_question", "_shows"),
    questions: ("kept",),
}
"""Where the matchers make texts of evidence."""
NIGHT = date(2014, 11, 14)


def of_entries() -> Iterator[tuple[str, str]]:
    """Field and text of every level of every field."""
    for level in w.ARTIST:
        yield "artist", matcher._artist_text(level, "Lowe", "Low")
    yield "artist", matcher._artist_text("part", "RHCP", "Red Hot Chili Peppers")
    yield "artist", matcher._artist_text("part", "Red Hot Chili Peppers", "RHCP")
    for typed in ("2014-11-14", "2014", "2014-11-15", "2014-11-20", "2014-11-13", "2014-11-02", "2015-11-14", "2012"):
        for level in w.DATE:
            yield "date", matcher._date_text(level, readings(typed), NIGHT)
    yield "date", matcher._date_text("edge", readings("October 2014"), date(2014, 11, 1))
    reading = Place(name="Little John's Farm", city="Reading", country="GB", lat=51.46, lon=-0.99)
    places = (
        Place(name="Rivermead", city="London", region="Kent", country="GB", lat=51.51, lon=-0.13),
        Place(name="Rivermead", city="Reading", country="GB", lat=51.461, lon=-0.991),
        Place(name="Reading Festival", city="Elsewhere", lat=51.0, lon=-0.9),
        Place(name="Zzz", city="Zzz", lat=0.0, lon=0.0),
    )
    for place in places:
        for field in ("city", "region", "country", "distance", "venue", "venue-alone"):
            for level in w.FIELDS[field]:
                told = matcher._place_text(field, level, place, reading, "Reading Festival 1994")
                yield "venue" if field == "venue-alone" else field, told
    yield "city", matcher._place_text("city", "same", Place(city="Köln"), Place(city="Cologne"), None)
    for level in ("0/1", "1/1", "0/3", "1/3", "2/3", "3/3"):
        yield "songs", matcher._songs_text(level)
    for status in w.STATUS[1:]:
        lost = concert(status="postponed") if status == "postponed" else concert(vanished=True)
        found = match.match(entry(artist="Grateful Dead", date="1977-05-08", time="20:00"), [lost])
        yield from _texts(found)
    timed = concert(start_time="20:30", city="Ithaca", country="US")
    yield from _texts(match.match(entry(artist="Grateful Dead", date="1977-05-08", time="20:00"), [timed]))
    few = match.Question(entry(artist="Grateful Dead", date="1977-05-08"), np.arange(1), left_out=1)
    catalogue = Catalogue([concert()])
    yield from _texts(match.match_rows([few], catalogue, default_tables())[0])


def of_questions() -> Iterator[tuple[str, str]]:
    """Field and text of companions and habits, and of what they hang on."""
    low, others = bill()
    found = [*companions.companions("me", [low], others)]
    found += companions.companions("me", [act(LOW | FESTIVAL)], [act(QUILL | FESTIVAL | {"venue": "Stage B"})])
    found += companions.companions("me", [act(LOW)], [act(QUILL)])
    yes = decided(found[0], Action.CONFIRMED)
    found += companions.companions("me", [], [others[0]], decisions=[yes])
    assert questions.kept(others[0], yes).because.text == "which you confirmed"
    for profile in (
        habits.habit_profile(HISTORY),
        extended([("Ada", "2012-06-07", "Porto")]),
        habits.habit_profile(HISTORY[1:]),
        extended([("Ada", "2012-06-08", "Porto")]),
        habits.habit_profile(logged(*(("Low" if n else "Ada", f"201{n}-01-0{n + 1}", "Porto") for n in range(3)))),
    ):
        for when in ("2012-06-07", "2010-06-07", "2009-06-07"):
            found += habits.habits("me", profile, [show(**SHOW | {"date": when})], asked=True, least=0.0)
            other = show(**SHOW | {"date": when, "artist": "Vesper Quill"})
            found += habits.habits("me", profile, [other], asked=True, least=0.0)
    for one in found:
        yield from _texts(one)
        if one.because is not None:
            yield "because", one.because.text
    yield "because", questions.kept(others[0], yes).because.text


def _texts(found: Suggestions) -> Iterator[tuple[str, str]]:
    for suggestion in found.suggestions:
        for one in suggestion.why:
            yield one.field, one.text


@pytest.fixture(scope="module")
def said() -> set[tuple[str, str]]:
    return {*of_entries(), *of_questions()}


def _templates(module: ModuleType, names: tuple[str, ...]) -> Iterator[str]:
    """Each text in these functions that has words, as a pattern."""
    tree = ast.parse(inspect.getsource(module))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or function.name not in names:
            continue
        inner = {id(part) for node in ast.walk(function) if isinstance(node, ast.JoinedStr) for part in node.values}
        skipped = {id(part) for node in ast.walk(function) if isinstance(node, ast.Assert) for part in ast.walk(node)}
        docs = ast.get_docstring(function, clean=False)
        for node in ast.walk(function):
            if id(node) in inner or id(node) in skipped:
                continue
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            words = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            if not any(re.search(r"[^\W\d]+ | [^\W\d]+", one) for one in words) or words == [docs]:
                continue
            yield "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*" for part in parts)


def test_the_texts_tried_here_are_all_that_the_matchers_have(said: set[tuple[str, str]]) -> None:
    for module, names in SPEAKING.items():
        patterns = list(_templates(module, names))
        assert patterns, module
        for pattern in patterns:
            assert any(re.search(pattern, text) for _, text in said), f"{module.__name__}: {pattern} is said by no test"


def test_every_wording_of_the_matchers_is_known(said: set[tuple[str, str]]) -> None:
    unknown = sorted((field, text) for field, text in said if evidence.read(field, text) is None)
    assert not unknown, "Remedy: a wording in api/pages/evidence.py, and its words in the catalogues"


def test_every_field_has_a_word(said: set[tuple[str, str]]) -> None:
    assert {field for field, _ in said} - {"because"} <= set(evidence.LABELS)


def test_english_says_what_the_matcher_said(said: set[tuple[str, str]]) -> None:
    for field, text in said:
        found = evidence.read(field, text)
        if found and not {"night", "km"} & found[1].keys():
            assert Markup(evidence.say(found[0].text, found[1])).unescape() == text


@pytest.mark.parametrize(
    ("field", "text", "agreement"),
    [
        ("artist", "same artist", Agreement.SAME),
        ("artist", "artist spelled 'Radiohed'", Agreement.NEAR),
        ("artist", "another artist than 'Low'", Agreement.OTHER),
        ("date", "2014-11-14 is within what was typed", Agreement.NEAR),
        ("date", "3 days later than typed", Agreement.OTHER),
        ("city", "Reading is another town, 61 km away", Agreement.OTHER),
        ("city", "Köln is Cologne", Agreement.NEAR),
        ("distance", "900 m away", Agreement.SAME),
        ("distance", "12 km away", Agreement.NEAR),
        ("distance", "812 km away", Agreement.OTHER),
        ("songs", "2 of your 3 songs were played", Agreement.NEAR),
        ("songs", "0 of your 3 songs were played", Agreement.OTHER),
    ],
)
def test_a_wording_tells_whether_both_agree(field: str, text: str, agreement: Agreement) -> None:
    assert evidence.told(Evidence(field=field, bits=1.0, text=text)).agreement is agreement


def test_a_wording_that_is_not_known_stays_as_it_came() -> None:
    told = evidence.told(Evidence(field="shoes", bits=-1.0, text="other shoes"))
    assert told == ("other shoes", Agreement.OTHER, "other shoes")


def test_dates_and_distances_are_said_as_the_reader_writes_them() -> None:
    with spoken("de"):
        told = evidence.told(Evidence(field="date", bits=1.0, text="2014-11-14 is within what was typed"))
        assert "14.11.2014" in told.text
    with spoken("en-US"):
        told = evidence.told(Evidence(field="city", bits=-1.0, text="Reading is another town, 61 km away"))
        assert "61 km" in told.text


def test_names_in_evidence_are_text() -> None:
    told = evidence.told(Evidence(field="artist", bits=1.0, text="artist spelled '<script>'"))
    assert "<script>" not in told.text and "&lt;script&gt;" in told.text

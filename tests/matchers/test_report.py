import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from matchers.judge.evaluate import Evaluated, evaluate_variants, judge
from matchers.judge.report import history_report
from tests.matchers.quality import facts
from tests.matchers.test_evaluating import MEANT, NEXT, SHOW, answer

NASTY = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!--",
    "\u2028&amp;{style}",
    "Tom's <b>",
]


class Page(HTMLParser):
    """Tags, attributes and the data block of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.data: list[Any] = []
        self.text = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._inside = "data" if ("id", "data") in attrs else tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "data":
            self.data = json.loads(data)
        elif self._inside not in {"script", "style"}:
            self.text += data


@pytest.fixture(scope="module")
def page() -> str:
    rows, concerts = facts()
    return history_report(evaluate_variants(["exact", "month", "removed"], rows, concerts), ["60 entries"])


def test_the_page_is_whole_and_loads_nothing(page: str) -> None:
    read = Page(page)
    assert page.startswith("<!doctype html>") and page.endswith("</html>\n")
    loads = [value for name, value in read.attributes if name in {"src", "href", "action", "srcset"}]
    assert all(value and value.startswith("#v") for value in loads), loads
    assert not re.search(r"(?<!//www\.w3\.org/2000/)\b(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z]", page)
    assert "@import" not in page and "url(" not in page
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'") in read.attributes


def test_the_page_has_curves_shares_mistakes_and_bits(page: str) -> None:
    read = Page(page)
    labels = [value for name, value in read.attributes if name == "aria-label"]
    assert labels == ["reliability", "precision and recall"] * 3
    for words in ("How suggestions read", "The worst mistakes", "Bits of a pair", "60 entries", "≥ 0.997"):
        assert words in read.text, words
    rows, _ = facts()
    exact = read.data[0]
    assert len(exact["entries"]) == len(rows)
    candidates = [candidate for entry in exact["entries"] for candidate in entry[4]]
    assert candidates
    for _, confidence, band, right, bits in candidates:
        assert 0 <= confidence <= 1 and band in {"sure", "likely", "possible"} and right in (0, 1)
        assert {exact["texts"][field] for field, _, _ in bits} >= {"artist", "prior"}


def test_what_was_typed_stays_text() -> None:
    rows = [MEANT | {"entry_id": str(n), "artist": text, "venue": text} for n, text in enumerate(NASTY)]
    found = [answer((NEXT, 0.9, "likely"), entry_id=str(n)) for n in range(len(NASTY))]
    whole = history_report([Evaluated("month", judge(rows, found, [SHOW, NEXT]))], NASTY[:1])
    read = Page(whole)
    harmless = judge([MEANT], [answer((NEXT, 0.9, "likely"))], [SHOW, NEXT])
    assert set(read.tags) == set(Page(history_report([Evaluated("month", harmless)])).tags)
    assert read.tags.count("script") == 2 and "img" not in read.tags
    for text in NASTY:
        assert text in read.text
        assert f"{text}, 2011-03-19, {text}" in read.data[0]["texts"]


def test_what_nobody_asked_for_has_figures_of_its_own() -> None:
    share = {"asked": 4, "right": 3, "precision": 0.75, "interval": [0.3006, 0.9544]}
    figures = share | {"nights": 9, "links": {"bill": share, "venue": share | {"precision": None}}, "wrong": ["<i>x"]}
    text = Page(history_report([Evaluated("exact", [])], unasked={"companions": figures})).text
    for words in ("companions", "links: bill", "3 of 4", "0.7500", "0.3006 – 0.9544", "<i>x"):
        assert words in text, words


def test_a_page_of_nothing_can_be_drawn() -> None:
    assert "No mistakes" in history_report([Evaluated("exact", [])])

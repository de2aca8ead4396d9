"""What the script promises of itself, read from its text: short, without words, and never a maker of HTML."""

import re
from pathlib import Path

import pytest

from api.pages.frame import STATIC

SCRIPT = (STATIC / "gigz.js").read_text(encoding="utf-8")
TEMPLATES = sorted((STATIC.parent / "templates").glob("*.html"))
FOR_STYLE = {"data-label"}
"""Read by style sheets alone."""


def test_it_is_one_short_module_that_loads_nothing() -> None:
    assert len(SCRIPT.splitlines()) < 500
    assert not re.findall(r"^\s*(?:import|export)\b|\bimport\(|https?://", SCRIPT, re.MULTILINE)


def test_text_never_becomes_markup_or_code() -> None:
    # What a server answers is parsed without being run (DOMParser); texts are put in as texts.
    makers = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|createContextualFragment|\beval\b|Function\("
    )
    assert re.findall(makers, SCRIPT) == []


def test_it_has_no_words_of_its_own() -> None:
    code = re.sub(r"^\s*//.*$|\s//.*$|/\*\*.*?\*/", "", SCRIPT, flags=re.MULTILINE)
    texts = re.findall(r'"([^"\n]*)"', code)
    sentences = [one for one in texts if re.fullmatch(r"[A-Z][a-z]+( [a-z]+)+[.!?]?", one)]
    assert texts and sentences == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_what_a_template_declares_the_script_knows(path: Path) -> None:
    declared = set(re.findall(r"\bdata-[a-z-]+", path.read_text(encoding="utf-8"))) - FOR_STYLE
    unknown = [
        one
        for one in declared
        if f"[{one}" not in SCRIPT and not re.search(rf"\b{one.removeprefix('data-')}\b", SCRIPT.split("const $")[1])
    ]
    assert unknown == []


def test_what_is_said_of_an_attribute_in_its_head_is_there() -> None:
    head = SCRIPT.split("\n\n")[0]
    told = set(re.findall(r"data-[a-z]+", head))
    used = {f"data-{one}" for one in re.findall(r"\[data-([a-z]+)|dataset\.([a-z]+)", SCRIPT) for one in one if one}
    used |= {"data-stream", "data-until"}  # taken out of a dataset by name
    assert told <= used
    own = {"data-help", "data-again", "data-go", "data-show", "data-elsewhere", "data-state"}  # of help.html, news.html
    assert used - own <= told | {"data-closable"}

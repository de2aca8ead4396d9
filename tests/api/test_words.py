"""Words of the pages: every text in every language, and what is filled in is escaped."""

from pathlib import Path

import pytest

from api.pages.words import CATALOGUES, _, countries, listed, ngettext, number, spoken
from tests.words import lacking, texts


@pytest.mark.parametrize("path", sorted(CATALOGUES.glob("*.po")), ids=lambda path: path.stem)
def test_every_text_of_the_pages_is_translated(path: Path) -> None:
    assert len(list(texts())) > 50
    assert list(lacking(path)) == [], "`make words` writes them into the catalogue"


def test_a_text_that_a_catalogue_lacks_is_named_with_its_place(tmp_path: Path) -> None:
    whole = (CATALOGUES / "de.po").read_text()
    short = tmp_path / "de.po"
    short.write_text(whole.replace('msgid "Skip to the content"', 'msgid "Skip to"'))
    assert [told for told in lacking(short) if "Skip to the content" in told and "base.html" in told]


def test_what_is_filled_in_is_text_and_never_markup() -> None:
    assert _("No entry fits %(name)s.", name="<script>") == "No entry fits &lt;script&gt;."
    assert ngettext("%(num)s show at %(where)s", "%(num)s shows at %(where)s", 1_200, where="<b>") == (
        "1,200 shows at &lt;b&gt;"
    )


def test_numbers_lists_and_countries_are_the_readers() -> None:
    with spoken("de"):
        assert (number(1234.5), listed(["a", "b", "c"])) == ("1.234,5", "a, b und c")
        assert ("DE", "Deutschland") in countries()
    assert ("DE", "Germany") in countries() and "ZZ" not in dict(countries())

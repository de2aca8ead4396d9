"""The list of pages that are walked is that of the application itself."""

from pathlib import Path

from api.app import create_app
from deploy.settings import Settings
from tests.pages.walking import NO_PAGES, STOPS, templates


def test_every_page_is_walked(tmp_path: Path) -> None:
    app = create_app(Settings(home=tmp_path, postgres_url="postgresql://nobody@127.0.0.1:1/none"), rate_limits=False)
    known, there = {stop.template for stop in STOPS} | set(NO_PAGES), set(templates(app))
    assert there - known == set(), f"say in tests/pages/walking.py how these are walked: {sorted(there - known)}"
    assert known - there == set(), f"there are no such pages: {sorted(known - there)}"

"""Every page of the application, and the addresses that a user has of it.

A page that is added without a word here fails a test: say in PAGES what it is called for a user who has something, or
in NO_PAGES what it is that no browser shows.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from litestar import Litestar

from tests.api.walking import steps

NOBODYS = "6f1d3ce0-54fb-5a0c-9f6a-2f7c4be21d11"
"""An id that nothing has."""


@dataclass(frozen=True)
class Stop:
    """A page of the walk."""

    template: str
    """The route's."""
    query: str = ""
    given: Mapping[str, str] = field(default_factory=dict)
    """Parameter of the template -> which of a user's ids it is, where that is called otherwise."""
    bare: bool = False
    """A page for who has nothing, too."""
    main: bool = False
    """One that most people see: pictures of it are taken in every language."""
    status: int = 200
    signed_in: bool = True

    @property
    def name(self) -> str:
        """For a test's id, and for a picture's file."""
        words = (self.template, self.query, *self.given.values(), "" if self.status == 200 else str(self.status))
        return re.sub(r"[^a-z0-9]+", "-", "-".join(words)).strip("-")

    def address(self, named: Mapping[str, str]) -> str:
        """Its path and query; ids that a user does not have name nothing."""

        def told(found: re.Match[str]) -> str:
            name = found[1]
            return quote(named.get(self.given.get(name, name), NOBODYS), safe="")

        return re.sub(r"\{(\w+)(?::\w+)?\}", told, self.template + self.query)


STOPS = (
    Stop("/inbox", bare=True, main=True),
    Stop("/inbox", "?state=confirmed&decided={confirmed_id}", main=True),
    Stop("/inbox", "?decided={confirmed_id}&did=conflict"),
    Stop("/inbox", "?state=dismissed&off=companions"),
    Stop("/inbox", "?state=snoozed&bulk={token}"),
    Stop("/inbox", "?state=nothing", bare=True),
    Stop("/inbox", "?artist=nobody-is-called-so&year=1961&band=sure"),
    Stop("/inbox", "?cursor=broken", status=400),
    Stop("/inbox/entries/{entry_id}", main=True),
    Stop("/inbox/entries", "?id=n0-moved"),
    Stop("/inbox/entries/{entry_id}", given={"entry_id": "none"}, status=404),
    Stop("/inbox/bulk", "?action=confirm&band=sure", bare=True, main=True),
    Stop("/inbox/news", "?entry=n0-confirmed&found=2"),
    Stop("/decisions", bare=True, main=True),
    Stop("/decisions", "?artist=nobody-is-called-so"),
    Stop("/imports", bare=True, main=True),
    Stop("/imports/{import_id}", main=True),
    Stop("/imports/{import_id}", given={"import_id": "applied_id"}, main=True),
    Stop("/imports/{import_id}", given={"import_id": "undone_id"}),
    Stop("/imports/{import_id}", given={"import_id": "none"}, status=404),
    Stop("/imports/{import_id}/undo", given={"import_id": "applied_id"}),
    Stop("/imports/{import_id}/unknown", given={"import_id": "applied_id"}),
    Stop("/journal", bare=True, main=True),
    Stop("/journal", "?year=1961"),
    Stop("/journal/{suggestion_id}", given={"suggestion_id": "show_id"}, main=True),
    Stop("/journal/{suggestion_id}", given={"suggestion_id": "none"}, status=404),
    Stop("/journal/new", main=True),
    Stop("/search", bare=True),
    Stop("/search", "?q=radiohed&place=melbourn", main=True),
    Stop("/friends", bare=True, main=True),
    Stop("/settings", bare=True, main=True),
    Stop("/settings/leave", bare=True, main=True),
    Stop("/farewell/{receipt_id}", signed_in=False),
    Stop("/farewell/{receipt_id}", given={"receipt_id": "done_id"}, signed_in=False),
    Stop("/farewell/{receipt_id}", given={"receipt_id": "none"}, signed_in=False, status=404),
    Stop("/signed-out", signed_in=False),
    Stop("/inbox", status=401, signed_in=False),
)
NO_PAGES = {
    "/": "leads to the inbox",
    "/open": "signs in and leads to the inbox",
    "/inbox/stream": "events",
    "/imports/{import_id}/unread": "a file",
    "/imports/{import_id}/progress": "events",
    "/settings/export": "a file",
    "/farewell/{receipt_id}/stream": "events",
}
"""What a GET of the pages' rooms answers that no browser shows, and what that is."""


def templates(app: Litestar) -> Iterator[str]:
    """Of every GET that the rooms of the pages answer."""
    for step in steps(app):
        if step.method == "GET" and step.handler.fn.__module__.startswith("api.pages"):
            yield step.template

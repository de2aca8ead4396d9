"""What a form of the journal did, told on the page that comes after it, and how it is taken back.

A form names the page that it came from (`to`); the answer leads there with `did` and, where there is something to take
back, `which`: the suggestion id of the show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

from litestar.response import Redirect
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.pages.words import _, marked
from schemas.concert import Facts
from schemas.decision import Decision
from schemas.tables import DecisionRow

ROOMS = ("/journal", "/search")
"""Where such forms come from."""
TEXTS = {
    "added": marked("It is in your journal now."),
    "undone": marked("Taken out of your journal."),
    "again": marked("It is back in your journal."),
    "kept": marked("Saved."),
    "passed": marked("Noted: you did not see them. They are not asked for again."),
    "open": marked("Taken back."),
    "gone": marked("No source tells of that show any more."),
    "conflict": marked("Nothing changed: it was decided otherwise before, perhaps on another device."),
}
TAKEN_BACK_BY = {"added": "undo", "again": "undo", "undone": "again", "passed": "undo"}
"""What was done -> the form that takes it back."""


@dataclass(frozen=True)
class Notice:
    """What was just done."""

    did: str
    which: UUID | None
    facts: Facts | None

    @property
    def text(self) -> Markup:
        """In the reader's words."""
        return _(TEXTS[self.did])

    @property
    def taken_back_by(self) -> str | None:
        """The last part of the form's address, where it can be taken back."""
        return TAKEN_BACK_BY.get(self.did) if self.which and self.facts else None


async def read_notice(connection: AsyncConnection, user: str, did: str, which: UUID | None) -> Notice | None:
    """What `did` stands for; None when it stands for nothing."""
    if did not in TEXTS:
        return None
    facts = None
    if which is not None:
        said = select(DecisionRow.body).where(DecisionRow.user_id == user, DecisionRow.suggestion_id == which)
        body = await connection.scalar(said.order_by(DecisionRow.seq.desc()).limit(1))
        facts = Decision.model_validate(body).concert if body else None
    return Notice(did, which, facts)


def returned(data: Mapping[str, str], otherwise: str, did: str, which: UUID | None = None) -> Redirect:
    """To the page that the form names, if it is one of ours, with what was done."""
    try:
        named = urlsplit(data.get("to", ""))
    except ValueError:  # 'http://[' is none
        named = urlsplit("")
    ours = not named.scheme and not named.netloc and any(_within(named.path, room) for room in ROOMS)
    path, query = (named.path, parse_qsl(named.query)) if ours else (otherwise, [])
    told = [(name, value) for name, value in query if name not in ("did", "which")]
    told += [("did", did), *([("which", str(which))] if which else [])]
    return Redirect(f"{path}?{urlencode(told)}", status_code=303)


def _within(path: str, room: str) -> bool:
    return path == room or path.startswith(f"{room}/")

"""What normalising makes of a spider's messages: a spider cannot ask it, tests can."""

from collections.abc import Iterable

from matchers.normalise import normalise
from schemas.listing import Listing
from schemas.raw import RawMessage


def listings(found: Iterable[RawMessage]) -> list[Listing]:
    """The listings among what is made of them."""
    made = (normalise(message) for message in found)
    return [one for rows in made if isinstance(rows, tuple) for one in rows if isinstance(one, Listing)]


def refusals(found: Iterable[RawMessage]) -> dict[str, str]:
    """Source ids of the rest, with the reason."""
    made = ((message.source_id, normalise(message)) for message in found)
    return {source_id: rows.reason.value for source_id, rows in made if not isinstance(rows, tuple)}

"""Ids, all derived: the same thing gets the same id on every machine, in every order, at every replay.

None depends on `fold` or on anything tuned: a better matcher renames nothing.
"""

import re
from uuid import UUID, uuid5

NAMESPACE = UUID("6f1d3ce0-54fb-5a0c-9f6a-2f7c4be21d11")


def listing_id(source: str, source_id: str) -> UUID:
    """A source's row, whatever it says."""
    return uuid5(NAMESPACE, f"listing\n{source}\n{source_id}")


def concert_id(smallest_listing: UUID, act: str) -> UUID:
    """One act of one night: the smallest listing among its members, and the act as that listing writes it."""
    return uuid5(NAMESPACE, f"concert\n{smallest_listing}\n{act}")


def festival_id(smallest_listing: UUID) -> UUID:
    """The parent of a festival's or a bill's concerts."""
    return uuid5(NAMESPACE, f"festival\n{smallest_listing}")


def venue_id(source: str, source_id: str) -> UUID:
    """A venue as one source knows it."""
    return uuid5(NAMESPACE, f"venue\n{source}\n{source_id}")


def artist_id(source: str, source_id: str) -> UUID:
    """An artist as one source knows it."""
    return uuid5(NAMESPACE, f"artist\n{source}\n{source_id}")


def suggestion_id(user: str, entry_id: str, concert: UUID) -> UUID:
    """The pair of an entry and a concert."""
    return uuid5(NAMESPACE, f"suggestion\n{user}\n{entry_id}\n{concert}")


def own_concert_id(user: str, entry_id: str) -> UUID:
    """A show that no source knows, as one user tells it."""
    return uuid5(NAMESPACE, f"own concert\n{user}\n{entry_id}")


COMPANION = "companion-"
HABIT = "habit-"
"""How the entry ids begin that no user wrote. Alone they name, for each user, what all of these hang on: the row that
is locked, by whose keys concerts find them."""
_UNASKED = re.compile(f"({COMPANION}|{HABIT})([0-9a-f-]{{36}})?")


def companion_entry_id(confirmed: UUID, other: UUID) -> str:
    """The entry that a companion hangs on: of the confirmed show and the other act's."""
    return COMPANION + str(uuid5(NAMESPACE, f"companion\n{confirmed}\n{other}"))


def habit_entry_id(entry_id: str, other: UUID) -> str:
    """The entry that a habit's concert hangs on: of the smallest entry that logs the artist, and the concert."""
    return HABIT + str(uuid5(NAMESPACE, f"habit\n{entry_id}\n{other}"))


def hook_of(entry_id: str) -> str | None:
    """COMPANION or HABIT, where an entry id is one of these or hangs on it; None where a user may have written it."""
    found = _UNASKED.fullmatch(entry_id)
    return found and found[1]


def is_question(entry_id: str) -> bool:
    """Whether it is the entry of one companion or habit: not what all of them hang on, and nothing a user wrote."""
    return hook_of(entry_id) not in (None, entry_id)

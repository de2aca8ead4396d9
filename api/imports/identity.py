"""Which row is which: the same file twice adds nothing, and a corrected file changes the entries that it had.

A row's hash is of its cells by their headings, whatever their order, the delimiter or the encoding. An entry's id is of
the row and the act, so that a row is the same entry in every file that holds it. Where a row changed, its entry is
found among those of the file as it was imported before (`carried`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from api.imports.columns import texts_of
from api.imports.shapes import Imported, Record
from matchers.text import fold
from schemas.history import Remembered
from schemas.message import content_hash

MOST_ALIKE = 100
"""Rows that share two facts; where more do, as in a list of one night, these tell nothing."""


def row_hash(record: Record) -> str:
    """Of what the row says."""
    said = {
        name: texts for name, cell in sorted(record.cells.items()) if any(texts := [t.strip() for t in texts_of(cell)])
    }
    return content_hash(said)[:32]


def entry_id(record: Record, digest: str, act: str | None) -> str:
    """Of the row, by its own id where that means the same in every file, and of one act of it."""
    return "import-" + content_hash([record.own_id or digest, fold(act) if act else ""])[:24]


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of an entry to know it again: a file of half a million of them is compared in memory."""

    entry_id: str
    said: str
    """Hash of all that it says."""
    facts: tuple[int, ...]
    """Hashes of two of who, when and where, each enough to know a row again; 64 bits, signed."""

    @classmethod
    def of(cls, one: Imported) -> "Known":
        """Of an entry as it was read."""
        return known_by(one, one.remembered.model_dump(mode="json", by_alias=True, exclude_none=True))


def known_by(one: Imported, said: Mapping[str, Any]) -> Known:
    """Of an entry as it was read, and what it says as JSON: the same hash for entries that say the same."""
    return Known(one.entry_id, content_hash(said)[:24], _facts(one.remembered))


@dataclass(frozen=True, slots=True)
class Carried:
    """A file imported again, beside what it was."""

    ids: tuple[str, ...] = ()
    """Of the file as it is now, in its order; a changed row has the id that it had."""
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: int = 0
    gone: tuple[str, ...] = field(default=())
    """Ids of entries that the file no longer has."""


def carried(before: Sequence[Known], now: Sequence[Known]) -> Carried:
    """What a corrected file means for the entries that it made before, both in the order of the file.

    Entries of the same id are the same. Of the others, those between the same neighbours that agree in most of what
    they say are one entry, changed; then those that agree so wherever they stand, if there is only one.
    """
    had = {one.entry_id: index for index, one in enumerate(before)}
    has = {one.entry_id for one in now}
    renamed: dict[int, int] = {}
    taken: set[int] = set()
    waiting: list[int] = []
    passed = -1
    for at, one in enumerate(now):
        if one.entry_id in had:
            _pair(before, now, range(passed + 1, had[one.entry_id]), waiting, has, renamed, taken)
            passed, waiting = max(passed, had[one.entry_id]), []
        else:
            waiting.append(at)
    _pair(before, now, range(passed + 1, len(before)), waiting, has, renamed, taken)
    _pair_by_facts(before, now, had, has, renamed, taken)
    ids, added, changed, unchanged = [], [], [], 0
    for at, one in enumerate(now):
        entry = before[renamed[at]].entry_id if at in renamed else one.entry_id
        known = had.get(entry)
        if known is None:
            added.append(entry)
        elif before[known].said == one.said:
            unchanged += 1
        else:
            changed.append(entry)
        ids.append(entry)
    left = set(ids)
    gone = tuple(one.entry_id for one in before if one.entry_id not in left)
    return Carried(tuple(ids), tuple(added), tuple(changed), unchanged, gone)


def _pair(
    before: Sequence[Known],
    now: Sequence[Known],
    gap: range,
    waiting: Iterable[int],
    has: set[str],
    renamed: dict[int, int],
    taken: set[int],
) -> None:
    """Rows between two that stayed, in their order."""
    free: list[int] | None = None
    for at in waiting:
        if free is None:
            free = [index for index in gap if before[index].entry_id not in has and index not in taken]
        for index in free[:20]:
            if not set(before[index].facts).isdisjoint(now[at].facts):
                renamed[at] = index
                taken.add(index)
                free.remove(index)
                break


def _pair_by_facts(
    before: Sequence[Known],
    now: Sequence[Known],
    had: dict[str, int],
    has: set[str],
    renamed: dict[int, int],
    taken: set[int],
) -> None:
    by_fact: defaultdict[int, list[int]] = defaultdict(list)
    for index, one in enumerate(before):
        if one.entry_id not in has and index not in taken:
            for fact in one.facts:
                by_fact[fact].append(index)
    for at, one in enumerate(now):
        if at in renamed or one.entry_id in had:
            continue
        for fact in one.facts:
            held = by_fact.get(fact, ())
            found = [index for index in held[:MOST_ALIKE] if index not in taken] if len(held) <= MOST_ALIKE else []
            if len(found) == 1:
                renamed[at] = found[0]
                taken.add(found[0])
                break


def _facts(said: Remembered) -> tuple[int, ...]:
    """Pairs of facts, each enough to know a row again."""
    who, when = fold(said.artist or ""), said.date or ""
    where = fold(said.venue or said.city or "")
    pairs = (("who and when", who, when), ("who and where", who, where), ("when and where", when, where))
    return tuple(
        int.from_bytes(blake2b("\0".join(pair).encode("utf-8", "replace"), digest_size=8).digest(), "big", signed=True)
        for pair in pairs
        if pair[1] and pair[2]
    )

"""Which row is which: the same file twice adds nothing, and a corrected file changes the entries that it had.

A row's hash is of its cells by their headings, whatever their order, the delimiter or the encoding. An entry's id is of
the row and the act, so that a row is the same entry in every file that holds it. Where a row changed, its entry is
found among those of the file as it was imported before (`carried`).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from api.imports.columns import texts_of
from api.imports.shapes import Imported, Record
from matchers.text import fold
from schemas.history import Remembered
from schemas.message import content_hash


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
class Carried:
    """A file imported again, beside what it was."""

    entries: tuple[Imported, ...] = ()
    """Of the file as it is now; a changed row has the id that it had."""
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: int = 0
    gone: tuple[str, ...] = field(default=())
    """Ids of entries that the file no longer has."""


def carried(before: Sequence[Imported], now: Sequence[Imported]) -> Carried:
    """What a corrected file means for the entries that it made before, both in the order of the file.

    Entries of the same id are the same. Of the others, those between the same neighbours that agree in most of what
    they say are one entry, changed; then those that agree so wherever they stand, if there is only one.
    """
    had = {one.entry_id: index for index, one in enumerate(before)}
    has = {one.entry_id for one in now}
    renamed: dict[int, int] = {}
    waiting: list[int] = []
    passed = -1
    for at, one in enumerate(now):
        if one.entry_id in had:
            _pair(before, now, range(passed + 1, had[one.entry_id]), waiting, has, renamed)
            passed, waiting = max(passed, had[one.entry_id]), []
        else:
            waiting.append(at)
    _pair(before, now, range(passed + 1, len(before)), waiting, has, renamed)
    _pair_by_facts(before, now, had, has, renamed)
    entries, added, changed, unchanged = [], [], [], 0
    for at, one in enumerate(now):
        if at in renamed:
            one = replace(one, entry_id=before[renamed[at]].entry_id)
        known = had.get(one.entry_id)
        if known is None:
            added.append(one.entry_id)
        elif before[known].remembered == one.remembered:
            unchanged += 1
        else:
            changed.append(one.entry_id)
        entries.append(one)
    left = {one.entry_id for one in entries}
    gone = tuple(one.entry_id for one in before if one.entry_id not in left)
    return Carried(tuple(entries), tuple(added), tuple(changed), unchanged, gone)


def _pair(
    before: Sequence[Imported],
    now: Sequence[Imported],
    gap: range,
    waiting: Iterable[int],
    has: set[str],
    renamed: dict[int, int],
) -> None:
    """Rows between two that stayed, in their order."""
    taken = set(renamed.values())
    free = [index for index in gap if before[index].entry_id not in has and index not in taken]
    for at in waiting:
        for index in free[:20]:
            if _alike(before[index].remembered, now[at].remembered):
                renamed[at] = index
                free.remove(index)
                break


def _pair_by_facts(
    before: Sequence[Imported], now: Sequence[Imported], had: dict[str, int], has: set[str], renamed: dict[int, int]
) -> None:
    taken = set(renamed.values())
    by_fact: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, one in enumerate(before):
        if one.entry_id not in has and index not in taken:
            for fact in _facts(one.remembered):
                by_fact[fact].append(index)
    for at, one in enumerate(now):
        if at in renamed or one.entry_id in had:
            continue
        for fact in _facts(one.remembered):
            found = [index for index in by_fact.get(fact, ()) if index not in taken]
            if len(found) == 1:
                renamed[at] = found[0]
                taken.add(found[0])
                break


def _facts(said: Remembered) -> list[tuple[str, ...]]:
    """Pairs of facts, each enough to know a row again."""
    who, when = fold(said.artist or ""), said.date or ""
    where = fold(said.venue or said.city or "")
    pairs = [("who and when", who, when), ("who and where", who, where), ("when and where", when, where)]
    return [pair for pair in pairs if pair[1] and pair[2]]


def _alike(one: Remembered, other: Remembered) -> bool:
    return bool(set(_facts(one)) & set(_facts(other)))

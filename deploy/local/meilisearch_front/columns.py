"""Values of the filterable and sortable attributes, in memory: what filters, facets, sort and distinct read.

A column maps a document's number to its values. Columns are never changed once published: a write makes new ones from
a copy, and what is derived from a column (who has which value) is built when first asked for.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, reduce
from itertools import chain
from sys import intern
from typing import Any, TypeAlias

from deploy.local.meilisearch_front import filters
from deploy.local.meilisearch_front.text import normalise_value

Value: TypeAlias = str | float | None
Cell: TypeAlias = tuple[Value, ...]
"""Strings, numbers, None for null; EMPTY stands for "", [] and {}. A document without the attribute has no cell."""
EMPTY = ""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of every scalar, null, empty list and empty object; lists are walked through."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


def covers(attribute: str, path: str) -> bool:
    """'venue' covers 'venue' and 'venue.city'."""
    return path == attribute or path.startswith(attribute + ".")


def _value(leaf: Any) -> Value:
    if leaf is None:
        return None
    if isinstance(leaf, bool):
        return "true" if leaf else "false"
    if isinstance(leaf, str):
        return intern(leaf)  # values repeat; and a string of its own would keep the memory of a whole batch
    return leaf if isinstance(leaf, int | float) else EMPTY


def cells_of(document: Mapping[str, Any], attributes: Iterable[str]) -> dict[str, Cell]:
    """Cell of every path that the attributes cover; a parent object has an empty cell, so that it EXISTS."""
    found: dict[str, Cell] = {}
    for attribute in attributes:
        key = attribute if attribute in document else attribute.partition(".")[0]
        if key not in document:
            continue
        inner = document[key]
        if not isinstance(inner, dict | list):  # flat values are the rule
            if key == attribute:
                found[attribute] = (_value(inner),)
            continue
        gathered: dict[str, list[Value]] = {}
        for path, leaf in leaves(inner, key):
            if covers(attribute, path):
                gathered.setdefault(attribute, [])
                gathered.setdefault(path, []).append(_value(leaf))
        found |= {path: tuple(dict.fromkeys(values)) for path, values in gathered.items()}
    return found


def as_number(text: str) -> float | None:
    """A filter's value as a number, if it is one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def number_text(number: float) -> str:
    """2014.0 -> '2014', 1.5 -> '1.5'."""
    return str(int(number)) if float(number).is_integer() else repr(float(number))


class Column:
    """One attribute of all documents that have it."""

    def __init__(self, cells: dict[int, Cell]) -> None:
        self.cells = cells

    @cached_property
    def by_string(self) -> dict[str, set[int]]:
        """Normalised string -> documents."""
        found: defaultdict[str, set[int]] = defaultdict(set)
        for number, cell in self.cells.items():
            for value in cell:
                if isinstance(value, str):
                    found[normalise_value(value)].add(number)
        return dict(found)

    @cached_property
    def by_number(self) -> dict[float, set[int]]:
        """Number -> documents."""
        found: defaultdict[float, set[int]] = defaultdict(set)
        for number, cell in self.cells.items():
            for value in cell:
                if isinstance(value, int | float):
                    found[float(value)].add(number)
        return dict(found)

    @cached_property
    def strings(self) -> list[str]:
        """Distinct strings in order."""
        return sorted(self.by_string)

    @cached_property
    def numbers(self) -> list[float]:
        """Distinct numbers in order."""
        return sorted(self.by_number)

    def equal(self, value: str) -> set[int]:
        """Documents with that value, as a string or as a number."""
        number = as_number(value)
        found = self.by_string.get(normalise_value(value), set())
        return found | self.by_number.get(number, set()) if number is not None else set(found)

    def within(self, low: str | None, high: str | None, *, low_in: bool = True, high_in: bool = True) -> set[int]:
        """Documents with a number, or a string, between the bounds."""
        found: set[int] = set()
        bounds = [as_number(bound) for bound in (low, high) if bound is not None]
        if None not in bounds:
            low_number, high_number = (None if bound is None else as_number(bound) for bound in (low, high))
            for number in _slice(self.numbers, low_number, high_number, low_in, high_in):
                found |= self.by_number[number]
        low_text, high_text = (None if bound is None else normalise_value(bound) for bound in (low, high))
        for text in _slice(self.strings, low_text, high_text, low_in, high_in):
            found |= self.by_string[text]
        return found

    def starting_with(self, prefix: str) -> set[int]:
        """Documents with a string of that beginning; with any value for an empty one."""
        if not (folded := normalise_value(prefix)):
            return set(self.cells)
        chosen = _slice(self.strings, folded, folded + "\U0010ffff", True, True)
        return set().union(*(self.by_string[text] for text in chosen))

    def sort_key(self, number: int, *, descending: bool) -> tuple[int, Any]:
        """Numbers before strings before nothing, in both directions; `descending` is for sorting in reverse."""
        cell = self.cells.get(number, ())
        pick = max if descending else min
        if numbers := [v for v in cell if isinstance(v, int | float)]:
            return (2 if descending else 0, pick(numbers))
        if strings := [normalise_value(v) for v in cell if isinstance(v, str)]:
            return (1, pick(strings))
        return (0 if descending else 2, 0)

    def distribution(self, documents: Iterable[int]) -> tuple[list[tuple[str, int]], list[float]]:
        """(value, documents that have it) in order, numbers first; and the distinct numbers."""
        held = filter(None, map(self.cells.get, documents))
        counts: Counter[Value] = Counter(chain.from_iterable(held))
        numbers: Counter[float] = Counter()
        strings: dict[str, tuple[str, int]] = {}
        for value, count in counts.items():
            if isinstance(value, str):
                original, before = strings.get(normalise_value(value), (value, 0))
                strings[normalise_value(value)] = (original, before + count)
            elif value is not None:
                numbers[float(value)] += count
        ordered = [(number_text(number), numbers[number]) for number in sorted(numbers)]
        return ordered + [strings[folded] for folded in sorted(strings)], sorted(numbers)


def _slice(ordered: Sequence[Any], low: Any, high: Any, low_in: bool, high_in: bool) -> Sequence[Any]:
    first = 0 if low is None else (bisect_left if low_in else bisect_right)(ordered, low)
    last = len(ordered) if high is None else (bisect_right if high_in else bisect_left)(ordered, high)
    return ordered[first:last]


_NO_COLUMN = Column({})


class Columns:
    """All columns of one view of an index."""

    def __init__(self, attributes: Sequence[str], columns: Mapping[str, Column], documents: frozenset[int]) -> None:
        self.attributes = tuple(attributes)
        self.columns = columns
        self.documents = documents

    def changed(self, removed: Collection[int], added: Mapping[int, Mapping[str, Any]]) -> "Columns":
        """Columns after a write; these stay as they are."""
        cells = {path: dict(column.cells) for path, column in self.columns.items()}
        for column in cells.values():
            for number in removed:
                column.pop(number, None)
        for number, document in added.items():
            for column in cells.values():
                column.pop(number, None)
            for path, cell in cells_of(document, self.attributes).items():
                cells.setdefault(path, {})[number] = cell
        documents = (self.documents - frozenset(removed)) | frozenset(added)
        return Columns(self.attributes, {path: Column(c) for path, c in cells.items() if c}, documents)

    def column(self, path: str) -> Column:
        """The column of a path; an empty one when no document has it."""
        return self.columns.get(path, _NO_COLUMN)

    def select(self, tree: filters.Filter) -> set[int] | frozenset[int]:
        """Documents that a filter lets through."""
        match tree:
            case filters.And(operands):
                return reduce(lambda kept, operand: kept & self.select(operand), operands, self.documents)
            case filters.Or(operands):
                return frozenset().union(*(self.select(operand) for operand in operands))
            case filters.Not(operand):
                return self.documents - self.select(operand)
            case filters.In(attribute, values):
                return frozenset().union(*(self.column(attribute).equal(value) for value in values))
            case filters.Between(attribute, low, high):
                return self.column(attribute).within(low, high)
            case filters.Has(attribute, what):
                cells = self.column(attribute).cells
                if what == "exists":
                    return set(cells)
                wanted = (None,) if what == "null" else (EMPTY,)
                return {number for number, cell in cells.items() if cell == wanted}
            case filters.Compare(attribute, operator, value):
                return self._compare(self.column(attribute), operator, value)

    def _compare(self, column: Column, operator: str, value: str) -> set[int] | frozenset[int]:
        match operator:
            case "=":
                return column.equal(value)
            case "!=":
                return self.documents - column.equal(value)
            case ">" | ">=":
                return column.within(value, None, low_in=operator == ">=")
            case "<" | "<=":
                return column.within(None, value, high_in=operator == "<=")
            case _:
                return column.starting_with(value)

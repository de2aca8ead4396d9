"""What a file said, as it is kept from its dry run until it is applied: nothing is read twice.

A line of JSON for each row of the file, in its order, also for those without entries:

    [doubtful, [[entry_id, said, facts, body], ...]]
"""

from collections.abc import Callable, Generator, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import orjson

from api.imports.identity import Known, known_by
from api.imports.shapes import Imported, Row, Standing

Entry = list[Any]
"""entry_id, said, facts, body."""


def rows_into(file: IO[bytes]) -> Callable[[Row], None]:
    """Writes one row after the other."""

    def write(row: Row) -> None:
        file.write(orjson.dumps([row.standing is Standing.DOUBTFUL, [_entry(one) for one in row.entries]]) + b"\n")

    return write


def _entry(one: Imported) -> Entry:
    said = one.remembered.model_dump(mode="json", by_alias=True, exclude_none=True)
    known = known_by(one, said)
    return [known.entry_id, known.said, known.facts, {name: value for name, value in said.items() if value != []}]


def rows_in(path: Path, doubtful: bool, after: int = 0) -> Generator[list[Entry]]:
    """The entries of each row that are taken, from the row after so many on; without those of doubtful rows, if so."""
    with path.open("rb") as file:
        for line in islice(file, after, None):
            in_doubt, entries = orjson.loads(line)
            yield entries if doubtful or not in_doubt else []


def known_in(path: Path, doubtful: bool) -> Iterator[Known]:
    """What the entries that are taken are known again by."""
    for entries in rows_in(path, doubtful):
        for entry_id, said, facts, _ in entries:
            yield Known(entry_id, said, tuple(facts))

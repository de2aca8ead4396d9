"""The dry run as it is kept and shown: bounded, however large the file and whatever stands in it."""

from collections.abc import Callable
from typing import Any

from api.imports.reading import Part, Reading, choice_json, dry_run, row_json
from api.imports.shapes import Row, Standing

MOST_PARTS = 30
MOST_COLUMNS = 60
MOST_ACTS_SHOWN = 10
LONGEST_NAME_SHOWN = 200
"""Characters of a text or a name."""
LONGER = {"original": 500, "note": 500, "why": 500, "text": 500, "columns": 1_000, "unused": 1_000}
"""A heading is given whole: a correction names it."""


def report(
    reading: Reading, refuse: Callable[[Row], None], take: Callable[[Row], None], tell: Callable[[int, int], None]
) -> dict[str, Any]:
    """What an import would do. `take` gets each row, `refuse` those that cannot be read as well."""

    def each(row: Row) -> None:
        take(row)
        if row.standing is Standing.UNREADABLE:
            refuse(row)

    run = dry_run(reading, tell=tell, each=each)
    return {
        "file_hash": reading.file_hash,
        "rows": reading.total,
        "entries": run.entries,
        "counts": {standing.value: run.counts.get(standing, 0) for standing in Standing},
        "parts": [_part(part) for part in reading.parts[:MOST_PARTS]],
        "more_parts": max(0, len(reading.parts) - MOST_PARTS),
        "samples": {standing.value: [_row(row) for row in run.samples.get(standing, ())] for standing in Standing},
    }


def _part(part: Part) -> dict[str, Any]:
    layout = part.layout
    columns = [choice_json(choice) for choice in layout.choices]
    return _shown(
        {
            "name": part.name,
            "format": part.format.value,
            "rows": part.rows,
            "columns": [one | {"columns": one["columns"][:MOST_COLUMNS]} for one in columns],
            "unused": list(layout.unused[:MOST_COLUMNS]),
            "date_order": None if layout.date_order is None else layout.date_order.value.lower(),
            "date_order_given": layout.given is not None,
            "date_order_confidence": round(layout.order.confidence, 4),
            "date_order_why": layout.order.text,
            "separator": layout.separator,
            "separator_why": layout.separator_why,
        }
    )


def _row(row: Row) -> dict[str, Any]:
    told = row_json(row)
    return _shown(
        told | {"entries": told["entries"][:MOST_ACTS_SHOWN], "more_entries": len(row.entries[MOST_ACTS_SHOWN:])}
    )


def _shown(told: dict[str, Any]) -> dict[str, Any]:
    return {name: _short(one, LONGER.get(name, LONGEST_NAME_SHOWN)) for name, one in told.items()}


def _short(value: Any, longest: int = LONGEST_NAME_SHOWN) -> Any:
    if isinstance(value, str):
        value = value.replace("\0", "")  # PostgreSQL holds none
        return value if len(value) <= longest else value[: longest - 1] + "…"
    if isinstance(value, list):
        return [_short(one) for one in value[:100]]
    if isinstance(value, dict):
        return {name: _short(one, LONGER.get(name, longest)) for name, one in value.items()}
    return value

"""What the API asks a reader for: one line of JSON. See `api/imports/worker.py` for what each comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done with which file; paths are the API's, in its temporary folder."""

    do: str
    path: str = ""
    name: str = ""
    format: str | None = None
    corrections: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    out: str = ""
    """Where lines go: what could not be read, or which entries are which."""
    entries: str = ""
    """Where each row's entries go, as `api/imports/kept.py` writes them."""
    doubtful: bool = True
    before: str = ""
    now: str = ""

    def line(self) -> bytes:
        """As it is sent."""
        return orjson.dumps({one.name: getattr(self, one.name) for one in fields(self)}) + b"\n"

"""What is kept of an erasure: a file for machines, a page for people. Neither names the user."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from deploy.erasing.search import Finding, Searched, Verdict

OUTSIDE = (
    "Backups hold the user until they expire; after one is restored, `gigz erase --restored RECEIPT` erases again.",
    "Files that were exported before: `gigz living FILE` leaves the erased out.",
    "Weights hold figures of all users, no one's words; `gigz calibrate` leaves the erased out the next time.",
    "Disks: PostgreSQL's pages and its log, the brokers' and ClickHouse's replaced files keep bytes for a while.",
)
"""Out of the reach of this command."""


@dataclass
class Receipt:
    """An erasure, as far as it got."""

    receipt_id: UUID
    user_hash: str
    erased_at: datetime
    """The user's entry into the ledger: from then on nobody wrote."""
    run_at: datetime
    removed: Mapping[str, int]
    """store and place -> rows, messages; over all runs."""
    searched: Searched
    looked_for: Mapping[str, int]
    finished_at: datetime | None = None
    compacted_s: float | None = None
    """How long the brokers took; None: nothing to compact, or not waited for."""
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing is left but what expires by itself."""
        return not self.searched.left

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            "receipt": str(self.receipt_id),
            "user_hash": self.user_hash,
            "erased_at": self.erased_at.isoformat(),
            "run_at": self.run_at.isoformat(),
            "finished_at": None if self.finished_at is None else self.finished_at.isoformat(),
            "clean": self.clean,
            "removed": dict(sorted(self.removed.items())),
            "compacted_s": None if self.compacted_s is None else round(self.compacted_s, 1),
            "looked_for": dict(self.looked_for),
            "looked_at": self.searched.looked,
            "found": [one.as_json() for one in self.searched.found],
            "notes": list(self.notes),
            "outside": list(OUTSIDE),
        }

    def as_text(self) -> str:
        """For people."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"Receipt {self.receipt_id}"
        yield f"user       sha256 {self.user_hash}"
        yield f"erased     {_moment(self.erased_at)}; nothing was written for the user since"
        yield f"this run   {_moment(self.run_at)}" + (f" to {_moment(self.finished_at)}" if self.finished_at else "")
        yield ""
        yield "Removed, over all runs"
        yield from (f"  {place:42} {number:>9,}" for place, number in sorted(self.removed.items()))
        if not self.removed:
            yield "  nothing: nobody knew the user"
        if self.compacted_s is not None:
            yield f"  compacted by the broker after {self.compacted_s:.0f} s"
        yield ""
        yield "Looked at, afterwards"
        for store, figures in self.searched.looked.items():
            yield f"  {store:12} " + ", ".join(f"{number:,} {what}" for what, number in figures.items())
        told = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in self.looked_for.items())
        yield f"  for          {told}"
        yield ""
        for verdict, title in ((Verdict.LEFT, "LEFT"), (Verdict.EXPIRES, "Expires by itself")):
            some = [one for one in self.searched.found if one.verdict is verdict]
            yield title if some else f"{title}: nothing"
            yield from (f"  {_finding(one)}" for one in some)
        yield ""
        yield "Outside of this"
        yield from (f"  {line}" for line in (*self.notes, *OUTSIDE))


def _finding(one: Finding) -> str:
    until = f", until {_moment(one.until)} at the latest" if one.until else ""
    return f"{one.where}: {one.count:,} {one.what}{until}" + (f" ({one.why})" if one.why else "")


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"

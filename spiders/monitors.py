"""Whether a run is like the good runs before it: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spiders.figures import Figures


@dataclass(frozen=True)
class Finding:
    """A figure beyond what is usual."""

    rule: str
    value: float
    baseline: float | None
    limit: float
    text: str

    def as_json(self) -> dict[str, Any]:
        """For the row."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """What was found; nothing is good."""

    findings: tuple[Finding, ...] = ()
    withholds: bool = False
    """Neither the watermark moves nor anything vanishes."""

    @property
    def suspect(self) -> bool:
        """Operators are told."""
        return bool(self.findings)


def judge(run: Figures, good: Sequence[Mapping[str, Any]]) -> Verdict:
    """A run beside the figures of the last good runs of its scope, newest first."""
    return Verdict()

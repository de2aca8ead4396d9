"""An import of thousands of entries beside the live stream, on the real broker and database."""

import asyncio

import pytest

from tests.faults.backfill import NO_STORES, Delays, Shown, measure
from tests.support import running_engines

ENTRIES = 5_000


@pytest.mark.long
@pytest.mark.stack
@pytest.mark.timeout(3_000)
def test_an_import_of_five_thousand_entries_delays_the_live_stream_by_less_than_a_second() -> None:
    with running_engines("gigz-backfill-", **NO_STORES) as settings:
        shown = asyncio.run(measure(settings, ENTRIES, pace=20.0, seconds=20.0))
    told = "\n".join(map(str, (shown.before, shown.beside, shown.after)))
    assert shown.backfilled == ENTRIES and len(shown.beside.seconds) > 100, told
    assert shown.holds, f"{shown.added:.3f} s were added\n{told}"


def test_the_verdict_is_by_the_worst_of_median_and_longest_delays() -> None:
    alone = Delays("alone", (0.2, 0.3, 0.4))
    assert Shown(alone, Delays("beside", (0.2, 0.3, 1.3)), alone, 9.0, 5_000).holds
    late = Shown(alone, Delays("beside", (0.2, 0.3, 1.5)), alone, 9.0, 5_000)
    assert not late.holds and late.added == pytest.approx(1.1)
    busy = Delays("alone, as long", (0.2, 0.3, 9.0))
    assert Shown(alone, late.beside, busy, 9.0, 5_000).holds, "the machine was busy"
    assert not Shown(alone, Delays("beside", (1.4, 1.4, 1.5)), busy, 9.0, 5_000).holds, "and not so busy"

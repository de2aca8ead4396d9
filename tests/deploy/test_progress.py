"""Lag, age of the commit, and the verdict of a probe: by a clock that the test holds."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from deploy.progress import GRACE_S, STILL_S, Offsets, Progress, Waiting, heads_of

LISTINGS, BACKFILL = "gigz.listing.v1", "gigz.history-backfill.v1"
LIMIT_S = 120.0


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def offsets(clock: Clock) -> Offsets:
    return Offsets(clock)


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress(LIMIT_S, (BACKFILL,), clock, clock)


def at(partition: int = 0, topic: str = LISTINGS) -> tuple[str, int]:
    return (topic, partition)


# -- lag ----------------------------------------------------------------------------------------------------------


def test_lag_is_what_lies_between_the_commit_and_the_end_over_all_partitions(offsets: Offsets) -> None:
    offsets.sample({at(0): None, at(1): None}, positions={at(0): 10, at(1): 50})
    assert offsets.sample({at(0): 25, at(1): 50, at(2): None})[LISTINGS].messages == 15


def test_a_batch_in_hand_waits_since_its_own_timestamp_until_its_commit(offsets: Offsets, clock: Clock) -> None:
    offsets.took({at(): (10, 14, clock.now - 300)})
    offsets.took({at(): (15, 19, clock.now - 200)})
    assert offsets.sample({at(): 20}) == {LISTINGS: Waiting(10, clock.now - 300)}
    assert offsets.committed({at(): 15}) == {LISTINGS}
    assert offsets.sample({at(): 20}) == {LISTINGS: Waiting(5, clock.now - 200)}
    offsets.committed({at(): 20})
    assert offsets.sample({at(): 20}) == {LISTINGS: Waiting(0, None)}


def test_behind_a_commit_in_a_backlog_the_next_message_is_as_old_as_the_last(offsets: Offsets, clock: Clock) -> None:
    offsets.took({at(): (0, 4, clock.now - 900)})
    offsets.sample({at(): 100})
    offsets.committed({at(): 5})
    assert offsets.sample({at(): 100})[LISTINGS] == Waiting(95, clock.now - 900)


def test_after_an_idle_day_a_new_message_is_as_old_as_it_is_known(offsets: Offsets, clock: Clock) -> None:
    offsets.took({at(): (0, 4, clock.now)})
    offsets.committed({at(): 5})
    offsets.sample({at(): 5})
    clock.now += 86_400
    offsets.sample({at(): 6})
    clock.now += 3
    assert offsets.sample({at(): 6})[LISTINGS] == Waiting(1, clock.now - 3)


def test_the_same_commit_again_is_no_progress(offsets: Offsets) -> None:
    assert offsets.committed({at(): 5}) == {LISTINGS}
    assert offsets.committed({at(): 5}) == set()


def test_what_is_read_again_after_a_rebalance_waits_from_the_commit(offsets: Offsets, clock: Clock) -> None:
    offsets.took({at(): (10, 19, clock.now - 50)})
    offsets.took({at(): (10, 14, clock.now - 50)})
    offsets.committed({at(): 15})
    assert offsets.sample({at(): 15})[LISTINGS].messages == 0


def test_partitions_that_went_to_another_member_are_forgotten(offsets: Offsets, clock: Clock) -> None:
    offsets.took({at(0): (0, 9, clock.now), at(1): (0, 9, clock.now)})
    assert offsets.sample({at(1): 10})[LISTINGS].messages == 10
    assert offsets.sample({}) == {}


def test_offsets_that_compaction_left_empty_are_no_lag(offsets: Offsets, clock: Clock) -> None:
    offsets.took({at(): (10, 10, clock.now)})
    offsets.committed({at(): 11})
    offsets.sample({at(): 40}, positions={at(): 40})
    clock.now += STILL_S
    assert offsets.sample({at(): 40}, positions={at(): 40})[LISTINGS] == Waiting(0, None)
    assert offsets.sample({at(): 41}, positions={at(): 40})[LISTINGS].messages == 1


def test_an_empty_partition_that_never_had_a_commit_has_no_lag(offsets: Offsets) -> None:
    assert offsets.sample({at(): 700}, positions={at(): 700})[LISTINGS].messages == 0


def test_heads_are_the_first_and_last_of_each_partition() -> None:
    def record(partition: int, offset: int, timestamp: int) -> SimpleNamespace:
        return SimpleNamespace(topic=LISTINGS, partition=partition, offset=offset, timestamp=timestamp)

    batch = [record(0, 7, 5_000), record(1, 2, 9_000), record(0, 9, 6_000)]
    assert heads_of(batch) == {at(0): (7, 9, 5.0), at(1): (2, 2, 9.0)}


def test_a_message_without_a_time_counts_as_new() -> None:
    batch = [SimpleNamespace(topic=LISTINGS, partition=0, offset=7, timestamp=-1)]
    assert heads_of(batch)[at()][2] > 1_700_000_000


# -- the verdict --------------------------------------------------------------------------------------------------


def beat(progress: Progress, clock: Clock, seconds: float, waiting: dict[str, Waiting]) -> None:
    for _ in range(int(seconds)):
        clock.now += 1
        progress.sample(waiting)


def test_a_commit_that_stands_still_with_messages_waiting_is_dead_and_says_so(progress: Progress, clock: Clock) -> None:
    waiting = {LISTINGS: Waiting(1_234, clock.now)}
    progress.sample(waiting)
    beat(progress, clock, LIMIT_S, waiting)
    assert progress.dead() == ""
    beat(progress, clock, 5, waiting)
    assert progress.dead() == f"{LISTINGS}: 1,234 messages wait and the commit has not moved for 125 s"
    assert progress.lags == {LISTINGS: (1_234, 125.0, 125.0)}
    progress.moved([LISTINGS])
    assert progress.dead() == "" and progress.lags[LISTINGS][2] == 0


def test_a_commit_that_stands_still_with_nothing_waiting_is_idle(progress: Progress, clock: Clock) -> None:
    beat(progress, clock, 10 * LIMIT_S, {LISTINGS: Waiting()})
    assert progress.dead() == progress.unready() == ""
    beat(progress, clock, 60, {LISTINGS: Waiting(1, clock.now)})
    assert progress.dead() == "", "the idle time does not count"
    assert progress.lags[LISTINGS][2] == pytest.approx(59)


def test_one_topic_that_stands_still_is_not_hidden_by_another_that_moves(progress: Progress, clock: Clock) -> None:
    waiting = {LISTINGS: Waiting(1, clock.now), "gigz.venue.v1": Waiting(9, clock.now)}
    for _ in range(130):
        beat(progress, clock, 1, waiting)
        progress.moved(["gigz.venue.v1"])
    assert progress.dead().startswith(LISTINGS) and "venue" not in progress.dead()


def test_backfill_may_stand_still_as_long_as_live_messages_wait_and_no_longer(progress: Progress, clock: Clock) -> None:
    both = {LISTINGS: Waiting(5, clock.now), BACKFILL: Waiting(5_000, clock.now)}
    for _ in range(600):
        beat(progress, clock, 1, both)
        progress.moved([LISTINGS])
    assert progress.dead() == ""
    beat(progress, clock, LIMIT_S + 5, {LISTINGS: Waiting(), BACKFILL: Waiting(5_000)})
    assert progress.dead().startswith(BACKFILL)


def test_a_blocked_event_loop_is_dead_whatever_waits(progress: Progress, clock: Clock) -> None:
    progress.sample({})
    clock.now += LIMIT_S + 1
    assert progress.dead() == "the event loop has been blocked for 121 s"
    progress.sample({})
    assert progress.dead() == ""


def test_a_process_that_never_begins_to_read_is_dead(progress: Progress, clock: Clock) -> None:
    assert (progress.dead(), progress.unready()) == ("", "it is starting")
    clock.now += LIMIT_S + 1
    assert progress.dead() == "it has not begun to read for 121 s"


def test_who_waits_for_a_store_is_not_ready_and_not_dead_until_its_own_deadline_failed(
    progress: Progress, clock: Clock
) -> None:
    waiting = {LISTINGS: Waiting(5, clock.now)}
    beat(progress, clock, 2, waiting)
    progress.away("postgres", "57P01", clock.now + 300)
    beat(progress, clock, 100, waiting)
    progress.away("postgres", "57P01", clock.now + 200)
    assert progress.dead() == ""
    assert progress.unready() == "it waits for postgres (57P01) since 100 s, for 200 s more"
    assert progress.waited_s() == 100
    beat(progress, clock, 200 + GRACE_S, waiting)
    assert progress.dead().startswith(LISTINGS), "its deadline has passed and it still stands"
    progress.back()
    progress.moved([LISTINGS])
    assert progress.unready() == "" and progress.waits_for is None


def test_who_was_told_to_stop_is_not_ready(progress: Progress) -> None:
    progress.sample({})
    progress.stopping()
    assert (progress.dead(), progress.unready()) == ("", "it was told to stop")

"""Whether a stage gets on: how far its commit is, what waits behind it, and since when that has not changed.

    Offsets     of a consumer's partitions: what it knows by itself, without asking the broker
    Progress    of a process: lag by topic, age of the commit, the store that is waited for; and the verdict

A probe is answered from what stands here, by another thread: nothing here waits for anybody. That is also how a blocked
event loop is found out: it samples no more.

Units     messages, seconds; `clock` is monotonic, `wall` gives seconds since 1970, as messages' timestamps do
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Partition: TypeAlias = tuple[str, int]
"""Topic and number."""
SAMPLE_S = 1.0
"""How often a process looks at its own consumer: the figures of a scrape are so old at most."""
STILL_S = 5.0
"""A batch is gathered in less; what was passed over for so long holds no message."""
GRACE_S = 10.0
"""For a wait for a store to end after its deadline; a longer one has hung."""


@dataclass(frozen=True)
class Waiting:
    """What a topic has for this process beyond its commit."""

    messages: int = 0
    oldest: float | None = None
    """When the oldest of them was written, seconds since 1970; None: nothing waits, or it is not known."""


@dataclass
class _Partition:
    committed: int | None = None
    end: int | None = None
    position: int | None = None
    still_since: float = 0.0
    """When it was first seen at this position, seconds since 1970."""
    heads: deque[tuple[int, int, float]] = field(default_factory=deque)
    """Batches taken and not committed: first and last offset, timestamp of the first."""
    last: float | None = None
    """Timestamp of what was committed last."""
    committed_at: float = 0.0
    behind_since: float | None = None
    """When it was first seen behind, since it was last seen level. Both seconds since 1970."""


class Offsets:
    """What one consumer has read and committed, by partition. One thread."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._parts: dict[Partition, _Partition] = {}

    def took(self, heads: Mapping[Partition, tuple[int, int, float]]) -> None:
        """A batch was taken: first and last offset of each partition, and the first's timestamp in seconds."""
        for at, (first, last, timestamp) in heads.items():
            part = self._parts.setdefault(at, _Partition())
            if part.heads and first <= part.heads[-1][1]:
                part.heads.clear()  # it is read again from the commit
            if part.committed is None or (not part.heads and first < part.committed):
                part.committed = first
            part.heads.append((first, last, timestamp))

    def committed(self, offsets: Mapping[Partition, int]) -> set[str]:
        """The commit stands at these offsets; topics whose commit moved."""
        moved = set()
        for at, offset in offsets.items():
            part = self._parts.setdefault(at, _Partition())
            if part.committed is None or offset > part.committed:
                moved.add(at[0])
                part.committed_at = self._wall()
            part.committed = offset
            while part.heads and part.heads[0][1] < offset:
                part.last = part.heads.popleft()[2]
        return moved

    def sample(
        self,
        ends: Mapping[Partition, int | None],
        *,
        positions: Mapping[Partition, int | None] | None = None,
    ) -> dict[str, Waiting]:
        """What waits in each topic of the partitions now owned, which are the keys of `ends`; others are forgotten.

        `ends`: after the newest message that the consumer was told of. `positions`: what it asks for next, given only
        where nothing that it has read is still to be taken. Where a consumer begins, that is its commit; where it
        stands still beyond the commit, the offsets between hold no message (compaction and expiry leave such), and
        nobody will ever commit those.
        """
        for gone in self._parts.keys() - ends.keys():
            del self._parts[gone]
        now = self._wall()
        waiting: dict[str, list[tuple[int, float | None]]] = defaultdict(list)
        for at, end in ends.items():
            part = self._parts.setdefault(at, _Partition())
            position = (positions or {}).get(at)
            if part.committed is None:
                part.committed = position
            part.end = end
            if position != part.position:
                part.position, part.still_since = position, now
            waiting[at[0]].append(self._behind(part, now))
        return {
            topic: Waiting(
                sum(messages for messages, _ in parts),
                min((oldest for _, oldest in parts if oldest is not None), default=None),
            )
            for topic, parts in waiting.items()
        }

    def _behind(self, part: _Partition, now: float) -> tuple[int, float | None]:
        done = part.committed
        if not part.heads and part.position is not None and now - part.still_since >= STILL_S:
            done = max(part.position, done or 0)
        if done is None or part.end is None or done >= part.end:
            part.behind_since = None
            return 0, None
        if part.behind_since is None:
            part.behind_since = now
        if part.heads:
            return part.end - done, part.heads[0][2]
        if part.last is not None and part.behind_since <= part.committed_at:
            # It was behind when it committed: the next message came about when the last one did.
            return part.end - done, part.last
        return part.end - done, part.behind_since


@dataclass(frozen=True)
class Away:
    """A store that failed and is asked again."""

    store: str
    code: str
    since: float
    until: float
    """When the process gives up by itself. Both monotonic."""


class Progress:
    """Of one process. Written by its event loop, read by the thread that answers probes."""

    def __init__(
        self,
        limit_s: float,
        backfill: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._limit_s = limit_s
        self._backfill = set(backfill)
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._began = clock()
        self._beat: float | None = None
        self._waiting: dict[str, Waiting] = {}
        self._since: dict[str, float] = {}
        """Of topics in which messages wait: since when they have, or since the commit moved last."""
        self._away: Away | None = None
        self._stopping = False

    def sample(self, waiting: Mapping[str, Waiting]) -> None:
        """What waits now. Calling it is the sign that the event loop runs."""
        now = self._clock()
        with self._lock:
            self._beat = now
            self._waiting = dict(waiting)
            live = any(one.messages for topic, one in waiting.items() if topic not in self._backfill)
            for topic in self._since.keys() - waiting.keys():
                del self._since[topic]
            for topic, one in waiting.items():
                if not one.messages:
                    self._since.pop(topic, None)
                elif topic not in self._since or (live and topic in self._backfill):
                    self._since[topic] = now  # backfill waits as long as there is anything live: that is its place

    def moved(self, topics: Iterable[str]) -> None:
        """The commit of these topics moved."""
        now = self._clock()
        with self._lock:
            for topic in topics:
                if topic in self._since:
                    self._since[topic] = now

    def away(self, store: str, code: str, until: float) -> None:
        """A store failed and will be asked again until `until`, monotonic."""
        with self._lock:
            since = self._away.since if self._away else self._clock()
            self._away = Away(store, code, since, until)

    def back(self) -> None:
        """The store answers."""
        with self._lock:
            self._away = None

    def last_in_line(self, topic: str) -> None:
        """This topic waits as long as any other has messages: its commit may stand still meanwhile."""
        self._backfill.add(topic)

    def stopping(self) -> None:
        """It was told to stop."""
        self._stopping = True

    @property
    def lags(self) -> dict[str, tuple[int, float, float]]:
        """Topic -> messages that wait, age of the oldest, age of the commit; both 0 where nothing waits."""
        now, today = self._clock(), self._wall()
        with self._lock:
            return {
                topic: (
                    one.messages,
                    max(0.0, today - one.oldest) if one.oldest is not None else 0.0,
                    now - self._since.get(topic, now),
                )
                for topic, one in self._waiting.items()
            }

    @property
    def waits_for(self) -> Away | None:
        """The store that is asked again and again, if one is."""
        return self._away

    def waited_s(self) -> float:
        """How long a store has been waited for; 0: none is."""
        away = self._away
        return self._clock() - away.since if away else 0.0

    def dead(self) -> str:
        """Why this process should be started again; empty: it gets on, or waits for what will end its wait."""
        now = self._clock()
        silent = now - (self._beat if self._beat is not None else self._began)
        if silent > self._limit_s:
            what = "the event loop has been blocked" if self._beat is not None else "it has not begun to read"
            return f"{what} for {silent:.0f} s"
        away = self._away
        if away is not None and now < away.until + GRACE_S:
            return ""
        late = [
            f"{topic}: {messages:,} messages wait and the commit has not moved for {age:.0f} s"
            for topic, (messages, _, age) in sorted(self.lags.items())
            if messages and age > self._limit_s
        ]
        return "; ".join(late)

    def unready(self) -> str:
        """Why it does no work at the moment; empty: it does, or would if there were any."""
        if self._stopping:
            return "it was told to stop"
        if self._beat is None:
            return "it is starting"
        away = self._away
        if away is not None:
            left = max(0.0, away.until - self._clock())
            return f"it waits for {away.store} ({away.code}) since {self.waited_s():.0f} s, for {left:.0f} s more"
        return self.dead()


def heads_of(records: Iterable[Any], ticks: int = 1_000) -> dict[Partition, tuple[int, int, float]]:
    """First and last offset, and the first's timestamp in seconds, of each partition of a batch of Kafka's records.

    `ticks`: of their timestamps, in a second.
    """
    found: dict[Partition, tuple[int, int, float]] = {}
    for record in records:
        at = (record.topic, record.partition)
        known = found.get(at)
        if known is None:
            stamp = record.timestamp or 0
            found[at] = (record.offset, record.offset, stamp / ticks if stamp > 0 else time.time())
        else:
            found[at] = (known[0], record.offset, known[2])
    return found


def ends_and_positions(
    consumer: Any,
) -> tuple[dict[Partition, int | None], dict[Partition, int | None]]:
    """Of an aiokafka consumer's partitions, without asking the broker: ends as last told, and what is read next.

    `position()` of the client waits until it knows; its state does not, and there is no public way to it.
    """
    ends: dict[Partition, int | None] = {}
    positions: dict[Partition, int | None] = {}
    subscription = consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    if assignment is None:
        return ends, positions
    for part in assignment.tps:
        state = assignment.state_value(part)
        ends[part.topic, part.partition] = state.highwater
        positions[part.topic, part.partition] = state.position if state.has_valid_position else None
    return ends, positions

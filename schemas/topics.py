"""The one table of topics: what `gigz topics apply` creates, `gigz contract` describes and status pages count."""

from dataclasses import dataclass

from aiokafka.partitioner import murmur2

from schemas.concert import Concert
from schemas.decision import Decision
from schemas.digest import Digest
from schemas.history import BackfilledEntry, Entry, Rematch
from schemas.listing import Listing
from schemas.message import Message
from schemas.raw import RawArtist, RawEvent, RawSetlist, RawVenue
from schemas.reference import Artist, Venue
from schemas.rejection import Rejection
from schemas.suggestion import Suggestions
from schemas.wanted import Wanted

DAY_MS = 86_400_000
MEGABYTE = 1_048_576
LARGE = 4 * MEGABYTE
"""Limit of raw messages and rejections: the largest venue page seen is 1.1 MB."""


@dataclass(frozen=True)
class Topic:
    """A topic and what is promised of it."""

    message: type[Message]
    key: str
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    days: int | None = None
    """Days kept; None: compacted, the last message of each key stays."""
    max_bytes: int = MEGABYTE
    of_users: bool = False
    """Key user/entry, partitioned by the user alone, erased by tombstones."""

    @property
    def name(self) -> str:
        """gigz.<noun>.v<N>."""
        return self.message.topic

    @property
    def config(self) -> dict[str, str]:
        """Kafka's own names and units."""
        kept = (
            # A segment goes when its last message has had its days: an open one of a week would keep users' as long.
            {"cleanup.policy": "delete", "retention.ms": str(self.days * DAY_MS)}
            | ({"segment.ms": str(DAY_MS)} if self.of_users else {})
            if self.days is not None
            # Both bound how long an erased user's old messages rest in closed and open segments.
            else {
                "cleanup.policy": "compact",
                "segment.ms": str(DAY_MS),
                "max.compaction.lag.ms": str(7 * DAY_MS),
                "delete.retention.ms": str(7 * DAY_MS),
            }
        )
        return {**kept, "max.message.bytes": str(self.max_bytes), "compression.type": "producer"}


TOPICS: tuple[Topic, ...] = (
    Topic(RawSetlist, "source:source_id", ("spiders", "feed"), ("normalise",), days=90, max_bytes=LARGE),
    Topic(RawEvent, "source:source_id", ("spiders", "feed"), ("normalise",), days=90, max_bytes=LARGE),
    Topic(RawVenue, "source:source_id", ("spiders", "feed"), ("normalise",), days=90, max_bytes=LARGE),
    Topic(RawArtist, "source:source_id", ("spiders", "feed"), ("normalise",), days=90, max_bytes=LARGE),
    Topic(Listing, "source:source_id", ("normalise",), ("resolve", "sink-clickhouse")),
    Topic(Venue, "venue id", ("normalise",), ("resolve", "rematch", "sink-postgres", "sink-meilisearch")),
    Topic(Artist, "artist id", ("normalise",), ("rematch", "sink-postgres", "sink-meilisearch")),
    Topic(
        Concert,
        "concert id",
        ("resolve",),
        ("rematch", "sink-clickhouse", "sink-postgres", "sink-meilisearch", "app backends"),
    ),
    Topic(Entry, "user/entry", ("api", "feed"), ("match",), of_users=True),
    Topic(BackfilledEntry, "user/entry", ("api", "feed"), ("match",), of_users=True),
    Topic(Rematch, "user/entry", ("rematch", "api"), ("match",), days=1, of_users=True),
    Topic(Suggestions, "user/entry", ("match",), ("sink-clickhouse", "app backends"), of_users=True),
    Topic(Decision, "user/entry", ("api",), ("match", "sink-clickhouse", "app backends"), of_users=True),
    Topic(Wanted, "artist key/year", ("match",), ("spiders",)),
    Topic(Digest, "user", ("digest",), ("app backends",), days=30, of_users=True),
    Topic(
        Rejection,
        "topic:partition:offset",
        (
            "normalise",
            "resolve",
            "rematch",
            "match",
            "relay",
            "spiders",
            "feed",
            "sink-clickhouse",
            "sink-postgres",
            "sink-meilisearch",
        ),
        ("sink-postgres",),
        days=90,
        # An original of the full size grows by a third as Base64; beyond that its body is left out.
        max_bytes=LARGE,
    ),
)
BY_NAME = {topic.name: topic for topic in TOPICS}


def read_by(stage: str) -> tuple[Topic, ...]:
    """The topics a stage reads."""
    return tuple(topic for topic in TOPICS if stage in topic.read_by)


def written_by(stage: str) -> tuple[Topic, ...]:
    """The topics a stage writes."""
    return tuple(topic for topic in TOPICS if stage in topic.written_by)


def partition_of(partition_by: str, partitions: int) -> int:
    """The partition Kafka's own default partitioner gives this key (murmur2), so that other languages agree."""
    return int((murmur2(partition_by.encode()) & 0x7FFFFFFF) % partitions)

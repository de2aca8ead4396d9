"""Who may do what in Kafka: the rights of each process, worked out from the one table of topics.

The table tells by which stage a message is written. That stage is not always the process that sends it: what resolve,
match, the API and the digest have to say goes through the outbox, and the relay sends it. So the API needs no right in
Kafka at all, and the relay may write much and read nothing.

    read        READ on these topics; WRITE on none of them but those in `write`
    write       WRITE: enough for an idempotent producer, too (KIP-679)
    describe    DESCRIBE alone: a worker looks at its start whether the topics that it answers for are there
    groups      READ on these consumer groups

The users of Strimzi in `deploy/kubernetes/examples/kafka-users.yaml` are compared with this by a test.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from deploy.flow import SINKS, STREAMS, WORKER_OF, group_of
from schemas.rejection import Rejection
from schemas.topics import BY_NAME, TOPICS, Topic, read_by, written_by

OUTBOX = ("resolve", "match", "api", "digest")
"""Stages whose messages the relay sends. Their rejections they send themselves: those belong to no transaction."""
SPIDERS = "spiders"
APP_BACKENDS = "app backends"
WANTED_GROUP = "gigz-wanted"
"""The scheduler reads what is wanted in this group (`spiders.wanted.GROUP`; a test compares)."""
REBUILT = {"sink-clickhouse": "gigz-rebuild-clickhouse", "sink-meilisearch": "gigz-rebuild-meilisearch"}
"""Group whose commit tells a sink of a rebuild that broke off (`sinks.broken_off`)."""
WORKERS = (*(stage for stage in STREAMS if stage not in WORKER_OF), "relay", *SINKS, "scheduler")
"""What `gigz worker` runs, in the order of the flow."""
PROCESSES = (*WORKERS, "api", APP_BACKENDS)
"""Everything that runs all the time, and the readers of others. A person at `gigz` is an operator and may do all."""


@dataclass(frozen=True)
class Rights:
    """Of one process; names of topics and groups."""

    read: frozenset[str] = frozenset()
    write: frozenset[str] = frozenset()
    describe: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


def rights_of(process: str) -> Rights:
    """The least that a process works with. KeyError for one that is none of `PROCESSES`."""
    if process not in PROCESSES:
        raise KeyError(process)
    if process == "api":
        return Rights()  # it answers from the stores, and writes to the outbox; /health only connects
    if process == "relay":
        return Rights(write=_from_the_outbox() | _named(written_by("relay")))
    if process == APP_BACKENDS:
        return Rights(read=_named(read_by(APP_BACKENDS)))
    if process == "scheduler":
        # Whoever asked is erased by it, and an erasure looks for what is left in every topic.
        return Rights(read=frozenset(BY_NAME), write=_named(written_by(SPIDERS)), groups=frozenset({WANTED_GROUP}))
    stages = (process, *(inner for inner, worker in WORKER_OF.items() if worker == process))
    read = _named(topic for stage in stages for topic in read_by(stage))
    answered = _named(topic for stage in stages for topic in written_by(stage))
    write = frozenset(name for stage in stages for name in _sent_by(stage))
    groups = {group_of(process)} | ({REBUILT[process]} if process in REBUILT else set())
    return Rights(read, write, answered - write - read, frozenset(groups))


def _sent_by(stage: str) -> frozenset[str]:
    """What a stage sends to Kafka itself."""
    written = _named(written_by(stage))
    return written & {Rejection.topic} if stage in OUTBOX else written


def _from_the_outbox() -> frozenset[str]:
    return _named(topic for topic in TOPICS if set(topic.written_by) & set(OUTBOX)) - {Rejection.topic}


def _named(topics: Iterable[Topic]) -> frozenset[str]:
    return frozenset(topic.name for topic in topics)

"""An app backend that keeps, in SQLite, what Gigz proposes to its users. Needs aiokafka and cramjam, nothing of Gigz.

    python consume_suggestions.py --kafka localhost:19092 --database suggestions.sqlite

What it leans on is promised in docs/app-backends.md:

    a message is an entry's complete set    it replaces what was there; an empty set withdraws it
    `rev` counts up                         what is not newer than the row that is there is a repeat: left out
    a message without body (a tombstone)    the user was erased, or the entry: delete, and keep no trace
    at least once, one user in order        the row and the place in the topic are one transaction of SQLite; Kafka is
                                            told afterwards, so a crash in between repeats and loses nothing
    fields may be added                     those it does not know are ignored; a value of an enumeration that it does
                                            not know is kept as it is

SIGTERM and SIGINT end it after the batch at hand. `--until-idle S`: it ends when nothing came for S seconds.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sqlite3
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

TOPIC = "gigz.suggestion.v1"
TABLES = """
create table if not exists sets (
    user_id text not null, entry_id text not null, rev integer not null, origin text not null, reason text,
    body text not null, primary key (user_id, entry_id)
) without rowid;
create table if not exists suggestions (
    suggestion_id text primary key, user_id text not null, entry_id text not null, rank integer not null,
    concert_id text not null, artist text not null, night text not null, confidence real not null, band text not null,
    foreign key (user_id, entry_id) references sets (user_id, entry_id) on delete cascade
) without rowid;
create table if not exists places (
    topic text not null, part integer not null, next integer not null, primary key (topic, part)
) without rowid;
"""


def open_database(path: str) -> sqlite3.Connection:
    """The state, with its tables."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("pragma foreign_keys = on")
    database.execute("pragma secure_delete = on")  # what was erased is not to be found in the file either
    database.executescript(TABLES)
    return database


def apply(database: sqlite3.Connection, records: Iterable[ConsumerRecord]) -> int:
    """One batch, in one transaction; how many rows changed. A batch that comes again changes nothing."""
    changed = 0
    database.execute("begin immediate")
    try:
        for record in records:
            if record.offset < place_of(database, record.topic, record.partition):
                continue  # written before; only Kafka was not told
            changed += _one(database, record.key, record.value)
            database.execute(
                "insert into places values (?, ?, ?) on conflict do update set next = excluded.next",
                (record.topic, record.partition, record.offset + 1),
            )
        database.execute("commit")
    except BaseException:
        database.execute("rollback")
        raise
    return changed


def place_of(database: sqlite3.Connection, topic: str, part: int) -> int:
    """The first offset that was not written."""
    row = database.execute("select next from places where topic = ? and part = ?", (topic, part)).fetchone()
    return 0 if row is None else int(row[0])


def _one(database: sqlite3.Connection, key: bytes | None, value: bytes | None) -> int:
    user, slash, entry = (key or b"").decode().partition("/")
    if value is None:
        # Keys that name nobody stand behind an erasure's tombstones, to have the broker forget: nothing to do.
        gone = "delete from sets where user_id = ? and entry_id = ?"
        return database.execute(gone, (user, entry)).rowcount if slash else 0
    found: Mapping[str, Any] = json.loads(value)
    there = database.execute(
        "select rev from sets where user_id = ? and entry_id = ?", (found["user"], found["entry_id"])
    ).fetchone()
    if there is not None and found.get("rev", 0) <= there[0]:
        return 0
    database.execute(
        "insert into sets values (?, ?, ?, ?, ?, ?) on conflict do update set rev = excluded.rev, "
        "origin = excluded.origin, reason = excluded.reason, body = excluded.body",
        (
            *(found["user"], found["entry_id"], found.get("rev", 0), found.get("origin", "entry")),
            *(found.get("reason"), value.decode()),
        ),
    )
    database.execute("delete from suggestions where user_id = ? and entry_id = ?", (found["user"], found["entry_id"]))
    database.executemany(
        "insert into suggestions values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(one["suggestion_id"], found["user"], found["entry_id"], one["rank"], one["concert_id"]),
                *(one["concert"]["artist"], one["concert"]["night"], one["confidence"], one["band"]),
            )
            for one in found.get("suggestions", ())
        ],
    )
    return 1


async def consume(
    kafka: str, database: sqlite3.Connection, stopping: asyncio.Event, *, group: str, until_idle_s: float | None = None
) -> int:
    """Read, write, tell Kafka, in that order; how many rows changed."""
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=kafka,
        group_id=group,
        enable_auto_commit=False,  # a commit by the clock would pass what was not written yet
        auto_offset_reset="earliest",  # compacted: the oldest messages are the present state
    )
    await consumer.start()
    changed, silent_s = 0, 0.0
    try:
        while not stopping.is_set() and (until_idle_s is None or silent_s < until_idle_s):
            batches = await consumer.getmany(timeout_ms=500, max_records=500)
            if not batches:
                silent_s += 0.5 if consumer.assignment() else 0.0
                continue
            silent_s = 0.0
            changed += apply(database, (record for records in batches.values() for record in records))
            ends: dict[TopicPartition, int] = {part: records[-1].offset + 1 for part, records in batches.items()}
            await consumer.commit(ends)
    finally:
        await consumer.stop()
    return changed


async def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kafka", default="localhost:19092", help="host:port[,host:port]")
    parser.add_argument("--database", default="suggestions.sqlite")
    parser.add_argument("--group", default="my-app", help="yours: Gigz reads with groups that begin with gigz-")
    parser.add_argument("--until-idle", type=float, default=None, metavar="S")
    told = parser.parse_args()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with contextlib.closing(open_database(told.database)) as database:
        changed = await consume(told.kafka, database, stopping, group=told.group, until_idle_s=told.until_idle)
        sets = database.execute("select count(*) from sets").fetchone()[0]
        shown = database.execute("select count(*) from suggestions").fetchone()[0]
    sys.stdout.write(json.dumps({"changed": changed, "sets": sets, "suggestions": shown}) + "\n")


if __name__ == "__main__":
    asyncio.run(main())

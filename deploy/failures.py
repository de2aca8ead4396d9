"""What may go wrong around a stage: which errors pass, by the stores' own codes; how long to wait; how a process ends.

    PASSES     it may pass by itself: the same work is done again until the deadline
    BAD_DATA   it names the data: they are halved down to the bad one, which becomes a rejection
    REFUSES    it will not pass by itself: settings, rights or tables are wrong; stop at once
    SPENT      this process's client can do no more, a new process can: stop at once, start again

A code that stands in no table REFUSES: trying again would only hide it. docs/operations/failures.md shows the tables
with their sources, and what to do about each failure; a test compares the two.
"""

import asyncio
import os
import random
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, TypeVar

import structlog
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from deploy.garbage import leave_imports_alone
from deploy.settings import PREFIX, Settings, SettingsError
from schemas.outgoing import Origin

T = TypeVar("T")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
log = structlog.get_logger()
LETTING_GO_S = 0.5
"""For cancelled work to end; what has not ended by then is left behind."""


class Exit(IntEnum):
    """Exit codes of `gigz worker`; those above 64 are sysexits.h's. The offset is unmoved in all but the first."""

    STOPPED = 0
    BUG = 1
    HALTED = 65
    """EX_DATAERR: too large a share of the messages was rejected."""
    GONE = 66
    """EX_NOINPUT: messages, partitions or topics that were to be read are not there any more."""
    TAKEN = 69
    """EX_UNAVAILABLE: another process has this instance number."""
    AWAY = 75
    """EX_TEMPFAIL: Kafka or a store stayed away until the deadline. Starting again is right."""
    SETTINGS = 78
    """EX_CONFIG: a setting, a right or a table is wrong."""


class Meaning(StrEnum):
    """What an error means for work that is done again."""

    PASSES = "passes"
    BAD_DATA = "bad data"
    REFUSES = "refuses"
    SPENT = "spent"


P, D, R, S = Meaning.PASSES, Meaning.BAD_DATA, Meaning.REFUSES, Meaning.SPENT
Table = Mapping[str, tuple[str, Meaning]]
"""Code (a class of codes, where it is shorter than a code) -> the store's own name of it, and what it means."""

KAFKA: Table = {
    "2": ("CORRUPT_MESSAGE", P),
    "3": ("UNKNOWN_TOPIC_OR_PARTITION", P),
    "5": ("LEADER_NOT_AVAILABLE", P),
    "6": ("NOT_LEADER_OR_FOLLOWER", P),
    "7": ("REQUEST_TIMED_OUT", P),
    "8": ("BROKER_NOT_AVAILABLE", P),
    "9": ("REPLICA_NOT_AVAILABLE", P),
    "13": ("NETWORK_EXCEPTION", P),
    "14": ("COORDINATOR_LOAD_IN_PROGRESS", P),
    "15": ("COORDINATOR_NOT_AVAILABLE", P),
    "16": ("NOT_COORDINATOR", P),
    "19": ("NOT_ENOUGH_REPLICAS", P),
    "20": ("NOT_ENOUGH_REPLICAS_AFTER_APPEND", P),
    "41": ("NOT_CONTROLLER", P),
    "51": ("CONCURRENT_TRANSACTIONS", P),
    "56": ("KAFKA_STORAGE_ERROR", P),
    "70": ("FETCH_SESSION_ID_NOT_FOUND", P),
    "71": ("INVALID_FETCH_SESSION_EPOCH", P),
    "74": ("FENCED_LEADER_EPOCH", P),
    "75": ("UNKNOWN_LEADER_EPOCH", P),
    "78": ("OFFSET_NOT_AVAILABLE", P),
    "88": ("UNSTABLE_OFFSET_COMMIT", P),
    "89": ("THROTTLING_QUOTA_EXCEEDED", P),
    "10": ("MESSAGE_TOO_LARGE", D),
    "18": ("RECORD_LIST_TOO_LARGE", D),
    "87": ("INVALID_RECORD", D),
    "22": ("ILLEGAL_GENERATION", P),
    "25": ("UNKNOWN_MEMBER_ID", P),
    "27": ("REBALANCE_IN_PROGRESS", P),
    "45": ("OUT_OF_ORDER_SEQUENCE_NUMBER", S),
    "47": ("INVALID_PRODUCER_EPOCH", S),
    "59": ("UNKNOWN_PRODUCER_ID", S),
    "82": ("FENCED_INSTANCE_ID", S),
    "90": ("PRODUCER_FENCED", S),
    "-1": ("UNKNOWN_SERVER_ERROR", R),
    "17": ("INVALID_TOPIC_EXCEPTION", R),
    "23": ("INCONSISTENT_GROUP_PROTOCOL", R),
    "26": ("INVALID_SESSION_TIMEOUT", R),
    "29": ("TOPIC_AUTHORIZATION_FAILED", R),
    "30": ("GROUP_AUTHORIZATION_FAILED", R),
    "31": ("CLUSTER_AUTHORIZATION_FAILED", R),
    "33": ("UNSUPPORTED_SASL_MECHANISM", R),
    "34": ("ILLEGAL_SASL_STATE", R),
    "35": ("UNSUPPORTED_VERSION", R),
    "44": ("POLICY_VIOLATION", R),
    "58": ("SASL_AUTHENTICATION_FAILED", R),
    "81": ("GROUP_MAX_SIZE_REACHED", R),
}
KAFKA_CLIENT: Table = {
    "KafkaConnectionError": ("no connection, or it broke", P),
    "KafkaTimeoutError": ("no answer in time", P),
    "KafkaUnavailableError": ("no broker answers", P),
    "NoBrokersAvailable": ("no broker answers", P),
    "NodeNotReadyError": ("not connected yet", P),
    "MetadataEmptyBrokerList": ("the brokers are not known yet", P),
    "StaleMetadata": ("the leaders moved", P),
    "TooManyInFlightRequests": ("too much is under way", P),
    "Cancelled": ("the client dropped the request", P),
    "CorrelationIdError": ("an answer to another request: the connection is made anew", P),
    "KafkaProtocolError": ("an answer that cannot be read: the connection is made anew", P),
    "CommitFailedError": ("the group moved on before the commit: the batch is read again", P),
    "IllegalStateError": ("the partition went before the commit: the batch is read again", P),
    "KafkaError": ("whatever the client found no other name for", P),
    "RecordTooLargeError": ("larger than the client may fetch", D),
    "ProducerClosed": ("the producer stopped for good", S),
    "ProducerFenced": ("another producer took over", S),
    "AuthenticationFailedError": ("user or password", R),
    "AuthenticationMethodNotSupported": ("the way of signing in", R),
    "IncompatibleBrokerVersion": ("a broker too old", R),
    "UnrecognizedBrokerVersion": ("a broker of unknown age", R),
}
"""Failures that aiokafka finds itself, without a code of the protocol: by class."""

POSTGRES: Table = {
    "08": ("connection_exception", P),
    "40": ("transaction_rollback", P),
    "53": ("insufficient_resources", P),
    "55P03": ("lock_not_available", P),
    "57": ("operator_intervention", P),
    "58": ("system_error", P),
    "25006": ("read_only_sql_transaction", P),
    "22": ("data_exception", D),
    "23": ("integrity_constraint_violation", D),
    "54": ("program_limit_exceeded", D),
    "28": ("invalid_authorization_specification", R),
    "3D": ("invalid_catalog_name", R),
    "3F": ("invalid_schema_name", R),
    "42501": ("insufficient_privilege", R),
    "42P01": ("undefined_table", R),
    "42703": ("undefined_column", R),
    "42704": ("undefined_object", R),
    "XX": ("internal_error", R),
}
NO_CONNECTION = {"OperationalError", "InterfaceError"}
"""Of the driver, and of SQLAlchemy around it: without a code they are about the connection."""
REPORT_IT = "the code is in no table of docs/operations/failures.md: report it"
POSTGRES_NOT_MIGRATED = ("3F", "42P01", "42703", "42704")

CLICKHOUSE: Table = {
    "3": ("UNEXPECTED_END_OF_FILE", P),
    "74": ("CANNOT_READ_FROM_FILE_DESCRIPTOR", P),
    "75": ("CANNOT_WRITE_TO_FILE_DESCRIPTOR", P),
    "159": ("TIMEOUT_EXCEEDED", P),
    "160": ("TOO_SLOW", P),
    "173": ("CANNOT_ALLOCATE_MEMORY", P),
    "198": ("DNS_ERROR", P),
    "202": ("TOO_MANY_SIMULTANEOUS_QUERIES", P),
    "203": ("NO_FREE_CONNECTION", P),
    "209": ("SOCKET_TIMEOUT", P),
    "210": ("NETWORK_ERROR", P),
    "225": ("NO_ZOOKEEPER", P),
    "236": ("ABORTED", P),
    "241": ("MEMORY_LIMIT_EXCEEDED", P),
    "242": ("TABLE_IS_READ_ONLY", P),
    "243": ("NOT_ENOUGH_SPACE", P),
    "252": ("TOO_MANY_PARTS", P),
    "279": ("ALL_CONNECTION_TRIES_FAILED", P),
    "285": ("TOO_FEW_LIVE_REPLICAS", P),
    "286": ("UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE", P),
    "319": ("UNKNOWN_STATUS_OF_INSERT", P),
    "394": ("QUERY_WAS_CANCELLED", P),
    "425": ("SYSTEM_ERROR", P),
    "439": ("CANNOT_SCHEDULE_TASK", P),
    "473": ("DEADLOCK_AVOIDED", P),
    "499": ("S3_ERROR", P),
    "733": ("TABLE_IS_BEING_RESTARTED", P),
    "745": ("SERVER_OVERLOADED", P),
    "999": ("KEEPER_EXCEPTION", P),
    "16": ("NO_SUCH_COLUMN_IN_TABLE", R),
    "60": ("UNKNOWN_TABLE", R),
    "81": ("UNKNOWN_DATABASE", R),
    "164": ("READONLY", R),
    "192": ("UNKNOWN_USER", R),
    "497": ("ACCESS_DENIED", R),
    "516": ("AUTHENTICATION_FAILED", R),
}
CLICKHOUSE_NOT_MIGRATED = ("16", "60", "81")

MEILISEARCH: Table = {
    "internal": ("type: the engine failed", P),
    "system": ("type: a limit of the machine", P),
    "too_many_search_requests": ("code", P),
    "no_space_left_on_device": ("code", P),
    "too_many_open_files": ("code", P),
    "io_error": ("code", P),
    "database_size_limit_reached": ("code", P),
    "invalid_document_id": ("code", D),
    "missing_document_id": ("code", D),
    "invalid_document_fields": ("code", D),
    "invalid_document_geo_field": ("code", D),
    "invalid_document_geojson_field": ("code", D),
    "document_fields_limit_reached": ("code", D),
    "max_fields_limit_exceeded": ("code", D),
    "malformed_payload": ("code", D),
    "payload_too_large": ("code", D),
    "auth": ("type: the key, or its rights", R),
    "invalid_request": ("type: not what this version takes", R),
}
"""By code, and by type where the code says nothing."""

TABLES: Mapping[str, Table] = {
    "kafka": KAFKA,
    "kafka client": KAFKA_CLIENT,
    "postgres": POSTGRES,
    "clickhouse": CLICKHOUSE,
    "meilisearch": MEILISEARCH,
}


def meaning(table: Table, *codes: str) -> Meaning:
    """Of the first of these codes that the table knows, as it is or by its class; REFUSES when it knows none."""
    for code in codes:
        for length in range(len(code), 1 if table is POSTGRES else len(code) - 1, -1):
            if code[:length] in table:
                return table[code[:length]][1]
    return Meaning.REFUSES


def kafka_meaning(error: KafkaError) -> Meaning:
    """Of an error of Kafka's protocol by its number, of the client's own by its class."""
    number = getattr(error, "errno", None)
    if number is not None:
        return meaning(KAFKA, str(number))
    return meaning(KAFKA_CLIENT, *(kind.__name__ for kind in type(error).__mro__ if issubclass(kind, KafkaError)))


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's five letters; empty when the failure was not the server's answer."""
    return getattr(getattr(error, "orig", None) or error, "sqlstate", None) or ""


def postgres_meaning(error: DBAPIError | PoolTimeoutError | OSError) -> Meaning | None:
    """Of an error of PostgreSQL by its SQLSTATE; None for a mistake in our use of the driver.

    A connection that was lost or never made passes, whatever was said last; a code that stands in no table refuses.
    """
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return Meaning.PASSES
    if code := sqlstate(error):
        return meaning(POSTGRES, code)
    kinds = {kind.__name__ for one in (error, error.orig) for kind in type(one).__mro__}
    return Meaning.PASSES if kinds & NO_CONNECTION else None


def in_no_table(code: str) -> bool:
    """Whether PostgreSQL's code is one that nobody thought of: it refuses."""
    return not any(code[:length] in POSTGRES for length in range(2, len(code) + 1))


def in_a_line(error: BaseException) -> str:
    """What an error says, the driver's own words where SQLAlchemy wraps them, in one line of 300 characters at most."""
    return " ".join(str(getattr(error, "orig", None) or error).split())[:300] or type(error).__name__


def check_deadline(settings: Settings) -> None:
    """SettingsError when a stage would try for longer than Kafka lets it be silent."""
    if settings.retry_deadline_s >= settings.poll_interval_s:
        raise SettingsError(
            f"{PREFIX}RETRY_DEADLINE_S is {settings.retry_deadline_s:g}, {PREFIX}POLL_INTERVAL_S is "
            f"{settings.poll_interval_s:g}: Kafka would take the partitions first. Remedy: make the former smaller."
        )


def pauses(jitter: Callable[[], float] = random.random) -> Iterator[float]:
    """Seconds between tries: they double from 0.2 to 10, half of each is chance, so that not all come at once."""
    pause = FIRST_PAUSE_S
    while True:
        yield pause * (0.5 + jitter() / 2)
        pause = min(2 * pause, LONGEST_PAUSE_S)


async def answered(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """What the work gives. TimeoutError after `seconds`, even when the work cannot be cancelled.

    psycopg and threads wait without end for a server that took the request and went silent: they are left behind.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=LETTING_GO_S)
    except asyncio.CancelledError:
        task.cancel()
        task.add_done_callback(_unheard)
        raise
    if not task.done() or task.cancelled():
        task.add_done_callback(_unheard)
        raise TimeoutError(f"no answer within {seconds:.3g} s")
    return task.result()


def _unheard(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()  # asyncio would log that nobody asked


def run_process(main: Coroutine[Any, Any, int]) -> int:
    """Run a process's main coroutine; its exit code. Ends the process itself when something cannot be ended.

    A task or a thread that waits for a store which went silent would keep the process for as long as that store likes.
    What matters is committed by then, or will be read again.
    """
    leave_imports_alone()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        code = loop.run_until_complete(main)
    except SettingsError:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        raise
    except Exception:
        log.exception("bug: the offset has not moved, the batch will be read again. Remedy: report it")
        code = Exit.BUG
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # it is ending, with its own code
    if asyncio.all_tasks(loop) or threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    asyncio.set_event_loop(None)
    loop.close()
    return code


class TooManyRejections(Exception):
    """So much is bad that the fault is hardly the data's: the stage halts before the batch that broke the limit."""


@dataclass
class RejectionWindow:
    """The share of rejections among the last `size` messages, of which `limit` may be rejected."""

    size: int
    limit: float
    _batches: deque[tuple[int, int]] = field(default_factory=deque)
    _read: int = 0
    _rejected: int = 0

    def count(self, read: int, rejected: Collection[str], places: Iterable[tuple[Origin, Origin]]) -> None:
        """Count a batch by the keys of its rejections, each the place where a message stood first. TooManyRejections.

        `places`: where each message stands, and stood first; looked at only where something was rejected. What an
        operator sent again is known to be bad: it says nothing of the source or the release. Where a message and what
        was sent again of it are of one batch, one of the two is new.
        """
        known = _known_before(rejected, places) if rejected else 0
        self.add(read - known, len(rejected) - known)

    def add(self, read: int, rejected: int) -> None:
        """Count a batch. TooManyRejections when more are rejected than a full window may have, full or not."""
        self._batches.append((read, rejected))
        self._read += read
        self._rejected += rejected
        while self._read - self._batches[0][0] >= self.size:
            gone, gone_rejected = self._batches.popleft()
            self._read -= gone
            self._rejected -= gone_rejected
        if self._rejected > self.limit * max(self.size, self._read):
            raise TooManyRejections(
                f"{self._rejected} of the last {self._read} messages were rejected; of a window of {self.size} "
                f"{PREFIX}REJECTION_SHARE_LIMIT={self.limit:g} allows {self.limit * self.size:.0f}. Nothing is lost, "
                "the offset has not moved. Remedy: see the reasons with `gigz rejections`; correct the source or the "
                f"release, then start again; when they are right, raise {PREFIX}REJECTION_SHARE_LIMIT."
            )


def _known_before(rejected: Iterable[str], places: Iterable[tuple[Origin, Origin]]) -> int:
    again, new = set(), Counter[str]()
    for stands, first in places:
        if stands == first:
            new[str(first)] += 1
        else:
            again.add(str(first))
    return sum(max(0, number - new[key]) for key, number in Counter(rejected).items() if key in again)

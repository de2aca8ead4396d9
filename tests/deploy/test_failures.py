"""Which errors pass, how long is tried, how a process ends; and that the page for operators says the same."""

import asyncio
import itertools
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

import gigz
from deploy import failures
from deploy.failures import (
    KAFKA,
    KAFKA_CLIENT,
    POSTGRES,
    Exit,
    Meaning,
    RejectionWindow,
    Table,
    TooManyRejections,
    answered,
    check_deadline,
    kafka_meaning,
    meaning,
    pauses,
    postgres_meaning,
)
from deploy.settings import SettingsError, load
from schemas.outgoing import Origin
from sinks.errors import BadRows, StoreAway, StoreRefuses
from sinks.postgres import store_error
from spiders.delivery import seen
from streams import retry
from tests.support import ROOT

PAGE = (ROOT / "docs/operations/failures.md").read_text(encoding="utf-8")
HEADINGS = {
    "kafka": "Kafka",
    "kafka client": "Kafka client",
    "postgres": "Postgres",
    "clickhouse": "ClickHouse",
    "meilisearch": "Meilisearch",
}


def table_under(heading: str) -> dict[str, tuple[str, ...]]:
    """First column, in backquotes, -> the others, of the table under a heading."""
    part = re.split(r"^#+ ", PAGE.split(f" {heading}\n", 1)[1], maxsplit=1, flags=re.M)[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): tuple(cell.strip() for cell in row[1:]) for row in rows}


@pytest.mark.parametrize("store", failures.TABLES)
def test_the_page_has_the_codes_that_the_stages_go_by(store: str) -> None:
    ours: Table = failures.TABLES[store]
    assert table_under(HEADINGS[store]) == {code: (name, found.value) for code, (name, found) in ours.items()}


def test_the_page_and_the_help_have_every_exit_code() -> None:
    told = {code: row[0] for code, row in table_under("Exit codes of `gigz worker`").items()}
    assert told == {str(int(code)): code.name for code in Exit}
    shown = CliRunner().invoke(gigz.app, ["worker", "--help"]).output
    assert {int(number) for number in re.findall(r"\b\d+\b", shown)} >= {int(code) for code in Exit}


def test_the_runbook_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 15
    assert named <= written, named - written


def test_kafkas_retriable_errors_are_those_that_its_client_calls_so() -> None:
    known = [kind for kind in vars(kafka_errors).values() if isinstance(kind, type)]
    errors: list[Any] = [kind for kind in known if issubclass(kind, kafka_errors.KafkaError)]
    for kind in errors:
        number = getattr(kind, "errno", None)
        if kind.retriable:
            assert (KAFKA[str(number)] if number is not None else KAFKA_CLIENT[kind.__name__])[1] is Meaning.PASSES
    numbers = {str(kind.errno): kind for kind in errors if getattr(kind, "errno", None) is not None}
    assert set(KAFKA) - set(numbers) == {"74", "75", "78", "81", "82", "87", "88", "89", "90"}  # newer than it


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (kafka_errors.NotLeaderForPartitionError(), Meaning.PASSES),
        (kafka_errors.KafkaConnectionError(), Meaning.PASSES),
        (kafka_errors.CommitFailedError(), Meaning.PASSES),
        (kafka_errors.MessageSizeTooLargeError(), Meaning.BAD_DATA),
        (kafka_errors.TopicAuthorizationFailedError(), Meaning.REFUSES),
        (kafka_errors.AuthenticationFailedError(), Meaning.REFUSES),
        (kafka_errors.OutOfOrderSequenceNumber(), Meaning.SPENT),
        (kafka_errors.ProducerFenced(), Meaning.SPENT),
    ],
)
def test_an_error_of_kafka_is_judged_by_its_number_or_its_class(error: kafka_errors.KafkaError, means: Meaning) -> None:
    assert kafka_meaning(error) is means


@pytest.mark.parametrize(
    ("code", "means"),
    [
        ("40P01", Meaning.PASSES),
        ("53300", Meaning.PASSES),
        ("57P03", Meaning.PASSES),
        ("22P05", Meaning.BAD_DATA),
        ("54000", Meaning.BAD_DATA),
        ("42P01", Meaning.REFUSES),
        ("42601", Meaning.REFUSES),
    ],
)
def test_a_code_of_postgres_is_judged_by_itself_or_by_its_class(code: str, means: Meaning) -> None:
    assert meaning(POSTGRES, code) is means


def test_postgres_codes_are_named_as_postgres_names_them() -> None:
    for code, (name, _) in POSTGRES.items():
        if len(code) == 5:
            assert pg.lookup(code).__name__.lower() == name.replace("_", "")


def test_pauses_grow_to_ten_seconds_and_half_of_each_is_chance() -> None:
    longest, shortest = (list(itertools.islice(pauses(lambda: chance), 9)) for chance in (1.0, 0.0))  # noqa: B023
    assert [round(pause, 3) for pause in longest] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10]
    assert shortest == [pause / 2 for pause in longest]
    assert len({next(pauses()) for _ in range(20)}) == 20


def test_a_deadline_that_reaches_the_poll_interval_is_refused() -> None:
    check_deadline(load({"retry_deadline_s": 9, "poll_interval_s": 10}))
    with pytest.raises(SettingsError, match=r"GIGZ_RETRY_DEADLINE_S is 10, GIGZ_POLL_INTERVAL_S is 10.*Remedy"):
        check_deadline(load({"retry_deadline_s": 10, "poll_interval_s": 10}))


async def test_what_cannot_be_cancelled_is_left_behind() -> None:
    async def deaf() -> None:
        while True:
            try:
                await asyncio.sleep(5)
                return
            except asyncio.CancelledError:
                continue

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await answered(deaf(), 0.05)
    waiting = asyncio.ensure_future(answered(deaf(), 60))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert time.monotonic() - began < 2
    assert await answered(asyncio.sleep(0, "done"), 1) == "done"


HANGING = """
import asyncio, sys, threading, time
from deploy.failures import run_process
async def main():
    threading.Thread(target=time.sleep, args=(60,)).start()
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
    asyncio.ensure_future(asyncio.sleep(60))
    {ending}
sys.exit(run_process(main()))
"""


@pytest.mark.parametrize(("ending", "code"), [("return 75", 75), ("return 0", 0), ("raise KeyError('ours')", 1)])
def test_a_process_ends_with_its_code_whatever_hangs_in_it(ending: str, code: int) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HANGING.format(ending=ending)], cwd=ROOT, timeout=30, check=False, capture_output=True
    )
    assert done.returncode == code, done.stderr
    assert time.monotonic() - began < 20
    assert (b"bug: the offset has not moved" in done.stdout + done.stderr) is (code == 1)


def of_postgres(code: str, kind: type[Exception] = pg.Error, *, invalidated: bool = False) -> DBAPIError:
    original = kind("told so")
    original.sqlstate = code or None  # type: ignore[attr-defined]
    return DBAPIError("select", {}, original, connection_invalidated=invalidated)


TOLD = [
    (of_postgres("57P01"), Meaning.PASSES),
    (of_postgres("55P03"), Meaning.PASSES),
    (of_postgres("55006"), Meaning.REFUSES),  # its class is not the code that passes
    (of_postgres("22P05"), Meaning.BAD_DATA),
    (of_postgres("23514"), Meaning.BAD_DATA),
    (of_postgres("42P01"), Meaning.REFUSES),
    (of_postgres("42601"), Meaning.REFUSES),  # in no table
    (of_postgres("42601", invalidated=True), Meaning.PASSES),  # said on a connection that is gone
    (of_postgres("", pg.OperationalError), Meaning.PASSES),
    (of_postgres("", pg.InterfaceError), Meaning.PASSES),
    (of_postgres("", pg.ProgrammingError), None),  # the driver's own word on what we asked of it
]


@pytest.mark.parametrize(("error", "meant"), TOLD)
def test_an_error_of_postgres_means_the_same_to_stages_and_sinks(error: DBAPIError, meant: Meaning | None) -> None:
    kinds = {Meaning.PASSES: StoreAway, Meaning.BAD_DATA: BadRows, Meaning.REFUSES: StoreRefuses}
    assert postgres_meaning(error) == meant
    assert retry.verdict(error) == (None if meant is None else ("postgres", meant))
    if meant is None:
        with pytest.raises(DBAPIError):
            store_error(error)
    else:
        assert type(store_error(error)) is kinds[meant]


@pytest.mark.parametrize(("error", "meant"), TOLD)
async def test_what_a_crawl_remembers_is_written_again_when_that_may_help_and_only_then(
    error: DBAPIError, meant: Meaning | None
) -> None:
    tries = iter([error])

    async def write() -> str:
        for failed in tries:
            raise failed
        return "written"

    settings = load({"postgres_url": "postgresql://u:p@localhost:1/db", "retry_deadline_s": 5})
    if meant is Meaning.PASSES:
        assert await seen.persist(write, settings) == "written"
    else:
        with pytest.raises(DBAPIError):
            await seen.persist(write, settings)


async def test_a_code_of_postgres_that_nobody_thought_of_ends_both_with_a_word_to_report_it() -> None:
    async def write() -> None:
        raise of_postgres("42601")

    settings = load({"postgres_url": "postgresql://u:p@localhost:1/db"})
    with pytest.raises(retry.Refused, match=r"42601.*offset has not moved.*report it"):
        await retry.Patience(settings, asyncio.Event()).persist(write, "postgres")
    assert "report it" in str(store_error(of_postgres("42601")))


def window(*batches: tuple[int, int]) -> Callable[[], None]:
    def add() -> None:
        made = RejectionWindow(size=100, limit=0.5)
        for read, rejected in batches:
            made.add(read, rejected)

    return add


def test_a_window_halts_when_more_is_rejected_than_it_may_have() -> None:
    window(*[(10, 5)] * 50)()
    with pytest.raises(TooManyRejections, match=r"55 of the last 100.*GIGZ_REJECTION_SHARE_LIMIT=0.5.*Remedy"):
        window(*[(10, 5)] * 49, (10, 10))()


def test_a_window_that_is_not_full_halts_as_soon_as_it_could_not_be_saved() -> None:
    window((50, 50))()
    with pytest.raises(TooManyRejections, match="51 of the last 51"):
        window((50, 50), (1, 1))()


def test_a_window_moves_on_and_forgets_what_fell_out() -> None:
    window((60, 50), *[(60, 0)] * 9, (60, 50))()
    with pytest.raises(TooManyRejections):
        window((50, 50), (50, 0), (60, 45), (30, 30))()


def test_of_what_was_sent_again_only_what_is_rejected_beyond_the_new_is_known() -> None:
    made = RejectionWindow(size=100, limit=0.5)
    one, other, later = (Origin("gigz.raw-event.v1", 0, n) for n in (1, 2, 9))
    made.count(3, [str(one), str(one)], [(one, one), (later, one), (other, other)])  # the new one, and it again
    made.count(2, [str(one)], [(one, one), (later, one)])  # one of the two: it may be the new one
    made.count(2, [str(one), str(one)], [(later, one), (other, one)])  # sent again twice
    made.count(1, ["gigz.raw-event.v1:-1:-1"], [(later, one)])  # what came of it was too large: not the same rejection
    assert [tuple(batch) for batch in made._batches] == [(2, 1), (2, 1), (0, 0), (1, 1)]


def test_where_messages_stood_is_not_asked_while_nothing_is_rejected() -> None:
    made = RejectionWindow(size=100, limit=0.5)
    made.count(5, [], (pytest.fail("asked") for _ in range(5)))
    assert list(made._batches) == [(5, 0)]

"""`gigz top` and `gigz status`: rows from what workers tell, in 80 columns, and who is down told plainly."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console
from rich.screen import Screen

from deploy.meters import FOLDER, target
from deploy.settings import environment_for, load
from deploy.watching import readings
from deploy.watching.commands import workers_table
from deploy.watching.readings import (
    DOWN,
    FROZEN,
    OK,
    ORDER,
    STARTS,
    STUCK,
    WAITS,
    Reading,
    Row,
    Target,
    by_stage,
    compare,
    forget_dead,
    parse,
    published,
    targets,
)
from deploy.watching.screen import COLORS, frame, number, seconds, size
from tests.support import ROOT

NOON = datetime(2026, 3, 1, 12, 0, 5)
LISTING = "gigz.listing.v1"


def at(seconds_: float, name: str, page: str, pid: int = 7) -> Reading:
    stage, _, _ = name.rpartition("-")
    return Reading(Target(name, stage, "127.0.0.1:1", pid, 1.0), seconds_, OK, "", parse(page))


def consumed(messages: int, rejected: int = 0, cpu: float = 0.0) -> str:
    return (
        "# TYPE gigz_messages_consumed_total counter\n"
        f'gigz_messages_consumed_total{{stage="resolve",topic="{LISTING}"}} {messages}\n'
        "# TYPE gigz_messages_rejected_total counter\n"
        f'gigz_messages_rejected_total{{stage="resolve",reason="bad_date"}} {rejected}\n'
        "# TYPE gigz_lag_messages gauge\n"
        f'gigz_lag_messages{{stage="resolve",topic="{LISTING}"}} 40\n'
        'gigz_lag_messages{stage="resolve",topic="gigz.venue.v1"} 2\n'
        "# TYPE gigz_lag_seconds gauge\n"
        f'gigz_lag_seconds{{stage="resolve",topic="{LISTING}"}} 12.5\n'
        'gigz_lag_seconds{stage="resolve",topic="gigz.venue.v1"} 3\n'
        "# TYPE process_cpu_seconds_total counter\n"
        f"process_cpu_seconds_total {cpu}\n"
    )


def relayed(topic: str, messages: int) -> str:
    return (
        "# TYPE gigz_messages_produced_total counter\n"
        f'gigz_messages_produced_total{{stage="relay",topic="{topic}"}} {messages}\n'
    )


# -- from pages to rows ---------------------------------------------------------------------------------------------


def test_rates_are_taken_of_two_readings_of_the_same_process() -> None:
    before = [at(10, "resolve-1", consumed(1_000, 5, 1.0))]
    [row] = compare([at(12, "resolve-1", consumed(1_600, 9, 2.5))], before)
    assert (row.into, row.rejected, row.cpu) == (300, 2, 0.75)
    assert (row.lag, row.lag_s) == (42, 12.5)
    [anew] = compare([at(12, "resolve-1", consumed(3), pid=8)], before)
    assert anew.into is None and anew.lag == 42, "started anew: nothing to subtract"


def test_what_the_relay_publishes_counts_for_the_stage_that_wrote_it() -> None:
    now = [at(12, "resolve-1", consumed(1_600)), at(12, "relay-1", relayed("gigz.concert.v1", 50))]
    before = [at(10, "resolve-1", consumed(1_600)), at(10, "relay-1", relayed("gigz.concert.v1", 30))]
    assert published(now, before) == {"gigz.concert.v1": 10}
    resolve, relay = by_stage(compare(now, before), published(now, before))
    assert (resolve.out, relay.out) == (10, 10)


def test_a_stages_row_adds_up_its_processes_and_has_the_worst_of_their_states() -> None:
    rows = [
        Row("match-1", "match", into=5, lag=10, lag_s=3, partitions=12, cpu=0.5, memory=100),
        Row("match-2", "match", state=DOWN, problems=("match-2 is down",)),
        Row("match-3", "match", into=7, lag=20, lag_s=60, commit_s=4, partitions=12, cpu=0.25, memory=100),
        Row("normalise-1", "normalise"),
    ]
    first, match = by_stage(rows, {})
    assert first.stage == "normalise", "in the order of the flow"
    assert (match.name, match.processes, match.state) == ("match", 3, DOWN)
    assert (match.into, match.lag, match.lag_s, match.commit_s) == (12, 30, 60, 4)
    assert (match.partitions, match.cpu, match.memory) == (24, 0.75, 200)
    assert match.problems == ("match-2 is down",)


def test_the_api_is_told_by_its_requests_and_those_that_failed() -> None:
    def page(ok: int, failed: int) -> str:
        return (
            "# TYPE http_requests_total counter\n"
            f'http_requests_total{{method="GET",path="/v1/suggestions",status="200"}} {ok}\n'
            f'http_requests_total{{method="GET",path="/v1/suggestions",status="503"}} {failed}\n'
        )

    [row] = compare([at(12, "api-1", page(50, 6))], [at(10, "api-1", page(30, 2))])
    assert (row.into, row.rejected, row.lag) == (12, 2, None)


# -- who there is -------------------------------------------------------------------------------------------------


def leave(home: Path, name: str, **labels: str) -> None:
    (home / FOLDER).mkdir(exist_ok=True)
    entry = target(name, name.rpartition("-")[0], "127.0.0.1:1")
    entry["labels"] |= labels
    (home / FOLDER / f"{name}.json").write_text(json.dumps([entry]))


def test_workers_are_found_by_their_files_and_known_by_pid_and_start(tmp_path: Path) -> None:
    leave(tmp_path, "sink-postgres-2")
    leave(tmp_path, "resolve-1", __meta_create_time="1.0")  # another process has its pid by now
    (tmp_path / FOLDER / "match-1.json").write_text("[{")
    one, two = targets(tmp_path)
    assert (one.name, one.stage, one.process) == ("resolve-1", "resolve", None)
    assert (two.name, two.stage) == ("sink-postgres-2", "sink-postgres")
    assert two.process == psutil.Process()
    forget_dead(tmp_path)
    assert [one.name for one in targets(tmp_path)] == ["sink-postgres-2"]


async def test_a_worker_that_is_gone_is_down_and_says_so(tmp_path: Path) -> None:
    leave(tmp_path, "resolve-1", __meta_create_time="1.0")
    [reading] = await readings.read(targets(tmp_path))
    assert reading.state == DOWN
    [row] = compare([reading], [])
    assert row.problems == ("resolve-1 is down: start it again, its log says why it ended",)


def test_a_worker_that_ended_and_took_its_file_along_is_known_by_the_stacks_record(tmp_path: Path) -> None:
    from deploy.local.processes import Processes

    process = Processes(tmp_path).start("normalise-1", [sys.executable, "-c", ""], environment={})
    process.wait(10)
    [one] = targets(tmp_path)
    assert (one.name, one.stage, one.address, one.process) == ("normalise-1", "normalise", "", None)


# -- on the screen --------------------------------------------------------------------------------------------------


def drawn(rows: list[Row], width: int = 80, every_s: float | None = None) -> str:
    console = Console(file=StringIO(), width=width, emoji=False, highlight=False)
    console.print(frame(rows, NOON, every_s))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def widest(stage: str) -> Row:
    rates = {"into": 99_999.0, "out": 99_999.0, "rejected": 9_999.0, "cpu": 23.99}
    ages = {"lag_s": 86_399.0, "commit_s": 86_399.0}
    return Row(f"{stage}-1", stage, 24, FROZEN, lag=99_999, partitions=168, memory=99_900_000_000, **rates, **ages)


def test_the_widest_figures_fit_in_eighty_columns_uncut() -> None:
    text = drawn([widest(stage) for stage in ORDER], every_s=2)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80 and "…" not in text, text
    assert len(lines) <= 24
    for part in ("→ meilisearch ×24", "99,999", "9,999", "23h59", "2399%", "99.9G"):
        assert part in text, part


def test_a_small_terminal_shows_what_is_wrong_and_what_waits() -> None:
    told = "match-1 is down: it ended, and nobody started it again"
    wrong = replace(Row("match-1", "match"), state=DOWN, problems=(told,))
    rows = [wrong if stage == "match" else Row(f"{stage}-1", stage, lag=98_765, lag_s=61.0) for stage in ORDER]
    for width, height in ((60, 24), (40, 12), (40, 8)):
        out = StringIO()
        console = Console(file=out, width=width, height=height)
        console.print(Screen(frame(rows, NOON, 2.0, width, height)))
        shown = [line.rstrip() for line in out.getvalue().splitlines()]
        assert len(shown) == height and max(map(len, shown)) <= width
        assert told in " ".join("".join(line.ljust(width) for line in shown).split())
        (head,) = [line for line in shown if line.startswith("stage")]
        assert {"state", "lag", "age"} <= set(head.split())
        first = shown[shown.index(head) + 1].split()
        assert {"98,765", "1m01"} <= set(first)


def test_a_worker_that_is_down_is_told_in_words() -> None:
    rows = [Row("resolve-1", "resolve", state=DOWN, problems=("resolve-1 is down: start it again",))]
    text = drawn(rows)
    assert "! resolve-1 is down: start it again" in text and "down" in text.splitlines()[3]


def test_nobody_there_is_told_with_a_remedy() -> None:
    assert "Remedy" in drawn([])


def test_every_state_has_its_color() -> None:
    assert {OK, STARTS, WAITS, STUCK, DOWN} <= set(COLORS)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (0, "0"), (0.01, "<0.1"), (0.44, "0.4"), (9.94, "9.9"), (9.96, "10"), (99_999, "99,999"),
        (100_000, "100k"), (999_400, "999k"), (999_600, "1.0M"), (12_345_678, "12.3M"), (1e9, "1.0G"),
    ],
)  # fmt: skip
def test_numbers_take_six_characters_at_most(value: float | None, text: str) -> None:
    assert number(value) == text and len(text) <= 6


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (0, "0s"), (0.5, "0.5s"), (9.96, "10s"), (59.4, "59s"), (59.6, "1m00"), (61, "1m01"),
        (3_599.7, "1h00"), (86_399, "23h59"), (86_400, "1d"), (8_640_000, "100d"),
    ],
)  # fmt: skip
def test_durations_take_five_characters_at_most(value: float | None, text: str) -> None:
    assert seconds(value) == text and len(text) <= 5


def test_sizes_take_five_characters_at_most() -> None:
    assert [size(n) for n in (0, 87_000_000, 999_400_000, 1_200_000_000)] == ["", "87M", "999M", "1.2G"]


def test_three_processes_of_every_stage_fit_in_the_table_of_status() -> None:
    rows = [replace(widest(stage), name=f"{stage}-{n}", processes=1) for stage in ORDER for n in (1, 2, 3)]
    console = Console(file=StringIO(), width=80, emoji=False, highlight=False)
    console.print(workers_table(rows, by_stage(rows, {}), {"resolve": 77}, {}))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = text.splitlines()
    assert len(lines) == 1 + 4 * len(ORDER) and max(map(len, lines)) <= 80 and "…" not in text, text
    [resolve] = [line for line in lines if line.startswith("resolve ×3")]
    assert " 77 " in resolve, "Kafka's own count, where there is one"


# -- as commands ----------------------------------------------------------------------------------------------------


def gigz(home: Path, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
    environment = environment_for(load({"home": home})) | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    return subprocess.Popen([sys.executable, str(ROOT / "gigz.py"), *arguments], env=environment, cwd=ROOT, **options)


def test_top_once_prints_one_screen_and_leaves(tmp_path: Path) -> None:
    leave(tmp_path, "resolve-1", __meta_create_time="1.0")
    out, err = gigz(tmp_path, "top", "--once", stdout=subprocess.PIPE, stderr=subprocess.PIPE).communicate(timeout=60)
    text = out.decode()
    assert "resolve" in text and "! resolve-1 is down" in text and "\x1b" not in text, text + err.decode()


def test_status_tells_of_a_worker_that_is_down_for_people_and_for_machines(tmp_path: Path) -> None:
    leave(tmp_path, "resolve-1", __meta_create_time="1.0")
    leave(tmp_path, "resolve-2", __meta_create_time="1.0")
    out, _ = gigz(tmp_path, "status", stdout=subprocess.PIPE).communicate(timeout=60)
    text = out.decode()
    assert "resolve ×2" in text and "! resolve-2 is down" in text and "kafka" in text
    out, _ = gigz(tmp_path, "status", "--json", stdout=subprocess.PIPE).communicate(timeout=60)
    told = {one["name"]: one for one in json.loads(out)["processes"]}
    assert told["resolve-1"]["state"] == "died" and told["kafka"]["state"] == "stopped"


class Terminal:
    """`gigz top` at a terminal of 80 columns."""

    def __init__(self, home: Path) -> None:
        self.master, slave = pty.openpty()
        self.process = gigz(home, "top", "--every", "0.5", stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.said = b""

    def until(self, what: bytes, times: int = 1) -> None:
        deadline = time.monotonic() + 60
        while self.said.count(what) < times:
            assert time.monotonic() < deadline, self.said
            if select.select([self.master], [], [], 0.2)[0]:
                self.said += os.read(self.master, 65_536)

    def ended(self) -> int:
        while self.process.poll() is None:
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.said += os.read(self.master, 65_536)
                except OSError:  # it closed its side
                    break
        return self.process.wait(10)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.mark.parametrize("leaving", ["q", "Ctrl-C"])
def test_top_redraws_without_clearing_and_leaves_the_terminal_as_it_was(tmp_path: Path, leaving: str) -> None:
    leave(tmp_path, "resolve-1", __meta_create_time="1.0")
    terminal = Terminal(tmp_path)
    try:
        terminal.until(b"q leaves", times=4)
        if leaving == "q":
            os.write(terminal.master, b"q")
        else:
            terminal.process.send_signal(signal.SIGINT)
        assert terminal.ended() == 0
        said = terminal.said
        assert said.count(b"\x1b[2J") <= 1, "it is drawn over, not wiped"
        assert said.count(b"\x1b[?1049h") == said.count(b"\x1b[?1049l") == 1, "the other screen, and back"
        assert said.count(b"\x1b[?25l") == said.count(b"\x1b[?25h"), "the cursor is back"
        assert b"Traceback" not in said
    finally:
        terminal.close()


def test_a_row_is_plain_json() -> None:
    told = json.loads(json.dumps(replace(widest("match"), problems=("x",)).as_json()))
    assert told["lag"] == 99_999 and told["problems"] == ["x"]

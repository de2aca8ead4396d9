"""Workers that are killed, stores that stop, input that comes otherwise: the end is the same. A check that can fail.

`make faults` runs the same for longer: docs/operations/faults.md.
"""

import contextlib
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.room import python_environment
from tests.faults.boundaries import ANYWHERE, BOUNDARIES, OF_STAGE, Marks
from tests.faults.driver import settings_for, unaccounted
from tests.faults.end_state import Tables, compare, load_tables
from tests.faults.known_input import known_input
from tests.faults.plan import Kill, plan
from tests.faults.worker import StepGone, step
from tests.support import ROOT

SEED = 7
MESSAGES = 400


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Of all runs of this module: they share the run without faults."""
    folder = Path(tempfile.mkdtemp(prefix="gigz-fault-runs-")).resolve()
    folder.chmod(0o711)  # under root, PostgreSQL runs as another user
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def reaped(*homes: Path) -> Iterator[None]:
    """Helper processes that stop engines which this one, killed, could not."""
    script = str(ROOT / "tests" / "reaper.py")
    reapers = [
        subprocess.Popen(
            [sys.executable, script, str(os.getpid()), str(home)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        for home in homes
    ]
    try:
        yield
    finally:
        for reaper in reapers:
            reaper.terminate()
            reaper.wait()


def run(folder: Path, scenario: str, *arguments: str) -> list[str]:
    """`make faults` with these arguments: what it prints, when all is well."""
    argv = [sys.executable, "-m", "tests.faults.driver", "--seed", str(SEED), "--scenario", scenario, *arguments]
    own = folder / scenario
    with reaped(own / "without", own / "faults" if scenario == "kills" else own / scenario):
        done = subprocess.run(
            [*argv, "--folder", str(own)],
            cwd=ROOT,
            env=python_environment(dict(os.environ)),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6_000:]
    lines = done.stdout.strip().splitlines()
    assert lines[0].startswith(f"seed {SEED}: ")
    assert lines[-1].startswith(f"PASS seed {SEED} {scenario}: ")
    return lines


@pytest.mark.stack
@pytest.mark.timeout(900)
def test_a_dozen_kills_a_store_that_stops_and_a_broker_that_restarts_change_nothing(folder: Path) -> None:
    lines = run(folder, "kills", "--kills", "12", "--messages", str(MESSAGES), "--store-stop-s", "5")
    assert "12 kills (" in lines[-1] and "1 store stops, 1 broker restarts" in lines[-1]
    assert all(boundary in lines[-1] for boundary in BOUNDARIES)

    tables = load_tables(folder / "kills" / "end.json.gz")
    assert not any(tables[name] for name in tables if name.startswith("checks."))
    for table, rows in tables.items():
        for key, row in list(rows.items())[:1]:
            _lost_is_caught(tables, table, key)
            _doubled_is_caught(tables, table, key)
            if "version" in row:
                _an_older_version_is_caught(tables, table, key)


def _lost_is_caught(tables: Tables, table: str, key: str) -> None:
    found = {**tables, table: {name: row for name, row in tables[table].items() if name != key}}
    (told,) = compare(tables, found)
    assert (told.table, told.key, told.found) == (table, key, None) and "is missing" in str(told)


def _doubled_is_caught(tables: Tables, table: str, key: str) -> None:
    found = {**tables, table: {**tables[table], f"{key} again": tables[table][key]}}
    (told,) = compare(tables, found)
    assert (told.table, told.expected) == (table, None) and "should not be there" in str(told)


def _an_older_version_is_caught(tables: Tables, table: str, key: str) -> None:
    changed = copy.deepcopy(tables[table])
    changed[key]["version"] -= 1
    (told,) = compare(tables, {**tables, table: changed})
    assert (told.table, told.key, told.column, told.found) == (table, key, "version", told.expected - 1)


@pytest.mark.stack
@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_input_in_another_order_and_twice_and_two_workers_of_every_stage_give_the_same(folder: Path) -> None:
    run(folder, "both", "--messages", str(MESSAGES))


@pytest.mark.stack
@pytest.mark.long
@pytest.mark.timeout(3_000)
def test_one_message_among_ten_thousand_that_cannot_be_used_is_one_rejection(folder: Path) -> None:
    lines = run(folder, "poison", "--messages", "10000")
    assert "9,999 messages used, 1 rejected" in lines[-1]


def test_the_same_seed_makes_the_same_input_and_tries_the_same() -> None:
    one, other = known_input(3, 500), known_input(3, 500)
    assert one == other != known_input(4, 500)
    assert len({sent.number for sent in one.all}) == 500
    assert plan(3, 40) == plan(3, 40) != plan(4, 40)


def test_an_input_has_what_goes_wrong_in_the_world() -> None:
    given = known_input(1, 10_000)
    kinds = Counter(sent.kind for sent in given.all)
    assert sum(kinds.values()) == 10_000 and kinds["poison"] == 100
    assert min(kinds[name] for name in ("setlist", "event", "venue", "artist", "entry", "backfill", "ended")) > 100
    bodies = Counter((sent.record.topic, sent.record.value) for sent in given.all if sent.record.value is not None)
    assert sum(count - 1 for count in bodies.values()) > 300, "the same again"
    ended = {(one.record.topic, one.record.key): n for n, one in enumerate(given.all) if one.kind == "ended"}
    assert all(ended.get((one.record.topic, one.record.key), n) >= n for n, one in enumerate(given.all))


@pytest.mark.parametrize("kills", [12, 40, 200])
def test_a_plan_has_every_boundary_and_as_many_kills_as_are_asked_for(kills: int) -> None:
    for seed in range(20):
        rounds = plan(seed, kills)
        tried = [kill for one in rounds for kill in one.kills]
        assert len(tried) == kills
        assert {kill.boundary for kill in tried} == set(BOUNDARIES)
        assert all(kill.boundary in (*OF_STAGE[kill.stage], ANYWHERE) for kill in tried)
        assert all(len({kill.name for kill in one.kills}) == len(one.kills) for one in rounds)
        stopped = Counter(one.outage.engine for one in rounds if one.outage)
        assert stopped["kafka"] == (2 if kills >= 60 else 1)
        assert sum(stopped.values()) - stopped["kafka"] == (3 if kills >= 60 else 1)


def test_a_worker_is_told_once_where_to_die(tmp_path: Path) -> None:
    marks = Marks(tmp_path, "resolve-1")
    marks.at("after read")
    marks.plant("after write")
    marks.at("after read")  # another boundary than the one asked for: it lives
    assert marks.take_back() and not marks.take_back()
    assert marks.struck() is None
    script = (
        "import sys; from pathlib import Path; from tests.faults.boundaries import Marks\n"
        "Marks(Path(sys.argv[1]), 'resolve-1').at('after write', 3, 'listings'); print('alive')"
    )
    argv = [sys.executable, "-c", script, str(tmp_path)]
    marks.plant("after write")
    died = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (died.returncode, died.stdout) == (-9, "")
    struck = marks.struck()
    assert struck is not None and (struck.boundary, struck.in_hand, struck.what) == ("after write", 3, "listings")
    lived = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert lived.stdout == "alive\n"


def test_a_step_that_was_renamed_is_told_with_the_remedy() -> None:
    with pytest.raises(StepGone, match=r"Kill\.gone is gone\. Remedy"):
        step(Kill, "gone")
    with pytest.raises(StepGone, match="takes no harder any more"):
        step(Kill, "__init__", "name", "harder")


def test_every_message_is_looked_for_one_by_one() -> None:
    given = known_input(1, 200)
    nothing: Tables = {
        **{f"kafka.gigz.{name}.v1": {} for name in ("listing", "venue", "artist", "rejection")},
        "state.entries": {},
    }
    used, rejected, lost = unaccounted(given, nothing)
    assert (used, rejected, len(lost)) == (0, 0, 200)


def test_a_run_never_stops_a_server_that_is_not_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGZ_POSTGRES_URL", "postgresql://someone@db.example/gigz")
    assert settings_for(tmp_path).postgres_url == ""

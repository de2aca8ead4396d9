"""`python -I -m api.imports.worker`: reads files in a process of its own: none takes the API's time or memory.

A job is a line of JSON on standard input, its answers are lines on standard output, each `[what, value]`, the last one
`done` or `failed`. `api/imports/process.py` starts it, and ends it when it is silent for too long. It knows no store,
gets no environment, and opens only the files that a job names.

    intake     a file as it came -> the file that is kept: of photos only when and where
    dry_run    counts, samples, layouts; what could not be read goes to a file, and what could to another
    carry      what was known before, and what is read now -> which entries are which
    rows       what could be read, into a file
"""

import contextlib
import resource
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from api.imports.identity import Known, carried
from api.imports.intake import taken_in
from api.imports.jobs import Job
from api.imports.kept import known_in, rows_into
from api.imports.reading import read
from api.imports.reporting import report
from api.imports.shapes import Code, Corrections, Field, Format, ImportFailed, Limits
from api.imports.unmatched import writer
from api.imports.uploads import Upload
from matchers.dates import Order

MEMORY = 1_200_000_000
"""Bytes of address space: a reading takes up to 300 MB, a JSON document of 50 MB some 600 MB."""
CPU_S = 900
"""Processor time of one job: 200,000 rows take about a minute."""

Tell = Callable[[str, Any], None]


def corrections_of(told: Mapping[str, Any]) -> Corrections:
    """Corrections as they are stored: columns by field, date_order, separator, encoding."""
    return Corrections(
        {Field(name): tuple(columns) for name, columns in (told.get("mapping") or {}).items()},
        Order(told["date_order"].upper()) if told.get("date_order") else None,
        told.get("separator"),
        told.get("encoding"),
    )


def work(job: Job, tell: Tell) -> Any:
    """The answer to a job. ImportFailed for a file that cannot be imported."""
    limits = Limits(**job.limits)
    if job.do == "intake":
        return taken_in(Path(job.path), job.name, Path(job.out), limits)
    if job.do == "carry":
        return _carry(job)
    reading = read(
        replace(Upload.of_path(Path(job.path)), name=job.name),
        format=Format(job.format) if job.format else None,
        corrections=corrections_of(job.corrections),
        limits=limits,
    )

    def progress(done: int, total: int) -> None:
        tell("at", [done, total])

    if job.do == "dry_run":
        with Path(job.out).open("wb") as out, Path(job.entries).open("wb") as entries:
            return report(reading, refuse=writer(out, "unmatched.jsonl"), take=rows_into(entries), tell=progress)
    if job.do == "rows":
        with Path(job.entries).open("wb") as entries:
            take = rows_into(entries)
            for row in reading.rows(tell=progress):
                take(row)
        return {"rows": reading.total}
    raise ValueError(job.do)


def _known_before(path: str) -> Iterator[Known]:
    """What the API wrote out of its tables."""
    with Path(path).open("rb") as file:
        for line in file:
            entry_id, said, facts = orjson.loads(line)
            yield Known(entry_id, said, tuple(facts))


def _carry(job: Job) -> dict[str, Any]:
    """Ids that entries get instead of their own, into a file a line each; and those that the file has no more."""
    now = list(known_in(Path(job.now), job.doubtful))
    found = carried(list(_known_before(job.before)), now)
    with Path(job.out).open("wb") as out:
        for one, entry_id in zip(now, found.ids, strict=True):
            if one.entry_id != entry_id:
                out.write(orjson.dumps(["is", one.entry_id, entry_id]) + b"\n")
        for entry_id in found.gone:
            out.write(orjson.dumps(["gone", entry_id]) + b"\n")
    return {"gone": len(found.gone)}


# -- the process ------------------------------------------------------------------------------------------------------


def main() -> None:
    """Jobs until standard input ends."""
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever a library prints is no answer
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with contextlib.suppress(BrokenPipeError):
        for line in sys.stdin.buffer:
            used = resource.getrusage(resource.RUSAGE_SELF)
            resource.setrlimit(
                resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_S, resource.RLIM_INFINITY)
            )
            _answer(Job(**orjson.loads(line)), answers)


def _answer(job: Job, answers: BinaryIO) -> None:
    def tell(what: str, value: Any) -> None:
        answers.write(orjson.dumps([what, value]) + b"\n")
        if what == "at":
            answers.flush()

    try:
        tell("done", work(job, tell))
    except ImportFailed as error:
        tell("failed", [error.code.value, error.text])
    except (MemoryError, RecursionError):
        text = f"{job.name} takes more memory than one import may. Remedy: divide it, or save it as CSV"
        tell("failed", [Code.TOO_LARGE.value, text])
    except Exception as error:  # of our own making: the API says so, and goes on
        frames = traceback.extract_tb(error.__traceback__)
        where = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(frames[-6:]))
        print(f"import reader: {type(error).__name__} at {where}", file=sys.stderr, flush=True)  # noqa: T201
        text = f"{job.name} cannot be read: we stumbled over it. Remedy: save it as CSV or UTF-8 text, and try that"
        tell("failed", [Code.BAD_DOCUMENT.value, text])
    answers.flush()


if __name__ == "__main__":
    main()

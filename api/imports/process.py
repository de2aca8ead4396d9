"""The reader's processes: at most a few, warm, each with one job at a time, ended when a file keeps one silent.

    readers = Readers(most=2, silence_s=120)
    async with readers.job(Job("dry_run", ...)) as answers:
        async for what, value in answers: ...
    await readers.close()

A reader that failed, was left in the middle, or grew, is not used again: whatever a file did to it ends with it.

Errors
    ImportFailed    as the reader tells it, or too_slow: it was silent for too long, or its process died
"""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import psutil
import structlog

from api.imports.jobs import Job
from api.imports.shapes import Code, ImportFailed

log = structlog.get_logger()

LONGEST_ANSWER = 16 << 20
"""Bytes of one line: an entry has 100 kB, a dry run some hundred."""
LARGEST = 400_000_000
"""Bytes that a reader may keep between two jobs; fresh it has 230 MB, most of it the gazetteer."""
IDLE_S = 300.0
LARGE = 1_000_000
"""Bytes of a file, some twenty thousand rows: three seconds of a reader."""
PROGRAM = (sys.executable, "-I", "-m", "api.imports.worker")


class Readers:
    """Of one process of the API."""

    def __init__(self, most: int, silence_s: float) -> None:
        self._places = asyncio.Semaphore(most)
        self._large = asyncio.Semaphore(max(1, most - 1))
        """Of the places, those that large files may have: a list of a few shows waits for nobody's twenty years."""
        self._silence_s = silence_s
        self._idle: list[tuple[Process, float]] = []
        self._all: set[Process] = set()

    @asynccontextmanager
    async def job(self, job: Job) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        """What a reader answers, up to `done`. Left before that, its process ends."""
        async with self._large if _is_large(job) else contextlib.nullcontext(), self._places:
            process = await self._take()
            done = False

            async def answers() -> AsyncGenerator[tuple[str, Any], None]:
                nonlocal done
                assert process.stdin is not None and process.stdout is not None
                try:
                    process.stdin.write(job.line())
                    await process.stdin.drain()
                    while True:
                        line = await asyncio.wait_for(process.stdout.readline(), self._silence_s)
                        if not line:
                            raise _ended(job)
                        what, value = orjson.loads(line)
                        done = what in ("done", "failed")
                        if what == "failed":
                            raise ImportFailed(Code(value[0]), value[1])
                        yield what, value
                        if done:
                            return
                except TimeoutError:
                    raise _silent(job, self._silence_s) from None
                except (BrokenPipeError, ConnectionResetError):
                    raise _ended(job) from None

            told = answers()
            try:
                yield told
            finally:
                await told.aclose()
                if done and _size(process) < LARGEST:
                    self._idle.append((process, monotonic()))
                else:
                    await self._end(process)

    async def ask(self, job: Job) -> Any:
        """The last answer alone."""
        async with self.job(job) as answers:
            async for what, value in answers:
                if what == "done":
                    return value
        raise _ended(job)

    async def shed(self, idle_s: float = IDLE_S) -> None:
        """End those that had nothing to do for so long."""
        tired = [one for one in self._idle if monotonic() - one[1] >= idle_s]
        self._idle = [one for one in self._idle if one not in tired]
        for process, _ in tired:
            await self._end(process)

    async def close(self) -> None:
        """End them all."""
        for process in list(self._all):
            await self._end(process)
        self._idle.clear()

    async def _take(self) -> Process:
        while self._idle:
            process, _ = self._idle.pop()
            if process.returncode is None:
                return process
            await self._end(process)
        # No environment: what reads strangers' files knows no address and no secret.
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, stdin=PIPE, stdout=PIPE, limit=LONGEST_ANSWER, env={}, start_new_session=True
        )
        self._all.add(process)
        return process

    async def _end(self, process: Process) -> None:
        self._all.discard(process)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await process.stdin.wait_closed()


def _is_large(job: Job) -> bool:
    path = Path(job.path or job.now)
    return path.is_file() and path.stat().st_size > LARGE


def _size(process: Process) -> int:
    try:
        return int(psutil.Process(process.pid).memory_info().rss)
    except psutil.Error:
        return LARGEST


def _silent(job: Job, seconds: float) -> ImportFailed:
    log.warning("import_too_slow", job=job.do, seconds=seconds)
    text = f"{job.name} takes too long to read. Remedy: divide it into several files, or save it as CSV"
    return ImportFailed(Code.TOO_SLOW, text)


def _ended(job: Job) -> ImportFailed:
    log.error("import_reader_died", job=job.do)
    text = f"{job.name} cannot be read: the reader broke off. Remedy: divide it, or save it as CSV and try that"
    return ImportFailed(Code.TOO_SLOW, text)

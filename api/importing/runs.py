"""The work on imports, apart from the requests that ask for it: any process goes on with what another left.

    POST file --------> reading ---> ready ---apply--> applying --> applied --undo--> undoing --> undone
    POST setlist.fm -> fetching ^     | ^  |              |                             ^
                          |     +-PATCH-+  |              v                             |
                          +---> failed <---+----------- failed --------undo-------------+

A list that nobody may ask for any more today stays `fetching`, says so in `error`, and goes on when the day is over.
`reached` is the page, row or entry that is done; it is written with what was done, in one transaction. A first reading
that fails removes the upload; a correction that fails leaves the reading before it in force, and `error` says why.
"""

import asyncio
import contextlib
import os
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import structlog
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.errors import ApiError
from api.importing import files, writes
from api.importing.leases import Lease, LostLeaseError, advance, claim, is_at_work, put_off, step, waiting
from api.importing.turns import SetlistFmTurns
from api.imports.attended import AttendedList, QuotaUsed, quota_used
from api.imports.jobs import Job
from api.imports.kept import Entry, rows_in
from api.imports.process import Readers
from api.imports.shapes import Code, ImportFailed
from deploy.settings import Settings
from schemas.message import new_trace
from schemas.tables import ImportKind, ImportState

log = structlog.get_logger()

AT_ONCE = 12
"""Imports that one process works on: each takes a connection for a moment, and waits for a reader."""
MOST_TRIES = 5
"""Without getting on: whatever stops it will stop it again."""
LOOK_S = 2.0
LOOK_AGAIN_S = 0.2
"""For an import that another process works on, or that waits for another of the same user."""
SWEEP_S = 3_600.0
TELL_S = 0.5
"""Between two words of progress in the table."""
BAD_STORE = (OperationalError, InterfaceError, PoolTimeout, OSError)
"""A bad world: it is waited for. Any other error of the store is ours."""

COPIES = text(
    """
    select import_id from state.imports
    where user_id = :user and state = 'applied' and import_id <> :id and file_hash = :file_hash
        and corrections = cast(:corrections as jsonb) and (applied_at, created_at) > (:at, :made_at)
    """
)


@dataclass
class Work:
    """One import at work: its lease, its row when it was taken, a folder that goes when it is done."""

    lease: Lease
    row: Any
    folder: Path
    trace: str

    def path(self, name: str) -> Path:
        """A file of the folder."""
        return self.folder / name

    @property
    def doubtful(self) -> bool:
        """Whether entries of doubtful rows are taken as well."""
        return bool(self.row.options.get("doubtful", True))

    def job(self, do: str, **more: Any) -> Job:
        """What a reader is asked, with the corrections that are in force."""
        told = self.row.wish if do == "dry_run" else self.row.corrections
        given = {name: told[name] for name in ("mapping", "date_order", "separator", "encoding") if told.get(name)}
        return Job(do, str(self.path("upload")), self.row.name, told.get("format"), given, **more)


class ImportRuns:
    """Of one process. `wake` begins or goes on with one import; `start` looks for those that others left."""

    def __init__(self, settings: Settings, engine: AsyncEngine, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._me = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._places = asyncio.Semaphore(AT_ONCE)
        self._turns = SetlistFmTurns(settings, engine, self._me)
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._closed = False
        self.following: dict[str, int] = {}
        """User -> open streams of progress."""
        self.readers = Readers(settings.imports_at_once, settings.import_silence_s)

    def start(self) -> None:
        """Look for imports that nobody works on, and for uploads that were kept for long enough, until `close`."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())

    def wake(self, import_id: UUID) -> "asyncio.Task[None] | None":
        """Go on with this import, if it wants it. None: the process is about to end."""
        task = self._tasks.get(import_id)
        if self._closed:
            return None
        if task is None or task.done():
            task = self._tasks[import_id] = asyncio.create_task(self._work(import_id))
            task.add_done_callback(lambda _: self._tasks.pop(import_id, None))
        return task

    async def settled(self, import_id: UUID, seconds: float) -> None:
        """Go on with it, and wait for so long at most; another process may have been quicker to take it."""
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0 and (task := self.wake(import_id)) is not None:
            await asyncio.wait([task], timeout=left)
            if not await is_at_work(self._engine, import_id):
                return
            await asyncio.sleep(min(LOOK_AGAIN_S, left))

    async def close(self) -> None:
        """Stop where it is; whoever comes next goes on."""
        self._closed = True
        tasks = [*self._tasks.values(), *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._looking = None
        await self.readers.close()

    async def _look(self) -> None:
        swept = float("-inf")
        await asyncio.to_thread(files.clear_folders)
        while True:
            try:
                for import_id in await waiting(self._engine):
                    self.wake(import_id)
                if monotonic() - swept > SWEEP_S:
                    await files.sweep(self._engine, self._clock(), self._settings.import_keep_days)
                    swept = monotonic()
            except BAD_STORE as error:
                log.warning("imports_not_looked_for", error=type(error).__name__)
            await self.readers.shed()
            await asyncio.sleep(LOOK_S)

    # -- one import ---------------------------------------------------------------------------------------------------

    async def _work(self, import_id: UUID) -> None:
        """Until it rests: read after it is fetched. Never raises but to be cancelled."""
        async with self._places:
            try:
                while await self._once(import_id):
                    pass
                for other in await waiting(self._engine):
                    if other != import_id:
                        self.wake(other)  # of the same user, perhaps: it waited for this one
            except BAD_STORE as error:  # the lease runs out, and the work goes on where it is
                log.warning(
                    "import_interrupted",
                    error=type(error).__name__,
                    sqlstate=getattr(getattr(error, "orig", None), "sqlstate", None),
                )

    async def _once(self, import_id: UUID) -> bool:
        claimed = await claim(self._engine, self._me, self._settings.import_lease_s, import_id)
        if claimed is None:
            return False
        lease, row = claimed
        work = asyncio.current_task()
        assert work is not None
        renewing = asyncio.create_task(_renew(lease, work))
        try:
            with files.folder() as folder:
                await self._go_on(Work(lease, row, Path(folder), new_trace()))
            return True
        except (LostLeaseError, ApiError) as error:  # another process has it; the user was erased
            log.info("import_left", error=type(error).__name__)
            return False
        finally:
            renewing.cancel()
            with contextlib.suppress(*BAD_STORE, asyncio.CancelledError):
                await asyncio.shield(lease.release())

    async def _go_on(self, work: Work) -> None:
        ways = {
            ImportState.FETCHING: self._fetch,
            ImportState.READING: self._read,
            ImportState.APPLYING: self._apply,
            ImportState.UNDOING: self._undo,
        }
        state = ImportState(work.row.state)
        try:
            if work.row.tries > MOST_TRIES:
                raise ImportFailed(
                    Code.TOO_SLOW, f"{work.row.name}: it broke off {MOST_TRIES} times. Remedy: divide the file"
                )
            await ways[state](work)
        except ImportFailed as error:
            await self._fail(work, state, error)
        except (LostLeaseError, ApiError, *BAD_STORE):
            raise
        except Exception as error:  # its text may hold what somebody remembers: only where it happened is logged
            frames = reversed(traceback.extract_tb(error.__traceback__)[-8:])
            where = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in frames)
            log.error("import_failed", state=state.value, error=type(error).__name__, where=where)
            text = f"{work.row.name}: something went wrong on our side. Remedy: try once more; tell us if it stays so"
            await self._fail(work, state, ImportFailed(Code.BAD_DOCUMENT, text))

    async def _fail(self, work: Work, state: ImportState, error: ImportFailed) -> None:
        told = {"error": _told(error)}
        before_it = work.row.dry_run is not None and state is ImportState.READING
        after = ImportState.READY if before_it else ImportState.FAILED
        async with work.lease.writing() as connection:
            if before_it:
                told["wish"] = work.row.corrections
            elif state is ImportState.READING:
                await files.drop(connection, work.lease.import_id, "upload", "unmatched", "entries")
            await advance(connection, work.lease.import_id, state=after.value, **told)
            await self._step(connection, work, state, after, error.code.value)

    async def _step(
        self, connection: AsyncConnection, work: Work, before: ImportState, after: ImportState, why: str | None = None
    ) -> None:
        at = self._clock()
        await step(connection, work.lease.import_id, work.lease.user, before, after, at, self._me, why)

    def _hand(self, work: Work, corrects: UUID | None) -> writes.Hand:
        return writes.Hand(
            work.lease.import_id,
            work.lease.user,
            work.row.backfill,
            corrects,
            self._clock(),
            work.trace,
            self._settings.outbox_shards,
        )

    async def _upload(self, work: Work) -> None:
        if not await files.fetch(self._engine, work.lease.import_id, work.path("upload")):
            raise ImportFailed(
                Code.GONE, f"the upload of {work.row.name} was removed meanwhile. Remedy: upload the file again"
            )

    # -- fetching -----------------------------------------------------------------------------------------------------

    async def _fetch(self, work: Work) -> None:
        import_id, user = work.lease.import_id, work.lease.user
        name = str(work.row.options["setlistfm_user"])
        async with self._engine.connect() as connection:
            last = await files.last_piece(connection, import_id, "upload")
        number = 0 if last is None else last + 1
        pages = max(1, work.row.total) if number else 1
        key = self._settings.setlistfm_api_key.get_secret_value()
        told = {"user-agent": self._settings.user_agent}
        async with httpx.AsyncClient(base_url=self._turns.address, headers=told) as client:
            listed = AttendedList(client, name, key, self._turns)
            while number < pages:
                try:
                    page = await listed.page(number + 1)
                except QuotaUsed:
                    async with work.lease.writing() as connection:
                        until = await put_off(connection, import_id)
                        said = quota_used(number, pages if number else 0, until)
                        await advance(connection, import_id, error=_told(said))
                    return
                pages = page.pages
                number += 1
                async with work.lease.writing() as connection:
                    await files.keep_piece(connection, import_id, user, "upload", number - 1, page.lines)
                    await advance(connection, import_id, reached=number, total=max(number, pages), error=None, tries=0)
        async with work.lease.writing() as connection:
            await advance(connection, import_id, state=ImportState.READING.value, reached=0, total=0)
            await self._step(connection, work, ImportState.FETCHING, ImportState.READING)

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _read(self, work: Work) -> None:
        import_id = work.lease.import_id
        await self._upload(work)
        unmatched, entries = work.path("unmatched"), work.path("entries")
        told = await self._ask(work, work.job("dry_run", out=str(unmatched), entries=str(entries)))
        report = {name: told[name] for name in ("rows", "entries", "counts", "parts", "more_parts", "samples")}
        async with work.lease.writing() as connection:
            await files.drop(connection, import_id, "unmatched", "entries")
            await files.keep(connection, import_id, work.lease.user, "unmatched", unmatched)
            await files.keep(connection, import_id, work.lease.user, "entries", entries)
            await advance(
                connection,
                import_id,
                state=ImportState.READY.value,
                dry_run=report,
                corrections=work.row.wish,
                error=None,
                file_hash=told["file_hash"],
                size=work.path("upload").stat().st_size,
                reached=told["rows"],
                total=told["rows"],
                tries=0,
            )
            await self._step(connection, work, ImportState.READING, ImportState.READY)

    async def _ask(self, work: Work, job: Job) -> Any:
        """A reader's last answer; its progress goes into the table."""
        told_at = monotonic()
        async with self.readers.job(job) as answers:
            async for what, value in answers:
                if what == "done":
                    return value
                if what == "at" and monotonic() - told_at > TELL_S:
                    told_at = monotonic()
                    await work.lease.renew(*value if job.do == "dry_run" else ())
        raise LostLeaseError

    # -- applying -----------------------------------------------------------------------------------------------------

    async def _apply(self, work: Work) -> None:
        import_id = work.lease.import_id
        entries = await self._entries(work)
        corrects = await self._plan(work, entries)
        renamed, gone = await self._carried(work, entries, corrects)
        hand = self._hand(work, corrects)
        counts = dict(work.row.counts)
        rows, done = int(work.row.dry_run["rows"]), int(work.row.reached)
        withdraws = work.row.options.get("gone") == "withdraw"
        total = rows + len(gone) * withdraws

        async def write(batch: list[writes.Said], reached: int) -> None:
            async with work.lease.writing() as connection:
                for name, number in (await writes.put(connection, hand, batch)).items():
                    counts[name] = counts.get(name, 0) + number
                await advance(connection, import_id, reached=reached, total=total, counts=counts, tries=0)

        with contextlib.closing(rows_in(entries, work.doubtful, after=min(done, rows))) as left:
            while done < rows:
                batch, taken = _batch(left, renamed)
                done = done + taken if taken else rows
                await write(batch, done)
        if withdraws:
            for at in range(max(0, int(work.row.reached) - rows), len(gone), writes.BATCH):
                some = [writes.Said(entry_id) for entry_id in gone[at : at + writes.BATCH]]
                await write(some, rows + min(at + writes.BATCH, len(gone)))
        else:
            counts["gone"] = len(gone)
        async with work.lease.writing() as connection:
            now = self._clock()
            await files.drop(connection, import_id, "entries")
            await advance(
                connection, import_id, state=ImportState.APPLIED.value, counts=counts, applied_at=now, error=None
            )
            await self._step(connection, work, ImportState.APPLYING, ImportState.APPLIED)

    async def _entries(self, work: Work) -> Path:
        """What the dry run understood; read once more where that is not kept."""
        path = work.path("entries")
        if not await files.fetch(self._engine, work.lease.import_id, path, "entries"):
            await self._upload(work)
            await self._ask(work, work.job("rows", entries=str(path)))
        return path

    async def _plan(self, work: Work, entries: Path) -> UUID | None:
        """The import whose file this is, corrected: found once, and kept for whoever goes on."""
        options = work.row.options
        if options.get("planned"):
            return work.row.corrects  # type: ignore[no-any-return]
        hand = self._hand(work, None)
        async with self._engine.connect() as connection:
            candidates = await writes.earlier(connection, hand, work.row.name, work.row.file_hash)
        corrects = None
        if candidates:
            async with self._engine.connect() as connection:
                corrects = await writes.corrected(connection, hand, candidates, _ids_in(entries, work.doubtful))
        async with work.lease.writing() as connection:
            total = int(work.row.dry_run["rows"])
            planned = options | {"planned": True}
            await advance(connection, work.lease.import_id, options=planned, corrects=corrects, total=total)
        return corrects

    async def _carried(self, work: Work, entries: Path, corrects: UUID | None) -> tuple[dict[str, str], list[str]]:
        """Ids that entries get instead of their own, and ids that the file has no more."""
        if corrects is None:
            return {}, []
        before, out = work.path("before"), work.path("carried")
        await files.write(writes.known_of(self._engine, corrects), before)
        job = Job(
            "carry",
            name=work.row.name,
            out=str(out),
            doubtful=work.doubtful,
            before=str(before),
            now=str(entries),
        )
        await self._ask(work, job)
        renamed, gone = {}, []
        for kind, *ids in _lines_in(out):
            if kind == "is":
                renamed[ids[0]] = ids[1]
            else:
                gone.append(ids[0])
        return renamed, gone

    # -- undoing ------------------------------------------------------------------------------------------------------

    async def _undo(self, work: Work) -> None:
        import_id, counts, reached = work.lease.import_id, dict(work.row.counts), int(work.row.reached)
        hand = self._hand(work, None)
        asked = {"user": work.lease.user, "id": import_id, "file_hash": work.row.file_hash, "at": work.row.applied_at}
        asked |= {"made_at": work.row.created_at}
        async with self._engine.connect() as connection:
            same = asked | {"corrections": orjson.dumps(work.row.corrections).decode()}
            copies = list(await connection.scalars(COPIES, same)) if work.row.applied_at else []
        while True:
            async with work.lease.writing() as connection:
                took = await writes.take_back(connection, hand, copies)
                if took is None:
                    now = self._clock()
                    for one in (import_id, *copies):
                        more = {"counts": counts} if one == import_id else {}
                        await advance(
                            connection,
                            one,
                            state=ImportState.UNDONE.value,
                            undone_at=now if work.row.applied_at is None else max(now, work.row.applied_at),
                            **more,
                        )
                    await self._step(connection, work, ImportState.UNDOING, ImportState.UNDONE)
                    for one in copies:
                        why = f"the same file as {import_id}, which was undone"
                        before, after = ImportState.APPLIED, ImportState.UNDONE
                        await step(connection, one, work.lease.user, before, after, now, self._me, why)
                    return
                reached += sum(took[name] for name in ("withdrawn", "restored", "stayed"))
                for name, number in took.items():
                    counts[name] = counts.get(name, 0) + number
                await advance(connection, import_id, reached=reached, counts=counts, tries=0)


def _told(error: ImportFailed) -> dict[str, Any]:
    return {"code": error.code.value, "message": error.text.replace("\0", "")}


def _lines_in(path: Path) -> Iterator[list[Any]]:
    with path.open("rb") as file:
        yield from map(orjson.loads, file)


def _ids_in(path: Path, doubtful: bool) -> Iterator[list[str]]:
    ids = (entry[0] for entries in rows_in(path, doubtful) for entry in entries)
    while some := list(islice(ids, writes.AT_A_TIME)):
        yield some


def _batch(rows: Iterator[list[Entry]], renamed: Mapping[str, str]) -> tuple[list[writes.Said], int]:
    """The next rows' entries, about writes.BATCH of them, and how many rows these are."""
    batch, taken = list[writes.Said](), 0
    for taken, entries in enumerate(islice(rows, writes.BATCH), 1):  # noqa: B007
        for entry_id, said, facts, body in entries:
            batch.append(writes.Said(renamed.get(entry_id, entry_id), said, tuple(facts), body))
        if len(batch) >= writes.BATCH:
            break
    return batch, taken


async def _renew(lease: Lease, work: "asyncio.Task[None]") -> None:
    """Hold the lease while the work goes on; end the work when the lease is another's."""
    while True:
        await asyncio.sleep(lease.seconds / 3)
        try:
            await lease.renew()
        except LostLeaseError:
            work.cancel()
            return
        except BAD_STORE as error:
            log.warning("import_lease_not_renewed", error=type(error).__name__)


def needs_key(settings: Settings, kind: ImportKind) -> bool:
    """Whether a list cannot be fetched because nobody gave this Gigz a key."""
    return kind is ImportKind.SETLISTFM and not settings.setlistfm_api_key.get_secret_value()

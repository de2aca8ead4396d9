"""/v1/imports: upload, dry run, corrections, apply, report, what could not be read, progress, undo.

A call answers when its work is done, or after WAIT_S with the state that it is in: `reading`, `applying` and the like
go on by themselves, and `progress` tells of them.

The functions below the routes are what they do; the pages (api.pages.imports) call the same.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import orjson
from litestar import Response, Router, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import ServerSentEvent, Stream
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import TAKE, Answer, Cursor, Page, PageMeta, Take, cursor_of, place_of, plain
from api.calls import Call, Key, write_once
from api.errors import (
    AnyRequest,
    ApiError,
    ConflictError,
    Detail,
    InvalidError,
    NotFoundError,
    RateLimitedError,
    told,
)
from api.importing import files
from api.importing.leases import AT_WORK, advance, step
from api.importing.progress import MOST_FOLLOWING, PLACE, told_as_it_goes
from api.importing.runs import needs_key
from api.importing.unread import EXAMPLES, WAYS, lines_in
from api.importing.uploads import Received, may_hold_pictures, receive
from api.importing.views import (
    Answers,
    Apply,
    Corrected,
    Corrections,
    DryRunView,
    Failure,
    ImportBrief,
    ImportView,
    ProgressEvent,
    UploadOperation,
    answers_of,
    brief_of,
)
from api.importing.writes import MOST_LIVE
from api.imports.jobs import Job
from api.imports.shapes import Code, Format, ImportFailed
from api.imports.uploads import Upload
from api.services import Caller, Services
from api.stream import LastEventId
from deploy.inbox import ENTRIES
from schemas.tables import ImportKind, ImportState

WAIT_S = 7.0
"""Files of some thousand rows are read in that time; a call that takes longer answers with the state it is in."""

ONE = text(
    """
    select i.*, exists (select from state.import_pieces p where p.import_id = i.import_id and p.what = 'upload') as kept
    from state.imports i where i.import_id = :id and i.user_id = :user
    """
)
LIST = text(
    """
    select i.*, exists (select from state.import_pieces p where p.import_id = i.import_id and p.what = 'upload') as kept
    from state.imports i
    where i.user_id = :user and (cast(:before as timestamptz) is null or (created_at, import_id) < (:before, :after))
    order by created_at desc, import_id desc limit :most
    """
)
INSERT = text(
    """
    insert into state.imports (import_id, user_id, name, kind, state, size, wish, options)
    values (:id, :user, :name, cast(:kind as state.import_kind), cast(:state as state.import_state), :size,
        cast(:wish as jsonb), cast(:options as jsonb))
    """
)
LOCK = text("select * from state.imports where import_id = :id and user_id = :user for update")
FORGET = text("delete from state.imports where import_id = :id and user_id = :user and state = 'failed'")
FORGET_STEPS = text("delete from state.import_steps where import_id = :id and user_id = :user")
FORGET_CALL = text("delete from state.calls where user_id = :user and key = :key")
IN_FORCE = text("select count(*) from state.import_entries where import_id = :id and not undone")
ANSWERS = text(
    ENTRIES
    + """
select entries.state, entries.band = 'sure' as sure, count(*) as number
from state.import_entries said left join entries using (entry_id)
where said.import_id = :id and said.body is not null and not said.undone
group by 1, 2
"""
)


class Made(BaseModel):
    """What an Idempotency-Key is answered: which import it was."""

    import_id: UUID


Name = Annotated[
    str | None, QueryParameter(name="name", min_length=1, max_length=200, description="Of the file, with its suffix.")
]
Asked = Annotated[Format | None, QueryParameter(name="format", description="What it is; absent: its content tells.")]
As = Annotated[
    Literal["original", "jsonl", "csv"],
    QueryParameter(
        name="as",
        description="original: as they stood; jsonl, csv: with reason and remedy. In csv nothing is a formula.",
    ),
]


@post(
    "/",
    status_code=201,
    summary="Upload a file, a text, rows, or name a setlist.fm user; nothing is kept of it before `apply`",
    responses=told(400, 404, 409, missing=["service"]),
    opt={"limit": "import"},
    request_max_body_size=None,
    operation_class=UploadOperation,
)
async def upload(
    request: AnyRequest,
    services: NamedDependency[Services],
    user: NamedDependency[str],
    name: Name = None,
    format: Asked = None,
    idempotency_key: Key = None,
) -> Answer[ImportView]:
    """The dry run: what is understood, doubtful, unreadable and why. A file that cannot be imported is a 400."""
    plain("name", name)
    with files.folder() as folder:
        received = await receive(request, Path(folder), name, format)
        made = await take_in(services, user, received, Path(folder), idempotency_key)
    return Answer(data=await first_view(services, user, made, received.kind, idempotency_key))


async def take_in(services: Services, user: str, received: Received, folder: Path, key: str | None = None) -> Made:
    """Keep what was received, its pictures left out, and begin to read it.

    NotFoundError when it needs a key that this Gigz has not; InvalidError for a file that cannot be opened.
    """
    if needs_key(services.settings, received.kind):
        raise NotFoundError(
            "service", "This Gigz has no key for setlist.fm. Export the list there, and upload the file."
        )
    if received.path is not None:
        received = await _without_pictures(services, received, folder)
    return await _create(services, user, received, key)


async def first_view(
    services: Services, user: str, made: Made, kind: ImportKind, key: str | None = None, wait_s: float = WAIT_S
) -> ImportView:
    """The import once it is read, or after `wait_s`. InvalidError when it cannot be imported: nothing is left of it."""
    await services.imports.settled(made.import_id, wait_s)
    view = await view_of(services, user, made.import_id)
    if view.state is ImportState.FAILED and view.error is not None and view.error.code != Code.SERVICE_AWAY:
        await _forget(services, user, made.import_id, key)
        field = "setlistfm_user" if kind is ImportKind.SETLISTFM else "file"
        raise _refused(field, view.error)
    return view


async def _forget(services: Services, user: str, import_id: UUID, key: str | None) -> None:
    """A file that cannot be imported leaves nothing behind, and its key can be used again."""
    asked = {"id": import_id, "user": user, "key": key}
    async with services.engine.begin() as connection:
        await files.drop(connection, import_id, "upload", "unmatched", "entries")
        for statement in (FORGET, FORGET_STEPS, FORGET_CALL):
            await connection.execute(statement, asked)


async def _without_pictures(services: Services, received: Received, folder: Path) -> Received:
    """The file as it is kept. InvalidError for one that cannot be opened."""
    assert received.path is not None
    if not may_hold_pictures(received.path):
        return received
    out = folder / "kept"
    job = Job("intake", str(received.path), received.name, out=str(out))
    try:
        kept = await services.imports.readers.ask(job)
    except ImportFailed as error:
        raise _refused("file", Failure(code=error.code, message=error.text)) from None
    return Received(received.kind, kept["name"], Path(kept["path"]), received.format)


async def _create(services: Services, user: str, received: Received, key: str | None) -> Made:
    digest = None if received.path is None else await asyncio.to_thread(_digest, received.path)
    wish = {} if received.format is None else {"format": received.format.value}
    options = {} if received.setlistfm_user is None else {"setlistfm_user": received.setlistfm_user}
    fetching = received.path is None
    state = ImportState.FETCHING if fetching else ImportState.READING

    async def write(connection: AsyncConnection) -> Made:
        import_id = uuid4()
        told = {
            "id": import_id,
            "user": user,
            "name": received.name,
            "kind": received.kind.value,
            "state": state.value,
            "size": 0 if received.path is None else received.path.stat().st_size,
            "wish": orjson.dumps(wish).decode(),
            "options": orjson.dumps(options).decode(),
        }
        await connection.execute(INSERT, told)
        if received.path is not None:
            await files.keep(connection, import_id, user, "upload", received.path)
        await files.crowd_out(connection, user)
        await step(connection, import_id, user, None, state, services.clock(), "user")
        return Made(import_id=import_id)

    call = Call(user, key, ["import", received.kind.value, received.name, wish, options, digest])
    return await write_once(services.engine, call, Made, write)


def _digest(path: Path) -> str:
    return Upload.of_path(path).sha256()


@get("/", summary="Your imports, the latest first", responses=told(400))
async def list_imports(
    services: NamedDependency[Services], user: NamedDependency[str], take: Take = TAKE, cursor: Cursor = None
) -> Page[ImportBrief]:
    """Without their dry runs."""
    return await page_of(services, user, take, cursor)


async def page_of(services: Services, user: str, take: int, cursor: str | None) -> Page[ImportBrief]:
    """A page of the user's imports, the latest first. InvalidError for a cursor that is none."""
    before, after = _place(cursor)
    async with services.engine.connect() as connection:
        asked = {"user": user, "before": before, "after": after, "most": take + 1}
        rows = (await connection.execute(LIST, asked)).all()
    page = rows[:take]
    more = cursor_of([page[-1].created_at.isoformat(), str(page[-1].import_id)]) if len(rows) > take else None
    days = services.settings.import_keep_days
    return Page(data=[ImportBrief(**brief_of(row, days)) for row in page], meta=PageMeta(next_cursor=more, take=take))


@get("/{import_id:str}", summary="One import: dry run, or report", responses=told(404, missing=["import"]))
async def read_import(
    services: NamedDependency[Services], user: NamedDependency[str], import_id: FromPath[str]
) -> Answer[ImportView]:
    """What was understood; once applied, what became of it and what was found for it."""
    return Answer(data=await view_of(services, user, uuid_of(import_id)))


@patch(
    "/{import_id:str}",
    summary="Read it otherwise, before it is applied",
    responses=told(400, 404, 409, missing=["import"]),
)
async def correct_import(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    import_id: FromPath[str],
    data: JSONBody[Corrected | None] = None,
    idempotency_key: Key = None,
) -> Answer[ImportView]:
    """The dry run anew. A correction that does not fit is a 400, and the reading before it stays in force.

    Without a body: once more as it was, after a service was away.
    """
    return Answer(data=await correct(services, user, uuid_of(import_id), data or Corrected(), idempotency_key))


async def correct(
    services: Services, user: str, one: UUID, data: Corrected, key: str | None = None, wait_s: float = WAIT_S
) -> ImportView:
    """Read it otherwise. InvalidError when that does not fit; ConflictError when it is too late."""

    async def begin(connection: AsyncConnection, row: Any) -> None:
        if row.state not in (ImportState.READY, ImportState.FAILED) or row.applied_at is not None or row.counts:
            raise _conflict(row, "It is too late to correct how it is read: upload the corrected file or the same one.")
        wish = _merged(row.corrections if row.dry_run is not None else row.wish, data)
        fetching = row.kind == ImportKind.SETLISTFM and row.dry_run is None
        after = ImportState.FETCHING if fetching else ImportState.READING
        await advance(connection, one, state=after.value, wish=wish, error=None, tries=0)
        await step(connection, one, user, row.state, after, services.clock(), "user", "corrected")

    asked = ["correct", data.model_dump(mode="json", exclude_unset=True)]
    await _begin(services, user, one, key, asked, begin, wait_s)
    view = await view_of(services, user, one)
    if view.error is not None and view.state not in AT_WORK:
        field = "mapping" if view.error.code == Code.BAD_MAPPING else "file"
        raise _refused(field, view.error)
    return view


@post(
    "/{import_id:str}/apply",
    status_code=200,
    summary="Take it into the history",
    responses=told(400, 404, 409, missing=["import"]),
)
async def apply_import(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    import_id: FromPath[str],
    data: JSONBody[Apply | None] = None,
    idempotency_key: Key = None,
) -> Answer[ImportView]:
    """Its entries, and the report. Applied twice: the same answer. The same file again adds nothing."""
    return Answer(data=await apply(services, user, uuid_of(import_id), data or Apply(), idempotency_key))


async def apply(
    services: Services, user: str, one: UUID, how: Apply, key: str | None = None, wait_s: float = WAIT_S
) -> ImportView:
    """Take it into the history. ConflictError when it is not ready."""

    async def begin(connection: AsyncConnection, row: Any) -> None:
        if row.state in (ImportState.APPLYING, ImportState.APPLIED):
            return
        again = row.state == ImportState.FAILED and row.options.get("planned")
        if row.state != ImportState.READY and not again:
            raise _conflict(row, "Only an import that is ready can be applied.")
        options = row.options if again else row.options | how.model_dump()
        reached = row.reached if again else 0
        backfill = int(row.dry_run["entries"]) > MOST_LIVE
        await advance(
            connection,
            one,
            state=ImportState.APPLYING.value,
            options=options,
            reached=reached,
            total=row.dry_run["rows"],
            backfill=backfill,
            error=None,
            tries=0,
        )
        await step(connection, one, user, row.state, ImportState.APPLYING, services.clock(), "user")

    await _begin(services, user, one, key, ["apply", how.model_dump()], begin, wait_s)
    return await view_of(services, user, one)


@post(
    "/{import_id:str}/undo",
    status_code=200,
    summary="Take the whole import back",
    responses=told(400, 404, 409, missing=["import"]),
)
async def undo_import(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    import_id: FromPath[str],
    idempotency_key: Key = None,
) -> Answer[ImportView]:
    """What it added is withdrawn, what it changed gets its text back; what others brought as well stays.

    Decisions stay as they are: a confirmed show remains in the journal, and can be undone there. Undone twice: the
    same answer.
    """
    return Answer(data=await undo(services, user, uuid_of(import_id), idempotency_key))


async def undo(services: Services, user: str, one: UUID, key: str | None = None, wait_s: float = WAIT_S) -> ImportView:
    """Take it back. ConflictError when it was not applied."""

    async def begin(connection: AsyncConnection, row: Any) -> None:
        if row.state in (ImportState.UNDOING, ImportState.UNDONE):
            return
        partly = row.state == ImportState.FAILED and row.options.get("planned")
        if row.state != ImportState.APPLIED and not partly:
            raise _conflict(row, "Only an import that was applied can be undone.")
        total = int(await connection.scalar(IN_FORCE, {"id": one}) or 0)
        await advance(connection, one, state=ImportState.UNDOING.value, reached=0, total=total, error=None, tries=0)
        await step(connection, one, user, row.state, ImportState.UNDOING, services.clock(), "user")

    await _begin(services, user, one, key, ["undo import"], begin, wait_s)
    return await view_of(services, user, one)


@get(
    "/{import_id:str}/unmatched",
    summary="The rows that could not be read",
    responses=told(400, 404, missing=["import"]),
    opt={"texts": EXAMPLES},
)
async def read_unmatched(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    import_id: FromPath[str],
    shape: As = "original",
) -> Stream:
    """As they were, to be corrected and uploaded; or each with its reason and what would help."""
    return await unread(services, user, uuid_of(import_id), shape)


async def unread(services: Services, user: str, one: UUID, shape: str) -> Stream:
    """The rows that could not be read, as a file in one of WAYS."""
    async with services.engine.connect() as connection:
        row = await _row(connection, user, one)
    way = WAYS[shape]
    lines = lines_in(files.pieces(services.engine, one, "unmatched"))
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", row.name.rpartition(".")[0] or row.name)[:60]
    headers = {"content-disposition": f'attachment; filename="{stem}-unread.{way.suffix}"'}
    return Stream(way.write(lines), media_type=way.media_type, headers=headers)


@get(
    "/{import_id:str}/progress",
    summary="How far it is, as it happens (text/event-stream)",
    responses={
        **told(400, 404, missing=["import"]),
        200: ResponseSpec(
            ProgressEvent,
            generate_examples=False,
            media_type="text/event-stream",
            description="Events: progress {state, done, total}, then rest {state}, which ends the stream.",
        ),
        204: ResponseSpec(None, description="Nothing is going on, and Last-Event-ID was the last."),
    },
)
async def follow_import(
    request: AnyRequest,
    services: NamedDependency[Services],
    user: NamedDependency[str],
    import_id: FromPath[str],
    last_event_id: LastEventId = None,
) -> Response[Any]:
    """Goes on after Last-Event-ID; ends when the import rests, and then answers 204 to whoever comes back."""
    caller: Caller = request.user
    one = uuid_of(import_id)
    row = await standing(services, user, one)
    seen = None if last_event_id is None else int(last_event_id)
    if row.state not in AT_WORK and seen == row.rev:
        return Response(None, status_code=204)
    if services.imports.following.get(user, 0) >= MOST_FOLLOWING:
        raise RateLimitedError(60)
    return ServerSentEvent(
        told_as_it_goes(services, caller, one, seen), headers={"x-accel-buffering": "no", "cache-control": "no-store"}
    )


async def standing(services: Services, user: str, one: UUID) -> Any:
    """State, rev, reached and total of one import of the user. NotFoundError."""
    async with services.engine.connect() as connection:
        row = (await connection.execute(PLACE, {"id": one, "user": user})).one_or_none()
    if row is None:
        raise _unknown(one)
    return row


# -- one import -------------------------------------------------------------------------------------------------------


async def _begin(
    services: Services,
    user: str,
    import_id: UUID,
    key: str | None,
    asked: list[Any],
    begin: Callable[[AsyncConnection, Any], Awaitable[None]],
    wait_s: float,
) -> None:
    """Change its state under its lock, once for a key; then go on with it for a while."""

    async def write(connection: AsyncConnection) -> Made:
        row = (await connection.execute(LOCK, {"id": import_id, "user": user})).one_or_none()
        if row is None:
            raise _unknown(import_id)
        await begin(connection, row)
        return Made(import_id=import_id)

    await write_once(services.engine, Call(user, key, [*asked, str(import_id)]), Made, write)
    await services.imports.settled(import_id, wait_s)


def _merged(wish: dict[str, Any], data: Corrected) -> dict[str, Any]:
    """Corrections as they will be: absent as before, null as guessed."""
    merged = dict(wish)
    for name in data.model_fields_set:
        value = getattr(data, name)
        if name == "mapping":
            mapping = dict(merged.get("mapping") or {}) if value is not None else {}
            for field, columns in (value or {}).items():
                if columns is None:
                    mapping.pop(field.value, None)
                else:
                    mapping[field.value] = [columns] if isinstance(columns, str) else columns
            merged["mapping"] = mapping
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = value.value if isinstance(value, Format) else value
    if merged.get("date_order"):
        merged["date_order"] = merged["date_order"].lower()
    return {name: value for name, value in merged.items() if value not in (None, {})}


async def _row(connection: AsyncConnection, user: str, import_id: UUID) -> Any:
    row = (await connection.execute(ONE, {"id": import_id, "user": user})).one_or_none()
    if row is None:
        raise _unknown(import_id)
    return row


async def view_of(services: Services, user: str, import_id: UUID) -> ImportView:
    """One import of the user. NotFoundError."""
    async with services.engine.connect() as connection:
        row = await _row(connection, user, import_id)
    answers = await answers_to(services, user, import_id) if row.state == ImportState.APPLIED else None
    dry_run = None if row.dry_run is None else DryRunView.model_validate(row.dry_run)
    return ImportView(
        **brief_of(row, services.settings.import_keep_days),
        corrections=Corrections.model_validate(row.corrections or row.wish),
        dry_run=dry_run,
        answers=answers,
    )


async def answers_to(services: Services, user: str, import_id: UUID) -> Answers:
    """What match found for the entries of one import of the user."""
    asked = {"user": user, "id": import_id, "now": services.clock()}
    async with services.engine.connect() as connection:
        return answers_of((await connection.execute(ANSWERS, asked)).all())


def _refused(field: str, error: Failure) -> ApiError:
    """What the reader says of a file, as an answer: the remedy belongs to it."""
    return InvalidError(error.message, [Detail(field=field, message=f"{error.code}: {error.message}")])


def _conflict(row: Any, message: str) -> ConflictError:
    return ConflictError(
        f"{message} This one is {row.state}.",
        [Detail(field="state", message=row.state), Detail(field="import_id", message=str(row.import_id))],
    )


def _unknown(import_id: object) -> NotFoundError:
    return NotFoundError("import", f"There is no import {import_id}.")


def uuid_of(import_id: str) -> UUID:
    """The id in an address. NotFoundError for what is none."""
    try:
        return UUID(import_id)
    except ValueError:
        raise _unknown(import_id[:100]) from None


def _place(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    if not cursor:
        return None, None
    before, after = place_of(cursor, str, str)
    try:
        return datetime.fromisoformat(before), UUID(after)
    except ValueError as error:
        raise InvalidError(
            "The cursor is not valid.",
            [Detail(field="cursor", message="take meta.next_cursor of the answer before, unchanged")],
        ) from error


router = Router(
    "/v1/imports",
    route_handlers=[
        upload,
        list_imports,
        read_import,
        correct_import,
        apply_import,
        undo_import,
        read_unmatched,
        follow_import,
    ],
    opt={"credential": "bearer"},
    tags=["imports"],
)

"""The shapes of imports over HTTP."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Self
from uuid import UUID

from litestar.openapi.spec import Example, OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from api.imports.shapes import Field as Column
from api.imports.shapes import Format
from schemas.tables import ImportKind, ImportState

MOST_TYPED = 10_000


def _no_nul(value: str | None) -> bool:
    return value is None or "\x00" not in value


class NewImport(BaseModel):
    """An import that is no file."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"text": "Radiohead, Reading 1994\nBlur, London 1995\n"},
                {"setlistfm_user": "alice"},
                {"rows": [{"artist": "Radiohead", "date": "27/08/1994", "city": "Reading"}], "name": "my list"},
            ]
        },
    )

    setlistfm_user: str | None = Field(
        default=None, min_length=1, max_length=100, pattern=r"^[^\x00-\x20/?#\\]+$", description="Whose attended list."
    )
    text: str | None = Field(default=None, min_length=1, description="Pasted: a table or a list, a show a line.")
    rows: list[dict[str, Any]] | None = Field(
        default=None, min_length=1, max_length=MOST_TYPED, description="Typed: objects with any names."
    )
    name: str | None = Field(default=None, min_length=1, max_length=200, description="What to call it.")
    format: Format | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(one is not None for one in (self.setlistfm_user, self.text, self.rows)) != 1:
            raise ValueError("give one of setlistfm_user, text, rows")
        return self


class Corrected(BaseModel):
    """What is to be read otherwise. Absent: as it was; null: as it is guessed."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"mapping": {"artist": ["Band"], "date": "When", "note": []}, "date_order": "dmy"}]
        },
    )

    mapping: dict[Column, str | list[str] | None] | None = Field(
        default=None, max_length=30, description="Field -> its columns; an empty list: none; null: as guessed."
    )
    date_order: Literal["dmy", "mdy", "ymd", "DMY", "MDY", "YMD"] | None = None
    separator: str | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description="Between acts in a cell; `names`: commas and the like; `none`: a cell is one act.",
    )
    encoding: str | None = Field(default=None, min_length=1, max_length=40, description="utf-8, cp1252, ...")
    format: Format | None = None

    @model_validator(mode="after")
    def _storable(self) -> Self:
        columns = [
            text for one in (self.mapping or {}).values() for text in ([one] if isinstance(one, str) else one or [])
        ]
        if not all(map(_no_nul, (self.separator, self.encoding, *columns))):
            raise ValueError("must not contain NUL")
        if sum(map(len, columns)) > 50_000:
            raise ValueError("mapping: the headings have more than 50,000 characters")
        return self


class Apply(BaseModel):
    """How to apply."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"doubtful": True, "gone": "keep"}]})

    doubtful: bool = Field(default=True, description="Entries of doubtful rows as well.")
    gone: Literal["keep", "withdraw"] = Field(
        default="keep", description="Entries of the file before it was corrected that it no longer has."
    )


class Progress(BaseModel):
    """How far it is: pages, rows or entries."""

    done: int = 0
    total: int = Field(default=0, description="0: not known yet.")


class ProgressEvent(BaseModel):
    """One event, as text/event-stream writes it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": 7, "event": "progress", "data": {"state": "applying", "done": 500, "total": 1_234}}]
        }
    )

    id: int
    event: Literal["progress", "rest"]
    data: dict[str, Any]


class Rows(BaseModel):
    """What became of the rows of the file."""

    total: int = 0
    understood: int = 0
    doubtful: int = 0
    unreadable: int = 0
    repeated: int = 0


class Entries(BaseModel):
    """What became of the history. Before it is applied: `expected` alone."""

    expected: int = Field(default=0, description="Entries that the rows give; each act of a bill is one.")
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = Field(default=0, description="Of the file before it was corrected; not in it any more.")
    withdrawn: int = Field(default=0, description="By undo, or because they are gone.")
    restored: int = Field(default=0, description="By undo: they got the text back that they had.")
    stayed: int = Field(default=0, description="At undo: another import, or the user, has them too.")
    decided: int = Field(default=0, description="Of those withdrawn: confirmed, so the show stays in the journal.")


class Answers(BaseModel):
    """What match found for the entries of an import."""

    found: int = Field(default=0, description="Confirmed, or with a sure suggestion.")
    to_decide: int = Field(default=0, description="With likely or possible suggestions.")
    unknown: int = Field(default=0, description="Without any.")
    dismissed: int = 0
    snoozed: int = 0
    waiting: int = Field(default=0, description="Not matched yet.")


class Choice(BaseModel):
    """A guess: the columns of a field."""

    field: Column
    columns: list[str]
    why: str
    confidence: float


class PartView(BaseModel):
    """One table of the file, and how it is read."""

    name: str
    format: Format
    rows: int
    columns: list[Choice]
    unused: list[str]
    date_order: str | None
    date_order_given: bool
    date_order_confidence: float
    date_order_why: str
    separator: str | None
    separator_why: str


class SampleRow(BaseModel):
    """A row, and what was made of it."""

    where: str
    original: str
    entries: list[dict[str, Any]]
    more_entries: int = 0
    doubts: list[str] = []
    reason: str | None = None
    text: str | None = None
    remedy: str | None = None


class Samples(BaseModel):
    """A few of each."""

    understood: list[SampleRow] = []
    doubtful: list[SampleRow] = []
    unreadable: list[SampleRow] = []
    repeated: list[SampleRow] = []


class DryRunView(BaseModel):
    """What the import would do; nothing is kept of it until it is applied."""

    parts: list[PartView]
    more_parts: int = 0
    samples: Samples


class Corrections(BaseModel):
    """What the user said otherwise, in force."""

    mapping: dict[Column, list[str]] = {}
    date_order: str | None = None
    separator: str | None = None
    encoding: str | None = None
    format: Format | None = None


class Failure(BaseModel):
    """Why it was not read, or a correction not taken."""

    code: str
    message: str


_ID = "3d1f6a64-5df4-4f6e-9f6e-0d6d8f6a2b11"
_BRIEF: dict[str, Any] = {
    "import_id": _ID,
    "name": "concerts.csv",
    "kind": "file",
    "state": "ready",
    "size": 4_096,
    "created_at": "2026-03-01T12:00:00Z",
    "progress": {"done": 44, "total": 44},
    "rows": {"total": 44, "understood": 41, "doubtful": 2, "unreadable": 1, "repeated": 0},
    "entries": {"expected": 60},
}


class ImportBrief(BaseModel):
    """An import in a list."""

    model_config = ConfigDict(json_schema_extra={"examples": [_BRIEF]})

    import_id: UUID
    name: str
    kind: ImportKind
    state: ImportState
    size: int
    created_at: AwareDatetime
    applied_at: AwareDatetime | None = None
    undone_at: AwareDatetime | None = None
    kept_until: AwareDatetime | None = Field(default=None, description="Then the upload is removed; null: it was.")
    progress: Progress
    rows: Rows
    entries: Entries
    corrects: UUID | None = Field(default=None, description="The import whose file this is, corrected.")
    error: Failure | None = None


class ImportView(ImportBrief):
    """An import: what was understood, and once it is applied, the report."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _BRIEF
                | {
                    "corrections": {"date_order": "dmy"},
                    "dry_run": {
                        "parts": [
                            {
                                "name": "concerts.csv",
                                "format": "csv",
                                "rows": 44,
                                "columns": [
                                    {
                                        "field": "artist",
                                        "columns": ["Band"],
                                        "why": "its heading 'Band'",
                                        "confidence": 1.0,
                                    }
                                ],
                                "unused": ["Rating"],
                                "date_order": "dmy",
                                "date_order_given": True,
                                "date_order_confidence": 0.0,
                                "date_order_why": "dates in no certain order",
                                "separator": None,
                                "separator_why": "",
                            }
                        ],
                        "samples": {
                            "understood": [
                                {
                                    "where": "concerts.csv:2",
                                    "original": "Radiohead,27/08/1994,Reading",
                                    "entries": [{"artist": "Radiohead", "date": "1994-08-27", "city": "Reading"}],
                                }
                            ]
                        },
                    },
                }
            ]
        }
    )

    corrections: Corrections = Corrections()
    dry_run: DryRunView | None = None
    answers: Answers | None = Field(default=None, description="Once it is applied.")


# -- the body of an upload, for the OpenAPI document ------------------------------------------------------------------


AS_CSV = "artist,date,city\nRadiohead,1994-08-27,Reading\n"


@dataclass
class UploadOperation(Operation):
    """POST /v1/imports: its body is read piece by piece, so the framework does not know it."""

    def __post_init__(self) -> None:
        binary = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        form = Schema(
            type=OpenAPIType.OBJECT,
            properties={
                "file": Schema(
                    any_of=[binary, Schema(type=OpenAPIType.ARRAY, items=binary)], description="Several are one."
                ),
                "text": Schema(type=OpenAPIType.STRING, description="Pasted, in place of a file."),
                "setlistfm_user": Schema(type=OpenAPIType.STRING, description="In place of a file."),
                "name": Schema(type=OpenAPIType.STRING, description="What to call it."),
                "format": Schema(
                    type=OpenAPIType.STRING,
                    enum=["", *(one.value for one in Format)],
                    description="Empty: as if absent.",
                ),
            },
        )
        wish = Schema(
            type=OpenAPIType.OBJECT,
            description="One of setlistfm_user, text, rows.",
            properties={
                "setlistfm_user": Schema(type=OpenAPIType.STRING, min_length=1, max_length=100),
                "text": Schema(type=OpenAPIType.STRING, min_length=1),
                "rows": Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.OBJECT)),
                "name": Schema(type=OpenAPIType.STRING, max_length=200),
                "format": Schema(type=OpenAPIType.STRING, enum=[one.value for one in Format]),
            },
            examples=NewImport.model_config["json_schema_extra"]["examples"],  # type: ignore[index,arg-type]
        )
        anything = Schema(description="Any other JSON: a file of shows.")
        self.request_body = RequestBody(
            required=True,
            description="At most 50 MB.",
            content={
                "multipart/form-data": OpenAPIMediaType(
                    schema=form, examples={"file": Example(value={"file": AS_CSV, "name": "shows.csv"})}
                ),
                "application/json": OpenAPIMediaType(
                    schema=Schema(any_of=[wish, anything]),
                    examples={"rows": Example(value={"rows": [{"artist": "Radiohead", "date": "1994-08-27"}]})},
                ),
                "application/octet-stream": OpenAPIMediaType(schema=binary, examples={"file": Example(value=AS_CSV)}),
                "text/csv": OpenAPIMediaType(
                    schema=Schema(type=OpenAPIType.STRING), examples={"file": Example(value=AS_CSV)}
                ),
                "text/plain": OpenAPIMediaType(
                    schema=Schema(type=OpenAPIType.STRING), examples={"list": Example(value="Radiohead, Reading 1994")}
                ),
            },
        )


# -- out of the tables -------------------------------------------------------------------------------------------------


def brief_of(row: Any, days: int) -> dict[str, Any]:
    """The fields of an `ImportBrief`; `days` an upload is kept."""
    dry = row.dry_run or {}
    return {
        "import_id": row.import_id,
        "name": row.name,
        "kind": row.kind,
        "state": row.state,
        "size": row.size,
        "created_at": row.created_at,
        "applied_at": row.applied_at,
        "undone_at": row.undone_at,
        "kept_until": row.updated_at + timedelta(days=days) if row.kept else None,
        "progress": Progress(done=row.reached, total=row.total),
        "rows": Rows(total=dry.get("rows", 0), **dry.get("counts", {})),
        "entries": Entries(expected=dry.get("entries", 0), **row.counts),
        "corrects": row.corrects,
        "error": None if row.error is None else Failure.model_validate(row.error),
    }


def answers_of(rows: Any) -> Answers:
    """Of rows (state, sure, number)."""
    found = Answers()
    for row in rows:
        if row.state is None:
            found.waiting += row.number
        elif row.state == "confirmed" or (row.state == "open" and row.sure):
            found.found += row.number
        elif row.state == "open":
            found.to_decide += row.number
        elif row.state == "nothing":
            found.unknown += row.number
        elif row.state == "dismissed":
            found.dismissed += row.number
        else:
            found.snoozed += row.number
    return found

"""Bodies that bring documents: JSON, NDJSON and CSV, read into documents or refused.

Source  meilisearch-types/src/document_formats.rs, release 1.50.
"""

import csv
import io
from typing import Any

import orjson

from deploy.local.meilisearch_front.errors import ApiError

CONTENT_TYPES = ("application/json", "application/x-ndjson", "text/csv")
_ACCEPTED = "Accepted values for the Content-Type header are: " + ", ".join(f"`{name}`" for name in CONTENT_TYPES)
_SHAPE = "data are neither an object nor a list of objects"


def check_content_type(content_type: str, delimiter: str | None) -> None:
    """ApiError when the header is missing or of another kind, or a CSV delimiter comes with other data."""
    if not content_type:
        raise ApiError("missing_content_type", f"A Content-Type header is missing. {_ACCEPTED}")
    if content_type not in CONTENT_TYPES:
        raise ApiError("invalid_content_type", f"The Content-Type `{content_type}` is invalid. {_ACCEPTED}")
    if delimiter is not None and content_type != "text/csv":
        raise ApiError(
            "invalid_content_type",
            f"The Content-Type `{content_type}` does not support the use of a csv delimiter. "
            "The csv delimiter can only be used with the Content-Type `text/csv`.",
        )
    if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii()):
        raise ApiError(
            "invalid_document_csv_delimiter", f"csv delimiter must be an ascii character. Found: `{delimiter}`"
        )


def read_documents(body: bytes, content_type: str, delimiter: str | None) -> list[dict[str, Any]]:
    """The documents of a body. ApiError when there is none or it cannot be read."""
    name = content_type.partition("/")[2].removeprefix("x-")
    if not body:
        raise ApiError("missing_payload", f"A {name} payload is missing.")
    try:
        if content_type == "text/csv":
            return _read_csv(body, delimiter or ",")
        if content_type == "application/x-ndjson":
            documents = [orjson.loads(line) for line in body.splitlines() if line.strip()]
        else:
            read = orjson.loads(body)
            documents = read if isinstance(read, list) else [read]
        if not all(isinstance(document, dict) for document in documents):
            raise ValueError(_SHAPE)
    except ValueError as error:
        raise ApiError(
            "malformed_payload",
            f"The `{name}` payload provided is malformed. `Couldn't serialize document value: {error}`.",
        ) from error
    return documents


def _read_csv(body: bytes, delimiter: str) -> list[dict[str, Any]]:
    rows = csv.reader(io.StringIO(body.decode("utf-8"), newline=""), delimiter=delimiter, strict=True)
    try:
        header = [_csv_field(field) for field in next(rows, [])]
        documents = []
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f"CSV error: record {rows.line_num}: found {len(row)} fields, expected {len(header)}")
            documents.append(
                {n: _csv_value(t, value, rows.line_num) for (n, t), value in zip(header, row, strict=True)}
            )
    except csv.Error as error:
        raise ValueError(f"CSV error: line {rows.line_num}: {error}") from error
    return documents


def _csv_field(field: str) -> tuple[str, str]:
    name, _, kind = field.rpartition(":")
    return (name, kind) if name and kind in ("string", "number", "boolean") else (field, "string")


def _csv_value(kind: str, value: str, line: int) -> Any:
    trimmed = value.strip()
    if not (value if kind == "string" else trimmed):
        return None
    if kind == "number":
        try:
            return int(trimmed)
        except ValueError:
            return float(trimmed)
    if kind == "boolean":
        if trimmed not in ("true", "false"):
            raise ValueError(f"Error parsing boolean {value!r} at line {line}")
        return trimmed == "true"
    return value

"""ClickHouse's tables: the numbered files of `clickhouse/`, each applied once, in order.

ClickHouse has no transaction over statements and no lock to take. Every statement of a file therefore says IF NOT
EXISTS or the like: a file that was cut off, or that two processes apply at once, is simply run again.

Errors
    MigrationError    an applied file has changed, or files and records do not fit: names the file and the remedy
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from clickhouse_connect.driver.client import Client

FOLDER = Path(__file__).parent / "clickhouse"
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_STATEMENT_END = re.compile(r";[ \t]*$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_RECORDS = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        number UInt32,
        name String,
        sha256 String,
        applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
    ) ENGINE = ReplacingMergeTree ORDER BY number
"""


class MigrationError(Exception):
    """The files and the database cannot be brought together."""


@dataclass(frozen=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Of the file's text, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """Its statements: each ends with a semicolon at a line's end. Lines that are comments are left out."""
        parts = _STATEMENT_END.split(_COMMENT.sub("", self.text))
        return [part.strip() for part in parts if part.strip()]


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """The files, by number. MigrationError for a name without a number, or two of one number."""
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        named = _NAME.fullmatch(path.name)
        if named is None:
            raise MigrationError(f"{path.name}: a migration is named NNNN_words.sql. Remedy: rename it.")
        number = int(named[1])
        if number in found:
            raise MigrationError(f"{path.name} and {found[number].name} have one number. Remedy: renumber one.")
        found[number] = Migration(number, path.name, path.read_text(encoding="utf-8"))
    return list(found.values())


def apply_clickhouse(client: Client, folder: Path = FOLDER) -> list[str]:
    """Apply what is missing to the client's database; the names applied. MigrationError, or ClickHouse's own."""
    files = migrations(folder)
    client.command(_RECORDS)
    applied = _applied(client)
    for file in files:
        if applied.get(file.number, ("", file.sha256))[1] != file.sha256:
            raise MigrationError(
                f"{file.name} was changed after it had been applied. "
                "Remedy: put its text back, and write the change as a new file with the next number."
            )
    if unknown := sorted(set(applied) - {file.number for file in files}):
        raise MigrationError(
            f"{applied[unknown[0]][0]} was applied and is not here: the database belongs to a newer release. "
            "Remedy: run that release."
        )
    missing = [file for file in files if file.number not in applied]
    for file in missing:
        for statement in file.statements:
            client.command(statement)
        client.insert(
            "schema_migrations", [[file.number, file.name, file.sha256]], column_names=["number", "name", "sha256"]
        )
    return [file.name for file in missing]


def _applied(client: Client) -> dict[int, tuple[str, str]]:
    """Number -> name and hash of what the database has."""
    rows = client.query("SELECT number, name, sha256 FROM schema_migrations FINAL").result_rows
    return {number: (name, sha256) for number, name, sha256 in rows}

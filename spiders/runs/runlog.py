"""What a run's process said: `GIGZ_HOME/runs/RUN_ID.log`, bounded, never a secret. The last lines go to the row."""

import io
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote, quote_plus, urlsplit
from uuid import UUID

import structlog
from pydantic import SecretStr

from deploy.settings import Settings

FOLDER = "runs"
LIMIT_BYTES = 4_000_000
"""Then the older part of a log is dropped."""
KEPT_BYTES = 1_000_000
TAIL_LINES = 100
TAIL_BYTES = 64_000
KEPT_DAYS = 30
LONGEST_LINE = 1_000
MOST_RETRIES = 100
LOUD = ("warning", "error", "critical")
LEAST_SECRET = 4
"""A shorter value would mask half of every line."""
log = structlog.get_logger()


def log_path(settings: Settings, run_id: UUID) -> Path:
    """Where the log of a run is, on the machine that it ran on."""
    return settings.home / FOLDER / f"{run_id}.log"


def open_log(settings: Settings, run_id: UUID) -> int:
    """A descriptor to append to it, readable by its owner only. OSError."""
    path = log_path(settings, run_id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def keep_log(settings: Settings, run_id: UUID) -> None:
    """From here on, what this process writes to standard error is kept, too. Log to `sys.stderr` anew afterwards."""
    try:
        descriptor = open_log(settings, run_id)
    except OSError as error:
        log.warning("the run's log cannot be kept", path=str(log_path(settings, run_id)), why=str(error))
        return
    sys.stderr = Kept(sys.stderr, descriptor, secrets_of(settings))


def tail(settings: Settings, run_id: UUID, lines: int = TAIL_LINES) -> str | None:
    """The last lines in words, for people; None when there is no log on this machine."""
    text = _end_of(settings, run_id)
    return None if text is None else "\n".join(map(in_words, without(text, secrets_of(settings), lines).splitlines()))


def last_said(settings: Settings, run_id: UUID) -> str:
    """The last warning, error or line of a traceback; else the last line; in words, empty when there is none."""
    text = masked(_end_of(settings, run_id) or "", secrets_of(settings))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    loud = [line for line in lines if (told := _entry(line)) is None or told.get("level") in LOUD]
    last = (loud or lines or [""])[-1]
    return in_words(last, at=False)[:LONGEST_LINE]


def in_words(line: str, *, at: bool = True) -> str:
    """A line of JSON logs as a person reads it: `at`, level, event, the rest as name=value; another one as it is."""
    told = _entry(line)
    if told is None:
        return line
    level, instant = str(told.pop("level", "")), str(told.pop("timestamp", ""))[11:19]
    event, trace = str(told.pop("event", "")), told.pop("exception", None)
    for name in ("run", "spider", "stage", "run_id"):
        told.pop(name, None)
    rest = " ".join(f"{k}={v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)}" for k, v in told.items())
    head = f"{instant} {level:7} " if at else ""
    return f"{head}{event} {rest}".rstrip() + (f"\n{trace}" if trace else "")


def _entry(line: str) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) and "event" in told else None


class Retries(logging.Filter):
    """Lets Scrapy's word on each retry into the log as a warning: the first `MOST_RETRIES` of a run."""

    def __init__(self, public: Callable[[str], str]) -> None:
        super().__init__()
        self._public = public
        self._left = MOST_RETRIES

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is told; what gives up is told always."""
        record.msg, record.args = self._public(record.getMessage()), ()
        if record.levelno >= logging.WARNING:
            return True
        self._left -= 1
        if self._left == 0:
            record.msg += f" (the {MOST_RETRIES}th, further ones are not told)"
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return self._left >= 0


def tell_retries(public: Callable[[str], str]) -> None:
    """From here on, this process logs what is asked again, without the keys that `public` takes out."""
    scrapys = logging.getLogger("scrapy.downloadermiddlewares.retry")
    scrapys.setLevel(logging.DEBUG)
    scrapys.addFilter(Retries(public))


def _end_of(settings: Settings, run_id: UUID) -> str | None:
    try:
        with log_path(settings, run_id).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return None
    if size > TAIL_BYTES:
        text = text.partition("\n")[2]
    return text.replace("\0", "\ufffd")


def without(text: str, secrets: tuple[str, ...], lines: int = TAIL_LINES) -> str:
    """The last lines of a text, secrets masked."""
    return masked("\n".join(text.splitlines()[-lines:]), secrets)


def masked(text: str, secrets: tuple[str, ...]) -> str:
    """The text with every secret as ***."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Every secret value of the settings, and the passwords in addresses, as they are and as an address has them."""
    found = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            found.append(value.get_secret_value())
        elif isinstance(value, str) and name.endswith("_url") and "@" in value:
            found.append(urlsplit(value).password or "")
    long = [secret for secret in found if len(secret) >= LEAST_SECRET]
    return tuple(
        dict.fromkeys(form for secret in long for form in (secret, quote(secret, safe=""), quote_plus(secret)))
    )


def forget_old(settings: Settings) -> int:
    """Remove logs older than `KEPT_DAYS`; how many."""
    removed = 0
    for path in (settings.home / FOLDER).glob("*.log"):
        try:
            if path.stat().st_mtime < time.time() - KEPT_DAYS * 86_400:
                path.unlink()
                removed += 1
        except OSError:
            continue
    return removed


class Kept(io.TextIOBase):
    """Standard error that is written to a file as well. A disk that is full does not stop a crawl."""

    def __init__(self, stream: TextIO, descriptor: int, secrets: tuple[str, ...]) -> None:
        self._stream = stream
        self._descriptor = descriptor
        self._secrets = secrets
        self._size = os.fstat(descriptor).st_size
        self._same = _same(stream, descriptor)

    def write(self, text: str) -> int:
        """To both; to the file alone where standard error is that file."""
        told = masked(text, self._secrets)
        if not self._same:
            self._stream.write(told)
        try:
            self._size += os.write(self._descriptor, told.encode("utf-8", "replace"))
            if self._size > LIMIT_BYTES:
                self._shrink()
        except OSError:
            self._size = 0
        return len(text)

    def flush(self) -> None:
        """The file has no buffer."""
        self._stream.flush()

    def isatty(self) -> bool:
        """As the stream."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """As the stream."""
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As the stream."""
        return self._stream.encoding

    def writable(self) -> bool:
        """It is."""
        return True

    def _shrink(self) -> None:
        size = os.fstat(self._descriptor).st_size
        kept = os.pread(self._descriptor, KEPT_BYTES, max(0, size - KEPT_BYTES)).partition(b"\n")[2]
        os.ftruncate(self._descriptor, 0)
        self._size = os.write(self._descriptor, b"... older lines were dropped\n" + kept)


def _same(stream: TextIO, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), os.fstat(descriptor))
    except (OSError, ValueError):
        return False

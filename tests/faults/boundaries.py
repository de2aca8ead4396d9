"""Where a worker can be killed: between which two of its steps. Shared by the driver and the workers.

    after read              a batch was taken, nothing is done with it
    in the transaction      its rows are written, not committed
    half written            the first of a store's tables has it, the others do not
    after write             its effects are there, its offset has not moved; resolve, match: nothing is published either
    before commit           everything is done but the commit
    after the transaction   the relay has read committed rows of the outbox, Kafka does not have them
    before the delete       Kafka has them, they are still in the outbox
    anywhere                at a moment that nobody chose, from outside

A worker is told by a file: `HOME/faults/NAME` holds a boundary. Who reaches it renames the file to `NAME.struck`,
writes into it what was in hand, and kills itself with SIGKILL.
"""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = "faults"
AFTER_READ = "after read"
IN_TRANSACTION = "in the transaction"
HALF_WRITTEN = "half written"
AFTER_WRITE = "after write"
BEFORE_COMMIT = "before commit"
AFTER_TRANSACTION = "after the transaction"
BEFORE_DELETE = "before the delete"
ANYWHERE = "anywhere"

OF_STAGE = {
    "normalise": (AFTER_READ, AFTER_WRITE, BEFORE_COMMIT),
    "resolve": (AFTER_READ, IN_TRANSACTION, AFTER_WRITE, BEFORE_COMMIT),
    "match": (AFTER_READ, IN_TRANSACTION, AFTER_WRITE, BEFORE_COMMIT),
    "relay": (AFTER_TRANSACTION, BEFORE_DELETE),
    "sink-clickhouse": (AFTER_READ, HALF_WRITTEN, AFTER_WRITE, BEFORE_COMMIT),
    "sink-postgres": (AFTER_READ, AFTER_WRITE, BEFORE_COMMIT),
    "sink-meilisearch": (AFTER_READ, AFTER_WRITE, BEFORE_COMMIT),
}
"""Stage -> its boundaries; each can be killed anywhere, too."""
BOUNDARIES = (*dict.fromkeys(b for of_stage in OF_STAGE.values() for b in of_stage), ANYWHERE)


@dataclass(frozen=True)
class Struck:
    """What a worker had in hand when it killed itself."""

    boundary: str
    in_hand: int
    """Messages of the batch, or rows of the outbox; 0 where the step does not know."""
    what: str


class Marks:
    """The files of one worker."""

    def __init__(self, home: Path, name: str) -> None:
        self._file = home / FOLDER / name
        self._struck = home / FOLDER / f"{name}.struck"
        self._ended = home / FOLDER / f"{name}.ended"
        self._file.parent.mkdir(parents=True, exist_ok=True)

    # -- the driver's side

    def plant(self, boundary: str) -> None:
        """Die at the next of these."""
        self._struck.unlink(missing_ok=True)
        part = self._file.with_suffix(".part")
        part.write_text(boundary, encoding="utf-8")
        part.rename(self._file)

    def take_back(self) -> bool:
        """Not any more; False when it has just struck."""
        try:
            self._file.unlink()
        except FileNotFoundError:
            return False
        return True

    def struck(self) -> Struck | None:
        """What was struck since it was planted."""
        try:
            return Struck(**json.loads(self._struck.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):  # not yet, or not wholly written
            return None

    def ended(self) -> int | None:
        """The exit code of a worker that ended by itself, once."""
        try:
            code = int(self._ended.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        self._ended.unlink()
        return code

    # -- the worker's side

    def at(self, boundary: str, in_hand: int = 0, what: str = "") -> None:
        """Die here if that is asked for."""
        try:
            if self._file.read_text(encoding="utf-8") != boundary:
                return
            self._file.rename(self._struck)
        except FileNotFoundError:
            return
        struck = json.dumps({"boundary": boundary, "in_hand": in_hand, "what": what})
        self._struck.write_text(struck, encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)  # another thread's step may be quicker than the signal

    def end(self, code: int) -> None:
        """It ends by itself."""
        self._ended.write_text(str(code), encoding="utf-8")

"""raw-* -> listings, venues, artists, or rejections."""

from collections.abc import Sequence
from datetime import datetime

from matchers.normalise import normalise
from matchers.refused import Refused
from schemas.outgoing import Outgoing
from schemas.raw import RawArtist, RawEvent, RawMessage, RawSetlist, RawVenue
from schemas.rejection import Reason
from streams.record import Record, follow, read
from streams.stage import Clock, Handle

STAGE = "normalise"
MOST_BYTES = 250_000
"""Of a listing. Three of them in one set of suggestions, the largest message that repeats them, stay below its topic's
megabyte. The longest set list seen in 838 has 3 kB."""
RAW: tuple[type[RawMessage], ...] = (RawSetlist, RawEvent, RawVenue, RawArtist)


def normalise_batch(records: Sequence[Record], message: type[RawMessage], at: datetime) -> list[Outgoing]:
    """What follows from raw messages of one topic: one message or more of each, or its rejection."""
    good, out = read(records, message, stage=STAGE, at=at)
    for raw, record in good:
        found = normalise(raw)
        if isinstance(found, Refused):
            out.append(record.rejected(found.reason, found.text, stage=STAGE, at=at, source=raw.source))
        else:
            cause = record.cause
            made = [follow(one, cause, STAGE) for one in found]
            largest = max(one.size for one in made)
            if largest > MOST_BYTES:
                text = f"{largest} bytes as a listing, {MOST_BYTES} are the limit; send fewer or shorter songs and acts"
                out.append(record.rejected(Reason.TOO_LARGE, text, stage=STAGE, at=at, source=raw.source))
            else:
                out.extend(made)
    return out


def handler(message: type[RawMessage], clock: Clock) -> Handle:
    """The stage of one raw topic."""

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        return normalise_batch(batch, message, clock())

    return handle

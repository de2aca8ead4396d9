"""An export as one JSON document: `{"data": {kind: [rows]}, "meta": {...}}`.

`meta` comes last: a document that was cut off does not end, and has no `complete`.
"""

import base64
import zlib
from collections.abc import AsyncIterator, Sequence

import orjson

from api.export.kinds import KINDS, LEFT_OUT, Kind, about
from api.export.rows import Snapshot

FORMAT = "gigz-export/1"


async def json_document(snapshot: Snapshot, kinds: Sequence[Kind] = KINDS) -> AsyncIterator[bytes]:
    """The document, piece by piece."""
    yield b'{"data":{'
    for place, kind in enumerate(kinds):
        yield (b"," if place else b"") + orjson.dumps(kind.name) + b":["
        first = True
        async for rows in snapshot.of(kind):
            body = ",".join(_unpacked(row) if kind.files else row for row in rows)
            yield (b"" if first else b",") + body.encode()
            first = False
        yield b"]"
    meta = {
        "format": FORMAT,
        "user": snapshot.user,
        "made_at": snapshot.at.isoformat(),
        "about": about(kinds),
        "left_out": LEFT_OUT,
        "complete": True,
    }
    yield b'},"meta":' + orjson.dumps(meta) + b"}\n"


def piece_of(row: dict[str, str]) -> bytes:
    """The bytes of a piece of a file."""
    return zlib.decompress(base64.b64decode(row["zlib"]))


def _unpacked(row: str) -> str:
    told = orjson.loads(row)
    content = base64.b64encode(piece_of(told)).decode()
    return orjson.dumps({name: told[name] for name in told if name != "zlib"} | {"base64": content}).decode()

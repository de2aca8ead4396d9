"""JSON as records: lists of objects, objects of lists, JSON lines; setlist.fm, Songkick, Bandsintown by name.

setlist.fm    /user/{id}/attended and its pages: {"setlist": [{id, eventDate: dd-MM-yyyy, artist, venue: {city}, sets}]}
Songkick      /users/{name}/gigography: {"resultsPage": {"results": {"event": [{start, performance, venue}]}}}
Bandsintown   events: [{id, datetime, venue: {name, city, region, country, latitude}, lineup}]
Sources: api.setlist.fm/docs/1.0, songkick.com/developer/response-objects, bandsintown.com/api/responses.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from api.imports.shapes import Cell, Code, Fault, Format, ImportFailed, Limits, Reason, Record
from api.imports.uploads import Line, Upload, lines_of

MOST_VALUES = 6_000_000
"""Signs that part values in one document: what is read at once stays below a gigabyte."""
DEEPEST = 6
"""Levels at which the list of shows is looked for."""
MOST_CELLS = 200
_SIGNS = (b"{", b"[", b",")


def is_json(head: bytes) -> bool:
    """Whether a file begins as JSON does."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")


def is_lines(upload: Upload, encoding: str) -> bool:
    """Whether each line is a value of its own."""
    seen = 0
    for line in lines_of(upload, encoding):
        if not line.text.strip():
            continue
        try:
            value = orjson.loads(line.text)
        except orjson.JSONDecodeError:
            if seen == 0:
                return False
            value = {}
        if not isinstance(value, dict):
            return False
        seen += 1
        if seen == 2:
            return True
    return False


def json_records(upload: Upload, encoding: str, limits: Limits) -> Iterator[Record]:
    """The shows of a JSON document or of JSON lines. ImportFailed for a document that is none."""
    if is_lines(upload, encoding):
        for line in lines_of(upload, encoding):
            if line.text.strip() or line.fault:
                yield _of_line(line, upload.name)
        return
    document = _loaded(upload, encoding)
    pages = 0
    for path, item in _shows(document, ""):
        if isinstance(item, Mapping) and "resultsPage" in item:
            pages += 1
        yield record_of(item, f"{upload.name}:{path}")
    if isinstance(document, list) and document and isinstance(document[0], Mapping) and _is_page(document[0]):
        pages = len(document)
    if pages > limits.pages:
        raise too_many_pages(upload.name, limits)


def too_many_pages(name: str, limits: Limits) -> ImportFailed:
    """The error for more pages than one import may have."""
    return ImportFailed(
        Code.TOO_MANY_PAGES,
        f"{name} has more than {limits.pages:,} pages, the most that one import may have. "
        "Remedy: divide it into several files and import them one after the other",
    )


def _of_line(line: Line, name: str) -> Record:
    where = f"{name}:{line.number}"
    if line.fault is not None:
        return Record(where, line.raw, fault=line.fault)
    try:
        value = orjson.loads(line.text)
    except orjson.JSONDecodeError as error:
        fault = Fault(Reason.BROKEN, f"the line is not JSON: {error}", "write one whole object a line")
        return Record(where, line.raw, {"line": line.text[:1_000]}, fault=fault)
    return record_of(value, where, line.raw)


def _loaded(upload: Upload, encoding: str) -> Any:
    signs = 0
    with upload.opened() as file:
        while chunk := file.read(1 << 20):
            signs += sum(chunk.count(sign) for sign in _SIGNS)
    if signs > MOST_VALUES:
        raise ImportFailed(
            Code.TOO_MANY_ROWS,
            f"{upload.name} has more than {MOST_VALUES:,} values in one document. "
            "Remedy: write it as JSON lines, one show a line, or divide it",
        )
    with upload.opened() as file:
        body = file.read()
    if encoding not in ("utf-8", "utf-8-sig"):
        body = body.decode(encoding, "replace").encode("utf-8", "replace")
    try:
        return orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        whole = _pages_in_a_row(body) if "trailing" in str(error) or "unexpected content" in str(error) else None
        if whole is not None:
            return whole
        raise ImportFailed(
            Code.BAD_DOCUMENT,
            f"{upload.name} is not JSON: {error}. Remedy: export it again, or check that it was saved whole",
        ) from None


def _pages_in_a_row(body: bytes) -> list[Any] | None:
    """Several documents one after another, as pages that were put into one file."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text):
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at == len(text):
            break
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        found.append(value)
    return found


def _is_page(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("setlist"), list) or "resultsPage" in value


# -- where the shows are ----------------------------------------------------------------------------------------------

_KNOWN_LISTS = (
    "setlist",
    "event",
    "calendarEntry",
    "events",
    "concerts",
    "shows",
    "gigs",
    "attended",
    "items",
    "data",
    "entries",
    "history",
)


def _shows(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The objects that are shows, with where they stand."""
    if depth > DEEPEST:
        yield path, value
        return
    if isinstance(value, list):
        if value and all(isinstance(one, list) for one in value):
            yield from _of_rows(value, path)
            return
        for index, one in enumerate(value):
            here = f"{path}[{index}]"
            if isinstance(one, Mapping) and not is_show(one) and (_is_page(one) or _holds_shows(one)):
                yield from _shows(one, here, depth + 1)
            else:
                yield here, one
        return
    if not isinstance(value, Mapping):
        yield path, value
        return
    if is_show(value):
        yield path, value
        return
    for name in _KNOWN_LISTS:
        if isinstance(value.get(name), list):
            yield from _shows(value[name], f"{path}.{name}".lstrip("."), depth + 1)
            return
    columns = {name: one for name, one in value.items() if isinstance(one, list)}
    if (
        len(columns) >= 2
        and len({len(one) for one in columns.values()}) == 1
        and not any(isinstance(item, Mapping | list) for one in columns.values() for item in one[:20])
    ):
        for index in range(len(next(iter(columns.values())))):
            yield f"{path}[{index}]", {name: one[index] for name, one in columns.items()}
        return
    inner = [(name, one) for name, one in value.items() if isinstance(one, Mapping | list)]
    plain = [(name, one) for name, one in value.items() if isinstance(one, str)]
    if len(inner) == 1 and (isinstance(inner[0][1], Mapping) or _are_objects(inner[0][1])):
        yield from _shows(inner[0][1], f"{path}.{inner[0][0]}".lstrip("."), depth + 1)
        return
    if inner or plain:
        yield from _by_key(value, path)
        return
    yield path, value


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, Mapping | list) for one in value)


def _holds_shows(value: Mapping[str, Any]) -> bool:
    return any(
        _are_objects(one) and all(not isinstance(item, Mapping) or is_show(item) for item in one)
        for name, one in value.items()
        if name in _KNOWN_LISTS
    )


def _by_key(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """{'1994': [...], '1995': [...]}, {'2014-11-14': 'Tocotronic'}: the key says when, or who."""
    for key, one in value.items():
        here = f"{path}.{key}".lstrip(".")
        for index, item in enumerate(one if isinstance(one, list) else [one]):
            where = f"{here}[{index}]" if isinstance(one, list) else here
            if isinstance(item, Mapping):
                yield where, {"listed under": key, **item}
            else:
                yield where, {"listed under": key, "value": item}


def _of_rows(value: list[list[Any]], path: str) -> Iterator[tuple[str, Any]]:
    """A list of lists is a table; its first row names the columns where it has only texts and none is a date."""
    from api.imports.tables import Cells, heading_of

    rows = [
        Cells(index, b"", ["" if cell is None else str(cell) for cell in row]) for index, row in enumerate(value[:40])
    ]
    heading = heading_of(rows)
    for index, row in enumerate(value[heading.skipped :], heading.skipped):
        yield f"{path}[{index}]", dict(zip(heading.names, row, strict=False))


# -- one show ---------------------------------------------------------------------------------------------------------


def is_show(value: Mapping[str, Any]) -> bool:
    """Whether an object is a show of a service that is known."""
    return format_of(value) is not None


def format_of(value: Any) -> Format | None:
    """Whose object it is."""
    if not isinstance(value, Mapping):
        return None
    if "eventDate" in value and isinstance(value.get("artist"), Mapping):
        return Format.SETLISTFM
    if isinstance(value.get("event"), Mapping) and "performance" in value["event"]:
        return Format.SONGKICK
    if "performance" in value and isinstance(value.get("start"), Mapping):
        return Format.SONGKICK
    if (
        isinstance(value.get("venue"), Mapping)
        and ("lineup" in value or "artists" in value)
        and ("datetime" in value or "starts_at" in value)
    ):
        return Format.BANDSINTOWN
    return None


def record_of(value: Any, where: str, original: bytes | None = None) -> Record:
    """The record of one object."""
    raw = original if original is not None else _written(value)
    if isinstance(value, str):
        return Record(where, raw, {"line": value})
    if not isinstance(value, Mapping):
        fault = Fault(Reason.BROKEN, f"{_shown(raw)} is no show", 'write objects: {"artist": ..., "date": ...}')
        return Record(where, raw, fault=fault)
    kind = format_of(value)
    cells: dict[str, Cell]
    if kind is Format.SETLISTFM:
        own, cells = _setlistfm(value)
    elif kind is Format.SONGKICK:
        own, cells = _songkick(value)
    elif kind is Format.BANDSINTOWN:
        own, cells = _bandsintown(value)
    else:
        own, cells = None, dict(_flat(value, ""))
        if len(cells) > MOST_CELLS:
            fault = Fault(Reason.BROKEN, f"it has more than {MOST_CELLS} values", "keep what tells who, when and where")
            return Record(where, raw, fault=fault)
    return Record(where, raw, {name: cell for name, cell in cells.items() if cell not in ("", ())}, own)


def _written(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # numbers beyond 64 bits
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _shown(raw: bytes) -> str:
    return repr(raw[:60].decode("utf-8", "replace"))


def _flat(value: Mapping[str, Any], path: str, depth: int = 0) -> Iterator[tuple[str, Cell]]:
    """An object's texts by their path: 'venue.city.name'. A list of names is one cell."""
    for index, (name, one) in enumerate(value.items()):
        if index > MOST_CELLS:
            return
        here = f"{path}.{name}" if path else str(name)
        if isinstance(one, Mapping) and depth < DEEPEST:
            yield from _flat(one, here, depth + 1)
        elif isinstance(one, list):
            names = tuple(text for item in one[:1_000] if (text := _name_of(item)))
            if names:
                yield here, names
        elif one is not None and not isinstance(one, bool | Mapping):
            yield here, _text(one)


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value)) if abs(value) > 180 else str(value)
    return "" if value is None else str(value).replace("\0", "")


def _name_of(item: Any) -> str:
    if isinstance(item, Mapping):
        for name in ("name", "displayName", "title", "artist"):
            if isinstance(item.get(name), str):
                return str(item[name])
            if isinstance(item.get(name), Mapping):
                return _name_of(item[name])
        return ""
    return "" if item is None or isinstance(item, list | bool) else _text(item)


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _setlistfm(value: Mapping[str, Any]) -> tuple[str | None, dict[str, Cell]]:
    own = value.get("id")
    town = _at(value, "venue", "city")
    sets = _at(value, "sets", "set") or value.get("set") or []
    songs = tuple(
        text
        for part in (sets if isinstance(sets, list) else [])
        for song in (_at(part, "song") or [])
        if isinstance(song, Mapping) and not song.get("tape") and (text := _name_of(song))
    )
    return f"setlistfm:{own}" if own else None, {
        "artist": _name_of(value.get("artist")),
        "date": _dmy(_text(value.get("eventDate"))),
        "venue": _name_of(value.get("venue")),
        "city": _name_of(town),
        "region": _text(_at(town, "stateCode") or _at(town, "state"))
        if _text(_at(town, "stateCode")).isalpha()
        else _text(_at(town, "state")),
        "country": _text(_at(town, "country", "code") or _at(town, "country", "name")),
        "lat": _text(_at(town, "coords", "lat")),
        "lon": _text(_at(town, "coords", "long")),
        "songs": songs,
    }


def _dmy(text: str) -> str:
    """setlist.fm's dates are day first, whatever stands beside them."""
    found = re.fullmatch(r"(\d{2})-(\d{2})-(\d{4})", text)
    return f"{found[3]}-{found[2]}-{found[1]}" if found else text


def _songkick(value: Mapping[str, Any]) -> tuple[str | None, dict[str, Cell]]:
    event = value["event"] if isinstance(value.get("event"), Mapping) else value
    own = event.get("id")
    where = _at(event, "location", "city")
    town, *parts = [part.strip() for part in _text(where).split(",")] if where else [""]
    played = sorted(
        (one for one in event.get("performance") or [] if isinstance(one, Mapping)),
        key=_billing_index,
    )
    kind = _text(event.get("type"))
    title = _text(event.get("displayName"))
    venue = _name_of(event.get("venue"))
    return f"songkick:{own}" if own else None, {
        "artist": tuple(text for one in played if (text := _name_of(one.get("artist")) or _name_of(one))),
        "event": title if not played else "",
        "date": _text(_at(event, "start", "date")),
        "time": _text(_at(event, "start", "time")),
        "venue": "" if venue.casefold() == "unknown venue" else venue,
        "city": town,
        "region": parts[0] if len(parts) > 1 else "",
        "country": parts[-1] if parts else "",
        "lat": _text(_at(event, "venue", "lat") or _at(event, "location", "lat")),
        "lon": _text(_at(event, "venue", "lng") or _at(event, "location", "lng")),
        "festival": title.split(" (")[0] if kind == "Festival" else "",
    }


def _billing_index(one: Mapping[str, Any]) -> int:
    index = one.get("billingIndex")
    return index if isinstance(index, int) else 99


def _bandsintown(value: Mapping[str, Any]) -> tuple[str | None, dict[str, Cell]]:
    own = value.get("id")
    venue = value["venue"]
    names = value.get("lineup") or value.get("artists") or []
    when = _text(value.get("datetime") or value.get("starts_at"))
    day, _, hour = when.partition("T")
    return f"bandsintown:{own}" if own else None, {
        "artist": tuple(text for one in names if (text := _name_of(one))) if isinstance(names, list) else _text(names),
        "date": day,
        "time": "" if hour.startswith("00:00") else hour[:5],
        "venue": _name_of(venue),
        "city": _text(venue.get("city")),
        "region": _text(venue.get("region")),
        "country": _text(venue.get("country")),
        "lat": _text(venue.get("latitude")),
        "lon": _text(venue.get("longitude")),
    }


def lines_among(records: Iterable[Record]) -> bool:
    """Whether the values are texts, to be read as a plain list."""
    first = next(iter(records), None)
    return first is not None and set(first.cells) == {"line"}

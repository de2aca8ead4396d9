"""What an export holds: a kind for each place that schemas/erasure.py declares as a user's, or the reason why not.

A row is the table's own, all its columns but `INTERNAL`, so that a column that is added is exported. For tables that
hold whole messages, `columns` and `flat` say how a person reads them in a CSV file; the JSON has them as they are.
"""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.journal import SHOWS
from deploy.erasing import stores
from schemas.tables import Base

Row = Mapping[str, Any]
INTERNAL = frozenset({"user_id", "keys", "tx", "claims", "alone", "told", "holder", "lease_until"})
"""Columns by which Gigz finds and orders rows, computed from the rest; `told`: ids of suggestions that are there."""

LEFT_OUT: dict[str, str] = {
    "state.outbox": "messages on their way for a second, of rows that are here",
    "state.refresh_tokens": "hashes by which a token is known again; the sign-ins are here",
    "state.erased": "hashes of those who are no more",
    "state.erasures": "of those who are no more; whoever stands there has no token to ask with",
    "gigz.history.v1": "a copy of entries on its way",
    "gigz.history-backfill.v1": "a copy of entries on its way",
    "gigz.rematch.v1": "ids of entries on their way, for a day",
    "gigz.suggestion.v1": "a copy of suggestions on its way",
    "gigz.decision.v1": "a copy of decisions on its way",
    "gigz.digest.v1": "a copy of digests on its way; the last is here",
    "gigz.rejection.v1": "a copy of rejections on its way",
    "suggestions": "ClickHouse: a copy of suggestions, for figures",
    "suggestions_history": "ClickHouse: what suggestions were computed before, for figures",
    "decisions": "ClickHouse: a copy of decisions, for figures",
    "decisions_history": "ClickHouse: a copy of decisions, for figures",
}
"""Place -> why it is in no export."""


@dataclass(frozen=True)
class Kind:
    """One list of an export: a JSON list, a CSV file."""

    name: str
    about: str
    query: str
    """Rows with one column `row`, JSON as text; takes `:user`."""
    columns: tuple[str, ...]
    """Of the CSV file."""
    flat: Callable[[Row], Iterator[Row]] = field(default=lambda row: iter((row,)))
    """The CSV's rows of a row."""
    table: str | None = None
    """The declared place that it is read from."""
    at_once: int = 200
    """Rows that are held."""
    files: bool = False
    """Pieces of files: in a zip they are files again."""


def _of_table(table: str, about: str, name: str = "", **more: Any) -> Kind:
    columns = tuple(one.name for one in Base.metadata.tables[table].columns if one.name not in INTERNAL)
    keys = ", ".join(f't."{one.name}"' for one in Base.metadata.tables[table].primary_key.columns)
    left_out = ", ".join(f"'{one}'" for one in sorted(INTERNAL))
    query = (
        f"select cast(to_jsonb(t) - array[{left_out}] as text) as row from {table} t "  # noqa: S608 - declared names
        f"where {stores.of_user(table)} order by {keys}"
    )
    told = {"name": name or table.partition(".")[2], "about": about, "query": query, "columns": columns, "table": table}
    return Kind(**(told | more))


def _entry(row: Row) -> Iterator[Row]:
    yield {**row, **(row["body"] or {}), "deleted": row["body"] is None}


def _place(facts: Row | None) -> Row:
    place = (facts or {}).get("place") or {}
    return {
        **{name: (facts or {}).get(name) for name in ("artist", "night", "festival")},
        "venue": place.get("name"),
        "city": place.get("city"),
        "country": place.get("country"),
    }


def _set(row: Row) -> Iterator[Row]:
    body = row["body"]
    typed = body.get("entry") or {}
    told = {
        "entry_id": row["entry_id"],
        "origin": body.get("origin"),
        "reason": body.get("reason"),
        "typed_artist": typed.get("artist"),
        "typed_date": typed.get("date"),
    }
    for one in body.get("suggestions") or [{}]:
        yield {
            **told,
            **one,
            **_place(one.get("concert")),
            "why": "; ".join(each["text"] for each in one.get("why") or ()),
            "sources": " ".join(each["url"] for each in one.get("members") or () if each.get("url")),
        }


def _decision(row: Row) -> Iterator[Row]:
    body = row["body"]
    yield {**row, **_place(body.get("concert")), "until": body.get("until"), "confidence": body.get("confidence")}


def _digest(row: Row) -> Iterator[Row]:
    yield {**row, **{name: (row["body"] or {}).get(name) for name in ("since", "until", "new", "sure", "to_decide")}}


def _rejection(row: Row) -> Iterator[Row]:
    original = base64.b64decode(row["original"] or "").decode("utf-8", "replace")
    yield {**row, "original": original}


_SHOW = ("night", "artist", "venue", "city", "country", "festival")
KINDS: tuple[Kind, ...] = (
    _of_table("state.accounts", "who your tokens say you are", "account"),
    _of_table("state.preferences", "what you want to be asked, told and to show"),
    _of_table(
        "state.entries",
        "lines of your history, as typed",
        columns=(
            *("entry_id", "artist", "date", "date_order", "venue", "city", "region", "country", "lat", "lon", "time"),
            *("songs", "note", "with", "origin", "seen_at", "deleted", "created_at", "updated_at"),
        ),
        flat=_entry,
    ),
    Kind(
        "shows",
        "the shows that you confirmed, with what you keep of them",
        SHOWS  # noqa: S608 - of constants
        + """
        select cast(jsonb_build_object(
            'night', night, 'artist', artist, 'venue', venue, 'city', city, 'note', note, 'rating', rating,
            'with', coalesce(to_jsonb(company), came, said->'entry'->'with'), 'visibility', visibility,
            'shared', shared, 'confirmed_at', decided_at, 'entry_id', entry_id, 'suggestion_id', suggestion_id,
            'concert_id', concert_id) as text) as row
        from shows order by night, suggestion_id
        """,
        (
            *("night", "artist", "venue", "city", "note", "rating", "with", "visibility", "shared", "confirmed_at"),
            *("entry_id", "suggestion_id", "concert_id"),
        ),
    ),
    _of_table("state.journal", "notes, ratings, company and who sees them, by line"),
    _of_table(
        "state.decisions",
        "everything you ever decided",
        columns=(
            *("seq", "decided_at", "action", "before", *_SHOW, "until", "confidence", "device", "entry_id"),
            *("suggestion_id", "concert_id", "decision_id", "together"),
        ),
        flat=_decision,
    ),
    _of_table(
        "state.suggestions",
        "what was found for your lines, with the reasons",
        columns=(
            *("entry_id", "origin", "typed_artist", "typed_date", "rank", *_SHOW, "confidence", "band", "why"),
            *("sources", "suggestion_id", "concert_id", "reason"),
        ),
        flat=_set,
    ),
    Kind(
        "follows",
        "whom you follow, or asked to",
        """
        select cast(jsonb_build_object('user', other_id, 'since', created_at) as text) as row
        from state.follows where user_id = :user order by other_id
        """,
        ("user", "since"),
        table="state.follows",
    ),
    Kind(
        "followers",
        "who follows you, or asked to",
        """
        select cast(jsonb_build_object('user', f.user_id, 'since', f.created_at, 'declined_at', f.declined_at) as text)
            as row
        from state.follows f where f.other_id = :user
            and not exists (select from state.blocks b where b.user_id = :user and b.other_id = f.user_id)
        order by f.user_id
        """,
        ("user", "since", "declined_at"),
        table="state.follows",
    ),
    Kind(
        "blocks",
        "whom you block",
        """
        select cast(jsonb_build_object('user', other_id, 'since', created_at) as text) as row
        from state.blocks where user_id = :user order by other_id
        """,
        ("user", "since"),
        table="state.blocks",
    ),
    _of_table(
        "state.digests",
        "the last digest",
        columns=("week", "since", "until", "new", "sure", "to_decide", "news", "next_at"),
        flat=_digest,
    ),
    _of_table("state.imports", "files, texts and lists that you imported, and what became of them"),
    _of_table("state.import_entries", "what each import says of each line"),
    _of_table("state.import_steps", "which states an import went through"),
    Kind(
        "import_files",
        "what you uploaded, and its lines that could not be read, as far as they are kept",
        """
        select cast(jsonb_build_object('import_id', import_id, 'what', what, 'number', number,
            'zlib', encode(body, 'base64')) as text) as row
        from state.import_pieces where user_id = :user order by import_id, what, number
        """,
        (),
        table="state.import_pieces",
        at_once=1,
        files=True,
    ),
    _of_table("state.bulks", "what you decided by one call"),
    _of_table("state.wants", "artists and years that were searched for because no known show answers a line"),
    _of_table("state.unasked", "what questions about companions and habits hang on"),
    _of_table("state.calls", "answers kept for repeats of a call"),
    _of_table("state.sign_ins", "when you signed in"),
    _of_table("state.audit", "what was done with your account"),
    Kind(
        "rejections",
        "lines of yours that could not be used, and why",
        f"""
        select cast(jsonb_build_object('rejected_at', rejected_at, 'stage', stage, 'reason', reason, 'text', text,
            'original_key', body->>'original_key', 'original', body->>'original') as text) as row,
            origin_topic, body->>'original_key' as original_key, original
        from catalogue.rejections where {stores.MAY_BE_OF_USER} order by key, stage
        """,  # noqa: S608 - of constants
        ("rejected_at", "stage", "reason", "text", "original_key", "original"),
        table=stores.REJECTIONS,
        flat=_rejection,
        at_once=20,
    ),
)


def read_places() -> set[str]:
    """The declared places that are read."""
    return {kind.table for kind in KINDS if kind.table is not None}


def about(kinds: Sequence[Kind] = KINDS) -> dict[str, str]:
    """Name -> what it is."""
    return {kind.name: kind.about for kind in kinds}

"""The wanted list: what users' entries ask for that no known concert answers, and what is searched for next.

    gigz.wanted.v1 -> take_wanted -> state.wanted_list <- operators (`gigz wanted`)
                                            |
                                          plan -> runs with an errand -> tried -> state.wanted_tries

Order    what an operator boosted, then what most entries ask for, then what is asked for longest
Tries    are counted for each spider: 7 days after a search the same may be searched for again, then after 14, 28, up to
         180; what was answered is withdrawn meanwhile. After a run that failed: 6 hours, 12, 24, up to 180 days
Quota    a spider whose key may be used so often a day is sent for no more than what is left of it; what a search costs
         is the mean of its last searches, or its first addresses and two pages more

Errors
    WantedRefused    what an operator asks for cannot be done: names the row and the remedy
"""

import asyncio
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy import TextClause, insert, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.clients import kafka_consumer, kafka_producer, publish
from deploy.settings import Settings, SettingsError
from deploy.turns import quota_of
from schemas.message import HEADER_TRACE, MessageError, new_trace
from schemas.outgoing import HEADER_REV, Origin, Outgoing, first_origin, headers_as_text, reject
from schemas.raw import RawEvent, RawSetlist
from schemas.reference import Artist
from schemas.rejection import Reason
from schemas.tables import OperatorLogRow, RunState, WatchedBy
from schemas.wanted import Wanted
from spiders.errand import Errand, errand_of
from spiders.formats.base import Clock, Shows, SourceSpider, utc_now

STAGE = "spiders"
GROUP = "gigz-wanted"
BATCH = 1_000
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
DRAIN_S = 20.0
"""For `gigz wanted` to read what it has not read yet."""
AGAIN = timedelta(days=7)
AGAIN_AFTER_FAILURE = timedelta(hours=6)
LONGEST = timedelta(days=180)
MOST_YEARS = 10
"""Of one errand: what fails half-way is not searched for again in full."""
PAGE = 500
MOST_PAGES = 20
"""Of the list that are looked through for what can be searched: 10,000 rows."""
NEXT = 10
"""Searches that an operator is told of beforehand."""
NOBODY = "no spider can search for it"
PAGES_A_SEARCH = 2
"""Beyond a search's first addresses, as long as none was made."""
log = structlog.get_logger()

Key = tuple[str, int]
"""artist key, year"""

PUT = text(
    """
    insert into state.wanted_list as w (artist_key, year, artist, asked, rev, since)
    select artist_key, year, artist, asked, rev, since from json_to_recordset(cast(:rows as json)) as r
        (artist_key text, year int, artist text, asked int, rev bigint, since timestamptz)
    order by artist_key, year
    on conflict (artist_key, year) do update set
        artist = case when excluded.asked > 0 then excluded.artist else w.artist end,
        asked = excluded.asked, rev = excluded.rev, updated_at = now(),
        since = case when w.asked = 0 and not w.added and excluded.asked > 0 then excluded.since else w.since end
    where w.rev <= excluded.rev
    """
)
DUE = text(
    """
    select w.artist_key, w.year, w.artist, coalesce(t.rests, '{}') as rests, coalesce(t.tries, '{}') as tries
    from state.wanted_list w
    left join lateral (
        select array_agg(spider) filter (where next_at > :now) as rests, jsonb_object_agg(spider, tries) as tries
        from state.wanted_tries t
        where t.artist_key = w.artist_key and t.year = w.year and spider = any(cast(:spiders as text[]))
    ) t on true
    where not w.hidden and (w.asked > 0 or w.added)
      and cardinality(coalesce(t.rests, '{}')) < cardinality(cast(:spiders as text[]))
    order by w.boost desc, w.asked desc, w.since, w.artist_key, w.year limit :most offset :skip
    """
)
YEARS_OF = text(
    """
    select w.artist_key, w.year, array(
        select spider from state.wanted_tries t
        where t.artist_key = w.artist_key and t.year = w.year and t.next_at > :now
    ) as rests
    from state.wanted_list w
    where w.artist_key = any(cast(:keys as text[])) and not w.hidden and (w.asked > 0 or w.added)
    """
)
CALLED = text(
    """
    select asked.key, cast(n.body as text) as body from unnest(cast(:keys as text[])) as asked (key)
    join state.names n on n.keys @> array['an:' || left(asked.key, 100)] and n.topic = :topic
    """
)
"""What match has of artists, by the keys of `matchers.reference`."""
SAME_ARTIST = text(
    """
    select artist_key, year, artist from state.wanted_list
    where year between :first and :last and (lower(artist) = lower(:artist) or artist_key = any(array(
        select :key union
        select substr(other, 4) from state.names n cross join lateral unnest(n.keys) as other
        where n.keys @> array['an:' || left(:key, 100)]
    ))) order by artist_key, year
    """
)
"""By any of the names that the reference has for the artist."""
UNDER_WAY = text("select spider, arguments from state.runs where trigger = 'wanted' and finished_at is null")
COST = text(
    """
    select spider, avg(pages) as pages from (
        select spider, pages, row_number() over (partition by spider order by started_at desc) as place
        from state.runs where trigger = 'wanted' and state = 'finished' and spider = any(:spiders)
    ) r where place <= 20 group by spider
    """
)
USED = text("select key, used from state.quotas where day = :day and key = any(cast(:keys as text[]))")
TRIED = text(
    """
    insert into state.wanted_tries as t (artist_key, year, spider, tries, found, last_tried_at, next_at, last_run)
    select artist_key, year, :spider, 1, found, :at, :at + cast(:first as interval), :run
    from json_to_recordset(cast(:rows as json)) as r (artist_key text, year int, found int)
    order by artist_key, year
    on conflict (artist_key, year, spider) do update set
        tries = t.tries + 1, found = excluded.found, last_tried_at = excluded.last_tried_at,
        next_at = :at + least(cast(:first as interval) * power(2, least(t.tries, 20)), cast(:longest as interval)),
        last_run = excluded.last_run, updated_at = now()
    where t.last_run <> excluded.last_run
    """
)
"""A run counts once, however often it is told of."""
LIST = text(
    """
    select w.*, coalesce(t.tries, 0) as tries, coalesce(t.found, 0) as found, t.last_tried_at, t.next_at
    from (
        (
            select * from state.wanted_list where not hidden and (asked > 0 or added)
            order by boost desc, asked desc, since, artist_key, year limit :most
        )
        union all (
            select * from state.wanted_list where hidden and (asked > 0 or added)
            order by boost desc, asked desc, since, artist_key, year limit :most
        )
        union all (
            select * from state.wanted_list where :all and asked = 0 and not added order by artist_key, year limit :most
        )
    ) w
    left join lateral (
        select sum(tries) as tries, sum(found) as found, max(last_tried_at) as last_tried_at, min(next_at) as next_at
        from state.wanted_tries t where t.artist_key = w.artist_key and t.year = w.year
    ) t on true
    order by w.hidden, w.boost desc, w.asked desc, w.since, w.artist_key, w.year limit :most
    """
)
AS_OF = text("select max(updated_at) from state.wanted_list")


HIDE = text("update state.wanted_list set hidden = :to, updated_at = now() where (artist_key, year) = (:key, :year)")
BOOST = text("update state.wanted_list set boost = :to, updated_at = now() where (artist_key, year) = (:key, :year)")
REMOVE = text(
    """
    update state.wanted_list set added = false, boost = 0, updated_at = now() where (artist_key, year) = (:key, :year)
    """
)
"""The row stays, unseen: an older message must find its rev."""


class WantedRefused(SettingsError):
    """That cannot be done; the message names the remedy."""


# -- from the topic ---------------------------------------------------------------------------------------------------


async def take_wanted(settings: Settings, engine: AsyncEngine, clock: Clock = utc_now) -> None:
    """Read what is wanted into the list until cancelled: write, then commit. A bad world is waited out."""
    pause = FIRST_PAUSE_S
    while True:
        try:
            async with kafka_consumer(settings, [Wanted.topic], GROUP) as consumer:
                while True:
                    records = await _next(consumer, 1_000)
                    if records:
                        await _take(settings, engine, records, clock)
                        await consumer.commit(_ends(records))
                    pause = FIRST_PAUSE_S
        except (KafkaError, SettingsError, SQLAlchemyError, OSError, TimeoutError) as error:
            if isinstance(error, DBAPIError) and (getattr(error.orig, "sqlstate", None) or "").startswith("42"):
                raise  # a bug of ours: no waiting helps
            log.warning("the wanted list is not read", error=" ".join(str(error).split())[:300], pause_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)


async def drain(settings: Settings, engine: AsyncEngine, clock: Clock = utc_now) -> int:
    """Read what `take_wanted` has not read yet, once; how many messages. SettingsError: Kafka cannot be used.

    It joins no group, so it takes nothing away from a scheduler that runs beside it.
    """
    read = 0
    async with asyncio.timeout(DRAIN_S), kafka_consumer(settings, (), GROUP) as consumer:
        parts = [TopicPartition(Wanted.topic, number) for number in range(settings.partitions)]
        if Wanted.topic not in await consumer.topics():
            raise SettingsError(f"the broker has no topic {Wanted.topic}. Remedy: `gigz topics apply`.")
        consumer.assign(parts)
        begins, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        for part in parts:
            consumer.seek(part, max(begins[part], await consumer.committed(part) or 0))
        while [part for part in parts if await consumer.position(part) < ends[part]]:
            if records := await _next(consumer, 500):
                await _take(settings, engine, records, clock)
                read += len(records)
    return read


async def _next(consumer: AIOKafkaConsumer, timeout_ms: int) -> list[ConsumerRecord]:
    found = await consumer.getmany(timeout_ms=timeout_ms, max_records=BATCH)
    return [record for records in found.values() for record in records]


def _ends(records: Iterable[ConsumerRecord]) -> dict[TopicPartition, int]:
    ends: dict[TopicPartition, int] = {}
    for record in records:
        part = TopicPartition(record.topic, record.partition)
        ends[part] = max(ends.get(part, 0), record.offset + 1)
    return ends


async def _take(settings: Settings, engine: AsyncEngine, records: Sequence[ConsumerRecord], clock: Clock) -> None:
    rows: dict[Key, dict[str, Any]] = {}
    rejections: list[Outgoing] = []
    for record in records:
        try:
            row = _row(record)
        except MessageError as error:
            rejections.append(_rejected(record, error, clock()))
            continue
        at = (row["artist_key"], row["year"])
        if at not in rows or rows[at]["rev"] <= row["rev"]:
            rows[at] = row | {"since": clock()}
    if rejections:
        async with kafka_producer(settings, "gigz-wanted") as producer:
            await publish(producer, rejections, settings.partitions)
    if rows:
        async with engine.begin() as connection:
            await connection.execute(PUT, {"rows": orjson.dumps([*rows.values()]).decode()})


def _row(record: ConsumerRecord) -> dict[str, Any]:
    """MessageError."""
    if record.value is not None:
        asked = Wanted.from_bytes(record.value)
        return {name: getattr(asked, name) for name in ("artist_key", "year", "artist", "asked", "rev")}
    artist_key, year = _key_of((record.key or b"").decode("utf-8", "replace"))
    told = dict(record.headers).get(HEADER_REV, b"")
    if not told.isdigit():
        raise MessageError("missing_field", f"a tombstone needs the header {HEADER_REV}")
    return {"artist_key": artist_key, "year": year, "artist": artist_key, "asked": 0, "rev": int(told)}


def _key_of(key: str) -> Key:
    """MessageError."""
    artist_key, _, year = key.rpartition("/")
    if not artist_key or not re.fullmatch(r"\d{4}", year):
        raise MessageError("missing_field", "the key is not artist key/year")
    return artist_key, int(year)


def _rejected(record: ConsumerRecord, error: MessageError, at: datetime) -> Outgoing:
    headers = headers_as_text(record.headers)
    return reject(
        Reason(error.reason),
        error.text,
        origin=first_origin(Origin(record.topic, record.partition, record.offset), headers),
        original=record.value,
        stage=STAGE,
        at=at,
        trace=headers.get(HEADER_TRACE) or new_trace(),
        key=(record.key or b"").decode("utf-8", "replace"),
    )


# -- what is searched for next ----------------------------------------------------------------------------------------


@dataclass
class Searcher:
    """A spider that can be sent for an artist, and what is left to it today."""

    spider: type[SourceSpider]
    a_day: int | None
    """Requests that its key is good for."""
    left: float
    """Of them, what is not used and not planned."""
    cost: float | None
    """Requests of a search, as those before took; None: there was none."""

    def errand(self, errand: Errand, now: datetime) -> float | None:
        """What that would cost, in requests; None when it cannot be asked for it, or has not so many left."""
        if self.left < (self.cost or 1 + PAGES_A_SEARCH):
            return None
        if self.spider.shows is Shows.UPCOMING and errand.until is not None and errand.until < now.date():
            return None
        try:
            addresses = self.spider(errand=errand, clock=lambda: now).addresses
        except SettingsError:
            return None
        fields = set(re.findall(r"\{(\w+)\}", self.spider.search))
        if "mbid" in fields and "artist" not in fields and not errand.mbid:
            return None
        cost = max(1.0, self.cost or len(addresses) + PAGES_A_SEARCH)
        return cost if cost <= self.left else None


@dataclass(frozen=True)
class Called:
    """How an artist is asked for."""

    artist: str
    mbid: str = ""

    def errand(self, years: Sequence[int]) -> Errand:
        """To be sent for these years, which have no gap."""
        return Errand(artist=self.artist, mbid=self.mbid, since=date(years[0], 1, 1), until=date(years[-1], 12, 31))


async def plan(
    engine: AsyncEngine, settings: Settings, spiders: Iterable[type[SourceSpider]], now: datetime, most: int
) -> list[tuple[str, Errand, list[str]]]:
    """The next searches, most wanted first: spider, errand, and the keys of the rows it answers. Changes nothing.

    Several years of one artist in a row are one errand. What a run is under way for, or waits for, is left out. Several
    errands of one spider are to be run one after the other; when one has ended, `tried` is to be told.
    """
    searchers = {one.spider.name: one for one in await searching(engine, settings, spiders, now)}
    planned: list[tuple[str, Errand, list[str]]] = []
    if not searchers or most < 1:
        return planned
    async with engine.connect() as connection:
        busy = [errand_of(row.arguments) for row in await connection.execute(UNDER_WAY)]
        taken: set[Key] = set()
        for page in range(MOST_PAGES):
            asked = {"now": now, "spiders": [*searchers], "most": PAGE, "skip": page * PAGE}
            rows = list(await connection.execute(DUE, asked))
            called = await _called(connection, {row.artist_key: row.artist for row in rows})
            due = await _due(connection, {row.artist_key for row in rows}, now)
            for row in rows:
                if (row.artist_key, row.year) in taken:
                    continue
                free = [name for name in searchers if name not in row.rests]
                for name in sorted(free, key=lambda name: (row.tries.get(name, 0), name)):
                    open_ = {year for year, rests in due[row.artist_key].items() if name not in rests}
                    years = around(row.year, open_)
                    errand = called[row.artist_key].errand(years)
                    cost = searchers[name].errand(errand, now)
                    if cost is None or any(_overlap(errand, one) for one in busy):
                        continue
                    searchers[name].left -= cost
                    busy.append(errand)
                    taken |= {(row.artist_key, year) for year in years}
                    planned.append((name, errand, [f"{row.artist_key}/{year}" for year in years]))
                    break
                if len(planned) >= most:
                    return planned
            if len(rows) < PAGE:
                break
    return planned


async def searching(
    engine: AsyncEngine, settings: Settings, spiders: Iterable[type[SourceSpider]], now: datetime
) -> list[Searcher]:
    """The spiders that give concerts, can be sent for an artist, and have the key they need; by name."""
    keys: dict[str, str] = {}
    able: list[type[SourceSpider]] = []
    for spider in sorted(spiders, key=lambda one: one.name):
        if not spider.search or spider.message not in (RawSetlist, RawEvent):
            continue
        secret = getattr(settings, spider.key_setting).get_secret_value() if spider.key_setting else ""
        if secret or not spider.key_setting:
            able.append(spider)
            keys[spider.name] = quota_of(spider.key_setting, secret, spider.pace.a_day, spider.name).key
    async with engine.connect() as connection:
        asked = {"day": now.date(), "keys": sorted({key for key in keys.values() if key})}
        used = {row.key: row.used for row in await connection.execute(USED, asked)}
        costs = await connection.execute(COST, {"spiders": [spider.name for spider in able]})
        cost = {row.spider: float(row.pages) for row in costs if row.pages}
    return [
        Searcher(
            spider,
            spider.pace.a_day,
            float("inf") if spider.pace.a_day is None else spider.pace.a_day - used.get(keys[spider.name], 0),
            cost.get(spider.name),
        )
        for spider in able
    ]


async def tried(
    engine: AsyncEngine, keys: Iterable[str], run_id: UUID, found: Mapping[str, int], clock: Clock = utc_now
) -> None:
    """A search for these rows has ended with so many items of each year: its spider rests from them for a while.

    `found`: the `years` of the run's figures. LookupError: there is no such run. A run counts once, however often it is
    told of.
    """
    rows = [
        {"artist_key": artist_key, "year": year, "found": found.get(str(year), 0)}
        for artist_key, year in map(_key_of, keys)
    ]
    if not rows:
        return
    query = text("select spider, state from state.runs where run_id = :run")
    async with engine.begin() as connection:
        run = (await connection.execute(query, {"run": run_id})).one_or_none()
        if run is None:
            raise LookupError(f"there is no run {run_id}")
        first = AGAIN if run.state == RunState.FINISHED.value else AGAIN_AFTER_FAILURE
        told = {"spider": run.spider, "run": run_id, "at": clock(), "first": first, "longest": LONGEST}
        await connection.execute(TRIED, told | {"rows": orjson.dumps(rows).decode()})


async def keys_of(engine: AsyncEngine, errand: Errand) -> list[str]:
    """The rows that an errand is about: for whoever did not see it planned."""
    years = {"first": errand.since.year if errand.since else 0, "last": errand.until.year if errand.until else 9_999}
    async with engine.connect() as connection:
        asked = {"key": key_of(errand.artist), "artist": errand.artist} | years
        rows = list(await connection.execute(SAME_ARTIST, asked))
        called = await _called(connection, {row.artist_key: row.artist for row in rows})
    who = Called(errand.artist, errand.mbid)
    return [f"{row.artist_key}/{row.year}" for row in rows if called[row.artist_key] == who]


def around(year: int, due: Collection[int]) -> list[int]:
    """The year and those beside it that are due as well: in order, without a gap, MOST_YEARS at most."""
    first = last = year
    while last - first + 1 < MOST_YEARS and not {first - 1, last + 1}.isdisjoint(due):
        if last + 1 in due:
            last += 1
        if first - 1 in due and last - first + 1 < MOST_YEARS:
            first -= 1
    return [*range(first, last + 1)]


async def _due(connection: AsyncConnection, keys: Collection[str], now: datetime) -> dict[str, dict[int, list[str]]]:
    """Of each artist the years that may be searched for, and the spiders that rest from them."""
    due: dict[str, dict[int, list[str]]] = defaultdict(dict)
    for row in await connection.execute(YEARS_OF, {"keys": sorted(keys), "now": now}):
        due[row.artist_key][row.year] = row.rests
    return due


async def _called(connection: AsyncConnection, artists: Mapping[str, str]) -> dict[str, Called]:
    """Each artist as the reference calls them, with the MusicBrainz id, where it knows exactly one of that name."""
    known: dict[str, list[Artist]] = defaultdict(list)
    if artists:
        await connection.execute(text("set local enable_seqscan = off"))
        for row in await connection.execute(CALLED, {"keys": sorted(artists), "topic": Artist.topic}):
            known[row.key].append(Artist.model_validate_json(row.body))
    return {key: _one(known[key]) or Called(artist) for key, artist in artists.items()}


def _one(found: Sequence[Artist]) -> Called | None:
    by_id = {one.mbid: one.name for one in sorted(found, key=lambda one: str(one.artist_id)) if one.mbid is not None}
    if len(by_id) != 1:
        return None
    ((mbid, name),) = by_id.items()
    return Called(name, str(mbid))


def _overlap(one: Errand, other: Errand) -> bool:
    """Whether two searches ask for the same artist and some of the same days."""
    if (one.mbid or one.artist.casefold()) != (other.mbid or other.artist.casefold()):
        return False
    starts = max(one.since or date.min, other.since or date.min)
    return starts <= min(one.until or date.max, other.until or date.max)


# -- operators ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WantedInfo:
    """A row of the list, for people."""

    artist: str
    year: int
    key: str
    asked: int
    since: datetime
    added: bool
    boost: int
    hidden: bool
    tries: int
    found: int
    last_tried_at: datetime | None
    next_at: datetime | None
    """When the first spider may search again that did so before."""
    state: str
    """wanted, tried, hidden; answered: nobody asks any more."""
    waits: str = ""
    """Why it is not among what is searched for next; empty: it is."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        told = asdict(self)
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items()}


@dataclass(frozen=True)
class Left:
    """A spider that can search, and what its quota leaves today."""

    spider: str
    a_day: int | None
    left: int | None


@dataclass(frozen=True)
class Outlook:
    """The list, what will be searched for next, and what the quotas leave."""

    rows: list[WantedInfo]
    next: list[tuple[str, Errand, list[str]]]
    spiders: list[Left]
    as_of: datetime | None
    """When the list changed last."""
    lacking: list[str] = field(default_factory=list)
    """Settings of keys without which a spider that could search cannot."""


async def outlook(
    engine: AsyncEngine,
    settings: Settings,
    spiders: Iterable[type[SourceSpider]],
    now: datetime,
    most: int = 50,
    *,
    everything: bool = False,
) -> Outlook:
    """What an operator sees."""
    spiders = list(spiders)
    able = await searching(engine, settings, spiders, now)
    async with engine.connect() as connection:
        rows = [_info(row) for row in await connection.execute(LIST, {"all": everything, "most": most})]
        as_of = await connection.scalar(AS_OF)
        busy = [errand_of(row.arguments) for row in await connection.execute(UNDER_WAY)]
        called = await _called(connection, {row.key.rpartition("/")[0]: row.artist for row in rows})
        due = await _due(connection, {row.key.rpartition("/")[0] for row in rows}, now)
    following = await plan(engine, settings, spiders, now, NEXT)
    names = {one.spider.name for one in able}
    lacking = {
        f"GIGZ_{one.key_setting.upper()}"
        for one in spiders
        if one.search and one.key_setting and one.message in (RawSetlist, RawEvent) and one.name not in names
    }
    chosen = {key for _, _, keys in following for key in keys}
    for place, row in enumerate(rows):
        if row.key not in chosen:
            artist = row.key.rpartition("/")[0]
            waits = _waits(row, called[artist], due[artist].get(row.year, []), able, busy, now)
            rows[place] = replace(row, waits=waits or "later")
    return Outlook(
        rows,
        following,
        [Left(one.spider.name, one.a_day, None if one.a_day is None else max(0, ceil(one.left))) for one in able],
        as_of,
        sorted(lacking),
    )


def _waits(
    row: WantedInfo,
    called: Called,
    rests: Collection[str],
    able: Sequence[Searcher],
    busy: Sequence[Errand],
    now: datetime,
) -> str:
    """Why a row is not searched for, where it is the row; empty: it is its place in the list, or no spider can."""
    if row.hidden or row.state == "answered":
        return row.state
    if any(_overlap(called.errand([row.year]), errand) for errand in busy):
        return "under way"
    if not able:
        return "no spider that can search has its key"
    free = [one for one in able if one.spider.name not in rests]
    if not free or (rests and not any(one.errand(called.errand([row.year]), now) for one in free)):
        return _rested(row)
    if all(one.left < (one.cost or 1 + PAGES_A_SEARCH) for one in free):
        return "the quota of today is used up"
    return "" if any(one.errand(called.errand([row.year]), now) for one in free) else NOBODY


def _rested(row: WantedInfo) -> str:
    last = f"tried {row.last_tried_at:%Y-%m-%d}" if row.last_tried_at else "tried"
    return f"{last}, next try {row.next_at:%Y-%m-%d}" if row.next_at else last


def _info(row: Any) -> WantedInfo:
    state = "tried" if row.tries else "wanted"
    if not row.asked and not row.added:
        state = "answered"
    return WantedInfo(
        artist=row.artist,
        year=row.year,
        key=f"{row.artist_key}/{row.year}",
        asked=row.asked,
        since=row.since,
        added=row.added,
        boost=row.boost,
        hidden=row.hidden,
        tries=row.tries,
        found=row.found,
        last_tried_at=row.last_tried_at,
        next_at=row.next_at,
        state="hidden" if row.hidden else state,
    )


def key_of(artist: str) -> str:
    """An artist's name as rows are found by it: as near to the matcher's folding as can be without it.

    Where the two differ, what an operator adds and what users ask for are two rows, and both are searched for.
    """
    bare = "".join(one for one in unicodedata.normalize("NFKD", artist.casefold()) if not unicodedata.combining(one))
    return " ".join(re.sub(r"[^\w\s]|_", " ", bare.replace("'", "").replace("’", "")).split())


async def add(engine: AsyncEngine, artist: str, years: Iterable[int], who: str, why: str, at: datetime) -> list[str]:
    """Ask for an artist and years though no user does; the keys. WantedRefused."""
    artist = " ".join(artist.split())
    key, asked = key_of(artist), sorted(set(years))
    if not key:
        raise WantedRefused(f"{artist!r} is no name that can be searched for. Remedy: the artist's name.")
    if not asked:
        raise WantedRefused("no year is given. Remedy: gigz wanted add ARTIST 1991, or 1990-1993.")
    if asked[-1] > at.year + 1:
        last = at.year + 1
        right = f"{asked[0]}-{last}" if asked[0] < last else str(last)
        raise WantedRefused(f"{asked[-1]} is after next year: no source tells of it yet. Remedy: {right}.")
    query = text(
        """
        insert into state.wanted_list as w (artist_key, year, artist, since, added)
        values (:key, :year, :artist, :at, true)
        on conflict (artist_key, year) do update set added = true, hidden = false, updated_at = now()
        """
    )
    async with engine.begin() as connection:
        for year in asked:
            before = await _state(connection, key, year)
            await connection.execute(query, {"key": key, "year": year, "artist": artist, "at": at})
            await _log(connection, f"{key}/{year}", before, "added", _By(who, why, at))
    return [f"{key}/{year}" for year in asked]


async def told_of(engine: AsyncEngine, keys: Iterable[str]) -> dict[str, list[int]]:
    """Rows as people call them: artist -> years."""
    asked = [dict(zip(("artist_key", "year"), _key_of(key), strict=True)) for key in keys]
    query = text(
        """
        select artist, year from state.wanted_list
        join json_to_recordset(cast(:rows as json)) as r (artist_key text, year int) using (artist_key, year)
        order by artist, year
        """
    )
    found: dict[str, list[int]] = defaultdict(list)
    async with engine.connect() as connection:
        for row in await connection.execute(query, {"rows": orjson.dumps(asked).decode()}):
            found[row.artist].append(row.year)
    return found


async def hide(
    engine: AsyncEngine, artist: str, years: Iterable[int], who: str, why: str, at: datetime, *, hidden: bool = True
) -> list[str]:
    """Never search for these, or again after all; no years: all of the artist. The keys. WantedRefused."""
    return await _change(engine, artist, years, HIDE, hidden, "hidden" if hidden else "shown", _By(who, why, at))


async def boost(
    engine: AsyncEngine, artist: str, years: Iterable[int], by: int, who: str, why: str, at: datetime
) -> list[str]:
    """Search for these before others with a smaller boost; 0 takes it back. The keys. WantedRefused."""
    return await _change(engine, artist, years, BOOST, by, f"boost {by}", _By(who, why, at))


async def remove(engine: AsyncEngine, artist: str, years: Iterable[int], who: str, why: str, at: datetime) -> list[str]:
    """Take rows off the list that an operator added. The keys. WantedRefused: users ask for one of them."""
    async with engine.begin() as connection:
        rows = await _rows(connection, artist, years)
        asked = [row for row in rows if row.asked]
        if asked:
            raise WantedRefused(
                f"{asked[0].asked} entries ask for {asked[0].artist} {asked[0].year}: it would come back. "
                "Remedy: `gigz wanted hide`."
            )
        for row in rows:
            where = {"key": row.artist_key, "year": row.year}
            await connection.execute(REMOVE, where)
            await _log(connection, f"{row.artist_key}/{row.year}", _said(row), "removed", _By(who, why, at))
    return [f"{row.artist_key}/{row.year}" for row in rows]


async def _change(
    engine: AsyncEngine, artist: str, years: Iterable[int], query: TextClause, to: int | bool, told: str, by: "_By"
) -> list[str]:
    async with engine.begin() as connection:
        rows = await _rows(connection, artist, years)
        for row in rows:
            await connection.execute(query, {"to": to, "key": row.artist_key, "year": row.year})
            await _log(connection, f"{row.artist_key}/{row.year}", _said(row), told, by)
    return [f"{row.artist_key}/{row.year}" for row in rows]


async def _rows(connection: AsyncConnection, artist: str, years: Iterable[int]) -> list[Any]:
    """Rows of an artist, locked, in order. WantedRefused when there is none, or not of each year."""
    asked = sorted(set(years))
    query = text(
        """
        select * from state.wanted_list w where (w.asked > 0 or w.added)
          and (artist_key = :key or lower(artist) = lower(:artist)) and (:every or year = any(cast(:years as int[])))
        order by artist_key, year for update
        """
    )
    told = {"key": key_of(artist), "artist": artist.strip(), "every": not asked, "years": asked}
    rows = list(await connection.execute(query, told))
    missing = [year for year in asked if year not in {row.year for row in rows}]
    if not rows or missing:
        what = f"{artist} {', '.join(map(str, missing))}".strip()
        raise WantedRefused(f"{what} is not on the wanted list. Remedy: `gigz wanted list`, or `gigz wanted add`.")
    return rows


async def _state(connection: AsyncConnection, key: str, year: int) -> str | None:
    query = text("select * from state.wanted_list where artist_key = :key and year = :year for update")
    row = (await connection.execute(query, {"key": key, "year": year})).one_or_none()
    return None if row is None else _said(row)


def _said(row: Any) -> str:
    """A row in a few words, for the log."""
    told = [f"asked by {row.asked}"] if row.asked else []
    told += ["added"] if row.added else []
    told += [f"boost {row.boost}"] if row.boost else []
    told += ["hidden"] if row.hidden else []
    return ", ".join(told) or "not asked for"


@dataclass(frozen=True)
class _By:
    who: str
    why: str
    at: datetime


async def _log(connection: AsyncConnection, key: str, before: str | None, after: str, by: _By) -> None:
    line = {"about": WatchedBy.WANTED, "thing": key, "before": before, "after": after}
    await connection.execute(insert(OperatorLogRow).values(**line, at=by.at, who=by.who, why=by.why or None))

"""What the card of an entry shows: pure, from `EntryView` to words in the reader's language.

Rows       what the user wrote beside what sources say; the evidence decides whether they agree, words that the other
           side does not have are marked
Set list   the songs that the user remembered are marked, as loosely as the matcher compares them
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from api.entries import EntryView, State
from api.pages import evidence, maps
from api.pages.evidence import Agreement
from api.pages.waterfall import Waterfall, in_order, waterfall
from api.pages.words import _, country, day, distance, hour, listed, marked, ngettext, number
from matchers.gazetteer import distance_km
from matchers.text import fold, similarity
from schemas.action import Action
from schemas.concert import Facts, Member
from schemas.decision import Decision
from schemas.history import Remembered
from schemas.listing import Place, StartPrecision, Status
from schemas.suggestion import Band, Evidence, Nothing, Origin, Suggestion

SONG_LIKE = 0.85
"""As `matchers.evidence`: titles spelled so alike are one song."""
NAME_LIKE = 0.8
"""Names spelled so alike are told apart by a slip; only where no evidence says more."""
MOST_SONGS = 60
"""Remembered songs that are looked for; nobody's night had more."""
MOST_SOURCES, MOST_ACTS = 4, 6
"""Named on a card; the entry's own page has all."""
MOST_LETTERS, MOST_NAME = 280, 160
"""Of a note, and of a name, on a card."""
MOST_PLAYED, SHORT_LIST = 40, 12
"""Songs of a set list on a card, and of one that is not folded away."""
NEAR_KM, FAR_KM = 1.0, 150.0
"""Nearer is the same place; from the latter on a map tells more than a number."""
WITH_STATES = frozenset({"AU", "BR", "CA", "IN", "MX", "US"})
"""Countries of which a town's name alone says too little."""
PLAIN = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]+")
"""Entry ids that an address can hold as they are."""

CERTAINTY = {
    Band.SURE: marked("Almost certainly this one"),
    Band.LIKELY: marked("Probably this one"),
    Band.POSSIBLE: marked("Could be this one"),
}
_STATUS = {
    Status.MOVED: marked("Moved: to another night or place"),
    Status.POSTPONED: marked("Postponed: it did not take place that night"),
    Status.CANCELLED: marked("Cancelled: it did not take place"),
}
_SAID = {
    Action.CONFIRMED: marked("You were there"),
    Action.DISMISSED: marked("Not you"),
    Action.OTHER_NIGHT: marked("It was another night"),
    Action.NOT_SEEN: marked("Not seen"),
    Action.SNOOZED: marked("For later"),
}
_NOTHING = {
    Nothing.NO_CANDIDATE: marked("No show is known yet that it could be."),
    Nothing.TOO_WEAK: marked("Shows are known, but none of them fits well enough."),
    Nothing.NOTHING_TO_GO_BY: marked("There is too little to go by: an artist, or a date and a place, would help."),
    Nothing.DISMISSED: marked("What was found was not it; when something new turns up, you will be asked."),
    Nothing.UNREADABLE_DATE: marked("The date could not be read. Written as 2014-11-14, or only the year, it can be."),
    Nothing.TOO_MANY: marked("Too many shows could be meant: a town or a year would help."),
    Nothing.TAKEN: marked("The show that fits is already one of your other entries."),
}


@dataclass(frozen=True)
class Run:
    """Some words in a row, marked where the other side does not have them."""

    text: str
    marked: bool = False


@dataclass(frozen=True)
class Row:
    """One thing, as the user wrote it and as sources tell it."""

    label: str
    written: tuple[Run, ...]
    said: tuple[Run, ...]
    agreement: Agreement | None = None
    """None where one side says nothing of it."""
    note: str = ""
    """Of what kind the difference is."""

    @property
    def short(self) -> "Row":
        """The same with no more than the beginning of long names."""
        return replace(self, written=_cut(self.written), said=_cut(self.said), note=short(self.note))


@dataclass(frozen=True)
class Song:
    """Of a set list."""

    name: str
    remembered: bool


@dataclass(frozen=True)
class SetList:
    """What was played, and what of it the user remembered."""

    songs: tuple[Song, ...]
    missing: tuple[str, ...]
    """Remembered, but not in this list."""
    remembered: int
    length: int
    """Of the whole list, where only its beginning is shown."""

    @property
    def opened(self) -> bool:
        """Whether it is short, and something in it was remembered."""
        return self.remembered + len(self.missing) > 0 and self.length <= SHORT_LIST

    @property
    def summary(self) -> str:
        """How long it is, and how much of it was remembered."""
        length = ngettext("Set list, %(num)s song", "Set list, %(num)s songs", self.length)
        every = self.remembered + len(self.missing)
        if not every:
            return length
        return _(
            "%(length)s; of those you remembered %(part)s of %(all)s", length=length, part=self.remembered, all=every
        )


@dataclass(frozen=True)
class Source:
    """Who tells of it; an address only where a browser should follow it."""

    name: str
    url: str | None


@dataclass(frozen=True)
class Reason:
    """A piece of evidence."""

    text: str
    bits: str
    speaks_for: bool


@dataclass(frozen=True)
class Told:
    """A show as sources tell it."""

    facts: Facts
    artist: str
    began: str
    """The hour, in the venue's zone; empty where no source tells it."""
    venue: str
    town: str
    """With region, where its country has states, and country."""
    status: str
    """Empty for a show that took place, or will."""
    part_of: str
    """The festival, or the tour."""
    others: str
    """The other acts of the bill."""

    @property
    def where(self) -> str:
        """'Little John's Farm, Reading, United Kingdom'."""
        return ", ".join(part for part in (self.venue, self.town) if part)

    @property
    def name(self) -> str:
        """What a button is about: 'Radiohead, 27 Aug 1994'."""
        return f"{short(self.artist, 80)}, {day(self.facts.night)}"


@dataclass(frozen=True)
class Choice:
    """A show that it can be."""

    suggestion_id: UUID
    concert_id: UUID
    show: Told
    confidence: float
    band: Band
    pieces: tuple[Evidence, ...]
    sources: tuple[Source, ...]
    away: str = ""
    """How far it is from the best one, where that is elsewhere."""
    later: str = ""
    """How many days it is from the best one."""

    @property
    def why(self) -> tuple[Reason, ...]:
        """The evidence as text, in the order of its picture."""
        return tuple(Reason(evidence.told(one).text, signed(one.bits), one.bits >= 0) for one in in_order(self.pieces))

    @property
    def picture(self) -> Waterfall:
        """The evidence as bars."""
        return waterfall(self.pieces)


@dataclass(frozen=True)
class Verdict:
    """What was decided of one show."""

    suggestion_id: UUID
    action: Action
    said: str
    show: Told | None
    until: str
    """Of a snooze."""
    acts: tuple[tuple[UUID, str], ...] = ()
    """The other acts of its bill, which can be said not to have been seen."""


@dataclass(frozen=True)
class Map:
    """Where the user put it, and where sources do, upon the view of both."""

    view: maps.View
    here: tuple[float, float]
    there: tuple[float, float]
    apart: str


@dataclass(frozen=True)
class Card:
    """An entry."""

    key: str
    """Stable and safe as an id of HTML, whatever the user called the entry."""
    address: str
    """Its own page."""
    entry_id: str
    state: State
    origin: Origin
    ask: str
    title: str
    because: str
    """What a companion or a habit hangs on."""
    best: Choice | None
    others: tuple[Choice, ...]
    rows: tuple[Row, ...]
    asides: tuple[tuple[str, str], ...]
    """What nobody else can know: company, notes."""
    set_list: SetList | None
    apart: str
    """How far what the user wrote is from what was found, where the evidence does not say so already."""
    map: Map | None
    verdicts: tuple[Verdict, ...]
    nothing: str
    """Why nothing was found."""
    search: str
    """Where it can be looked for by hand."""
    write: str
    """Where it can be written into the journal, as a show that no source knows."""

    @property
    def deciding(self) -> bool:
        """Whether there is something to decide."""
        return self.state is State.OPEN and self.best is not None

    @property
    def show(self) -> Told | None:
        """What the card is about, where that is one show."""
        if self.best is not None:
            return self.best.show
        return self.verdicts[0].show if len(self.verdicts) == 1 else None

    @property
    def seen_with(self) -> bool:
        """Another act of a night that the user was at: the question is whether it was seen."""
        return self.origin is Origin.COMPANION


# -- cards ------------------------------------------------------------------------------------------------------------


def card(view: EntryView, *, whole: bool = False) -> Card:
    """An entry's card; `whole`: nothing is left out, as on its own page."""
    best = view.suggestions[0] if view.suggestions and view.state in (State.OPEN, State.SNOOZED) else None
    decided = view.confirmed or (view.decisions[-1] if view.decisions else None)
    concert = best.concert if best else decided.concert if decided else None
    why = best.why if best else decided.why if decided else ()
    first = choice(best, whole=whole) if best else None
    verdicts = [view.confirmed] if view.confirmed else list(view.decisions)
    told = rows(view.entry, concert, why)
    played = set_list(view.entry.songs, concert.songs) if concert and view.state is State.OPEN else None
    name = str if whole else partial(short, most=MOST_NAME)
    return Card(
        key=key_of(view.entry_id),
        address=address_of(view.entry_id),
        entry_id=view.entry_id,
        state=view.state,
        origin=view.origin,
        ask=_ask(view),
        title=name(concert.artist if concert else view.entry.artist or "") or _("Something you saw"),
        because=evidence.told_because(view.because.text) if view.because else "",
        best=first,
        others=tuple(choice(one, beside=best, whole=whole) for one in view.suggestions[1:]) if best else (),
        rows=told if whole else tuple(row.short for row in told),
        asides=asides(view.entry, MOST_LETTERS if not whole else 10_000),
        set_list=played if whole or not played else replace(played, songs=played.songs[:MOST_PLAYED]),
        apart=apart(view.entry, concert) if concert and not any(one.field == "distance" for one in why) else "",
        map=_map(view.entry, concert) if concert else None,
        verdicts=tuple(verdict(one) for one in verdicts),
        nothing=_(_NOTHING[view.reason]) if view.reason in _NOTHING else _(_NOTHING[Nothing.NO_CANDIDATE]),
        search=_query("/search", q=view.entry.artist, place=view.entry.city, year=_year(view.entry.date)),
        write=_query("/journal/new", artist=view.entry.artist, night=_day(view.entry.date)),
    )


def choice(one: Suggestion, *, beside: Suggestion | None = None, whole: bool = False) -> Choice:
    """A suggestion; `beside`: the best one, from which distance and days are told."""
    return Choice(
        suggestion_id=one.suggestion_id,
        concert_id=one.concert_id,
        show=show(one.concert, whole=whole),
        confidence=one.confidence,
        band=one.band,
        pieces=one.why,
        sources=sources(one.members)[: None if whole else MOST_SOURCES],
        away=between(beside.concert.place, one.concert.place) if beside else "",
        later=days_between(beside.concert.night, one.concert.night) if beside else "",
    )


def verdict(one: Decision) -> Verdict:
    """What was decided, as the entry's card tells it."""
    return Verdict(
        suggestion_id=one.suggestion_id,
        action=one.action,
        said=_(_SAID[one.action]) if one.action in _SAID else "",
        show=show(one.concert, whole=True) if one.concert else None,
        until=day(one.until.date()) if one.until else "",
        acts=tuple((act.concert_id, act.artist) for act in one.concert.bill)
        if one.concert and one.action is Action.CONFIRMED
        else (),
    )


def show(facts: Facts, *, whole: bool = False) -> Told:
    """A show as sources tell it."""
    acts = [short(act.artist, 80) for act in facts.bill]
    name = str if whole else partial(short, most=MOST_NAME)
    most = len(acts) if whole else MOST_ACTS
    more = [ngettext("%(num)s more", "%(num)s more", len(acts) - most)] if len(acts) > most else []
    return Told(
        facts=facts,
        artist=name(facts.artist),
        began=_began(facts),
        venue=name(", ".join(part for part in (facts.place.name, facts.place.room) if part)),
        town=name(town(facts.place)),
        status=_(_STATUS[facts.status]) if facts.status in _STATUS else "",
        part_of=name(facts.festival or facts.tour or ""),
        others=listed([*acts[:most], *more]) if acts else "",
    )


def town(place: Place) -> str:
    """'Reading, United Kingdom', 'Portland, Maine, United States'."""
    region = place.region if place.country in WITH_STATES or not place.city else None
    parts = (place.city, region, country(place.country) if place.country else None)
    return ", ".join(part for part in parts if part)


def key_of(entry_id: str) -> str:
    """The id of an entry's card: safe in HTML and in addresses, whatever the user called the entry."""
    return "card-" + hashlib.sha256(entry_id.encode()).hexdigest()[:12]


def address_of(entry_id: str) -> str:
    """An entry's own page. Ids are the user's: what an address cannot hold stands behind the question mark."""
    if PLAIN.fullmatch(entry_id):
        return f"/inbox/entries/{entry_id}"
    return f"/inbox/entries?id={quote(entry_id, safe='')}"


def _query(path: str, **told: str | None) -> str:
    query = urlencode({name: value[:200] for name, value in told.items() if value})
    return f"{path}?{query}" if query else path


def _year(typed: str | None) -> str:
    found = re.search(r"(?<!\d)(?:19|20)\d\d(?!\d)", typed or "")
    return found[0] if found else ""


def _day(typed: str | None) -> str:
    found = re.fullmatch(r"\d{4}-\d\d-\d\d", (typed or "").strip())
    return found[0] if found else ""


def sources(members: Iterable[Member]) -> tuple[Source, ...]:
    """Each source once for each address, and that only if it is one that a browser should follow."""
    found: dict[Source, None] = {}
    for member in members:
        found[Source(member.source, _safe(member.url))] = None
    return tuple(found)


def _safe(url: str | None) -> str | None:
    try:
        return url if url and urlsplit(url).scheme in {"http", "https"} else None
    except ValueError:  # 'http://[' is none
        return None


def signed(bits: float) -> str:
    """'+14.2', '−2.5'."""
    return ("+" if bits >= 0 else "−") + number(abs(round(bits, 1)))


def short(text: str, most: int = MOST_LETTERS) -> str:
    """The beginning of a long text."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _ask(view: EntryView) -> str:
    if view.state is State.CONFIRMED:
        return _("You were there")
    if view.state is State.DISMISSED:
        return _("Not seen") if view.origin is Origin.COMPANION else _("Not you")
    if view.state is State.SNOOZED:
        return _("For later")
    if view.state is State.NOTHING:
        return _("Nothing found yet")
    if view.origin is Origin.COMPANION:
        return _("Did you also see them?")
    return _("Were you there, too?") if view.origin is Origin.HABIT else _("Is this the one?")


def _began(facts: Facts) -> str:
    if facts.start_at is None or facts.start_precision is StartPrecision.UNKNOWN:
        return ""
    told = hour(in_zone(facts.start_at, facts.place.tz))
    return _("doors %(time)s", time=told) if facts.start_precision is StartPrecision.DOORS else told


def in_zone(at: datetime, zone: str | None) -> datetime:
    """In the venue's zone; as the source gave it where that is not known, or no zone."""
    try:
        return at.astimezone(ZoneInfo(zone)) if zone else at
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return at.astimezone(UTC)


# -- rows -------------------------------------------------------------------------------------------------------------


def rows(entry: Remembered, concert: Facts | None, why: Sequence[Evidence]) -> tuple[Row, ...]:
    """What the user wrote, thing by thing, beside what sources say; only what was written."""
    found = {one.field: evidence.told(one) for one in reversed(why)}
    made = [
        _row(_("Artist"), entry.artist, concert.artist if concert else None, found.get("artist")),
        _when(entry, concert, found.get("date")),
        _hour(entry, concert, found.get("time")),
        _row(_("Venue"), entry.venue, show(concert, whole=True).venue if concert else None, found.get("venue")),
        _where(entry, concert, found),
        _songs(entry, concert),
    ]
    return tuple(row for row in made if row is not None)


def asides(entry: Remembered, most: int = MOST_LETTERS) -> tuple[tuple[str, str], ...]:
    """What only the user knows: label and text."""
    told = ((_("With"), listed(entry.with_) if entry.with_ else ""), (_("Note"), short(entry.note or "", most)))
    return tuple((label, text) for label, text in told if text)


def _row(label: str, written: str | None, said: str | None, found: evidence.Told | None) -> Row | None:
    if not written:
        return None
    if not said:
        return Row(label, (Run(written),), ())
    agreement = found.agreement if found else alike(written, said)
    if agreement is Agreement.SAME:
        return Row(label, (Run(written),), (Run(said),), agreement)
    mine, theirs = differing(written, said)
    return Row(label, mine, theirs, agreement, found.note if found else "")


def _when(entry: Remembered, concert: Facts | None, found: evidence.Told | None) -> Row | None:
    if not entry.date:
        return None
    said = (Run(day(concert.night), bool(found) and found.agreement is Agreement.OTHER),) if concert else ()  # type: ignore[union-attr]
    agreement = found.agreement if found else None
    note = found.note if found and agreement is not Agreement.SAME else ""
    return Row(_("When"), (Run(entry.date),), said, agreement, note)


def _hour(entry: Remembered, concert: Facts | None, found: evidence.Told | None) -> Row | None:
    if not entry.time:
        return None
    said = _began(concert) if concert else ""
    return Row(_("Time"), (Run(entry.time),), (Run(said),) if said else (), found.agreement if found and said else None)


def _where(entry: Remembered, concert: Facts | None, found: dict[str, evidence.Told]) -> Row | None:
    told = next((found[field] for field in ("city", "distance", "region", "country") if field in found), None)
    typed = (entry.city, entry.region, entry.country)
    if any(typed):
        written = ", ".join(part for part in typed if part)
    elif entry.lat is not None and entry.lon is not None:
        written = f"{entry.lat:.4f}, {entry.lon:.4f}"
    else:
        return None
    label = _("Town")
    said = town(concert.place) if concert else ""
    if not concert or not said:
        return Row(label, (Run(written),), ())
    if told is None:
        agreement = alike(entry.city, concert.place.city) if entry.city and concert.place.city else None
    else:
        agreement = told.agreement
    note = told.note if told and agreement is not Agreement.SAME else ""
    if not entry.city or not concert.place.city or agreement in (Agreement.SAME, None):
        differs = agreement is Agreement.OTHER
        return Row(label, (Run(written, differs),), (Run(said, differs),), agreement, note)
    # Of a town's name its words; 'UK' and 'United Kingdom' are one country, whatever the words.
    mine, theirs = differing(entry.city, concert.place.city)
    rest = written.removeprefix(entry.city), said.removeprefix(concert.place.city)
    return Row(label, (*mine, Run(rest[0])), (*theirs, Run(rest[1])), agreement, note)


def _songs(entry: Remembered, concert: Facts | None) -> Row | None:
    if not entry.songs:
        return None
    if not concert or not concert.songs:
        return Row(_("Songs"), (Run(short(listed(entry.songs))),), ())
    played = set_list(entry.songs, concert.songs)
    assert played is not None
    missing = set(played.missing)
    runs: list[Run] = []
    for place, song in enumerate(entry.songs[:12]):
        runs += [*([Run(", ")] if place else []), Run(short(song, 80), song in missing)]
    if len(entry.songs) > 12:
        runs.append(Run(" …"))
    agreement = Agreement.OTHER if not played.remembered else Agreement.NEAR if missing else Agreement.SAME
    every = played.remembered + len(missing)
    said = _("%(part)s of %(all)s in the set list", part=played.remembered, all=every)
    return Row(_("Songs"), tuple(runs), (Run(said),), agreement)


def alike(one: str, other: str) -> Agreement:
    """What two names come to where no evidence compares them."""
    a, b = fold(one), fold(other)
    if a == b:
        return Agreement.SAME
    return Agreement.NEAR if a in b or b in a or similarity(a, b) >= NAME_LIKE else Agreement.OTHER


def differing(one: str, other: str) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """Two texts with the words marked that the other does not have; case, accents and punctuation aside."""
    return _marked(one, _words(other)), _marked(other, _words(one))


def _cut(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """As many runs as fit, the last of them cut."""
    kept: list[Run] = []
    left = MOST_NAME
    for run in runs:
        if left <= 0:
            break
        kept.append(replace(run, text=short(run.text, max(left, 2))))
        left -= len(run.text)
    return tuple(kept)


def _words(text: str) -> set[str]:
    return {fold(word) for word in text.split()}


def _marked(text: str, known: set[str]) -> tuple[Run, ...]:
    runs: list[Run] = []
    for part in re.findall(r"\s+|\S+", text):
        mark = not part.isspace() and fold(part) not in known
        if runs and (part.isspace() or runs[-1].marked == mark):
            runs[-1] = Run(runs[-1].text + part, runs[-1].marked)
        else:
            runs.append(Run(part, mark))
    # What follows a marked word belongs to no mark.
    tidy: list[Run] = []
    for run in runs:
        kept = run.text.rstrip() if run.marked else run.text
        tidy.append(Run(kept, run.marked))
        if len(kept) < len(run.text):
            tidy.append(Run(run.text[len(kept) :]))
    return tuple(tidy)


# -- songs and distances ----------------------------------------------------------------------------------------------


def set_list(remembered: Sequence[str], songs: Sequence[str]) -> SetList | None:
    """The set list, with what the user remembered of it; None where none is known."""
    if not songs:
        return None
    played = [fold(song) for song in songs]
    mine = [(song, fold(song)) for song in list(dict.fromkeys(remembered))[:MOST_SONGS]]
    hit: set[int] = set()
    missing = []
    for song, folded in mine:
        places = [place for place, other in enumerate(played) if _same_song(folded, other)]
        hit.update(places)
        if not places:
            missing.append(song)
    listed_ = tuple(Song(song, place in hit) for place, song in enumerate(songs))
    return SetList(listed_, tuple(missing), len(mine) - len(missing), len(songs))


def _same_song(one: str, other: str) -> bool:
    return bool(one) and (one == other or similarity(one, other) >= SONG_LIKE)


def apart(entry: Remembered, concert: Facts) -> str:
    """How far the place that the user gave is from the show's, where both are known and are not the same."""
    here = _spot(entry.lat, entry.lon)
    return between(Place(lat=here[0], lon=here[1]), concert.place) if here else ""


def between(one: Place, other: Place) -> str:
    """'412 km apart'; empty for the same place, or where one is not known."""
    here, there = _spot(one.lat, one.lon), _spot(other.lat, other.lon)
    if here is None or there is None:
        return ""
    km = distance_km(here, there)
    return _("%(km)s apart", km=distance(km)) if km >= NEAR_KM else ""


def days_between(here: date, there: date) -> str:
    """'one day later', 'three days earlier'; empty for the same night."""
    days = (there - here).days
    if days == 0:
        return _("the same night")
    if days > 0:
        return ngettext("%(num)s day later", "%(num)s days later", days)
    return ngettext("%(num)s day earlier", "%(num)s days earlier", -days)


def _map(entry: Remembered, concert: Facts) -> Map | None:
    """Only where a look tells more than the number."""
    here, there = _spot(entry.lat, entry.lon), _spot(concert.place.lat, concert.place.lon)
    if here is None or there is None or distance_km(here, there) < FAR_KM:
        return None
    view = maps.view([maps.Spot("", None, 1, *here), maps.Spot("", None, 1, *there)])
    assert view is not None
    return Map(view, view.at(*here), view.at(*there), apart(entry, concert))


def _spot(lat: float | None, lon: float | None) -> tuple[float, float] | None:
    return None if lat is None or lon is None else (lat, lon)

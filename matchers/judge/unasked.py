"""Figures of what nobody asked for: how often a companion or a habit is right. Reads `gold`, as `evaluate` does.

companions  of each night that a user logged, one show is taken as confirmed: which of those asked for were logged, too?
habits      a history in five parts, each hidden once: which of those asked for from the rest are hidden ones?

Caution     a catalogue that was put together from what people logged holds hardly anything that could be asked for
            wrongly. `unlogged` counts what could; `bound` says what the precision could be at most where everything
            that took place is in the catalogue.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from matchers.candidates import concert_keys
from matchers.companions import CONCERT_ACTS, Link, Size, companion_keys, companions, link, size_of
from matchers.habits import Kind, habit_keys, habit_profile, habits, kind_of
from matchers.judge.evaluate import wilson
from matchers.judge.variants import Draw
from matchers.text import squash
from schemas.concert import Concert
from schemas.history import Entry
from schemas.rows import entry_from_row

Row = Mapping[str, Any]

PARTS = 5
MOST_WRONG = 50


def _share(told: Sequence[bool]) -> dict[str, Any]:
    right, of = sum(told), len(told)
    low, high = wilson(right, of)
    return {"right": right, "asked": of, "precision": round(right / of, 4) if of else None} | {
        "interval": [round(low, 4), round(high, 4)]
    }


class _Labelled:
    """Rows by user, with the concerts that they mean, and the catalogue by its keys."""

    def __init__(self, rows: Iterable[Row], concerts: Iterable[Concert]) -> None:
        self.concerts = sorted({one.concert_id: one for one in concerts}.values(), key=lambda one: one.concert_id.int)
        self.by_id = {one.concert_id: one for one in self.concerts}
        self.by_key: dict[str, list[Concert]] = defaultdict(list)
        of_record: dict[str, Concert] = {}
        for concert in self.concerts:
            for key in concert_keys(concert):
                self.by_key[key].append(concert)
            of_record.update(dict.fromkeys((member.source_id for member in concert.members), concert))
        self.rows: dict[str, list[Row]] = defaultdict(list)
        self.meant: dict[str, dict[str, Concert]] = defaultdict(dict)
        for row in sorted(rows, key=lambda one: (str(one["user"]), str(one["entry_id"]))):
            self.rows[row["user"]].append(row)
            if row.get("gold") in of_record:
                self.meant[row["user"]][row["entry_id"]] = of_record[row["gold"]]
        self.logged = {concert.concert_id for meant in self.meant.values() for concert in meant.values()}

    def found(self, keys: Iterable[str]) -> list[Concert]:
        """Concerts that have one of these keys."""
        return list({one.concert_id: one for key in keys for one in self.by_key.get(key, ())}.values())

    def has(self, user: str, concert: Concert) -> bool:
        """Whether the user logged it: by its record, or the act and night in a line that no record was found for."""
        return concert.concert_id in self._ids(user) or (concert.night.isoformat(), squash(concert.artist)) in {
            (row.get("date"), squash(row.get("artist") or "")) for row in self.rows[user]
        }

    def _ids(self, user: str) -> set[UUID]:
        return {concert.concert_id for concert in self.meant[user].values()}


def evaluate_companions(rows: Iterable[Row], concerts: Iterable[Concert], seed: int = 0) -> dict[str, Any]:
    """Figures of entry rows with `gold` (a source_id) against a catalogue.

    nights: of the users, with a labelled show; asked, right: companions of one show of each, drawn by `seed`, and those
    that its user logged, too; links, sizes: the same by what they hang on and by kind of night; others, found: the
    labelled shows beside the drawn ones, and how many of them were asked for; unlogged: concerts of the same place and
    night that no user logged; bound: what precision can be at most where bills are whole, from how many acts people log
    of a night and how many a bill has that is not of these histories.
    """
    data = _Labelled(rows, concerts)
    links: dict[str, list[bool]] = {one.value: [] for one in Link}
    sizes: dict[str, list[bool]] = {one.value: [] for one in Size}
    nights = others = found = unlogged = 0
    wrong: list[str] = []
    for user, meant in sorted(data.meant.items()):
        by_night: dict[date, dict[UUID, Concert]] = defaultdict(dict)
        for concert in meant.values():
            by_night[concert.night][concert.concert_id] = concert
        for night, shows in sorted(by_night.items()):
            nights += 1
            ordered = sorted(shows.values(), key=lambda one: one.concert_id.int)
            show = Draw(seed, "companions", user, night).pick(ordered)
            near = data.found(companion_keys(show))
            near += [data.by_id[act.concert_id] for act in show.bill if act.concert_id in data.by_id]
            others += len(shows) - 1
            unlogged += sum(link(show, one) is not None and one.concert_id not in data.logged for one in near)
            size = size_of(show, near)
            for one in companions(user, [show], near):
                (suggestion,) = one.suggestions
                concert = data.by_id[suggestion.concert_id]
                logged = data.has(user, concert)
                found += concert.concert_id in shows
                links[suggestion.why[0].field].append(logged)
                sizes[size.value].append(logged)
                if not logged:
                    wrong.append(f"{concert.night} {concert.artist}, beside {show.artist}")
    return (
        {"nights": nights}
        | _share([logged for told in links.values() for logged in told])
        | {
            "links": {how: _share(told) for how, told in links.items()},
            "sizes": {size: _share(told) for size, told in sizes.items()},
            "others": others,
            "found": found,
            "recall": round(found / others, 4) if others else None,
            "unlogged": unlogged,
            "bound": _bound(data),
            "wrong": sorted(wrong)[:MOST_WRONG],
        }
    )


def _bound(data: _Labelled) -> dict[str, Any]:
    """Further acts that a line's night has in its history, over further acts that a bill has elsewhere."""
    logged: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for rows in data.rows.values():
        sizes = Counter((row.get("date"), row.get("city")) for row in rows if len(str(row.get("date") or "")) == 10)
        for size in sizes.values():
            which = Size.CONCERT if size <= CONCERT_ACTS else Size.FESTIVAL
            lines[which] += size
            logged[which] += size * (size - 1)
    billed: Counter[str] = Counter()
    acts: Counter[str] = Counter()
    for concert in data.concerts:
        size = len(concert.bill) + 1
        which = Size.CONCERT if size <= CONCERT_ACTS else Size.FESTIVAL
        known = which is Size.CONCERT or concert.festival is not None
        if known and data.logged.isdisjoint((concert.concert_id, *(act.concert_id for act in concert.bill))):
            acts[which] += 1
            billed[which] += size - 1
    return {
        which: {
            "logged": round(logged[which] / lines[which], 4) if lines[which] else None,
            "billed": round(billed[which] / acts[which], 4) if acts[which] else None,
            "acts": acts[which],
            "precision": round(min(1.0, logged[which] / lines[which] / (billed[which] / acts[which])), 4)
            if lines[which] and billed[which]
            else None,
        }
        for which in (Size.CONCERT, Size.FESTIVAL)
    }


def evaluate_habits(rows: Iterable[Row], concerts: Iterable[Concert], seed: int = 0) -> dict[str, Any]:
    """Figures of entry rows with `gold` (a source_id) against a catalogue.

    hidden: labelled shows, each hidden once with a fifth of its user's, drawn by `seed`, the rest confirmed; asked,
    right: habits from the rest as they are shown, and those that were logged; users: the same by user; kinds: by what
    speaks for them, without a cap; found: hidden ones asked for without a cap.
    """
    data = _Labelled(rows, concerts)
    shown: dict[str, list[bool]] = {user: [] for user in sorted(data.meant)}
    kinds: dict[str, dict[str, list[bool]]] = {user: {one.value: [] for one in Kind} for user in shown}
    hidden = found = 0
    wrong: list[str] = []
    for user in shown:
        meant = data.meant[user]
        entries = [entry_from_row(row, Entry) for row in data.rows[user]]
        shuffled = sorted(meant, key=lambda entry_id: (Draw(seed, "habits", user, entry_id).below(1 << 62), entry_id))
        for part in range(PARTS):
            away = {meant[entry_id].concert_id for entry_id in shuffled[part::PARTS]}
            kept = {entry_id: concert for entry_id, concert in meant.items() if concert.concert_id not in away}
            profile = habit_profile([one for one in entries if one.entry_id in kept or one.entry_id not in meant], kept)
            near = data.found(habit_keys(profile))
            already = [concert.concert_id for concert in kept.values()]
            every = habits(
                user, profile, near, already, asked=True, most=len(near), most_of_a_habit=len(near), least=0.0
            )
            hidden += len(away)
            for one in every:
                concert = data.by_id[one.suggestions[0].concert_id]
                kind, right = kind_of(profile, concert), data.has(user, concert)
                found += concert.concert_id in away
                kinds[user][kind or ""].append(right)
                if not right:
                    wrong.append(f"{kind}: {concert.night} {concert.artist}, {concert.place.city}")
            for one in habits(user, profile, near, already, asked=True):
                shown[user].append(data.has(user, data.by_id[one.suggestions[0].concert_id]))
    return _share([right for told in shown.values() for right in told]) | {
        "users": {
            user: _share(told) | {"kinds": {kind: _share(one) for kind, one in kinds[user].items()}}
            for user, told in shown.items()
        },
        "hidden": hidden,
        "found": found,
        "recall": round(found / hidden, 4) if hidden else None,
        "wrong": sorted(set(wrong))[:MOST_WRONG],
    }

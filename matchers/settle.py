"""One user's sets beside each other: a concert that two entries could mean.

Both keep it where both are plausible, and say so. Where one means it and the other only might, the other lets it go.
A set is only ever changed by what the others said for themselves, so the order in which they are settled is no matter.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import is_
from uuid import UUID

from schemas.history import Remembered
from schemas.suggestion import Band, Evidence, Nothing, Suggestion, Suggestions

_Claim = tuple[Suggestions, Suggestion]
PLAUSIBLE = frozenset([Band.SURE, Band.LIKELY])


def settle(sets: Sequence[Suggestions]) -> list[Suggestions]:
    """The sets of any number of users' entries, in their order, as they are shown beside each other."""
    claims: dict[tuple[str, UUID], list[_Claim]] = defaultdict(list)
    for found in sets:
        for one in found.suggestions:
            claims[found.user, one.concert_id].append((found, one))
    holders = {at: _holders(rivals) for at, rivals in claims.items() if len(rivals) > 1}
    return [_settled(found, holders) for found in sets] if holders else list(sets)


def _holders(rivals: Sequence[_Claim]) -> dict[str, str]:
    """The entries that keep a concert, and what they are called: the plausible ones, or all where none is."""
    plausible = [found for found, one in rivals if one.band in PLAUSIBLE]
    return {found.entry_id: _called(found.entry) for found in plausible or [found for found, _ in rivals]}


def shared(sets: Iterable[Suggestions]) -> set[UUID]:
    """The concerts that these sets propose: what entries beside them could propose, too."""
    return {one.concert_id for found in sets for one in found.suggestions}


def _settled(found: Suggestions, holders: Mapping[tuple[str, UUID], Mapping[str, str]]) -> Suggestions:
    kept = []
    for one in found.suggestions:
        held = holders.get((found.user, one.concert_id))
        if held is None:
            kept.append(one)
        elif found.entry_id in held:
            others = sorted({text for entry, text in held.items() if entry != found.entry_id})
            kept.append(_also(one, others) if others else one)
    if len(kept) == len(found.suggestions):
        return (
            found if all(map(is_, kept, found.suggestions)) else found.model_copy(update={"suggestions": tuple(kept)})
        )
    ranked = tuple(one.model_copy(update={"rank": rank}) for rank, one in enumerate(kept, 1))
    return found.model_copy(update={"suggestions": ranked, "reason": None if ranked else Nothing.TAKEN})


def _also(one: Suggestion, others: Sequence[str]) -> Suggestion:
    text = f"also found for what you wrote as {'; '.join(others)}"
    return one.model_copy(update={"why": (*one.why, Evidence(field="also", bits=0.0, text=text[:500]))})


def _called(entry: Remembered) -> str:
    said = [text for text in (entry.artist, entry.date, entry.venue or entry.city) if text]
    return ", ".join(said) or "another line"

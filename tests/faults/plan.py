"""What is to go wrong in a run, and when: made of the seed, so that the same seed tries the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.faults.boundaries import ANYWHERE, BOUNDARIES, OF_STAGE

STORES = ("postgres", "clickhouse", "meilisearch")
MANY = 60
"""Kills from which each store is stopped once and the broker restarted twice; below, one of each."""
WITHOUT_POSTGRES = ("normalise", "resolve", "match", "sink-clickhouse", "sink-postgres", "sink-meilisearch")
"""Stages whose lag can be read while PostgreSQL is away; the relay's stands in it."""


@dataclass(frozen=True)
class Kill:
    """SIGKILL to a worker, at a boundary that it reaches, or from outside."""

    name: str
    """Of the worker: STAGE-N."""
    boundary: str

    @property
    def stage(self) -> str:
        """Its stage."""
        return self.name.rpartition("-")[0]


@dataclass(frozen=True)
class Outage:
    """An engine that is stopped and comes back."""

    engine: str
    seconds: float
    crash: bool = False
    """By SIGKILL, not in order."""


@dataclass(frozen=True)
class Round:
    """Faults that are tried at once, on workers of which each occurs once, while the others work."""

    kills: tuple[Kill, ...]
    outage: Outage | None = None


def plan(seed: int, kills: int, workers_each: int = 1, store_stop_s: float = 30.0) -> list[Round]:
    """So many kills: each boundary once first, in some order, then any; stores and broker evenly in between."""
    dice = Random(f"faults/{seed}/{kills}")
    stages = sorted(OF_STAGE)

    def kill(stage: str, boundary: str) -> Kill:
        return Kill(f"{stage}-{dice.randint(1, workers_each)}", boundary)

    wanted = [kill(dice.choice(_with(boundary)), boundary) for boundary in BOUNDARIES]
    dice.shuffle(wanted)
    while len(wanted) < kills:
        stage = dice.choice(stages)
        wanted.append(kill(stage, dice.choice((*OF_STAGE[stage], ANYWHERE))))
    stores = dice.sample(STORES, 3 if kills >= MANY else 1)
    outages = [Outage(engine, store_stop_s) for engine in stores]
    outages += [Outage("kafka", 3.0, crash=bool(n % 2)) for n in range(2 if kills >= MANY else 1)]
    dice.shuffle(outages)
    spare = [kill(dice.choice(WITHOUT_POSTGRES), ANYWHERE) for outage in outages if outage.engine != "kafka"]
    rounds = _rounds(wanted[: max(0, kills - len(spare))], dice)
    for number, outage in enumerate(outages):
        under = () if outage.engine == "kafka" or not spare else (spare.pop(),)
        rounds.insert((number + 1) * len(rounds) // (len(outages) + 1), Round(under, outage))
    return rounds


def _with(boundary: str) -> Sequence[str]:
    return sorted(stage for stage, its in OF_STAGE.items() if boundary in its or boundary == ANYWHERE)


def _rounds(kills: Sequence[Kill], dice: Random) -> list[Round]:
    rounds: list[Round] = []
    held: list[Kill] = []
    most = dice.choice((1, 2, 3))
    for one in kills:
        if len(held) >= most or any(one.name == other.name for other in held):
            rounds.append(Round(tuple(held)))
            held, most = [], dice.choice((1, 2, 3))
        held.append(one)
    return [*rounds, Round(tuple(held))] if held else rounds

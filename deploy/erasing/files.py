"""Files of JSON lines without the lines of erased users: `gigz living`, and what `gigz calibrate` learns from."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from deploy.clients import check_postgres, postgres_engine
from deploy.erasing import ledger
from deploy.settings import PREFIX, Settings, SettingsError


@dataclass
class Living:
    """Passes the lines of whoever was not erased, and counts the others."""

    hashes: Collection[str]
    asked: bool = True
    """Whether there was a ledger to ask."""
    left_out: int = 0

    @property
    def told(self) -> str:
        """For the person who gave the files."""
        if not self.asked:
            return "No PostgreSQL is set: nobody was asked who was erased."
        return f"{self.left_out} lines of erased users left out"

    def of(self, line: bytes) -> bool:
        """Whether the row or message may be used."""
        return not any(ledger.hash_of(user) in self.hashes for user in ledger.named_in(line))

    def only(self, lines: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        """(file:line, bytes) of those that may be used."""
        for where, line in lines:
            if self.of(line):
                yield where, line
            else:
                self.left_out += 1


async def ask(settings: Settings) -> Living:
    """Who was erased until now. SettingsError when PostgreSQL does not answer; without an address nobody was erased."""
    try:
        settings.engine_url("postgres")
    except SettingsError:
        return Living(frozenset(), asked=False)
    engine = postgres_engine(settings, pool_size=1, name="gigz-living")
    try:
        await check_postgres(engine, settings)
        async with engine.connect() as connection:
            return Living(frozenset(await ledger.all_hashes(connection)))
    except SettingsError as error:
        why = str(error).partition(" Remedy:")[0]
        remedy = f"start PostgreSQL, or unset {PREFIX}POSTGRES_URL where nobody was ever erased"
        raise SettingsError(f"who was erased cannot be asked: {why} Remedy: {remedy}.") from error
    finally:
        await engine.dispose()

"""What one crawl is sent for: everything a source has, or an artist, some years, what is new."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from deploy.settings import SettingsError

PORTS = {"http": "80", "https": "443"}
"""A scheme's own."""
LISTS = ("artist", "mbid", "since", "until", "start_url", "source", "full")


@dataclass(frozen=True)
class Errand:
    """Nothing set: all there is."""

    start_url: str = ""
    """Instead of the spider's own."""
    source: str = ""
    """The catalogue's name in messages, where the start URL serves another one than the spider's own."""
    artist: str = ""
    mbid: str = ""
    since: date | None = None
    until: date | None = None
    """Both inclusive."""
    full: bool = False
    """Publish unchanged items too, read pages that did not change, start from no watermark."""
    watermark: str = ""
    """How far the source was read before, in its own terms; set by the run, not by a person."""
    more: Mapping[str, str] = field(default_factory=dict)
    """A spider's own arguments: `--arg user=...`."""

    @property
    def bounded(self) -> bool:
        """Whether it asks for a part of its scope only: then what is not found did not vanish."""
        return bool(self.since or self.until or self.watermark)

    def scope(self, spider: str, source: str, start_url: str) -> str:
        """What it covers, as one text: watermarks and disappearances count within it.

        Two agendas read by one spider are two scopes, and so are two servers of one host. The scheme's own port says
        nothing, written or not; who signs in does not count.
        """
        parts = urlsplit(start_url)
        port = parts.netloc.rpartition("@")[2].rpartition(":")[2]
        other = f":{port}" if port.isdigit() and port != PORTS.get(parts.scheme) else ""
        address = parts._replace(netloc=f"{parts.hostname or ''}{other}").geturl()
        told = [spider, source, address, self.artist, self.mbid, *(f"{k}={v}" for k, v in sorted(self.more.items()))]
        return " ".join(part for part in told if part)

    def as_json(self) -> dict[str, Any]:
        """For a schedule or a run's row."""
        told = {
            "start_url": self.start_url,
            "source": self.source,
            "artist": self.artist,
            "mbid": self.mbid,
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "full": self.full,
        }
        return {name: value for name, value in told.items() if value} | dict(self.more)


def errand_of(arguments: Mapping[str, Any]) -> Errand:
    """The errand in `--arg k=v` or in a row. SettingsError names the argument and the remedy."""
    known: dict[str, Any] = {name: str(arguments[name]) for name in LISTS if arguments.get(name)}
    for name in ("since", "until"):
        if name in known:
            known[name] = a_day(known[name], last=name == "until", name=name)
    if "full" in known:
        known["full"] = known["full"].lower() in {"true", "1", "yes"}
    if known.get("since") and known.get("until") and known["since"] > known["until"]:
        raise SettingsError(f"since {known['since']} is after until {known['until']}. Remedy: swap them.")
    return Errand(**known, more={name: str(value) for name, value in arguments.items() if name not in LISTS})


def a_day(written: str, *, last: bool = False, name: str = "date") -> date:
    """2014-11-14; of 2014-11 or 2014 the first day, or the last. SettingsError."""
    parts = written.strip().split("-")
    try:
        year = int(parts[0])
        if len(parts) == 3:
            return date.fromisoformat(written.strip())
        month = int(parts[1]) if len(parts) == 2 else (12 if last else 1)
        if not last:
            return date(year, month, 1)
        following = date(year + month // 12, month % 12 + 1, 1)
        return date.fromordinal(following.toordinal() - 1)
    except (ValueError, IndexError) as error:
        raise SettingsError(f"{name}: {written!r} is no day. Remedy: 2014-11-14, 2014-11 or 2014.") from error

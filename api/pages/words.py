"""Words, dates and numbers of pages, in the language of who reads them.

English stands in the code; `catalogues/<language>.po` (gettext) has the others. A further language is a further file:
`make words` writes new texts into all of them, and a test tells which are not translated. Dates, numbers and names of
countries are CLDR's, by Babel, for the reader's region where the browser names one.

Texts are Markup: what the catalogues say is ours, values are escaped.
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from gettext import NullTranslations
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import Translations
from babel.units import format_unit
from markupsafe import Markup

CATALOGUES = Path(__file__).parent / "catalogues"
MOST_TAGS = 20
"""Languages that a browser may name; what comes after is not read."""


class Words(NamedTuple):
    """How to speak to one reader."""

    locale: Locale
    texts: NullTranslations


ENGLISH = Words(Locale("en", "GB"), NullTranslations())
"""For who names no language that there is."""


def _read(path: Path) -> NullTranslations:
    with path.open("rb") as file:
        catalogue = read_po(file, locale=path.stem, abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


LANGUAGES: dict[str, NullTranslations] = {
    "en": NullTranslations(),
    **{path.stem: _read(path) for path in sorted(CATALOGUES.glob("*.po"))},
}
"""Language -> its texts."""

_SPOKEN: ContextVar[Words] = ContextVar("spoken", default=ENGLISH)


@contextmanager
def spoken(accepted: str) -> Iterator[None]:
    """Within it, texts are in the best of the languages that `accepted` (Accept-Language) names."""
    before = _SPOKEN.set(choose(accepted))
    try:
        yield
    finally:
        _SPOKEN.reset(before)


def choose(accepted: str) -> Words:
    """'de-AT, en;q=0.8' -> German as in Austria. What cannot be read is passed over."""
    wishes: list[tuple[float, Locale]] = []
    for one in accepted.split(",", MOST_TAGS)[:MOST_TAGS]:
        tag, _, weight = one.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
            locale = Locale.parse(tag.strip(), sep="-")
        except (ValueError, TypeError, UnknownLocaleError):
            continue
        if quality > 0 and locale.language in LANGUAGES:
            wishes.append((quality, locale))
    if not wishes:
        return ENGLISH
    best = max(wishes, key=lambda wish: wish[0])[1]  # the first of equals
    return Words(best, LANGUAGES[best.language])


def language() -> str:
    """Of the page, as `lang` has it: 'en', 'de'."""
    return _SPOKEN.get().locale.language


def _(text: str, /, **values: Any) -> Markup:
    """The text in the reader's language, `%(name)s` filled in."""
    told = Markup(_SPOKEN.get().texts.gettext(text))  # noqa: S704 - the catalogue's text is ours
    return told % values if values else told


def ngettext(one: str, many: str, count: int, /, **values: Any) -> Markup:
    """The text for this many, `%(num)s` filled in with the number as it is written."""
    told = Markup(_SPOKEN.get().texts.ngettext(one, many, count))  # noqa: S704 - the catalogue's text is ours
    return told % {"num": number(count), **values}


def marked(text: str) -> str:
    """The text itself: for `make words`, where a constant is translated later."""
    return text


def night(when: date) -> str:
    """'Friday, 14 November 2014'."""
    return format_date(when, "full", locale=_SPOKEN.get().locale)


def day(when: date) -> str:
    """'14 Nov 2014'."""
    return format_date(when, "medium", locale=_SPOKEN.get().locale)


def evening(when: date) -> str:
    """'Fri, 14 Nov', under its year."""
    return format_skeleton("MMMEd", when, locale=_SPOKEN.get().locale)


def month(number: int) -> str:
    """'November', of 11."""
    return str(_SPOKEN.get().locale.months["stand-alone"]["wide"][number])


def moment(when: datetime, zone: str = "UTC") -> str:
    """'14 Nov 2014, 20:30', in the zone (IANA)."""
    locale, there = _SPOKEN.get().locale, when.astimezone(ZoneInfo(zone))
    told = format_time(there, "short", locale=locale), format_date(there, "medium", locale=locale)
    return str(locale.datetime_formats["medium"]).format(*told)


def hour(when: datetime) -> str:
    """'20:30', of a moment in the zone that it is told in."""
    return format_time(when, "short", locale=_SPOKEN.get().locale)


def number(count: float) -> str:
    """'12,345', at most one decimal."""
    return format_decimal(count, "#,##0.#", locale=_SPOKEN.get().locale)


def percent(share: float) -> str:
    """'97%'; never a whole 100, which nobody can promise."""
    return format_percent(min(share, 0.999), "#,##0.#%", locale=_SPOKEN.get().locale)


def distance(km: float) -> str:
    """'412 km'."""
    return format_unit(round(km), "length-kilometer", "short", locale=_SPOKEN.get().locale)


def country(code: str) -> str:
    """'United Kingdom', of GB; a code that nobody knows stays as it is."""
    return str(_SPOKEN.get().locale.territories.get(code, code))


def countries() -> list[tuple[str, str]]:
    """Codes (ISO 3166-1 alpha-2) and names of all countries, by name."""
    known = _SPOKEN.get().locale.territories
    named = [
        (code, str(name))
        for code, name in known.items()
        if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRY
    ]
    return sorted(named, key=lambda one: one[1].casefold())


_NO_COUNTRY = frozenset({"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"})
"""Territories of CLDR that are none: unions, outlying seas, tests."""


def listed(parts: Iterable[str]) -> str:
    """'a, b and c'."""
    return format_list([*parts], locale=_SPOKEN.get().locale)


HELPERS: dict[str, Any] = {
    "_": _,
    "ngettext": ngettext,
    "language": language,
    "night": night,
    "day": day,
    "evening": evening,
    "month": month,
    "moment": moment,
    "hour": hour,
    "number": number,
    "percent": percent,
    "distance": distance,
    "country": country,
    "countries": countries,
    "listed": listed,
}
"""What templates call."""

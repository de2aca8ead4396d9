"""What the APIs that answer in JSON have in common: every answer is hostile until it has shown that it is not.

An answer that cannot be read, or that says that it is an error, is a fault of the run and names the address. A piece of
an answer that cannot become a message is `Unreadable`. Nothing that a source can send raises.

Of a person's own pages (`/users/NAME/gigography`) neither the name nor anything that only that person said is kept.
"""

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, ClassVar
from urllib.parse import unquote

import orjson
from scrapy import Request
from scrapy.http import Response
from w3lib.url import add_or_replace_parameter, url_query_parameter

from deploy.settings import SettingsError
from schemas.rejection import Reason
from spiders.errand import Errand
from spiders.formats.base import Item, SourceSpider, Unreadable, called, words

_PERSON = re.compile(r"(/users?/)[^/?#\s]+")
_MASKED = "***"


class JsonApiSpider(SourceSpider):
    """Decodes, looks for errors, turns pages."""

    answers: ClassVar[str]
    """What a good answer holds, for faults: 'events'."""
    absent_status: ClassVar[frozenset[int]] = frozenset()
    """With these a search says that it found nothing."""
    page_parameter: ClassVar[str] = "page"
    first_page: ClassVar[int] = 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._found = False
        self._nothing = ""

    @property
    def searching(self) -> bool:
        """Whether the crawl asks for an artist, of whom the source need not know."""
        errand = self.errand
        return not errand.start_url and bool(errand.artist or errand.mbid)

    def ask(self, url: str, *, needed: bool = True, **more: Any) -> Request:
        """A request; that a search finds nothing is an answer."""
        if self.searching and self.absent_status:
            more["meta"] = {**more.get("meta", {}), "handle_httpstatus_list": sorted(self.absent_status)}
        return super().ask(url, needed=needed, **more)

    def read(self, response: Response) -> Iterable[Item | Request]:
        """One answer, once it is known to be one."""
        if self.searching and response.status in self.absent_status:
            self.found_nothing()
            return
        try:
            page = decoded(response.body)
        except ValueError as error:
            self.fault(response, f"is not JSON: {error}")
            yield self.unreadable(response, Reason.NOT_JSON, f"not JSON: {error}", response.body)
            return
        wrong = self.refusal(page)
        if wrong is not None and self.absent(wrong):
            self.found_nothing()
        elif wrong is not None:
            self.fault(response, f"answered with an error: {wrong}")
        elif response.status >= 400:
            self.fault(response, f"answered {response.status}")
        else:
            yield from self.read_page(response, self._without_keys(page))

    def searches(self, errand: Errand) -> Iterable[str]:
        """The addresses of the search. SettingsError when it needs a name and is given an id, or the other way round.

        An empty name finds everything that there is.
        """
        ways = {"artist": errand.artist, "mbid": errand.mbid}
        usable = [name for name in ways if "{" + name + "}" in self.search]
        if usable and not any(ways[name] for name in usable):
            raise SettingsError(f"{self.name} searches by {' or '.join(usable)}. Remedy: --{usable[0]}.")
        yield from super().searches(errand)

    def refusal(self, page: Any) -> str | None:
        """What an answer that is an error says; None when it is none."""
        return None

    def absent(self, wrong: str) -> bool:
        """Whether that error is how a search says that it found nothing."""
        return False

    def read_page(self, response: Response, page: Any) -> Iterable[Item | Request]:
        """Messages and further requests of one decoded answer."""
        raise NotImplementedError

    def fault(self, response: Response, told: str) -> None:
        """The run fails, and says at which address and why."""
        self.faults.append(self.public(f"{response.url} {told}"[:1_000]))

    def found_nothing(self) -> None:
        """The source does not know the artist, or no event in those years: no fault, and nothing vanished.

        A search that asks at several addresses may find nothing at one of them: what another has takes it back.
        """
        if self.searching and not self._found and not self.errand.bounded and not self.cut:
            who = self.errand.artist or self.errand.mbid
            self.cut = self._nothing = f"{self.catalogue} found nothing for {who}"

    def item(self, response: Response, **told: Any) -> Item:
        """The raw message of one item: something was found."""
        self._found = True
        if self._nothing and self.cut == self._nothing:
            self.cut = ""
        return super().item(response, **told)

    def next_page(self, response: Response, told: object, here: int, last: int) -> Iterator[Request]:
        """The page after this one, while there is one.

        `told`: which page the answer says that it is, `here`: which one was asked for (`page_asked`), `last`: the last
        one that there is. A server that gives the same page whatever it is asked for would never end, or end unread.
        """
        if whole(told) not in (None, here):
            self.fault(response, f"is page {told}, though page {here} was asked for")
        elif here < last:
            yield self.ask(add_or_replace_parameter(response.url, self.page_parameter, str(here + 1)))

    def page_asked(self, response: Response, told: object) -> int:
        """The page's number in the address; an address without one leaves it to the answer."""
        for number in (url_query_parameter(response.url, self.page_parameter), told):
            asked = whole(number)
            if asked is not None:
                return asked
        return self.first_page

    def listing(
        self,
        response: Response,
        thing: Any,
        *,
        source_id: str | None,
        fields: Mapping[str, Any],
        url: Any = None,
        changed: datetime | None = None,
    ) -> Iterator[Item]:
        """The message of one thing; without an id it is unreadable."""
        if source_id is None:
            which = called(fields)
            told = "id: Field required" + (f" ({which})" if which else "")
            yield self.unreadable(response, Reason.MISSING_FIELD, told, orjson.dumps(thing))
        else:
            yield self.item(
                response,
                source_id=source_id,
                fields=fields,
                payload=thing,
                payload_type="application/json",
                changed=changed,
                url=web(url),
            )

    def objects(self, response: Response, values: Iterable[Any], what: str) -> Iterator[Mapping[str, Any] | Unreadable]:
        """The objects among what should be objects, the rest as unreadable."""
        for value in values:
            if isinstance(value, Mapping):
                yield value
            else:
                yield self.unreadable(response, Reason.WRONG_TYPE, f"{what} is not an object", orjson.dumps(value))

    def public(self, text: str) -> str:
        """Neither the API key nor the name of the person whose page it is."""
        return _PERSON.sub(rf"\1{_MASKED}", super().public(text))

    def unreadable(self, response: Response, reason: Reason, text: str, original: bytes) -> Unreadable:
        """Why there is no message, with what was sent, the API key taken out of both."""
        key = self._api_key.encode()
        kept = original.replace(key, _MASKED.encode()) if key else original
        return super().unreadable(response, reason, self.public(text), kept)

    def _without_keys(self, page: Any) -> Any:
        """Sources put the key into the links that they answer with, and payloads are there for all to read."""
        if not self.key_parameter:
            return page
        parameter = re.compile(rf"(?<=[?&]){re.escape(self.key_parameter)}=[^&#\s]*&?")

        def cleaned(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: cleaned(part) for name, part in value.items()}
            if isinstance(value, list):
                return [cleaned(part) for part in value]
            if isinstance(value, str) and value.startswith(("http://", "https://")):
                return parameter.sub("", value).rstrip("?&")
            return value

        return cleaned(page)


def decoded(body: bytes) -> Any:
    """The value of a JSON document. ValueError where it is none, or none that can be written again."""
    page = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    try:
        orjson.dumps(page)
    except TypeError as error:  # it reads deeper nesting than it writes
        raise ValueError(str(error)) from error
    return page


def glanced(response: Response) -> Any:
    """The same for a look at an answer of unknown format: None when it is no JSON."""
    try:
        return decoded(response.body)
    except ValueError:
        return None


def identifier(value: Any) -> str | None:
    """An id as text, whether it came as text or as a number; None when it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    return str(value) if isinstance(value, int) else words(value)


def named(value: Any) -> Any:
    """A name or a date: a number is its digits (311); what is no text goes along, for normalising to refuse."""
    if isinstance(value, str) or value is None:
        return words(value)
    return identifier(value) or value


def whole(value: Any) -> int | None:
    """A whole number, also out of a text."""
    written = identifier(value)
    try:
        return None if written is None or len(written) > 18 else int(written)
    except ValueError:
        return None


def flag(value: Any) -> bool:
    """Yes or no, however it is written: true, 1, '1', 'true'."""
    return value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in {"1", "true", "yes"})


def web(url: Any) -> str | None:
    """An address that a browser may follow."""
    written = words(url)
    return written if written is not None and written.startswith(("http://", "https://")) else None


def plain(value: Any) -> Any:
    """A name as `named` gives it, with the characters that HTML entities stand for."""
    name = named(value)
    return words(html.unescape(name)) if isinstance(name, str) else name


def without_repeats(names: Iterable[Any]) -> list[Any]:
    """Each name once, in their order; what is empty left out."""
    found: list[Any] = []
    for name in names:
        if name is not None and name not in found:
            found.append(name)
    return found


def mbid_in(text: Any) -> str | None:
    """A MusicBrainz id, wherever it stands in a text."""
    found = _MBID.search(text) if isinstance(text, str) else None
    return found[0].lower() if found else None


_MBID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")


def span(first: str | None, last: str | None) -> str | None:
    """One day, or `first/last` of several: who plays on which of them is not told, so normalising refuses it."""
    return f"{first}/{last}" if first and last and last > first else first


def last_step(url: str, before: str) -> str:
    """The step of an address that stands before another: `/artists/AC%2FDC/events` -> AC/DC."""
    found = re.search(rf"/([^/?#]+)/{before}(?:[./?#]|$)", url)
    return unquote(unquote(found[1])) if found else ""


def day_in(written: Any) -> date | None:
    """The day that an ISO date or time begins with; None for anything else."""
    try:
        return date.fromisoformat(str(written)[:10])
    except ValueError:
        return None

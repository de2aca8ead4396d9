"""A page as a browser without scripts has it: its text, its forms with what stands in them, and how they are sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx


@dataclass
class Sent:
    """A form: where it goes, and the fields as they are."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class Shown(HTMLParser):
    """An answered page."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        assert answer.headers["content-type"].startswith("text/html"), answer.text
        self.status = answer.status_code
        self.html = answer.text
        self.text = ""
        self.forms: list[Sent] = []
        self.links: list[str] = []
        self.wrong: dict[str, str] = {}
        """Field that is marked as wrong -> what it is described by, its own hint aside."""
        self._by_id: dict[str, str] = {}
        self._described: dict[str, list[str]] = {}
        self._ids: list[tuple[str, str]] = []
        self._pressing = self._within = False
        self.feed(answer.text)
        for name, ids in self._described.items():
            self.wrong[name] = " ".join(self._by_id.get(one, "") for one in ids if one.endswith("-error")).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if told.get("id"):
            self._ids.append((tag, told["id"]))
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        if tag == "form":
            self._within = True
            self.forms.append(Sent(told["action"]))
        elif tag == "button" and self._within:
            self._pressing = True
            self.forms[-1].buttons.append("")
        elif tag == "input" and self._within and "name" in told:
            ticks = told.get("type") in ("checkbox", "radio")
            if not ticks or "checked" in told:
                self.forms[-1].fields[told["name"]] = told.get("value", "")
        if told.get("aria-invalid") == "true":
            self._described[told["name"]] = told.get("aria-describedby", "").split()

    def handle_endtag(self, tag: str) -> None:
        self._within = self._within and tag != "form"
        self._pressing = self._pressing and tag != "button"
        if self._ids and self._ids[-1][0] == tag:
            self._ids.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._ids:
            name = self._ids[-1][1]
            self._by_id[name] = self._by_id.get(name, "") + data
        if self._pressing:
            self.forms[-1].buttons[-1] += data

    def form(self, action: str, **fields: str) -> Sent:
        """The first form that goes there with these fields as they are."""
        for form in self.forms:
            if form.action == action and fields.items() <= form.fields.items():
                return form
        raise AssertionError(f"no form to {action} with {fields} among {self.forms}")


async def page(client: httpx.AsyncClient, address: str, status: int = 200, language: str = "en-GB") -> Shown:
    """A page that is read."""
    answer = await client.get(address, headers={"Accept-Language": language})
    assert answer.status_code == status, answer.text
    return Shown(answer)


async def send(
    client: httpx.AsyncClient, form: Sent, changes: Mapping[str, str | None], status: int = 303, language: str = "en-GB"
) -> Shown:
    """Send a form with some fields otherwise, None taken out, and read what it leads to, or where it was refused."""
    fields = {name: value for name, value in (form.fields | dict(changes)).items() if value is not None}
    answer = await client.post(form.action, data=fields, headers={"Accept-Language": language})
    assert answer.status_code == status, answer.text
    return await page(client, answer.headers["location"], language=language) if status == 303 else Shown(answer)

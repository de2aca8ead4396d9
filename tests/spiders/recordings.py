"""Recorded answers of APIs, as they lie in the data folder: JSON, JavaScript around JSON, or VCR cassettes."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from scrapy import Request
from scrapy.http import TextResponse


@dataclass(frozen=True)
class Recording:
    """One answer."""

    url: str
    status: int
    body: bytes

    @property
    def response(self) -> TextResponse:
        """As a spider gets it."""
        return TextResponse(self.url, status=self.status, body=self.body, encoding="utf-8", request=Request(self.url))


def recordings(path: Path, url: str) -> list[Recording]:
    """The answers in one file. `url`: where they came from, of a file that does not say."""
    if path.suffix == ".yml":
        return list(_cassette(path))
    text = path.read_text(encoding="utf-8")
    try:
        json.loads(text)
    except ValueError:
        values = list(values_in(text)) if path.suffix == ".js" else []
        return [Recording(url, 200, json.dumps(value).encode()) for value in values] or [
            Recording(url, 200, text.encode())
        ]
    return [Recording(url, 200, text.encode())]


class _Loader(yaml.SafeLoader):
    """Ruby marks texts that are not ASCII as binary."""


def _binary(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return base64.b64decode(loader.construct_scalar(node)).decode()


_Loader.add_constructor("!binary", _binary)


def _cassette(path: Path) -> Iterator[Recording]:
    cassette = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    for interaction in cassette["http_interactions"]:
        body = interaction["response"]["body"]
        text = body["string"] if "string" in body else base64.b64decode(body["base64_string"]).decode()
        yield Recording(interaction["request"]["uri"], interaction["response"]["status"]["code"], text.encode())


_TOKEN = re.compile(
    r"""(?P<json>"(?:[^"\\\n]|\\.)*")|'(?P<single>(?:[^'\\\n]|\\.)*)'|(?P<comment>//[^\n]*)|(?P<key>\b[A-Za-z_]\w*(?=\s*:))"""
)


def values_in(text: str) -> Iterator[Any]:
    """The objects and arrays of a JavaScript file, one after the other."""

    def as_json(found: re.Match[str]) -> str:
        if found["single"] is not None:
            return json.dumps(found["single"].replace("\\'", "'").replace('\\"', '"'))
        if found["key"] is not None:
            return f'"{found["key"]}"'
        return found["json"] or ""

    plain = _TOKEN.sub(as_json, text)
    at = 0
    while (start := re.compile(r"[\[{]").search(plain, at)) is not None:
        value, at = json.JSONDecoder().raw_decode(plain, start.start())
        yield value

"""A hostile server is bounded, reported and left."""

import asyncio
import gzip
import itertools
import json
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import brotli
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.spiders.visiting import asked, raw_server, visit

MB = 1_048_576
SOON_S = 30.0
"""A machine that is busy with other things included."""
PLAIN_MB = 180.0
"""What a crawl of nothing takes, and some: see `test_a_quiet_server_takes_little`."""
Writes = Callable[[asyncio.StreamWriter, str], Awaitable[None]]

pytestmark = pytest.mark.network


def answering(write: Writes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A server that has no robots.txt and writes this for every other page, then hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = await asked(reader)
        if path == "/robots.txt":
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        else:
            await write(writer, path)

    return answer


def page(content: object, kind: str = "application/json", more: str = "", status: str = "200 OK") -> bytes:
    """One whole answer."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + body


async def endless(writer: asyncio.StreamWriter, piece: bytes, times: int | None = None) -> None:
    """The same again and again, as long as somebody reads."""
    for _ in itertools.repeat(None) if times is None else range(times):
        writer.write(piece)
        await writer.drain()


async def test_a_quiet_server_takes_little() -> None:
    async def write(writer: asyncio.StreamWriter, _: str) -> None:
        writer.write(page({"items": [{"id": "a"}]}))
        await writer.drain()

    async with raw_server(answering(write)) as base:
        found = await visit("listing", f"{base}/x")
    assert (found.faults, found.scraped) == ([], 1)
    assert found.largest_mb < PLAIN_MB


@pytest.mark.parametrize("length", [True, False], ids=["announced", "unannounced"])
async def test_a_body_of_a_gigabyte_is_left_at_the_limit(length: bool) -> None:
    sent = 0

    async def write(writer: asyncio.StreamWriter, _: str) -> None:
        nonlocal sent
        announced = f"Content-Length: {1024 * MB}\r\n" if length else ""
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{announced}\r\n".encode())
        for _ in range(1024):
            writer.write(b"x" * MB)
            await writer.drain()
            sent += 1

    async with raw_server(answering(write)) as base:
        found = await visit("listing", f"{base}/big")
    assert f"{base}/big" in found.faults[0] and "more than 67,108,864 bytes" in found.faults[0]
    assert "Remedy: GIGZ_PAGE_MB" in found.faults[0]
    assert sent < 100 and found.seconds < SOON_S
    assert found.largest_mb < PLAIN_MB + 3 * 64


BOMB = b"\0" * (16 * MB)
PACKED = {
    "gzip": lambda: gzip.compress(BOMB * 16),
    "deflate": lambda: zlib.compress(BOMB * 16),
    "br": lambda: brotli.compress(BOMB * 16, quality=1),
    "gzip, gzip": lambda: gzip.compress(gzip.compress(BOMB * 16)),
}


@pytest.mark.parametrize("encoding", PACKED)
async def test_a_bomb_is_not_unpacked_beyond_the_limit(encoding: str) -> None:
    bomb = PACKED[encoding]()

    async def write(writer: asyncio.StreamWriter, _: str) -> None:
        writer.write(page(bomb, more=f"Content-Encoding: {encoding}\r\n"))
        await writer.drain()

    async with raw_server(answering(write)) as base:
        found = await visit("listing", f"{base}/bomb", page_mb=8)
    assert f"{base}/bomb" in found.faults[0] and "during decompression" in found.faults[0]
    assert "more than 8,388,608 bytes" in found.faults[0] and "Remedy: GIGZ_PAGE_MB" in found.faults[0]
    assert found.pages == 0 and found.seconds < SOON_S
    assert found.largest_mb < PLAIN_MB + 4 * 8


async def test_redirects_in_a_circle_and_without_end_are_not_followed_for_ever() -> None:
    seen: list[str] = []

    async def write(writer: asyncio.StreamWriter, path: str) -> None:
        seen.append(path)
        place = {"/a": "/b", "/b": "/a"}.get(path) or f"/on/{len(seen)}"
        writer.write(page(b"", more=f"Location: {place}\r\n", status="302 Found"))
        await writer.drain()

    async with raw_server(answering(write)) as base:
        circle = await visit("listing", f"{base}/a")
        assert seen == ["/a", "/b"]
        chain = await visit("listing", f"{base}/on/0")
    assert f"redirects in a circle: {base}/a -> {base}/b -> {base}/a" in circle.faults[0]
    assert "redirects more than 5 times" in chain.faults[0] and f"{base}/on/0" in chain.faults[0]
    assert len(seen) == 2 + 6


async def test_a_page_that_drips_is_left_after_the_time_for_a_page() -> None:
    async def write(writer: asyncio.StreamWriter, _: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)  # never idle

    async with raw_server(answering(write)) as base:
        found = await visit("listing", f"{base}/drip", page_timeout_s=1, page_retries=4)
    assert f"{base}/drip" in found.faults[0] and "took longer than 1" in found.faults[0]
    assert found.seconds < SOON_S


async def test_a_server_that_never_answers_is_left() -> None:
    tries = 0

    async def write(writer: asyncio.StreamWriter, _: str) -> None:
        nonlocal tries
        tries += 1
        await asyncio.sleep(60)

    async with raw_server(answering(write)) as base:
        found = await visit("listing", f"{base}/silent", page_timeout_s=1)
    assert f"{base}/silent" in found.faults[0] and "took longer than 1" in found.faults[0]
    assert found.faults[0].endswith("(tried 2 times)")
    assert tries == 2 and found.seconds < SOON_S


@pytest.mark.parametrize(
    "piece", [b"X-More: yes\r\n", b"x" * 1000, b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["lines", "one line", "1xx"]
)
async def test_a_head_without_end_is_left(piece: bytes) -> None:
    async def write(writer: asyncio.StreamWriter, _: str) -> None:
        if not piece.startswith(b"HTTP"):
            writer.write(b"HTTP/1.1 200 OK\r\n")
        await endless(writer, piece * 20)

    async with raw_server(answering(write)) as base:
        found = await visit("listing", f"{base}/head", page_retries=1)
    assert f"{base}/head" in found.faults[0] and "bytes of headers" in found.faults[0]
    assert found.seconds < SOON_S and found.largest_mb < PLAIN_MB


async def test_an_answer_that_is_no_http_or_breaks_off_fails_the_run() -> None:
    async def write(writer: asyncio.StreamWriter, path: str) -> None:
        chunked = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        told = {
            "/noise": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
            "/chunks": chunked + b"zz\r\nnothing\r\n",
            "/half": chunked + b"400\r\n{}",
            "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}",
            "/lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Length: 2\r\n\r\n{}",
        }
        writer.write(told[path])
        await writer.drain()

    async with raw_server(answering(write)) as base:
        for path in ("/noise", "/chunks", "/half", "/short", "/lengths"):
            found = await visit("listing", f"{base}{path}", page_retries=1, page_timeout_s=5)
            assert len(found.faults) == 1 and f"{base}{path}" in found.faults[0], (path, found.faults)
            assert found.scraped == 0 and found.seconds < SOON_S


@pytest.mark.parametrize(("spider", "told"), [("listing", "in the spider"), ("venuepages", "yielded nothing")])
async def test_another_type_than_was_asked_for_fails_the_run(spider: str, told: str) -> None:
    async def write(writer: asyncio.StreamWriter, _: str) -> None:
        writer.write(page(b"\x89PNG\r\n\x1a\n" + bytes(1000), kind="image/png"))
        await writer.drain()

    async with raw_server(answering(write)) as base:
        found = await visit(spider, f"{base}/picture")
    assert f"{base}/picture" in found.faults[0] and told in found.faults[0]


async def test_a_host_that_does_not_exist_or_does_not_listen_fails_the_run() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        found = await visit("listing", f"http://127.0.0.1:{port}/x", page_retries=1)
    assert f"http://127.0.0.1:{port}/x" in found.faults[0] and found.seconds < SOON_S
    found = await visit("listing", "http://no-such-host.invalid/x", page_retries=0)
    assert "http://no-such-host.invalid/x" in found.faults[0] and found.seconds < SOON_S


async def test_a_server_that_cannot_show_who_it_is_is_not_asked(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, made.public_key(), x509.random_serial_number(), now, now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(made, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    seen: list[str] = []

    async def answer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        seen.append(await asked(reader))

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}/x"
        found = await visit("listing", url, page_retries=0)
    assert seen == [] and url in found.faults[0] and "certificate verify failed" in found.faults[0]


async def test_pages_without_end_are_left_at_the_limit() -> None:
    numbers = itertools.count()

    async def write(writer: asyncio.StreamWriter, path: str) -> None:
        n = next(numbers)
        links = [f"/day/{n}-{i}" for i in range(50)]
        writer.write(page({"items": [{"id": str(n)}], "next": f"/page/{n}", "links": links}))
        await writer.drain()

    async with raw_server(answering(write)) as base:
        found = await visit("listing", f"{base}/page/first", pages_most=40)
    assert len(found.faults) == 1 and f"{base}/page/first leads to more than 40 pages" in found.faults[0]
    assert "GIGZ_PAGES_MOST" in found.faults[0]
    assert found.pages <= 45 and found.scraped == found.pages  # what was read is kept


@pytest.mark.parametrize("following", ["/x", "/x?p={n}"], ids=["itself", "the same again"])
async def test_a_next_page_that_is_the_same_page_again_is_not_an_end(following: str) -> None:
    numbers = itertools.count()

    async def write(writer: asyncio.StreamWriter, _: str) -> None:
        same = {"items": [{"id": "a"}], "next": following.format(n=next(numbers) // 10**6)}
        writer.write(page(same))
        await writer.drain()

    async with raw_server(answering(write)) as base:
        found = await visit("listing", f"{base}/x")
    assert len(found.faults) == 1
    assert "names itself as its next page" in found.faults[0] or "the same page again" in found.faults[0]
    assert found.pages <= 3


def agenda(number: int, *links: str) -> bytes:
    """A page of one concert, and links."""
    told = {"@context": "https://schema.org", "@type": "MusicEvent", "name": f"Night {number}"}
    told |= {"url": f"/shows/{number}", "startDate": "2030-05-03", "location": {"@type": "Place", "name": "Hall"}}
    there = "".join(f"<a href='{link}'>more</a>" for link in links)
    return f"<html><script type='application/ld+json'>{json.dumps(told)}</script>{there}</html>".encode()


async def test_links_that_lead_on_for_ever_are_left_and_the_crawl_says_so() -> None:
    async def write(writer: asyncio.StreamWriter, path: str) -> None:
        number = int(path.rpartition("/")[2])
        writer.write(page(agenda(number, f"/events/{number + 1}", "/events/0"), kind="text/html"))
        await writer.drain()

    async with raw_server(answering(write)) as base:
        found = await visit("venuepages", f"{base}/events/0")
    assert (found.faults, found.pages, found.scraped) == ([], 7, 7)
    assert f"1 link leads more than 6 steps away from {base}/events/0, {base}/events/7 the first" in found.cut
    assert "nothing counts as gone" in found.cut and "Remedy" in found.cut


async def test_links_that_lead_everywhere_end_at_the_most_pages_of_a_crawl() -> None:
    numbers = itertools.count(1)

    async def write(writer: asyncio.StreamWriter, _: str) -> None:
        links = [f"/events/{next(numbers)}" for _ in range(9)]
        writer.write(page(agenda(next(numbers), *links), kind="text/html"))
        await writer.drain()

    async with raw_server(answering(write)) as base:
        found = await visit("venuepages", f"{base}/events/0", pages_most=60)
    assert len(found.faults) == 1 and f"{base}/events/0 leads to more than 60 pages" in found.faults[0]
    assert 0 < found.scraped <= 65


async def test_a_site_whose_deepest_pages_link_back_only_is_read_whole() -> None:
    """Its first link is the long way: read by that way first, what lies behind the short one would be too deep."""

    async def write(writer: asyncio.StreamWriter, path: str) -> None:
        number = int(path.rpartition("/")[2])
        on = {0: [8, 1], 8: [9], 9: [1]}.get(number, [min(number + 1, 6), 0])
        writer.write(page(agenda(number, *(f"/events/{one}" for one in on)), kind="text/html"))
        await writer.drain()

    async with raw_server(answering(write)) as base:
        found = await visit("venuepages", f"{base}/events/0")
    assert (found.faults, found.cut, found.pages) == ([], "", 9)

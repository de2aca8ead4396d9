"""The public keys of a token's issuer (JWKS), fetched and kept.

`jwt.PyJWKClient` is not used: while the issuer is away it refuses keys that it knew once they are 300 s old, and then
asks for them at every request, one request after the other.

A key is good for one algorithm, by its type: an RSA key of 2,048 bits or more for RS256, Ed25519 for EdDSA. Whatever
else is published (encryption keys, shared secrets, other curves) is not for us.

Kept     for FRESH_S; then the issuer is asked again. A withdrawn key is good for that long.
Away     known keys go on for OLDEST_S, and nobody waits: the issuer is asked beside the requests, every RETRY_S.
Rotated  a key id that is not known is asked for at once, UNKNOWN_A_MINUTE times a minute at most, whoever asks: a
         flood of invented ids is no flood at the issuer, and one that is asked for in vain is soon asked for again.

Errors
    api.errors.UnavailableError       the issuer has not answered yet, or not for too long
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx
import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from api.errors import UnavailableError

log = structlog.get_logger()

FRESH_S = 300.0
OLDEST_S = 86_400.0
"""A day: an issuer that is away for longer is a decision that people have to make."""
RETRY_S = 10.0
FETCH_S = 3.0
"""From the first byte asked to the last one read: the first request after a start waits for it."""
UNKNOWN_A_MINUTE = 6
MOST_BYTES = 262_144
MOST_KEYS = 100
LEAST_BITS = 2_048

RS256, EDDSA = "RS256", "EdDSA"
ALGORITHMS = (RS256, EDDSA)
_PUBLIC = {"RSA": ("kty", "n", "e"), "OKP": ("kty", "crv", "x")}


@dataclass(frozen=True)
class Key:
    """A public key and the only algorithm that it is good for."""

    kid: str | None
    algorithm: str
    key: jwt.PyJWK


Fetch = Callable[[], Awaitable[bytes]]


class Keys:
    """The keys of one issuer, for all requests of a process."""

    def __init__(self, fetch: Fetch, timer: Callable[[], float] = monotonic) -> None:
        self._fetch = fetch
        self._timer = timer
        self._keys: tuple[Key, ...] = ()
        self._fetched = -math.inf
        """When the issuer last told its keys."""
        self._asked = -math.inf
        self._failing = False
        self._left = float(UNKNOWN_A_MINUTE)
        self._left_at = timer()
        self._asking: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key of an id, if it is good for this algorithm; of no id: the only one that is. None: there is none."""
        now = self._timer()
        if now - self._fetched > FRESH_S and (not self._failing or now - self._asked >= RETRY_S):
            begun = self._ask()
            if not self._failing or not self._keys:
                await begun
        if self._timer() - self._fetched > OLDEST_S:
            raise UnavailableError("The keys of the token's issuer cannot be fetched. Try again in a moment.")
        found = self._known(kid, algorithm)
        if found is None and self._may_ask_for_unknown():
            await self._ask()
            found = self._known(kid, algorithm)
        if found is None and self._failing:
            # It may be a new key that we were not told of: not the caller's fault.
            raise UnavailableError("The keys of the token's issuer cannot be fetched. Try again in a moment.")
        return found

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _known(self, kid: str | None, algorithm: str) -> Key | None:
        fits = [one for one in self._keys if one.algorithm == algorithm and kid in (None, one.kid)]
        return fits[0] if len(fits) == 1 or (fits and kid is not None) else None

    def _may_ask_for_unknown(self) -> bool:
        now = self._timer()
        self._left = min(UNKNOWN_A_MINUTE, self._left + (now - self._left_at) * UNKNOWN_A_MINUTE / 60)
        self._left_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _ask(self) -> Awaitable[None]:
        """Ask the issuer; whoever wants the same meanwhile waits for the same answer."""
        if self._asking is None or self._asking.done():
            self._asked = self._timer()
            self._asking = asyncio.create_task(self._refresh())
        return asyncio.shield(self._asking)

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(FETCH_S):
                told = keys_of(await self._fetch())
        except (TimeoutError, httpx.HTTPError, ValueError) as error:
            self._failing = True
            log.warning("no_keys", why=f"{type(error).__name__}: {error}"[:300], known=len(self._keys))
            return
        self._failing = False
        self._keys = told
        self._fetched = self._timer()


def fetching(url: str) -> Fetch:
    """Asks for the document at this address; no redirects, no more than MOST_BYTES."""

    async def fetch() -> bytes:
        body = bytearray()
        async with (
            httpx.AsyncClient(timeout=FETCH_S, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", url, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status_code != 200:
                raise ValueError(f"answers {answer.status_code}")
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise ValueError(f"is larger than {MOST_BYTES} bytes")
        return bytes(body)

    return fetch


def keys_of(document: bytes) -> tuple[Key, ...]:
    """The keys of a JWKS that are for us. ValueError when it is none, or has none."""
    told = orjson.loads(document)
    listed = told.get("keys") if isinstance(told, dict) else None
    if not isinstance(listed, list):
        raise ValueError("is no JSON Web Key Set")
    found = tuple(_usable(listed[:MOST_KEYS]))
    if not found:
        raise ValueError(f"has no key for {' or '.join(ALGORITHMS)}")
    return found


def _usable(listed: Iterable[Any]) -> Iterable[Key]:
    for jwk in listed:
        with contextlib.suppress(jwt.PyJWTError, KeyError, ValueError, TypeError, AttributeError):
            key = _read(jwk)
            if key is not None:
                yield key


def _read(jwk: dict[str, Any]) -> Key | None:
    """A key that is for us. Whatever an impossible one raises, it is none."""
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        return None
    kind = jwk["kty"]
    algorithm = RS256 if kind == "RSA" else EDDSA
    if kind not in _PUBLIC or jwk.get("alg", algorithm) != algorithm or jwk.get("crv", "Ed25519") != "Ed25519":
        return None
    # Of the public parts only: what an issuer tells too much is not kept.
    key = jwt.PyJWK({name: jwk[name] for name in _PUBLIC[kind]}, algorithm)
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < LEAST_BITS:
        return None
    kid = jwk.get("kid")
    return Key(kid if isinstance(kid, str) else None, algorithm, key)

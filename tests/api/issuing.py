"""An issuer of tokens with its JWKS at an address of loopback, whose keys rotate and which can be away."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.api.support import START

ISSUER, AUDIENCE = "https://issuer.example/", "gigz"
SECONDS = int(START.timestamp())


class Issuer:
    """Signs, publishes, rotates."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.body: bytes | None = None
        """Instead of the keys."""
        self.answers = threading.Event()
        self.answers.set()
        self.private: dict[str, tuple[Any, str]] = {}
        self.published: list[dict[str, Any]] = []
        self.rotate("rsa-1", "RS256")

    def rotate(self, kid: str, algorithm: str, keep: bool = False) -> None:
        """A new key, published instead of the others, or beside them."""
        key: Any
        if algorithm == "RS256":
            key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
            jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        else:
            key = ed25519.Ed25519PrivateKey.generate()
            jwk = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        self.private[kid] = (key, algorithm)
        told = dict(jwk) | {"kid": kid, "use": "sig", "alg": algorithm}
        self.published = [*(self.published if keep else ()), told]

    def token(self, kid: str, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token of one of its keys; a claim that is None is left out."""
        key, algorithm = self.private[kid]
        return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid} | (headers or {}))

    def pem(self, kid: str) -> bytes:
        """A public key as text, as somebody would use it for a secret."""
        key, _ = self.private[kid]
        return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token, but for the changes."""
    told = {"sub": "idp|42", "iss": ISSUER, "aud": AUDIENCE, "iat": SECONDS, "exp": SECONDS + 900} | changes
    return {name: value for name, value in told.items() if value is not None}


def segment(told: Any) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def signed_with_hmac(secret: bytes, **headers: Any) -> str:
    """A token by a secret that the library would not take for one: the text of a public key."""
    parts = f"{segment({'alg': 'HS256', 'typ': 'JWT'} | headers)}.{segment(claims())}"
    signature = hmac.new(secret, parts.encode(), hashlib.sha256).digest()
    return f"{parts}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@contextmanager
def publishing() -> Iterator[tuple[Issuer, str]]:
    """An issuer and the address of its keys."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            issuer.answers.wait(10)
            body = issuer.body if issuer.body is not None else json.dumps({"keys": issuer.published}).encode()
            self.send_response(issuer.status)
            self.send_header("content-length", str(len(body)))
            self.send_header("location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield issuer, f"http://127.0.0.1:{server.server_port}/jwks.json"
    finally:
        issuer.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()

#!/usr/bin/env -S python3 -I
"""Exit 0 when one of the addresses answers with 2xx, else 1 with what each said: a container's health check.

    healthcheck.py http://127.0.0.1:9464/live http://127.0.0.1:18000/ready

Standard library only and one short process: it runs every few seconds beside whatever it asks.
"""

import sys
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

ANSWER_S = 4.0


def ask(address: str) -> str:
    """Empty when it answers with 2xx; else why not. A probe's 503 says in its body what it waits for."""
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=ANSWER_S):
            return ""
    except HTTPError as error:
        return f"{address}: {error.code} {error.read(300).decode('utf-8', 'replace').strip()}"
    except (URLError, OSError, ValueError) as error:
        return f"{address}: {getattr(error, 'reason', error)}"


if __name__ == "__main__":
    told = [ask(address) for address in sys.argv[1:]]
    if "" not in told:
        sys.exit("\n".join(told) or "no address was given")

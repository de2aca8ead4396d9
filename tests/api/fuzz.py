"""`make fuzz`: requests made up from docs/api/openapi.json, good ones and bad ones, to an API with data in it.

    python -m tests.api.fuzz [--examples N] [--seed N] [--phases P,...] [--only OPERATION] [--workers N]

Engines of its own are started, filled and stopped again. schemathesis sends what the document allows and what it does
not, with a valid token and without, one by one and in chains, and holds every answer against the document with all its
checks: no 5xx, no status, header, type or shape that is not written there, nothing refused that is allowed, nothing
taken that is not. What it is told to leave out, and why, stands in schemathesis.toml beside this file. The last line is
the verdict, the exit code says the same.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from api.tokens import issue_token
from deploy.migrate import migrate_stores
from deploy.settings import Settings
from tests.api.processes import running
from tests.bench.api_data import Known, fill
from tests.support import ROOT, running_engines

DOCUMENT = ROOT / "docs" / "api" / "openapi.json"
CONFIG = Path(__file__).with_name("schemathesis.toml")
CONCERTS, ENTRIES = 300, 60
USER = "user-0"
LONGEST_S = 3_000
PHASES = "examples,coverage,fuzzing,stateful"
ALSO_REFUSED = ["2xx", 400, 401, 403, 404, 409, 429]


@dataclass(frozen=True)
class Verdict:
    """What came out."""

    passed: bool
    told: str
    """All that schemathesis printed, and our own bugs in the API's log."""

    @property
    def summary(self) -> str:
        """In a line."""
        cases = re.search(r"([\d,]+) (?:test cases )?generated", self.told)
        operations = re.search(r"Tested: +(\d+)", self.told)
        counted = ", ".join(
            f"{one[1]} {what}" for one, what in ((operations, "operations"), (cases, "requests")) if one
        )
        return f"{'PASS' if self.passed else 'FAIL'}: {counted or 'see above'}"


def with_what_is_there(config: str, document: dict[str, Any], known: Known) -> str:
    """The configuration, and words to draw ids from: half of them are of something that the user has.

    A cursor is what an answer gave, or it is refused; so each list is asked with that of its own example, where it is
    not made up on purpose.
    """
    drawn = {
        "path.suggestion_id": [*known.users[USER], *known.decided[USER]],
        "path.concert_id": known.concerts[:50],
        "path.artist_id": known.artist_keys[:50],
        "path.venue_id": known.venues[:50],
        "query.q": known.artists[:50],
    }
    words = {name.replace(".", "_"): values for name, values in drawn.items()}
    operations = []
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "cursor":
                    name = f"cursor_{operation['operationId']}"
                    words[name] = [parameter["example"]]
                    operations.append(
                        f'[[operations]]\ninclude-operation-id = "{operation["operationId"]}"\n'
                        f'parameters = {{ "query.cursor" = {{ dictionary = "{name}", probability = 1.0 }} }}\n'
                        f"checks.positive_data_acceptance.expected-statuses = {ALSO_REFUSED}\n"
                    )
    bound = [
        f'"{name}" = {{ dictionary = "{name.replace(".", "_")}", probability = 0.5 }}' for name in drawn if drawn[name]
    ]
    dictionaries = [f"[dictionaries.{name}]\nvalues = {json.dumps(values)}\n" for name, values in words.items()]
    return "\n".join([config, *dictionaries, "[parameters]", *bound, "", *operations])


def fuzz(
    settings: Settings,
    known: Known,
    examples: int,
    seed: int,
    phases: str = PHASES,
    only: str = "",
    workers: int = 1,
) -> Verdict:
    """Against engines that run and are filled."""
    lasting = settings.model_copy(update={"access_token_minutes": 600})
    token = issue_token(lasting, USER, datetime.now(UTC))
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "schemathesis.toml"
        document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
        config.write_text(with_what_is_there(CONFIG.read_text(encoding="utf-8"), document, known), encoding="utf-8")
        with running(settings, rate_limits=False, level="WARNING") as api:
            argv = [
                str(Path(sys.executable).with_name("schemathesis")),
                *("--config-file", str(config), "run", str(DOCUMENT), "--url", api.address),
                *("--header", f"Authorization: Bearer {token}", "--checks", "all"),
                *("--max-examples", str(examples), "--seed", str(seed), "--phases", phases, "--workers", str(workers)),
                *("--generation-database", "none", "--no-color", "--continue-on-failure"),
                *(("--include-operation-id", only) if only else ()),
            ]
            run = subprocess.run(
                argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST_S
            )
            bugs = [line for line in api.log().splitlines() if "internal_error" in line]
    told = run.stdout + "".join(f"\nin the API's log: {line}" for line in bugs)
    return Verdict(run.returncode == 0 and not bugs, told)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Requests made up from the OpenAPI document.")
    parser.add_argument("--examples", type=int, default=40, help="most of each kind for each operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phases", default=PHASES)
    parser.add_argument("--only", default="", help="one operation, by its operationId")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    with running_engines("gigz-fuzz-") as settings:
        print("filling the stores", flush=True)
        migrate_stores(settings)
        known = asyncio.run(fill(settings, CONCERTS, ENTRIES, users=1))
        verdict = fuzz(settings, known, asked.examples, asked.seed, asked.phases, asked.only, asked.workers)
    print(verdict.told)
    print(verdict.summary)
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())

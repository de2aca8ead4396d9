"""A short `make fuzz`: requests made up from the document, to an API over the test stack."""

import asyncio
import json
import tomllib

import pytest

from deploy.migrate import migrate_stores
from deploy.settings import Settings
from tests.api.fuzz import CONCERTS, CONFIG, DOCUMENT, ENTRIES, PHASES, USER, Verdict, fuzz, with_what_is_there
from tests.bench.api_data import Known, fill

KNOWN = Known({USER: ["s-1"]}, {USER: ["s-2"]}, ["c-1"], ["Low"], ["low"], ["v-1"])


def test_half_of_the_ids_are_of_something_that_is_there_and_cursors_are_of_their_list() -> None:
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    config = tomllib.loads(with_what_is_there(CONFIG.read_text(encoding="utf-8"), document, KNOWN))
    assert config["dictionaries"]["path_suggestion_id"]["values"] == ["s-1", "s-2"]
    assert config["parameters"]["path.suggestion_id"] == {"dictionary": "path_suggestion_id", "probability": 0.5}
    cursors = {name: words["values"] for name, words in config["dictionaries"].items() if name.startswith("cursor_")}
    assert len(cursors) > 5 and cursors["cursor_list_suggestions"] != cursors["cursor_read_journal"]


def test_a_bug_in_the_log_fails_a_run_that_schemathesis_passes() -> None:
    assert Verdict(True, "Tested: 20\n1,234 generated").summary == "PASS: 20 operations, 1,234 requests"
    assert Verdict(False, "").summary.startswith("FAIL")


@pytest.fixture(scope="module")
def known(stack: Settings) -> Known:
    """What is in the stores."""
    migrate_stores(stack)
    return asyncio.run(fill(stack, CONCERTS, ENTRIES, users=1))


@pytest.mark.stack
@pytest.mark.parametrize(
    ("examples", "phases"),
    [(1, "examples,fuzzing"), pytest.param(10, PHASES, marks=[pytest.mark.long, pytest.mark.timeout(3_000)])],
)
def test_no_request_that_the_document_allows_or_not_gets_what_it_does_not_tell(
    stack: Settings, known: Known, examples: int, phases: str
) -> None:
    verdict = fuzz(stack, known, examples, seed=1, phases=phases)
    assert verdict.passed, verdict.told[-20_000:]

"""Files that are learned from have no lines of erased users."""

import asyncio
from pathlib import Path

import pytest

from deploy.erasing import ledger
from deploy.erasing.files import Living, ask
from deploy.settings import SettingsError, load

LINES = [
    ("f:1", b'{"user": "ann", "entry_id": "e1", "action": "confirmed"}'),
    ("f:2", b'{"user": "bob", "entry_id": "e1"}'),
    ("f:3", b'{"user": "ann", "cut off'),
    ("f:4", b'{"artist": "Low"}'),
]


def test_lines_of_erased_users_are_left_out_and_counted() -> None:
    living = Living(frozenset({ledger.hash_of("ann")}))
    assert [where for where, _ in living.only(LINES)] == ["f:2", "f:4"]
    assert living.left_out == 2 and living.told == "2 lines of erased users left out"


def test_where_no_stack_is_known_nobody_was_erased_and_that_is_said(tmp_path: Path) -> None:
    living = asyncio.run(ask(load({"home": tmp_path, "postgres_url": ""})))
    assert [where for where, _ in living.only(LINES)] == ["f:1", "f:2", "f:3", "f:4"]
    assert "nobody was asked" in living.told


@pytest.mark.network
def test_a_ledger_that_does_not_answer_ends_it_before_anything_is_learned(tmp_path: Path) -> None:
    settings = load({"home": tmp_path, "postgres_url": "postgresql://u:p@127.0.0.1:1/none"})
    with pytest.raises(SettingsError, match=r"who was erased cannot be asked: .*Remedy: start PostgreSQL"):
        asyncio.run(ask(settings))

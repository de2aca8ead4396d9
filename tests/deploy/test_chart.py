"""The chart for Kubernetes, and the examples beside it, held against the code.

What production gets is kept in `deploy/kubernetes/rendered/production.yaml` and is judged everywhere. Where Helm or its
library is, the chart is rendered anew: what is kept has to be that, and other values are tried.
"""

import importlib.util
import json
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

import spiders.wanted
from deploy.flow import SINKS, group_of
from deploy.local.kafka import MESSAGE_LIMIT_BYTES
from deploy.rights import APP_BACKENDS, PROCESSES, REBUILT, WANTED_GROUP, WORKERS, rights_of
from deploy.settings import SOURCE_KEYS, Settings
from schemas.erasure import How
from schemas.topics import BY_NAME, TOPICS
from sinks import broken_off
from tests.deploy.named import (
    API_PORT,
    HOME,
    METRICS_PORT,
    accepted,
    command_of,
    commands_in,
    setting_of,
    unknown,
)
from tests.deploy.promql import families, headings, wrong

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
CHART = FOLDER / "gigz"
EXAMPLES = FOLDER / "examples"
STAGES = tuple(name for name in WORKERS if name != "scheduler")


def script() -> ModuleType:
    """deploy/kubernetes/render.py, which is no package."""
    spec = importlib.util.spec_from_file_location("deploy_kubernetes_render", FOLDER / "render.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


render = script()
KEPT = render.RENDERED.read_text(encoding="utf-8")
OBJECTS: list[dict[str, Any]] = list(yaml.load_all(KEPT, yaml.CSafeLoader))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def of_kind(*kinds: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] in kinds}


WORKLOADS = of_kind("StatefulSet", "Deployment", "Job")
every = pytest.mark.parametrize("name", WORKLOADS)


def pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = WORKLOADS[name]["spec"]["template"]["spec"]
    return found


def container(name: str) -> dict[str, Any]:
    (found,) = pod(name)["containers"]
    assert isinstance(found, dict)
    return found


def environment(name: str) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(name)["env"]}


def examples(name: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all((EXAMPLES / name).read_text(encoding="utf-8")) if one]


def rendered(*values: dict[str, Any], environment: str = "production") -> list[dict[str, Any]]:
    """Anew; skips where nothing renders."""
    try:
        made = render.render(values, [CHART / f"values-{environment}.yaml"])
    except render.NoRenderer as error:
        pytest.skip(f"{error} What is kept of production was checked without.")
    return [one for some in made.values() for one in some]


# -- what is kept is what the chart makes ----------------------------------------------------------------------------


def test_what_is_kept_is_of_this_chart() -> None:
    remedy = "python deploy/kubernetes/render.py production --write"
    assert KEPT.startswith(f"# chart {render.chart_hash()},"), f"the chart has changed. Remedy: {remedy}"


def test_helm_makes_what_is_kept() -> None:
    rendered()
    text = render.as_text(render.render(files=[CHART / "values-production.yaml"]))
    assert KEPT.partition("\n")[2] == text


@pytest.mark.parametrize("name", ["staging", "production"])
def test_every_object_is_one_of_kubernetes(name: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    others = {"keda.sh", "monitoring.coreos.com"}
    for one in rendered(environment=name) if name == "staging" else OBJECTS:
        if one["apiVersion"].partition("/")[0] not in others:
            validate.validate(one, "1.32", strict=True)


def test_the_rules_and_the_dashboard_are_the_repositorys_own() -> None:
    assert (CHART / "files/alerts.yml").resolve() == ROOT / "deploy/alerts/gigz.yml"
    assert (CHART / "files/dashboard.json").resolve() == ROOT / "deploy/dashboards/gigz.json"
    made = {one["kind"]: one for one in rendered()}
    rules = yaml.safe_load((ROOT / "deploy/alerts/gigz.yml").read_text(encoding="utf-8"))
    assert made["PrometheusRule"]["spec"] == rules
    board = json.loads((ROOT / "deploy/dashboards/gigz.json").read_text(encoding="utf-8"))
    assert json.loads(made["ConfigMap"]["data"]["gigz.json"]) == board


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"settings": {"partitionz": 1}}, "partitionz"),
        ({"stages": {"matcher": {"replicas": 1}}}, "matcher"),
        ({"postgres": {"connections": 400}}, "max_connections"),
        ({"api": {"settings": {"jwt_issuer": ""}}}, "jwt_issuer"),
        ({"api": {"ingress": {"trustedProxies": ""}}}, "trustedProxies"),
        ({"kafka": {"url": "kafka"}}, "url"),
        ({"image": {"digest": "sha256:12"}}, "digest"),
        ({"secrets": {"kafka_port": {"name": "a", "key": "b"}}}, "kafka_port"),
    ],
    ids=lambda one: one if isinstance(one, str) else None,
)
def test_values_that_cannot_be_meant_are_refused_by_name(values: dict[str, Any], told: str) -> None:
    rendered()
    with pytest.raises(ValueError, match=told):
        rendered(values)


def test_a_ceiling_above_the_partitions_is_lowered_to_them() -> None:
    values = {"kafka": {"partitions": 6}, "stages": {"match": {"most": 20}, "resolve": {"most": 3}}}
    made = {one["metadata"]["name"]: one for one in rendered(values) if one["kind"] == "ScaledObject"}
    most = {name.removeprefix("gigz-"): one["spec"]["maxReplicaCount"] for name, one in made.items()}
    assert most == {**dict.fromkeys(STAGES, 6), "resolve": 3, "relay": VALUES["outboxShards"]}


# -- settings, commands, ports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.*")), ids=lambda path: path.name)
def test_every_setting_that_a_file_names_exists(path: Path) -> None:
    if path.is_file() and path.parent.name != "files" and "__pycache__" not in path.parts:
        assert unknown(path.read_text(encoding="utf-8")) - {""} == set()


def test_the_schema_of_the_values_knows_exactly_the_settings_that_an_operator_may_set() -> None:
    fields = Settings.model_fields
    secret = {name for name, field in fields.items() if field.annotation is SecretStr}
    of_the_local_stack = {
        *("kafka_port", "kafka_controller_port", "postgres_port", "clickhouse_port", "meilisearch_port"),
        *("demo_site_port", "kafka_heap_mb", "start_deadline_s", "meilisearch_bin", "clickhouse_bin", "jwt_secret"),
    }
    of_the_chart = {
        *("home", "kafka_url", "postgres_url", "clickhouse_url", "meilisearch_url", "partitions"),
        *("replication_factor", "outbox_shards", "metrics_host", "metrics_port", "api_host", "api_port"),
    }
    known = SCHEMA["$defs"]["settings"]["propertyNames"]["enum"]
    assert known == sorted(set(fields) - secret - of_the_local_stack - of_the_chart)
    assert SCHEMA["properties"]["secrets"]["propertyNames"]["enum"] == sorted(secret - of_the_local_stack)
    assert list(SCHEMA["properties"]["stages"]["properties"]) == list(STAGES) == list(VALUES["stages"])


@every
def test_a_pod_runs_a_command_that_exists_with_values_that_are_accepted(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = command_of([one.replace("$(POD_INDEX)", "3") for one in container(name)["args"]])
    process = name.removeprefix("gigz-")
    expected = {"api": "api", "migrate": "migrate", "topics": "topics apply"}.get(process, f"worker {process}")
    assert told == expected
    plain = {name: value for name, value in environment(name).items() if isinstance(value, str)}
    settings = accepted(monkeypatch, plain)
    assert (str(settings.home), settings.environment) == (HOME, "production")
    assert settings.partitions == Settings.model_fields["partitions"].default
    assert settings.outbox_shards == Settings.model_fields["outbox_shards"].default


def test_there_is_a_process_for_every_stage_and_nothing_else() -> None:
    assert {name.removeprefix("gigz-") for name in WORKLOADS} == {*WORKERS, "api", "migrate", "topics"}


def test_ports_are_those_that_the_processes_listen_on() -> None:
    for name in WORKLOADS:
        ports = {one["name"]: one["containerPort"] for one in container(name).get("ports", ())}
        kind = WORKLOADS[name]["kind"]
        assert ports == {"StatefulSet": {"metrics": METRICS_PORT}, "Deployment": {"http": API_PORT}, "Job": {}}[kind]
        assert environment(name)["GIGZ_METRICS_PORT"] == str(METRICS_PORT)
    assert environment("gigz-api")["GIGZ_API_PORT"] == str(API_PORT)
    for service in of_kind("Service").values():
        (port,) = service["spec"]["ports"]
        workload = WORKLOADS[service["metadata"]["name"]]
        assert port["targetPort"] in {one["name"] for one in container(workload["metadata"]["name"])["ports"]}
        assert service["spec"]["selector"] == workload["spec"]["selector"]["matchLabels"]


# -- membership ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", WORKERS)
def test_a_pods_number_is_its_instance_and_so_its_static_membership(stage: str) -> None:
    spec = WORKLOADS[f"gigz-{stage}"]["spec"]
    assert WORKLOADS[f"gigz-{stage}"]["kind"] == "StatefulSet"
    assert spec["ordinals"] == {"start": 1}, "--instance begins at 1"
    assert environment(f"gigz-{stage}")["POD_INDEX"] == {
        "fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}
    }
    assert container(f"gigz-{stage}")["args"] == ["worker", stage, "--instance", "$(POD_INDEX)"]
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= 30
    metadata = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert metadata["kubeVersion"] == ">=1.32.0-0", "pods know their number since 1.28, always since 1.32"


@pytest.mark.parametrize("stage", STAGES)
def test_keda_scales_by_the_stages_own_group_up_to_its_partitions(stage: str) -> None:
    spec = of_kind("ScaledObject")[f"gigz-{stage}"]["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": f"gigz-{stage}"}
    assert spec["minReplicaCount"] >= 1, "an alert tells of a stage without a process"
    (trigger,) = spec["triggers"]
    if stage == "relay":
        assert spec["maxReplicaCount"] == Settings.model_fields["outbox_shards"].default
        assert trigger["type"] == "prometheus"
        assert wrong(trigger["metadata"]["query"], families()) == []
    else:
        assert spec["maxReplicaCount"] == Settings.model_fields["partitions"].default
        assert trigger["type"] == "kafka" and trigger["metadata"]["consumerGroup"] == group_of(stage)
        assert trigger["metadata"]["bootstrapServers"] == environment(f"gigz-{stage}")["GIGZ_KAFKA_URL"]
    assert "replicas" not in WORKLOADS[f"gigz-{stage}"]["spec"], "an upgrade would undo what KEDA did"


def test_all_pods_together_stay_within_the_connections_that_postgres_gives() -> None:
    pool, pool_api = (Settings.model_fields[name].default for name in ("postgres_pool_size", "postgres_pool_size_api"))
    own = {"normalise": 1, "sink-clickhouse": 2, "sink-postgres": 3, "sink-meilisearch": 2}
    runs = int(environment("gigz-scheduler")["GIGZ_RUNS_AT_ONCE"])
    most = {name: one["spec"]["maxReplicaCount"] for name, one in of_kind("ScaledObject").items()}
    total = sum(most[f"gigz-{stage}"] * own.get(stage, 1 + pool) for stage in STAGES)
    total += WORKLOADS["gigz-scheduler"]["spec"]["replicas"] * (pool + 5 + 2 * runs)
    total += (1 + of_kind("HorizontalPodAutoscaler")["gigz-api"]["spec"]["maxReplicas"]) * pool_api
    values = yaml.safe_load((CHART / "values-production.yaml").read_text(encoding="utf-8"))
    assert total <= 0.8 * values["postgres"]["connections"]
    (cluster,) = (one for one in examples("postgres.yaml") if one["kind"] == "Cluster")
    parameters = cluster["spec"]["postgresql"]["parameters"]
    assert int(parameters["max_connections"]) == values["postgres"]["connections"]


# -- probes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", WORKERS)
def test_probes_mean_what_the_runbook_says(stage: str) -> None:
    told = container(f"gigz-{stage}")
    live, ready, start = (told[f"{kind}Probe"] for kind in ("liveness", "readiness", "startup"))
    assert live["httpGet"] == start["httpGet"] == {"path": "/live", "port": "metrics"}
    assert ready["httpGet"] == {"path": "/ready", "port": "metrics"}
    assert all(1 < probe["timeoutSeconds"] <= 5 for probe in (live, ready, start)), "a frozen process answers nothing"
    deadline = Settings.model_fields["liveness_s"].default
    assert start["periodSeconds"] * start["failureThreshold"] > deadline, "it counts from the start itself"


def test_the_api_is_not_started_anew_because_postgres_is_away() -> None:
    told = container("gigz-api")
    assert told["livenessProbe"].keys() & {"httpGet", "exec"} == set()
    assert told["readinessProbe"]["httpGet"] == told["startupProbe"]["httpGet"] == {"path": "/ready", "port": "http"}


# -- a roll-out ------------------------------------------------------------------------------------------------------


def test_tables_then_topics_are_made_ready_before_anything_rolls_out() -> None:
    hooks = {name: one["metadata"]["annotations"] for name, one in of_kind("Job").items()}
    assert {one["helm.sh/hook"] for one in hooks.values()} == {"pre-install,pre-upgrade"}
    weights = {name: int(one["helm.sh/hook-weight"]) for name, one in hooks.items()}
    assert weights["gigz-migrate"] < weights["gigz-topics"]
    before = [
        one
        for one in OBJECTS
        if "helm.sh/hook" in one["metadata"].get("annotations", {})
        and one["kind"] in {"ServiceAccount", "NetworkPolicy"}
    ]
    assert {one["kind"] for one in before} == {"ServiceAccount", "NetworkPolicy"}
    assert all(int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) < min(weights.values()) for one in before)
    assert {pod(name)["serviceAccountName"] for name in hooks} == {"gigz-jobs"}
    assert all(one["spec"]["template"]["spec"]["restartPolicy"] == "Never" for one in of_kind("Job").values())


def test_what_spiders_could_not_deliver_outlives_a_pod() -> None:
    spec = WORKLOADS["gigz-scheduler"]["spec"]
    assert spec["volumeClaimTemplates"][0]["metadata"]["name"] == "home"
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    for stage in STAGES:
        assert "volumeClaimTemplates" not in WORKLOADS[f"gigz-{stage}"]["spec"], "a stage keeps nothing"


@pytest.mark.parametrize("name", [name for name, one in WORKLOADS.items() if one["kind"] != "Job"])
def test_one_pod_at_a_time_may_be_moved_and_they_stand_apart(name: str) -> None:
    labels = WORKLOADS[name]["spec"]["selector"]["matchLabels"]
    budget = of_kind("PodDisruptionBudget")[name]["spec"]
    assert budget["maxUnavailable"] == 1 and budget["selector"]["matchLabels"] == labels
    spread = pod(name)["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert all(one["labelSelector"]["matchLabels"] == labels for one in spread)


# -- least privilege -------------------------------------------------------------------------------------------------

STORES = {
    **{name: {"kafka", "postgres"} for name in ("normalise", "resolve", "match", "relay", "sink-postgres")},
    "sink-clickhouse": {"kafka", "postgres", "clickhouse"},
    "sink-meilisearch": {"kafka", "postgres", "meilisearch"},
    "scheduler": {"kafka", "postgres", "clickhouse", "meilisearch"},
    "api": {"kafka", "postgres", "clickhouse", "meilisearch"},
    "jobs": {"kafka", "postgres", "clickhouse"},
}


@every
def test_a_pod_is_nobody_and_writes_to_its_home_and_tmp_alone(name: str) -> None:
    told = pod(name)
    assert told["automountServiceAccountToken"] is False and told["enableServiceLinks"] is False
    assert told["securityContext"]["runAsNonRoot"] is True
    assert told["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"USER {told['securityContext']['runAsUser']}:" in (ROOT / "deploy/image/Dockerfile").read_text()
    one = container(name)
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {mount["mountPath"] for mount in one["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {HOME, "/tmp"}
    assert "memory" in one["resources"]["limits"] and {"cpu", "memory"} <= one["resources"]["requests"].keys()


@every
def test_a_pod_knows_only_the_servers_and_secrets_that_it_uses(name: str) -> None:
    process = {"migrate": "jobs", "topics": "jobs"}.get(name.removeprefix("gigz-"), name.removeprefix("gigz-"))
    told = environment(name)
    known = {
        variable.removeprefix("GIGZ_").removesuffix("_URL").lower() for variable in told if variable.endswith("_URL")
    }
    assert known - {"jwt_jwks"} == STORES[process]
    for engine in ("postgres", "clickhouse"):
        if engine in STORES[process]:
            assert "secretKeyRef" in told[f"GIGZ_{engine.upper()}_URL"], "a password is within"
    files = {variable: value for variable, value in told.items() if variable.endswith("_FILE")}
    mounted = {
        item["path"]
        for volume in pod(name)["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        for item in source["secret"]["items"]
    }
    assert {Path(value).name for value in files.values()} == mounted == {setting_of(one) for one in files}


def test_keys_of_sources_go_to_spiders_and_imports_only() -> None:
    secrets = {name: {"name": "a", "key": "b"} for name in SCHEMA["properties"]["secrets"]["propertyNames"]["enum"]}
    made = [one for one in rendered({"secrets": secrets}) if one["kind"] in {"StatefulSet", "Deployment", "Job"}]
    told = {
        one["metadata"]["name"].removeprefix("gigz-"): {
            setting_of(variable["name"])
            for variable in one["spec"]["template"]["spec"]["containers"][0]["env"]
            if variable["name"].endswith("_FILE")
        }
        for one in made
    }
    assert told.pop("scheduler") == {*SOURCE_KEYS, "meilisearch_key", "operators_webhook_secret"}
    assert told.pop("api") == {"meilisearch_key", "pages_secret", "setlistfm_api_key"}
    assert told.pop("sink-meilisearch") == {"meilisearch_key"}
    assert set().union(*told.values()) == set()


@pytest.mark.parametrize("process", STORES)
def test_a_process_gets_to_its_own_servers_and_no_further(process: str) -> None:
    spec = of_kind("NetworkPolicy")[f"gigz-{process}"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == process
    servers = {name: VALUES["networkPolicy"][name] for name in ("kafka", "postgres", "clickhouse", "meilisearch")}
    reached = {
        name
        for name, one in servers.items()
        if {"to": [one["peer"]], "ports": [{"port": one["port"], "protocol": "TCP"}]} in spec["egress"]
    }
    assert reached == STORES[process]
    world = [rule for rule in spec["egress"] if "ipBlock" in rule["to"][0]]
    assert bool(world) == (process in {"scheduler", "api"})
    for rule in world:
        assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(rule["to"][0]["ipBlock"]["except"]), "metadata of the cloud"
    assert len(spec["egress"]) == 1 + len(reached) + len(world), "names, its servers, the world"
    let_in = {
        rule["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in spec.get("ingress", ())
    }
    expected = {"api": {"ingress-nginx", "monitoring"}, "jobs": set()}.get(process, {"monitoring"})
    assert let_in == expected


def test_every_process_has_its_policy() -> None:
    assert set(STORES) == {*WORKERS, "api", "jobs"}
    assert {name.removeprefix("gigz-") for name in of_kind("NetworkPolicy")} == set(STORES)


# -- examples: Kafka -------------------------------------------------------------------------------------------------


def test_strimzi_makes_every_topic_as_gigz_would() -> None:
    made = {one["metadata"]["name"]: one["spec"] for one in examples("kafka-topics.yaml")}
    assert list(made) == [topic.name for topic in TOPICS]
    for topic in TOPICS:
        spec = made[topic.name]
        assert {name: str(value) for name, value in spec["config"].items()} == topic.config
        assert spec["partitions"] == Settings.model_fields["partitions"].default == VALUES["kafka"]["partitions"]
        assert spec["replicas"] == VALUES["kafka"]["replicationFactor"] == 3


USERS = {one["metadata"]["name"].removeprefix("gigz-"): one["spec"] for one in examples("kafka-users.yaml")}
"""Process -> its user."""


def granted(user: str, operation: str, kind: str) -> set[str]:
    return {
        acl["resource"]["name"] + ("*" if acl["resource"]["patternType"] == "prefix" else "")
        for acl in USERS[user].get("authorization", {}).get("acls", ())
        if acl["resource"]["type"] == kind and operation in acl["operations"]
    }


@pytest.mark.parametrize("process", PROCESSES)
def test_a_user_may_do_what_its_process_does_and_nothing_more(process: str) -> None:
    user = process.replace(" ", "-")
    rights = rights_of(process)
    groups = rights.groups | ({"gigz-app-backends*"} if process == APP_BACKENDS else set())
    assert granted(user, "Read", "topic") == rights.read
    assert granted(user, "Write", "topic") == rights.write
    assert granted(user, "Describe", "topic") == rights.read | rights.write | rights.describe
    assert granted(user, "Read", "group") == granted(user, "Describe", "group") == groups
    used = {one for acl in USERS[user].get("authorization", {}).get("acls", ()) for one in acl["operations"]}
    assert used <= {"Describe", "Read", "Write"}
    assert USERS[user]["authentication"] == {"type": "scram-sha-512"}


def test_besides_the_processes_there_are_people_and_keda() -> None:
    assert set(USERS) == {*(process.replace(" ", "-") for process in PROCESSES), "operator", "keda"}
    assert granted("operator", "All", "topic") == {"gigz.*"} and granted("operator", "All", "group") == {"gigz-*"}
    assert granted("keda", "Describe", "topic") == {"gigz.*"} and granted("keda", "Read", "topic") == set()


def test_the_broker_takes_the_largest_message_and_makes_no_topic_by_itself() -> None:
    kafka = next(one for one in examples("kafka.yaml") if one["kind"] == "Kafka")["spec"]["kafka"]
    assert kafka["config"]["message.max.bytes"] == MESSAGE_LIMIT_BYTES
    assert kafka["config"]["auto.create.topics.enable"] == "false"
    assert kafka["config"]["min.insync.replicas"] == 2
    listeners = {one["name"]: one for one in kafka["listeners"]}
    assert listeners["scram"]["tls"] is True and listeners["scram"]["authentication"] == {"type": "scram-sha-512"}
    port = int(VALUES["kafka"]["url"].rpartition(":")[2])
    assert port in {one["port"] for one in kafka["listeners"]}
    assert port == VALUES["networkPolicy"]["kafka"]["port"]


def test_keys_and_names_of_the_examples_are_those_that_the_chart_reads() -> None:
    postgres = examples("postgres.yaml")[0]["metadata"]["name"]
    assert VALUES["postgres"]["secret"] == {"name": f"{postgres}-app", "key": "uri"}
    assert VALUES["networkPolicy"]["postgres"]["peer"]["podSelector"]["matchLabels"] == {"cnpg.io/cluster": postgres}
    (clickhouse,) = examples("clickhouse.yaml")
    label = VALUES["networkPolicy"]["clickhouse"]["peer"]["podSelector"]["matchLabels"]
    assert label == {"clickhouse.altinity.com/chi": clickhouse["metadata"]["name"]}
    search = yaml.safe_load((EXAMPLES / "meilisearch-values.yaml").read_text(encoding="utf-8"))
    assert VALUES["meilisearch"]["url"] == f"http://{search['fullnameOverride']}:7700"
    assert VALUES["secrets"]["meilisearch_key"]["name"] == search["auth"]["existingMasterKeySecret"]


# -- rights ----------------------------------------------------------------------------------------------------------


def test_every_topic_is_written_and_read_by_whoever_the_table_says() -> None:
    writers = {name: {process for process in PROCESSES if name in rights_of(process).write} for name in BY_NAME}
    stands_for = {"resolve": "relay", "api": "relay", "digest": "relay", "spiders": "scheduler", "rematch": "match"}
    for topic in TOPICS:
        expected = {
            stands_for.get(stage, stage) if stage != "resolve" or topic.name != "gigz.rejection.v1" else "resolve"
            for stage in topic.written_by
            if stage != "feed"
        }
        if topic.name in {"gigz.suggestion.v1", "gigz.wanted.v1"}:
            expected = {"relay"}
        assert writers[topic.name] == expected, topic.name
        readers = {process for process in PROCESSES if topic.name in rights_of(process).read} - {"scheduler"}
        stages = {{"rematch": "match", "spiders": "scheduler"}.get(one, one) for one in topic.read_by}
        assert readers == stages - {"scheduler"}, topic.name


def test_the_relay_may_end_whatever_an_erasure_ends() -> None:
    from deploy.erasing.stores import places

    assert set(places("kafka", How.TOMBSTONES)) <= rights_of("relay").write


def test_groups_are_those_that_the_code_joins() -> None:
    assert WANTED_GROUP == spiders.wanted.GROUP
    assert set(REBUILT.values()) == {broken_off._group(what) for what in broken_off.PASSED_OVER}
    for process in WORKERS:
        if process not in {"relay", "scheduler"}:
            assert group_of(process) in rights_of(process).groups
    assert set(SINKS) >= set(REBUILT)


def test_who_answers_users_may_do_nothing_in_kafka() -> None:
    assert rights_of("api") == type(rights_of("api"))()
    with pytest.raises(KeyError):
        rights_of("curator")


# -- its pages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["docs/operations/install-kubernetes.md", "docs/decisions/0016-helm.md"])
def test_a_page_names_files_settings_and_commands_that_exist(name: str) -> None:
    page = ROOT / name
    text = page.read_text(encoding="utf-8")
    assert unknown(text) == set()
    for arguments in commands_in(text):
        command_of(arguments)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if not path.startswith("http"):
            there = page.parent / path if path else page
            assert there.exists(), link
            assert not anchor or anchor in headings(there), link


def test_the_page_and_the_examples_name_one_version_of_each_operator() -> None:
    page = (ROOT / "docs/operations/install-kubernetes.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"(?m)^\| ([A-Z][\w ]+?) \| ([\d.]+) \|", page))
    assert table.keys() == {"Strimzi", "CloudNativePG", "ClickHouse operator", "Meilisearch chart", "KEDA"}
    texts = " ".join(path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.yaml"))
    for name in ("Strimzi", "CloudNativePG"):
        assert f"{name} {table[name]}" in texts
    assert f"operator {table['ClickHouse operator']}" in texts and f"chart, {table['Meilisearch chart']}" in texts


def test_names_are_used_once() -> None:
    counted = Counter((one["kind"], one["metadata"]["name"]) for one in OBJECTS)
    assert max(counted.values()) == 1

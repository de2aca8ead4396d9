"""What the chart makes of its values: objects, in one order, for people to read and for tests to judge.

    python deploy/kubernetes/render.py staging              > objects.yaml
    python deploy/kubernetes/render.py production --write     writes rendered/production.yaml

Rendered by `helm` where it is on the path, else by Helm's own library in the package helm-python-sdk. What is written
has the hash of the chart's files in its first line, so that a machine with neither sees that it is out of date.
"""

import argparse
import hashlib
import importlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
CHART = HERE / "gigz"
RENDERED = HERE / "rendered" / "production.yaml"
RELEASE = NAMESPACE = "gigz"
KUBERNETES = "1.34.0"
COPIES = ("monitoring.yaml",)
"""Templates that only hand on files of the repository: not written, they can be read where they are."""


class NoRenderer(Exception):
    """Neither Helm nor its library is here. The message names the remedy."""


def chart_hash() -> str:
    """Of every file that decides what is rendered."""
    digest = hashlib.sha256()
    for path in sorted(CHART.rglob("*")):
        if path.is_file() and path.parent.name != "files":
            digest.update(f"{path.relative_to(CHART)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def render(values: Iterable[Mapping[str, Any]] = (), files: Iterable[Path] = ()) -> dict[str, list[dict[str, Any]]]:
    """Template -> its objects, with the values files and then the values on top of the chart's own.

    NoRenderer; ValueError when the chart refuses the values, with its own words.
    """
    merged: dict[str, Any] = {}
    for path in files:
        merged = _over(merged, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    for more in values:
        merged = _over(merged, dict(more))
    helm = shutil.which("helm")
    if helm is not None:
        return _by_program(helm, merged)
    if importlib.util.find_spec("helm_python") is not None:
        return _by_library(merged)
    raise NoRenderer("no Helm. Remedy: put `helm` on the path, or install the package helm-python-sdk.")


def _by_program(helm: str, values: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    argv = [helm, "template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", "-"]
    argv += ["--kube-version", KUBERNETES]  # without a cluster it is whatever Helm was built with
    told = subprocess.run(argv, input=yaml.safe_dump(values), capture_output=True, text=True, check=False)  # noqa: S603
    if told.returncode:
        raise ValueError(told.stderr)
    found: dict[str, list[dict[str, Any]]] = {}
    for part in told.stdout.split("\n---\n"):
        source = next((line for line in part.splitlines() if line.startswith("# Source: ")), "")
        found.setdefault(source.rpartition("/")[2], []).extend(_objects(part))
    return {name: objects for name, objects in found.items() if objects}


def _by_library(values: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    library = importlib.import_module("helm_python")
    try:
        with library.Chart.load(str(CHART)) as chart:
            texts = chart.render(values, name=RELEASE, namespace=NAMESPACE)
    except library.HelmError as error:
        raise ValueError(str(error)) from error
    made = {path.rpartition("/")[2]: _objects(text) for path, text in texts.items() if path.endswith(".yaml")}
    return {name: objects for name, objects in made.items() if objects}


def _objects(text: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text) if one]


def _over(under: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for name, value in values.items():
        below = merged.get(name)
        merged[name] = _over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def as_text(made: Mapping[str, list[dict[str, Any]]]) -> str:
    """All objects, by kind and name."""
    objects = [one for name, some in made.items() if name not in COPIES for one in some]
    objects.sort(key=lambda one: (one["kind"], one["metadata"]["name"]))
    return "---\n".join(yaml.safe_dump(one, sort_keys=False, width=120) for one in objects)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("environment", choices=("staging", "production"))
    parser.add_argument("--write", action="store_true", help="to rendered/production.yaml; of production only")
    told = parser.parse_args()
    try:
        text = as_text(render(files=[CHART / f"values-{told.environment}.yaml"]))
    except (NoRenderer, ValueError) as error:
        sys.exit(str(error))
    if not told.write:
        sys.stdout.write(text)
    elif told.environment != "production":
        sys.exit("--write: only what production has is kept")
    else:
        RENDERED.parent.mkdir(exist_ok=True)
        RENDERED.write_text(f"# chart {chart_hash()}, by deploy/kubernetes/render.py\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()

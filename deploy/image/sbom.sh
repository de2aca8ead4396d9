#!/usr/bin/env bash
# What the image contains, for machines and for lawyers: OUT/gigz.cdx.json (CycloneDX 1.6) and OUT/licences.csv.
#
#   deploy/image/sbom.sh [OUT]       OUT: a folder, .sbom unless it is named
#
# Both are read off an environment that is installed from the lock exactly as the image's is, because a lock knows
# versions and hashes and no licences. Needs python3 (3.11) and the package index; leaves nothing behind but OUT.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-.sbom}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

"$python" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
"$work/tools/bin/python" -m pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0 pip-licenses-cli==4.1.0
"$python" deploy/image/requirements.py requirements/lock.txt > "$work/production.txt"
"$work/tools/bin/uv" venv --quiet --python "$python" "$work/gigz"
"$work/tools/bin/uv" pip sync --quiet --python "$work/gigz/bin/python" --require-hashes "$work/production.txt"

"$work/tools/bin/cyclonedx-py" environment --pyproject pyproject.toml --mc-type application --sv 1.6 \
    --output-reproducible --output-format JSON --output-file "$out/gigz.cdx.json" "$work/gigz/bin/python"
"$work/tools/bin/pip-licenses" --python "$work/gigz/bin/python" --from=mixed --with-urls --format=csv \
    --output-file="$out/licences.csv"
echo "$out/gigz.cdx.json, $out/licences.csv"

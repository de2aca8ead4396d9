#!/usr/bin/env bash
# Makes every secret that compose.yml and compose.monitoring.yml read, once; those that are there stay as they are.
# They rest in secrets/, a folder that only its owner may enter. Keep a copy where the backups are not.
set -euo pipefail
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
chmod 0700 secrets

random() { head -c 32 /dev/urandom | base64 | tr -d '=+/\n' | head -c 40; }

# File and content. Readable within the folder: a container's user is another than the one who runs this.
keep() {
    [ -e "secrets/$1" ] && return
    printf '%s\n' "$2" > "secrets/$1"
    chmod 0444 "secrets/$1"
    echo "made secrets/$1"
}

keep postgres_password "$(random)"
keep clickhouse_password "$(random)"
keep meilisearch_key "$(random)"
keep pages_secret "$(random)"
keep grafana_password "$(random)"
keep alerts_webhook "http://127.0.0.1:9/replace-me"

keep postgres.env "GIGZ_POSTGRES_URL=postgresql://gigz:$(cat secrets/postgres_password)@postgres:5432/gigz"
keep clickhouse.env "GIGZ_CLICKHOUSE_URL=http://gigz:$(cat secrets/clickhouse_password)@clickhouse:8123/default"
keep meilisearch.toml "master_key = \"$(cat secrets/meilisearch_key)\""
keep clickhouse_users.xml "<clickhouse><users>
  <default remove=\"remove\"/>
  <gigz>
    <password_sha256_hex>$(tr -d '\n' < secrets/clickhouse_password | sha256sum | cut -d' ' -f1)</password_sha256_hex>
    <networks><ip>::/0</ip></networks>
    <profile>default</profile>
    <quota>default</quota>
  </gigz>
</users></clickhouse>"

# Kafka's name for itself: no secret, but never to change. 16 bytes in 22 characters, no dash in front.
touch .env
if ! grep -q '^KAFKA_CLUSTER_ID=' .env; then
    id="-"
    while [ "${id#-}" != "$id" ]; do id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'); done
    printf 'KAFKA_CLUSTER_ID=%s\n' "$id" >> .env
    echo "made KAFKA_CLUSTER_ID in .env"
fi
grep -q 'replace-me' secrets/alerts_webhook && echo "write into secrets/alerts_webhook where alerts are to go" >&2
exit 0

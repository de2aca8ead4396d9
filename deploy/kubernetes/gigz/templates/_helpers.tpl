{{/* What the templates share. A process is called as in `gigz worker`; "api" and "jobs" are processes, too. */}}

{{- define "gigz.fullname" -}}
{{- if contains "gigz" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-gigz{{ end -}}
{{- end }}

{{- define "gigz.selector" -}}
app.kubernetes.io/name: gigz
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .process }}
{{- end }}

{{- define "gigz.labels" -}}
{{ include "gigz.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: gigz
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "gigz.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Least privilege: the servers that each process talks to, and the secret settings that it reads. */}}
{{- define "gigz.servers" -}}
{{- get (dict
  "normalise" (list "kafka" "postgres")
  "resolve" (list "kafka" "postgres")
  "match" (list "kafka" "postgres")
  "relay" (list "kafka" "postgres")
  "sink-clickhouse" (list "kafka" "postgres" "clickhouse")
  "sink-postgres" (list "kafka" "postgres")
  "sink-meilisearch" (list "kafka" "postgres" "meilisearch")
  "scheduler" (list "kafka" "postgres" "clickhouse" "meilisearch")
  "api" (list "kafka" "postgres" "clickhouse" "meilisearch")
  "jobs" (list "kafka" "postgres" "clickhouse")
) .process | toJson -}}
{{- end }}

{{- define "gigz.secretSettings" -}}
{{- $sources := list "setlistfm_api_key" "ticketmaster_api_key" "bandsintown_app_id" "seatgeek_client_id" "songkick_api_key" "phishnet_api_key" -}}
{{- get (dict
  "sink-meilisearch" (list "meilisearch_key")
  "scheduler" (concat (list "meilisearch_key" "operators_webhook_secret") $sources)
  "api" (list "meilisearch_key" "pages_secret" "setlistfm_api_key")
) .process | default list | toJson -}}
{{- end }}

{{/* The connections to PostgreSQL that one pod may open: its pool, and the session that holds its number. */}}
{{- define "gigz.connections" -}}
{{- $settings := .root.Values.settings -}}
{{- $pool := $settings.postgres_pool_size | default 4 | int -}}
{{- $runs := .root.Values.scheduler.settings.runs_at_once | default 4 | int -}}
{{- get (dict
  "normalise" 1
  "resolve" (add 1 $pool)
  "match" (add 1 $pool)
  "relay" (add 1 $pool)
  "sink-clickhouse" 2
  "sink-postgres" 3
  "sink-meilisearch" 2
  "scheduler" (add $pool 5 (mul 2 $runs))
  "api" ($settings.postgres_pool_size_api | default 16 | int)
) .process -}}
{{- end }}

{{/* The most pods of a stage: one for each partition (the relay: each shard), or fewer. */}}
{{- define "gigz.most" -}}
{{- $stage := get .root.Values.stages .process -}}
{{- $ceiling := ternary .root.Values.outboxShards .root.Values.kafka.partitions (eq .process "relay") | int -}}
{{- min ($stage.most | default $ceiling | int) $ceiling -}}
{{- end }}

{{/* Whether something scales a stage. */}}
{{- define "gigz.scales" -}}
{{- if and .root.Values.autoscaling.enabled (or (ne .process "relay") .root.Values.autoscaling.prometheus) }}yes{{ end -}}
{{- end }}

{{- define "gigz.settings" -}}
{{- range $name, $value := . }}
- name: GIGZ_{{ upper $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/* Everything that a process is told. `own`: settings of it alone. */}}
{{- define "gigz.env" -}}
{{- $values := .root.Values -}}
{{- $servers := include "gigz.servers" . | fromJsonArray -}}
{{- $fixed := dict "home" "/var/lib/gigz" "metrics_host" "0.0.0.0" "metrics_port" 9464 "kafka_url" $values.kafka.url "partitions" $values.kafka.partitions "replication_factor" $values.kafka.replicationFactor "outbox_shards" $values.outboxShards -}}
{{- if has "meilisearch" $servers }}{{ $_ := set $fixed "meilisearch_url" $values.meilisearch.url }}{{ end -}}
{{- include "gigz.settings" (merge (dict) (.own | default dict) $fixed $values.settings) }}
{{- range $server := list "postgres" "clickhouse" }}
{{- if has $server $servers }}
- name: GIGZ_{{ upper $server }}_URL
  valueFrom:
    secretKeyRef: {{ get $values $server | dig "secret" dict | toJson }}
{{- end }}
{{- end }}
{{- range $name := include "gigz.secretSettings" . | fromJsonArray }}
{{- if hasKey $values.secrets $name }}
- name: GIGZ_{{ upper $name }}_FILE
  value: /run/secrets/gigz/{{ $name }}
{{- end }}
{{- end }}
{{- end }}

{{- define "gigz.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "gigz.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "gigz.mounts" -}}
- {name: home, mountPath: /var/lib/gigz}
- {name: tmp, mountPath: /tmp}
{{- if include "gigz.secretVolume" . }}
- {name: secrets, mountPath: /run/secrets/gigz, readOnly: true}
{{- end }}
{{- end }}

{{/* `kept`: the home folder is a claim of the StatefulSet. */}}
{{- define "gigz.volumes" -}}
{{- if not .kept }}
- {name: home, emptyDir: {sizeLimit: 512Mi}}
{{- end }}
- {name: tmp, emptyDir: {sizeLimit: 512Mi}}
{{- with include "gigz.secretVolume" . }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- end }}

{{- define "gigz.secretVolume" -}}
{{- $secrets := .root.Values.secrets -}}
{{- range $name := include "gigz.secretSettings" . | fromJsonArray }}
{{- with get $secrets $name }}
- secret: {name: {{ .name }}, items: [{key: {{ .key }}, path: {{ $name }}}]}
{{- end }}
{{- end }}
{{- end }}

{{/* Where a pod may run; the same for all. */}}
{{- define "gigz.placement" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- end }}

{{- define "gigz.spread" -}}
{{- $selector := include "gigz.selector" . }}
topologySpreadConstraints:
{{- range .root.Values.topologySpread }}
  - maxSkew: 1
    topologyKey: {{ .topologyKey }}
    whenUnsatisfiable: {{ .whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
{{- end }}
{{- end }}

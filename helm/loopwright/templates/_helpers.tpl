{{- define "loopwright.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* The release and the chart, or the release alone where it names the chart. */}}
{{- define "loopwright.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "loopwright.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "loopwright.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "loopwright.trigger" -}}
{{- printf "%s-trigger" (include "loopwright.fullname" .) -}}
{{- end -}}

{{- define "loopwright.selectorLabels" -}}
app.kubernetes.io/name: {{ include "loopwright.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: trigger
{{- end -}}

{{- define "loopwright.labels" -}}
{{ include "loopwright.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: loopwright
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Rollouts as Argo Workflows: the template, the service account and the Role have one name. */}}
{{- define "loopwright.rollout" -}}
{{- printf "%s-rollout" (include "loopwright.fullname" .) -}}
{{- end -}}

{{- define "loopwright.rolloutLabels" -}}
{{- include "loopwright.labels" . | replace "component: trigger" "component: rollout" -}}
{{- end -}}

{{/* Runs as Argo Workflows: the template, its service account and the Role have one name. */}}
{{- define "loopwright.training" -}}
{{- printf "%s-training" (include "loopwright.fullname" .) -}}
{{- end -}}

{{- define "loopwright.trainingLabels" -}}
{{- include "loopwright.labels" . | replace "component: trigger" "component: training" -}}
{{- end -}}

{{- define "loopwright.trainingImage" -}}
{{- printf "%s:%s" .Values.training.image.repository (default .Chart.AppVersion .Values.training.image.tag) -}}
{{- end -}}

{{- define "loopwright.secret" -}}
{{- default (include "loopwright.fullname" .) .Values.existingSecret -}}
{{- end -}}

{{- define "loopwright.configMap" -}}
{{- default (printf "%s-loop" (include "loopwright.fullname" .)) .Values.loop.existingConfigMap -}}
{{- end -}}

{{- define "loopwright.stateClaim" -}}
{{- default (printf "%s-state" (include "loopwright.fullname" .)) .Values.persistence.existingClaim -}}
{{- end -}}

{{- define "loopwright.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "loopwright.trigger" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "loopwright.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The declaration; without one, the churn example with its feature code. */}}
{{- define "loopwright.declaration" -}}
{{- default (.Files.Get "files/loop.yaml") .Values.loop.declaration -}}
{{- end -}}

{{- define "loopwright.features" -}}
{{- if or .Values.loop.declaration .Values.loop.existingConfigMap .Values.loop.git.repository -}}
{{- .Values.loop.features -}}
{{- else -}}
{{- default (.Files.Get "files/features.py") .Values.loop.features -}}
{{- end -}}
{{- end -}}

{{/* What the containers of a rollout have in common. */}}
{{- define "loopwright.rolloutEnv" -}}
- name: LOOPWRIGHT_STATE
  value: /state
- name: LOOPWRIGHT_NAMESPACE
  value: {{ "'{{workflow.namespace}}'" }}
- name: LOOPWRIGHT_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ include "loopwright.secret" . }}, key: token}
{{- $stores := include "loopwright.storesSecret" . }}
{{- range list (list "LEDGER_URL" $stores "ledger-url") (list "REGISTRY_URI" $stores "registry-uri") (list "PROMETHEUS_URL" (include "loopwright.secret" .) "prometheus-url") }}
- name: LOOPWRIGHT_{{ index . 0 }}
  valueFrom:
    secretKeyRef: {name: {{ index . 1 }}, key: {{ index . 2 }}, optional: true}
{{- end }}
{{- with include "loopwright.objectStoreEnv" . }}
{{- . | nindent 0 }}
{{- end }}
{{- if .Values.rollouts.modelsClaim }}
- name: LOOPWRIGHT_MODELS
  value: /models
{{- end }}
{{- with .Values.extraEnv }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}

{{- define "loopwright.rolloutContainer" -}}
name: main
image: {{ include "loopwright.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [loopwright]
resources: {{- toYaml .Values.rollouts.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: loop, mountPath: /loop/loop.yaml, subPath: loop.yaml, readOnly: true}
  {{- if include "loopwright.features" . }}
  - {name: loop, mountPath: /loop/{{ .Values.loop.featuresFile }}, subPath: {{ .Values.loop.featuresFile }}, readOnly: true}
  {{- end }}
  - {name: state, mountPath: /state}
  - {name: tmp, mountPath: /tmp}
  {{- if .Values.rollouts.modelsClaim }}
  - {name: models, mountPath: /models}
  {{- end }}
{{- end -}}

{{/* Where KFP runs the steps: the profile's namespace, else that of its API, else that of a standalone installation. */}}
{{- define "loopwright.kfpNamespace" -}}
{{- $service := regexReplaceAll "^https?://[^./:]+[.]([^./:]+)([.]svc([.][^/:]*)?)?(:[0-9]+)?/?$" .Values.kfp.host "${1}" -}}
{{- .Values.kfp.namespace | default (ternary "kubeflow" $service (contains "://" $service)) -}}
{{- end -}}

{{/* What KFP's API knows a pod by; the kubelet renews it. */}}
{{- define "loopwright.kfpToken" -}}
- name: kfp-token
  projected:
    sources:
      - serviceAccountToken: {audience: pipelines.kubeflow.org, expirationSeconds: 7200, path: token}
{{- end -}}

{{/* Where pipelines run, if that is not the trigger's pod: what loopwright.engines.kfp.options reads. */}}
{{- define "loopwright.engineEnv" -}}
{{- if eq .Values.engine "argo" -}}
- {name: LOOPWRIGHT_ENGINE, value: argo}
- {name: LOOPWRIGHT_TRAINING_TEMPLATE, value: {{ include "loopwright.training" . }}}
{{- else if eq .Values.engine "kfp" -}}
{{- if not (or .Values.existingSecret .Values.storesSecret .Values.builtin.enabled (and .Values.ledgerUrl .Values.registryUri)) -}}
{{- fail "engine: kfp: the steps run in pods of their own, so that ledger and registry have to be servers: set ledgerUrl and registryUri, or existingSecret or storesSecret with the keys ledger-url and registry-uri" -}}
{{- end -}}
{{- if not .Values.kfp.secret -}}
{{- fail "engine: kfp: kfp.secret is empty: name a Secret with the keys ledger-url and registry-uri in the namespace where the steps run" -}}
{{- end -}}
- {name: LOOPWRIGHT_ENGINE, value: kfp}
{{- $values := dict "HOST" .Values.kfp.host "UI" .Values.kfp.ui "NAMESPACE" .Values.kfp.namespace "IMAGE" (.Values.kfp.image | default (printf "loopwright/component-python:%s" .Chart.AppVersion)) "SECRET" .Values.kfp.secret "SECRET_ENV" (join "," .Values.kfp.secretEnv) "STATE_CLAIM" .Values.kfp.stateClaim "DATA_CLAIM" .Values.kfp.dataClaim "DATA_PATH" .Values.data.mountPath "SERVICE_ACCOUNT" .Values.kfp.serviceAccount "CPU" .Values.kfp.cpu "MEMORY" .Values.kfp.memory "RETRIES" (toString .Values.kfp.retries) "TTL" (toString (int64 .Values.kfp.ttlSeconds)) }}
{{- range $name, $value := $values }}
{{- if $value }}
- {name: LOOPWRIGHT_KFP_{{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- end -}}
{{- end }}

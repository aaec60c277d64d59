{{/* What the parts of an installation have in common: names, labels, the settings of the command, a pod's security. */}}

{{- define "loopwright.partSelector" -}}
{{- include "loopwright.selectorLabels" .root | replace "component: trigger" (printf "component: %s" .part) -}}
{{- end -}}

{{- define "loopwright.partLabels" -}}
{{- include "loopwright.labels" .root | replace "component: trigger" (printf "component: %s" .part) -}}
{{- end -}}

{{/* Every pod of Loopwright's, of whichever release: several loops share stores. */}}
{{- define "loopwright.anyLabels" -}}
app.kubernetes.io/name: {{ include "loopwright.name" . }}
{{- end -}}

{{/* Every pod of the release. */}}
{{- define "loopwright.ourLabels" -}}
app.kubernetes.io/name: {{ include "loopwright.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "loopwright.postgresql" -}}{{ include "loopwright.fullname" . }}-postgresql{{- end -}}
{{- define "loopwright.mlflow" -}}{{ include "loopwright.fullname" . }}-mlflow{{- end -}}
{{- define "loopwright.objectStore" -}}{{ include "loopwright.fullname" . }}-object-store{{- end -}}

{{/* The Secret with `ledger-url` and `registry-uri`: of the built-in PostgreSQL and MLflow, of another release, or yours. */}}
{{- define "loopwright.storesSecret" -}}
{{- if .Values.builtin.enabled -}}{{ include "loopwright.postgresql" . }}{{- else -}}{{ default (include "loopwright.secret" .) .Values.storesSecret }}{{- end -}}
{{- end -}}

{{/* The Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, if there is one. */}}
{{- define "loopwright.objectStoreSecret" -}}
{{- if .Values.builtin.enabled -}}{{ include "loopwright.objectStore" . }}{{- else -}}{{ .Values.objectStore.existingSecret }}{{- end -}}
{{- end -}}

{{- define "loopwright.objectStoreEnv" -}}
{{- with include "loopwright.objectStoreSecret" . }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: AWS_ACCESS_KEY_ID}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: AWS_SECRET_ACCESS_KEY}
{{- end }}
{{- if .Values.builtin.enabled }}
- name: AWS_ENDPOINT_URL
  value: http://{{ include "loopwright.objectStore" . }}:9000
{{- else if .Values.objectStore.endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ .Values.objectStore.endpoint }}
{{- end }}
{{- if include "loopwright.objectStoreSecret" . }}
- name: AWS_REGION
  value: {{ .Values.objectStore.region }}
{{- end }}
{{- end -}}

{{/* The command's settings, in the trigger and in jobs. */}}
{{- define "loopwright.env" -}}
- name: LOOPWRIGHT_STATE
  value: /state
# What the ledger calls this release, which keeps its name when a pod takes the place of another.
- name: POD_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: LOOPWRIGHT_MACHINE
  value: $(POD_NAMESPACE)/{{ include "loopwright.fullname" . }}
{{- if and .Values.loop.git.repository (regexMatch "^[0-9a-f]{40}$" (toString .Values.loop.git.revision)) }}
# A branch or a tag may be another commit by the time a run begins.
- name: LOOPWRIGHT_REVISION
  value: {{ .Values.loop.git.revision | quote }}
{{- end }}
- name: LOOPWRIGHT_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ include "loopwright.secret" . }}, key: token}
- name: LOOPWRIGHT_LEDGER_URL
  valueFrom:
    secretKeyRef: {name: {{ include "loopwright.storesSecret" . }}, key: ledger-url, optional: true}
- name: LOOPWRIGHT_REGISTRY_URI
  valueFrom:
    secretKeyRef: {name: {{ include "loopwright.storesSecret" . }}, key: registry-uri, optional: true}
- name: LOOPWRIGHT_PROMETHEUS_URL
  valueFrom:
    secretKeyRef: {name: {{ include "loopwright.secret" . }}, key: prometheus-url, optional: true}
{{- with include "loopwright.objectStoreEnv" . }}
{{- . | nindent 0 }}
{{- end }}
{{- end -}}

{{- define "loopwright.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "loopwright.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where pods of ours go. */}}
{{- define "loopwright.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The loop's folder in a pod: the ConfigMap's files, or a copy of a checkout. A relative source is relative to it. */}}
{{- define "loopwright.folder" -}}/loop{{- end -}}

{{- define "loopwright.loopMounts" -}}
{{- if .Values.loop.git.repository }}
- {name: loop, mountPath: /loop}
{{- else }}
- {name: loop, mountPath: /loop/loop.yaml, subPath: loop.yaml, readOnly: true}
{{- if include "loopwright.features" . }}
- {name: loop, mountPath: /loop/{{ .Values.loop.featuresFile }}, subPath: {{ .Values.loop.featuresFile }}, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "loopwright.loopVolume" -}}
{{- if .Values.loop.git.repository }}
- name: git
  emptyDir: {}
- name: loop
  emptyDir: {}
{{- else }}
- name: loop
  configMap: {name: {{ include "loopwright.configMap" . }}}
{{- end }}
{{- end -}}

{{/* The checkout, before anything reads it. https://github.com/kubernetes/git-sync */}}
{{- define "loopwright.checkout" -}}
- name: checkout
  image: {{ printf "%s:%s" .Values.loop.git.image.repository .Values.loop.git.image.tag }}
  imagePullPolicy: IfNotPresent
  args:
    - --one-time
    - --depth=1
    - --root=/git
    - --link=loop
    - {{ printf "--repo=%s" .Values.loop.git.repository | quote }}
    - {{ printf "--ref=%s" .Values.loop.git.revision | quote }}
  env:
    - name: HOME
      value: /tmp
    {{- with .Values.loop.git.existingSecret }}
    - name: GITSYNC_USERNAME
      valueFrom:
        secretKeyRef: {name: {{ . }}, key: username}
    - name: GITSYNC_PASSWORD
      valueFrom:
        secretKeyRef: {name: {{ . }}, key: password}
    {{- end }}
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {memory: 256Mi}
  securityContext: {{- include "loopwright.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: git, mountPath: /git}
    - {name: tmp, mountPath: /tmp}
# A link leads to the checkout, in which nothing can be mounted: the rows' claim is, in this copy. Files that links lead
# to are copied, as they may lie beside the loop's folder; links that lead nowhere are left out.
- name: copy
  image: {{ include "loopwright.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [sh, -ec, 'cd "$1"; find -L . -type f -exec cp --parents --target-directory="$2" {} +', copy]
  args: [{{ printf "/git/loop/%s" .Values.loop.git.path | quote }}, /loop]
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {memory: 256Mi}
  securityContext: {{- include "loopwright.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: git, mountPath: /git, readOnly: true}
    - {name: loop, mountPath: /loop}
{{- end -}}

{{- define "loopwright.stateVolume" -}}
- name: state
  {{- if .Values.persistence.enabled }}
  persistentVolumeClaim: {claimName: {{ include "loopwright.stateClaim" . }}}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end -}}

{{/* Whether the manifests are made for a cluster that answers, whose kinds are known then. */}}
{{- define "loopwright.online" -}}
{{- if .Capabilities.APIVersions.Has "apiregistration.k8s.io/v1/APIService" }}yes{{ end -}}
{{- end -}}

{{- define "loopwright.needs" -}}
{{- if and (include "loopwright.online" .root) (not (.root.Capabilities.APIVersions.Has .kind)) -}}
{{- fail (printf "%s needs %s on the cluster, which does not know %s: install it, or leave the value off. `loopwright doctor --cluster` says what else is missing" .value .part .kind) -}}
{{- end -}}
{{- end -}}

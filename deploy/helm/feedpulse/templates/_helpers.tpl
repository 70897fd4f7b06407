{{- define "feedpulse.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "feedpulse.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "feedpulse.labels" -}}
{{ include "feedpulse.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: {{ .Values.mode }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "feedpulse.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{- define "feedpulse.serviceAccount" -}}
{{ ternary (include "feedpulse.fullname" .) "default" .Values.serviceAccount.create }}
{{- end }}

{{- define "feedpulse.claim" -}}
{{ default (include "feedpulse.fullname" .) .Values.persistence.existingClaim }}
{{- end }}

{{- /* The restricted profile of the Pod Security Standards, for each container. */ -}}
{{- define "feedpulse.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- /* The forwarding process: started before the analyser and, as a native sidecar, stopped after
it. It has no probes: a probe would be a connection to the engine, and a restart would cut the
senders'. */ -}}
{{- define "feedpulse.wire" -}}
- name: wire
  image: {{ include "feedpulse.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  restartPolicy: Always
  args:
    - wire
    - --socket
    - /run/feedpulse/wire/wire.sock
    - --ring-bytes
    - {{ .Values.proxy.ringBytes | quote }}
    - --drain
    - {{ .Values.proxy.drain | quote }}
    {{- range .Values.proxy.listeners }}
    - --listen
    - {{ prepend (default list .options) (printf "forward=%s" .forward) | join "," | printf "%s=%s:%d,%s" .name $.Values.proxy.listenAddress (int .port) | quote }}
    {{- end }}
  ports:
    {{- range .Values.proxy.listeners }}
    - {name: {{ .name }}, containerPort: {{ .port }}, protocol: TCP}
    {{- end }}
  resources:
    {{- toYaml .Values.proxy.resources | nindent 4 }}
  securityContext:
    {{- include "feedpulse.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: run, mountPath: /run/feedpulse}
{{- end }}

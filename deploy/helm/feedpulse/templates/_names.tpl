{{- /* Names, labels, images. Every template takes the scope of this chart: `.` here,
`.Subcharts.feedpulse` in a chart that depends on it. */ -}}
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
{{- $image := .Values.image }}
{{- $tag := default .Chart.AppVersion $image.tag }}
{{- if eq .Values.mode "capture" }}
{{- $tag = eq .Values.capture.user "nonroot" | ternary (printf "%s-capture" $tag) $tag }}
{{- with .Values.capture.image }}
{{- $tag = default $tag .tag }}
{{- $image = dict "repository" (default $image.repository .repository) "digest" (empty (or .tag .digest) | ternary $image.digest .digest) }}
{{- end }}
{{- end }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository $tag }}
{{- end }}
{{- end }}

{{- define "feedpulse.serviceAccount" -}}
{{ ternary (include "feedpulse.fullname" .) "default" .Values.serviceAccount.create }}
{{- end }}

{{- define "feedpulse.claim" -}}
{{ default (include "feedpulse.fullname" .) .Values.persistence.existingClaim }}
{{- end }}

{{- /* Empty where the chart makes no pod of its own. */ -}}
{{- define "feedpulse.ownPod" -}}
{{- if has .Values.mode (list "kafka" "proxy") }}yes{{ end }}
{{- end }}

{{- /* Empty where nothing is forwarded. */ -}}
{{- define "feedpulse.forwards" -}}
{{- if has .Values.mode (list "proxy" "beside") }}yes{{ end }}
{{- end }}

{{- /* The job's name in Prometheus: the rules look for the word feedpulse in it. */ -}}
{{- define "feedpulse.job" -}}
{{- $name := include "feedpulse.fullname" . }}
{{- contains "feedpulse" $name | ternary $name (printf "feedpulse-%s" $name) }}
{{- end }}

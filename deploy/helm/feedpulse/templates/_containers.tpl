{{- /* Containers and volumes. A chart that depends on this one includes, with .Subcharts.feedpulse:
feedpulse.containers, feedpulse.initContainers, feedpulse.volumes, feedpulse.enginePorts; and
feedpulse.targetPort with (dict "feedpulse" .Subcharts.feedpulse "leg" "adt"). */ -}}

{{- /* The restricted profile of the Pod Security Standards, said for each container, since the pod
may be somebody else's. */ -}}
{{- define "feedpulse.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- if .Values.fixedUser }}
runAsUser: 65532
runAsGroup: 65532
{{- end }}
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- /* The same with the one capability that packets need. */ -}}
{{- define "feedpulse.captureSecurity" -}}
readOnlyRootFilesystem: true
capabilities: {drop: [ALL], add: [NET_RAW]}
seccompProfile: {type: RuntimeDefault}
{{- if eq .Values.capture.user "root" }}
# User 0 gets what is added and nothing else; no program can give it more.
runAsNonRoot: false
runAsUser: 0
runAsGroup: 0
allowPrivilegeEscalation: false
{{- else }}
runAsNonRoot: true
{{- if .Values.fixedUser }}
runAsUser: 65532
runAsGroup: 65532
{{- end }}
# Without it the kernel ignores the program's file capability. Nothing else in the image has one.
allowPrivilegeEscalation: true
{{- end }}
{{- end }}

{{- define "feedpulse.imageLines" -}}
image: {{ include "feedpulse.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- /* `yes` where the forwarding process is an init container that goes on running. */ -}}
{{- define "feedpulse.native" -}}
{{- if include "feedpulse.forwards" . }}
{{- if eq .Values.proxy.container "native" }}yes{{ end }}
{{- if and (eq .Values.proxy.container "auto") (eq .Values.mode "proxy") }}yes{{ end }}
{{- end }}
{{- end }}

{{- /* The forwarding process. It has no probes: a probe would be a connection to the engine, and a
restart would cut the senders'. */ -}}
{{- define "feedpulse.wire" -}}
- name: feedpulse-wire
  {{- include "feedpulse.imageLines" . | nindent 2 }}
  {{- if include "feedpulse.native" . }}
  restartPolicy: Always
  {{- end }}
  args:
    - wire
    - --socket
    - /run/feedpulse/wire/wire.sock
    - --ring-bytes
    - {{ .Values.proxy.ringBytes | quote }}
    - --drain
    - {{ .Values.proxy.drain | quote }}
    {{- range .Values.proxy.listeners }}
    {{- $scope := dict "feedpulse" $ "leg" . }}
    - --listen
    - {{ prepend (default list .options) (printf "forward=%s" (include "feedpulse.forward" $scope)) | join "," | printf "%s=%s,%s" .name (include "feedpulse.listen" $scope) | quote }}
    {{- end }}
  {{- $ports := list }}
  {{- range .Values.proxy.listeners }}
  {{- if not .outbound }}
  {{- $ports = append $ports . }}
  {{- end }}
  {{- end }}
  {{- with $ports }}
  ports:
    {{- range . }}
    - {name: {{ .name }}-tapped, containerPort: {{ .port }}, protocol: TCP}
    {{- end }}
  {{- end }}
  resources:
    {{- toYaml .Values.proxy.resources | nindent 4 }}
  securityContext:
    {{- include "feedpulse.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: feedpulse-run, mountPath: /run/feedpulse}
    {{- with .Values.proxy.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- /* The analysing process; in mode capture it looks at the packets itself. */ -}}
{{- define "feedpulse.analyser" -}}
- name: {{ eq .Values.mode "capture" | ternary "feedpulse-capture" "feedpulse-analyser" }}
  {{- include "feedpulse.imageLines" . | nindent 2 }}
  args: [run, --config, /etc/feedpulse/feedpulse.yaml]
  {{- $env := concat (include "feedpulse.env" . | fromYamlArray) .Values.extraEnv }}
  {{- with $env }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - {name: feedpulse-ops, containerPort: {{ .Values.ops.port }}, protocol: TCP}
  {{- if eq .Values.mode "kafka" }}
  # Trivial on purpose: the listener is bound. That Kafka answers is no condition.
  startupProbe:
    tcpSocket: {port: feedpulse-ops}
    periodSeconds: 2
    failureThreshold: 60
  readinessProbe:
    httpGet: {path: /readyz, port: feedpulse-ops}
    periodSeconds: 10
    timeoutSeconds: 5
  {{- end }}
  # No readiness and no startup probe where messages pass: neither may take the pod out of a Service.
  livenessProbe:
    httpGet: {path: /healthz, port: feedpulse-ops}
    {{- if ne .Values.mode "kafka" }}
    initialDelaySeconds: 60
    {{- end }}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  securityContext:
    {{- include (eq .Values.mode "capture" | ternary "feedpulse.captureSecurity" "feedpulse.containerSecurity") . | nindent 4 }}
  volumeMounts:
    # A whole folder, not a subPath, so that a changed ConfigMap arrives in the pod.
    - {name: feedpulse-config, mountPath: /etc/feedpulse, readOnly: true}
    - {name: feedpulse-store, mountPath: /var/lib/feedpulse}
    - {name: feedpulse-run, mountPath: /run/feedpulse}
    - {name: feedpulse-tmp, mountPath: /tmp}
    {{- if or .Values.caBundle.configMap .Values.caBundle.secret }}
    - {name: feedpulse-ca, mountPath: /etc/feedpulse-ca, readOnly: true}
    {{- end }}
    {{- range .Values.checks }}
    - {name: {{ printf "feedpulse-check-%s" .name }}, mountPath: {{ printf "/etc/feedpulse-checks/%s" .name }}, readOnly: true}
    {{- end }}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "feedpulse.env" -}}
{{- if or .Values.caBundle.configMap .Values.caBundle.secret }}
- {name: SSL_CERT_FILE, value: /etc/feedpulse-ca/ca.crt}
{{- end }}
{{- if .Values.egressProxy.secret }}
- name: EGRESS_PROXY
  valueFrom: {secretKeyRef: {name: {{ .Values.egressProxy.secret }}, key: {{ .Values.egressProxy.key }}}}
{{- else if .Values.egressProxy.url }}
- {name: EGRESS_PROXY, value: {{ .Values.egressProxy.url | quote }}}
{{- end }}
{{- end }}

{{- /* For `containers:` of a pod. */ -}}
{{- define "feedpulse.containers" -}}
{{- if and (include "feedpulse.forwards" .) (not (include "feedpulse.native" .)) }}
{{- include "feedpulse.wire" . }}
{{ end }}
{{- include "feedpulse.analyser" . }}
{{- end }}

{{- /* For `initContainers:` of a pod; nothing unless proxy.container is native. */ -}}
{{- define "feedpulse.initContainers" -}}
{{- if include "feedpulse.native" . }}
{{- include "feedpulse.wire" . }}
{{- end }}
{{- end }}

{{- /* For `ports:` of the engine's container: the names that the bypass leads to. */ -}}
{{- define "feedpulse.enginePorts" -}}
{{- range .Values.proxy.listeners }}
{{- if and .direct (not .outbound) }}
- {name: {{ .name }}-direct, containerPort: {{ .direct }}, protocol: TCP}
{{- end }}
{{- end }}
{{- end }}

{{- define "feedpulse.path" -}}
{{- $path := index .feedpulse.Values.proxy.paths .leg.name | default .feedpulse.Values.proxy.path }}
{{- /* Legs that are left in the values while nothing forwards. */ -}}
{{- if not (include "feedpulse.forwards" .feedpulse) }}{{ $path = "direct" }}{{ end }}
{{- if and (eq $path "direct") (not .leg.direct) }}
{{- fail (printf "proxy.listeners: %s has no `direct`, the engine's port, so there is no way past Feedpulse" .leg.name) }}
{{- end }}
{{- $path }}
{{- end }}

{{- /* For `targetPort:` of the engine's own Service: LEG-tapped or LEG-direct. */ -}}
{{- define "feedpulse.targetPort" -}}
{{- $name := .leg }}
{{- $feedpulse := .feedpulse }}
{{- $found := "" }}
{{- range .feedpulse.Values.proxy.listeners }}
{{- if and (eq .name $name) (not .outbound) }}
{{- $found = printf "%s-%s" $name (include "feedpulse.path" (dict "feedpulse" $feedpulse "leg" .)) }}
{{- end }}
{{- end }}
{{- $found | required (printf "feedpulse.targetPort: proxy.listeners has no inbound leg %s" $name) }}
{{- end }}

{{- /* For `volumes:` of a pod. */ -}}
{{- define "feedpulse.volumes" -}}
- name: feedpulse-config
  configMap: {name: {{ include "feedpulse.fullname" . }}}
- name: feedpulse-store
  {{- if .Values.persistence.enabled }}
  persistentVolumeClaim: {claimName: {{ include "feedpulse.claim" . }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ .Values.persistence.size }}}
  {{- end }}
# The socket of the forwarding process (over which it hands its memfd) and of the commands.
- name: feedpulse-run
  emptyDir: {sizeLimit: 16Mi}
- name: feedpulse-tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with .Values.caBundle }}
{{- if .configMap }}
- name: feedpulse-ca
  configMap: {name: {{ .configMap }}, items: [{key: {{ .key | quote }}, path: ca.crt}]}
{{- else if .secret }}
- name: feedpulse-ca
  secret: {secretName: {{ .secret }}, items: [{key: {{ .key | quote }}, path: ca.crt}]}
{{- end }}
{{- end }}
{{- range .Values.checks }}
- name: {{ printf "feedpulse-check-%s" .name }}
  {{- if .configMap }}
  configMap: {name: {{ .configMap | quote }}}
  {{- else }}
  image: {reference: {{ .image | quote }}, pullPolicy: IfNotPresent}
  {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

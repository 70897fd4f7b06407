{{- /* The configuration: what the user states, and what follows from the pod. */ -}}

{{- /* Mebibytes of persistence.size. */ -}}
{{- define "feedpulse.sizeMib" -}}
{{- $size := .Values.persistence.size }}
{{- if hasSuffix "Gi" $size }}{{ mul 1024 (trimSuffix "Gi" $size | int) }}{{ else }}{{ trimSuffix "Mi" $size | int }}{{ end }}
{{- end }}

{{- /* Where a listener forwards to. */ -}}
{{- define "feedpulse.forward" -}}
{{- if .leg.forward }}
{{- .leg.forward }}
{{- else if and (eq .feedpulse.Values.mode "beside") .leg.direct (not .leg.outbound) }}
{{- printf "127.0.0.1:%d" (int .leg.direct) }}
{{- else }}
{{- fail (printf "proxy.listeners: %s needs `forward: HOST:PORT` (or, in mode beside, `direct: PORT` of the engine)" .leg.name) }}
{{- end }}
{{- end }}

{{- /* Where a listener listens: one for the engine's own sendings is nobody else's. */ -}}
{{- define "feedpulse.listen" -}}
{{- $local := and .leg.outbound (eq .feedpulse.Values.mode "beside") }}
{{- printf "%s:%d" (ternary "127.0.0.1" .feedpulse.Values.proxy.listenAddress (not (not $local))) (int .leg.port) }}
{{- end }}

{{- define "feedpulse.config" -}}
{{- if not .Values.config }}
{{- fail "config is empty: give the configuration file of Feedpulse as YAML under `config:`" }}
{{- end }}
{{- $mib := include "feedpulse.sizeMib" . | int }}
{{- if lt $mib 64 }}
{{- fail "persistence.size: at least 64Mi" }}
{{- end }}
{{- $ops := printf "%s:%d" .Values.ops.listenAddress (int .Values.ops.port) }}
{{- $store := dict "folder" "/var/lib/feedpulse" "log_mib" (div (mul $mib 4) 10) "ledger_mib" (div (mul $mib 3) 10) }}
{{- $added := dict "ops" (dict "listen" $ops) "store" $store }}
{{- if include "feedpulse.forwards" . }}
{{- if .Values.config.mllp }}
{{- fail "config.mllp: leave it out; in modes proxy and beside the chart writes it from proxy.listeners" }}
{{- end }}
{{- $listeners := list }}
{{- range .Values.proxy.listeners }}
{{- $scope := dict "feedpulse" $ "leg" . }}
{{- $listeners = append $listeners (dict "waypoint" (default .name .waypoint) "listen" (include "feedpulse.listen" $scope) "forward" (include "feedpulse.forward" $scope)) }}
{{- end }}
{{- $_ := set $added "mllp" (dict "socket" "/run/feedpulse/wire/wire.sock" "start_wire" false "listeners" $listeners) }}
{{- end }}
{{- $config := merge (deepCopy .Values.config) $added }}
{{- if not (hasSuffix (printf ":%d" (int .Values.ops.port)) $config.ops.listen) }}
{{- fail (printf "config.ops.listen is %s, but the probes ask port %d: change ops.port, or leave ops.listen out" $config.ops.listen (int .Values.ops.port)) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

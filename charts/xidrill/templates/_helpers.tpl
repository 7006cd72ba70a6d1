{{- define "xidrill.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- end -}}
{{- $name = $name | replace "." "-" | trunc 48 | trimSuffix "-" -}}
{{- if not (regexMatch "^[a-z]" $name) -}}
{{- fail (printf "release name %s: a Service's name must begin with a letter; choose another, or set fullnameOverride" .Release.Name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* The name is fixed: the coordinator finds agents by it. */}}
{{- define "xidrill.selector" -}}
app.kubernetes.io/name: xidrill
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Of two with one name the first counts: those that select pods, then `more` for this object, then those for all. */}}
{{- define "xidrill.labels" -}}
{{- $selector := include "xidrill.selector" . | fromYaml -}}
{{- $standard := dict
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/part-of" "xidrill"
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{ merge (dict) $selector (.more | default dict) (.root.Values.commonLabels | default dict) $standard | toYaml }}
{{- end -}}

{{- define "xidrill.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name | quote }}{{ else }}{{ . | quote }}{{ end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "xidrill.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "xidrill.serviceAccountName" -}}
{{- $account := (index .root.Values .component).serviceAccount -}}
{{- if $account.name -}}
{{ $account.name }}
{{- else if $account.create -}}
{{ include "xidrill.fullname" .root }}-{{ .component }}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* By which a caller inside the cluster finds it, and which a certificate of yours must have. */}}
{{- define "xidrill.coordinatorName" -}}
{{ include "xidrill.tlsNames" (dict "root" . "component" "coordinator") | fromYamlArray | last }}
{{- end -}}

{{/* Where a program's certificate is, however it was made. */}}
{{- define "xidrill.tlsSecret" -}}
{{- $own := (index .root.Values.tls .component).existingSecret -}}
{{- if eq .root.Values.tls.source "secret" -}}
{{ required (printf "tls.%s.existingSecret: name the Secret, as tls.source is secret" .component) $own }}
{{- else -}}
{{ include "xidrill.fullname" .root }}-{{ .component }}-tls
{{- end -}}
{{- end -}}

{{- define "xidrill.scheme" -}}
{{ ternary "http" "https" (eq .Values.tls.source "none") }}
{{- end -}}

{{/* A program's names, as its callers know it. */}}
{{- define "xidrill.tlsNames" -}}
{{- if eq .component "agent" -}}
- {{ .root.Values.tls.agent.serverName | quote }}
{{- else -}}
{{- $service := printf "%s-coordinator" (include "xidrill.fullname" .root) -}}
- {{ $service | quote }}
- {{ printf "%s.%s" $service .root.Release.Namespace | quote }}
- {{ printf "%s.%s.svc" $service .root.Release.Namespace | quote }}
{{- end -}}
{{- end -}}

{{/* By which names a program may be addressed, beside localhost and its pod's own address: as its callers know it, and yours. */}}
{{- define "xidrill.hosts" -}}
{{- $names := include "xidrill.tlsNames" . | fromYamlArray -}}
{{- if eq .component "coordinator" -}}
{{- $names = append $names (printf "%s.cluster.local" (last $names)) -}}
{{- end -}}
{{- range concat $names (index .root.Values .component).hosts }}
- --host={{ . }}
{{- end -}}
{{- end -}}

{{/* The program's own token and the authority of the API server, where the kubelet would mount them by itself. */}}
{{- define "xidrill.apiAccess" -}}
name: api-access
projected:
  defaultMode: 0400
  sources:
    - serviceAccountToken: { path: token, expirationSeconds: 3607 }
    - configMap: { name: kube-root-ca.crt, items: [{ key: ca.crt, path: ca.crt }] }
    - downwardAPI: { items: [{ path: namespace, fieldRef: { fieldPath: metadata.namespace } }] }
{{- end -}}

{{/* Any term may match: a label for GPU nodes, or an instance type that has one. */}}
{{- define "xidrill.gpuNodeTerms" -}}
{{- range $key, $value := .Values.agent.nodes.labels }}
- matchExpressions:
    - { key: {{ $key | quote }}, operator: In, values: [{{ $value | quote }}] }
{{- end }}
{{- with .Values.agent.nodes.instanceTypes }}
- matchExpressions:
    - key: node.kubernetes.io/instance-type
      operator: In
      values: {{- toYaml . | nindent 8 }}
{{- end }}
{{- end -}}

{{/* All must match: none of the labels, none of the types, and nothing that may be drilled. */}}
{{- define "xidrill.otherNodesTerm" -}}
matchExpressions:
  - { key: xidrill.dev/drill, operator: NotIn, values: [allowed] }
{{- range $key, $value := .Values.agent.nodes.labels }}
  - { key: {{ $key | quote }}, operator: NotIn, values: [{{ $value | quote }}] }
{{- end }}
{{- with .Values.agent.nodes.instanceTypes }}
  - key: node.kubernetes.io/instance-type
    operator: NotIn
    values: {{- toYaml . | nindent 6 }}
{{- end }}
{{- end -}}

{{/* The egress rule to the API server. Without ranges it has no `to`: some network plugins do not count the cluster's own nodes into 0.0.0.0/0. */}}
{{- define "xidrill.toApiServer" -}}
{{- $server := .Values.networkPolicy.apiServer -}}
- ports:
    {{- range $server.ports }}
    - { port: {{ int . }}, protocol: TCP }
    {{- end }}
  {{- with $server.cidrs }}
  to:
    {{- range . }}
    - ipBlock: { cidr: {{ . | quote }} }
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "xidrill.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name is fixed: the coordinator finds agents by it. */}}
{{- define "xidrill.selector" -}}
app.kubernetes.io/name: xidrill
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "xidrill.labels" -}}
{{ include "xidrill.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: xidrill
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
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

{{/* Where a program's certificate lies, whoever made it. */}}
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
- {{ .root.Values.tls.agent.serverName }}
{{- else -}}
{{- $service := printf "%s-coordinator" (include "xidrill.fullname" .root) -}}
- {{ $service }}
- {{ $service }}.{{ .root.Release.Namespace }}
- {{ $service }}.{{ .root.Release.Namespace }}.svc
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

{{/* Any term may match: a label that says GPU, or an instance type that has one. */}}
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

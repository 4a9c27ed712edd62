{{- define "secret-injector.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* The name of every object; short enough for a label and a Service. */}}
{{- define "secret-injector.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "secret-injector.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end }}

{{- define "secret-injector.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "secret-injector.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* The Secret with the serving certificate, whoever writes it. */}}
{{- define "secret-injector.certificateSecret" -}}
{{- if eq .Values.certs.mode "existing" -}}
{{- .Values.certs.existingSecret -}}
{{- else -}}
{{- include "secret-injector.fullname" . }}-tls
{{- end -}}
{{- end }}

{{- define "secret-injector.selectorLabels" -}}
app.kubernetes.io/name: {{ include "secret-injector.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "secret-injector.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{ include "secret-injector.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: webhook
app.kubernetes.io/part-of: secret-injector
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The process that keeps the serving certificate. Its pods must not match the selectors of the webhook's. */}}
{{- define "secret-injector.certificatesName" -}}
{{- include "secret-injector.fullname" . }}-certificates
{{- end }}

{{- define "secret-injector.certificatesAccountName" -}}
{{- default (include "secret-injector.certificatesName" .) .Values.certs.process.serviceAccount.name -}}
{{- end }}

{{- define "secret-injector.certificatesSelectorLabels" -}}
app.kubernetes.io/name: {{ include "secret-injector.name" . | trunc 50 | trimSuffix "-" }}-certificates
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "secret-injector.certificatesLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{ include "secret-injector.certificatesSelectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: certificates
app.kubernetes.io/part-of: secret-injector
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of a definition of ours, and its annotations: kept on uninstall when asked to. */}}
{{- define "secret-injector.crdMetadata" -}}
labels:
  {{- include "secret-injector.labels" . | nindent 2 }}
{{- $annotations := dict }}
{{- if .Values.crds.keep }}
{{- $_ := set $annotations "helm.sh/resource-policy" "keep" }}
{{- end }}
{{- with merge $annotations .Values.crds.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

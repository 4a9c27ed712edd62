{{/* Variables of the webhook's process, without their prefix: see webhook/settings.py for what they mean. */}}
{{- define "secret-injector.settings" -}}
{{- $name := include "secret-injector.fullname" . -}}
PORT: {{ .Values.webhook.port }}
HEALTH_PORT: {{ .Values.webhook.healthPort }}
METRICS_PORT: {{ .Values.metrics.port }}
LOG_LEVEL: {{ .Values.webhook.logLevel }}
# The answer must come before the API server stops waiting.
REQUEST_TIMEOUT_S: {{ subf .Values.webhook.timeoutSeconds 0.5 }}
{{- if eq .Values.certs.mode "self-signed" }}
SERVICE: {{ $name }}
TLS_SECRET: {{ include "secret-injector.certificateSecret" . }}
MUTATING_CONFIGURATION: {{ $name }}
VALIDATING_CONFIGURATION: {{ $name }}
CERTIFICATE_LIFE_S: {{ mul (.Values.certs.duration | trimSuffix "h" | int) 3600 }}
{{- else }}
TLS_CERT: /etc/secret-injector/tls/tls.crt
TLS_KEY: /etc/secret-injector/tls/tls.key
{{- end }}
LEASE: {{ $name }}
INJECTED_IMAGE: {{ include "secret-injector.injectedImage" . }}
INJECTED_IMAGE_PULL_POLICY: {{ default .Values.image.pullPolicy .Values.injected.image.pullPolicy }}
INJECTED_RESOURCES: {{ .Values.injected.resources | toJson | squote }}
{{- end }}

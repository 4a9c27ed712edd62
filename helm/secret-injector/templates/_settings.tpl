{{/* Variables of the webhook's process without their prefix; webhook/settings.py says what they mean. Large numbers stand in quotes, or they would come out as 7.776e+06. */}}
{{- define "secret-injector.settings" -}}
{{- $name := include "secret-injector.fullname" . -}}
PORT: {{ .Values.webhook.port }}
HEALTH_PORT: {{ .Values.webhook.healthPort }}
METRICS_PORT: {{ .Values.metrics.port }}
LOG_LEVEL: {{ .Values.webhook.logLevel }}
# The answer must come before the API server stops waiting.
REQUEST_TIMEOUT_S: {{ subf .Values.webhook.timeoutSeconds 0.5 }}
SERVICE: {{ $name }}
LEASE: {{ $name }}
MUTATING_CONFIGURATION: {{ $name }}
VALIDATING_CONFIGURATION: {{ $name }}
{{- with .Values.webhook.apiServerCIDRs }}
API_SERVER_CIDRS: {{ join "," . | quote }}
{{- end }}
{{- if include "secret-injector.hasClientCA" . }}
CLIENT_CA: /etc/secret-injector/client-ca/{{ .Values.webhook.clientCA.key }}
CLIENT_NAMES: {{ join "," .Values.webhook.clientCA.allowedNames | quote }}
CLIENT_MODE: {{ .Values.webhook.clientCA.mode }}
{{- end }}
{{- if eq .Values.certs.mode "self-signed" }}
TLS_SECRET: {{ include "secret-injector.certificateSecret" . }}
{{- else }}
TLS_CERT: /etc/secret-injector/tls/tls.crt
TLS_KEY: /etc/secret-injector/tls/tls.key
{{- end }}
IMAGE: {{ include "secret-injector.injectedImage" . | quote }}
{{- with include "secret-injector.previousImages" . | fromYamlArray }}
PREVIOUS_IMAGES: {{ join " " . | quote }}
{{- end }}
{{- with .Values.guard.images }}
LISTED_IMAGES: {{ join " " . | quote }}
{{- end }}
{{- if not (has "Deny" .Values.guard.actions) }}
FINAL_STATE: warn
{{- end }}
PULL_POLICY: {{ default .Values.image.pullPolicy .Values.injected.image.pullPolicy }}
{{- with .Values.injected }}
CPU_REQUEST: {{ .resources.requests.cpu | default "" | quote }}
CPU_LIMIT: {{ .resources.limits.cpu | default "" | quote }}
MEMORY_REQUEST: {{ .resources.requests.memory | default "" | quote }}
MEMORY_LIMIT: {{ .resources.limits.memory | default "" | quote }}
STORAGE_REQUEST: {{ index .resources.requests "ephemeral-storage" | default "" | quote }}
STORAGE_LIMIT: {{ index .resources.limits "ephemeral-storage" | default "" | quote }}
MIN_CPU: {{ .minAllowed.cpu | default "" | quote }}
MIN_MEMORY: {{ .minAllowed.memory | default "" | quote }}
MAX_CPU: {{ .maxAllowed.cpu | default "" | quote }}
MAX_MEMORY: {{ .maxAllowed.memory | default "" | quote }}
MAX_STORAGE: {{ index .maxAllowed "ephemeral-storage" | default "" | quote }}
{{- with .skippedContainers }}
SKIPPED_CONTAINERS: {{ toJson . | quote }}
{{- end }}
NATIVE_ENV: {{ .nativeEnv }}
RUN_AS_USER: {{ .runAsUser | toString | quote }}
{{- with .imagePullSecrets }}
PULL_SECRETS: {{ toJson . | quote }}
{{- end }}
FETCH_LOG_LEVEL: {{ .logLevel }}
FETCH_DEADLINE_S: {{ .deadlineSeconds }}
MAX_DEADLINE_S: {{ .maxDeadlineSeconds | quote }}
{{- end }}
{{- end }}

{{/* Variables of the certificates process without their prefix; webhook/rotation.py says what they mean. */}}
{{- define "secret-injector.certificatesSettings" -}}
{{- $name := include "secret-injector.fullname" . -}}
LOG_LEVEL: {{ .Values.webhook.logLevel }}
SERVICE: {{ $name }}
LEASE: {{ include "secret-injector.certificatesName" . }}
MUTATING_CONFIGURATION: {{ $name }}
VALIDATING_CONFIGURATION: {{ $name }}
TLS_SECRET: {{ include "secret-injector.certificateSecret" . }}
CERTIFICATE_LIFE_S: {{ mul (.Values.certs.duration | trimSuffix "h" | int) 3600 | quote }}
{{- end }}

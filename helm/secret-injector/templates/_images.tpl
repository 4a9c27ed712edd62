{{/* REGISTRY/REPOSITORY of {image, root}, without tag and digest. */}}
{{- define "secret-injector.repository" -}}
{{- $registry := default .root.Values.global.imageRegistry .image.registry -}}
{{- if $registry }}{{ $registry }}/{{ end }}{{ .image.repository -}}
{{- end }}

{{/* The whole name of {image, root}; a digest wins over a tag. */}}
{{- define "secret-injector.imageName" -}}
{{- include "secret-injector.repository" . -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ default .root.Chart.AppVersion .image.tag }}{{ end -}}
{{- end }}

{{- define "secret-injector.image" -}}
{{- include "secret-injector.imageName" (dict "image" .Values.image "root" .) -}}
{{- end }}

{{/* What `injected.image` leaves empty comes from `image`; its tag and digest only together with the rest. */}}
{{- define "secret-injector.injectedImageValues" -}}
{{- $own := .Values.injected.image -}}
{{- $image := dict "registry" (default .Values.image.registry $own.registry) "repository" (default .Values.image.repository $own.repository) -}}
{{- $_ := set $image "tag" (default .Values.image.tag $own.tag) -}}
{{- $isOther := or $own.registry $own.repository $own.tag -}}
{{- $_ := set $image "digest" (default (ternary "" .Values.image.digest (not (empty $isOther))) $own.digest) -}}
{{- toYaml $image -}}
{{- end }}

{{- define "secret-injector.injectedImage" -}}
{{- include "secret-injector.imageName" (dict "image" (include "secret-injector.injectedImageValues" . | fromYaml) "root" .) -}}
{{- end }}

{{- define "secret-injector.injectedRepository" -}}
{{- include "secret-injector.repository" (dict "image" (include "secret-injector.injectedImageValues" . | fromYaml) "root" .) -}}
{{- end }}

{{- define "secret-injector.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat .Values.global.imagePullSecrets .Values.imagePullSecrets -}}
{{- $secrets = append $secrets (ternary . (dict "name" .) (kindIs "map" .)) -}}
{{- end -}}
{{- with $secrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end }}

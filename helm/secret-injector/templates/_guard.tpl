{{/* CEL: whether the text of a name, such as `mount.name`, is that of a volume of ours. */}}
{{- define "secret-injector.isOurVolume" -}}
({{ . }} in ['secret-injector', 'secret-injector-env', 'secret-injector-sources'] || {{ . }}.startsWith('secret-injector-secret-'))
{{- end }}

{{/* Every image by its exact name: of this release, of the one before, and listed. As a YAML list. */}}
{{- define "secret-injector.exactImages" -}}
{{- $images := list (include "secret-injector.injectedImage" .) -}}
{{- $images = concat $images (include "secret-injector.previousImages" . | fromYamlArray) -}}
{{- range .Values.guard.images -}}
{{- if not (hasSuffix "*" .) -}}
{{- $images = append $images . -}}
{{- end -}}
{{- end -}}
{{- uniq $images | toYaml -}}
{{- end }}

{{/* The image of this release, and those of the one before. As a YAML list. */}}
{{- define "secret-injector.releaseImages" -}}
{{- concat (list (include "secret-injector.injectedImage" .)) (include "secret-injector.previousImages" . | fromYamlArray) | uniq | toYaml -}}
{{- end }}

{{/* The images of the release before: as listed, and on an upgrade what the Deployment says that is there. */}}
{{- define "secret-injector.previousImages" -}}
{{- $own := include "secret-injector.injectedImage" . -}}
{{- $images := .Values.guard.previousImages -}}
{{- $there := lookup "apps/v1" "Deployment" (include "secret-injector.namespace" .) (include "secret-injector.fullname" .) | default dict -}}
{{- range dig "spec" "template" "spec" "containers" list $there -}}
{{- $env := dict -}}
{{- range (default list .env) -}}
{{- $_ := set $env .name (default "" .value) -}}
{{- end -}}
{{- $before := default "" $env.SECRET_INJECTOR_IMAGE -}}
{{- if and $before (ne $before $own) -}}
{{- $images = append $images $before -}}
{{- else if $env.SECRET_INJECTOR_PREVIOUS_IMAGES -}}
{{- /* Only values have changed: the release before is the same as it was. */ -}}
{{- $images = concat $images (splitList " " $env.SECRET_INJECTOR_PREVIOUS_IMAGES) -}}
{{- end -}}
{{- end -}}
{{- without (uniq $images) $own | toYaml -}}
{{- end }}

{{/* CEL: whether an image, such as `container.image`, may be that of our container: {image, root}. */}}
{{- define "secret-injector.isOurImage" -}}
{{- $exact := include "secret-injector.exactImages" .root | fromYamlArray -}}
{{- $digests := list -}}
{{- range concat (list (include "secret-injector.injectedImage" .root)) (include "secret-injector.previousImages" .root | fromYamlArray) -}}
{{- if contains "@" . -}}
{{- $digests = append $digests (printf "@%s" (splitList "@" . | last)) -}}
{{- end -}}
{{- end -}}
{{- $prefixes := list -}}
{{- range .root.Values.guard.images -}}
{{- if hasSuffix "*" . -}}
{{- $prefixes = append $prefixes (trimSuffix "*" .) -}}
{{- end -}}
{{- end -}}
({{ .image }} in {{ include "secret-injector.texts" $exact }}
{{- if and $prefixes $digests }} || ({{ include "secret-injector.texts" $prefixes }}.exists(prefix, {{ .image }}.startsWith(prefix)) && {{ include "secret-injector.texts" (uniq $digests) }}.exists(digest, {{ .image }}.endsWith(digest)))
{{- end -}}
{{- /* Of a release that a rollback has left: see guard-images.yaml. */ -}}
{{- $namespace := include "secret-injector.namespace" .root | squote -}}
{{- $account := printf "%s-images" (include "secret-injector.fullname" .root) | squote }} || authorizer.serviceAccount({{ $namespace }}, {{ $account }}).group('secret-injector.io').resource('images').namespace({{ $namespace }}).name({{ .image }}).check('inject').allowed())
{{- end }}

{{/* CEL: a list of texts; none of them may hold a quote or a backslash, which the schema sees to. */}}
{{- define "secret-injector.texts" -}}
[{{ range $index, $text := . }}{{ if $index }}, {{ end }}'{{ $text }}'{{ end }}]
{{- end }}

{{/* Where a foreign mount would be over what our container runs from: OUR_PATHS of webhook/core/patch.py. */}}
{{- define "secret-injector.ourPaths" -}}
[/app, /bin, /dev, /etc, /lib, /lib64, /proc, /sbin, /secret-injector, /sys, /usr, /var/run/secrets/kubernetes.io/serviceaccount]
{{- end }}

{{/* Which pods ask: the same words in the webhook and in the guard. `inject: "false"` opts out whatever else is there. */}}
{{- define "secret-injector.asks" -}}
has(object.metadata.annotations)
&& object.metadata.annotations.exists(name, name.startsWith('secret-injector.io/'))
&& !('secret-injector.io/inject' in object.metadata.annotations && object.metadata.annotations['secret-injector.io/inject'] == 'false')
{{- end }}

{{/* matchConditions: a person or a pipeline stores what pods are made from. Controllers, whose warnings nobody reads, write status and copies. */}}
{{- define "secret-injector.storedBySomebody" -}}
- name: not-by-a-controller
  expression: |-
    !request.userInfo.username.startsWith('system:serviceaccount:kube-system:')
    && !request.userInfo.username.startsWith('system:node:')
    && request.userInfo.username != 'system:kube-controller-manager'
    && !object.metadata.?ownerReferences.orValue([]).exists(owner, owner.?controller.orValue(false))
    && !has(object.metadata.deletionTimestamp)
- name: pods-change
  expression: |-
    request.operation == 'CREATE' || object.?spec != oldObject.?spec
    || object.metadata.?annotations != oldObject.metadata.?annotations
{{- end }}

{{/* What an annotation is called that was meant as one of ours; webhook/core/lookalikes.py has the same. */}}
{{- define "secret-injector.prefixLike" -}}
^(?:.?.?cret-injector[.]io|s.?.?ret-injector[.]io|se.?.?et-injector[.]io|sec.?.?t-injector[.]io|secr.?.?-injector[.]io|secre.?.?injector[.]io|secret.?.?njector[.]io|secret-.?.?jector[.]io|secret-i.?.?ector[.]io|secret-in.?.?ctor[.]io|secret-inj.?.?tor[.]io|secret-inje.?.?or[.]io|secret-injec.?.?r[.]io|secret-inject.?.?[.]io|secret-injecto.?.?io|secret-injector.?.?o|secret-injector..?.?|[Ss]ecrets?[-_.]?[Ii]nject(?:or|er|ion|ors)?(?:[.](?:io|com|dev|org|net|sh))?)/
{{- end }}

{{/* Which pods are looked at when all is done to them: those that ask, and those that carry our container. */}}
{{- define "secret-injector.asksOrCarries" -}}
({{ include "secret-injector.asks" . }})
|| (has(object.spec.initContainers) && object.spec.initContainers.exists(container, container.name == 'secret-injector'))
{{- end }}

{{- define "secret-injector.excludedNamespaces" -}}
{{- append .Values.webhook.excludedNamespaces (include "secret-injector.namespace" .) | uniq | toYaml -}}
{{- end }}

{{/* "true" when there is a namespace to test in. */}}
{{- define "secret-injector.isTestable" -}}
{{- if and .Values.tests.enabled (not (has .Values.tests.namespace (include "secret-injector.excludedNamespaces" . | fromYamlArray))) }}true{{ end -}}
{{- end }}

{{/* The size of the test pods' containers: `injected.resources` without the figures that are left empty. */}}
{{- define "secret-injector.testResources" -}}
{{- $sizes := dict -}}
{{- range $kind, $figures := .Values.injected.resources -}}
{{- $given := dict -}}
{{- range $name, $figure := $figures -}}
{{- if $figure -}}{{- $_ := set $given $name $figure -}}{{- end -}}
{{- end -}}
{{- $_ := set $sizes $kind $given -}}
{{- end -}}
{{- toYaml $sizes -}}
{{- end }}

{{/* "true" when native variables may be used and can be tested: their API is in Kubernetes 1.35 and newer. */}}
{{- define "secret-injector.isNativeTestable" -}}
{{- $isKnown := semverCompare ">=1.35.0-0" .Capabilities.KubeVersion.Version -}}
{{- if and .Values.tests.enabled $isKnown (ne .Values.injected.nativeEnv "never") }}true{{ end -}}
{{- end }}

{{/* Names of nodes that are too old for native variables, as a list; none with nativeEnv always, which counts on them. */}}
{{- define "secret-injector.nodesWithoutNative" -}}
{{- $names := list -}}
{{- if and (eq .Values.injected.nativeEnv "auto") .Values.rbac.create -}}
{{- range (lookup "v1" "Node" "" "").items -}}
{{- if semverCompare "<1.35.0-0" .status.nodeInfo.kubeletVersion -}}
{{- $names = append $names .metadata.name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $names -}}
{{- end }}

{{/* Where nothing is looked at; the API server sets this label on every namespace and no one can change it. */}}
{{- define "secret-injector.namespaceSelector" -}}
{{- $names := include "secret-injector.excludedNamespaces" . | fromYamlArray -}}
{{- $own := dict "key" "kubernetes.io/metadata.name" "operator" "NotIn" "values" $names -}}
{{- $given := .Values.webhook.namespaceSelector -}}
matchExpressions:
  {{- toYaml (prepend (default list $given.matchExpressions) $own) | nindent 2 }}
{{- with $given.matchLabels }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* In CEL, as conditions to append: webhook.namespaceSelector selects the pod's namespace. */}}
{{- define "secret-injector.isSelected" -}}
{{- $given := .Values.webhook.namespaceSelector -}}
{{- range $key, $value := $given.matchLabels }}
&& namespaceObject.metadata.labels[?{{ $key | squote }}] == optional.of({{ $value | toString | squote }})
{{- end }}
{{- range $given.matchExpressions }}
{{- $has := printf "('%s' in namespaceObject.metadata.labels)" .key }}
{{- $among := printf "namespaceObject.metadata.labels[?'%s'].orValue('') in %s" .key (.values | default list | toJson) }}
{{- if eq .operator "In" }}
&& {{ $has }} && {{ $among }}
{{- else if eq .operator "NotIn" }}
&& !({{ $has }} && {{ $among }})
{{- else if eq .operator "Exists" }}
&& {{ $has }}
{{- else }}
&& !{{ $has }}
{{- end }}
{{- end }}
{{- end }}

{{/* clientConfig of a path: {path, root}. In the self-signed mode the certificates process writes the caBundle, so none stands here. */}}
{{- define "secret-injector.clientConfig" -}}
clientConfig:
  service:
    name: {{ include "secret-injector.fullname" .root }}
    namespace: {{ include "secret-injector.namespace" .root }}
    path: {{ .path }}
    port: 443
  {{- with .root.Values.certs.caBundle }}
  caBundle: {{ . | b64enc }}
  {{- end }}
{{- end }}

{{- define "secret-injector.admissionAnnotations" -}}
{{- $annotations := deepCopy .Values.webhook.annotations -}}
{{- if eq .Values.certs.mode "cert-manager" -}}
{{- $certificate := printf "%s/%s" (include "secret-injector.namespace" .) (include "secret-injector.certificateSecret" .) -}}
{{- $_ := set $annotations "cert-manager.io/inject-ca-from" $certificate -}}
{{- end -}}
{{- with $annotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end }}

{{/* "true" when callers are asked for a certificate. */}}
{{- define "secret-injector.hasClientCA" -}}
{{- if or .Values.webhook.clientCA.bundle .Values.webhook.clientCA.configMap }}true{{ end -}}
{{- end }}

{{/* The ConfigMap with the CA of those certificates. */}}
{{- define "secret-injector.clientCAConfigMap" -}}
{{- default (printf "%s-client-ca" (include "secret-injector.fullname" .)) .Values.webhook.clientCA.configMap -}}
{{- end }}

{{/* "true" when there is a network policy: asked for, or by default where it closes the port. */}}
{{- define "secret-injector.hasNetworkPolicy" -}}
{{- if kindIs "invalid" .Values.networkPolicy.enabled -}}
{{- if and .Values.webhook.apiServerCIDRs (not .Values.webhook.hostNetwork) }}true{{ end -}}
{{- else if .Values.networkPolicy.enabled }}true{{ end -}}
{{- end }}

{{/* "true" when strangers cannot reach the webhook's port, or get no answer there. */}}
{{- define "secret-injector.isClosed" -}}
{{- $byNetwork := and (include "secret-injector.hasNetworkPolicy" .) .Values.webhook.apiServerCIDRs (not .Values.webhook.hostNetwork) -}}
{{- $byCertificate := and (include "secret-injector.hasClientCA" .) (eq .Values.webhook.clientCA.mode "require") -}}
{{- if or $byNetwork $byCertificate }}true{{ end -}}
{{- end }}

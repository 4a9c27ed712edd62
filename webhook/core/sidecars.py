"""Containers that other injectors add to a pod: by default they are not served.

Meshes, CI systems and agents put containers beside the owner's. They need none of the owner's
secrets, run as users of their own, and often have no command. A container counts as one of theirs
when its name and the repository of its image both match a row; whoever names containers of their
own so can list them in the annotation `containers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from injector.core import budget
from webhook.core import pod as pods
from webhook.core.globs import any_matches

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
"""Its owner says which container is theirs: that one is served, whatever it is called."""

MAX_IMAGE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """A kind of container: whose it is, patterns for its name and for its image's repository.

    A repository pattern matches from the start of the repository or of one of its segments.
    """

    owner: str
    names: tuple[str, ...]
    images: tuple[str, ...]


def _row(owner: str, names: str, images: str) -> Sidecar:
    return Sidecar(owner=owner, names=tuple(names.split()), images=tuple(images.split()))


KNOWN = (
    _row("Istio", "istio-proxy istio-init istio-validation enable-core-dump", "*proxyv2*"),
    _row(
        "Linkerd",
        "linkerd-proxy linkerd-init linkerd-network-validator",
        "linkerd/* *linkerd-proxy* proxy proxy-init",
    ),
    _row(
        "Consul",
        "consul-dataplane consul-connect-inject-init envoy-sidecar",
        "*consul-dataplane* *consul-k8s* envoyproxy/*",
    ),
    _row("Kuma", "kuma-sidecar kuma-init kuma-validation", "kuma-dp* kuma-init*"),
    _row("AWS App Mesh", "envoy proxyinit", "aws-appmesh-*"),
    _row("Open Service Mesh", "envoy osm-init", "envoyproxy/* openservicemesh/*"),
    _row("NGINX Service Mesh", "nginx-mesh-sidecar nginx-mesh-init", "nginx-mesh-*"),
    _row("Dapr", "daprd", "daprd* dapr dapr/*"),
    _row("Knative", "queue-proxy", "queue* knative.dev/serving/cmd/queue*"),
    _row("KServe", "storage-initializer agent", "kserve/*"),
    _row(
        "Cloud SQL",
        "cloud-sql-proxy cloudsql-proxy csql-*",
        "cloud-sql-proxy* cloud-sql-connectors/* gce-proxy* cloudsql-docker/*",
    ),
    _row("GKE", "gke-gcsfuse-sidecar gke-gcsfuse-metadata-prefetch", "gcs-fuse-csi-driver-*"),
    _row("Azure Workload Identity", "azwi-proxy azwi-proxy-init", "*workload-identity/proxy*"),
    _row("Argo Workflows", "wait init", "argoexec*"),
    _row(
        "Tekton",
        "prepare place-scripts working-dir-initializer sidecar-tekton-log-results tekton-*",
        "entrypoint* workingdirinit* sidecarlogresults* tektoncd/* tekton-releases/*",
    ),
    _row("GitLab Runner", "helper init-permissions", "gitlab-runner-helper*"),
    _row(
        "Datadog",
        "datadog-agent datadog-agent-injected datadog-init-* datadog-lib-*",
        "agent datadog/* *dd-lib-* datadog-agent*",
    ),
    _row(
        "OpenTelemetry",
        "otc-container opentelemetry-auto-instrumentation*",
        "*opentelemetry-* otel/* autoinstrumentation-* opentelemetry-operator/*",
    ),
    _row("Jaeger", "jaeger-agent", "jaeger-agent*"),
    _row(
        "AWS Distro for OpenTelemetry",
        "aws-otel-collector xray-daemon",
        "aws-otel-collector* aws-xray-daemon*",
    ),
    _row("New Relic", "newrelic-instrumentation-*", "newrelic/*"),
    _row("Dynatrace", "install-oneagent dynatrace-operator", "dynatrace/* dynatrace-*"),
    _row("Instana", "instana-instrumentation-*", "instana/*"),
    _row("Vault Agent Injector", "vault-agent vault-agent-init", "vault vault-enterprise openbao"),
    _row("Bank-Vaults", "copy-vault-env vault-agent", "vault-env* vault"),
    _row("Conjur", "secretless secrets-provider-for-k8s", "cyberark/*"),
    _row("Telepresence", "traffic-agent tel-agent-init", "tel2* ambassador-telepresence-agent*"),
    _row("Prisma Cloud", "twistlock-defender*", "twistlock/* defender*"),
    _row("Aqua", "aqua-enforcer* aqua-microenforcer*", "aquasec/* microenforcer*"),
    _row("Teleport", "teleport", "teleport-distroless* teleport"),
    _row("Spire", "spiffe-helper", "spiffe-helper*"),
    _row("SPIFFE CSI", "spiffe-csi-driver", "spiffe-csi-driver*"),
    _row("Fluent Bit", "fluent-bit-sidecar-injected", "fluent-bit*"),
)

# Nearly every container has none of these names, and finds that out at once.
_BY_NAME = {
    name: tuple(row for row in KNOWN if name in row.names)
    for name in {name for row in KNOWN for name in row.names}
}
_BY_PREFIX = tuple(
    (name.removesuffix("*"), row) for row in KNOWN for name in row.names if name.endswith("*")
)
_PREFIXES = tuple(prefix for prefix, _ in _BY_PREFIX)


def skipped(pod: Mapping[str, Any], more: Sequence[Sidecar] = ()) -> dict[str, str]:
    """Return the pod's containers that others added: name → whose it is."""
    own = pods.annotations_of(pod).get(DEFAULT_CONTAINER)
    found = {}
    for raw in pods.raw_containers(pod):
        budget.spend()
        name = str(raw.get("name") or "")
        owner = _owner(name, raw, more)
        if owner and name != own:
            found[name] = owner
    return found


def _owner(name: str, raw: Mapping[str, Any], more: Sequence[Sidecar]) -> str:
    if not (more or name in _BY_NAME or name.startswith(_PREFIXES)):
        return ""
    rows = [row for row in more if any_matches(name, row.names)]
    rows += _BY_NAME.get(name, ())
    rows += [row for prefix, row in _BY_PREFIX if name.startswith(prefix)]
    if not rows:
        return ""
    budget.spend(len(rows))
    repository = repository_of(str(raw.get("image") or ""))
    segments = repository.split("/")
    starts = ["/".join(segments[index:]) for index in range(min(len(segments), 16))]
    for row in rows:
        if any(any_matches(start, row.images) for start in starts):
            return row.owner
    return ""


def repository_of(image: str) -> str:
    """Return an image's repository with its registry, without tag and digest."""
    name = image[:MAX_IMAGE].partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"

"""`doctor --cluster`: prove on each node, by a pod, that native variables reach a process.

A kubelet with the feature gate EnvFiles switched off starts a container with an empty variable and
says nothing, so versions prove nothing. Each pod writes a file, reads it as a variable by
`fileKeyRef`, and says by its exit status what it found. The pods need no webhook, pass the
restricted profile of pod security, and are deleted at the end, on Ctrl-C too; should this process
be killed, the pods end by themselves, and the next run deletes them.

RBAC of the person: list nodes and deployments; create, list and delete pods in one namespace.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from injector import kubeconfig
from injector.commands.doctor_options import Wanted
from injector.connection import Unanswered
from injector.core import errors, native_env
from injector.core.errors import FetchFailed, Problem, Refused
from injector.core.native_env import DELIVERED, EMPTY, SKIPPED, UNKNOWN, Proof
from injector.core.record import Record
from injector.writers import api_server
from injector.writers.api_refusal import ApiRefusal
from injector.writers.api_server import ApiServer

MAX_NODES = 50
"""Pods that are made in one run."""

NAME = "secret-injector-doctor"
_NAME_LABEL, _RUN_LABEL = "app.kubernetes.io/name", "app.kubernetes.io/instance"
_WEBHOOKS = "app.kubernetes.io/part-of=secret-injector,app.kubernetes.io/component=webhook"
_POLL_S = 0.5
_CLEANINGS = 10
_PAGE = "500"
_DEADLINE_S = 300
_LEFT_AFTER = timedelta(seconds=2 * _DEADLINE_S)
_FOUND_EMPTY = 3
_INVALID = 422
_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_VIRTUAL = ("virtual-kubelet.io/provider",)
_PYTHON = ["/usr/bin/python", "-I", "-S", "-c"]
_WRITE = 'open("/probe/env", "w").write("SECRET_INJECTOR_PROBE=\'delivered\'\\n")'
_READ = (
    'import os, sys; found = os.environ.get("SECRET_INJECTOR_PROBE");'
    f' sys.exit(0 if found == "delivered" else {_FOUND_EMPTY})'
)


class Release(Record):
    """A webhook of the cluster: where it is, its `injected.nativeEnv`, and the image it runs."""

    namespace: str
    name: str
    setting: str
    image: str
    pull_policy: str
    pull_secrets: tuple[str, ...]


class Report(Record):
    """What was proved, of which releases, and what nobody could prove or must be changed."""

    proofs: tuple[Proof, ...]
    releases: tuple[Release, ...]
    problems: tuple[Problem, ...]

    @property
    def advice(self) -> str:
        """The value for `injected.nativeEnv`, or "" when nothing was proved."""
        return native_env.advice(self.proofs)


def prove(wanted: Wanted, tell: Callable[[str], None]) -> Report:
    """Return what pods showed. `tell` gets what is going on.

    Raises Refused or FetchFailed where the cluster cannot be asked at all.
    """
    chosen = kubeconfig.chosen(wanted.kubeconfig, wanted.context)
    server = api_server.connect(chosen)
    try:
        releases = _releases(server)
        image = _image(wanted, releases)
        namespace = wanted.namespace or (
            chosen.namespace if wanted.image or not releases else releases[0].namespace
        )
        nodes, skipped = _nodes(server, wanted.nodes)
        if not nodes:
            raise _refused("no node can be looked at", hint="--node NAME names one")
        tell(f"making a pod on each of {len(nodes)} nodes, in the namespace {namespace}")
        shown = _Run(server, namespace, image).shown(nodes, wanted.timeout_s)
    finally:
        server.close()
    proofs = (*shown, *skipped)
    return Report(
        proofs=proofs, releases=releases, problems=(*_unproved(shown), *_unsafe(releases, proofs))
    )


class _Image(Record):
    name: str
    pull_policy: str
    pull_secrets: tuple[str, ...]


class _Node(Record):
    name: str
    kubelet: str
    tolerations: tuple[Mapping[str, str], ...]


class _Run:
    """The pods of one run, all of one label; none is left when `shown` returns or raises."""

    def __init__(self, server: ApiServer, namespace: str, image: _Image) -> None:
        self._server, self._namespace, self._image = server, namespace, image
        self._id = secrets.token_hex(4)
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._labels = f"{_NAME_LABEL}={NAME},{_RUN_LABEL}={self._id}"

    def shown(self, nodes: Sequence[_Node], timeout_s: float) -> list[Proof]:
        """Return what each node's pod showed within the time."""
        self._delete_leftovers()
        until = time.monotonic() + timeout_s
        by_name = {f"{NAME}-{self._id}-{number}": node for number, node in enumerate(nodes)}
        proofs: dict[str, Proof] = {}
        try:
            for name, node in by_name.items():
                if not self._create(name, node):
                    return [_proof(node, EMPTY, "the API server does not know fileKeyRef")]
            while len(proofs) < len(by_name):
                is_late = time.monotonic() > until
                for name, pod in self._pods().items():
                    node = by_name[name]
                    proof = _judged(pod, node) or (_late(pod, node, timeout_s) if is_late else None)
                    if proof is not None:
                        proofs[name] = proof
                if is_late:
                    break
                time.sleep(_POLL_S if len(proofs) < len(by_name) else 0)
        finally:
            self._clean()
        gone = "its pod was deleted by somebody else"
        return [proofs.get(name, _proof(node, UNKNOWN, gone)) for name, node in by_name.items()]

    def _create(self, name: str, node: _Node) -> bool:
        """Make the pod; say whether the API server knows how it wants its variable."""
        manifest = _manifest(name, self._id, node, self._image)
        try:
            _ask(self._server, "POST", self._path, "create pods", self._namespace, body=manifest)
        except _Invalid as invalid:
            (checker,) = manifest["spec"]["containers"]
            del checker["env"]
            query = {"dryRun": "All"}
            try:
                self._server.ask("POST", self._path, query=query, body=manifest)
            except (ApiRefusal, Unanswered):
                raise invalid.refused from None
            return False
        return True

    def _pods(self) -> dict[str, Mapping[str, Any]]:
        query = {"labelSelector": self._labels, "limit": _PAGE}
        found = _ask(self._server, "GET", self._path, "list pods", self._namespace, query=query)
        return {str(item["metadata"]["name"]): item for item in found.get("items") or ()}

    def _delete_leftovers(self) -> None:
        """Delete pods of earlier runs that nobody was left to delete; they ended long ago."""
        query = {"labelSelector": f"{_NAME_LABEL}={NAME}", "limit": _PAGE}
        found = _ask(self._server, "GET", self._path, "list pods", self._namespace, query=query)
        for item in found.get("items") or ():
            made = datetime.fromisoformat(str(item["metadata"]["creationTimestamp"]))
            if datetime.now(UTC) - made > _LEFT_AFTER:
                self._delete(str(item["metadata"]["name"]))

    def _clean(self) -> None:
        """Delete the pods; one whose creation was under way when we were stopped may come late."""
        for _ in range(_CLEANINGS):
            try:
                names = self._pods()
            except (Refused, FetchFailed):
                names = {}
            if not names:
                return
            for name in names:
                self._delete(name)
            time.sleep(_POLL_S / 5)

    def _delete(self, name: str) -> None:
        # It may be gone already; otherwise the next cleaning tries again.
        with contextlib.suppress(ApiRefusal, Unanswered):
            self._server.ask("DELETE", f"{self._path}/{name}", body={"gracePeriodSeconds": 0})


def _manifest(name: str, run: str, node: _Node, image: _Image) -> dict[str, Any]:
    """Return the pod: it writes a file, and reads it as a variable."""
    key = "SECRET_INJECTOR_PROBE"
    size = {"cpu": "50m", "memory": "64Mi"}
    common = {
        "image": image.name,
        "imagePullPolicy": image.pull_policy,
        "resources": {"requests": size, "limits": size},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    mount = {"name": "probe", "mountPath": "/probe"}
    ref = {"volumeName": "probe", "path": "env", "key": key, "optional": True}
    here = {"key": "metadata.name", "operator": "In", "values": [node.name]}
    required = {"nodeSelectorTerms": [{"matchFields": [here]}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            # Sidecars of meshes would only be in the way.
            "labels": {_NAME_LABEL: NAME, _RUN_LABEL: run, "sidecar.istio.io/inject": "false"},
            "annotations": {"linkerd.io/inject": "disabled"},
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _DEADLINE_S,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "imagePullSecrets": [{"name": each} for each in image.pull_secrets],
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}
            },
            "tolerations": list(node.tolerations),
            "initContainers": [
                {"name": "write", "command": [*_PYTHON, _WRITE], "volumeMounts": [mount], **common}
            ],
            "containers": [
                {
                    "name": "read",
                    "command": [*_PYTHON, _READ],
                    "env": [{"name": key, "valueFrom": {"fileKeyRef": ref}}],
                    **common,
                }
            ],
            "volumes": [{"name": "probe", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
        },
    }


def _judged(pod: Mapping[str, Any], node: _Node) -> Proof | None:
    """Return what the pod showed, or None while it is at it."""
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated")
        if ended:
            match ended.get("exitCode"):
                case 0:
                    return _proof(node, DELIVERED)
                case code if code == _FOUND_EMPTY:
                    return _proof(node, EMPTY, _why_empty(node))
                case code:
                    return _proof(node, UNKNOWN, f"the pod's check ended with status {code}")
    if status.get("phase") == "Failed":
        return _proof(node, UNKNOWN, _reason(status) or "the pod failed")
    return None


def _late(pod: Mapping[str, Any], node: _Node, timeout_s: float) -> Proof:
    why = _reason(pod.get("status") or {})
    note = f"the pod did not end within {timeout_s:g} s" + (f": {why}" if why else "")
    return _proof(node, UNKNOWN, note)


def _reason(status: Mapping[str, Any]) -> str:
    """Return the first thing that Kubernetes says about why a pod does not go on."""
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            state = container.get("state") or {}
            waiting = (state.get("waiting") or {}).get("reason")
            if waiting and waiting != "PodInitializing":
                return str(waiting)
            code = (state.get("terminated") or {}).get("exitCode")
            if code:
                return f"its container {container.get('name')} ended with status {code}"
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("message") or condition.get("reason") or "")
    return str(status.get("message") or status.get("reason") or "")


def _why_empty(node: _Node) -> str:
    if native_env.is_capable(node.kubelet):
        return "its kubelet has the feature gate EnvFiles switched off"
    oldest = ".".join(map(str, native_env.NATIVE_FROM))
    return f"its kubelet is older than {oldest}, which auto knows"


def _proof(node: _Node, result: str, note: str = "") -> Proof:
    return Proof(node=node.name, kubelet=node.kubelet, result=result, note=note)


def _releases(server: ApiServer) -> tuple[Release, ...]:
    """Return the webhooks of the cluster."""
    path = "/apis/apps/v1/deployments"
    query = {"labelSelector": _WEBHOOKS, "limit": _PAGE}
    found = _ask(server, "GET", path, "list deployments", "", query=query)
    return tuple(_release(item) for item in found.get("items") or ())


def _release(item: Mapping[str, Any]) -> Release:
    spec = item["spec"]["template"]["spec"]
    (container, *_) = spec["containers"]
    env = {entry["name"]: str(entry.get("value") or "") for entry in container.get("env") or ()}
    return Release(
        namespace=str(item["metadata"]["namespace"]),
        name=str(item["metadata"]["name"]),
        setting=env.get("SECRET_INJECTOR_NATIVE_ENV") or native_env.AUTO,
        image=str(container["image"]),
        pull_policy=str(container.get("imagePullPolicy") or "IfNotPresent"),
        pull_secrets=tuple(str(each["name"]) for each in spec.get("imagePullSecrets") or ()),
    )


def _image(wanted: Wanted, releases: Sequence[Release]) -> _Image:
    if wanted.image:
        return _Image(name=wanted.image, pull_policy="IfNotPresent", pull_secrets=())
    if not releases:
        what = "no release of secret-injector is in the cluster"
        raise _refused(what, hint="--image NAME names its image where there is none yet")
    first = releases[0]
    is_at_home = wanted.namespace in (None, first.namespace)
    return _Image(
        name=first.image,
        pull_policy=first.pull_policy,
        pull_secrets=first.pull_secrets if is_at_home else (),
    )


def _nodes(server: ApiServer, names: Sequence[str]) -> tuple[list[_Node], list[Proof]]:
    """Return the nodes to look at, and those that are not, with the reason."""
    found = _ask(server, "GET", "/api/v1/nodes", "list nodes", "", query={"limit": "5000"})
    items = {str(item["metadata"]["name"]): item for item in found.get("items") or ()}
    if absent := [name for name in names if name not in items]:
        hint = errors.did_you_mean(absent[0], items) or "kubectl get nodes lists them"
        raise _refused(f"there is no node {', '.join(absent)}", hint=hint)
    nodes: list[_Node] = []
    skipped: list[Proof] = []
    for name in names or items:
        node = _node(name, items[name])
        why = _unfit(items[name], is_named=bool(names))
        if not why and len(nodes) == MAX_NODES:
            why = f"{MAX_NODES} are looked at in one run; --node {name} names this one"
        if why:
            skipped.append(_proof(node, SKIPPED, why))
        else:
            nodes.append(node)
    return nodes, skipped


def _node(name: str, item: Mapping[str, Any]) -> _Node:
    taints = (item.get("spec") or {}).get("taints") or ()
    info = (item.get("status") or {}).get("nodeInfo") or {}
    return _Node(
        name=name,
        kubelet=str(info.get("kubeletVersion") or ""),
        tolerations=tuple(
            {"key": str(taint.get("key")), "operator": "Exists", "effect": str(taint.get("effect"))}
            for taint in taints
        ),
    )


def _unfit(item: Mapping[str, Any], *, is_named: bool) -> str:
    """Return why no pod is made on a node; who names a control plane means it."""
    spec, labels = item.get("spec") or {}, item["metadata"].get("labels") or {}
    conditions = (item.get("status") or {}).get("conditions") or ()
    taints = {str(taint.get("key")) for taint in spec.get("taints") or ()}
    if spec.get("unschedulable"):
        return "cordoned"
    if labels.get("kubernetes.io/os") == "windows":
        return "Windows: no pod is injected there"
    if labels.get("type") == "virtual-kubelet" or taints.intersection(_VIRTUAL):
        return "a virtual node"
    if not any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions):
        return "not Ready"
    if not is_named and taints.intersection(_CONTROL_PLANE):
        return "a control plane; --node names it"
    return ""


def _unproved(proofs: Iterable[Proof]) -> list[Problem]:
    return [
        Problem(
            code=errors.DEADLINE,
            what=errors.shortened(proof.note, errors.MAX_NAME),
            source=f"node {proof.node}",
            hint="see to what keeps pods of that node, then run doctor --cluster again",
        )
        for proof in proofs
        if proof.result == UNKNOWN
    ]


def _unsafe(releases: Iterable[Release], proofs: Sequence[Proof]) -> list[Problem]:
    """Return a problem for each release whose setting leaves variables empty."""
    setting = native_env.advice(proofs)
    empty = ", ".join(proof.node for proof in proofs if proof.result == EMPTY)
    return [
        Problem(
            code=errors.NATIVE_EMPTY,
            what=f"injected.nativeEnv is {release.setting}, and variables stay empty on {empty}",
            source=f"release {release.namespace}/{release.name}",
            hint=f"set injected.nativeEnv: {setting} in the chart",
        )
        for release in releases
        if not native_env.is_safe(release.setting, proofs)
    ]


class _Invalid(Exception):
    """The API server finds an object wrong; `refused` says so to people."""

    def __init__(self, refused: FetchFailed) -> None:
        self.refused = refused
        super().__init__(str(refused))


def _ask(
    server: ApiServer,
    method: str,
    path: str,
    action: str,
    namespace: str,
    *,
    query: Mapping[str, str] = {},
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the answer; `action` is what kubectl auth can-i is asked. Raises FetchFailed."""
    try:
        return server.ask(method, path, query=query, body=body)
    except Unanswered as unanswered:
        raise FetchFailed([unanswered.failure.problem("the API server")]) from None
    except ApiRefusal as refusal:
        place = f" -n {namespace}" if namespace else " --all-namespaces"
        code = {401: errors.UNAUTHENTICATED, 403: errors.FORBIDDEN}.get(
            refusal.status, errors.DOWN if refusal.status >= 500 else errors.CONTENT
        )
        wrong = f": {', '.join(refusal.fields)}" if refusal.fields else ""
        problem = Problem(
            code=code,
            what=f"the API server answers {refusal.status} to {action}{wrong}",
            source=f"the API server {path}",
            hint=f"kubectl auth can-i {action}{place}; if it says yes, a quota, a limit range or an"
            " admission controller refused it, and -n names another namespace",
        )
        failed = FetchFailed([problem])
        if refusal.status == _INVALID:
            raise _Invalid(failed) from None
        raise failed from None


def _refused(what: str, *, hint: str) -> Refused:
    return Refused([Problem(code=errors.ARGUMENT, what=what, hint=hint)])

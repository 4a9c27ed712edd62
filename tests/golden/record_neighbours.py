"""Record pods as other injectors make them: `python -m tests.golden.record_neighbours`.

The programs are the real ones, built from Go modules of pinned versions into the cache of the
end-to-end tests: `istioctl kube-inject` with the charts' own template, and Kyverno's `apply`. Each
case is made twice: `-before` changes the pod of the shop, as a webhook that is called before ours
does, and `-after` changes the pod that is injected already, which then comes to us once more.
Nothing of this runs in a test or in CI: the pods are committed, and are those of their time. What
we make of them is written by `make golden`.
"""

from __future__ import annotations

import copy
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.testbed import build, cache
from tests.e2e.testbed.process import run
from tests.e2e.testbed.programs import Build
from tests.golden.test_golden import IMAGE
from webhook.core import decide, jsonpatch, review
from webhook.core.catalog import Catalog
from webhook.settings import Settings

HERE = Path(__file__).parent
ISTIO = "v0.0.0-20260827124520-eed52ebb66ad"
KYVERNO = "v1.19.1"
KYVERNO_PSA = "v0.0.0-20251031094455-46f20778634f"

Pod = dict[str, Any]

SHOP = """\
apiVersion: v1
kind: Pod
metadata:
  name: shop
  namespace: shop
  labels: {app: shop}
  annotations:
    secret-injector.io/env: |
      DB_PASSWORD: "#{vault:secret/db#password}"
    secret-injector.io/files.worker: |
      token: "#{k8s:api#token}"
spec:
  initContainers:
    - {name: setup, image: "registry.example/setup:1", command: [/setup]}
  containers:
    - name: app
      image: registry.example/app:1
      command: [/app/server]
      env: [{name: MODE, value: prod}]
      ports: [{containerPort: 8080}]
      readinessProbe: {httpGet: {path: /ready, port: 8080}}
      livenessProbe: {exec: {command: [/app/alive]}}
      securityContext: {runAsUser: 1000}
    - name: worker
      image: registry.example/worker:1
      command: [/worker]
      securityContext: {runAsUser: 1000}
"""

STORES = """\
apiVersion: secret-injector.io/v1alpha1
kind: ClusterSecretStore
metadata: {name: vault}
spec: {vault: {address: "https://vault.example:8200", auth: {kubernetes: {role: app}}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Istio:
    """A way to install Istio, and what a pod says to it."""

    name: str
    settings: tuple[str, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict)


ISTIOS = (
    Istio(name="istio-sidecar", annotations={"sidecar.istio.io/nativeSidecar": "false"}),
    Istio(name="istio-native-sidecar", annotations={"sidecar.istio.io/nativeSidecar": "true"}),
    Istio(
        name="istio-cni",
        settings=("components.cni.enabled=true",),
        annotations={"sidecar.istio.io/nativeSidecar": "false"},
    ),
    Istio(
        name="istio-holds-the-application",
        settings=("values.global.proxy.holdApplicationUntilProxyStarts=true",),
        annotations={"sidecar.istio.io/nativeSidecar": "false"},
    ),
)


def _prepare(requirements: str, package: str) -> Callable[[Path], None]:
    """Return what writes a module that holds a program's package in its requirements."""

    def prepare(folder: Path) -> None:
        (folder / "go.mod").write_text(f"module recorded\ngo 1.26.6\n{requirements}\n")
        imports = f'import _ "{package}"'
        (folder / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\n{imports}\n")

    return prepare


_ISTIOCTL = "istio.io/istio/istioctl/cmd/istioctl"
_KYVERNO_CLI = "github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno"
_PSA = "pod-security-admission"
PROGRAMS = (
    Build(
        name="istio",
        version=ISTIO,
        packages=(_ISTIOCTL,),
        prepare=_prepare(f"require istio.io/istio {ISTIO}", _ISTIOCTL),
    ),
    Build(
        name="kyverno",
        version=KYVERNO,
        packages=(_KYVERNO_CLI,),
        prepare=_prepare(
            f"require github.com/kyverno/kyverno {KYVERNO}\n"
            f"replace k8s.io/{_PSA} => github.com/kyverno/{_PSA} {KYVERNO_PSA}",
            _KYVERNO_CLI,
        ),
    ),
)
"""Two cores take four minutes for Istio's and ten for Kyverno's."""


def injected(pod: Pod) -> Pod:
    """Return the pod as we make it."""
    request = {
        "uid": "b0a4d9c3-6f0e-4c5e-9d55-0d6a4d1f0c11",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": "shop",
        "object": pod,
    }
    body = {"apiVersion": review.API_VERSION, "kind": "AdmissionReview", "request": request}
    parsed = review.parse(json.dumps(body).encode())
    outcome = decide.decide(
        parsed, Catalog.of([yaml.safe_load(STORES)]), Settings(image=IMAGE).injection()
    )
    return dict(jsonpatch.apply(pod, outcome.operations))


def through_istio(pod: Pod, istio: Istio, work: Path) -> Pod:
    """Return what Istio's injector makes of a pod: its template, mesh and values by default."""
    flags = [f"--set={each}" for each in istio.settings]
    rendered = _run("istioctl", "manifest", "generate", *flags)
    found = {
        (item["kind"], item["metadata"]["name"]): item
        for item in yaml.safe_load_all(rendered)
        if item
    }
    injector = found["ConfigMap", "istio-sidecar-injector"]["data"]
    mesh = found["ConfigMap", "istio"]["data"]["mesh"]
    for name, text in (("config", injector["config"]), ("values", injector["values"])):
        (work / name).write_text(text)
    (work / "mesh").write_text(mesh)
    given = copy.deepcopy(pod)
    given["metadata"]["annotations"] |= istio.annotations
    (work / "pod.yaml").write_text(yaml.safe_dump(given))
    made = _run(
        *("istioctl", "kube-inject", "--revision=default", f"--filename={work / 'pod.yaml'}"),
        f"--injectConfigFile={work / 'config'}",
        f"--meshConfigFile={work / 'mesh'}",
        f"--valuesFile={work / 'values'}",
    )
    return _only(made)


def through_kyverno(pod: Pod, policy: Pod, work: Path) -> Pod:
    """Return what Kyverno makes of a pod by one policy."""
    (work / "policy.yaml").write_text(yaml.safe_dump(policy))
    (work / "pod.yaml").write_text(yaml.safe_dump(pod))
    out = work / "out.yaml"
    out.unlink(missing_ok=True)
    _run(
        *("kubectl-kyverno", "apply", work / "policy.yaml"),
        *(f"--resource={work / 'pod.yaml'}", f"--output={out}"),
    )
    return _only(out.read_bytes())


def record(name: str, source: str, pod: Pod) -> None:
    """Write a case."""
    case = HERE / f"recorded-{name}"
    case.mkdir(exist_ok=True)
    (case / "catalog.yaml").write_text(STORES)
    head = f"# Recorded from {source} by record_neighbours.py.\n"
    (case / "pod.yaml").write_text(head + yaml.safe_dump(pod, sort_keys=False, width=110))


def main() -> int:
    """Build the programs where they are missing, and record every case."""
    for wanted in PROGRAMS:
        build.build_one(wanted, _say)
    before = yaml.safe_load(SHOP)
    policies = list(yaml.safe_load_all((HERE / "kyverno-policies.yaml").read_text()))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for when, pod in (("before", before), ("after", injected(before))):
            for istio in ISTIOS:
                made = through_istio(pod, istio, work)
                record(f"{istio.name}-{when}", f"istio.io/istio {ISTIO}, kube-inject", made)
            for policy in policies:
                name = policy["metadata"]["name"]
                made = through_kyverno(pod, policy, work)
                source = f"github.com/kyverno/kyverno {KYVERNO}, apply of {name}"
                record(f"kyverno-{name}-{when}", source, made)
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _run(program: str, *arguments: str | Path) -> bytes:
    # No cluster is asked: the programs would look for one where a kubeconfig is.
    env = {"KUBECONFIG": os.devnull}
    return run(cache.bin_dir() / program, *arguments, env=env, timeout_s=60)


def _only(documents: bytes) -> Pod:
    """Return the last object of a stream: the pod after all that was done to it."""
    text = re.sub(r"(?m)^ +creationTimestamp: null\n", "", documents.decode())
    *_, last = [item for item in yaml.safe_load_all(text) if item]
    last.pop("status", None)
    found: Pod = last
    return found


if __name__ == "__main__":
    sys.exit(main())

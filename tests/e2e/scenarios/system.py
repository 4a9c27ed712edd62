"""The system as an operator installs it: the chart by Helm, two stores, and tenants of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import pyrage

from injector import local_file
from tests.chart.manifests import CHART
from tests.e2e.scenarios import pods
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.cluster import Cluster, Object
from tests.e2e.testbed.helm import Helm
from tests.e2e.testbed.process import until
from tests.e2e.testbed.vault import AUDIENCE, Vault
from tests.tampering import NAMESPACE as APART

RELEASE = NAMESPACE = "secret-injector"
MUTATING = "MutatingWebhookConfiguration"

_LOCAL_VALUES = {"name": "local-values", "key": "values.age"}
_LOCAL_IDENTITY = {"name": "local-identity", "key": "identity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The installed release; `values` are what it was installed with."""

    cluster: Cluster
    helm: Helm
    vault: Vault
    values: Object

    def install(self, **changes: object) -> None:
        """Install or upgrade the release, its values changed at their top level, until it works."""
        self.helm.install(RELEASE, CHART, NAMESPACE, {**self.values, **changes})
        self.wait_until_it_injects()

    def wait_until_it_injects(self, *, timeout_s: float = 60) -> None:
        """Wait until the API server asks the webhook and trusts its certificate.

        Ready replicas are not enough: the API server also has to see the new caBundle.
        """
        self.wait_until_known("k8s", timeout_s=timeout_s)

    def define(self, *definitions: Object) -> None:
        """Apply stores or other definitions, and wait until pods that name the stores pass."""
        until(
            lambda: self.cluster.apply(list(definitions)),
            what="the definitions are accepted",
            timeout_s=30,
            retry_on=(ApiError,),
        )
        for item in definitions:
            if item["kind"] == "ClusterSecretStore":
                path = "a/b" if "vault" in item["spec"] else "a"
                self.wait_until_known(item["metadata"]["name"], path=path)

    def wait_until_known(self, store: str, *, path: str = "a", timeout_s: float = 30) -> None:
        """Wait until a pod of the namespace default that reads *path* of *store* is injected."""
        env = [{"name": "A", "value": f"#{{{store}:{path}#c}}"}]
        trial = pods.pod(
            "trial", pods.app(command=["true"], env=env), annotations={pods.INJECT: "true"}
        )
        until(
            lambda: pods.is_injected(self.cluster.create(trial, "default", dry_run=True).json()),
            what=f"an annotated pod that names the store {store} is injected",
            timeout_s=timeout_s,
            retry_on=(ApiError, OSError),
            explain=lambda: self.cluster.explain("Deployment", RELEASE, NAMESPACE),
        )

    def replicas(self) -> list[Object]:
        """Return the webhook's pods."""
        selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=webhook"
        return self.cluster.find("Pod", NAMESPACE, selector=selector)

    def tenant(self, namespace: str) -> Tenant:
        """Return *namespace* as a tenant: Vault knows it by a role of its name."""
        # Not the bare name: Vault's own policy `default` is part of every token.
        policy = f"tenant-{namespace}"
        self.vault.policy(policy, f"secret/data/{namespace}/*", f"kv1/{namespace}/*")
        self.vault.kubernetes_role(namespace, policy, namespaces=[namespace])
        return Tenant(cluster=self.cluster, vault=self.vault, namespace=namespace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A namespace, and what it may read: `secret/NAMESPACE/*`, `kv1/NAMESPACE/*`, its objects."""

    cluster: Cluster
    vault: Vault
    namespace: str

    def put_vault(self, name: str, **data: object) -> None:
        """Write `secret/NAMESPACE/name` of Vault (KV version 2)."""
        self.vault.put(f"{self.namespace}/{name}", data)

    def put_vault_v1(self, name: str, **data: object) -> None:
        """Write `kv1/NAMESPACE/name` of Vault (KV version 1)."""
        self.vault.put_v1(f"{self.namespace}/{name}", data)

    def put_secret(self, name: str, data: Mapping[str, str | bytes]) -> None:
        """Write a Secret of the namespace, for the store k8s."""
        encoded = {
            key: base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
            for key, value in data.items()
        }
        self.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}
        )

    def put_local(
        self,
        secrets: Mapping[str, Mapping[str, str | bytes]],
        *,
        file: Mapping[str, str] = _LOCAL_VALUES,
        identity: Mapping[str, str] = _LOCAL_IDENTITY,
    ) -> None:
        """Write the encrypted file of the store local and the identity that opens it.

        *file* and *identity* are name and key of the ConfigMap and the Secret.
        """
        key = pyrage.x25519.Identity.generate()
        content = local_file.EMPTY
        for name, data in secrets.items():
            content = local_file.put(content, name, data, created="2026-01-31T12:00:00Z")
        sealed = local_file.encrypt(content, [str(key.to_public())]).decode()
        self.put_secret(identity["name"], {identity["key"]: f"{key}\n"})
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": file["name"]},
                "data": {file["key"]: sealed},
            }
        )

    def restrict(self) -> None:
        """Enforce the restricted profile of pod security in the namespace."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.cluster.patch("Namespace", self.namespace, {"metadata": {"labels": labels}})

    def apply(self, *objects: Object) -> None:
        """Apply objects in the namespace."""
        self.cluster.apply(list(objects), self.namespace)

    def ready(self, pod: str) -> Object:
        """Return a pod once it is Ready."""
        return self.cluster.wait_condition("Pod", pod, self.namespace)

    def injected_log(self, pod: str) -> str:
        """Return what our init container wrote."""
        return self.cluster.logs(pod, pods.OURS, self.namespace).decode()


def values(image: str) -> Object:
    """Return the values of the chart that the scenarios run with."""
    registry, _, rest = image.partition("/")
    repository, _, tag = rest.partition(":")
    return {
        "replicaCount": 2,
        "image": {
            "registry": registry,
            "repository": repository,
            "tag": tag,
            "pullPolicy": "Never",
        },
        "resources": {"requests": {"cpu": "20m"}},
        "tests": {"enabled": False},
        # Where tests of the chart's parts have pods of their own making; see `apart`.
        "webhook": {"excludedNamespaces": ["kube-system", APART]},
    }


def stores(vault: Vault) -> list[Object]:
    """Return the stores that tenants name: `vault` by their ServiceAccount, and `local`."""
    by_token = {"kubernetes": {"role": "{namespace}"}}
    connection = {"address": vault.address, "caBundle": vault.ca_pem, "auth": by_token}
    local = {
        "file": {"configMapRef": _LOCAL_VALUES},
        "identity": {"secretRef": _LOCAL_IDENTITY},
    }
    return [
        store("vault", {"vault": connection, "audience": AUDIENCE}),
        store("local", {"local": local}),
    ]


def store(name: str, spec: Object) -> Object:
    """Return a ClusterSecretStore."""
    return {
        "apiVersion": "secret-injector.io/v1alpha1",
        "kind": "ClusterSecretStore",
        "metadata": {"name": name},
        "spec": spec,
    }

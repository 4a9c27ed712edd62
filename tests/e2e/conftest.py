"""What the end-to-end tests are given: a cluster, Vault, Helm, our image, the installed system.

`cluster` and `vault` live as long as the run. With KUBECONFIG in the environment its cluster is
used (see `testbed.external` for what is then assumed), otherwise one is started, which needs root,
Go and a Debian machine, and takes a while the first time. The logs of a failed run are kept.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.scenarios import system as setup
from tests.e2e.scenarios import untouched
from tests.e2e.scenarios.inside import Inside
from tests.e2e.scenarios.system import System, Tenant
from tests.e2e.testbed import build, cache, product
from tests.e2e.testbed.cluster import Cluster
from tests.e2e.testbed.external import ExternalCluster
from tests.e2e.testbed.helm import Helm
from tests.e2e.testbed.images import compile_static
from tests.e2e.testbed.local import LocalCluster
from tests.e2e.testbed.pki import pem_of_jwk
from tests.e2e.testbed.postgres import Postgres
from tests.e2e.testbed.space import Space
from tests.e2e.testbed.vault import Vault
from tests.tampering import NAMESPACE as APART

_VAULT_NAMESPACE = "vault"
_KEPT_RUNS = 5
_failed = pytest.StashKey[bool]()
_kept = pytest.StashKey[Path]()


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that shows a progress line, also while pytest captures output."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n[e2e] {line}", end="", file=sys.stderr, flush=True)  # noqa: T201

    return show


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, say: Callable[[str], None]) -> Iterator[Cluster]:
    """Return the cluster: `kubectl`, `apply`, `create`, `get`, `wait`, `exec`, `logs`, ..."""
    build.build_all(say)
    if kubeconfig := os.environ.get("KUBECONFIG"):
        external = ExternalCluster(Path(kubeconfig))
        yield external
        external.close()
        return
    with Space(compile_static("pause")) as space:
        try:
            yield LocalCluster(space, say=say)
        except BaseException:
            request.config.stash[_failed] = True
            raise
        finally:
            if request.config.stash.get(_failed, False):
                request.config.stash[_kept] = _keep(space)


@pytest.fixture(scope="session")
def local_cluster(cluster: Cluster) -> LocalCluster:
    """Return the cluster with its insides: disk, daemons, processes; skips an external one."""
    if not isinstance(cluster, LocalCluster):
        pytest.skip("looks into the node, which an existing cluster does not allow")
    return cluster


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the name of a namespace that exists for this test alone."""
    word = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[5:45]
    name = f"{word.strip('-')}-{time.monotonic_ns() % 10**6:06d}"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    # Pods are refused until the controller has made the account that they run as.
    cluster.wait("ServiceAccount", "default", name, until_true=bool, what="existence")
    yield name
    for pod in cluster.find("Pod", name):
        path = cluster.api.resource("Pod").path(name, pod["metadata"]["name"])
        cluster.api.request("DELETE", path, {"gracePeriodSeconds": 0})
    cluster.api.request("DELETE", cluster.api.resource("Namespace").path(None, name))


@pytest.fixture(scope="session")
def apart(cluster: Cluster) -> str:
    """Return a namespace that the installed release leaves alone, for pods that look injected."""
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": APART}})
    cluster.wait("ServiceAccount", "default", APART, until_true=bool, what="existence")
    return APART


@pytest.fixture(scope="session")
def vault(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """Return a running Vault that ServiceAccounts of the cluster may log in to."""
    if isinstance(cluster, LocalCluster):
        space = cluster.space
        server = Vault(space.state / "vault", cluster.node_ip, logs=space.logs, enter=space.enter)
    else:
        folder = tmp_path_factory.mktemp("vault")
        server = Vault(folder, cluster.node_ip, logs=folder)
    try:
        server.start()
        jwks = cluster.api.request("GET", "/openid/v1/jwks", accept="*/*").json()
        server.trust_cluster(
            server=cluster.server,
            ca_pem=cluster.ca_pem,
            reviewer=_make_reviewer(cluster),
            keys=[pem_of_jwk(key) for key in jwks["keys"]],
        )
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres(local_cluster: LocalCluster) -> Iterator[Postgres]:
    """Return a running PostgreSQL; `postgres.offer(vault, role)` makes Vault give out its users."""
    space = local_cluster.space
    server = Postgres(space.state / "postgres", space.node_ip, logs=space.logs, enter=space.enter)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def helm(cluster: Cluster) -> Helm:
    """Return helm for the cluster."""
    return Helm(cluster)


@pytest.fixture(scope="session")
def image(cluster: Cluster, say: Callable[[str], None]) -> str:
    """Return the name of our own image, built from this tree and present on the node."""
    archive = product.build_image(say)
    if isinstance(cluster, LocalCluster):
        cluster.load_image(archive)
    return product.IMAGE


@pytest.fixture(scope="session")
def answers_without_system(cluster: Cluster) -> dict[str, str]:
    """Return what the API server said to pods that do not ask, before the system was installed."""
    return untouched.answers(cluster)


@pytest.fixture(scope="session")
def system(
    cluster: Cluster,
    helm: Helm,
    vault: Vault,
    image: str,
    answers_without_system: dict[str, str],
) -> System:
    """Return the system, installed from the chart with our image, its stores defined."""
    del answers_without_system  # only has to be there first
    installed = System(cluster=cluster, helm=helm, vault=vault, values=setup.values(image))
    installed.install()
    installed.define(*setup.stores(vault))
    return installed


@pytest.fixture
def tenant(system: System, namespace: str) -> Tenant:
    """Return a fresh namespace that may use the stores."""
    return system.tenant(namespace)


@pytest.fixture(scope="module")
def lasting_tenant(system: System, request: pytest.FixtureRequest) -> Iterator[Tenant]:
    """Return a tenant for all tests of a file: `test_failures.py` has the namespace `failures`."""
    name = request.path.stem.removeprefix("test_")
    system.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    system.cluster.wait("ServiceAccount", "default", name, until_true=bool, what="existence")
    yield system.tenant(name)
    path = system.cluster.api.resource("Namespace").path(None, name)
    system.cluster.api.request("DELETE", path)


@pytest.fixture
def inside(local_cluster: LocalCluster, tenant: Tenant) -> Callable[[str], Inside]:
    """Return a function from a pod's name to what is in its containers, once it is Ready."""

    def ready(pod: str) -> Inside:
        tenant.ready(pod)
        return Inside(cluster=local_cluster, pod=pod, namespace=tenant.namespace)

    return ready


def _make_reviewer(cluster: Cluster) -> str:
    """Return a token of a ServiceAccount that may review other tokens."""
    metadata = {"name": "reviewer", "namespace": _VAULT_NAMESPACE}
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "system:auth-delegator"}
    cluster.apply(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _VAULT_NAMESPACE}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
            {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "vault-reviewer"},
                "roleRef": role,
                "subjects": [{"kind": "ServiceAccount", **metadata}],
            },
        ]
    )
    return cluster.token("reviewer", _VAULT_NAMESPACE, seconds=86400)


def _keep(space: Space) -> Path:
    """Copy the logs and the audit log to a folder that outlives the run, and return it.

    The folders of the last few failed runs are kept.
    """
    for older in sorted(cache.logs_dir().glob("*"))[:-_KEPT_RUNS]:
        shutil.rmtree(older)
    folder = cache.logs_dir() / f"{time.strftime('%Y%m%d-%H%M%S')}-{space.name}"
    shutil.copytree(space.logs, folder, symlinks=True)
    audit = space.state / "audit.log"
    if audit.exists():
        shutil.copy(audit, folder)
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test failed."""
    report = yield
    if report.failed:
        item.config.stash[_failed] = True
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say where the logs of a failed run are."""
    if folder := config.stash.get(_kept, None):
        terminalreporter.write_line(f"logs of the cluster: {folder}")

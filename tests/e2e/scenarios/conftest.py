"""What every scenario is given: the installed system, and a namespace as its tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.scenarios import system as setup
from tests.e2e.scenarios import untouched
from tests.e2e.scenarios.inside import Inside
from tests.e2e.scenarios.system import System, Tenant
from tests.e2e.testbed.cluster import Cluster
from tests.e2e.testbed.helm import Helm
from tests.e2e.testbed.local import LocalCluster
from tests.e2e.testbed.vault import Vault


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

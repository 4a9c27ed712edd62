"""Scenario: a pod with values of AWS, Azure and Google, entered by the tokens it really gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.scenarios import pods
from tests.e2e.scenarios.clouds import ROLE, Clouds

KINDS = ("awsSecretsManager", "awsParameterStore", "azureKeyVault", "gcpSecretManager")


@pytest.fixture
def clouds(tenant, local_cluster, tmp_path: Path) -> Iterator[Clouds]:
    """A server of each, on this machine."""
    made = Clouds(tmp_path, tenant, local_cluster.host_ip)
    yield made
    made.close()


def test_one_pod_gets_values_of_every_cloud_by_its_own_identity(system, tenant, clouds, inside):
    """One login per store, each with a token for that store alone; the values are exact."""
    clouds.put("db", {"user": "app", "password": "p'w\n$(X)"})
    system.define(*clouds.stores())
    env = {kind.upper(): f"#{{{clouds.name(kind)}:db#password}}" for kind in KINDS}

    tenant.apply(
        pods.pod(
            "app",
            pods.app(command=pods.SLEEP),
            annotations=pods.asking(env=env),
            hostAliases=clouds.aliases,
        )
    )

    assert inside("app").environ() == {kind.upper().encode(): b"p'w\n$(X)" for kind in KINDS}
    *_, line = tenant.injected_log("app").splitlines()
    took = {each["provider"]: each for each in json.loads(line)["stores"]}
    assert {kind: (took[kind]["logins"], took[kind]["tries"]) for kind in KINDS} == dict.fromkeys(
        KINDS, (1, 1)
    )
    assert set(clouds.aws.roles.values()) == {ROLE.format(namespace=tenant.namespace)}

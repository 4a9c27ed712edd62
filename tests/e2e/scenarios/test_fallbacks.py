"""Scenario: the store's first server is away, and a pod starts with the values of the next one."""

from __future__ import annotations

import json

from tests.e2e.scenarios import pods
from tests.e2e.scenarios.system import store
from tests.e2e.testbed.vault import AUDIENCE

CLOSED_PORT = 8299


def test_a_pod_starts_while_its_store_is_at_its_fallback(system, tenant, vault, inside):
    """The value is there at once, and the log line says which server it came from."""
    tenant.put_vault("db", password="from the second")
    home = f"{vault.address.removeprefix('https://').partition(':')[0]}:{CLOSED_PORT}"
    name = f"{tenant.namespace}-two"
    spec = {
        "address": f"https://{home}",
        "caBundle": vault.ca_pem,
        "fallbacks": [{"address": vault.address}],
        "auth": {"kubernetes": {"role": "{namespace}"}},
    }
    system.define(store(name, {"vault": spec, "audience": AUDIENCE}))
    env = {"PASSWORD": f"#{{{name}:secret/{tenant.namespace}/db#password}}"}

    tenant.apply(pods.pod("app", pods.app(command=pods.SLEEP), annotations=pods.asking(env=env)))

    assert inside("app").environ() == {b"PASSWORD": b"from the second"}
    *_, line = tenant.injected_log("app").splitlines()
    (took,) = json.loads(line)["stores"]
    assert took["served_by"] == vault.address.removeprefix("https://")
    assert (took["tries"], took["logins"]) == (1, 2)

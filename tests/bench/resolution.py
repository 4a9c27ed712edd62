"""What a large cluster costs: 10,000 services of one namespace, import chains eight deep.

A decision is measured cold: nothing of it is remembered, for the service it needs has just changed.
The catalog is built in a process of its own, so its room is seen apart from everything else's, and
times are of its processor: what else the machine does is not counted.
"""

import gc
import json
import math
import subprocess
import sys
from pathlib import Path
from time import process_time

from tests.bench.figure import Figure
from webhook.core.catalog import Catalog
from webhook.core.decide import decide
from webhook.core.our_container import Injection
from webhook.core.review import Kind, Request

SERVICES = 10_000
DEPTH = 8
ROUNDS = 400
INJECTION = Injection(image="secret-injector")
STORE = {
    "kind": "ClusterSecretStore",
    "metadata": {"name": "vault", "resourceVersion": "1"},
    "spec": {
        "vault": {"address": "https://vault:8200", "auth": {"kubernetes": {"role": "{namespace}"}}}
    },
}


def service(number, version=1):
    """Return one service: five keys of its own, and the one before it in its chain imported."""
    env = {f"KEY_{number % DEPTH}_{i}": f"#{{vault:secret/shop/s{number}#k{i}}}" for i in range(4)}
    env["URL"] = f"postgres://#{{KEY_{number % DEPTH}_0 | urlencode}}@db/{version}"
    if number % DEPTH:
        env["__import_svc"] = f"$s{number - 1}"
    metadata = {"name": f"s{number}", "namespace": "shop", "resourceVersion": str(version)}
    return {"kind": "ServiceSecrets", "metadata": metadata, "spec": {"env": env}}


def request(number):
    """Return the creation of a pod that uses the service at the end of a chain."""
    pod = {
        "kind": "Pod",
        "metadata": {"name": "p", "annotations": {"secret-injector.io/service": f"s{number}"}},
        "spec": {"containers": [{"name": "app", "image": "app", "command": ["app"]}]},
    }
    return Request(
        uid="1", kind=Kind(kind="Pod"), operation="CREATE", namespace="shop", name="p", object=pod
    )


def run():
    """Return the figures."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.resolution"], check=True, capture_output=True
    )
    seen = json.loads(done.stdout)
    return [
        Figure(name="resolution/cold p50", value=seen["cold_p50_ms"], unit="ms"),
        Figure(name="resolution/cold p99", value=seen["cold_p99_ms"], unit="ms", at_most=5),
        Figure(name="resolution/change p50", value=seen["change_p50_ms"], unit="ms"),
        Figure(name="resolution/change p99", value=seen["change_p99_ms"], unit="ms", at_most=5),
        Figure(name="resolution/catalog load", value=seen["load_s"], unit="s", at_most=10),
        Figure(name="resolution/catalog room", value=seen["rss_mib"], unit="MiB", at_most=300),
    ]


def measure():
    """Return what this process saw, itself being nothing but the catalog."""
    began_s = process_time()
    catalog = Catalog.of([STORE, *map(service, range(SERVICES))])
    load_s = process_time() - began_s
    gc.collect()
    gc.freeze()
    cold, changes = [], []
    for round_ in range(ROUNDS):
        # The end of one chain is asked for after a service of another one, or of it, has changed.
        last = (round_ * 7 * DEPTH) % SERVICES + DEPTH - 1
        changed = last - round_ % DEPTH if round_ % 2 else (last + 4242) % SERVICES
        raw = service(changed, version=round_ + 2)
        began_s = process_time()
        catalog = catalog.with_object("ServiceSecrets", raw)
        changed_s = process_time()
        outcome = decide(request(last), catalog, INJECTION)
        changes.append(changed_s - began_s)
        cold.append(process_time() - changed_s)
        assert outcome.kind == "inject", outcome
        assert outcome.facts["variables"] == 4 * DEPTH + 1
    return {
        "load_s": load_s,
        "cold_p50_ms": percentile(cold, 0.5) * 1000,
        "cold_p99_ms": percentile(cold, 0.99) * 1000,
        "change_p50_ms": percentile(changes, 0.5) * 1000,
        "change_p99_ms": percentile(changes, 0.99) * 1000,
        "rss_mib": peak_mib(),
    }


def peak_mib():
    """Return the most memory this process ever had, in MiB."""
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def percentile(values, share):
    """Return the value below which a share of the values lies."""
    return sorted(values)[math.ceil(len(values) * share) - 1]


if __name__ == "__main__":
    json.dump(measure(), sys.stdout)

"""Values that the system delivered are in no log, no object, no database and on no disk."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.scenarios import canaries, pods, refusals
from tests.e2e.scenarios.canaries import Canary, Hits
from tests.e2e.scenarios.replicas import Replicas
from tests.e2e.scenarios.system import NAMESPACE as OURS
from tests.e2e.scenarios.system import RELEASE, System, Tenant
from tests.e2e.testbed.api import ApiError, Object
from tests.e2e.testbed.cluster import Cluster
from tests.e2e.testbed.local import LocalCluster

NAMESPACE = "canary"
SECRET = "planted"
SPECIAL = {"before": "é'\"\\ $(A) #{b}\n", "after": "<&>;`|\r\n"}
MEMORY = ("/run", "/var/log", "/var/lib/cni")
"""Folders of the node that the harness keeps in memory, the runtime's state among them."""

SECRET_READERS = {"audit of secrets by system:node:testbed"}
"""Where a Secret's content may be as well: whether the kubelet's reading is audited with its body
depends on whether it lists or watches."""

FORMS = tuple(canaries.text("any").forms())
STORES = ("vault", "k8s", "local")

TOLD = [canaries.text("told")]
QUIET = {
    store: [
        *(canaries.text(f"{store}-text-{i}") for i in range(4)),
        *(canaries.text(f"{store}-special-{i}", **SPECIAL) for i in range(3)),
        *(canaries.binary(f"{store}-binary-{i}") for i in range(2)),
    ]
    for store in STORES
}
NATIVE = {store: [canaries.text(f"{store}-native")] for store in STORES}
"""By the store that holds them. QUIET ones reach containers by the launcher and as files only,
NATIVE ones by fileKeyRef; TOLD ones are written to where they must not be, to be found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """A pod that gets to know values and must not start: its container, annotations and code."""

    container: Object
    annotations: Object
    code: str


def variable(canary: Canary) -> str:
    """Return the name of a canary's variable."""
    return canary.name.replace("-", "_").upper()


def reference(store: str, canary: Canary) -> str:
    """Return the reference to a canary; bytes stand in Vault as base64."""
    path = {"vault": f"secret/{NAMESPACE}/planted", "k8s": SECRET, "local": "planted"}[store]
    is_encoded = store == "vault" and "binary" in canary.name
    return f"#{{{store}:{path}#{canary.name}{' | base64decode' if is_encoded else ''}}}"


def references(of: Mapping[str, list[Canary]]) -> dict[Canary, str]:
    """Return every canary with its reference."""
    return {canary: reference(store, canary) for store, each in of.items() for canary in each}


QUIET_REFERENCES = references(QUIET)
TEXTS = {variable(c): r for c, r in QUIET_REFERENCES.items() if "binary" not in c.name}
FILES = {canary.name: text for canary, text in QUIET_REFERENCES.items()}
SERVICE: Object = {
    "apiVersion": "secret-injector.io/v1alpha1",
    "kind": "ServiceSecrets",
    "metadata": {"name": "picky"},
    "spec": {"env": {**TEXTS, "PICKY": {"value": TEXTS["LOCAL_TEXT_0"], "matches": "nothing"}}},
}
FAILING = {
    "missing-key": Failing(
        container=pods.app(command=pods.SLEEP),
        annotations=pods.asking(env={**TEXTS, "NO": "#{k8s:planted#no}"}, files=FILES),
        code="SI-404",
    ),
    "bad-pattern": Failing(
        container=pods.app(command=pods.SLEEP),
        annotations=pods.asking(service="picky"),
        code="SI-302",
    ),
    "bad-filter": Failing(
        container=pods.app(command=pods.SLEEP),
        annotations=pods.asking(
            env={**TEXTS, "NO": TEXTS["VAULT_SPECIAL_0"].replace("}", " | base64decode}")}
        ),
        code="SI-304",
    ),
    "not-carriable": Failing(
        container=pods.app(),
        annotations=pods.asking(env_mode="native", env=TEXTS),
        code="SI-602",
    ),
}


@pytest.fixture(scope="module")
def tenant(lasting_tenant: Tenant) -> Tenant:
    """Return the tenant of this file, every value planted."""
    of = {store: [*QUIET[store], *NATIVE[store]] for store in STORES}
    lasting_tenant.put_vault(
        "planted",
        **{
            c.name: base64.b64encode(c.value).decode() if "binary" in c.name else c.value.decode()
            for c in of["vault"]
        },
    )
    lasting_tenant.put_secret(SECRET, {c.name: c.value for c in of["k8s"]})
    lasting_tenant.put_local(
        {
            "planted": {
                c.name: c.value if "binary" in c.name else c.value.decode() for c in of["local"]
            }
        }
    )
    return lasting_tenant


@pytest.fixture(scope="module")
def failed(tenant: Tenant, local_cluster: LocalCluster) -> dict[str, refusals.Failed]:
    """Run every pod; return how those failed that must, once the others are Ready."""
    tenant.apply(
        SERVICE,
        pods.pod(
            "quiet",
            pods.app(command=pods.SLEEP),
            annotations=pods.asking(env=TEXTS, files=FILES),
        ),
        pods.pod(
            "native",
            pods.app(),
            annotations=pods.asking(
                env_mode="native",
                env={variable(c): text for c, text in references(NATIVE).items()},
                files=FILES,
            ),
        ),
    )
    for name, each in FAILING.items():
        tenant.apply(pods.pod(name, each.container, annotations=each.annotations))
    for name in FAILING:
        refusals.wait_failed(local_cluster, name, NAMESPACE)
    for name in ("quiet", "native"):
        tenant.ready(name)
    return {name: refusals.look(local_cluster, name, NAMESPACE) for name in FAILING}


@pytest.fixture(scope="module")
def found(
    failed: dict[str, refusals.Failed],
    system: System,
    local_cluster: LocalCluster,
    tmp_path_factory: pytest.TempPathFactory,
    say: Callable[[str], None],
) -> dict[str, Hits]:
    """Return every place in which something was found, in one pass over all of them."""
    del failed  # its pods have run
    _tell(local_cluster)
    every = [c for of in (QUIET, NATIVE) for each in of.values() for c in each] + TOLD
    patterns = canaries.needles(every, tmp_path_factory.mktemp("canary") / "patterns")
    space, places = local_cluster.space, dict[str, Hits]()
    for path in canaries.files_with(patterns, space.state):
        name = str(Path(path).relative_to(space.state))
        if name == local_cluster.audit_log.name:
            places |= _audited(every, canaries.lines_with(patterns, Path(path)))
        elif Path(path).is_relative_to(local_cluster.etcd_dir):
            places[name] = canaries.search(every, _without_secret(Path(path).read_bytes()))
        else:
            places[name] = canaries.search(every, Path(path).read_bytes())
    for folder in MEMORY:
        for path in canaries.files_with(patterns, folder, space.enter):
            places[path] = canaries.search(every, space.run("cat", path))
    texts = _everything_in_the_api(local_cluster)
    replicas = Replicas(local_cluster, namespace=OURS, deployment=RELEASE)
    texts |= {f"metrics of {name}": replicas.metrics(name).encode() for name in replicas.names()}
    texts["arguments of processes"] = space.run("sh", "-c", "cat /proc/[0-9]*/cmdline || true")
    places |= {name: canaries.search(every, text) for name, text in texts.items()}
    say(f"searched for {len(every)} values in {len(FORMS)} forms")
    return {name: hits for name, hits in places.items() if hits}


def places_of(found: dict[str, Hits], of: Mapping[str, list[Canary]]) -> dict[str, list[str]]:
    """Return where any of some canaries was found, and which of them in what form."""
    names = {canary.name for each in of.values() for canary in each}
    places = {
        place: sorted(f"{name} {form}" for name, form in hits if name in names)
        for place, hits in found.items()
    }
    return {place: hits for place, hits in places.items() if hits}


def test_the_search_finds_every_form(found: dict[str, Hits]):
    """A value planted on purpose is found in each form on disk, and in each kind of place."""
    places = places_of(found, {"": TOLD})

    assert [form for form in FORMS if ("told", form) not in found[f"told/{form}"]] == []
    etcd = [place for place in places if place.startswith("etcd/")]
    assert any(place.endswith(".wal") for place in etcd)
    assert "etcd/member/snap/db" in etcd
    assert {"/run/told", "api configmaps", "audit of configmaps by admin"} <= set(places)


def test_the_pods_had_the_values(failed: object, local_cluster: LocalCluster):
    """What was searched for was really delivered, byte for byte."""
    environ = local_cluster.container_environ("quiet", "app", NAMESPACE)
    files = {
        canary.name: local_cluster.container_file(
            *("quiet", "app", NAMESPACE), f"{pods.FILES}/{canary.name}"
        )
        for canary in QUIET_REFERENCES
    }
    native = local_cluster.container_environ("native", "app", NAMESPACE)

    assert files == {canary.name: canary.value for canary in QUIET_REFERENCES}
    assert len(files) == 27
    assert {k: v for k, v in environ.items() if k.decode() in TEXTS} == {
        variable(c).encode(): c.value for c in QUIET_REFERENCES if variable(c) in TEXTS
    }
    assert {variable(c).encode(): c.value for c in references(NATIVE)}.items() <= native.items()


@pytest.mark.parametrize("name", FAILING)
def test_failing_pods_say_their_code(failed: dict[str, refusals.Failed], name: str):
    """They came as far as they should: the values were fetched, and the pod did not start."""
    assert failed[name].message.startswith(f"{FAILING[name].code} ")
    assert refusals.never_started(failed[name])
    assert failed[name].left == ()


def test_values_of_stores_outside_are_nowhere(found: dict[str, Hits]):
    """By launcher and as files: not in etcd, audit, events, logs, metrics, argv, on no disk."""
    assert places_of(found, {store: QUIET[store] for store in ("vault", "local")}) == {}


def test_values_of_a_secret_are_in_that_secret_alone(found: dict[str, Hits]):
    """Kubernetes keeps a Secret in etcd and shows it to whoever reads it; nothing else has it."""
    places = places_of(found, {"k8s": QUIET["k8s"]})

    assert set(places) - SECRET_READERS == {"api secrets", "audit of secrets by admin"}
    assert {hit.split()[1][:6] for hits in places.values() for hit in hits} == {"base64"}


def test_native_variables_are_in_the_runtimes_records_alone(found: dict[str, Hits]):
    """The documented cost of env-mode native: containerd writes a container's environment down."""
    of_secret = {"api secrets", "audit of secrets by admin"} | SECRET_READERS
    places = places_of(found, NATIVE)
    kinds = {
        re.sub(r"[0-9a-f]{64}", "ID", place): hits
        for place, hits in places.items()
        if place not in of_secret
    }

    expected = sorted(f"{canary.name} raw" for canary in references(NATIVE))
    assert kinds == {
        "containerd/io.containerd.metadata.v1.bolt/meta.db": expected,
        "/run/containerd-state/io.containerd.runtime.v2.task/k8s.io/ID/config.json": expected,
    }


def _tell(cluster: LocalCluster) -> None:
    """Write a canary to where none may be: every form to disk, one to memory, one to the API."""
    folder = cluster.space.state / "told"
    folder.mkdir()
    for form, needle in TOLD[0].forms().items():
        (folder / form).write_bytes(b"some bytes " + needle + b" more bytes")
    value = TOLD[0].value.decode()
    cluster.space.run("sh", "-c", f"echo {value} >/run/told")
    told: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "told"},
        "data": {"value": value},
    }
    cluster.apply(told, NAMESPACE)


def _audited(every: list[Canary], lines: list[bytes]) -> dict[str, Hits]:
    """Return what was found in the audit log, by the kind of object and by who asked."""
    places: dict[str, Hits] = {}
    for line in lines:
        event = json.loads(line)
        what = event.get("objectRef", {}).get("resource", event["requestURI"])
        place = f"audit of {what} by {event['user']['username']}"
        places[place] = places.get(place, frozenset()) | canaries.search(every, line)
    return places


def _without_secret(content: bytes) -> bytes:
    """Return a file of etcd without the values that stand as entries of our Secret.

    An entry is a protobuf map entry: the key behind 0x0a and its length, the value behind 0x12.
    """
    for canary in (*QUIET["k8s"], *NATIVE["k8s"]):
        key, value = canary.name.encode(), canary.value
        entry = b"\n%c%s\x12%c%s" % (len(key), key, len(value), value)
        content = content.replace(entry, b"")
    return content


def _everything_in_the_api(cluster: Cluster) -> dict[str, bytes]:
    """Return every object of every kind, events and our own among them, as one text per kind."""
    texts = {}
    for resource in cluster.api.resources():
        try:
            answer = cluster.api.request("GET", resource.path(None))
        except ApiError:
            continue  # not every kind can be listed
        texts[f"api {resource.plural}"] = answer.body
    return texts

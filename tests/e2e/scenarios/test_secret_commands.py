"""A person's `secret` on Secrets of a real cluster, with the rights that the page states."""

from __future__ import annotations

import base64
import json

import pytest

from injector import writers
from injector.commands import stores_here
from injector.core import stores
from tests.e2e.scenarios import canaries, pods
from tests.e2e.scenarios.machine import Machine, manager
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.process import until

K8S = ("--store", "k8s")
SHOWN = ("--reveal",)


@pytest.fixture
def person(tenant, tmp_path):
    """Return the machine of who manages the tenant's Secrets."""
    return manager(tenant.cluster, tenant.namespace, tmp_path)


def there(tenant, name):
    """Return a Secret and its values as the cluster has them."""
    item = tenant.cluster.get("Secret", name, tenant.namespace)
    return item, {k: base64.b64decode(v) for k, v in item.get("data", {}).items()}


def test_a_secret_of_the_cluster_lives_from_creation_to_deletion(tenant, person):
    """With no right but those the page states; no value is in any message."""
    value = canaries.text("value", before="'", after=' "$x"\n')
    text = value.value.decode()
    person.write("key.bin", "")
    (person.folder / "key.bin").write_bytes(b"\0\xff\n")

    made = person.secret("set", "payment", "api-key", *K8S, stdin=text + "\n")
    item, first = there(tenant, "payment")
    more = person.secret("set", "payment", "key=@key.bin", *K8S)
    _, both = there(tenant, "payment")
    shown = person.secret("get", "payment", "api-key", *SHOWN, *K8S)
    masked = person.secret("get", "payment", *K8S)
    listed = person.secret("list", "pay", *K8S)
    history = person.secret("history", "payment", "-o", "json", *K8S)
    back = person.secret("rollback", "payment", "--to", "1", *K8S)
    rotated = person.secret("rotate", "payment", "api-key", "--rule", "hex:40", *K8S)
    _, turned = there(tenant, "payment")
    dropped = person.secret("delete", "payment", "key", *K8S)
    _, left = there(tenant, "payment")
    gone = person.secret("delete", "payment", *K8S)

    quiet = (made, more, rotated, dropped, gone)
    assert [(done.status, done.out) for done in quiet] == [(0, "")] * 5
    assert (item["type"], item["metadata"]["managedFields"][0]["manager"]) == (
        "Opaque",
        "secret-injector",
    )
    assert first == {"api-key": value.value}
    assert both == {"api-key": value.value, "key": b"\0\xff\n"}
    assert shown.out == text
    assert (masked.out.count("***"), listed.out) == (2, "payment\n")
    (entry,) = json.loads(history.out)
    assert entry == {
        "version": "",
        "created": item["metadata"]["creationTimestamp"],
        "state": "",
        "keys": ["api-key", "key"],
    }
    assert (back.status, back.err[0].partition(": ")[2]) == (
        2,
        "Kubernetes keeps no versions of a Secret, only what it holds now",
    )
    assert (len(turned["api-key"]), turned["key"]) == (40, b"\0\xff\n")
    assert left == {"api-key": turned["api-key"]}
    with pytest.raises(ApiError, match="not found"):
        there(tenant, "payment")
    said = "".join(done.out + "".join(done.err) for done in (*quiet, masked, listed, history, back))
    assert canaries.search([value], said.encode()) == frozenset()


def test_the_server_keeps_type_labels_and_owners_and_refuses_what_we_say_it_does(tenant, person):
    """What the tests' own API server answers is what the real one does."""
    here = tenant.namespace
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}}
    (owner,) = tenant.cluster.apply(config_map, here)
    metadata = {
        "name": "tls",
        "labels": {"app": "shop"},
        "ownerReferences": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": "owner",
                "uid": owner["metadata"]["uid"],
            }
        ],
    }
    data = {"tls.crt": "eA==", "tls.key": "eA=="}
    secret = {"apiVersion": "v1", "kind": "Secret"}
    tls = {**secret, "metadata": metadata, "type": "kubernetes.io/tls", "data": data}
    frozen = {**secret, "metadata": {"name": "frozen"}, "immutable": True, "data": {"a": "eA=="}}
    tenant.cluster.create(tls, here)
    tenant.cluster.create(frozen, here)
    before, _ = there(tenant, "tls")

    changed = person.secret("set", "tls", "--data", "tls.crt=new", *K8S)
    after, values = there(tenant, "tls")
    same = person.secret("set", "tls", "--data", "tls.crt=new", *K8S)
    wrong = person.secret("set", "tls", "--replace", "--data", "k=v", *K8S)
    fixed = person.secret("set", "frozen", "--data", "a=b", *K8S)
    nowhere = person.secret("set", "tls", "--data", "k=v", "-n", f"{here}-x", *K8S)
    elsewhere = person.secret("list", "-n", "kube-system", *K8S)
    thawed = person.secret("delete", "frozen", *K8S)

    assert changed.err[1:] == [
        f"warning: k8s {here}/tls: ConfigMap owner owns it, and may undo this",
        "tls is written",
    ]
    assert values == {"tls.crt": b"new", "tls.key": b"x"}
    for item in (before, after):
        for changing in ("resourceVersion", "managedFields"):
            del item["metadata"][changing]
        del item["data"]
    assert before == after
    assert (same.status, there(tenant, "tls")[1]) == (0, values)
    assert wrong.err[1] == (
        f"SI-119 k8s {here}/tls: Kubernetes finds the Secret wrong: data[tls.crt], data[tls.key]"
    )
    assert (
        fixed.err[1] == f"SI-112 k8s {here}/frozen: it is immutable: nobody can change its values"
    )
    assert nowhere.err[1].startswith("SI-403 ")
    assert elsewhere.err == [
        "SI-403 k8s kube-system/: the API server does not let us list it",
        (
            "       hint: kubectl auth can-i list secrets -n kube-system;"
            " if it says yes, a quota or an admission controller refused it"
        ),
    ]
    assert [each.status for each in (wrong, fixed, nowhere, elsewhere, thawed)] == [2, 2, 5, 5, 0]


def test_names_come_without_what_kubectl_keeps_of_values(tenant, person):
    """A table without objects holds no annotation; metadata alone would."""
    here = tenant.namespace
    value = canaries.text("applied")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "applied"}}
    data = {"stringData": {"a": value.value.decode()}}
    tenant.cluster.kubectl("-n", here, "apply", "-f", "-", input=json.dumps({**secret, **data}))
    path = tenant.cluster.api.resource("Secret").path(here)
    accept = "application/json;as={};g=meta.k8s.io;v=v1"
    table = tenant.cluster.api.request(
        "GET", path, query={"includeObject": "None"}, accept=accept.format("Table")
    )
    metadata = tenant.cluster.api.request(
        "GET", path, accept=accept.format("PartialObjectMetadataList")
    )

    listed = person.secret("list", *K8S)
    warned = person.secret("rotate", "applied", "a", *K8S)

    assert listed.out == "applied\n"
    assert canaries.search([value], table.body) == frozenset()
    assert canaries.search([value], metadata.body) != frozenset()
    assert warned.err[0] == (
        f"warning: k8s {here}/applied: kubectl applied it from a manifest, and may undo this"
    )


def test_a_certificate_opens_the_cluster_and_a_missing_namespace_is_named(
    cluster, tenant, tmp_path
):
    """The administrator's kubeconfig of the testbed holds a certificate and a key."""
    machine = Machine(folder=tmp_path, kubeconfig=cluster.kubeconfig)

    made = machine.secret("set", "payment", "--data", "a=1", "-n", tenant.namespace, *K8S)
    nowhere = machine.secret("set", "payment", "--data", "a=1", "-n", "nowhere", *K8S)

    assert (made.status, there(tenant, "payment")[1]) == (0, {"a": b"1"})
    assert (nowhere.status, nowhere.err[1]) == (
        6,
        "SI-404 k8s nowhere/payment: there is no namespace nowhere",
    )


def test_apply_makes_the_namespace_hold_what_a_file_says(tenant, person):
    """A dry run changes nothing, a second run changes nothing, generated values stay."""
    tenant.put_secret("payment", {"api-key": "old", "spare": "x"})
    secrets = {"payment": {"api-key": "new"}, "session": {"key": {"generate": "hex:20"}}}
    person.write("secrets.yaml", {"secrets": secrets})
    lines = "~ payment  -spare ~api-key\n+ session  +key\n"

    dry = person.secret("apply", "-f", "secrets.yaml", "--dry-run", *K8S)
    _, before = there(tenant, "payment")
    done = person.secret("apply", "-f", "secrets.yaml", *K8S)
    _, session = there(tenant, "session")
    again = person.secret("apply", "-f", "secrets.yaml", *K8S)
    pruned = person.secret("apply", "-f", "secrets.yaml", "--prune", "a/", *K8S)

    assert (dry.out, before) == (lines, {"api-key": b"old", "spare": b"x"})
    assert (done.out, there(tenant, "payment")[1]) == (lines, {"api-key": b"new"})
    assert (again.out, there(tenant, "session")[1]) == ("", session)
    assert (pruned.status, len(session["key"])) == (2, 20)


def test_a_pod_gets_what_was_set_and_keeps_it_from_being_deleted(tenant, person, inside):
    """Deletion is refused while the Deployment and its pod refer, and passes once they are gone."""
    here, cluster = tenant.namespace, tenant.cluster
    value = canaries.text("set")
    person.secret("set", "payment", "api-key", *K8S, stdin=value.value.decode())
    annotations = pods.asking(env={"API_KEY": "#{k8s:payment#api-key}"})
    tenant.apply(
        pods.deployment(pods.pod("shop", pods.app(command=pods.SLEEP), annotations=annotations))
    )
    found = until(
        lambda: cluster.find("Pod", here)[0], what="a pod", timeout_s=30, retry_on=(IndexError,)
    )
    pod = found["metadata"]["name"]
    got = inside(pod).environ("app")

    used = person.secret("delete", "payment", *K8S)
    key = person.secret("delete", "payment", "api-key", *K8S)
    _, kept = there(tenant, "payment")
    cluster.delete("Deployment", "shop", here)
    until(lambda: not cluster.find("Pod", here), what="the pod is gone", timeout_s=60)
    free = person.secret("delete", "payment", *K8S)

    place = "API_KEY of annotation secret-injector.io/env"
    users = f"Pod {here}/{pod} {place}; Deployment {here}/shop {place}"
    assert got == {b"API_KEY": value.value}
    assert (used.status, used.err[0]) == (
        4,
        f"SI-120 payment: it is still referred to by {users}",
    )
    assert (key.status, kept) == (4, {"api-key": value.value})
    assert (free.status, free.err) == (0, ["payment is deleted"])
    with pytest.raises(ApiError, match="not found"):
        there(tenant, "payment")


def test_what_somebody_else_did_in_between_is_not_lost(tenant, person, monkeypatch):
    """The real server refuses ours under the version that was read; it is made again on theirs."""
    here = tenant.namespace
    monkeypatch.setenv("KUBECONFIG", str(person.kubeconfig))
    writer = writers.open_writer(stores.parse("k8s", {"k8s": {}}), stores_here.access())

    def write(change, theirs):
        waiting = [theirs]

        def changed(old):
            if waiting:
                waiting.pop()()
            return change(old)

        writer.change("a", changed)
        return there(tenant, "a")[1]

    def put(value):
        return lambda: tenant.put_secret("a", {"theirs": value})

    def ours(old):
        return {**(old or {}), "ours": "1"}

    try:
        created = write(ours, put("1"))
        updated = write(lambda old: {**old, "ours": "2"}, put("2"))
        anew = write(ours, lambda: tenant.cluster.delete("Secret", "a", here))
        stays = write(lambda old: None if "theirs" not in old else old, put("3"))
    finally:
        writer.close()

    assert created == {"theirs": b"1", "ours": b"1"}
    assert updated == {"theirs": b"2", "ours": b"2"}
    assert anew == {"ours": b"1"}
    assert stays == {"theirs": b"3", "ours": b"1"}


def test_another_namespaces_reference_keeps_no_secret(tenant, person, system):
    """A reference to k8s means the pod's own namespace; force asks nobody."""
    tenant.put_secret("payment", {"api-key": "1"})
    service = {
        "apiVersion": "secret-injector.io/v1alpha1",
        "kind": "ServiceSecrets",
        "metadata": {"name": "payment-user"},
        "spec": {"env": {"A": "#{k8s:payment#api-key}"}},
    }
    system.cluster.apply(service, "default")
    try:
        free = person.secret("delete", "payment", *K8S)
        tenant.put_secret("payment", {"api-key": "1"})
        tenant.apply(service)
        used = person.secret("delete", "payment", *K8S)
        forced = person.secret("delete", "payment", "--force", *K8S)
    finally:
        system.cluster.delete("ServiceSecrets", "payment-user", "default")

    assert (free.status, forced.status) == (0, 0)
    place = f"ServiceSecrets {tenant.namespace}/payment-user spec.env.A"
    assert (used.status, used.err[0]) == (
        4,
        f"SI-120 payment: it is still referred to by {place}",
    )

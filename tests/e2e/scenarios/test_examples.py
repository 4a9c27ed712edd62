"""Every example that starts pods, put on the cluster as its README says, and looked into."""

from __future__ import annotations

import json

import pytest

from tests.e2e.scenarios import examples
from tests.e2e.scenarios.inside import Inside
from tests.e2e.scenarios.system import Tenant
from tests.e2e.testbed.images import BUSYBOX_IMAGE
from tests.e2e.testbed.process import CommandFailedError, until
from tests.e2e.testbed.vault import AUDIENCE

EXAMPLES = examples.read_all()
NAMESPACE = "default"
SET_BY_SHELL = {"PWD", "SHLVL"}


@pytest.fixture(scope="module", autouse=True)
def _applied(local_cluster, system, tmp_path_factory):
    """Apply all examples, so that their pods start side by side."""
    tenant = Tenant(cluster=local_cluster, vault=system.vault, namespace=NAMESPACE)
    for example in EXAMPLES:
        for image in example.images():
            local_cluster.node.ctr("images", "tag", "--force", BUSYBOX_IMAGE, image)
        give(example, tenant)
        apply(example, tenant, tmp_path_factory.mktemp(example.name))


def give(example, tenant):
    """Make what the README tells the reader to make by hand."""
    given = example.expected.get("given", {})
    for name, data in given.get("secrets", {}).items():
        tenant.put_secret(name, data)
    for path, data in given.get("vault", {}).items():
        mount, _, name = path.partition("/")
        assert mount == "secret"
        tenant.vault.put(name, data)
    for namespace in (NAMESPACE, *example.namespaces()):
        policy = f"example-{namespace}"
        tenant.vault.policy(policy, "secret/data/*")
        tenant.vault.kubernetes_role(namespace, policy, namespaces=[namespace])
    if local := given.get("local"):
        (store,) = (i["spec"]["local"] for i in example.objects() if "local" in i.get("spec", {}))
        file, identity = store["file"]["configMapRef"], store["identity"]["secretRef"]
        tenant.put_local(local, file=file, identity=identity)


def apply(example, tenant, folder):
    """Apply the folder by kubectl, again while the webhook has not seen the new definitions."""
    for name, documents in example.manifests.items():
        items = [reachable(item, tenant) for item in documents]
        content = {"apiVersion": "v1", "kind": "List", "items": items}
        if items:
            (folder / name).with_suffix(".json").write_text(json.dumps(content))
    until(
        lambda: tenant.cluster.kubectl("apply", "--filename", str(folder)),
        what=f"the example {example.name} is accepted",
        timeout_s=30,
        retry_on=(CommandFailedError,),
    )


def reachable(item, tenant):
    """Return an object of an example with the testbed's Vault in place of its own."""
    vault = item.get("spec", {}).get("vault")
    if item["kind"] != "ClusterSecretStore" or vault is None:
        return item
    here = {"address": tenant.vault.address, "caBundle": tenant.vault.ca_pem}
    return {**item, "spec": {**item["spec"], "audience": AUDIENCE, "vault": {**vault, **here}}}


def pod_of(cluster, namespace, name):
    """Return the name of the pod with a name, or of the one that a workload of the name made."""
    found = [pod["metadata"]["name"] for pod in cluster.find("Pod", namespace)]
    if name in found:
        return name
    (made,) = (pod for pod in found if pod.startswith(f"{name}-"))
    return made


def test_every_example_with_workloads_says_what_is_to_be_found():
    """An example without expectations would not be tried."""
    assert [e.name for e in EXAMPLES if not e.expected.get("pods")] == []
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_the_example_delivers_what_it_says(local_cluster, example):
    """Variables and files are exactly those of `expected.toml`, in every container of its pods."""
    for place, containers in example.expected["pods"].items():
        namespace, _, name = place.rpartition("/")
        namespace = namespace or NAMESPACE
        pod = until(
            lambda name=name, namespace=namespace: pod_of(local_cluster, namespace, name),
            what=f"a pod of {name}",
            timeout_s=30,
            retry_on=(ValueError,),
        )
        local_cluster.wait_condition("Pod", pod, namespace)
        there = Inside(cluster=local_cluster, pod=pod, namespace=namespace)

        found = {name: injected(there, name, wanted) for name, wanted in containers.items()}

        assert found == containers


def test_a_service_that_others_refer_to_is_kept(local_cluster):
    """The refusal that the README of the presets shows is the one that kubectl prints."""
    with pytest.raises(CommandFailedError) as refused:
        local_cluster.kubectl("delete", "svcsec", "base")

    readme = (examples.FOLDER / "04-presets" / "README.md").read_text()
    assert refused.value.stderr.decode().strip() in readme


def injected(there, container, wanted):
    """Return what a container got, in the form of `expected.toml`; the examples run a shell."""
    environ = {name.decode(): value.decode() for name, value in there.environ(container).items()}
    variables = {name: value for name, value in environ.items() if name not in SET_BY_SHELL}
    found = {"env": shown(variables, wanted.get("env", {}))} if variables else {}
    if there.mounts(container).keys() - {"/run/secret-injector"}:
        files = there.files(container=container).items()
        contents = {name: file.content.decode() for name, file in files}
        found["files"] = shown(contents, wanted.get("files", {}))
    if "log" in wanted:
        log = there.cluster.logs(there.pod, container, there.namespace)
        found["log"] = log.decode().strip()
    return found


def shown(found, wanted):
    """Return values as they are, or True for those of which only the presence is expected."""
    return {
        name: True if wanted.get(name) is True and value else value for name, value in found.items()
    }


def test_presets_that_a_service_imports_cannot_be_deleted(local_cluster):
    """`kubectl delete svcsec base` is answered word for word as the example's README says."""
    readme = (examples.FOLDER / "04-presets" / "README.md").read_text()

    with pytest.raises(CommandFailedError) as caught:
        local_cluster.kubectl("delete", "svcsec", "base", "--namespace", NAMESPACE)

    answer = readme.partition("$ kubectl delete svcsec base\n")[2].partition("\n```")[0]
    assert answer.startswith("Error from server (Forbidden): ")
    assert answer in str(caught.value)
    assert local_cluster.get("ServiceSecrets", "base", NAMESPACE)["spec"]["presets"] != []

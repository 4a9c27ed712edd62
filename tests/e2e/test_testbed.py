"""The testbed itself: what every other end-to-end test takes for granted."""

import json
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.cluster import Cluster
from tests.e2e.testbed.images import BUSYBOX_IMAGE, DISTROLESS_IMAGE
from tests.e2e.testbed.local import LocalCluster
from tests.e2e.testbed.postgres import Postgres
from tests.e2e.testbed.process import CommandFailedError
from tests.e2e.testbed.vault import AUDIENCE, PORT, Vault, VaultError


def pod(name, *containers, **spec):
    """Return a pod that ends at once when it is told to."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": list(containers), **spec},
    }


def busybox(name="app", *command, **fields):
    """Return a container that runs *command*, or sleeps."""
    container = {"name": name, "image": BUSYBOX_IMAGE, "imagePullPolicy": "Never", **fields}
    return container | ({"command": list(command)} if command else {})


def test_the_node_is_ready_and_runs_the_pinned_version(local_cluster: LocalCluster):
    """One node, Ready, with the kubelet that the build pins."""
    (node,) = local_cluster.find("Node")

    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.37.2"


def test_a_pod_runs_and_takes_commands(cluster: Cluster, namespace: str):
    """`exec` returns bytes as the command wrote them, and fails with the command's status."""
    cluster.apply(pod("sleeper", busybox()), namespace)
    cluster.wait_condition("Pod", "sleeper", namespace)

    said = cluster.exec("sleeper", "app", "printf", r"a\0b\n", namespace=namespace)
    with pytest.raises(CommandFailedError) as failure:
        cluster.exec("sleeper", "app", "sh", "-c", "exit 7", namespace=namespace)

    assert said == b"a\0b\n"
    assert failure.value.status == 7


def test_logs_and_the_end_of_a_pod_are_seen(cluster: Cluster, namespace: str):
    """A pod that ends keeps its exit status and its output."""
    cluster.apply(
        pod("one-shot", busybox("app", "sh", "-c", "echo done; exit 3"), restartPolicy="Never"),
        namespace,
    )

    ended = cluster.wait_finished("one-shot", namespace)

    (status,) = ended["status"]["containerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == 3
    assert cluster.logs("one-shot", "app", namespace) == b"done\n"


def test_an_image_without_a_shell_shows_its_environment(
    local_cluster: LocalCluster, namespace: str
):
    """The environment is read from the log and, without the container's help, from the node."""
    app = {
        "name": "app",
        "image": DISTROLESS_IMAGE,
        "imagePullPolicy": "Never",
        "args": ["sleep"],
        "env": [{"name": "GREETING", "value": "two\nlines"}],
    }
    local_cluster.apply(pod("bare", app), namespace)
    local_cluster.wait_condition("Pod", "bare", namespace)

    environ = local_cluster.container_environ("bare", "app", namespace)

    assert environ[b"GREETING"] == b"two\nlines"
    assert b"GREETING=two\nlines\0" in local_cluster.logs("bare", "app", namespace)
    assert local_cluster.container_file("bare", "app", namespace, "/envdump")[:4] == b"\x7fELF"


def test_pods_reach_the_api_server_by_its_service_address(cluster: Cluster, namespace: str):
    """The address of the Service `kubernetes` works inside pods."""
    check = "nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null && echo open"
    cluster.apply(
        pod("caller", busybox("app", "sh", "-c", check), restartPolicy="Never"), namespace
    )

    ended = cluster.wait_finished("caller", namespace)

    assert ended["status"]["phase"] == "Succeeded"
    assert cluster.logs("caller", "app", namespace) == b"open\n"


def test_the_restricted_profile_refuses_a_privileged_pod(cluster: Cluster, namespace: str):
    """Pod security admission is on and works by the namespace's label."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.patch("Namespace", namespace, {"metadata": {"labels": labels}})

    with pytest.raises(ApiError) as refusal:
        cluster.create(pod("bad", busybox(securityContext={"privileged": True})), namespace)

    assert refusal.value.status == 403
    assert 'violates PodSecurity "restricted:latest"' in refusal.value.message


def test_a_file_becomes_a_variable_through_file_key_ref(cluster: Cluster, namespace: str):
    """A variable comes from a file that an init container wrote to memory."""
    mount = [{"name": "env", "mountPath": "/env"}]
    write = busybox("write", "sh", "-c", "echo \"KEY='it works'\" > /env/key", volumeMounts=mount)
    source = {"volumeName": "env", "path": "key", "key": "KEY"}
    show = busybox(
        "app", "sh", "-c", 'echo "$KEY"', env=[{"name": "KEY", "valueFrom": {"fileKeyRef": source}}]
    )
    memory = [{"name": "env", "emptyDir": {"medium": "Memory"}}]
    cluster.apply(
        pod("file-key", show, initContainers=[write], volumes=memory, restartPolicy="Never"),
        namespace,
    )

    cluster.wait_finished("file-key", namespace)

    assert cluster.logs("file-key", "app", namespace) == b"it works\n"


def test_a_service_account_logs_in_to_vault_for_its_audience_only(
    cluster: Cluster, vault: Vault, namespace: str
):
    """A token for Vault's audience gets in by both auth methods; one for another does not."""
    vault.put(f"{namespace}/app", {"user": "app"})
    vault.policy(namespace, f"secret/data/{namespace}/*")
    vault.kubernetes_role(namespace, namespace, namespaces=[namespace])
    vault.jwt_role(namespace, namespace, namespace=namespace)
    good = {"role": namespace, "jwt": cluster.token("default", namespace, audience=AUDIENCE)}
    bad = {"role": namespace, "jwt": cluster.token("default", namespace)}

    login = vault.request("POST", "auth/kubernetes/login", good, token="")
    by_issuer = vault.request("POST", "auth/jwt/login", good, token="")
    token = login["auth"]["client_token"]
    read = vault.request("GET", f"secret/data/{namespace}/app", token=token)
    with pytest.raises(VaultError) as wrong_audience:
        vault.request("POST", "auth/kubernetes/login", bad, token="")
    with pytest.raises(VaultError) as other_path:
        vault.request("GET", "secret/data/other/app", token=token)

    assert read["data"]["data"] == {"user": "app"}
    assert set(by_issuer["auth"]["policies"]) == {"default", namespace}
    assert (wrong_audience.value.status, other_path.value.status) == (403, 403)


def test_pods_reach_vault_with_a_projected_token(cluster: Cluster, vault: Vault, namespace: str):
    """Vault's port is open to pods, and it takes the token that the kubelet projected for it."""
    vault.policy(namespace, f"secret/data/{namespace}/*")
    vault.kubernetes_role(namespace, namespace, namespaces=[namespace])
    host = vault.address.removeprefix("https://").replace(":", " ")
    check = f"nc -w 5 {host} </dev/null && echo open; sleep 600"
    token = {"serviceAccountToken": {"audience": AUDIENCE, "path": "vault"}}
    volume = {"name": "token", "projected": {"sources": [token]}}
    mount = [{"name": "token", "mountPath": "/token"}]
    app = busybox("app", "sh", "-c", check, volumeMounts=mount)
    cluster.apply(pod("login", app, volumes=[volume]), namespace)
    cluster.wait_condition("Pod", "login", namespace)

    jwt = cluster.exec("login", "app", "cat", "/token/vault", namespace=namespace).decode()
    body = {"role": namespace, "jwt": jwt}
    answer = vault.request("POST", "auth/kubernetes/login", body, token="")

    assert answer["auth"]["metadata"]["service_account_namespace"] == namespace
    assert cluster.logs("login", "app", namespace) == b"open\n"


def test_vault_keeps_its_data_over_a_restart(vault: Vault, namespace: str):
    """A stopped Vault refuses connections; a sealed one answers 503; both come back with data."""
    vault.put(namespace, {"kept": "yes"})

    vault.stop()
    with pytest.raises(ConnectionRefusedError):
        vault.request("GET", "sys/health")
    vault.start()
    vault.seal()
    with pytest.raises(VaultError) as sealed:
        vault.request("GET", f"secret/data/{namespace}")
    vault.unseal()

    assert sealed.value.status == 503
    assert vault.request("GET", f"secret/data/{namespace}")["data"]["data"] == {"kept": "yes"}


def test_a_certificate_of_another_authority_is_told_from_a_dead_server(vault: Vault):
    """The second address of Vault fails in the handshake, a frozen Vault by time alone."""
    address = urlsplit(vault.other_ca_address)
    trust = ssl.create_default_context(cadata=vault.ca_pem)

    def greet(port, timeout_s):
        with socket.create_connection((address.hostname, port), timeout=timeout_s) as connection:
            trust.wrap_socket(connection, server_hostname=address.hostname)

    with pytest.raises(ssl.SSLCertVerificationError):
        greet(address.port, 5)
    vault.hang()
    with pytest.raises(TimeoutError):
        greet(PORT, 0.2)
    vault.resume()

    assert vault.request("GET", "sys/health")["sealed"] is False


def test_vault_makes_database_users_that_end_with_their_lease(
    vault: Vault, postgres: Postgres, namespace: str
):
    """Each read is a user of its own that can log in until its lease is revoked."""
    path = postgres.offer(vault, namespace)

    first, second = vault.request("GET", path), vault.request("GET", path)
    user, password = first["data"]["username"], first["data"]["password"]
    known = postgres.query("SELECT current_user", user=user, password=password)
    vault.request("PUT", "sys/leases/revoke", {"lease_id": first["lease_id"], "sync": True})
    with pytest.raises(CommandFailedError) as refused:
        postgres.query("SELECT current_user", user=user, password=password)

    assert known == user != second["data"]["username"]
    assert b"authentication failed" in refused.value.stderr


def test_the_audit_log_holds_bodies(local_cluster: LocalCluster, namespace: str):
    """What was sent to the API server is found in the audit log, so a leaked value would be."""
    canary = f"canary-{namespace}"
    data = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"k": canary},
    }
    local_cluster.create(data, namespace)

    lines = local_cluster.audit_log.read_text().splitlines()

    (event,) = [json.loads(line) for line in lines if canary in line and '"create"' in line]
    assert event["requestObject"]["data"] == {"k": canary}
    assert any(canary.encode() in file.read_bytes() for file in _files(local_cluster.etcd_dir))


def test_a_pod_survives_restarts_of_the_daemons(local_cluster: LocalCluster, namespace: str):
    """Daemons come back, the pod keeps its process; a killed sandbox starts the pod over."""
    local_cluster.apply(pod("survivor", busybox()), namespace)
    local_cluster.wait_condition("Pod", "survivor", namespace)
    before = local_cluster.container_pid("survivor", "app", namespace)

    local_cluster.restart_kubelet(feature_gates={"EnvFiles": False})
    local_cluster.restart_containerd()
    local_cluster.restart_etcd()
    local_cluster.restart_api_server()
    local_cluster.restart_kubelet()
    after = local_cluster.container_pid("survivor", "app", namespace)
    local_cluster.kill_sandbox("survivor", namespace)
    local_cluster.wait("Pod", "survivor", namespace, until_true=_restarted, what="a restart")

    assert before == after


def _restarted(item):
    return item["status"]["containerStatuses"][0]["restartCount"] == 1


def _files(folder: Path):
    return [path for path in folder.rglob("*") if path.is_file()]

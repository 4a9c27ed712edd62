"""The cluster that the harness starts itself: everything of `Cluster`, and its node's insides."""

import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.testbed.api import Api, ApiError, Object
from tests.e2e.testbed.cluster import Cluster
from tests.e2e.testbed.controlplane import NODE_NAME, ControlPlane
from tests.e2e.testbed.images import base_images
from tests.e2e.testbed.node import Node
from tests.e2e.testbed.process import TooLateError, until
from tests.e2e.testbed.space import Space

_GRACE_S = 1
"""Daemons that wait for their clients to leave are killed after this time."""


class LocalCluster(Cluster):
    """One node in a space of its own.

    For tests that look behind the API: `audit_log` (a JSON event per line, with bodies),
    `etcd_dir` and `containerd_dir` (databases on the node's disk), `kubelet_dir` (volumes on
    disk; tmpfs is seen through `space.run` only), `space.logs` with the logs of all daemons and
    pods. `node_ip` is the node, reached from pods and from tests; a test double that listens on
    `host_ip` is reached from pods. There is no cluster DNS.
    """

    def __init__(self, space: Space, *, say: Callable[[str], None]) -> None:
        """Start the cluster and wait until the node is Ready; *say* gets progress lines."""
        self._started = time.monotonic()
        self.space = space
        self.node_ip = space.node_ip
        self.host_ip = space.host_ip
        self.control_plane = ControlPlane(space)
        self.node = Node(space, self.control_plane)
        self.audit_log = self.control_plane.audit_log
        self.etcd_dir = self.control_plane.etcd_dir
        self.containerd_dir = self.node.containerd_dir
        self.kubelet_dir = self.node.kubelet_dir
        self.server = self.control_plane.server
        self.ca_pem = self.control_plane.ca.cert.read_text()
        tls = ssl.create_default_context(cadata=self.ca_pem)
        admin = self.control_plane.admin_cert, self.control_plane.admin_key
        tls.load_cert_chain(*admin)
        kubeconfig = self.control_plane.write_kubeconfig("admin", *admin)
        super().__init__(Api(self.server, tls), kubeconfig)
        self._start(say)

    def _start(self, say: Callable[[str], None]) -> None:
        with ThreadPoolExecutor() as pool:
            node = pool.submit(self._start_containerd)
            self.control_plane.etcd.start()
            self.control_plane.api_server.start()
            self.wait_api_ready()
            say(f"API server ready after {self._elapsed()}")
            self._grant()
            self.control_plane.controller_manager.start()
            self.control_plane.scheduler.start()
            node.result()
        self.node.kubelet.start()
        self.node.proxy.start()
        self.wait_node_ready()
        self._wait_default_account()
        say(f"node ready after {self._elapsed()}")

    def _start_containerd(self) -> None:
        self.node.start_containerd()
        for archive in base_images():
            self.node.load_image(archive)

    def _grant(self) -> None:
        """Give kube-proxy's user its rights; the API server makes the role but no binding."""
        group = "rbac.authorization.k8s.io"
        self.apply(
            {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "kube-proxy"},
                "roleRef": {
                    "apiGroup": group,
                    "kind": "ClusterRole",
                    "name": "system:node-proxier",
                },
                "subjects": [{"apiGroup": group, "kind": "User", "name": "system:kube-proxy"}],
            }
        )

    # --- waiting ---------------------------------------------------------------------------

    def wait_api_ready(self, *, timeout_s: float = 60) -> None:
        """Wait until the API server says that it is ready."""

        def attempt() -> bool:
            plane = self.control_plane
            plane.check_running(plane.etcd, plane.api_server)
            return self.api.request("GET", "/readyz", accept="*/*").body == b"ok"

        until(
            attempt,
            what="the API server is ready",
            timeout_s=timeout_s,
            retry_on=(ApiError, OSError),
            explain=self.control_plane.explain,
        )

    def wait_node_ready(self, *, timeout_s: float = 60) -> Object:
        """Wait until the node is Ready and return it."""
        try:
            return self.wait_condition("Node", NODE_NAME, timeout_s=timeout_s)
        except TooLateError as error:
            raise TooLateError(f"{error}\n{self.node.explain()}") from None

    def _wait_default_account(self) -> None:
        self.wait("ServiceAccount", "default", "default", until_true=bool, what="existence")

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._started:.1f} s"

    # --- faults ----------------------------------------------------------------------------

    def restart_kubelet(self, *, feature_gates: Mapping[str, bool] | None = None) -> None:
        """Restart the kubelet, with *feature_gates* set and all others at their defaults."""
        self.node.configure_kubelet(feature_gates or {})
        path = f"/api/v1/nodes/{NODE_NAME}/proxy/healthz"
        until(
            lambda: self.api.request("GET", path, accept="*/*"),
            what="the kubelet answers",
            timeout_s=30,
            retry_on=(ApiError, OSError),
            explain=self.node.explain,
        )
        self.wait_node_ready()

    def restart_containerd(self) -> None:
        """Restart containerd; running containers keep running."""
        self.node.containerd.stop()
        self.node.start_containerd()
        self.wait_node_ready()

    def restart_api_server(self, *, plugins: tuple[str, ...] = ()) -> None:
        """Restart the API server, with these further admission plugins, and wait until ready."""
        self.control_plane.enable_plugins(*plugins)
        self.control_plane.api_server.restart(timeout_s=_GRACE_S)
        self.wait_api_ready()

    def restart_etcd(self) -> None:
        """Restart etcd and wait until the API server is ready again."""
        self.control_plane.etcd.restart(timeout_s=_GRACE_S)
        self.wait_api_ready()

    def kill_sandbox(self, pod: str, namespace: str) -> None:
        """Kill a pod's sandbox, as a reboot does: the kubelet makes a new one and starts over."""
        labels = (
            f'labels."io.kubernetes.pod.name"=={pod}',
            f'labels."io.kubernetes.pod.namespace"=={namespace}',
            'labels."io.cri-containerd.kind"==sandbox',
        )
        found = self.node.ctr("containers", "list", "--quiet", ",".join(labels))
        running = self.node.tasks()
        for sandbox in set(found.decode().split()) & set(running):
            self.node.ctr("tasks", "kill", "--signal", "SIGKILL", sandbox)

    # --- containers as the node sees them ----------------------------------------------------

    def container_pid(self, pod: str, container: str, namespace: str) -> int:
        """Return the process id, in the space, of a running container's first process."""
        status = self.get("Pod", pod, namespace)["status"]
        kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
        statuses = [entry for kind in kinds for entry in status.get(kind, [])]
        identity = next(s["containerID"] for s in statuses if s["name"] == container)
        return self.node.tasks()[identity.removeprefix("containerd://")]

    def container_environ(self, pod: str, container: str, namespace: str) -> dict[bytes, bytes]:
        """Return the environment of a running container's first process, without its help."""
        pid = self.container_pid(pod, container, namespace)
        entries = self.space.run("cat", f"/proc/{pid}/environ").split(b"\0")
        return dict(entry.partition(b"=")[::2] for entry in entries if entry)

    def container_file(self, pod: str, container: str, namespace: str, path: str) -> bytes:
        """Return a file as a running container sees it, also from an image without a shell."""
        pid = self.container_pid(pod, container, namespace)
        return self.space.run("cat", f"/proc/{pid}/root{path}")

    def load_image(self, archive: Path) -> None:
        """Import a docker-archive, so that pods find its images without pulling."""
        self.node.load_image(archive)

"""etcd, the API server, the controller manager and the scheduler of one run."""

import json
from pathlib import Path

from tests.e2e.testbed import cache
from tests.e2e.testbed.pki import Authority, write_key_pair
from tests.e2e.testbed.process import Daemon, TooLateError
from tests.e2e.testbed.space import SERVICE_RANGE, Space

NODE_NAME = "testbed"
API_PORT = 6443
_ETCD = "http://127.0.0.1:2379"
_PLUGINS = "--enable-admission-plugins="

# Bodies of everything that could carry a secret value; heartbeats are left out for their number.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "None",
            "resources": [
                {"group": "coordination.k8s.io", "resources": ["leases"]},
                {"group": "", "resources": ["nodes", "nodes/status"]},
            ],
        },
        {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/openapi*", "/api*"]},
        {"level": "RequestResponse"},
    ],
}


class ControlPlane:
    """The daemons that make up Kubernetes without a node.

    `ca`, `service_account_keys` (private, public) and the files of `kubeconfig` stay valid over
    restarts of any daemon.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        pki = space.state / "pki"
        self.ca = Authority(pki, "kubernetes-ca")
        self.service_account_keys = write_key_pair(pki, "service-accounts")
        self.server = f"https://{space.node_ip}:{API_PORT}"
        self.audit_log = space.state / "audit.log"
        self.etcd_dir = space.state / "etcd"
        self.admin_cert, self.admin_key = self.ca.issue(
            "admin", common_name="admin", groups=("system:masters",)
        )
        self.etcd = space.daemon(
            cache.bin_dir() / "etcd",
            f"--data-dir={self.etcd_dir}",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
        )
        self.api_server = space.daemon(
            cache.bin_dir() / "kube-apiserver", *self._api_server_flags(pki)
        )
        user = "system:kube-controller-manager"
        self.controller_manager = space.daemon(
            cache.bin_dir() / "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig('controller-manager', user)}",
            f"--service-account-private-key-file={self.service_account_keys[0]}",
            f"--root-ca-file={self.ca.cert}",
            f"--cluster-signing-cert-file={self.ca.cert}",
            f"--cluster-signing-key-file={self.ca.key}",
            "--use-service-account-credentials",
            # It asks for a token per controller before it starts any; the default rate takes 5 s.
            "--kube-api-qps=500",
            "--kube-api-burst=500",
            "--leader-elect=false",
            "--secure-port=0",
        )
        self.scheduler = space.daemon(
            cache.bin_dir() / "kube-scheduler",
            f"--kubeconfig={self.kubeconfig('scheduler', 'system:kube-scheduler')}",
            "--leader-elect=false",
            "--secure-port=0",
        )

    def kubeconfig(self, name: str, user: str, *groups: str) -> Path:
        """Write a kubeconfig for *user*, with a certificate of its own, and return its path."""
        cert, key = self.ca.issue(name, common_name=user, groups=groups)
        return self.write_kubeconfig(name, cert, key)

    def write_kubeconfig(self, name: str, cert: Path, key: Path) -> Path:
        """Write a kubeconfig that uses an existing certificate, and return its path."""
        cluster = {"server": self.server, "certificate-authority": str(self.ca.cert)}
        user = {"client-certificate": str(cert), "client-key": str(key)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "testbed", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": name}}],
            "current-context": "testbed",
        }
        path = self.space.state / f"{name}.kubeconfig"
        path.write_text(json.dumps(content, indent=1))
        return path

    def enable_plugins(self, *plugins: str) -> None:
        """Have the next API server run these admission plugins beside those that always are on.

        LimitRanger, ResourceQuota and PodSecurity are on by Kubernetes' own defaults.
        """
        argv = self.api_server.argv
        (index,) = (i for i, word in enumerate(argv) if word.startswith(_PLUGINS))
        argv[index] = _PLUGINS + ",".join(("NodeRestriction", *plugins))

    def explain(self) -> str:
        """Return the ends of the logs of the daemons, for error messages."""
        daemons = (self.etcd, self.api_server, self.controller_manager, self.scheduler)
        return "\n".join(daemon.tail(lines=5) for daemon in daemons)

    def check_running(self, *daemons: Daemon) -> None:
        """Raise TooLateError, with the end of its log, when one of *daemons* has ended."""
        for daemon in daemons:
            if not daemon.is_running:
                raise TooLateError(f"{daemon.name} ended\n{daemon.tail()}")

    def _api_server_flags(self, pki: Path) -> tuple[str, ...]:
        policy = self.space.state / "audit-policy.json"
        policy.write_text(json.dumps(_AUDIT_POLICY))
        hosts = ("127.0.0.1", self.space.node_ip, _first_address(SERVICE_RANGE), "localhost")
        names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
        cert, key = self.ca.issue("apiserver", common_name="kube-apiserver", hosts=hosts + names)
        private, public = self.service_account_keys
        return (
            f"--etcd-servers={_ETCD}",
            f"--secure-port={API_PORT}",
            f"--advertise-address={self.space.node_ip}",
            f"--cert-dir={pki}",
            f"--tls-cert-file={cert}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={self.ca.cert}",
            f"--kubelet-client-certificate={self.admin_cert}",
            f"--kubelet-client-key={self.admin_key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-key-file={public}",
            f"--service-account-signing-key-file={private}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC",
            f"{_PLUGINS}NodeRestriction",
            "--allow-privileged",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking",
        )


def _first_address(address_range: str) -> str:
    """Return the address of the Service `kubernetes` in *address_range*, such as 10.96.0.1."""
    return address_range.partition("/")[0].rpartition(".")[0] + ".1"

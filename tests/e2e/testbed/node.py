"""containerd, the kubelet and kube-proxy of one run: the node."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.testbed import cache
from tests.e2e.testbed.controlplane import NODE_NAME, ControlPlane
from tests.e2e.testbed.process import CommandFailedError, run, until
from tests.e2e.testbed.space import POD_RANGE, Space

CNI_PLUGINS = Path("/usr/lib/cni")
PAUSE_IMAGE = "localhost/pause:testbed"
_SOCKET = "/run/containerd.sock"

_CONTAINERD = """\
version = 3
root = "{state}/containerd"
state = "/run/containerd-state"
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/containerd/opt"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "{state}/registries"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{plugins}"]
    conf_dir = "{state}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "{runc}"
      SystemdCgroup = false
"""


class Node:
    """The one node. Its files: `containerd_dir` with the metadata database, `kubelet_dir`."""

    def __init__(self, space: Space, control_plane: ControlPlane) -> None:
        self.space = space
        self.containerd_dir = space.state / "containerd"
        self.kubelet_dir = space.state / "kubelet"
        self._control_plane = control_plane
        self._write_network()
        self.containerd = space.daemon(
            cache.bin_dir() / "containerd", f"--config={self._write_containerd()}"
        )
        user, groups = f"system:node:{NODE_NAME}", ("system:nodes",)
        kubeconfig = control_plane.kubeconfig("kubelet", user, *groups)
        self.kubelet = space.daemon(
            cache.bin_dir() / "kubelet",
            f"--config={self._write_kubelet({})}",
            f"--kubeconfig={kubeconfig}",
            f"--cert-dir={space.state / 'pki'}",
            f"--root-dir={self.kubelet_dir}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={space.node_ip}",
        )
        self.proxy = space.daemon(cache.bin_dir() / "kube-proxy", f"--config={self._write_proxy()}")

    def start(self) -> None:
        """Start containerd, wait for it, then start the kubelet and kube-proxy."""
        self.start_containerd()
        self.kubelet.start()
        self.proxy.start()

    def start_containerd(self) -> None:
        """Start containerd and wait until it answers."""
        self.containerd.start()
        until(
            lambda: self.ctr("version"),
            what="containerd answers",
            timeout_s=30,
            retry_on=(CommandFailedError,),
            explain=self.containerd.tail,
        )

    def configure_kubelet(self, feature_gates: Mapping[str, bool]) -> None:
        """Restart the kubelet with these feature gates set and all others at their defaults."""
        self.kubelet.stop()
        self._write_kubelet(feature_gates)
        self.kubelet.start()

    def ctr(self, *arguments: str | Path, check: bool = True, timeout_s: float = 120) -> bytes:
        """Run containerd's own client in the namespace of the pods and return its output."""
        program = cache.bin_dir() / "ctr"
        command = (program, f"--address={_SOCKET}", "--namespace=k8s.io", *arguments)
        return run(*self.space.enter, *command, check=check, timeout_s=timeout_s)

    def load_image(self, archive: Path) -> None:
        """Import a docker-archive, so that pods find its images without pulling."""
        self.ctr("images", "import", "--local", archive)

    def mirror(self, registry: str, address: str) -> None:
        """Pull the images of *registry* from a server at an address from now on."""
        folder = self.space.state / "registries" / registry
        folder.mkdir(parents=True, exist_ok=True)
        host = f'[host."{address}"]\n  capabilities = ["pull", "resolve"]\n'
        (folder / "hosts.toml").write_text(f'server = "{address}"\n{host}')

    def tasks(self) -> dict[str, int]:
        """Return the running containers and sandboxes: id to process id in the space."""
        rows = (line.split() for line in self.ctr("tasks", "list").decode().splitlines()[1:])
        return {row[0]: int(row[1]) for row in rows if row[2] == "RUNNING"}

    def explain(self) -> str:
        """Return the ends of the logs of the daemons, for error messages."""
        return "\n".join(d.tail(lines=8) for d in (self.containerd, self.kubelet, self.proxy))

    def _write_network(self) -> None:
        ranges = [[{"subnet": POD_RANGE.replace("/16", "/24")}]]
        routes = [{"dst": "0.0.0.0/0"}]
        store = str(self.space.state / "cni-addresses")
        ipam = {"type": "host-local", "dataDir": store, "ranges": ranges, "routes": routes}
        # Point to point, not a bridge: all traffic is routed, so Service addresses work without
        # a kernel that shows bridged packets to netfilter.
        content = {
            "cniVersion": "1.0.0",
            "name": "testbed",
            "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}],
        }
        folder = self.space.state / "cni"
        folder.mkdir()
        (folder / "10-testbed.conflist").write_text(json.dumps(content))

    def _write_containerd(self) -> Path:
        (self.space.state / "registries").mkdir()
        path = self.space.state / "containerd.toml"
        path.write_text(
            _CONTAINERD.format(
                state=self.space.state,
                socket=_SOCKET,
                pause=PAUSE_IMAGE,
                plugins=CNI_PLUGINS,
                runc=cache.bin_dir() / "runc",
            )
        )
        return path

    def _write_kubelet(self, feature_gates: Mapping[str, bool]) -> Path:
        webhook = {"enabled": True}
        content = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": webhook,
                "x509": {"clientCAFile": str(self._control_plane.ca.cert)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.space.cgroup,
            "containerRuntimeEndpoint": f"unix://{_SOCKET}",
            "enforceNodeAllocatable": [],
            "evictionHard": {"memory.available": "50Mi"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "featureGates": dict(feature_gates),
            "fileCheckFrequency": "1s",
            "imageGCHighThresholdPercent": 100,
            # What one test has pulled other tests call by another name.
            "imagePullCredentialsVerificationPolicy": "NeverVerify",
            "localStorageCapacityIsolation": False,
            "nodeStatusUpdateFrequency": "1s",
            "podLogsDir": str(self.space.logs / "pods"),
            "readOnlyPort": 0,
            "resolvConf": "/dev/null",
            "serializeImagePulls": False,
            "syncFrequency": "10s",
            "volumePluginDir": str(self.space.state / "volume-plugins"),
        }
        return self._write("kubelet.json", content)

    def _write_proxy(self) -> Path:
        kubeconfig = self._control_plane.kubeconfig("kube-proxy", "system:kube-proxy")
        content = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "clusterCIDR": POD_RANGE,
            "conntrack": {"maxPerCore": 0},
            "hostnameOverride": NODE_NAME,
            "mode": "iptables",
        }
        return self._write("kube-proxy.json", content)

    def _write(self, name: str, content: Mapping[str, object]) -> Path:
        path = self.space.state / name
        path.write_text(json.dumps(content))
        return path

"""A cluster that exists already, named by KUBECONFIG."""

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.e2e.testbed.api import Api
from tests.e2e.testbed.cluster import Cluster
from tests.e2e.testbed.process import run


class ExternalCluster(Cluster):
    """The current context of `KUBECONFIG`.

    Assumed of it: the user is an administrator; Kubernetes is 1.35 or newer; every node has the
    images `localhost/{busybox,distroless,secret-injector}:testbed` (for kind: `kind load
    image-archive`; `python -m tests.e2e.testbed images` prints the archives); pods reach this
    machine at `SECRET_INJECTOR_E2E_HOST`, where Vault listens. Tests that look into the node or
    restart its daemons are skipped.
    """

    def __init__(self, kubeconfig: Path) -> None:
        kubectl = shutil.which("kubectl")
        if not kubectl:
            raise RuntimeError("KUBECONFIG is set, so kubectl must be on the PATH")
        env = {"KUBECONFIG": str(kubeconfig)}
        view = run(kubectl, "config", "view", "--raw", "--minify", "--output=json", env=env)
        described = json.loads(view)["clusters"][0]["cluster"]
        self.server: str = described["server"]
        self.ca_pem = _ca_pem(described)
        self.host_ip = self.node_ip = os.environ.get("SECRET_INJECTOR_E2E_HOST", "127.0.0.1")
        # The proxy knows every way to log in that kubectl knows.
        self._proxy = subprocess.Popen(
            [kubectl, "proxy", "--port=0", "--reject-paths=^$"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, **env},
        )
        if self._proxy.stdout is None:
            raise AssertionError("the proxy has a pipe")
        said = self._proxy.stdout.readline().decode()
        found = re.search(r"127\.0\.0\.1:\d+", said)
        if not found:
            raise RuntimeError(f"kubectl proxy said: {said}")
        super().__init__(Api(f"http://{found[0]}", None), kubeconfig)

    def close(self) -> None:
        """End the proxy."""
        self._proxy.terminate()
        self._proxy.wait()
        if self._proxy.stdout:
            self._proxy.stdout.close()


def _ca_pem(described: dict[str, str]) -> str:
    if data := described.get("certificate-authority-data"):
        return base64.b64decode(data).decode()
    path = described.get("certificate-authority")
    return Path(path).read_text() if path else ""

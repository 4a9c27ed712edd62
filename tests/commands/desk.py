"""A person's machine beside a cluster: a kubeconfig, a folder of their own, and the command."""

import base64
import io
import json
import sys
from dataclasses import dataclass

from injector import cli
from tests.server.apiserver import NAMESPACES
from tests.server.secret_api import Threaded

CANARY = "c4n4ry p/w'$x"
_FORMS = (b"c4n4ry", base64.b64encode(b"c4n4ry"), base64.urlsafe_b64encode(b"c4n4ry"))


@dataclass(frozen=True)
class Done:
    """What a command ended with."""

    status: int
    out: str
    err: str


class Desk:
    """Commands run in this process, in `folder`; no canary may show but to who asks for it."""

    def __init__(self, folder, capture, patch):
        self.folder, self._capture, self._patch = folder, capture, patch
        self.cluster = Threaded()
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        patch.delenv("KUBECONFIG", raising=False)
        self.cluster.do(self.cluster.api.put(NAMESPACES, "shop"))
        self.kubeconfig(config(self.cluster.api.port))

    def kubeconfig(self, content, name=".kube/config"):
        """Write a kubeconfig, the one at home unless it is named, and return its path."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def stores(self, *definitions):
        """Define stores of this machine, each a name and a spec."""
        here = self.folder / ".secret-injector"
        here.mkdir(exist_ok=True)
        documents = [
            {"kind": "ClusterSecretStore", "metadata": {"name": name}, "spec": spec}
            for name, spec in definitions
        ]
        (here / "stores.yaml").write_text("\n---\n".join(map(json.dumps, documents)))

    def run(self, *argv, stdin=""):
        """Run the command with a text on its standard input."""
        data = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
        self._patch.setattr(sys, "stdin", data)
        status = cli.run(list(argv))
        out, err = self._capture.readouterr()
        shown = err if "--reveal" in argv else out + err
        assert [form for form in _FORMS if form in shown] == []
        return Done(status, out.decode("utf-8", "surrogateescape"), err.decode())

    def secret(self, *argv, store="k8s", stdin=""):
        """Run `secret` on a store."""
        return self.run("secret", argv[0], "--store", store, *argv[1:], stdin=stdin)

    def put(self, name, data, namespace="shop", **fields):
        """Store a Secret as somebody else would."""
        self.cluster.do(self.cluster.api.put_secret(namespace, name, data, **fields))

    def there(self, name, namespace="shop"):
        """Return a Secret as it is stored."""
        return self.cluster.secret(namespace, name)

    def values(self, name, namespace="shop"):
        """Return the values of a Secret as it is stored."""
        data = self.there(name, namespace)["data"]
        return {key: base64.b64decode(text).decode() for key, text in data.items()}

    def asked(self, *verbs):
        """Return how often the server was asked to do these things to Secrets."""
        seen = self.cluster.api.seen
        return sum(verb in verbs and "/secrets" in path for verb, path in seen)

    def close(self):
        self.cluster.close()


def config(port, *, namespace="shop", scheme="http", user=None, **cluster):
    """Return a kubeconfig with one context."""
    place = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    server = {"server": f"{scheme}://127.0.0.1:{port}", **cluster}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": place}],
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "u", "user": user or {}}],
    }

"""The rigs of stores without a server: files in a ConfigMap, mounted Secrets, a laptop's own."""

import json
import os

import pyrage

from injector import local_file
from tests.dotenv_text import dotenv_text
from tests.providers import sops_writer
from tests.providers.rigs import Rig


class LocalRig(Rig):
    """A real age file in a ConfigMap, its identity in a Secret."""

    name = "local"
    has_versions = has_binary = True
    names = (*Rig.names, "ünï/cödé", "with blank")

    def __init__(self, folder):
        super().__init__(folder)
        self.identity = pyrage.x25519.Identity.generate()
        self.secrets = local_file.EMPTY
        self.source("secrets/key/identity", f"# made for a test\n{self.identity}\n")
        self._write()

    def put(self, name, data):
        self.secrets = local_file.put(self.secrets, name, data, created="2026-01-01T00:00:00Z")
        self._write()

    def document(self):
        return {
            "local": {
                "file": {"configMapRef": {"name": "file", "key": "store.age"}},
                "identity": {"secretRef": {"name": "key", "key": "identity"}},
            }
        }

    def _write(self):
        sealed = local_file.encrypt(self.secrets, [str(self.identity.to_public())])
        self.source("configmaps/file/store.age", sealed)


class SopsRig(Rig):
    """A JSON file as SOPS encrypts it, in a ConfigMap, its age identity in a Secret."""

    name = "sops"
    names = (*Rig.names, "ünï/cödé", "with blank")

    def __init__(self, folder):
        super().__init__(folder)
        self.identity = pyrage.x25519.Identity.generate()
        self.tree = {}
        self.source("secrets/key/identity", f"{self.identity}\n")
        self._write()

    def put(self, name, data):
        node = self.tree
        *above, last = name.split("/")
        for key in above:
            node = node.setdefault(key, {})
        node[last] = data
        self._write()

    def document(self):
        return {
            "sops": {
                "file": {"configMapRef": {"name": "file", "key": "all.json"}},
                "identity": {"secretRef": {"name": "key", "key": "identity"}},
            }
        }

    def _write(self):
        sealed = sops_writer.encrypt(self.tree, sops_writer.for_age(self.identity.to_public()))
        self.source("configmaps/file/all.json", sealed)


class InImage:
    """What makes a rig's file one of the image; mixed into the rig of a ConfigMap."""

    def document(self):
        ((kind, spec),) = super().document().items()
        key = spec["file"]["configMapRef"]["key"]
        path = str(self.sources / "configmaps/file" / key)
        return {kind: {**spec, "file": {"imagePath": path}}}


class LocalInImageRig(InImage, LocalRig):
    """A real age file in the image, its identity in a Secret."""

    name = "local in the image"


class SopsInImageRig(InImage, SopsRig):
    """A JSON file as SOPS encrypts it, in the image, its age identity in a Secret."""

    name = "sops in the image"


class KubernetesRig(Rig):
    """Secrets as the kubelet lays them out, with its `..data` links."""

    name = "k8s"
    has_binary = True
    names = ("plain", "with.dots-and-dashes")

    def put(self, name, data):
        folder = self.sources / "secrets" / name
        stamp = folder / "..2026_01_01"
        stamp.mkdir(parents=True, exist_ok=True)
        for key, value in data.items():
            (stamp / key).write_bytes(value if isinstance(value, bytes) else value.encode())
            if not (folder / key).is_symlink():
                (folder / key).symlink_to(f"..data/{key}")
        if not (folder / "..data").is_symlink():
            (folder / "..data").symlink_to(stamp.name)

    def document(self):
        return {"k8s": {}}


class DotenvFolderRig(Rig):
    """A folder of dotenv files on a laptop: a file for each secret, a line for each field."""

    name = "dotenv folder"
    is_in_cluster = False
    names = (*Rig.names, "ünï/cödé", "with blank")

    def put(self, name, data):
        self.source(f"{name}.env", dotenv_text(data))

    def document(self):
        return {"dotenv": {"folder": str(self.sources)}}


class DotenvFileRig(Rig):
    """One dotenv file on a laptop: every variable is a secret, JSON where it has fields."""

    name = "dotenv file"
    is_in_cluster = False
    names = ("plain", "with.dots-and_dashes")

    def __init__(self, folder):
        super().__init__(folder)
        self.values = {}
        self.source("dev.env", "# nothing yet\n")

    def put(self, name, data):
        self.values[name] = json.dumps(data)
        self.source("dev.env", dotenv_text(self.values))

    def document(self):
        return {"dotenv": {"file": str(self.sources / "dev.env")}}


class EnvironmentRig(Rig):
    """The variables of this very process, behind a prefix that nobody else uses."""

    name = "env"
    is_in_cluster = False
    names = ("plain", "with.dots-and_dashes")
    prefix = "SECRET_INJECTOR_TEST_"

    def put(self, name, data):
        os.environ[self.prefix + name] = json.dumps(data)

    def document(self):
        return {"env": {"prefix": self.prefix}}

    def close(self):
        for name in [name for name in os.environ if name.startswith(self.prefix)]:
            del os.environ[name]

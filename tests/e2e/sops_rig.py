"""A rig whose files the real sops writes, and the program itself, for tests that look further.

The binary is SECRET_INJECTOR_SOPS, or the one that the e2e cache holds. It is told everything: no
home folder and no setting of the machine's user is in its environment.
"""

import json
import os
import subprocess
from pathlib import Path

from tests.e2e.testbed import cache
from tests.e2e.testbed.process import run
from tests.providers.file_rigs import SopsRig


def sops(*arguments, folder, **settings):
    """Run the program in a folder; return what it writes."""
    binary = os.environ.get("SECRET_INJECTOR_SOPS") or cache.bin_dir() / "sops"
    env = {"HOME": str(folder), "PATH": os.environ["PATH"], **settings}
    done = subprocess.run(
        [binary, *arguments], env=env, cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def new_key(folder, name):
    """Return a new identity file of age-keygen and its recipient."""
    file = Path(folder) / name
    run("age-keygen", "-o", file)
    return file, run("age-keygen", "-y", file).decode().strip()


class RealSopsRig(SopsRig):
    """The store of the contract; what is put is encrypted by sops before the next read."""

    def __init__(self, folder):
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.key, self.recipient = new_key(self.work, "key.txt")
        super().__init__(folder)
        self.source("secrets/key/identity", self.key.read_bytes())

    def read(self, *wanted, **how):
        (self.work / "all.json").write_text(json.dumps(self.tree))
        sops("encrypt", "-i", "--age", self.recipient, "all.json", folder=self.work)
        self.keep("all.json")
        return super().read(*wanted, **how)

    def document(self, name="all.json"):
        file = {"configMapRef": {"name": "file", "key": name}}
        identity = {"secretRef": {"name": "key", "key": "identity"}}
        return {"sops": {"file": file, "identity": identity}}

    def stored(self, *wanted, name):
        """Read a file of this name as it stands."""
        return super().read(*wanted, document=self.document(name))

    def keep(self, name):
        """Put a file of the work folder where the store reads it."""
        self.source(f"configmaps/file/{name}", (self.work / name).read_bytes())

    def _write(self):
        """Wait for the next read."""

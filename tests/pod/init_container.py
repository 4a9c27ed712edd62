"""The init container's program as a process on folders of a pod, and a look for what it leaked."""

import base64
import binascii
import json
import os
import subprocess
import sys
from urllib.parse import quote

from injector.core import plan_codec, stores
from injector.core.plan import (
    ContainerPlan,
    EnvItem,
    FileItem,
    Pick,
    Plan,
    PlanStore,
    PlanValue,
    Read,
)
from tests.pod.rendered import everything, volumes_in

CANARY = "c4n4ry'5f0e+/ä\n42"
"""A value that native variables cannot carry and every encoding changes."""

ORIGIN = "annotation secret-injector.io/env"


def plan_for(*reads, mode="launcher", filters=(), name="k8s", document=None):
    """Return a plan of one container `app`: a variable and a file for each (secret, key)."""
    values = tuple(
        PlanValue(parts=(Pick(read=i, field=key, filters=filters),), key=f"V{i}", origin=ORIGIN)
        for i, (_, key) in enumerate(reads)
    )
    app = ContainerPlan(
        name="app",
        env_mode=mode,
        env=tuple(EnvItem(name=f"V{i}", value=i) for i in range(len(reads))),
        files=tuple(FileItem(path=f"f{i}", value=i) for i in range(len(reads))),
    )
    return Plan(
        namespace="shop",
        service_account="api",
        stores=(PlanStore(name=name, document=stores.canonical(document or {"k8s": {}})),),
        reads=tuple(Read(store=0, path=secret) for secret, _ in reads),
        values=values,
        containers=(app,),
        deadline_s=20,
    )


class Pod:
    """A pod's folders with a Secret in its sources, and its init container's program."""

    def __init__(self, folder):
        self.folder = folder
        self.volumes = volumes_in(folder)
        self.secret = folder / "sources/secrets/app"
        self.secret.mkdir(parents=True)
        (self.secret / "password").write_text(CANARY)
        self.termination_log = folder / "termination-log"
        self.termination_log.touch()
        self.account = []

    def start(self, plan, *, before=(), **more):
        """Start the program, through the command `before` if any."""
        settings = {
            "SECRET_INJECTOR_PLAN": plan if isinstance(plan, str) else plan_codec.encode(plan),
            "SECRET_INJECTOR_VOLUME_DIR": str(self.volumes.volume),
            "SECRET_INJECTOR_ENV_DIR": str(self.volumes.env),
            "SECRET_INJECTOR_SOURCES_DIR": str(self.folder / "sources"),
            "SECRET_INJECTOR_LAUNCHER": str(self.volumes.launcher),
            "SECRET_INJECTOR_TERMINATION_LOG": str(self.termination_log),
            "POD_NAME": "api-7d4f",
        }
        return subprocess.Popen(
            [*before, sys.executable, "-m", "injector", "fetch"],
            env={**os.environ, **settings, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def fetch(self, plan, **more):
        """Run to the end; return status and messages after searching everything for the canary.

        The lines that say what was read are in `account` instead, those of failed tries in `tries`,
        parsed.
        """
        process = self.start(plan, **more)
        output, messages = process.communicate(timeout=30)
        assert output == ""
        assert_clean(output, messages, self.termination_log.read_text())
        lines = messages.splitlines(keepends=True)
        account = [line for line in lines if '"event":"secrets read"' in line]
        self.account = [json.loads(line) for line in account]
        tries = [line for line in lines if '"event":"try ' in line]
        self.tries = [json.loads(line) for line in tries]
        return process.returncode, "".join(line for line in lines if line not in account + tries)

    def is_blank(self):
        return everything(self.volumes.volume) == everything(self.volumes.env) == {}


def assert_clean(*texts):
    """Fail if the canary stands in a text, as it is or encoded."""
    data = CANARY.encode()
    forms = {
        CANARY,
        CANARY.split("'", maxsplit=1)[0],
        repr(CANARY)[1:-1],
        json.dumps(CANARY)[1:-1],
        quote(CANARY, safe=""),
        binascii.hexlify(data).decode(),
        base64.b64encode(data).decode().rstrip("="),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
    }
    assert not [form for form in forms for text in texts if form in text]
    assert not [text for text in texts if "Traceback" in text]

"""What a cluster would do around us, done on this machine, for `demo`.

The API server's call over TLS, the kubelet's mounts, the pod's two containers. The programs are the
real ones, started as processes; what they print is kept, to be searched for values afterwards.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import http.client
import json
import os
import select
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from injector.core import errors
from injector.core.errors import InjectorError, Problem
from webhook import certificates
from webhook.core.annotations import FILES_PATH
from webhook.core.our_container import PLAN_VARIABLE
from webhook.core.patch import LAUNCH_PATH

PATIENCE_S = 15.0
COMMAND = (sys.executable, "-m", "injector")


class RehearsalFailed(InjectorError):
    """A part did not do what it does in a cluster."""


def failed(what: str, *, source: str = "", hint: str = "") -> RehearsalFailed:
    """Return the error for a part that did not work."""
    problem = Problem(code=errors.INTERNAL_ERROR, what=what, source=source, hint=hint)
    return RehearsalFailed([problem])


class Webhook:
    """The real webhook in a process of its own, deciding by objects from files."""

    def __init__(self, folder: Path, objects: str) -> None:
        """Start it and wait until it serves; raises RehearsalFailed with its last line."""
        pair = certificates.issue(["localhost"], now=datetime.now(UTC), life=timedelta(hours=1))
        cert, key, catalog = folder / "tls.crt", folder / "tls.key", folder / "catalog.yaml"
        cert.write_bytes(pair.chain)
        key.touch(0o600)
        key.write_bytes(pair.key)
        catalog.write_text(objects)
        self._trust = ssl.create_default_context(cadata=pair.ca.decode())
        self._log = folder / "webhook.log"
        flags = {
            "host": "127.0.0.1",
            "port": 0,
            "health-port": 0,
            "metrics-port": 0,
            "tls-cert": cert,
            "tls-key": key,
            "catalog": catalog,
            "drain-grace-s": 0,
            "image": "secret-injector",
        }
        argv = [*COMMAND, "webhook", *(f"--{name}={value}" for name, value in flags.items())]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, env=_environment())
        try:
            self.port = self._started()
        except BaseException:
            self.stop()
            raise

    def review(self, pod: Mapping[str, Any]) -> tuple[bytes, float]:
        """Return the body of the answer to the pod's creation, and the milliseconds it took."""
        began_s = time.perf_counter()
        connection = http.client.HTTPSConnection(
            "localhost", self.port, context=self._trust, timeout=PATIENCE_S
        )
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/mutate", json.dumps(_review(pod)), headers)
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            raise failed(f"the webhook did not answer: {error.strerror}") from None
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise failed(f"the webhook answered with status {answer.status}")
        return body, (time.perf_counter() - began_s) * 1000

    def stop(self) -> str:
        """End it in order and return its whole log."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return self._log.read_text()

    def _started(self) -> int:
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s and self._process.poll() is None:
            for line in self._log.read_text().splitlines():
                if '"webhook started"' in line:
                    return int(json.loads(line)["reviews"])
            time.sleep(0.02)
        last = self._log.read_text().splitlines()[-2:]
        raise failed("the webhook did not start", hint=" ".join(last))


class Pod:
    """An injected pod's volumes, its init container and its app container, on this machine."""

    def __init__(self, folder: Path, spec: Mapping[str, Any], launcher: Path) -> None:
        """Make the volumes; the folder stands for the pod's memory."""
        self._folder, self._spec, self._launcher = folder, spec, launcher
        for name in ("volume", "env", "sources"):
            (folder / name).mkdir(parents=True)
        self.termination_log = folder / "termination-log"
        self.termination_log.touch()

    def mount(self, sources: Mapping[str, bytes]) -> None:
        """Put tokens, keys and files where the kubelet would project them."""
        for path, data in sources.items():
            target = self._folder / "sources" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch(0o600)
            target.write_bytes(data)

    def fetch(self) -> subprocess.CompletedProcess[str]:
        """Run the init container's program with the plan that stands in the pod."""
        init = self._spec["initContainers"][0]
        plan = next(entry["value"] for entry in init["env"] if entry["name"] == PLAN_VARIABLE)
        settings = {
            PLAN_VARIABLE: plan,
            "SECRET_INJECTOR_VOLUME_DIR": str(self._folder / "volume"),
            "SECRET_INJECTOR_ENV_DIR": str(self._folder / "env"),
            "SECRET_INJECTOR_SOURCES_DIR": str(self._folder / "sources"),
            "SECRET_INJECTOR_LAUNCHER": str(self._launcher),
            "SECRET_INJECTOR_TERMINATION_LOG": str(self.termination_log),
        }
        return subprocess.run(
            [*COMMAND, *init["args"]],
            env={**_environment(), **settings},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def start(self) -> subprocess.Popen[str]:
        """Start the first container's command, launcher in front, in an environment of PATH."""
        app = self._spec["containers"][0]
        launch = str(self._folder / "volume" / app["name"] / "launch")
        return subprocess.Popen(
            [word.replace(LAUNCH_PATH, launch) for word in app["command"][:2]] + app["command"][2:],
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def files(self) -> dict[str, Path]:
        """Return the first container's files: path as the app sees it → where it is here."""
        root = self._folder / "volume" / self._spec["containers"][0]["name"] / "files"
        return {
            f"{FILES_PATH}/{path.name}": path
            for path in sorted(root.iterdir())
            if not path.name.startswith("..")
        }


def first_line(process: subprocess.Popen[str]) -> str:
    """Return the first line that the process prints; raises RehearsalFailed when none comes."""
    if process.stdout is None or not select.select([process.stdout], [], [], PATIENCE_S)[0]:
        raise failed("the application did not say anything")
    return process.stdout.readline().rstrip("\n")


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment of a process as the kernel has it.

    For a moment of an execve the kernel shows none: a shell may become its last command. Nobody may
    look into the launcher before it is the command.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    found = b""
    while not found and time.monotonic() < deadline_s:
        with contextlib.suppress(PermissionError):
            found = Path(f"/proc/{pid}/environ").read_bytes()
    pairs = (os.fsdecode(entry).partition("=") for entry in found.split(b"\0") if entry)
    return {name: value for name, _, value in pairs}


def leaks(outputs: Iterable[str], values: Iterable[str]) -> int:
    """Return how many outputs hold a value, as it is or encoded."""
    spellings = {spelling for value in values for spelling in _spellings(value)}
    return sum(any(spelling in output for spelling in spellings) for output in outputs)


def _spellings(value: str) -> Iterable[str]:
    data = value.encode()
    yield value
    yield quote(value, safe="")
    yield json.dumps(value)[1:-1]
    yield binascii.hexlify(data).decode()
    yield base64.b64encode(data).decode().rstrip("=")
    yield base64.urlsafe_b64encode(data).decode().rstrip("=")
    for shift in (1, 2):  # inside longer text, base64 depends on where the value begins
        yield base64.b64encode(b"." * shift + data)[4:-4].decode()


def _review(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the API server sends when somebody creates the pod."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "0f1e2d3c-0000-4000-8000-000000000001",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "default",
            "operation": "CREATE",
            "userInfo": {"username": "developer"},
            "dryRun": False,
            "object": pod,
        },
    }


def _environment() -> dict[str, str]:
    """Return our environment without settings that would change how the programs run."""
    return {k: v for k, v in os.environ.items() if not k.startswith("SECRET_INJECTOR_")}

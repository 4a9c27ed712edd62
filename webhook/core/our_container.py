"""Our container: how the webhook makes it, and what others may add to it.

It is immune to what others put into its environment. Its command is our static launcher, which
starts the fetcher in `/` with arguments and an environment that are compiled in, and passes on only
the variables of PASSED, each checked (injector/launcher/fetcher.c). A guard must hold this:

    command, args     equal COMMAND and FETCH
    image             ours
    securityContext   as made here
    volumeMounts      those made here, and no other at, above or below one of OUR_PATHS;
                      `/var/run` may be a link to `/run`
    volumeDevices     none
    lifecycle         none
    env               the entries made here, each name once; the sources of `sources_text` only
                      where `env` of a container held references

Without effect, so tolerated: other variables and envFrom (the fetcher never sees them), the cloud
identities of PASSED (checked by launcher and provider), mounts elsewhere such as
/var/run/secrets/eks.amazonaws.com, pull policy, resources, workingDir.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from injector.core.plan import NATIVE, Plan
from injector.core.stores.source import Source
from webhook.core import sources_text
from webhook.core.pod import NAME
from webhook.core.sidecars import Sidecar
from webhook.core.sizing import Sizes, Sizing
from webhook.core.source_volumes import whole_secrets

ENV_VOLUME = f"{NAME}-env"
SOURCES_VOLUME = f"{NAME}-sources"
SECRET_VOLUME = f"{NAME}-secret-"
PLAN_VARIABLE = "SECRET_INJECTOR_PLAN"
VOLUME_PATH = "/secret-injector/volume"
ENV_PATH = "/secret-injector/env"
# A container that has nothing at this path is given the API token; ours needs none.
SOURCES_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
SECRETS_PATH = "/secret-injector/secrets"
COMMAND = ["/usr/lib/secret-injector/launcher"]
FETCH = ["fetch"]
# What our container's programs are made of or write to; `/etc` has the trusted certificates and the
# loader's configuration. The links /lib, /lib64, /bin and /sbin lead into /usr.
OUR_PATHS = (
    "/app",
    "/bin",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/sbin",
    "/secret-injector",
    "/sys",
    "/usr",
    SOURCES_PATH,
)
# The launcher's table.
PASSED = (
    PLAN_VARIABLE,
    "SECRET_INJECTOR_LOG_LEVEL",
    "POD_NAME",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
GROUP = 65532


@dataclass(frozen=True, slots=True, kw_only=True)
class PullSecrets:
    """Names of the pull Secrets for our image in these namespaces (patterns)."""

    namespaces: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """What the platform team decided about the containers that are added."""

    image: str
    pull_policy: str = "IfNotPresent"
    sizing: Sizing = field(default_factory=Sizing)
    run_as_user: int | Literal["auto"] | None = "auto"
    """auto: the one UID of the containers served, else 65532; None leaves it to the platform."""
    pull_secrets: tuple[PullSecrets, ...] = ()
    skipped: tuple[Sidecar, ...] = ()
    """Containers of other injectors, beside those that are known."""
    native_env: str = "auto"
    """auto, always or never: whether the kubelet may read variables from files."""
    listed_images: tuple[str, ...] = ()
    """Further names of the image, where a mirror rewrites them."""
    log_level: str = "info"
    deadline_s: float = 120.0
    max_deadline_s: float = 3600.0
    """The longest that a pod may ask for with the annotation `deadline`."""


def init_container(
    plan: Plan,
    encoded: str,
    needed: Sequence[Source],
    injection: Injection,
    *,
    user: int | None,
    sizes: Sizes,
    packed_sources: str = "",
) -> dict[str, Any]:
    """Return our init container: PSA restricted, no token but the stores' own, the plan as env.

    `packed_sources` are for whoever looks at the pod again; see `sources_text`.
    """
    found = [
        {"name": NAME, "mountPath": VOLUME_PATH},
        {"name": SOURCES_VOLUME, "mountPath": SOURCES_PATH, "readOnly": True},
    ]
    if any(part.env and part.env_mode == NATIVE for part in plan.containers):
        found.append({"name": ENV_VOLUME, "mountPath": ENV_PATH})
    for index, name in enumerate(whole_secrets(needed)):
        path = f"{SECRETS_PATH}/{name}"
        found.append({"name": f"{SECRET_VOLUME}{index}", "mountPath": path, "readOnly": True})
    return {
        "name": NAME,
        "image": injection.image,
        "imagePullPolicy": injection.pull_policy,
        "command": list(COMMAND),
        "args": list(FETCH),
        "env": [
            {"name": PLAN_VARIABLE, "value": encoded},
            {"name": "SECRET_INJECTOR_LOG_LEVEL", "value": injection.log_level},
            {
                "name": "POD_NAME",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
            },
            *([{"name": sources_text.VARIABLE, "value": packed_sources}] if packed_sources else ()),
        ],
        "resources": sizes.manifest(),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            **({} if user is None else {"runAsUser": user}),
            "runAsGroup": GROUP,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": found,
    }


def is_over_ours(mount_path: str) -> bool:
    """Say whether a mount there hides something of OUR_PATHS, or adds to it.

    The path counts as the runtime takes it: `//`, `.` and `..` have no effect.
    """
    path = _normal(mount_path)
    if f"{place_of(mount_path)}/".startswith(f"{place_of(SOURCES_PATH)}/"):
        return True
    return any(
        f"{ours}/".startswith(f"/{path}/" if path else "/") or f"/{path}/".startswith(f"{ours}/")
        for ours in OUR_PATHS
    )


def place_of(mount_path: str) -> str:
    """Return where a mount is: `//`, `.` and `..` have no effect, and `/var/run` is `/run`."""
    path = f"/{_normal(mount_path)}"
    return path.removeprefix("/var") if f"{path}/".startswith("/var/run/") else path


def _normal(mount_path: str) -> str:
    return posixpath.normpath(f"/{mount_path}").lstrip("/")

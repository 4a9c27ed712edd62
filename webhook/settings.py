"""What an operator may set: one dataclass, made once from flags and environment.

Every field is a flag (`--drain-grace-s 10`) and a variable (`SECRET_INJECTOR_DRAIN_GRACE_S=10`);
the flag wins. The text beside a field is its documentation and its line in `--help`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, get_type_hints

import msgspec

from injector.core import errors
from injector.core.errors import Problem, Refused
from webhook.core.images import Images
from webhook.core.our_container import Injection, PullSecrets
from webhook.core.sidecars import Sidecar
from webhook.core.sizing import Sizes, Sizing, quantities

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ENV_PREFIX = "SECRET_INJECTOR_"
_Json = TypeVar("_Json")
_Chosen = TypeVar("_Chosen", bound="DataclassInstance")
LEVELS = ("debug", "info", "warning", "error")


def setting(default: Any, meaning: str) -> Any:
    """Return a field with its default and its documentation."""
    return field(default=default, metadata={"meaning": meaning})


class Cidrs(tuple[IPv4Network | IPv6Network, ...]):
    """Networks from a text such as `10.0.0.0/16,fd00::/64`; an address alone is a network too."""

    __slots__ = ()

    def __new__(cls, text: str = "") -> Self:
        """Parse; raises ValueError when an entry is not a network."""
        return super().__new__(cls, (ip_network(e.strip()) for e in text.split(",") if e.strip()))


class Names(tuple[str, ...]):
    """Names from a text such as `kube-apiserver,spiffe://cluster.local/api`."""

    __slots__ = ()

    def __new__(cls, text: str = "") -> Self:
        """Parse."""
        return super().__new__(cls, (entry.strip() for entry in text.split(",") if entry.strip()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of the webhook process; durations are in seconds."""

    host: str = setting("", "address to listen on; empty is every address, IPv4 and IPv6")
    port: int = setting(8443, "port of /mutate and /validate, over TLS; 0 lets the system choose")
    health_port: int = setting(8081, "port of /healthz and /readyz, plain HTTP, for the kubelet")
    metrics_port: int = setting(8080, "port of /metrics, plain HTTP, for Prometheus")

    catalog: Path | None = setting(
        None, "YAML file or folder of objects to decide with; set, no cluster is contacted"
    )
    kubeconfig: Path | None = setting(
        None, "kubeconfig to reach the cluster with; unset, the pod's own ServiceAccount"
    )
    max_staleness_s: float = setting(
        300, "not ready when no word came from the API server for so long; 0 is never"
    )

    tls_cert: Path | None = setting(None, "PEM chain to serve; unset, the pair in the Secret")
    tls_key: Path | None = setting(None, "PEM key of the chain")
    tls_poll_s: float = setting(5, "how often the two files are looked at for a change")
    client_ca: Path | None = setting(
        None, "PEM bundle; callers of /mutate and /validate are asked for a certificate of it"
    )
    client_names: Names = setting(
        Names(), "names of which a caller's certificate must have one: CN, DNS name or URI"
    )
    client_mode: str = setting(
        "report", "report counts calls without such a certificate; require refuses them"
    )
    namespace: str = setting("", "the webhook's own namespace")
    service: str = setting("secret-injector", "name of the Service the API server calls")
    tls_secret: str = setting(
        "secret-injector-tls",
        "Secret of the own namespace that `secret-injector certificates` keeps",
    )
    mutating_configuration: str = setting(
        "",
        "MutatingWebhookConfigurations that must trust the certificate, with commas; empty is none",
    )
    validating_configuration: str = setting(
        "", "ValidatingWebhookConfigurations that must trust it too, with commas; empty is none"
    )
    lease: str = setting(
        "", "Lease of the own namespace that elects who writes statuses; empty is nobody"
    )
    pod_name: str = setting("", "name of this replica; empty is the host's name")
    ca_settle_s: float = setting(
        10, "time API servers get to see a new caBundle before its certificate is served"
    )
    tls_check_s: float = setting(15, "how often Secret and caBundle are looked at")

    request_timeout_s: float = setting(
        4.5, "longest a request may take to arrive; below the configuration's timeoutSeconds"
    )
    head_timeout_s: float = setting(
        5, "longest a TLS handshake or a request's head may take to arrive"
    )
    idle_timeout_s: float = setting(
        150, "an idle connection is closed after; above the API server's reuse of 90 s"
    )
    max_body_bytes: int = setting(3 * 2**20, "largest review; the API server's own request limit")
    max_connections: int = setting(
        512, "connections at once; beyond it the one that matters least gives way"
    )
    api_server_cidrs: Cidrs = setting(
        Cidrs(),
        "networks of the API servers, as 10.0.0.0/28,...: their addresses may hold all connections,"
        " any other address half of them",
    )
    drain_grace_s: float = setting(
        10, "time after SIGTERM in which requests are still answered, for endpoints to follow"
    )

    log_level: str = setting("info", "debug, info, warning or error")

    image: str = setting("", "image of the containers that are added to pods, by digest")
    previous_images: str = setting(
        "", "images of the release before, which its pods may still have; separated by blanks"
    )
    listed_images: str = setting(
        "", "further names of the image, where a mirror rewrites them; separated by blanks"
    )
    final_state: str = setting(
        "deny", "what a pod gets that was changed after the injection: deny, or warn"
    )
    pull_policy: str = setting("IfNotPresent", "their imagePullPolicy")
    cpu_request: str = setting("10m", "their CPU request where the pod does not decide")
    cpu_limit: str = setting("", "their CPU limit; empty: only where every container has one")
    memory_request: str = setting("32Mi", "their memory request where the pod does not decide")
    memory_limit: str = setting("128Mi", "their memory limit where the pod does not decide")
    storage_request: str = setting("", "their request of ephemeral storage; empty is none")
    storage_limit: str = setting("", "their limit of ephemeral storage; empty is none")
    min_cpu: str = setting("10m", "no CPU limit of theirs is below")
    min_memory: str = setting("64Mi", "no memory limit of theirs is below: the fetcher needs it")
    max_cpu: str = setting("2", "most CPU that a pod's annotation may ask for")
    max_memory: str = setting("1Gi", "most memory that a pod's annotation may ask for")
    max_storage: str = setting("1Gi", "most ephemeral storage that an annotation may ask for")
    run_as_user: str = setting(
        "auto", "their UID: auto, none (the platform chooses, as OpenShift does), or a number"
    )
    pull_secrets: str = setting(
        "", "pull Secrets for the image, as JSON: [{namespaces: [PATTERN], names: [NAME]}]"
    )
    skipped_containers: str = setting(
        "", "containers of other injectors, as JSON: [{owner: NAME, names: [..], images: [..]}]"
    )
    native_env: str = setting(
        "auto", "env-mode native: auto (by the nodes a pod can land on), always or never"
    )
    fetch_log_level: str = setting("info", "their log level")
    fetch_deadline_s: float = setting(120, "time a pod's fetch may take, retries included")
    max_deadline_s: float = setting(3600, "longest time that a pod's annotation may ask for")

    def images(self) -> Images:
        """Return the images that our container may have in a finished pod."""
        return Images(
            own=self.image,
            before=tuple(self.previous_images.split()),
            listed=tuple(self.listed_images.split()),
        )

    def injection(self) -> Injection:
        """Return what decisions need of the settings."""
        return Injection(
            image=self.image,
            pull_policy=self.pull_policy,
            sizing=self._sizing(),
            run_as_user=self._run_as_user(),
            pull_secrets=_json(self.pull_secrets, tuple[PullSecrets, ...], "pull-secrets"),
            skipped=_json(self.skipped_containers, tuple[Sidecar, ...], "skipped-containers"),
            native_env=self.native_env,
            listed_images=tuple(self.listed_images.split()),
            log_level=self.fetch_log_level,
            deadline_s=self.fetch_deadline_s,
            max_deadline_s=self.max_deadline_s,
        )

    def _sizing(self) -> Sizing:
        """Return the sizes; raises ValueError with the name of what is not a quantity."""
        return Sizing(
            usual=Sizes(
                requests=quantities(
                    cpu=self.cpu_request,
                    memory=self.memory_request,
                    ephemeral_storage=self.storage_request,
                ),
                limits=quantities(
                    cpu=self.cpu_limit,
                    memory=self.memory_limit,
                    ephemeral_storage=self.storage_limit,
                ),
            ),
            min_allowed=quantities(cpu=self.min_cpu, memory=self.min_memory),
            max_allowed=quantities(
                cpu=self.max_cpu, memory=self.max_memory, ephemeral_storage=self.max_storage
            ),
        )

    def _run_as_user(self) -> int | Literal["auto"] | None:
        """Return the UID; raises ValueError."""
        match self.run_as_user:
            case "auto":
                return "auto"
            case "none":
                return None
            case text if text.isascii() and text.isdigit() and 0 < int(text) < 2**31:
                return int(text)
        raise ValueError("run-as-user")


def _json(text: str, kind: type[_Json], name: str) -> _Json:
    """Return what the text holds, an empty one nothing; raises ValueError with the name."""
    try:
        return msgspec.json.decode(text or "[]", type=kind)
    except msgspec.MsgspecError:
        raise ValueError(name) from None


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings.

    Raises Refused (SI-201) with every variable and combination that is wrong; a malformed flag ends
    the process as argparse does.
    """
    settings, problems = read(
        Settings, argv, environ, command="webhook", purpose="Answer admission reviews."
    )
    problems += _contradictions(settings)
    if problems:
        raise Refused(problems)
    return settings


def read(
    kind: type[_Chosen],
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    command: str,
    purpose: str,
) -> tuple[_Chosen, list[Problem]]:
    """Return the settings of a command, and a problem for each variable of the wrong type.

    `kind` is a dataclass whose fields are made by `setting`; `purpose` stands in `--help`.
    """
    types = {name: _plain(of) for name, of in get_type_hints(kind).items()}
    values: dict[str, Any] = {}
    problems = []
    for spec in fields(kind):
        variable = ENV_PREFIX + spec.name.upper()
        if variable in environ:
            try:
                values[spec.name] = types[spec.name](environ[variable])
            except ValueError:
                what = f"is not a {types[spec.name].__name__}"
                problems.append(Problem(code=errors.ARGUMENT, what=what, source=variable))

    parser = argparse.ArgumentParser(
        prog=f"secret-injector {command}",
        description=f"{purpose} Every flag is also a variable: "
        f"--log-level is {ENV_PREFIX}LOG_LEVEL.",
        allow_abbrev=False,
    )
    for spec in fields(kind):
        shown = "" if spec.default in ("", None, ()) else f" (default {spec.default})"
        parser.add_argument(
            "--" + spec.name.replace("_", "-"),
            type=types[spec.name],
            help=spec.metadata["meaning"] + shown,
            metavar=types[spec.name].__name__.upper(),
        )
    given = parser.parse_args(list(argv))
    values |= {name: value for name, value in vars(given).items() if value is not None}
    return kind(**values), problems


def not_above_zero(settings: DataclassInstance, suffixes: tuple[str, ...]) -> list[str]:
    """Return a sentence for each setting with one of the suffixes that is not above zero."""
    return [
        f"--{spec.name.replace('_', '-')} must be above zero"
        for spec in fields(settings)
        if spec.name.endswith(suffixes) and getattr(settings, spec.name) <= 0
    ]


def _plain(kind: Any) -> Any:
    """Return the type to make of a text: `Path | None` is Path."""
    return Path if kind == Path | None else kind


def _contradictions(settings: Settings) -> list[Problem]:
    problems = []
    if (settings.tls_cert is None) != (settings.tls_key is None):
        problems.append("--tls-cert and --tls-key go together")
    if settings.tls_cert is None and not settings.namespace:
        problems.append("--namespace is needed for a self-signed certificate; or give --tls-cert")
    if settings.tls_cert is None and settings.catalog is not None:
        problems.append("--catalog works without a cluster, so it needs --tls-cert and --tls-key")
    if (settings.client_ca is None) != (not settings.client_names):
        problems.append(
            "--client-ca and --client-names go together: a cluster's CA signs for every kubelet too"
        )
    if not settings.image:
        problems.append("--image is needed: the image of the containers that are added to pods")
    problems += not_above_zero(settings, ("_timeout_s", "_poll_s", "_check_s", "max_body_bytes"))
    try:
        settings.injection()
    except ValueError as error:
        problems.append(f"the size or setting of {error} is not of its form; see --help")
    for flag, given, words in (
        ("client-mode", settings.client_mode, ("report", "require")),
        ("native-env", settings.native_env, ("auto", "always", "never")),
        ("final-state", settings.final_state, ("deny", "warn")),
        ("log-level", settings.log_level, LEVELS),
    ):
        if given not in words:
            problems.append(f"--{flag} must be {', '.join(words[:-1])} or {words[-1]}")
    return [Problem(code=errors.ARGUMENT, what=what) for what in problems]

"""Kinds of failure that show when a plan is carried out: values, stores, and handing over."""

from __future__ import annotations

from injector.core.codes import (
    AUTH,
    FINDINGS,
    INTERNAL,
    NOT_FOUND,
    UNAVAILABLE,
    UNDELIVERABLE,
    USAGE,
    code,
)

# 3xx: the value came, and is not what its owner promised.
REQUIRED = code(
    "SI-301", NOT_FOUND, "a required value is empty", "store a value, or give the key a default"
)
MISMATCH = code(
    "SI-302",
    UNDELIVERABLE,
    "a value does not match its pattern",
    "compare the stored value with the pattern in the definition",
)
EXPIRED_VALUE = code(
    "SI-303",
    UNDELIVERABLE,
    "a value is past its notAfter date",
    "rotate the secret and move the date",
)
FILTER = code(
    "SI-304",
    UNDELIVERABLE,
    "a filter cannot work on this value",
    "check that the stored value has the form the filter wants",
)
# 4xx and 5xx: a store's answer; the numbers follow HTTP where it has one.
UNAUTHENTICATED = code(
    "SI-401",
    AUTH,
    "the store does not accept who we are",
    "check role, audience and the ServiceAccount the store's role is bound to",
)
EXPIRED = code(
    "SI-402",
    AUTH,
    "the login expired or was revoked",
    "check the time to live of the tokens the store's role gives",
)
FORBIDDEN = code(
    "SI-403",
    AUTH,
    "the store knows us and does not let us read this",
    "allow the path in the store's policy for this identity",
)
MISSING = code(
    "SI-404",
    NOT_FOUND,
    "no such secret, key or version",
    "check the name, or give the key a default",
)
BODY = code(
    "SI-413",
    UNDELIVERABLE,
    "a value, or the answer or file that it stands in, is too large",
    "a value may take 1 MiB, what it stands in 8 MiB; keep large files elsewhere and only their key"
    " in the store",
)
CONTENT = code(
    "SI-415",
    UNDELIVERABLE,
    "the answer is not of the form expected",
    "check that the store's address is the store, and that the value is what the field wants",
)
THROTTLED = code(
    "SI-429",
    UNAVAILABLE,
    "the store asked us to slow down",
    "raise the store's quota, or spread the rollout",
)
INTERNAL_ERROR = code("SI-500", INTERNAL, "a fault of our own", "please report it with this line")
TLS = code(
    "SI-502",
    UNAVAILABLE,
    "no trusted connection to the store",
    "check caBundle, the certificate's names and dates, and the clock",
)
DOWN = code(
    "SI-503",
    UNAVAILABLE,
    "the store cannot be reached or is not in service",
    "check address, network policies and the store's health",
)
DEADLINE = code(
    "SI-504",
    UNAVAILABLE,
    "the time for all of it ran out",
    "check network policies and the store's health; where it is just slow, let the pod wait longer"
    " with secret-injector.io/deadline",
)
QUEUE_FULL = code(
    "SI-505",
    UNAVAILABLE,
    "too many reviews of this namespace wait for an answer",
    "controllers retry by themselves; create fewer objects of the namespace at once",
)
TOO_LATE = code(
    "SI-506",
    UNAVAILABLE,
    "the time for this review was over before its turn came",
    "controllers retry by themselves; if other namespaces meet it, too, add replicas or CPU",
)
# 6xx: handing over. 61x are the launcher's own lines (launcher.c).
VOLUME = code(
    "SI-601",
    UNDELIVERABLE,
    "the volume cannot take the files",
    "the line says how many bytes are needed; lower the size or number of values",
)
NOT_CARRIABLE = code(
    "SI-602",
    UNDELIVERABLE,
    "a value cannot be carried this way unchanged",
    "use a file, or env-mode launcher",
)
NATIVE_EMPTY = code(
    "SI-603",
    FINDINGS,
    "a kubelet leaves native variables empty",
    "set injected.nativeEnv in the chart to the value that the line names",
)
LAUNCH_FILE = code(
    "SI-610",
    UNAVAILABLE,
    "the launcher cannot read its env file",
    "see the log of the init container secret-injector",
)
LAUNCH_FORMAT = code(
    "SI-611",
    INTERNAL,
    "the launcher's env file is malformed",
    "the init container and the launcher must be of one image",
)
LAUNCH_COMMAND = code(
    "SI-612", USAGE, "the command cannot be executed", "check command and PATH of the container"
)
LAUNCH_SIZE = code(
    "SI-613",
    UNDELIVERABLE,
    "environment and arguments are larger than the kernel takes",
    "move large values to files",
)
LAUNCH_USAGE = code(
    "SI-614",
    USAGE,
    "the launcher was called wrongly",
    "launcher ENVFILE -- COMMAND [ARG...], or launcher exec COMMAND [ARG...]",
)
LAUNCH_VARIABLE = code(
    "SI-615",
    USAGE,
    "a variable is not passed to the fetcher",
    "its value is not of the form that the fetcher accepts; see who writes it into our container",
)

"""Every way the system can fail: one code per kind of failure, one exit status per code.

A failure is data (`Problem`) until somebody must stop; then it travels in an `InjectorError`, all
problems of one input together. No problem ever carries a secret value or a provider's raw body:
`what` is written by us, and holds names only.

    InjectorError          somebody must stop; carries the problems, knows its exit status
    ├── Refused            an input is wrong as written: reference, annotation, plan, argument
    ├── FetchFailed        a store did not give what the plan asks for
    └── DeliveryFailed     the values are there and cannot be handed over
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

OK, INTERNAL, USAGE, FINDINGS, DENIED, AUTH, NOT_FOUND, UNAVAILABLE, UNDELIVERABLE = range(9)
"""The exit statuses of every command but `run`, which keeps its child's."""

# Which status speaks for several problems: what a retry cannot cure comes before what it can.
_PRECEDENCE = (INTERNAL, USAGE, DENIED, AUTH, NOT_FOUND, UNDELIVERABLE, FINDINGS, UNAVAILABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A kind of failure: its id is for ever, its sentences may improve."""

    id: str
    exit: int
    title: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: what, where from, where to, as whom, and what to do about it.

    Texts are lower-case without a full stop. `source` is a place to read from or one in an input
    (`vault-prod kv/shop/db#password`, `annotation secret-injector.io/env`); `target` the variable
    or file that waits for it; `origin` the object that asked; `identity` who the store took us for.
    """

    code: Code
    what: str
    source: str = ""
    target: str = ""
    origin: str = ""
    identity: str = ""
    hint: str = ""

    def line(self) -> str:
        """Return the problem on one line, without its hint; control characters are escaped."""
        place = self.source
        if self.target:
            place += f" for {self.target}"
        if self.origin:
            place += f" ({self.origin})"
        as_whom = f"; as {self.identity}" if self.identity else ""
        text = (
            f"{self.code.id} {place.strip()}: {self.what}{as_whom}"
            if place
            else f"{self.code.id} {self.what}"
        )
        return printable(text)

    def render(self) -> str:
        """Return the line, and under it the hint: the problem's own or else its code's advice."""
        return f"{self.line()}\n       hint: {printable(self.hint or self.code.advice)}"


class InjectorError(Exception):
    """The base of all errors we raise; never raised itself. `problems` is never empty."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems in the order given."""
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.line() for problem in self.problems))

    @property
    def exit_status(self) -> int:
        """The status of the problem that a retry can cure least."""
        return exit_status(self.problems)


class Refused(InjectorError):
    """An input is wrong as written; the same input will be refused again."""


class FetchFailed(InjectorError):
    """A store did not give what the plan asks for."""


class DeliveryFailed(InjectorError):
    """The values were fetched and cannot be handed over as the plan says."""


def exit_status(problems: Iterable[Problem]) -> int:
    """Return the one exit status that speaks for all problems; `OK` when there is none."""
    present = {problem.code.exit for problem in problems}
    return next((status for status in _PRECEDENCE if status in present), OK)


def printable(text: str) -> str:
    """Return the text with every control, format and separator character but the blank escaped.

    Names in messages may come from a tenant; a terminal or a log must not obey them.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean "x"?` for the nearest known word, or an empty string."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1)
    return f'did you mean "{near[0]}"?' if near else ""


def _code(id_: str, exit_: int, title: str, advice: str) -> Code:
    return Code(id=id_, exit=exit_, title=title, advice=advice)


# 1xx: what somebody wrote. Found before anything runs: by the webhook, `mutate`, `lint`.
REFERENCE = _code(
    "SI-101",
    USAGE,
    "a value or a reference in it does not parse",
    "write #{store:path#field}, #{$/KEY} or #{$service/KEY}; a literal #{ is ##{",
)
ANNOTATION_UNKNOWN = _code(
    "SI-102", USAGE, "no such annotation", "docs/annotations.md lists every annotation"
)
ANNOTATION_VALUE = _code(
    "SI-103",
    USAGE,
    "an annotation's value is not of its form",
    "docs/annotations.md shows the form of each annotation",
)
NAME = _code(
    "SI-104",
    USAGE,
    "a name of a variable, file or path is not allowed",
    "variables match [A-Za-z_][A-Za-z0-9_]*; files are plain names without .. or /",
)
DUPLICATE = _code("SI-105", USAGE, "one name is set twice", "keep one of the two places")
POD = _code(
    "SI-106",
    USAGE,
    "this pod cannot take the injection",
    'rename what clashes, or opt out with secret-injector.io/inject: "false"',
)
EXPOSED = _code(
    "SI-107",
    USAGE,
    "a secret would be put where others can read it",
    "read the variable inside the process, or write #{KEY} in an env value",
)
NO_COMMAND = _code(
    "SI-108",
    USAGE,
    "a container without command needs a way to get its variables",
    "set command, use files, or run Kubernetes 1.35 or newer on every node",
)
TOO_LARGE = _code(
    "SI-109", USAGE, "too large", "split the set, or move large values to files of their own"
)
STORE_UNKNOWN = _code(
    "SI-110",
    USAGE,
    "no such store for this namespace",
    "kubectl get csstore lists the stores; allowedNamespaces says who may use each",
)
STORE_SPEC = _code(
    "SI-111",
    USAGE,
    "a store's definition is wrong",
    "docs/stores/ has a page for each provider with an example to paste",
)
NOT_SUPPORTED = _code("SI-112", USAGE, "not supported yet", "the changelog says when it arrives")
CONTAINER_UNKNOWN = _code(
    "SI-113",
    USAGE,
    "no such container in this pod",
    "name a container of the pod; init containers count when named",
)
REVIEW = _code(
    "SI-114",
    USAGE,
    "the request is not an AdmissionReview we can answer",
    "the API server sends admission.k8s.io/v1 AdmissionReview objects",
)
CYCLE = _code(
    "SI-115",
    USAGE,
    "the references go round in a circle",
    "break the circle at one of the keys listed",
)
IMPORT = _code(
    "SI-116",
    USAGE,
    "nothing by that name is offered to this service",
    "the owner lists who may import under spec.exports; check name, namespace and key",
)
LIMIT = _code(
    "SI-117", USAGE, "a limit is exceeded", "imports: 8 deep, 64 objects; 512 keys; 256 KiB of plan"
)
STEERING_NAME = _code(
    "SI-118",
    USAGE,
    "this variable steers a process and may not be imported",
    "set it in the pod's own annotation if you mean it",
)
RESOURCE = _code(
    "SI-119",
    USAGE,
    "a resource's definition is wrong",
    "kubectl explain shows the form; docs/resources.md the meaning",
)
IN_USE = _code(
    "SI-120", DENIED, "the object is still referred to", "remove the references listed first"
)
POLICY = _code(
    "SI-121",
    DENIED,
    "a policy does not allow this",
    "ask the owners of the policy named, or change what it names",
)
# 2xx: how a program of ours was called.
ARGUMENT = _code(
    "SI-201",
    USAGE,
    "the command was called wrongly",
    "secret-injector COMMAND --help shows examples",
)
PLAN = _code(
    "SI-202",
    USAGE,
    "the plan cannot be read",
    "the webhook and the injector image must be of one version; recreate the pod",
)
# 3xx: the value came, and is not what its owner promised.
REQUIRED = _code(
    "SI-301", NOT_FOUND, "a required value is empty", "store a value, or give the key a default"
)
MISMATCH = _code(
    "SI-302",
    UNDELIVERABLE,
    "a value does not match its pattern",
    "compare the stored value with the pattern in the definition",
)
EXPIRED_VALUE = _code(
    "SI-303",
    UNDELIVERABLE,
    "a value is past its notAfter date",
    "rotate the secret and move the date",
)
FILTER = _code(
    "SI-304",
    UNDELIVERABLE,
    "a filter cannot work on this value",
    "check that the stored value has the form the filter wants",
)
# 4xx and 5xx: a store's answer; the numbers follow HTTP where it has one.
UNAUTHENTICATED = _code(
    "SI-401",
    AUTH,
    "the store does not accept who we are",
    "check role, audience and the ServiceAccount the store's role is bound to",
)
EXPIRED = _code(
    "SI-402",
    AUTH,
    "the login expired or was revoked",
    "check the time to live of the tokens the store's role gives",
)
FORBIDDEN = _code(
    "SI-403",
    AUTH,
    "the store knows us and does not let us read this",
    "allow the path in the store's policy for this identity",
)
MISSING = _code(
    "SI-404",
    NOT_FOUND,
    "no such secret, key or version",
    "check the name, or give the key a default",
)
BODY = _code(
    "SI-413",
    UNDELIVERABLE,
    "the answer is larger than 1 MiB",
    "keep large files elsewhere and only their key in the store",
)
CONTENT = _code(
    "SI-415",
    UNDELIVERABLE,
    "the answer is not of the form expected",
    "check that the store's address is the store, and that the value is what the field wants",
)
THROTTLED = _code(
    "SI-429",
    UNAVAILABLE,
    "the store asked us to slow down",
    "raise the store's quota, or spread the rollout",
)
INTERNAL_ERROR = _code("SI-500", INTERNAL, "a fault of our own", "please report it with this line")
TLS = _code(
    "SI-502",
    UNAVAILABLE,
    "no trusted connection to the store",
    "check caBundle, the certificate's names and dates, and the clock",
)
DOWN = _code(
    "SI-503",
    UNAVAILABLE,
    "the store cannot be reached or is not in service",
    "the pod retries by itself; check address, network policies and the store's health",
)
DEADLINE = _code(
    "SI-504",
    UNAVAILABLE,
    "the time for all of it ran out",
    "the pod retries by itself; raise deadline if the store is just slow",
)
# 6xx: handing over. 61x are the launcher's own lines (launcher.c).
VOLUME = _code(
    "SI-601",
    UNDELIVERABLE,
    "the volume cannot take the files",
    "the line says how many bytes are needed; lower the size or number of values",
)
NOT_CARRIABLE = _code(
    "SI-602",
    UNDELIVERABLE,
    "a value cannot be carried this way unchanged",
    "use a file, or env-mode launcher",
)
LAUNCH_FILE = _code(
    "SI-610",
    UNAVAILABLE,
    "the launcher cannot read its env file",
    "see the log of the init container secret-injector",
)
LAUNCH_FORMAT = _code(
    "SI-611",
    INTERNAL,
    "the launcher's env file is malformed",
    "the init container and the launcher must be of one image",
)
LAUNCH_COMMAND = _code(
    "SI-612", USAGE, "the command cannot be executed", "check command and PATH of the container"
)
LAUNCH_SIZE = _code(
    "SI-613",
    UNDELIVERABLE,
    "environment and arguments are larger than the kernel takes",
    "move large values to files",
)
LAUNCH_USAGE = _code(
    "SI-614", USAGE, "the launcher was called wrongly", "launcher ENVFILE -- COMMAND [ARG...]"
)

CODES = {value.id: value for value in list(globals().values()) if isinstance(value, Code)}
"""Every code by its id: `explain SI-404` and docs/troubleshooting.md are made from it."""

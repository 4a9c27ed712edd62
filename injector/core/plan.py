"""The plan: what to fetch, from where, to where, as data. The one thing webhook and injector share.

A plan never holds a value; by import rule it cannot. It is frozen, compared by content, and travels
as canonical JSON, compressed, in an env variable of our containers (`plan_codec`).

    stores   where values live            reads    what to ask them for, each once
    values   how texts and reads combine  containers   which value becomes which variable or file

Values refer to reads and to *earlier* values by index, so shared keys stand once and there are no
cycles by construction.
"""

from __future__ import annotations

from injector.core.record import Record
from injector.core.reference import Filter

VERSION = 1
VERSION_WITH_ENV_FROM = 2
"""The version of plans with `env_from` in them; a reader of version 1 would leave that out."""

MAX_ENCODED = 96 * 1024
MAX_DECODED = 1024 * 1024
DEFAULT_DEADLINE_S = 120.0

LAUNCHER = "launcher"
NATIVE = "native"


class PlanStore(Record):
    """A store by name; `document` is its definition as canonical JSON (`stores.canonical`)."""

    name: str
    document: str


class Read(Record):
    """One request to a store: two references to the same (store, path, version) share it."""

    store: int
    path: str
    version: str | None = None


class Pick(Record):
    """A part of a value that comes from a read: the whole of it, a key or a JSON Pointer."""

    read: int
    field: str | None = None
    filters: tuple[Filter, ...] = ()


class Use(Record):
    """A part that is another, earlier value."""

    value: int
    filters: tuple[Filter, ...] = ()


Part = str | Pick | Use


class Rule(Record):
    """What the owner of a key promises about its value; checked before anything is written.

    `required` True wants a value that is not empty, False does without one, None wants one that
    may be empty. `default` stands in for a missing value; `matches` is a pattern (`pattern.py`)
    that must fit it; `not_after` an ISO date (UTC) from which on the value counts as expired.
    """

    required: bool | None = None
    default: str | None = None
    matches: str | None = None
    not_after: str | None = None


class PlanValue(Record):
    """How one key's value is made, and who said so: `origin` names the object, `key` its key."""

    parts: tuple[Part, ...]
    key: str
    origin: str
    rule: Rule | None = None


class EnvItem(Record):
    """A variable of a container and the value it gets."""

    name: str
    value: int


class FileItem(Record):
    """A file of a container: `path` below its files folder; `mode` None is the default.

    A path that begins with `/` is where the file is mounted by itself.
    """

    path: str
    value: int
    mode: int | None = None


class EnvFrom(Record):
    """Keys of a secret that become variables when it is read: which ones, and how they are called.

    `value` is the whole secret. A key that matches one of `keys` becomes `prefix` and its name, or
    the one that `rename` gives it; the result must match one pattern of each entry of `only`.
    `is_pods` says that the pod itself asks for it, `is_strict` that a key which may not become a
    variable is a failure.
    """

    value: int
    keys: tuple[str, ...]
    prefix: str = ""
    rename: tuple[tuple[str, str], ...] = ()
    only: tuple[tuple[str, ...], ...] = ()
    is_strict: bool = False
    is_pods: bool = False


class KeyRule(Record):
    """What a policy says about keys whose names nobody knows before the secret is read.

    `action` is the policy's: Deny keeps a key out, Warn and Audit tell of it.
    """

    policy: str
    action: str
    deny: tuple[str, ...] = ()
    final: tuple[str, ...] = ()


class ContainerPlan(Record):
    """What one container gets; `env_mode` is `LAUNCHER` or `NATIVE`, and irrelevant without env.

    `env_from` stands weakest first, and every name of `env` is stronger. `own` are the names that
    the pod itself sets, in the container or by annotation: none of them is replaced either.
    """

    name: str
    env_mode: str = LAUNCHER
    env: tuple[EnvItem, ...] = ()
    files: tuple[FileItem, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    own: tuple[str, ...] = ()

    @property
    def has_variables(self) -> bool:
        """Say whether the container gets variables, or may get some."""
        return bool(self.env or self.env_from)


class Plan(Record):
    """Everything the injector needs to know.

    `group` is the group that reads the files (mode 0440), None when only the user does (0400).
    `sources` are the references that stood in the pod's `env`: (container, name, text). Releases
    that gave them no variable of their own wrote them here; the fetcher has no use for them.
    `is_restarted` is whether the kubelet starts the container again when it fails; `is_patient`
    lets tries go on until the deadline; `mesh` names the service mesh whose proxy is in the pod.
    `rules` are what policies say about keys that become known only when they are read.
    """

    namespace: str
    service_account: str
    stores: tuple[PlanStore, ...] = ()
    reads: tuple[Read, ...] = ()
    values: tuple[PlanValue, ...] = ()
    containers: tuple[ContainerPlan, ...] = ()
    group: int | None = None
    deadline_s: float = DEFAULT_DEADLINE_S
    sources: tuple[tuple[str, str, str], ...] = ()
    is_restarted: bool = True
    is_patient: bool = False
    mesh: str = ""
    rules: tuple[KeyRule, ...] = ()

    def where(self, pick: Pick) -> str:
        """Return a read as people write it: `vault-prod kv/shop/db#password@3`."""
        read = self.reads[pick.read]
        field = f"#{pick.field}" if pick.field is not None else ""
        version = f"@{read.version}" if read.version is not None else ""
        return f"{self.stores[read.store].name} {read.path}{field}{version}"

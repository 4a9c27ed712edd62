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
    """A file of a container: `path` below its files folder; `mode` None is the default."""

    path: str
    value: int
    mode: int | None = None


class ContainerPlan(Record):
    """What one container gets; `env_mode` is `LAUNCHER` or `NATIVE`, and irrelevant without env."""

    name: str
    env_mode: str = LAUNCHER
    env: tuple[EnvItem, ...] = ()
    files: tuple[FileItem, ...] = ()


class Plan(Record):
    """Everything the injector needs to know.

    `group` is the group that reads the files (mode 0440), None when only the user does (0400).
    `sources` are the references that stood in the pod's `env`: (container, name, text). Releases
    that gave them no variable of their own wrote them here; the fetcher has no use for them.
    `is_restarted` is whether the kubelet starts the container again when it fails; `is_patient`
    lets tries go on until the deadline; `mesh` names the service mesh whose proxy is in the pod.
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

    def where(self, pick: Pick) -> str:
        """Return a read as people write it: `vault-prod kv/shop/db#password@3`."""
        read = self.reads[pick.read]
        field = f"#{pick.field}" if pick.field is not None else ""
        version = f"@{read.version}" if read.version is not None else ""
        return f"{self.stores[read.store].name} {read.path}{field}{version}"

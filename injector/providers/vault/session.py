"""A Vault or OpenBao server, entered: reads of KV v1 and v2 and of any other path, with leases.

Which kind of engine a mount is, is asked once per mount. The HTTP API's pages name the endpoints:
sys/internal/ui/mounts, kv/data, auth/token/revoke-self.

Of hvac the adapter alone is used: `hvac.Client` loads the classes of every auth method and engine,
and `logging`, which is half as long as everything else that a pod waits for (docs/adr has figures).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from hvac.adapters import JSONAdapter

from injector.connection import Unanswered
from injector.core import errors
from injector.core.plan import Read
from injector.core.record import Record, replace
from injector.core.secret import Failure, Json, Lease, LoginFailed, Secret
from injector.core.stores import Store
from injector.core.stores.vault import TokenLogin, Vault
from injector.deadline import Deadline
from injector.http_session import MAX_CONNECTIONS, Answer, HttpSession, Pool
from injector.leaving import PATIENCE_S, Leaving
from injector.providers import Access
from injector.providers.vault import answers, login
from injector.providers.vault.answers import below, policy_line

_READS_PER_CONNECTION = 3
"""A TLS connection costs about as much as three reads on an open one."""


_SYSTEM_TYPES = ("system", "ns_system", "identity", "ns_identity", "token", "ns_token")


class Mount(Record):
    """Where an engine is mounted, a slash at its end; `kv` is 1 or 2, 0 for any other engine."""

    path: str
    kv: int


def open_session(store: Store, access: Access) -> VaultSession:
    """Return a session that has logged in; raises LoginFailed."""
    spec = store.spec
    if not isinstance(spec, Vault):
        raise TypeError(store.provider)
    who = login.identity(spec)
    wire = HttpSession(
        spec.server,
        timeout_s=store.timeout_s,
        deadline=access.deadline,
        judge=answers.login_judge(*login.words(spec, access, store.audience)),
    )
    adapter = JSONAdapter(
        base_uri=spec.server.address.url(),
        token="",
        session=wire,
        namespace=spec.namespace,
        allow_redirects=False,
    )
    try:
        is_ours = login.log_in(adapter, spec, store=store.name, access=access)
    except LoginFailed as failed:
        wire.close()
        raise LoginFailed(replace(failed.failure, identity=who)) from None
    except Unanswered as failed:
        wire.close()
        raise LoginFailed(replace(failed.failure, identity=who)) from None
    wire.judge = answers.judge
    session = VaultSession(adapter, wire, who, spec, leaving=access.leaving, is_ours=is_ours)
    if access.leaving is not None:
        access.leaving.add(session.leave)
    return session


def absence(store: Store, access: Access) -> Failure | None:
    """Return why the server is not in service, or None: asked without a login (sys/health).

    A standby answers reads, or passes them on, so it is as good as an active one.
    """
    spec = store.spec
    if not isinstance(spec, Vault):
        raise TypeError(store.provider)
    wire = Pool(spec.server, timeout_s=store.timeout_s, deadline=access.deadline)
    target = f"{spec.server.address.base}/v1/sys/health?standbyok=true&perfstandbyok=true"
    try:
        return answers.absence(wire.exchange("GET", target, headers={"Accept": "application/json"}))
    except Unanswered as unanswered:
        return unanswered.failure
    finally:
        wire.close()


class VaultSession:
    """See `providers.Session`."""

    def __init__(
        self,
        adapter: JSONAdapter,
        wire: HttpSession,
        who: str,
        spec: Vault,
        *,
        leaving: Leaving | None,
        is_ours: bool,
    ) -> None:
        """Take over an adapter that has its token; `is_ours` says that we must revoke it."""
        self._adapter, self._http, self.identity = adapter, wire, who
        self._leaving, self._is_ours = leaving, is_ours
        self._has_lease, self._spec = False, spec
        self._mounts: list[Mount] = []
        self._lock = threading.Lock()

    def read(self, reads: Sequence[Read], deadline: Deadline) -> Mapping[Read, Secret | Failure]:
        """Read on as many connections as pay for themselves."""
        self._http.deadline = deadline
        found: dict[Read, Secret | Failure] = {}
        waiting = deque(reads)

        def work() -> None:
            while True:
                try:
                    read = waiting.popleft()
                except IndexError:
                    return
                found[read] = self._one(read)

        wanted = min(MAX_CONNECTIONS, -(-len(reads) // _READS_PER_CONNECTION))
        others = [threading.Thread(target=work, daemon=True) for _ in range(wanted - 1)]
        for thread in others:
            thread.start()
        work()
        for thread in others:
            thread.join()
        return self._without_dead_token(found)

    def close(self) -> None:
        """Leave, if nobody else decides when."""
        if self._leaving is None:
            self.leave(False)  # noqa: FBT003 (see `leaving.Leave`)

    def leave(self, is_lost: bool) -> None:  # noqa: FBT001 (see `leaving.Leave`)
        """Revoke the token, which revokes its leases, and close the connections.

        The token stays while its leases are in use: it brought some, and the values were handed
        over. Best effort: what Vault says to it, or whether it says anything, changes nothing.
        """
        if self._is_ours and (is_lost or not self._has_lease):
            self._http.deadline = Deadline.after(PATIENCE_S)
            with suppress(Unanswered):
                self._adapter.post("/v1/auth/token/revoke-self")
        self._http.close()

    def _one(self, read: Read) -> Secret | Failure:
        mount: Mount | None = None
        try:
            mount = self.mount_of(read.path)
            return self._read(mount, read)
        except Unanswered as unanswered:
            failure = replace(unanswered.failure, identity=self.identity)
            return replace(failure, hint=failure.hint or self._hint(failure, mount, read.path))

    def _hint(self, failure: Failure, mount: Mount | None, path: str) -> str:
        """Return what to do about a path that is not there, or that no policy lets us read.

        Vault says "forbidden" of what is not there to whom it does not let in, so both have the
        same hints. Without a mount we know no more than its name as it was written.
        """
        if failure.code not in (errors.MISSING, errors.FORBIDDEN):
            return ""
        if mount is None:
            return unknown_mount_hint(path, self._role())
        name = path.removeprefix(mount.path)
        if mount.kv == 2 and name.startswith("data/"):
            return f"leave out data/: write {mount.path}{name.removeprefix('data/')}"
        if failure.code is errors.MISSING:
            return ""
        line = policy_line(f"{mount.path}data/{name}" if mount.kv == 2 else path, "read")
        return f"{self._role()} needs {line}"

    def _role(self) -> str:
        """Return whose policies they are, for a hint."""
        spec = self._spec.login
        return f'a policy of role "{spec.role}"' if isinstance(spec, TokenLogin) else "a policy"

    def _read(self, mount: Mount, read: Read) -> Secret | Failure:
        name = read.path.removeprefix(mount.path)
        if mount.kv == 2:
            return self._read_versioned(mount, name, read.version)
        if read.version is not None:
            what = "this mount keeps no versions" if mount.kv else "only KV version 2 has versions"
            raise Unanswered(Failure(code=errors.MISSING, what=what, hint="leave out the version"))
        answer = self._adapter.get(f"/v1/{quote(read.path)}")
        data = _mapping(below(answer, "data"))
        if data is None:
            raise Unanswered(Failure(code=errors.CONTENT, what="the answer holds no data"))
        lease = _lease(answer)
        self._has_lease = self._has_lease or lease is not None
        return Secret(data, lease=lease)

    def _read_versioned(self, mount: Mount, name: str, version: str | None) -> Secret:
        try:
            answer = self._adapter.get(
                f"/v1/{quote(mount.path)}data/{quote(name)}",
                params={} if version is None else {"version": version},
            )
        except Unanswered as unanswered:
            failure = unanswered.failure
            if failure.what == "no such secret" and version is not None:
                what = f"no such secret, or no version {version} of it"
                raise Unanswered(replace(failure, what=what)) from None
            raise
        data = _mapping(below(answer, "data", "data"))
        if data is None:
            raise Unanswered(Failure(code=errors.CONTENT, what="the answer holds no data"))
        return Secret(data, version=_text(below(answer, "data", "metadata", "version")))

    @property
    def deadline(self) -> Deadline:
        """When everything that is asked must be answered."""
        return self._http.deadline

    def ask(
        self,
        method: str,
        path: str,
        *,
        judge: Callable[[Answer], Failure] = answers.judge,
        **content: Any,
    ) -> Any:
        """Return the parsed answer to one request below /v1/, for a writer; raises Unanswered."""
        self._http.judge = judge
        try:
            return self._adapter.request(method, f"/v1/{path}", **content)
        finally:
            self._http.judge = answers.judge

    def mount_of(self, path: str) -> Mount:
        """Return the mount that the path lies in; asks the server when it is a new one."""
        with self._lock:
            for mount in self._mounts:
                if path.startswith(mount.path):
                    return mount
            answer = self._adapter.get(f"/v1/sys/internal/ui/mounts/{quote(path)}")
            about = below(answer, "data")
            where = _text(below(about, "path"))
            if where is None or not path.startswith(where) or not where.endswith("/"):
                raise Unanswered(
                    Failure(code=errors.CONTENT, what="the answer does not say what is mounted")
                )
            if below(about, "type") in _SYSTEM_TYPES:
                # A path may begin with a namespace of the server, and only the server knows.
                inside = path[where.rstrip("/").rfind("/") + 1 :]
                if problem := self._spec.system_problem(inside):
                    raise Unanswered(Failure(code=errors.FORBIDDEN, what=problem))
            is_kv = below(about, "type") in ("kv", "generic")
            is_versioned = below(about, "options", "version") == "2"
            mount = Mount(path=where, kv=(2 if is_versioned else 1) if is_kv else 0)
            self._mounts.append(mount)
            return mount

    def _without_dead_token(
        self, found: dict[Read, Secret | Failure]
    ) -> Mapping[Read, Secret | Failure]:
        """Tell a forbidden path from a dead token: older servers say the same of both.

        They are asked what every living token may ask, whatever its policies: the list of mounts.
        """
        forbidden = [
            read
            for read, answer in found.items()
            if isinstance(answer, Failure) and answer.code is errors.FORBIDDEN
        ]
        if not forbidden:
            return found
        try:
            self._adapter.get("/v1/sys/internal/ui/mounts")
        except Unanswered as unanswered:
            if unanswered.failure.code in (errors.FORBIDDEN, errors.EXPIRED):
                self._is_ours = False  # nothing is left to revoke
                dead = Failure(
                    code=errors.EXPIRED,
                    what="the token has expired or was revoked",
                    identity=self.identity,
                )
                found.update(dict.fromkeys(forbidden, dead))
        return found


def unknown_mount_hint(path: str, whose: str) -> str:
    """Return what to do where Vault does not tell a mount that is not there from a closed one."""
    name, _, below_it = path.partition("/")
    versioned = policy_line(f"{name}/data/{below_it.removeprefix('data/')}", "read")
    needs = f"{policy_line(path, 'read')}, or for KV version 2 {versioned}"
    if below_it.startswith("data/"):
        needs = f"{versioned}, and the reference no data/: {name}/{below_it.removeprefix('data/')}"
    asked = f'is "{name}" the mount\'s name? vault secrets list shows them'
    return f"{asked}; else {whose} needs {needs}"


def _mapping(value: object) -> Mapping[str, Json] | None:
    return value if isinstance(value, Mapping) else None


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str) else None


def _lease(answer: object) -> Lease | None:
    """Return the lease of a dynamic secret; an answer without a lease id has none to renew."""
    lease_id = below(answer, "lease_id")
    duration = below(answer, "lease_duration")
    if not isinstance(lease_id, str) or not lease_id:
        return None
    seconds = float(duration) if isinstance(duration, str) and duration.isdigit() else 0.0
    return Lease(id=lease_id, duration_s=seconds, is_renewable=below(answer, "renewable") is True)

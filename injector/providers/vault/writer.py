"""Writing to Vault's KV engines: check-and-set in version 2, last one wins in version 1.

The HTTP API's pages "KV secrets engine version 1/2" name the endpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from injector.connection import Unanswered
from injector.core import errors
from injector.core.errors import FetchFailed, Problem
from injector.core.plan import Read
from injector.core.record import replace
from injector.core.secret import Failure, Fields, Secret
from injector.core.stores import Store
from injector.http_session import Answer
from injector.providers import Access
from injector.providers.vault import answers, session
from injector.providers.vault.answers import below, policy_line
from injector.providers.vault.session import Mount, VaultSession
from injector.writers import Change, Held, Past, merged, refused, texts

_ATTEMPTS = 5
_CONFLICT = "somebody else changed the secret meanwhile"
_MAX_NAMES = 10_000


def open_writer(store: Store, access: Access) -> VaultWriter:
    """Return a writer that has logged in; raises LoginFailed."""
    return VaultWriter(session.open_session(store, access), store.name)


class VaultWriter:
    """See `writers.Writer`."""

    def __init__(self, entered: VaultSession, name: str) -> None:
        """Take over the session."""
        self._session, self._name = entered, name

    def names(self, folder: str = "") -> Sequence[str]:
        """Return the names below every KV mount, or in one folder, as far as we may list them."""
        mounts = below(self._ask("get", "sys/internal/ui/mounts"), "data", "secret")
        found: list[str] = []
        hidden: list[str] = []
        for path, about in sorted((mounts if isinstance(mounts, Mapping) else {}).items()):
            is_concerned = folder.startswith(path) or path.startswith(folder)
            if is_concerned and below(about, "type") in ("kv", "generic"):
                is_versioned = below(about, "options", "version") == "2"
                mount = Mount(path=path, kv=2 if is_versioned else 1)
                start = folder.removeprefix(path) if folder.startswith(path) else ""
                found += self._below(mount, start, hidden)
        if hidden and not found:
            what = f"no policy lets us list {', '.join(hidden)}"
            hint = "name a folder that one lets us list, as in: secret list secret/shop/"
            failure = Failure(
                code=errors.FORBIDDEN, what=what, hint=hint, identity=self._session.identity
            )
            raise refused(failure, self._name)
        return found

    def read(self, name: str, version: str | None = None) -> Held | None:
        """Return the data; what is no text is given as JSON text."""
        found, number = self._newest(name, version)
        return None if found is None else Held(data=texts(found), version=str(number or ""))

    def history(self, name: str) -> Sequence[Past]:
        """Return the versions that the engine still has; KV version 1 keeps none."""
        mount = self._mount(name)
        if mount.kv != 2:
            held = self.read(name)
            keys = tuple(sorted(held.data)) if held is not None else ()
            return [] if held is None else [Past(version="", created="", state="", keys=keys)]
        answer = self._maybe("get", mount, "metadata", name)
        versions = below(answer, "data", "versions")
        listed = versions if isinstance(versions, Mapping) else {}
        return [
            Past(
                version=number,
                created=str(below(about, "created_time") or ""),
                state=_state(about),
                keys=(),
            )
            for number, about in sorted(listed.items(), key=lambda item: int(item[0]))
        ]

    def change(self, name: str, change: Change) -> str:
        """Write a new version of it, if nobody else did meanwhile; else begin again."""
        mount = self._mount(name)
        for _ in range(_ATTEMPTS):
            found, version = self._newest(name)
            before = None if found is None else texts(found)
            after = change(before)
            if after is None:
                self._maybe("delete", mount, "metadata" if mount.kv == 2 else "", name)
                return ""
            if before is not None and dict(after) == dict(before):
                return str(version or "")
            try:
                return self._write(mount, name, merged(found or {}, after), version)
            except Unanswered as failed:
                if failed.failure.what != _CONFLICT:
                    raise self._refused(failed, name, self._needs_write(mount, name)) from None
        failure = Failure(code=errors.DOWN, what=f"{_CONFLICT}, {_ATTEMPTS} times")
        raise refused(failure, f"{self._name} {name}")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _newest(self, name: str, version: str | None = None) -> tuple[Fields | None, int]:
        """Return the data and the number of the newest version, which may be a deleted one."""
        read = Read(store=0, path=name, version=version)
        answer = self._session.read([read], self._session.deadline)[read]
        if isinstance(answer, Secret):
            data = answer.reveal()
            return data if isinstance(data, Mapping) else {}, int(answer.version or 0)
        if answer.code is not errors.MISSING:
            raise refused(answer, f"{self._name} {name}")
        versions = self.history(name) if self._mount(name).kv == 2 else ()
        return None, max((int(past.version) for past in versions), default=0)

    def _write(self, mount: Mount, name: str, data: dict[str, object], version: int) -> str:
        if mount.kv != 2:
            self._session.ask("post", f"{quote(mount.path)}{quote(_below(mount, name))}", json=data)
            return ""
        answer = self._session.ask(
            "post",
            f"{quote(mount.path)}data/{quote(_below(mount, name))}",
            judge=_judge,
            json={"options": {"cas": version}, "data": data},
        )
        return str(below(answer, "data", "version") or "")

    def _needs_write(self, mount: Mount, name: str) -> str:
        kind = "data/" if mount.kv == 2 else ""
        line = policy_line(f"{mount.path}{kind}{_below(mount, name)}", "create", "update")
        return f"a policy needs {line}"

    def _below(self, mount: Mount, folder: str, hidden: list[str]) -> list[str]:
        """Return the names in the folder; folders that we may not list are added to `hidden`."""
        kind = "metadata/" if mount.kv == 2 else ""
        where = f"{quote(mount.path)}{kind}{quote(folder)}"
        try:
            answer = self._session.ask("get", where, params={"list": "true"})
        except Unanswered as failed:
            if failed.failure.code is errors.FORBIDDEN:
                hidden.append(f"{mount.path}{folder}")
            elif failed.failure.code is not errors.MISSING:
                raise self._refused(failed, mount.path) from None
            return []
        keys = below(answer, "data", "keys")
        found: list[str] = []
        for key in keys if isinstance(keys, list) else []:
            if len(found) > _MAX_NAMES:
                break
            is_folder = str(key).endswith("/")
            found += (
                self._below(mount, f"{folder}{key}", hidden)
                if is_folder
                else [f"{mount.path}{folder}{key}"]
            )
        return found

    def _mount(self, name: str) -> Mount:
        try:
            mount = self._session.mount_of(name)
        except Unanswered as failed:
            raise self._refused(failed, name) from None
        if not mount.kv:
            what = f"{mount.path} is no KV engine; only those can be written"
            problem = Problem(code=errors.NOT_SUPPORTED, what=what, source=f"{self._name} {name}")
            raise FetchFailed([problem])
        return mount

    def _maybe(self, method: str, mount: Mount, kind: str, name: str) -> Any:
        """Return the answer about a secret; None when there is no such secret."""
        part = f"{kind}/" if kind else ""
        try:
            return self._session.ask(
                method, f"{quote(mount.path)}{part}{quote(_below(mount, name))}"
            )
        except Unanswered as failed:
            if failed.failure.code is errors.MISSING:
                return None
            right = "delete" if method == "delete" else "read"
            line = policy_line(f"{mount.path}{part}{_below(mount, name)}", right)
            raise self._refused(failed, name, f"a policy needs {line}") from None

    def _ask(self, method: str, path: str) -> Any:
        try:
            return self._session.ask(method, path)
        except Unanswered as failed:
            raise self._refused(failed, path) from None

    def _refused(self, failed: Unanswered, name: str, needs: str = "") -> FetchFailed:
        failure = replace(failed.failure, identity=self._session.identity)
        if failure.code is errors.FORBIDDEN:
            what = "no policy lets us do this here"
            failure = replace(failure, what=what, hint=needs or failure.hint)
        return refused(failure, f"{self._name} {name}")


def _judge(answer: Answer) -> Failure:
    if answer.status_code == 400 and answer.mentions("check-and-set"):
        return Failure(code=errors.DOWN, what=_CONFLICT)
    return answers.judge(answer)


def _below(mount: Mount, name: str) -> str:
    return name.removeprefix(mount.path)


def _state(about: object) -> str:
    if below(about, "destroyed") is True:
        return "destroyed"
    return "deleted" if below(about, "deletion_time") else ""

"""What clouds' REST APIs have in common: a credential to start from, many reads, plain refusals.

Used by providers whose API gives one secret per request.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from injector.connection import Unanswered
from injector.core import errors
from injector.core.secret import Failure, Json, LoginFailed, Number
from injector.core.stores import Store
from injector.core.stores.address import Address, Server
from injector.core.stores.source import (
    ConfigMapSource,
    LocalFile,
    SecretSource,
    Source,
    TokenSource,
)
from injector.http_session import MAX_CONNECTIONS, Answer, HttpSession
from injector.providers import Access

_ONE_WORD = re.compile(r"[A-Za-z0-9_]{1,64}")
_Key = TypeVar("_Key")
_Found = TypeVar("_Found")


Connect = Callable[[Address, Callable[[Answer], Failure]], HttpSession]
"""Opens a session with a server, for a judge of its refusals."""


def connector(store: Store, access: Access, ca_bundle: str | None) -> Connect:
    """Return how to connect to the servers of a store, each known by its own name."""

    def connect(at: Address, judge: Callable[[Answer], Failure]) -> HttpSession:
        return HttpSession(
            Server(address=at, ca_bundle=ca_bundle),
            timeout_s=store.timeout_s,
            deadline=access.deadline,
            judge=judge,
        )

    return connect


def servers(ca_bundle: str | None, *addresses: Address) -> tuple[Server, ...]:
    """Return the servers at the addresses, each known by its own name, each once."""
    return tuple(Server(address=at, ca_bundle=ca_bundle) for at in dict.fromkeys(addresses))


def credential(access: Access, source: Source | LocalFile) -> str:
    """Return a token or key to log in with, without blanks at its ends; raises LoginFailed."""
    try:
        found = access.read_source(source).decode().strip()
    except OSError:
        found = ""
    except UnicodeDecodeError:
        what = f"{_place(access, source)} is not text"
        raise LoginFailed(Failure(code=errors.UNAUTHENTICATED, what=what)) from None
    if not found:
        what = f"{_place(access, source)} is not there, or empty"
        hint = "create it in the pod's namespace, then recreate the pod"
        if isinstance(source, TokenSource):
            hint = "recreate the pod: the token comes with the injection"
        raise LoginFailed(Failure(code=errors.UNAUTHENTICATED, what=what, hint=hint))
    return found


def _place(access: Access, source: Source | LocalFile) -> str:
    match source:
        case TokenSource(audience=audience):
            return f'the ServiceAccount token for audience "{audience}"'
        case SecretSource(name=name, key=key):
            return f'key "{key}" of Secret {access.namespace}/{name}'
        case ConfigMapSource(name=name, key=key):
            return f'key "{key}" of ConfigMap {access.namespace}/{name}'
        case LocalFile(path=path):
            return f"the file {path}"


def gather(keys: Iterable[_Key], fetch: Callable[[_Key], _Found]) -> dict[_Key, _Found | Failure]:
    """Return what `fetch` gives for each key, in as many threads as there are connections.

    An `Unanswered` becomes its failure, any other error of ours a failure of that key alone.
    """
    waiting = list(dict.fromkeys(keys))
    found: dict[_Key, _Found | Failure] = {}

    def work() -> None:
        while waiting:
            try:
                key = waiting.pop()
            except IndexError:  # another thread took the last one
                return
            try:
                found[key] = fetch(key)
            except Unanswered as error:
                found[key] = error.failure
            except Exception as error:  # noqa: BLE001 (a fault of one read must not cost the others)
                what = f"{type(error).__name__} while reading the answer"
                found[key] = Failure(code=errors.INTERNAL_ERROR, what=what)

    others = [
        threading.Thread(target=work, daemon=True)
        for _ in range(min(MAX_CONNECTIONS, len(waiting)) - 1)
    ]
    for thread in others:
        thread.start()
    work()
    for thread in others:
        thread.join()
    return found


def error_document(answer: Answer) -> Mapping[str, Json]:
    """Return the JSON object of a refusal; an empty one when it is something else."""
    try:
        found = answer.json()
    except Unanswered:
        return {}
    return found if isinstance(found, Mapping) else {}


def member(document: Json, name: str) -> Mapping[str, Json]:
    """Return a member that is an object, or an empty one."""
    found = document.get(name) if isinstance(document, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def text(document: Json, name: str) -> str:
    """Return a member that is a text, or an empty one; a number is none, though kept as a str."""
    found = document.get(name) if isinstance(document, Mapping) else None
    return found if isinstance(found, str) and not isinstance(found, Number) else ""


def word(document: Json, name: str) -> str:
    """Return a member that is one plain word, such as an error code, else an empty text.

    Nothing else of a provider's answer may come into a message.
    """
    found = text(document, name)
    return found if _ONE_WORD.fullmatch(found) else ""


def passing(answer: Answer, who: str) -> Failure | None:
    """Return the failure of an answer that says "later", whatever its body, or None."""
    status = answer.status_code
    wait_s = answer.retry_after_s
    if status == 429:
        what = f"{who} is throttling"
        return Failure(code=errors.THROTTLED, what=what, retry_after_s=wait_s)
    if status >= 500 or status == 408:
        what = f"{who} answers {status}"
        return Failure(code=errors.DOWN, what=what, retry_after_s=wait_s)
    return None

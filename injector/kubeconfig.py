"""Which cluster a person means: the file, the context and the namespace that kubectl would take.

Only what says where to go is read here; credentials are the client library's. Its own words are
never shown, since they quote whole entries of the file and what credential plugins print.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from injector.core import errors
from injector.core.errors import InjectorError, Problem, Refused
from injector.core.record import Record
from injector.core.stores import address
from injector.core.stores.address import Address

_HINT = "kubectl config view --minify shows what kubectl takes"


class Kubeconfig(Record):
    """One context: `files` is what KUBECONFIG may be, several files with colons between them.

    `impersonates` says that its user acts as somebody else (`as`), which the library passes over.
    """

    files: str
    context: str
    namespace: str
    impersonates: bool


def chosen(file: str | None, context: str | None) -> Kubeconfig:
    """Return the context of that name, or the current one: the first that a file names.

    Without a file, the ones that KUBECONFIG names are read, or else the one at home; those that
    are not there are passed over. Raises Refused.
    """
    given = file or os.environ.get("KUBECONFIG") or "~/.kube/config"
    names = [file] if file else [name for name in given.split(os.pathsep) if name]
    paths = [path for name in names if (path := Path(name).expanduser()).exists()]
    if not paths:
        hint = "--kubeconfig FILE names one, KUBECONFIG does so for kubectl too"
        raise _refused("there is no kubeconfig", given, hint)
    documents = [_load(path) for path in paths]
    name = context or next((str(d["current-context"]) for d in documents if _current(d)), "")
    if not name:
        raise _refused("there is no current context", given, "--context NAME names one")
    contexts, clusters = _named(documents, "contexts"), _named(documents, "clusters")
    if name not in contexts:
        hint = errors.did_you_mean(name, contexts) or _HINT
        raise _refused(f'there is no context "{name}"', given, hint)
    about = _mapping(contexts[name].get("context"))
    server = _mapping(clusters.get(str(about.get("cluster")), {}).get("cluster")).get("server")
    _check_server(server, name, given)
    namespace = str(about.get("namespace") or "default")
    user = _mapping(_named(documents, "users").get(str(about.get("user")), {}).get("user"))
    return Kubeconfig(
        files=os.pathsep.join(map(str, paths)),
        context=name,
        namespace=namespace,
        impersonates=any(key == "as" or key.startswith("as-") for key in user),
    )


@contextmanager
def loading(config: Kubeconfig) -> Iterator[None]:
    """Enter where the client library reads the file; what it raises becomes Refused."""
    logger = logging.getLogger("kubernetes_asyncio")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    try:
        yield
    except InjectorError:
        raise
    except Exception as error:  # noqa: BLE001 (asserts, lookups and decoding: whatever a file can cause)
        raise Refused([_problem(error, config)]) from None


def _problem(error: Exception, config: Kubeconfig) -> Problem:
    place = f'{config.files}, context "{config.context}"'
    if str(error).startswith("exec:"):
        what = "the credential plugin gives no credential"
        hint = "kubectl auth whoami shows what the plugin says"
        return Problem(code=errors.UNAUTHENTICATED, what=what, source=place, hint=hint)
    what = "its cluster or its user cannot be used"
    if isinstance(error, OSError) and error.errno and isinstance(error.filename, str):
        what += f": {error.filename}: {os.strerror(error.errno).lower()}"
    return Problem(code=errors.ARGUMENT, what=what, source=place, hint=_HINT)


def _load(path: Path) -> Mapping[str, Any]:
    import yaml

    from injector import nesting

    try:
        with path.open(encoding="utf-8") as file:
            found = nesting.load(file.read())
    except OSError as error:
        raise _refused(os.strerror(error.errno or 0).lower(), str(path), "") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise _refused("not YAML", str(path), _HINT) from None
    if not isinstance(found, Mapping):
        raise _refused("not a kubeconfig", str(path), _HINT)
    return found


def _current(document: Mapping[str, Any]) -> bool:
    return bool(document.get("current-context"))


def _named(documents: list[Mapping[str, Any]], kind: str) -> dict[str, Mapping[str, Any]]:
    """Return the entries of a list by their names, of the first file that has each."""
    found: dict[str, Mapping[str, Any]] = {}
    for document in documents:
        entries = document.get(kind)
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, Mapping) and "name" in entry:
                found.setdefault(str(entry["name"]), entry)
    return found


def _check_server(server: object, context: str, given: str) -> None:
    """Raise Refused for an address that no value may be sent to."""
    parts = urlsplit(server if isinstance(server, str) else "")
    at = Address(scheme=parts.scheme, host=parts.hostname or "", port=0, base="")
    if at.scheme not in ("http", "https") or not at.host:
        raise _refused(f'the context "{context}" names no cluster with a server', given, _HINT)
    if at.scheme == "http" and not address.is_loopback(at):
        what = f'the server of the context "{context}" is not reached by https'
        raise _refused(what, given, "plain http is for loopback only")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _refused(what: str, source: str, hint: str) -> Refused:
    return Refused([Problem(code=errors.ARGUMENT, what=what, source=source, hint=hint)])

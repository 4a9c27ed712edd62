"""What a running cluster holds, for the commands that otherwise read files.

Our resources, namespaces and nodes make the catalog; pods and workloads that ask for injection are
what is looked at. Secrets are never asked for, so no value is ever read.

RBAC of the person: list of those kinds. A kind that may not be listed, or is not installed, is
named on standard error and counts as empty; our own must be readable. `referrers` wants all that
can refer to a secret: what it may not list is an error, since it could be what refers.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from injector import kubeconfig as kubeconfigs
from injector.core import errors
from injector.core.errors import Problem, Refused
from webhook import api, cluster
from webhook.api import Api, ApiFailure
from webhook.commands.documents import Document
from webhook.core import again, manifests
from webhook.core import pod as pods
from webhook.core.annotations import ours

DEFINITIONS = {each.kind: each.path for each in cluster.RESOURCES}
WORKLOADS = {
    "Pod": "/api/v1/pods",
    "Deployment": "/apis/apps/v1/deployments",
    "StatefulSet": "/apis/apps/v1/statefulsets",
    "DaemonSet": "/apis/apps/v1/daemonsets",
    "Job": "/apis/batch/v1/jobs",
    "CronJob": "/apis/batch/v1/cronjobs",
}
PAGE = 500


def documents(kubeconfig: str | None, context: str | None) -> list[Document]:
    """Return the cluster's objects, each with `cluster` as its file.

    Raises Refused: SI-201 without a cluster to ask, SI-503 without an answer, SI-401 or SI-403.
    """
    return asyncio.run(_asked(kubeconfig, context, _documents))


def referrers(
    kubeconfig: str | None, context: str | None, *, namespace: str | None
) -> list[Document]:
    """Return all that can refer to a secret, with a namespace only what makes pods there.

    Raises Refused as `documents` does, with a problem for each kind that cannot be listed.
    """
    return asyncio.run(_asked(kubeconfig, context, lambda server: _referrers(server, namespace)))


async def _asked(
    kubeconfig: str | None,
    context: str | None,
    ask: Callable[[Api], Awaitable[list[Document]]],
) -> list[Document]:
    chosen = kubeconfigs.chosen(kubeconfig, context)
    with kubeconfigs.loading(chosen):
        server = await api.connect_as_user(chosen.files, chosen.context)
    async with server:
        return await ask(server)


async def _documents(server: Api) -> list[Document]:
    found: list[Document] = []
    for kind, path in (*DEFINITIONS.items(), *WORKLOADS.items()):
        try:
            listed = await _list(server, path)
        except Refused as refused:
            if path.startswith(cluster.GROUP):
                raise
            sys.stderr.write(f"not looked at: {refused.problems[0].line()}\n")
            continue
        found += [
            _document(kind, path, raw)
            for raw in listed
            if kind in DEFINITIONS or _is_concerned(kind, raw)
        ]
    return found


async def _referrers(server: Api, namespace: str | None) -> list[Document]:
    found: list[Document] = []
    problems: list[Problem] = []
    for kind, path in (*DEFINITIONS.items(), *WORKLOADS.items()):
        if kind == "Node":
            continue
        try:
            if namespace is not None and kind == "Namespace":
                listed = await _get(server, f"{path}/{namespace}")
            else:
                listed = await _list(server, _within(namespace, kind, path))
        except Refused as refused:
            problems += refused.problems
            continue
        found += [
            _document(kind, path, raw)
            for raw in listed
            if kind in DEFINITIONS or _is_concerned(kind, raw) or again.carries_parts(raw)
        ]
    if problems:
        raise Refused(problems)
    return found


def _within(namespace: str | None, kind: str, path: str) -> str:
    """Return the path of a collection in a namespace; definitions count from everywhere."""
    if namespace is None or kind not in WORKLOADS:
        return path
    group, _, plural = path.rpartition("/")
    return f"{group}/namespaces/{namespace}/{plural}"


async def _get(server: Api, path: str) -> list[dict[str, Any]]:
    """Return the one object, or nothing where it is not."""
    try:
        return [msgspec.json.decode(await server.get(path))]
    except ApiFailure as failure:
        if failure.status == HTTPStatus.NOT_FOUND:
            return []
        raise Refused([_problem(path, failure)]) from None


async def _list(server: Api, path: str) -> list[dict[str, Any]]:
    """Return a collection; one that is not installed is empty."""
    query = {"limit": str(PAGE)}
    items: list[dict[str, Any]] = []
    while True:
        try:
            page = msgspec.json.decode(await server.get(path, query))
        except ApiFailure as failure:
            if failure.status == HTTPStatus.NOT_FOUND:
                return items
            raise Refused([_problem(path, failure)]) from None
        items += page.get("items") or ()
        following = (page.get("metadata") or {}).get("continue")
        if not following:
            return items
        query["continue"] = following


def _problem(path: str, failure: ApiFailure) -> Problem:
    code = {401: errors.UNAUTHENTICATED, 403: errors.FORBIDDEN}.get(failure.status, errors.DOWN)
    source = f"the API server {path}"
    return Problem(code=code, what=str(failure), source=source, hint=f"kubectl auth {_can_i(path)}")


def _can_i(path: str) -> str:
    """Return how kubectl is asked whether the person may do what was tried."""
    namespace, _, plural = path.partition("/namespaces/")[2].partition("/")
    if plural:
        return f"can-i list {plural} -n {namespace}"
    if namespace:
        return f"can-i get namespaces -n {namespace}"
    return f"can-i list {path.rpartition('/')[2]} --all-namespaces"


def _document(kind: str, path: str, raw: dict[str, Any]) -> Document:
    """Return an item of a list as an object: lists leave out what all of their items are."""
    metadata = {k: v for k, v in (raw.get("metadata") or {}).items() if k != "managedFields"}
    version = path.removeprefix("/apis/").removeprefix("/api/").rpartition("/")[0]
    whole = {"apiVersion": version, **raw, "kind": kind, "metadata": metadata}
    return Document(raw=whole, file="cluster", line=0)


def _is_concerned(kind: str, raw: Mapping[str, Any]) -> bool:
    """Say whether the pods of an object ask for injection."""
    template = manifests.template({**raw, "kind": kind}, namespace="default")
    return template is not None and bool(ours(pods.annotations_of(template.pod)))

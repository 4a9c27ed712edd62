"""What the commands share: a catalog from files or a cluster, and the pods they would make."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import click

from injector.core import errors
from injector.core.errors import Problem, Refused
from webhook.commands import documents
from webhook.commands.documents import Document
from webhook.core import again, manifests
from webhook.core.catalog import Catalog
from webhook.core.manifests import PodTemplate
from webhook.core.our_container import Injection

_VERSION = re.compile(r"v?[0-9]{1,6}\.[0-9]{1,6}(?:\..*)?")
KINDS = ("ClusterSecretStore", "ServiceSecrets", "EnvironmentSecrets", "ClusterInjectionPolicy")
INJECTION = Injection(image="secret-injector")
"""How a preview fills in what only the installed chart knows."""

EMPTY = Catalog()
"""A cluster that nothing is known of."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that was read: the documents, what the webhook would know, and the pods.

    `namespace` is where things are that name none; `again` reads everything once more.
    """

    documents: tuple[Document, ...]
    catalog: Catalog
    pods: tuple[tuple[Document, PodTemplate], ...]
    namespace: str = "default"
    again: Callable[[], World] | None = None


def call(command: click.Command, argv: Sequence[str], name: str) -> int:
    """Run a click command and return its exit status; raises Refused (SI-201) on wrong usage."""
    try:
        status = command.main(
            list(argv), prog_name=f"secret-injector {name}", standalone_mode=False
        )
    except click.UsageError as error:
        hint = f"secret-injector {name} --help shows examples"
        problem = Problem(code=errors.ARGUMENT, what=error.format_message().rstrip("."), hint=hint)
        raise Refused([problem]) from None
    except click.Abort:
        return errors.INTERNAL
    return int(status or errors.OK)


def options(function: F) -> F:
    """Add the options by which a command is told its input; it gets that input as `world`."""

    @functools.wraps(function)
    def with_world(
        *,
        filenames: tuple[str, ...],
        namespace: str,
        kubernetes_version: str,
        cluster: bool,
        context: str | None,
        kubeconfig: str | None,
        **rest: Any,
    ) -> Any:
        there: Sequence[Document] | None = None
        if cluster or context or kubeconfig:
            from webhook.commands import live  # loads the Kubernetes client

            there = live.documents(kubeconfig, context)
        elif not filenames:
            raise click.UsageError("say where to look: -f FILE, or --cluster")
        read = functools.partial(
            world,
            tuple(filenames),
            namespace=namespace,
            kubernetes_version=kubernetes_version,
            there=there,
        )
        again = None if "-" in filenames or not filenames else read
        return function(world=replace(read(), again=again), **rest)

    added: Any = with_world
    for option in (
        click.option("--kubeconfig", metavar="FILE", help="Kubeconfig of the cluster to ask."),
        click.option("--context", metavar="NAME", help="Its context to use."),
        click.option(
            "--cluster",
            is_flag=True,
            help="Ask the cluster that kubectl speaks to; files, if any, are what is looked at.",
        ),
        click.option(
            "--kubernetes-version",
            default="1.35",
            show_default=True,
            metavar="X.Y",
            help="Oldest kubelet of the cluster, where no Node is known.",
        ),
        click.option(
            "-n",
            "--namespace",
            default="default",
            show_default=True,
            help="Namespace of what names none.",
        ),
        click.option(
            "-f",
            "--filename",
            "filenames",
            multiple=True,
            metavar="FILE|DIR|-",
            help="Manifests: workloads, stores, services, policies. May be given again.",
        ),
    ):
        added = option(added)
    wrapped: F = added
    return wrapped


def world(
    filenames: Iterable[str],
    *,
    namespace: str,
    kubernetes_version: str,
    there: Sequence[Document] | None = None,
) -> World:
    """Return what the files say; raises Refused when one cannot be read.

    `there` is what a cluster holds already. With it, objects of the files stand in for those of
    the cluster, and only they are looked at; without files, all of the cluster is.
    """
    found = tuple(documents.load(filenames))
    objects = [_placed(document.raw, namespace) for document in (*(there or ()), *found)]
    if not any(raw.get("kind") == "Node" for raw in objects):
        objects.append(_node(kubernetes_version))
    if not found and there is not None:
        found = tuple(there)
    pods = []
    for document in found:
        template = manifests.template(document.raw, namespace=namespace)
        if template is not None:
            pods.append((document, template))
    return World(
        documents=found, catalog=Catalog.of(objects), pods=tuple(pods), namespace=namespace
    )


def before_injection(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a pod as it was before our parts: running ones carry them."""
    undone = again.before(pod) if again.carries_parts(pod) else None
    return pod if undone is None else undone.pod


def _placed(raw: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return the object with the namespace that kubectl would give it."""
    metadata = raw.get("metadata") or {}
    if (
        raw.get("kind") != "ServiceSecrets"
        or not isinstance(metadata, dict)
        or metadata.get("namespace")
    ):
        return raw
    return {**raw, "metadata": {**metadata, "namespace": namespace}}


def _node(version: str) -> dict[str, Any]:
    if not _VERSION.fullmatch(version):
        what = f'"{version}" is no version of Kubernetes'
        raise Refused(
            [
                Problem(
                    code=errors.ARGUMENT,
                    what=what,
                    source="--kubernetes-version",
                    hint="write 1.35",
                )
            ]
        )
    return {
        "kind": "Node",
        "metadata": {"name": "assumed"},
        "status": {"nodeInfo": {"kubeletVersion": version}},
    }

"""What the offline commands share: a catalog from files, and the pods those files would make."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from injector.core import errors
from injector.core.errors import Problem, Refused
from webhook.commands import documents
from webhook.commands.documents import Document
from webhook.core import manifests
from webhook.core.catalog import Catalog
from webhook.core.manifests import PodTemplate
from webhook.core.patch import Injection

KINDS = ("ClusterSecretStore", "ServiceSecrets", "EnvironmentSecrets", "ClusterInjectionPolicy")
INJECTION = Injection(image="secret-injector")
"""How a preview fills in what only the installed chart knows."""

EMPTY = Catalog()
"""A cluster that nothing is known of."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that was read: the documents, what the webhook would know, and the pods."""

    documents: tuple[Document, ...]
    catalog: Catalog
    pods: tuple[tuple[Document, PodTemplate], ...]


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
    """Add the options by which every offline command is told its input."""
    for option in (
        click.option(
            "--kubernetes-version",
            default="1.35",
            show_default=True,
            metavar="X.Y",
            help="Oldest kubelet of the cluster, where the files hold no Node.",
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
            required=True,
            metavar="FILE|DIR|-",
            help="Manifests: workloads, stores, services, policies. May be given again.",
        ),
    ):
        function = option(function)
    return function


def world(filenames: Iterable[str], *, namespace: str, kubernetes_version: str) -> World:
    """Return what the files say; raises Refused when one cannot be read."""
    found = tuple(documents.load(filenames))
    objects = [_placed(document.raw, namespace) for document in found]
    if not any(raw.get("kind") == "Node" for raw in objects):
        objects.append(_node(kubernetes_version))
    pods = []
    for document in found:
        template = manifests.template(document.raw, namespace=namespace)
        if template is not None:
            pods.append((document, template))
    return World(documents=found, catalog=Catalog.of(objects), pods=tuple(pods))


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
    if not re.fullmatch(r"v?\d+\.\d+(?:\..*)?", version):
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

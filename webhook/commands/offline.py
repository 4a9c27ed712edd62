"""What the commands share: a catalog from files or a cluster, and the pods they would make."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import click

from injector.core import errors
from injector.core.errors import Problem, Refused
from webhook.commands import documents
from webhook.commands.documents import Document
from webhook.core import again, brought, lookalikes, manifests, shapes
from webhook.core import pod as pods
from webhook.core.annotation_table import INJECT
from webhook.core.brought import Texts
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

    `namespace` is where things are that name none; `again` reads everything once more; `unseen`
    are documents of kinds that may well make pods and show none, each with the reason. `texts` are
    the keys of the ConfigMaps and Secrets among the documents.
    """

    documents: tuple[Document, ...]
    catalog: Catalog
    pods: tuple[tuple[Document, PodTemplate], ...]
    namespace: str = "default"
    unseen: tuple[tuple[Document, str], ...] = ()
    texts: Texts = field(default_factory=dict)
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
    objects = [
        _placed(document.raw, namespace)
        for document in (*(there or ()), *found)
        if not is_foreign(document.raw)
    ]
    if not any(raw.get("kind") == "Node" for raw in objects):
        objects.append(_node(kubernetes_version))
    if not found and there is not None:
        found = tuple(there)
    pods = []
    unseen = []
    for document in found:
        templates = tuple(manifests.pod_templates(document.raw, namespace=namespace))
        reasons = [_mistake(template) for template in templates]
        pods += [(document, t) for t, why in zip(templates, reasons, strict=True) if not why]
        if not templates and _may_make_pods(document.raw):
            reasons = ["no pod template is found in it"]
        unseen += [(document, why) for why in reasons if why]
    return World(
        documents=found,
        catalog=Catalog.of(objects),
        pods=tuple(pods),
        namespace=namespace,
        unseen=tuple(unseen),
        texts=_texts(found, namespace),
    )


def brought_as_text(world: World, template: PodTemplate) -> Iterator[Problem]:
    """Yield a warning for each reference that a ConfigMap or Secret of the files brings as text."""
    asks = pods.annotations_of(template.pod)
    if asks.get(INJECT) == "false":
        return
    yield from brought.from_objects(template.pod, template.namespace, world.texts)


def _texts(found: Sequence[Document], namespace: str) -> Texts:
    """Return the texts of the ConfigMaps and Secrets among the documents, by key."""
    texts: dict[tuple[str, str, str], dict[str, str]] = {}
    for document in found:
        raw = document.raw
        kind, metadata = str(raw.get("kind")), raw.get("metadata")
        if kind not in ("ConfigMap", "Secret") or not isinstance(metadata, dict):
            continue
        key = (kind, str(metadata.get("namespace") or namespace), str(metadata.get("name")))
        entries = texts.setdefault(key, {})
        for part in ("data", "stringData"):
            fields = raw.get(part)
            for name, text in fields.items() if isinstance(fields, dict) else ():
                if isinstance(text, str):
                    is_encoded = kind == "Secret" and part == "data"
                    entries[str(name)] = _decoded(text) if is_encoded else text
    return texts


def _decoded(text: str) -> str:
    """Return what a Secret's key holds, nothing where it is no text."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def unseen(world: World) -> Iterator[str]:
    """Yield a line for each kind of object that was not looked at, with the first of them."""
    kinds: dict[tuple[str, str], list[Document]] = {}
    for document, why in world.unseen:
        kinds.setdefault((str(document.raw.get("kind")), why), []).append(document)
    for (kind, why), there in kinds.items():
        more = f" (and in {len(there) - 1} more of this kind)" if len(there) > 1 else ""
        first = there[0]
        yield f"{first.file}:{first.line}: not looked at: {errors.printable(kind)}: {why}{more}\n"


def _mistake(template: PodTemplate) -> str:
    """Return why the pod of a kind that we do not know is not looked at, or nothing."""
    if template.kind in manifests.TEMPLATES and not template.is_composed:
        return ""
    return shapes.mistake("Pod", template.pod)


def _may_make_pods(raw: Mapping[str, Any]) -> bool:
    """Say whether an object without a pod template is of a kind that may make pods.

    Those of Kubernetes itself are known; a document without a kind is no object.
    """
    kind, version = raw.get("kind"), str(raw.get("apiVersion") or "")
    if not isinstance(kind, str) or lookalikes.is_group_like(version) or kind in KINDS:
        return False
    group = version.rpartition("/")[0]
    is_builtin = "apiVersion" in raw and ("." not in group or group.endswith(".k8s.io"))
    return not is_builtin or kind in manifests.TEMPLATES


def before_injection(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a pod as it was before our parts: running ones carry them."""
    undone = again.before(pod) if again.carries_parts(pod) else None
    return pod if undone is None else undone.pod


def is_foreign(raw: Mapping[str, Any]) -> bool:
    """Say whether an object is of a kind called like one of ours, in a group of somebody else."""
    version = raw.get("apiVersion")
    return (
        raw.get("kind") in KINDS
        and isinstance(version, str)
        and not lookalikes.is_group_like(version)
    )


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

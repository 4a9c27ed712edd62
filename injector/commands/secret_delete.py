"""`secret delete`: refused while files, or a cluster, still refer to what would go."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import click

from injector.commands import stores_here
from injector.commands.calling import is_interactive, refused, tell
from injector.commands.secret_lookup import picked, there
from injector.commands.stores_here import Place
from injector.core import errors
from injector.core.errors import Problem, Refused
from injector.core.record import Record
from injector.writers import Data, OfNamespace

REFERENCES = "webhook.commands.references:to_secret"


class Asked(Record):
    """Where references are looked for; with a namespace, only those of its pods count."""

    filenames: tuple[str, ...]
    cluster: bool
    namespace: str | None


@click.command("delete")
@stores_here.options
@click.argument("name")
@click.argument("key", required=False)
@click.option(
    "-f",
    "--filename",
    "filenames",
    multiple=True,
    metavar="FILE|DIR",
    help="Services and workloads that must not refer to it.",
)
@click.option(
    "--cluster",
    is_flag=True,
    help="Nor may those of the cluster that kubectl speaks to; of a k8s store it is always asked.",
)
@click.option("--force", is_flag=True, help="Delete it whoever refers to it, and do not ask.")
def command(
    name: str,
    key: str | None,
    filenames: tuple[str, ...],
    *,
    cluster: bool,
    force: bool,
    at: Place,
) -> int:
    """Delete a secret with all its versions, or one key of it in a new version."""
    what = f"{name} {key}" if key else name
    with stores_here.entered(at, is_cluster_asked=True) as writer:
        found = there(writer.read(name), name, writer.names)
        if key is not None:
            picked(found.data, name, key)
        if not force:
            namespace = writer.namespace if isinstance(writer, OfNamespace) else None
            # For a store of a cluster these options only say which one it is.
            is_named = cluster or (namespace is None and bool(at.kubeconfig or at.context))
            is_cluster_asked = is_named or namespace is not None
            if filenames or is_cluster_asked:
                asked = Asked(filenames=filenames, cluster=is_cluster_asked, namespace=namespace)
                _refuse_used(asked, at, name, key)
            if not filenames and not is_named:
                _confirm(what, is_checked=is_cluster_asked)
        writer.change(name, _without(key))
    tell(f"{what} is deleted")
    return errors.OK


def _confirm(what: str, *, is_checked: bool) -> None:
    """Ask whoever is there; raises Refused where nobody is and nothing was checked either."""
    if is_interactive():
        click.confirm(f"delete {what}?", abort=True, err=True)
    elif not is_checked:
        hint = "-f DIR or --cluster has the references checked, --force leaves it at that"
        raise refused(f"nobody is there to confirm that {what} goes", hint=hint)


def _without(key: str | None) -> Callable[[Data | None], Data | None]:
    def change(old: Data | None) -> Data | None:
        kept = {each: value for each, value in (old or {}).items() if each != key}
        return kept if key is not None and kept else None

    return change


def _refuse_used(asked: Asked, at: Place, name: str, key: str | None) -> None:
    """Raise Refused with everything in the files and the cluster that refers to the secret."""
    module, _, function = REFERENCES.partition(":")
    users = getattr(importlib.import_module(module), function)(
        asked.filenames,
        at.store,
        name,
        key,
        namespace=asked.namespace,
        cluster=(at.kubeconfig, at.context) if asked.cluster else None,
    )
    if users:
        what = f"it is still referred to by {'; '.join(users)}"
        source = f"{name}#{key}" if key else name
        raise Refused([Problem(code=errors.IN_USE, what=what, source=source)])

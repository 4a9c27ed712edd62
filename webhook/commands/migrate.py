"""`secret-injector migrate`: manifests for vault-k8s or bank-vaults, in our words."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from typing import Any

import click
import yaml

from injector.core import errors
from webhook.commands import documents, offline
from webhook.core import manifests
from webhook.core import migrate as translate
from webhook.core.annotations import PREFIX
from webhook.core.migrate import Translation

EXAMPLES = """\b
Examples:
  secret-injector migrate -f deployment.yaml --store vault-prod > new.yaml
  helm template app | secret-injector migrate -f - | secret-injector lint -f -
"""


@click.command("migrate", epilog=EXAMPLES)
@click.option(
    "-f",
    "--filename",
    "filenames",
    multiple=True,
    required=True,
    metavar="FILE|DIR|-",
    help="Manifests.",
)
@click.option(
    "--store",
    default="vault",
    show_default=True,
    help="ClusterSecretStore that stands for their Vault.",
)
def _command(filenames: tuple[str, ...], store: str) -> int:
    """Rewrite annotations and env references of vault-k8s and bank-vaults.

    The new manifests go to standard output. What cannot be translated is listed on standard error
    with the reason; exit status 3 says that there is such a thing.
    """
    is_complete = True
    out = []
    for document in documents.load(filenames):
        after, left = migrated(document.raw, store=store)
        out.append(yaml.safe_dump(after, sort_keys=False, allow_unicode=True, width=100))
        for what, why in left:
            is_complete = False
            sys.stderr.write(f"{document.file}:{document.line}: {what}: {why}\n")
    click.echo("---\n".join(out), nl=False)
    return errors.OK if is_complete else errors.FINDINGS


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return offline.call(_command, argv, "migrate")


def migrated(
    manifest: dict[str, Any], *, store: str
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the manifest in our words, and what was left out with the reason."""
    after = copy.deepcopy(manifest)
    left: list[tuple[str, str]] = []
    # What is found shares its parts with the copy; a pod that a controller composes does not.
    for template in list(manifests.pod_templates(after, namespace="")):
        if not template.is_composed:
            _migrate(_at(after, template.pointer), store, left)
    return after, left


def _at(manifest: dict[str, Any], pointer: str) -> dict[str, Any]:
    node: Any = manifest
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        node = node[int(name)] if isinstance(node, list) else node[name]
    found: dict[str, Any] = node
    return found


def _migrate(pod: dict[str, Any], store: str, left: list[tuple[str, str]]) -> None:
    metadata = pod.get("metadata") or {}
    theirs = metadata.get("annotations") or {}
    found = translate.translation(theirs, store=store)
    left += found.left if found is not None else ()
    changed = _env(pod, store, left)
    if found is None and not changed:
        return
    pod["metadata"] = metadata
    metadata["annotations"] = _annotations(theirs, found or Translation())
    if changed:
        _ask_for(metadata["annotations"], changed, pod)


def _ask_for(annotations: dict[str, str], changed: dict[str, list[str]], pod: Any) -> None:
    """Say that the changed variables are references, and no others; serve their containers."""
    annotations.setdefault(PREFIX + "inject", "true")
    names = dict.fromkeys(name for by in changed.values() for name in by)
    annotations[PREFIX + "inline"] = ",".join(names)
    named = annotations.get(PREFIX + "containers")
    served = (
        [str(c.get("name")) for c in (pod.get("spec") or {}).get("containers") or ()]
        if named is None
        else [name.strip() for name in named.split(",")]
    )
    missing = [name for name in changed if name not in served]
    if missing:
        annotations[PREFIX + "containers"] = ",".join([*missing, *served])


def _annotations(theirs: dict[str, str], translation: Translation) -> dict[str, str]:
    kept = {name: text for name, text in theirs.items() if name not in translation.drop}
    kept |= {PREFIX + name: text for name, text in translation.settings.items()}
    if translation.files:
        kept[PREFIX + "files"] = yaml.safe_dump(dict(translation.files), sort_keys=False)
    if not any(name.startswith(PREFIX) for name in kept):
        kept[PREFIX + "inject"] = "true"
    return kept


def _env(pod: dict[str, Any], store: str, left: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Translate the variables in place and return the names of those changed, by container."""
    changed: dict[str, list[str]] = {}
    spec = pod.get("spec") or {}
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        for entry in container.get("env") or ():
            made, why = translate.value(str(entry.get("value") or ""), store=store)
            if why is not None:
                left.append((f"env {entry.get('name')} of container {container.get('name')}", why))
            elif made is not None:
                entry["value"] = made
                changed.setdefault(str(container.get("name")), []).append(str(entry.get("name")))
    return changed

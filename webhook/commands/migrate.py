"""`secret-injector migrate`: manifests for other injectors and operators, in our words."""

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
from webhook.core import migrate_external as external
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
    """Rewrite annotations and env references of vault-k8s and bank-vaults, and envFrom of Secrets.

    A ServiceSecrets is written beside each ExternalSecret. The new manifests go to standard output.
    What cannot be translated is listed on standard error with the reason; exit status 3 says that
    there is such a thing.
    """
    is_complete = True
    out = []
    loaded = list(documents.load(filenames))
    targets = frozenset(
        external.target(document.raw)
        for document in loaded
        if external.is_external_secret(document.raw)
    )
    for document in loaded:
        after, left = migrated(document.raw, store=store, targets=targets)
        out += [
            yaml.safe_dump(each, sort_keys=False, allow_unicode=True, width=100) for each in after
        ]
        for what, why in left:
            is_complete = False
            sys.stderr.write(f"{document.file}:{document.line}: {what}: {why}\n")
    click.echo("---\n".join(out), nl=False)
    return errors.OK if is_complete else errors.FINDINGS


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return offline.call(_command, argv, "migrate")


def migrated(
    manifest: dict[str, Any], *, store: str, targets: frozenset[str] = frozenset()
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Return the manifest in our words with what stands beside it, and what was left out and why.

    `targets` are the names of ServiceSecrets that stand for ExternalSecrets.
    """
    after = copy.deepcopy(manifest)
    left: list[tuple[str, str]] = []
    if external.is_external_secret(manifest):
        # The Secret may have other readers, so what writes it stays.
        service, left = external.service_of(manifest, store=store)
        return [after, service], left
    # What is found shares its parts with the copy; a pod that a controller composes does not.
    for template in list(manifests.pod_templates(after, namespace="")):
        if not template.is_composed:
            _migrate(_at(after, template.pointer), store, targets, left)
    return [after], left


def _at(manifest: dict[str, Any], pointer: str) -> dict[str, Any]:
    node: Any = manifest
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        node = node[int(name)] if isinstance(node, list) else node[name]
    found: dict[str, Any] = node
    return found


def _migrate(
    pod: dict[str, Any], store: str, targets: frozenset[str], left: list[tuple[str, str]]
) -> None:
    metadata = pod.get("metadata") or {}
    theirs = metadata.get("annotations") or {}
    found = translate.translation(theirs, store=store)
    left += found.left if found is not None else ()
    changed = _env(pod, store, left)
    has_references = any(name.startswith(translate.BANK_VAULTS) for name in theirs) or bool(changed)
    sources, imports = _env_from(pod, targets, left, has_references=has_references)
    if found is None and not changed and not sources and not imports:
        return
    pod["metadata"] = metadata
    kept = _annotations(theirs, found or Translation())
    metadata["annotations"] = kept
    if found is not None and found.sources:
        left += _without_command(pod, [str(c.get("name")) for c in _containers(pod, "containers")])
    if imports:
        env = yaml.safe_load(kept.get(PREFIX + "env") or "") or {}
        kept[PREFIX + "env"] = _dumped({"__import_svc": [f"${name}" for name in imports], **env})
    for container, entries in sources.items():
        kept[f"{PREFIX}env.{container}"] = _dumped({"__from": entries})
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
        kept[PREFIX + "files"] = _dumped(dict(translation.files))
    if translation.sources:
        kept[PREFIX + "env"] = _dumped({"__from": [dict(each) for each in translation.sources]})
    if not any(name.startswith(PREFIX) for name in kept):
        kept[PREFIX + "inject"] = "true"
    return kept


def _dumped(data: dict[str, Any]) -> str:
    return str(yaml.safe_dump(data, sort_keys=False))


def _containers(pod: dict[str, Any], *parts: str) -> list[dict[str, Any]]:
    spec = pod.get("spec") or {}
    return [container for part in parts for container in spec.get(part) or ()]


def _without_command(pod: dict[str, Any], names: Sequence[str]) -> list[tuple[str, str]]:
    why = "set command: keys that nobody lists come through the launcher; or list them under keys"
    return [
        (f"container {container.get('name')}", why)
        for container in _containers(pod, "initContainers", "containers")
        if container.get("name") in names and not container.get("command")
    ]


def _env_from(
    pod: dict[str, Any],
    targets: frozenset[str],
    left: list[tuple[str, str]],
    *,
    has_references: bool,
) -> tuple[dict[str, list[dict[str, object]]], list[str]]:
    """Take Secrets out of `envFrom`; return entries of `__from` by container, and what to import.

    `has_references` says that values of Secrets may be references of bank-vaults.
    """
    sources: dict[str, list[dict[str, object]]] = {}
    imports: dict[str, None] = {}
    for container in _containers(pod, "initContainers", "containers"):
        found, kept = translate.env_from(container.get("envFrom") or ())
        place = f"envFrom of container {container.get('name')}"
        if any(entry.get("secretRef") for entry in kept):
            left.append((place, "a ConfigMap behind a Secret wins over its keys: put it in front"))
        if not found:
            continue
        if has_references:
            why = (
                "values of the Secret may be references of bank-vaults: write them as keys of ours"
            )
            left.append((place, why))
            continue
        if without := _without_command(pod, [str(container.get("name"))]):
            left += without
            continue
        entries: list[dict[str, object]] = []
        for entry in found:
            name = str(entry["from"]).partition(":")[2]
            # An import is weaker than every entry: it can stand for what comes first alone.
            if not entries and name in targets and set(entry) == {"from", "keys"}:
                imports[name] = None
            else:
                entries.append(entry)
        if entries:
            sources[str(container.get("name"))] = entries
        container.pop("envFrom")
        if kept:
            container["envFrom"] = kept
    return sources, list(imports)


def _env(pod: dict[str, Any], store: str, left: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Translate the variables in place and return the names of those changed, by container."""
    changed: dict[str, list[str]] = {}
    for container in _containers(pod, "initContainers", "containers"):
        for entry in container.get("env") or ():
            made, why = translate.value(str(entry.get("value") or ""), store=store)
            if why is not None:
                left.append((f"env {entry.get('name')} of container {container.get('name')}", why))
            elif made is not None:
                entry["value"] = made
                changed.setdefault(str(container.get("name")), []).append(str(entry.get("name")))
    return changed

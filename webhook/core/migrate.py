"""Translating other injectors' manifests: what vault-k8s and bank-vaults say, said in our words.

A pure function of annotations and env values. What has no equal here is listed with the reason
and left out, never guessed. Formats: the annotations of hashicorp/vault-k8s (prefix
`vault.hashicorp.com/`) and of bank-vaults (`vault.security.banzaicloud.io/`,
`secrets-webhook.security.bank-vaults.io/`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from injector.core import reference
from injector.core.plan_codec import is_absolute_path
from injector.core.reference import StoreRead, format_reference
from webhook.core import mount_paths

VAULT_K8S = "vault.hashicorp.com/"
BANK_VAULTS = ("vault.security.banzaicloud.io/", "secrets-webhook.security.bank-vaults.io/")

_REFERENCE = re.compile(r"(?P<path>[^#\s]+)#(?P<field>[^#{}\s]+)(?:#(?P<version>[0-9]+))?")
_WHOLE = re.compile(r"(?P<path>[^#\s{}]+)(?:#(?P<version>[0-9]+))?")
_INLINE = "${vault:"
_OTHER_STORE = re.compile(r"(?:bao|file|azure|gcp):|arn:aws:(?:secretsmanager|ssm):")
_FIELD_IN_TEMPLATE = re.compile(
    r"""\s*\{\{-?\s*with\s+secret\s+"(?P<path>[^"]+)"\s*-?\}\}\s*"""
    r"""\{\{-?\s*\.Data(?:\.data)?\.(?P<field>[A-Za-z0-9_]+)\s*-?\}\}\s*\{\{-?\s*end\s*-?\}\}\s*"""
)

# Annotations that say where the server is or how to log in: a ClusterSecretStore says that here.
_STORE_SETTINGS = re.compile(
    r"role|service|namespace|tls-.*|ca-.*|client-.*|auth-.*|vault-(?:addr|role|path|namespace|skip-verify"
    r"|tls-secret|serviceaccount|auth-method|client-timeout|ct-.*|agent|token-auth-mount)|provider|token-auth-mount"
)
_NEEDLESS = re.compile(
    r"agent-inject|agent-inject-status|agent-pre-populate|agent-pre-populate-only|agent-limits-.*|agent-requests-.*"
    r"|agent-run-as-.*|agent-set-security-context|log-level|vault-log-level|agent-cache-.*|agent-image|secret-init-image"
    r"|mutate-probes|agent-init-first|preserve-secret-case|agent-copy-volume-mounts|vault-env-(?s:.*)image(?s:.*)|enable-json-log"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What to write instead: our env and files, the names to drop, and what could not be said.

    `env` of a container replaces the value of its entry in place; `sources` are entries of
    `__from`; `left` maps what was left out to the reason.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, object] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Mapping[str, object], ...] = ()
    left: tuple[tuple[str, str], ...] = ()


def translation(found: Mapping[str, str], *, store: str) -> Translation | None:
    """Return the translation of a pod's annotations, None when none is of the two injectors.

    `store` is the name of the ClusterSecretStore that stands for their Vault server.
    """
    theirs = {k: v for k, v in found.items() if k.startswith((VAULT_K8S, *BANK_VAULTS))}
    if not theirs:
        return None
    files: dict[str, object] = {}
    settings: dict[str, str] = {}
    left: list[tuple[str, str]] = []
    env: dict[str, str] = {}
    sources: list[Mapping[str, object]] = []
    by_name = {key.partition("/")[2]: text for key, text in theirs.items()}
    for key, text in theirs.items():
        name = key.partition("/")[2]
        if name.startswith("agent-inject-secret-"):
            _file(name.removeprefix("agent-inject-secret-"), text, by_name, store, files, left)
            settings |= _folder(by_name, files)
        elif name.startswith(_FILE_DETAILS) or _NEEDLESS.fullmatch(name):
            continue
        elif name == "agent-inject-containers":
            settings["containers"] = text
        elif name == "agent-service-account-token-volume-name" or _STORE_SETTINGS.fullmatch(name):
            left.append(
                (
                    key,
                    f"server and login are set in ClusterSecretStore {store}, by a platform team",
                )
            )
        elif name in ("vault-from-path", "vault-env-from-path"):
            _from_path(key, text, store, sources, left)
        elif name in ("mutate", "agent-inject") and text in ("skip", "false"):
            settings["inject"] = "false"
        else:
            left.append((key, "has no equal here"))
    return Translation(
        env=env,
        files=files,
        drop=tuple(theirs),
        settings=settings,
        sources=tuple(sources),
        left=tuple(left),
    )


def env_from(entries: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, object]], list[Any]]:
    """Return entries of `__from` for the Secrets of an `envFrom`, and what is left of it.

    Of what brings one name the last counts, and ours are stronger than all of `envFrom`: a Secret
    in front of a ConfigMap stays where it is.
    """
    last = max((i for i, each in enumerate(entries) if not each.get("secretRef")), default=-1)
    found: list[dict[str, object]] = []
    for each in entries[last + 1 :]:
        ref = each["secretRef"]
        made: dict[str, object] = {"from": f"k8s:{ref.get('name')}", "keys": ["*"]}
        if each.get("prefix"):
            made["prefix"] = each["prefix"]
        if ref.get("optional"):
            made["required"] = False
        found.append(made)
    return found, list(entries[: last + 1])


def _from_path(
    key: str,
    text: str,
    store: str,
    sources: list[Mapping[str, object]],
    left: list[tuple[str, str]],
) -> None:
    """Translate a list of paths, all of whose keys become variables; of each name the last wins."""
    for each in text.split(","):
        found = _WHOLE.fullmatch(each.strip())
        where = path(found["path"]) if found is not None else ""
        if found is None or reference.path_problem(where):
            left.append((key, _WHY_NOT))
            continue
        read = StoreRead(store=store, path=where, version=found["version"])
        sources.append({"from": format_reference(read), "keys": ["*"]})


def value(text: str, *, store: str) -> tuple[str | None, str | None]:
    """Return the translated env value, or why there is none; both None without a reference."""
    if text.startswith(">>vault:"):
        return None, "writes to Vault when the pod starts, which is not done here"
    if text.startswith("vault:"):
        made = _reference(text.removeprefix("vault:"), store)
        return (made, None) if made is not None else (None, _WHY_NOT)
    pieces, inline = _inline(text)
    if inline:
        made_all = [_reference(each, store) for each in inline]
        if None in made_all:
            return None, _WHY_NOT
        literals = [piece.replace("#{", "##{") for piece in pieces]
        both = zip(literals, [*made_all, ""], strict=True)
        return "".join(f"{literal}{each}" for literal, each in both), None
    if _OTHER_STORE.match(text):
        return (
            None,
            "names another store: declare it as a ClusterSecretStore and write #{store:path#field}",
        )
    return None, None


def _inline(text: str) -> tuple[list[str], list[str]]:
    """Return the references that stand as `${vault:...}` in a text, and what is around them."""
    pieces, found, start = [], [], 0
    at = text.find(_INLINE)
    while at >= 0 and (end := text.find("}", at)) >= 0:
        if reference := text[at + len(_INLINE) : end]:
            pieces.append(text[start:at])
            found.append(reference)
            start = end + 1
        at = text.find(_INLINE, end)
    return [*pieces, text[start:]], found


_THEIR_FOLDER = "/vault/secrets"
_ONE_FIELD = "only a template of one field is translated; write the text with references"
_WHY_NOT = "has a template in it; compose the value with filters, or store it as it is needed"
_FILE_DETAILS = (
    "agent-inject-template-",
    "agent-inject-file-",
    "agent-inject-perms-",
    "agent-inject-command-",
    "secret-volume-path",
    "error-on-missing-key-",
    "agent-inject-default-template",
)


def path(theirs: str) -> str:
    """Return a KV v2 API path (`secret/data/x`) as people write it (`secret/x`)."""
    mount, data, rest = theirs.strip("/").partition("/data/")
    return f"{mount}/{rest}" if data else theirs.strip("/")


def _reference(text: str, store: str) -> str | None:
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None
    version = f"@{found['version']}" if found["version"] else ""
    return f"#{{{store}:{path(found['path'])}#{found['field']}{version}}}"


def _of_every_key(template: str, secret: str, store: str) -> str:
    """Return what to write for a template that loops over the keys of a secret, else nothing."""
    if "range " not in template:
        return ""
    entry = f'{{from: "{store}:{path(secret)}", keys: ["*"]}}'
    return f"a loop over keys: for a variable of each write __from: {entry} in the annotation env"


def _file(
    name: str,
    secret: str,
    get: Mapping[str, str],
    store: str,
    files: dict[str, object],
    left: list[tuple[str, str]],
) -> None:
    template = get.get(f"agent-inject-template-{name}")
    where = f"{VAULT_K8S}agent-inject-template-{name}"
    text = f"#{{{store}:{path(secret)}}}"
    if template is not None:
        found = _FIELD_IN_TEMPLATE.fullmatch(template)
        if found is None:
            left.append((where, _of_every_key(template, secret, store) or _ONE_FIELD))
            return
        text = f"#{{{store}:{path(found['path'])}#{found['field']}}}"
    else:
        left.append(
            (
                f"{VAULT_K8S}agent-inject-secret-{name}",
                "the file now holds JSON; vault-k8s wrote `key: value` lines",
            )
        )
    entry: dict[str, str] = {"value": text}
    if (perms := get.get(f"agent-inject-perms-{name}")) is not None:
        entry["mode"] = perms
    if f"agent-inject-command-{name}" in get:
        left.append(
            (
                f"{VAULT_K8S}agent-inject-command-{name}",
                "commands on change: see the annotation on-change",
            )
        )
    target = get.get(f"agent-inject-file-{name}", name).strip("/")
    folder = get.get(f"secret-volume-path-{name}", "")
    if folder:
        entry["path"] = f"{folder.rstrip('/')}/{target}"
        if why := _misplaced(entry["path"]):
            left.append((f"{VAULT_K8S}secret-volume-path-{name}", why))
            del entry["path"]
    files[target] = entry if len(entry) > 1 else text


def _folder(get: Mapping[str, str], files: Mapping[str, object]) -> dict[str, str]:
    """Return the folder that their files appear in, unless each has a path of its own."""
    if all(isinstance(entry, dict) and "path" in entry for entry in files.values()):
        return {}
    return {"files-path": get.get("secret-volume-path", _THEIR_FOLDER)}


def _misplaced(path: str) -> str:
    """Return why no file can be placed at the path, or nothing."""
    if not is_absolute_path(path):
        return f'"{path}" is not a path of plain names'
    return mount_paths.refusal(path, is_folder=False)

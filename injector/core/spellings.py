"""What people write who come from other tools, and what is written here: for hints alone.

A hint is given where a path has been refused already, so nothing here decides anything. Other tools
are External Secrets Operator (ESO), the CSI driver's providers, Vault's own injector (vault-k8s),
bank-vaults and chamber; the spellings are those of their documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_NAME = r"[A-Za-z0-9_.-]{1,255}"
_AZURE_HOST = r"(?:https://[a-z0-9.-]{1,253})?/?"
_AZURE_VERSION = r"(?:/(?P<version>[0-9a-f]{32}))?/?"
_AZURE_SECRET = re.compile(rf"{_AZURE_HOST}(?:secret|secrets)/(?P<name>{_NAME}){_AZURE_VERSION}")
_AZURE_CERTIFICATE = re.compile(
    rf"{_AZURE_HOST}(?:cert|certificate|certificates)/(?P<name>{_NAME}){_AZURE_VERSION}"
)
_GCP_FULL = re.compile(
    rf"(?://secretmanager[.]googleapis[.]com/)?projects/(?P<project>{_NAME})"
    rf"(?:/locations/{_NAME})?/secrets/(?P<name>{_NAME})(?:/versions/(?P<version>{_NAME}))?"
)
_GCP_SHORT = re.compile(rf"(?:secrets?/)?(?P<name>{_NAME})(?:/versions/(?P<version>{_NAME}))?")
_COLON = re.compile(r"(?P<name>[^:]{1,1011}):(?P<version>[A-Za-z0-9_.-]{1,100})")
_TREE = re.compile(r"(?P<name>/?[A-Za-z0-9_./-]{1,1000}[A-Za-z0-9_.-])/(?:[*][*])?")
_VAULT = re.compile(
    r"(?:https://[A-Za-z0-9.:-]{1,253})?/?(?:v1/)?(?P<mount>[^/?]{1,255})/(?:data/)?"
    r"(?P<name>[^?]{1,1024}?)(?:[?]version=(?P<version>[0-9]{1,10}))?"
)
_MAX = 1400


def of_path(path: str, provider: str | None = None) -> str:
    """Return what to write for a path that was refused, if another tool spells it so; else nothing.

    Without a provider, only what no other store could mean is known.
    """
    if len(path) > _MAX:
        return ""
    readers = (_PROVIDERS.get(provider),) if provider else (_azure_url, _tree, _vault_url)
    for reader in readers:
        if reader is not None and (ours := reader(path)):
            return f"write {ours}"
    return ""


def of_field(field: str, data: Mapping[str, object]) -> str:
    """Return how to write a field that has dots, if its first part is a key of the data.

    What lies below a key is reached by a JSON Pointer; in a key whose value is a text, which may
    be JSON, by the filter `get`. Only names are told.
    """
    first, dot, below = field.partition(".")
    if not dot or not below or first not in data:
        return ""
    pointer = "".join(f"/{step.replace('~', '~0')}" for step in below.split("."))
    if isinstance(data[first], (str, bytes)):
        return (
            f'what lies inside a value that is JSON is got by a filter: #{first} | get("{pointer}")'
        )
    whole = f"/{first.replace('~', '~0')}{pointer}"
    return f"what lies below a key is written with slashes: #{whole}"


def _versioned(name: str, version: str | None, newest: str = "latest") -> str:
    return name if version in (None, "", newest) else f"{name}@{version}"


def _azure_url(path: str) -> str:
    return _azure(path) if path.startswith("https://") and ".vault." in path else ""


def _azure(path: str) -> str:
    if found := _AZURE_SECRET.fullmatch(path):
        return _versioned(found["name"], found["version"])
    if found := _AZURE_CERTIFICATE.fullmatch(path):
        return _versioned(f"certificates/{found['name']}", found["version"])
    return _colon(path)


def _gcp(path: str) -> str:
    if found := _GCP_FULL.fullmatch(path):
        name = _versioned(found["name"], found["version"])
        project = "PROJECT" if found["project"].isdecimal() else found["project"]
        elsewhere = _versioned(f"projects/{project}/secrets/{found['name']}", found["version"])
        by_id = ", the project by its id" if project == "PROJECT" else ""
        return f"{name} in the store's own project, else {elsewhere}{by_id}"
    found = _GCP_SHORT.fullmatch(path)
    return _versioned(found["name"], found["version"]) if found else _colon(path)


def _tree(path: str) -> str:
    found = _TREE.fullmatch(path)
    if found is None or "//" in path:
        return ""
    name = found["name"]
    return f"{name if name.startswith('/') else f'/{name}'}/* for the parameters below it"


def _parameter(path: str) -> str:
    return _tree(path) or _colon(path)


def _secrets_manager(path: str) -> str:
    return "" if path.startswith("arn:") else _colon(path)


def _colon(path: str) -> str:
    found = _COLON.fullmatch(path)
    return _versioned(found["name"], found["version"]) if found else ""


def _vault_url(path: str) -> str:
    is_of_api = path.startswith(("https://", "/v1/", "v1/")) or "?version=" in path
    return _vault(path) if is_of_api else ""


def _vault(path: str) -> str:
    found = _VAULT.fullmatch(path)
    if found is None or found["name"].endswith("/"):
        return ""
    ours = _versioned(f"{found['mount']}/{found['name']}", found["version"])
    return ours if ours != path else ""


_PROVIDERS: dict[str, Callable[[str], str]] = {
    "vault": _vault,
    "azureKeyVault": _azure,
    "gcpSecretManager": _gcp,
    "awsParameterStore": _parameter,
    "awsSecretsManager": _secrets_manager,
}

TABLE = (
    ("ESO, vault-k8s, CSI: Vault", "vault", "/secret/data/shop/db", "secret/shop/db"),
    ("Vault's HTTP API", "vault", "/v1/secret/data/shop/db?version=3", "secret/shop/db@3"),
    ("ESO: Azure", "azureKeyVault", "secret/db-password", "db-password"),
    ("ESO: Azure", "azureKeyVault", "cert/web", "certificates/web"),
    ("CSI: Azure", "azureKeyVault", "db-password:" + "0" * 32, "db-password@" + "0" * 32),
    ("an identifier", "azureKeyVault", "secrets/db/" + "0" * 32, "db@" + "0" * 32),
    (
        "an identifier URL",
        "azureKeyVault",
        "https://shop.vault.azure.net/secrets/db/" + "0" * 32,
        "db@" + "0" * 32,
    ),
    (
        "CSI: Google",
        "gcpSecretManager",
        "projects/1234/secrets/db/versions/latest",
        "db in the store's own project, else projects/PROJECT/secrets/db, the project by its id",
    ),
    (
        "CSI: Google",
        "gcpSecretManager",
        "projects/shop-prod/secrets/db/versions/3",
        "db@3 in the store's own project, else projects/shop-prod/secrets/db@3",
    ),
    ("Google", "gcpSecretManager", "db/versions/3", "db@3"),
    ("Google", "gcpSecretManager", "db:3", "db@3"),
    ("Parameter Store", "awsParameterStore", "/shop/db:3", "/shop/db@3"),
    (
        "chamber, ESO find: a path",
        "awsParameterStore",
        "/shop/",
        "/shop/* for the parameters below it",
    ),
    ("Secrets Manager", "awsSecretsManager", "shop/db:AWSPREVIOUS", "shop/db@AWSPREVIOUS"),
)
"""Who writes it, the provider, the path as they write it, and what is written here."""

"""Presets: the keys that a database or a registry usually needs, from one source.

    {type: postgres, source: "vault:database/creds/app", host: "@db:5432", database: app}
        POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_HOST, POSTGRES_PORT, POSTGRES_DB, DATABASE_URL
    {type: registry, source: "k8s:regcred"}
        REGISTRY_URL, REGISTRY_USER, REGISTRY_PASSWORD

A preset writes ordinary keys, as one would by hand; nothing later knows of it.
"""

from __future__ import annotations

import re

from injector.core import grammar, reference
from injector.core.fields import Fields
from injector.core.reference import Expression, Filter, ServiceAddress, SiblingKey, StoreRead, Value
from webhook.core import field_values
from webhook.core.definition_reader import Reader
from webhook.core.definitions import KeyDef

TYPES = ("postgres", "registry")
POSTGRES_PORT = 5432
_PASSWORD = "POSTGRES_PASSWORD"  # the name of a key
_TYPE = re.compile("|".join(TYPES))
_PREFIX = re.compile(r"(?!__)[ -<>-~]{0,64}")
_DATABASE = re.compile(r"[A-Za-z0-9_.-]{1,63}")
_HOST = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?")


def take(fields: Fields, reader: Reader) -> tuple[KeyDef, ...]:
    """Take `presets` and return the keys they write; mistakes go to the reader's problems."""
    keys: list[KeyDef] = []
    for child in fields.children("presets", most=16):
        kind = child.text("type", pattern=_TYPE, form="one of " + ", ".join(TYPES))
        source = _source(child)
        prefix = child.text(
            "prefix",
            default="",
            pattern=_PREFIX,
            form="the start of a variable's name",
        )
        if kind == "postgres":
            made = _postgres(child, source, prefix=prefix)
        elif kind == "registry":
            made = _registry(child, source)
        else:
            made = {}
        child.finish()
        if source is not None:
            keys += [
                KeyDef(
                    name=prefix + name,
                    value=value,
                    rule=None,
                    origin=reader.origin,
                    place=child.place,
                )
                for name, value in made.items()
            ]
    return tuple(keys)


def _postgres(fields: Fields, source: StoreRead | None, *, prefix: str) -> dict[str, Value]:
    database = fields.text("database", pattern=_DATABASE, form="the name of a database")
    host_text = fields.text("host", form="a host, host:port, or @service:port")
    user_field = fields.text("userField", default="username")
    password_field = fields.text("passwordField", default="password")
    host, port = _address(fields, host_text)
    if source is None:
        return {}
    user = _pick(source, user_field)
    password = _pick(source, password_field)
    # By name: whoever denies or asks for the password's key means what the URL holds, too.
    login = [_encoded(SiblingKey(key=prefix + name)) for name in ("POSTGRES_USER", _PASSWORD)]
    url: Value = (
        "postgresql://", login[0], ":", login[1], "@", *host, f":{port}/{database}",
    )  # fmt: skip
    return {
        "POSTGRES_USER": (user,),
        _PASSWORD: (password,),
        "POSTGRES_HOST": host,
        "POSTGRES_PORT": (port,),
        "POSTGRES_DB": (database,),
        "DATABASE_URL": _joined(url),
    }


def _registry(fields: Fields, source: StoreRead | None) -> dict[str, Value]:
    url = fields.optional("url")
    if source is None:
        return {}
    if source.field is None and source.store == "k8s":
        config = reference.StoreRead(
            store=source.store, path=source.path, field=".dockerconfigjson"
        )
        user, password, host = (
            _first_auth(config, name) for name in ("username", "password", "registry")
        )
    else:
        user, password, host = (_pick(source, name) for name in ("username", "password", "url"))
    return {
        "REGISTRY_URL": (url,) if url else (host,),
        "REGISTRY_USER": (user,),
        "REGISTRY_PASSWORD": (password,),
    }


def _first_auth(config: StoreRead, name: str) -> Expression:
    return Expression(reference=config, filters=(Filter(name=f"docker{name}"),))


def _source(fields: Fields) -> StoreRead | None:
    text = fields.text("source", form="a reference such as vault:database/creds/app")
    if not text:
        return None
    found = field_values.reference(fields, "source", text)
    if found is None:
        return None
    if not isinstance(found, StoreRead):
        fields.problem("source", "must be store:path")
        return None
    return found


def _address(fields: Fields, text: str) -> tuple[Value, str]:
    if text.startswith("@"):
        try:
            found = grammar.parse_reference(text)
        except grammar.GrammarError as error:
            fields.problem("host", error.slips[0].what, error.slips[0].hint)
            return ("",), str(POSTGRES_PORT)
        if isinstance(found, ServiceAddress):
            bare = ServiceAddress(service=found.service, namespace=found.namespace, port=None)
            return (Expression(reference=bare),), str(found.port or POSTGRES_PORT)
    plain = _HOST.fullmatch(text)
    if plain is None:
        if text:
            fields.problem("host", "must be a host, host:port, or @service:port")
        return (), str(POSTGRES_PORT)
    return (plain["host"],), plain["port"] or str(POSTGRES_PORT)


def _pick(source: StoreRead, field: str) -> Expression:
    return Expression(
        reference=StoreRead(
            store=source.store, path=source.path, field=field, version=source.version
        )
    )


def _encoded(reference: SiblingKey) -> Expression:
    return Expression(reference=reference, filters=(Filter(name="urlencode"),))


def _joined(value: Value) -> Value:
    """Return the value with neighbouring texts made one, as the grammar has it."""
    parts: list[str | Expression] = []
    for part in value:
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return tuple(part for part in parts if part != "")

"""Picking a field out of a secret: a top-level key, a JSON Pointer (RFC 6901), or all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from injector.core import errors, secret
from injector.core.errors import Code, printable
from injector.core.filters import Text
from injector.core.secret import Fields, Json, NotJson, Secret

_NAMES_SHOWN = 8
_MAX_INDEX_DIGITS = 9


class NotPicked(Exception):
    """The secret has no such value: code, what and hint for a problem; names only, no values."""

    def __init__(self, code: Code, what: str, hint: str = "") -> None:
        """Keep the three."""
        self.code, self.what, self.hint = code, what, hint
        super().__init__(what)


def pick(found: Secret, field: str | None) -> Text:
    """Return the field's value, of at most `secret.MAX_BYTES`; raises NotPicked.

    Texts are themselves, numbers as the store wrote them, true and false by name, mappings and
    lists compact JSON. Null is a missing field. Bytes are read as JSON if a field is wanted.
    """
    data = found.reveal()
    picked = _whole(data) if field is None else _part(data, field)
    if len(picked.data) > secret.MAX_BYTES:
        raise NotPicked(errors.BODY, "the value is larger than 1 MiB")
    return picked


def pick_in(text: Text, pointer: str) -> Text:
    """Return what a JSON Pointer finds in a value that is JSON; raises NotPicked."""
    try:
        root = secret.parse_json(text.data)
    except NotJson as error:
        what = f"the value has no fields: {error}"
        raise NotPicked(errors.CONTENT, what, "if it is YAML, write yaml | get(...)") from None
    return _found(root, pointer)


def key_in_path(path: str) -> str:
    """Return where the key belongs if the end of a path that is not there looks like one.

    Empty when it does not: `secret/shop/db.password` may be a name, but rarely is.
    """
    folder, slash, name = path.rpartition("/")
    for sign in (".", ":"):
        secret_name, found, key = name.rpartition(sign)
        if found and secret_name and key:
            if sign == ":" and key.isascii() and key.isdigit():
                return f"a version is written behind @: {folder}{slash}{secret_name}@{key}"
            return f"a key is written behind #: {folder}{slash}{secret_name}#{key}"
    return ""


def pick_keys(found: Secret) -> Mapping[str, Json | bytes]:
    """Return what the secret has under its keys; raises NotPicked where it has none.

    Each is made a text by `text_of`; the mapping is as secret as the secret.
    """
    data = found.reveal()
    root = _parsed(data) if isinstance(data, bytes) else data
    if not isinstance(root, Mapping):
        raise NotPicked(errors.CONTENT, "it has no keys: it is JSON, and no mapping")
    return root


def text_of(value: Json | bytes) -> Text:
    """Return the value of a key, of at most `secret.MAX_BYTES`; raises NotPicked. See `pick`."""
    picked = _text_of(value)
    if len(picked.data) > secret.MAX_BYTES:
        raise NotPicked(errors.BODY, "the value is larger than 1 MiB")
    return picked


def _part(data: bytes | Fields, field: str) -> Text:
    return _found(_parsed(data) if isinstance(data, bytes) else data, field)


def _found(root: Json | Fields, field: str) -> Text:
    return _text_of(_pointed(root, field) if field.startswith("/") else _keyed(root, field))


def _text_of(value: Json | bytes) -> Text:
    if isinstance(value, bytes):
        return Text(data=value)
    if value is None:
        raise NotPicked(errors.MISSING, "the key is there and null")
    if isinstance(value, str):
        return Text(data=_utf8(value))
    return Text(data=_utf8(secret.format_json(value)), is_json=isinstance(value, (Mapping, list)))


def _whole(data: bytes | Fields) -> Text:
    if isinstance(data, bytes):
        return Text(data=data)
    texts: dict[str, Json] = {}
    binary = []
    for name, value in data.items():
        if isinstance(value, bytes):
            binary.append(name)
        else:
            texts[name] = value
    if binary:
        what = f"it has values that are no text, so it is no JSON as a whole: {_listed(binary)}"
        raise NotPicked(errors.CONTENT, what, "name one field, such as #" + binary[0])
    return Text(data=_utf8(secret.format_json(texts)), is_json=True)


def _parsed(data: bytes) -> Json:
    try:
        return secret.parse_json(data)
    except NotJson as error:
        what = f"it has no fields: {error}"
        raise NotPicked(errors.CONTENT, what, "leave out the field to get all of it") from None


def _keyed(data: Json | Fields, field: str) -> Json | bytes:
    if not isinstance(data, Mapping):
        raise NotPicked(errors.CONTENT, "it has no fields: it is JSON, and no mapping")
    if field not in data:
        raise _no_key(field, data)
    return data[field]


def _pointed(data: Json | Fields, pointer: str) -> Json | bytes:
    value: Json | bytes | Fields = data
    for step in pointer.removeprefix("/").split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            if key not in value:
                raise _no_key(key, value)
            value = value[key]
        elif isinstance(value, list):
            if not key.isascii() or not key.isdigit() or (key[0] == "0" and key != "0"):
                what = f'a list has no key "{key}"'
                raise NotPicked(errors.MISSING, what, "entries of a list are 0, 1, 2 ...")
            if len(key) > _MAX_INDEX_DIGITS or int(key) >= len(value):
                raise NotPicked(errors.MISSING, f"the list has {len(value)} entries, no {key}")
            value = value[int(key)]
        else:
            raise NotPicked(errors.MISSING, f'nothing is below "{key}": its parent is no mapping')
    return value  # type: ignore[return-value]  # a Fields is only ever the root, and a step went below it


def _no_key(key: str, among: Mapping[str, object]) -> NotPicked:
    there = f"keys there: {_listed(among)}" if among else "it is empty"
    hint = (
        _dotted(key, among)
        or errors.did_you_mean(key, among)
        or "check the field name, or give it a default"
    )
    return NotPicked(errors.MISSING, f"no such key; {there}", hint)


def _dotted(key: str, among: Mapping[str, object]) -> str:
    """Return the pointer for a key with dots, as other tools write what lies below another key."""
    if "." not in key:
        return ""
    from injector.core import spellings  # only for a hint

    return spellings.of_field(key, among)


def _listed(names: Iterable[str]) -> str:
    every = sorted(printable(name[:64]) for name in names)
    more = f" and {len(every) - _NAMES_SHOWN} more" if len(every) > _NAMES_SHOWN else ""
    return ", ".join(every[:_NAMES_SHOWN]) + more


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        what = "it has half a surrogate pair, which is no character"
        raise NotPicked(errors.CONTENT, what) from None

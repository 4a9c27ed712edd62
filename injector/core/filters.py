"""Filters: what `#{ref | name}` does to a value. Bytes in, bytes out; what cannot work is refused.

`default` and `required` decide about values that are missing or empty, and what `get` looks for may
be missing, so `render` does those.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable

from injector.core import secret
from injector.core.record import Record, hidden
from injector.core.reference import Filter
from injector.core.secret import NotJson

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_BLANKS = b" \t\n\r\x0b\x0c"


class FilterError(ValueError):
    """The filter cannot work on this value; the message quotes nothing of it."""


class Text(Record):
    """A value on its way; `is_json` says that it is a mapping or list of the store as JSON text."""

    data: bytes = hidden()
    is_json: bool = False


def apply(step: Filter, value: Text) -> Text:
    """Return the filtered value; raises FilterError."""
    if step.name == "split":
        return _split(value, *step.args)
    return _FILTERS[step.name](value)


def _base64(value: Text) -> Text:
    """RFC 4648 section 4: standard alphabet, padded, in one line."""
    return Text(data=base64.b64encode(value.data))


def _base64decode(value: Text) -> Text:
    """RFC 4648 section 4, strict; line breaks and other blanks in between are allowed."""
    try:
        return Text(data=base64.b64decode(value.data.translate(None, _BLANKS), validate=True))
    except binascii.Error:
        raise FilterError("the value is not base64 (standard alphabet, with padding)") from None


def _json(value: Text) -> Text:
    """RFC 8259: the text as a string literal; what is JSON already stays as it is."""
    if value.is_json:
        return value
    text = json.dumps(_utf8(value.data), ensure_ascii=False)
    return Text(data=text.encode(), is_json=True)


def _urlencode(value: Text) -> Text:
    """RFC 3986: unreserved characters stay, every other byte becomes %XX, also the slash."""
    kept = (chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in value.data)
    return Text(data="".join(kept).encode())


def _trim(value: Text) -> Text:
    """ASCII blanks and line breaks at both ends go."""
    return Text(data=value.data.strip(_BLANKS), is_json=value.is_json)


def _lines(value: Text) -> Text:
    """A JSON array of scalars becomes one entry per line, without a last line break."""
    try:
        found = secret.parse_json(value.data)
    except NotJson as error:
        raise FilterError(f"the value is no JSON array: {error}") from None
    if not isinstance(found, list):
        raise FilterError("the value is JSON, and no array")
    lines = []
    for index, entry in enumerate(found):
        if entry is None or isinstance(entry, (dict, list)):
            raise FilterError(f"entry {index} is no text, number or boolean")
        line = entry if isinstance(entry, str) else secret.format_json(entry)
        if "\n" in line:
            raise FilterError(f"entry {index} has a line break in it")
        lines.append(line)
    try:
        return Text(data="\n".join(lines).encode())
    except UnicodeEncodeError:
        raise FilterError("an entry has half a surrogate pair, which is no character") from None


def _yaml(value: Text) -> Text:
    """YAML as JSON: numbers as they are written, and nothing by its look but what JSON has."""
    from injector.core import yaml_value  # loads a parser that few plans need

    try:
        found = yaml_value.parse(_utf8(value.data))
    except yaml_value.NotYaml as error:
        raise FilterError(f"the value is no YAML of the plain kind: {error}") from None
    return Text(data=_encoded(secret.format_json(found)), is_json=True)


def _split(value: Text, separator: str, most: str = "") -> Text:
    """The parts between separators as a JSON array of texts; the last of `most` has the rest."""
    count = int(most) - 1 if most else -1
    parts: list[secret.Json] = [*_utf8(value.data).split(separator, count)]
    return Text(data=_encoded(secret.format_json(parts)), is_json=True)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise FilterError("it has half a surrogate pair, which is no character") from None


def _docker_auth(value: Text) -> tuple[str, str, str]:
    """Return registry, user and password of a docker config (kubernetes.io/dockerconfigjson)."""
    try:
        config = secret.parse_json(value.data)
    except NotJson as error:
        raise FilterError(f"the value is no docker config: {error}") from None
    auths = config.get("auths") if isinstance(config, dict) else None
    if not isinstance(auths, dict) or len(auths) != 1:
        raise FilterError("the docker config must name exactly one registry under auths")
    [(registry, entry)] = auths.items()
    fields = entry if isinstance(entry, dict) else {}
    user, password = fields.get("username"), fields.get("password")
    if isinstance(fields.get("auth"), str) and not (user and password):
        try:
            pair = base64.b64decode(str(fields["auth"]), validate=True).decode()
        except ValueError:
            raise FilterError("the docker config's auth is not base64 of user:password") from None
        user, _, password = pair.partition(":")
    if not isinstance(user, str) or not isinstance(password, str):
        raise FilterError("the docker config has no user and password")
    return registry, user, password


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FilterError("the value is not UTF-8 text") from None


_FILTERS: dict[str, Callable[[Text], Text]] = {
    "base64": _base64,
    "base64decode": _base64decode,
    "json": _json,
    "urlencode": _urlencode,
    "trim": _trim,
    "lines": _lines,
    "yaml": _yaml,
    "dockerregistry": lambda value: Text(data=_docker_auth(value)[0].encode()),
    "dockerusername": lambda value: Text(data=_docker_auth(value)[1].encode()),
    "dockerpassword": lambda value: Text(data=_docker_auth(value)[2].encode()),
}

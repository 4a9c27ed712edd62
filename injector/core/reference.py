"""References as values: what stands inside `#{...}`, typed once at the edge and passed on as data.

`grammar.parse` makes these from text, `format_value` writes them back, `webhook.core.resolve` turns
them into a plan. Nothing here knows a store, a pod or a file.
"""

from __future__ import annotations

import re

from injector.core.record import Record

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
"""A key as a reference writes it bare; any other stands in quotes."""

NAME = re.compile(r"[ -<>-~]{1,253}")
"""A variable's name as Kubernetes takes it: printable ASCII but the equals sign."""

LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
STORE = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
BARE_PATH = re.compile(r'[^\s#@|{}"]+')
BARE_WORD = re.compile(r'[^\s#@|{}"]+')
_PATH_SAFE = re.compile(r'[^\s#@|{}"%?;]+')
_OF_URLS = re.compile(r"[%?#;]")
_ENCODED = re.compile(r"%(?:2[eEfF]|5[cC]|00)")
_PATH_FORBIDDEN = re.compile(r"[%?#;\\\x00-\x1f\x7f]")

FILTERS = {
    "default": (1, 1),
    "required": (0, 1),
    "base64": (0, 0),
    "base64decode": (0, 0),
    "json": (0, 0),
    "urlencode": (0, 0),
    "trim": (0, 0),
    "lines": (0, 0),
    "get": (1, 1),
    "yaml": (0, 0),
    "split": (1, 2),
}
"""Filter name → the least and the most arguments it takes."""

POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
"""A JSON Pointer (RFC 6901) to something in a document."""

_COUNT = re.compile(r"[1-9][0-9]{0,3}")

PRESET_FILTERS = ("dockerregistry", "dockerusername", "dockerpassword")
"""Filters that only presets write: no field can name a docker config's registry."""


class EnvironmentKey(Record):
    """`$/KEY`: a key of the environment the namespace belongs to."""

    key: str


class ServiceKey(Record):
    """`$service/KEY` or `$service.namespace/KEY`: a key another service offers."""

    service: str
    namespace: str | None
    key: str


class SiblingKey(Record):
    """`KEY` or `"a.key"`: another key of the same set, after overrides."""

    key: str


class StoreRead(Record):
    """`store:path#field@version`: a value straight from a store.

    `field` starting with `/` is a JSON Pointer (RFC 6901), else a top-level key; None is the whole
    value. `path` is canonical (see `path_problem`).
    """

    store: str
    path: str
    field: str | None = None
    version: str | None = None


class ServiceAddress(Record):
    """`@service.namespace:port`: where a Kubernetes Service listens; not a secret."""

    service: str
    namespace: str | None
    port: int | None


Reference = EnvironmentKey | ServiceKey | SiblingKey | StoreRead | ServiceAddress


class Filter(Record):
    """One step of the pipe; `args` are plain texts."""

    name: str
    args: tuple[str, ...] = ()


class Expression(Record):
    """One `#{...}`: a reference and the filters its value goes through, left to right."""

    reference: Reference
    filters: tuple[Filter, ...] = ()


Value = tuple[str | Expression, ...]
"""A value: texts and expressions in order; no text is empty, no two texts are neighbours."""


def argument_problem(name: str, args: tuple[str, ...]) -> str:
    """Return what is wrong with the arguments of a filter, whose number is right; else nothing."""
    if name == "get" and not POINTER.fullmatch(args[0]):
        return "get takes a JSON Pointer such as /db/password or /0"
    if name == "split" and not args[0]:
        return "split takes the text between the parts, which is not empty"
    if name == "split" and len(args) > 1 and not _COUNT.fullmatch(args[1]):
        return 'the most parts that split makes are a number from 1 to 9999, such as "2"'
    return ""


def path_problem(path: str) -> str | None:
    """Return why the path is not canonical, or None.

    Nothing is cleaned up: what is read is what is written, so the check and the use cannot differ.
    A single leading slash is canonical (AWS parameter names have one); stores narrow this further.
    """
    if not path or path == "/":
        return "the path is empty"
    if len(path) > 1024:
        return "the path is longer than 1024 characters"
    if found := _PATH_FORBIDDEN.search(path):
        return f"the path may not hold {found.group()!a}"
    segments = path.removeprefix("/").split("/")
    if "" in segments:
        return "the path has an empty segment"
    if "." in segments or ".." in segments:
        return 'the path has a segment "." or ".."'
    if path != path.strip() or not path.isprintable():
        return "the path has unprintable characters or blanks at its ends"
    return None


def written_problem(path: str, *, is_quoted: bool) -> str | None:
    """Return why a reference may not hold the path, or None; its store has the last word.

    Wider than `path_problem` by what names of some stores have: a slash at the end and, in quotes,
    the characters that mean something in a URL. Escapes of what parts a path stay refused.
    """
    problem = path_problem(path)
    if problem is None:
        return None
    if _ENCODED.search(path):
        return "the path holds an escape such as %2F; nothing is decoded, write the character"
    plain = path.removesuffix("/")
    if is_quoted:
        plain = _OF_URLS.sub("_", plain)
    return problem if path_problem(plain) is not None else None


def format_value(value: Value) -> str:
    """Return the text that `grammar.parse` reads as this value: the canonical spelling.

    Every run of `#` in front of a brace is doubled, so `#` and `{` in a text stay what they are.
    """
    out = []
    for index, part in enumerate(value):
        if isinstance(part, Expression):
            out.append(f"#{{{format_expression(part)}}}")
            continue
        *before_braces, last = part.split("{")
        out += (_hashes_doubled(piece) + "{" for piece in before_braces)
        is_followed_by_expression = index + 1 < len(value)
        out.append(_hashes_doubled(last) if is_followed_by_expression else last)
    return "".join(out)


def _hashes_doubled(text: str) -> str:
    """Return the text with the run of "#" at its end doubled."""
    return text + "#" * (len(text) - len(text.rstrip("#")))


def format_expression(expression: Expression) -> str:
    """Return what stands between the braces."""
    steps = [format_reference(expression.reference)]
    for step in expression.filters:
        args = ", ".join(_quote(arg) for arg in step.args)
        steps.append(f"{step.name}({args})" if step.args else step.name)
    return " | ".join(steps)


def format_reference(reference: Reference) -> str:
    """Return the reference as one writes it."""
    match reference:
        case EnvironmentKey(key=key):
            return f"$/{_bare_or_quoted(key, KEY)}"
        case ServiceKey(service=service, namespace=namespace, key=key):
            return f"${_dotted(service, namespace)}/{_bare_or_quoted(key, KEY)}"
        case SiblingKey(key=key):
            return _bare_or_quoted(key, KEY)
        case ServiceAddress(service=service, namespace=namespace, port=port):
            return f"@{_dotted(service, namespace)}" + (f":{port}" if port is not None else "")
        case StoreRead(store=store, path=path, field=field, version=version):
            text = f"{store}:{_bare_or_quoted(path, _PATH_SAFE)}"
            if field is not None:
                text += f"#{_bare_or_quoted(field, BARE_WORD)}"
            return text + (f"@{version}" if version is not None else "")


def _dotted(service: str, namespace: str | None) -> str:
    return service if namespace is None else f"{service}.{namespace}"


def _bare_or_quoted(text: str, bare: re.Pattern[str]) -> str:
    return text if bare.fullmatch(text) else _quote(text)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

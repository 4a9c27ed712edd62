"""The parser of values: text in, `reference.Value` out, or every problem with its exact column.

Written by hand for the sake of its messages. One pass finds where texts and expressions begin and
end, a second reads each expression on its own, so one bad expression hides no other.

    value  = *( text / "#{" expr "}" )      a run of 2n "#" before "{" is n literal "#";
                                            2n+1 is n literal "#" and the start of an expression
    expr   = ref *( "|" filter )
    ref    = "$/" KEY / "$" service [ "." namespace ] "/" KEY / KEY
           / store ":" path [ "#" field ] [ "@" version ]
           / "@" service [ "." namespace ] [ ":" port ]
    filter = name [ "(" [ string *( "," string ) ] ")" ]
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from injector.core import errors, reference
from injector.core.reference import Expression, Filter, Reference, Value
from injector.core.scanner import Scanner, Slip, SlipError, closing_brace

__all__ = ["GrammarError", "Slip", "has_expression", "parse", "parse_reference"]

MAX_TEXT = 65_536
MAX_EXPRESSIONS = 64
MAX_SLIPS = 16

_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
_NO_END = -1
_OPEN = re.compile(r"(#+)\{")


class GrammarError(ValueError):
    """The text is no value; `slips` has every mistake found, by column."""

    def __init__(self, slips: tuple[Slip, ...]) -> None:
        """Keep the slips."""
        self.slips = slips
        super().__init__("; ".join(f"column {slip.column}: {slip.what}" for slip in slips))


def parse(text: str) -> Value:
    """Return the value that the text writes; `parse(format_value(v)) == v` for every value.

    Raises GrammarError with the first `MAX_SLIPS` mistakes. Never evaluates anything.
    """
    if len(text) > MAX_TEXT:
        raise GrammarError(
            (Slip(column=MAX_TEXT + 1, what=f"the value is longer than {MAX_TEXT} characters"),)
        )
    parts: list[str | Expression] = []
    slips: list[Slip] = []
    for piece in _pieces(text):
        if isinstance(piece, str):
            parts.append(piece)
            continue
        try:
            parts.append(_Reader(text, *piece).expression())
        except SlipError as slip:
            slips.append(slip.slip)
            if len(slips) == MAX_SLIPS:
                break
    if sum(isinstance(part, Expression) for part in parts) > MAX_EXPRESSIONS:
        slips.append(Slip(column=1, what=f"the value has more than {MAX_EXPRESSIONS} references"))
    if slips:
        raise GrammarError(tuple(slips))
    return tuple(parts)


def _pieces(text: str) -> Iterator[str | tuple[int, int]]:
    """Yield texts as they are meant, and where each expression starts and ends.

    One that never ends has the end `_NO_END`.
    """
    pending = ""
    at = 0
    while found := _OPEN.search(text, at):
        hashes = len(found.group(1))
        pending += text[at : found.start()] + "#" * (hashes // 2)
        at = found.end()
        if hashes % 2 == 0:
            pending += "{"
            continue
        if pending:
            yield pending
            pending = ""
        end = closing_brace(text, at)
        if end is None:
            yield at, _NO_END
            return
        yield at, end
        at = end + 1
    pending += text[at:]
    if pending:
        yield pending


def parse_reference(text: str) -> Reference:
    """Return the one reference that the text is, without braces or filters; raises GrammarError."""
    reader = _Reader(text, 0, len(text))
    try:
        found = reader.reference()
        reader.end_of(f"the reference {text!r}")
    except SlipError as slip:
        raise GrammarError((slip.slip,)) from None
    return found


def has_expression(text: str) -> bool:
    """Say whether the text holds an expression, well formed or not."""
    return "#{" in text and any(len(run.group(1)) % 2 for run in _OPEN.finditer(text))


class _Reader(Scanner):
    """Reads one expression."""

    def expression(self) -> Expression:
        if self.end == _NO_END:
            what, hint = '"#{" is never closed by "}"', "write ##{ for a literal #{"
            raise SlipError(self.at - 2, what, hint)
        found = self.reference()
        filters = []
        while self.skip("|"):
            filters.append(self._filter())
        self.end_of("this reference")
        return Expression(reference=found, filters=tuple(filters))

    def reference(self) -> Reference:
        self.blanks()
        if self.skip("$/"):
            return reference.EnvironmentKey(key=self._key())
        if self.skip("$"):
            service, namespace = self._service()
            self.expect("/", "a key", "write $service/KEY or $service.namespace/KEY")
            return reference.ServiceKey(service=service, namespace=namespace, key=self._key())
        if self.skip("@"):
            service, namespace = self._service()
            return reference.ServiceAddress(service=service, namespace=namespace, port=self._port())
        start = self.at
        word = self.match(_WORD)
        if word is None:
            raise self.slip(
                "a reference is missing here", "write store:path#field, $/KEY, $service/KEY or KEY"
            )
        if self.skip(":"):
            if not reference.STORE.fullmatch(word):
                raise SlipError(
                    start, f'"{word}" is not the name of a store', "store names are lower-case"
                )
            return self._store_read(word)
        if not reference.KEY.fullmatch(word):
            raise SlipError(
                start,
                f'"{word}" is not a key',
                "a key matches [A-Za-z_][A-Za-z0-9_]*; a store needs a path: store:path",
            )
        return reference.SiblingKey(key=word)

    def end_of(self, what: str) -> None:
        self.blanks()
        if self.at < self.end:
            raise self.slip(
                f'unexpected "{self.text[self.at]}" after {what}',
                'filters follow "|"; quote a path with odd characters',
            )

    def _store_read(self, store: str) -> Reference:
        start = self.at
        path = self.quoted() if self.peek('"') else self.match(reference.BARE_PATH)
        problem = reference.path_problem(path or "")
        if path is None or problem is not None:
            raise SlipError(
                start,
                problem or "the path is empty",
                "write the path exactly as the store knows it",
            )
        field = version = None
        if self.skip("#"):
            field = self._field()
        if self.skip("@"):
            version = self.match(_VERSION)
            if version is None:
                raise self.slip("a version is missing after @", "write @3 or @AWSPREVIOUS")
        return reference.StoreRead(store=store, path=path, field=field, version=version)

    def _field(self) -> str:
        start = self.at
        field = self.quoted() if self.peek('"') else self.match(reference.BARE_WORD)
        if not field:
            raise SlipError(
                start, "a field is missing after #", "write #field or a JSON Pointer such as #/a/0"
            )
        if field.startswith("/") and not _POINTER.fullmatch(field):
            raise SlipError(
                start,
                f'"{field}" is not a JSON Pointer',
                "~ is written ~0 and / is written ~1 (RFC 6901)",
            )
        if len(field) > 253 or not field.isprintable():
            raise SlipError(start, "the field is longer than 253 characters or not printable")
        return field

    def _service(self) -> tuple[str, str | None]:
        start = self.at
        word = self.match(_WORD) or ""
        service, dot, namespace = word.partition(".")
        for name, is_wanted in ((service, True), (namespace, bool(dot))):
            if is_wanted and not reference.LABEL.fullmatch(name):
                raise SlipError(
                    start,
                    f'"{word}" is not a service or service.namespace',
                    "both are lower-case DNS labels",
                )
        return service, namespace if dot else None

    def _port(self) -> int | None:
        if not self.skip(":"):
            return None
        digits = self.match(_PORT)
        if digits is None or int(digits) > 65_535:
            raise self.slip("a port is a number from 1 to 65535")
        return int(digits)

    def _key(self) -> str:
        start = self.at
        word = self.match(_WORD) or ""
        if not reference.KEY.fullmatch(word):
            raise SlipError(start, f'"{word}" is not a key', "a key matches [A-Za-z_][A-Za-z0-9_]*")
        return word

    def _filter(self) -> Filter:
        self.blanks()
        start = self.at
        name = self.match(_WORD) or ""
        if name not in reference.FILTERS:
            known = ", ".join(reference.FILTERS)
            raise SlipError(
                start,
                f'no filter is called "{name}"',
                errors.did_you_mean(name, reference.FILTERS) or f"filters: {known}",
            )
        args = self._arguments() if self.skip("(") else ()
        least, most = reference.FILTERS[name]
        if not least <= len(args) <= most:
            count = least if least == most else f"{least} to {most}"
            raise SlipError(
                start,
                f'the filter "{name}" takes {count} arguments, not {len(args)}',
            )
        return Filter(name=name, args=args)

    def _arguments(self) -> tuple[str, ...]:
        args: list[str] = []
        self.blanks()
        while not self.skip(")"):
            if args:
                self.expect(",", "the next argument", "arguments are separated by commas")
            self.blanks()
            args.append(self.quoted())
            self.blanks()
        return tuple(args)

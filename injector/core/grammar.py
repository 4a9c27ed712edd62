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
from dataclasses import dataclass

from injector.core import errors, reference
from injector.core.reference import Expression, Filter, Reference, Value

MAX_TEXT = 65_536
MAX_EXPRESSIONS = 64

_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
_OPEN = re.compile(r"(#+)\{")
_BLANKS = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slip:
    """One mistake in a text: its 1-based column, what is wrong, and what to write instead."""

    column: int
    what: str
    hint: str = ""


class GrammarError(ValueError):
    """The text is no value; `slips` has every mistake found, by column."""

    def __init__(self, slips: tuple[Slip, ...]) -> None:
        """Keep the slips."""
        self.slips = slips
        super().__init__("; ".join(f"column {slip.column}: {slip.what}" for slip in slips))


class _SlipError(Exception):
    def __init__(self, column: int, what: str, hint: str = "") -> None:
        self.slip = Slip(column=column + 1, what=what, hint=hint)
        super().__init__(what)


def parse(text: str) -> Value:
    """Return the value that the text writes; `parse(format_value(v)) == v` for every value.

    Raises GrammarError with all mistakes. Never evaluates anything.
    """
    if len(text) > MAX_TEXT:
        raise GrammarError(
            (Slip(column=MAX_TEXT + 1, what=f"the value is longer than {MAX_TEXT} characters"),)
        )
    parts: list[str | Expression] = []
    slips: list[Slip] = []
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
            parts.append(pending)
            pending = ""
        end = _closing_brace(text, at)
        if end is None:
            slips.append(
                Slip(
                    column=found.end() - 1,
                    what='"#{" is never closed by "}"',
                    hint="write ##{ for a literal #{",
                )
            )
            at = len(text)
            break
        try:
            parts.append(_Reader(text, at, end).expression())
        except _SlipError as slip:
            slips.append(slip.slip)
        at = end + 1
    pending += text[at:]
    if pending:
        parts.append(pending)
    if sum(isinstance(part, Expression) for part in parts) > MAX_EXPRESSIONS:
        slips.append(Slip(column=1, what=f"the value has more than {MAX_EXPRESSIONS} references"))
    if slips:
        raise GrammarError(tuple(slips))
    return tuple(parts)


def parse_reference(text: str) -> Reference:
    """Return the one reference that the text is, without braces or filters; raises GrammarError."""
    reader = _Reader(text, 0, len(text))
    try:
        found = reader.reference()
        reader.end_of(f"the reference {text!r}")
    except _SlipError as slip:
        raise GrammarError((slip.slip,)) from None
    return found


def has_expression(text: str) -> bool:
    """Say whether the text holds an expression, well formed or not."""
    return "#{" in text and any(len(run.group(1)) % 2 for run in _OPEN.finditer(text))


def _closing_brace(text: str, at: int) -> int | None:
    """Return the index of the brace that ends the expression; braces in quotes do not count."""
    in_quotes = False
    while at < len(text):
        char = text[at]
        if in_quotes and char == "\\":
            at += 1
        elif char == '"':
            in_quotes = not in_quotes
        elif char == "}" and not in_quotes:
            return at
        at += 1
    return None


class _Reader:
    """Reads one expression between two indexes of a text; raises _SlipError with the exact place."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text, self.at, self.end = text, start, end

    def expression(self) -> Expression:
        found = self.reference()
        filters = []
        while self._skip("|"):
            filters.append(self._filter())
        self.end_of("this reference")
        return Expression(reference=found, filters=tuple(filters))

    def reference(self) -> Reference:
        self._blanks()
        if self._skip("$/"):
            return reference.EnvironmentKey(key=self._key())
        if self._skip("$"):
            service, namespace = self._service()
            self._expect("/", "a key", "write $service/KEY or $service.namespace/KEY")
            return reference.ServiceKey(service=service, namespace=namespace, key=self._key())
        if self._skip("@"):
            service, namespace = self._service()
            return reference.ServiceAddress(service=service, namespace=namespace, port=self._port())
        start = self.at
        word = self._match(_WORD)
        if word is None:
            raise self._slip(
                "a reference is missing here", "write store:path#field, $/KEY, $service/KEY or KEY"
            )
        if self._skip(":"):
            if not reference.STORE.fullmatch(word):
                raise _SlipError(
                    start, f'"{word}" is not the name of a store', "store names are lower-case"
                )
            return self._store_read(word)
        if not reference.KEY.fullmatch(word):
            raise _SlipError(
                start,
                f'"{word}" is not a key',
                "a key matches [A-Za-z_][A-Za-z0-9_]*; a store needs a path: store:path",
            )
        return reference.SiblingKey(key=word)

    def end_of(self, what: str) -> None:
        self._blanks()
        if self.at < self.end:
            raise self._slip(
                f'unexpected "{self.text[self.at]}" after {what}',
                'filters follow "|"; quote a path with odd characters',
            )

    def _store_read(self, store: str) -> Reference:
        start = self.at
        path = self._quoted() if self._peek('"') else self._match(reference.BARE_PATH)
        problem = reference.path_problem(path or "")
        if path is None or problem is not None:
            raise _SlipError(
                start,
                problem or "the path is empty",
                "write the path exactly as the store knows it",
            )
        field = version = None
        if self._skip("#"):
            field = self._field()
        if self._skip("@"):
            version = self._match(_VERSION)
            if version is None:
                raise self._slip("a version is missing after @", "write @3 or @AWSPREVIOUS")
        return reference.StoreRead(store=store, path=path, field=field, version=version)

    def _field(self) -> str:
        start = self.at
        field = self._quoted() if self._peek('"') else self._match(reference.BARE_WORD)
        if not field:
            raise _SlipError(
                start, "a field is missing after #", "write #field or a JSON Pointer such as #/a/0"
            )
        if field.startswith("/") and not _POINTER.fullmatch(field):
            raise _SlipError(
                start,
                f'"{field}" is not a JSON Pointer',
                "~ is written ~0 and / is written ~1 (RFC 6901)",
            )
        if len(field) > 253 or not field.isprintable():
            raise _SlipError(start, "the field is longer than 253 characters or not printable")
        return field

    def _service(self) -> tuple[str, str | None]:
        start = self.at
        word = self._match(_WORD) or ""
        service, dot, namespace = word.partition(".")
        for name, is_wanted in ((service, True), (namespace, bool(dot))):
            if is_wanted and not reference.LABEL.fullmatch(name):
                raise _SlipError(
                    start,
                    f'"{word}" is not a service or service.namespace',
                    "both are lower-case DNS labels",
                )
        return service, namespace if dot else None

    def _port(self) -> int | None:
        if not self._skip(":"):
            return None
        digits = self._match(_PORT)
        if digits is None or int(digits) > 65_535:
            raise self._slip("a port is a number from 1 to 65535")
        return int(digits)

    def _key(self) -> str:
        start = self.at
        word = self._match(_WORD) or ""
        if not reference.KEY.fullmatch(word):
            raise _SlipError(
                start, f'"{word}" is not a key', "a key matches [A-Za-z_][A-Za-z0-9_]*"
            )
        return word

    def _filter(self) -> Filter:
        self._blanks()
        start = self.at
        name = self._match(_WORD) or ""
        if name not in reference.FILTERS:
            known = ", ".join(reference.FILTERS)
            raise _SlipError(
                start,
                f'no filter is called "{name}"',
                errors.did_you_mean(name, reference.FILTERS) or f"filters: {known}",
            )
        args = self._arguments() if self._skip("(") else ()
        least, most = reference.FILTERS[name]
        if not least <= len(args) <= most:
            raise _SlipError(
                start,
                f'the filter "{name}" takes {least if least == most else f"{least} to {most}"} arguments, not {len(args)}',
            )
        return Filter(name=name, args=args)

    def _arguments(self) -> tuple[str, ...]:
        args: list[str] = []
        self._blanks()
        while not self._skip(")"):
            if args:
                self._expect(",", "the next argument", "arguments are separated by commas")
            self._blanks()
            args.append(self._quoted())
            self._blanks()
        return tuple(args)

    def _quoted(self) -> str:
        start = self.at
        self._expect('"', "a quoted text", 'texts stand in "double quotes"')
        out = []
        while self.at < self.end and self.text[self.at] != '"':
            if self.text[self.at] == "\\":
                self.at += 1
                if self.at >= self.end or self.text[self.at] not in '"\\':
                    raise self._slip(
                        "unknown escape", 'inside quotes only \\" and \\\\ are escapes'
                    )
            out.append(self.text[self.at])
            self.at += 1
        if not self._skip('"', after_blanks=False):
            raise _SlipError(start, "the quote is never closed")
        return "".join(out)

    def _blanks(self) -> None:
        found = _BLANKS.match(self.text, self.at, self.end)
        self.at = found.end() if found else self.at

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self.at, self.end)
        if found is None:
            return None
        self.at = found.end()
        return found.group()

    def _peek(self, token: str) -> bool:
        return self.text.startswith(token, self.at, self.end)

    def _skip(self, token: str, *, after_blanks: bool | None = None) -> bool:
        if token == "|" if after_blanks is None else after_blanks:
            self._blanks()
        if not self._peek(token):
            return False
        self.at += len(token)
        return True

    def _expect(self, token: str, before: str, hint: str) -> None:
        if not self._skip(token):
            raise self._slip(f'"{token}" is missing before {before}', hint)

    def _slip(self, what: str, hint: str = "") -> _SlipError:
        return _SlipError(self.at, what, hint)

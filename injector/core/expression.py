"""The reader of one expression: a reference, and the filters that its value goes through."""

from __future__ import annotations

import re

from injector.core import errors, reference
from injector.core.reference import Expression, Filter, Reference
from injector.core.scanner import Scanner, SlipError

_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}")

MAX_FILTERS = 16
MAX_ARGUMENTS = 16

NO_END = -1
"""The end of an expression that is never closed."""


class Reader(Scanner):
    """Reads one expression, or one reference; raises SlipError."""

    def expression(self) -> Expression:
        """Read a reference and its filters, up to the end."""
        if self.end == NO_END:
            what, hint = '"#{" is never closed by "}"', "write ##{ for a literal #{"
            raise SlipError(self.at - 2, what, hint)
        found = self.reference()
        filters: list[Filter] = []
        while self.skip("|"):
            if len(filters) == MAX_FILTERS:
                raise self.slip(f"a reference goes through at most {MAX_FILTERS} filters")
            filters.append(self._filter())
        self.end_of("this reference")
        return Expression(reference=found, filters=tuple(filters))

    def reference(self) -> Reference:
        """Read a reference; what follows it stays."""
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
        if self.peek('"'):
            return reference.SiblingKey(key=self._key())
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
            raise _not_a_key(start, word, "a store needs a path: store:path#field")
        return reference.SiblingKey(key=word)

    def end_of(self, what: str) -> None:
        """Insist that nothing follows."""
        self.blanks()
        if self.at < self.end:
            raise self.slip(
                f'unexpected "{self.text[self.at]}" after {what}',
                "a version is written behind @, as in @3"
                if self.text[self.at] == "#"
                else 'filters follow "|"; quote a path with odd characters',
            )

    def _store_read(self, store: str) -> Reference:
        start = self.at
        is_quoted = self.peek('"')
        path = self.quoted() if is_quoted else self.match(reference.BARE_PATH)
        problem = reference.written_problem(path or "", is_quoted=is_quoted)
        if path is None or problem is not None:
            from injector.core import spellings  # only for a hint

            raise SlipError(
                start,
                problem or "the path is empty",
                spellings.of_path(path or "") or "write the path exactly as the store knows it",
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
        if len(field) > 253 or not field.isprintable():
            raise SlipError(start, "the field is longer than 253 characters or not printable")
        if field.startswith("/") and not reference.POINTER.fullmatch(field):
            raise SlipError(
                start,
                f'"{field}" is not a JSON Pointer',
                "~ is written ~0 and / is written ~1 (RFC 6901)",
            )
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
        if self.peek('"'):
            word = self.quoted()
            if not reference.NAME.fullmatch(word):
                hint = "a key is at most 253 characters of printable ASCII, and none is ="
                raise SlipError(start, "what stands in quotes is not a key", hint)
            return word
        word = self.match(_WORD) or ""
        if not reference.KEY.fullmatch(word):
            raise _not_a_key(start, word)
        return word

    def _filter(self) -> Filter:
        self.blanks()
        start = self.at
        name = self.match(_WORD) or ""
        if name not in reference.FILTERS:
            known = "filters: " + ", ".join(reference.FILTERS)
            hint = errors.did_you_mean(name, reference.FILTERS)
            hint = f"{hint} {known}" if hint else known
            raise SlipError(start, f'no filter is called "{name}"', hint)
        args = self._arguments() if self.skip("(") else ()
        least, most = reference.FILTERS[name]
        if not least <= len(args) <= most:
            count = least if least == most else f"{least} to {most}"
            raise SlipError(
                start,
                f'the filter "{name}" takes {count} arguments, not {len(args)}',
            )
        if problem := reference.argument_problem(name, args):
            raise SlipError(start, problem)
        return Filter(name=name, args=args)

    def _arguments(self) -> tuple[str, ...]:
        args: list[str] = []
        self.blanks()
        while not self.skip(")"):
            if args:
                self.expect(",", "the next argument", "arguments are separated by commas")
            if len(args) == MAX_ARGUMENTS:
                raise self.slip(f"a filter takes at most {MAX_ARGUMENTS} arguments")
            self.blanks()
            args.append(self.quoted())
            self.blanks()
        return tuple(args)


def _not_a_key(at: int, word: str, hint: str = "") -> SlipError:
    quoted = "a key with other characters than letters, digits and _ stands in quotes"
    if word and reference.NAME.fullmatch(word):
        quoted = f'a key like this one stands in quotes: "{word}"'
    return SlipError(at, f'"{word}" is not a key', "; ".join(filter(None, [quoted, hint])))

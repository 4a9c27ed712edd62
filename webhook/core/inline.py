"""References in a container's own `env[].value`: which entries are evaluated, which stay text.

Data is not code: commit messages, templates and copies of pod metadata reach `env` with whatever
somebody else wrote in them. An entry is evaluated where all of these hold, else left as it is:

    the pod itself says inject: "true"
    the container is served
    the annotation `inline` is absent, or names the variable
    the value does not quote an annotation of ours
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from injector.core import budget, errors, grammar
from injector.core.errors import Problem
from injector.core.reference import EnvironmentKey, Expression, Reference, ServiceKey, StoreRead
from injector.core.scanner import closing_brace
from webhook.core import pod as pods
from webhook.core.annotations import INJECT, PREFIX, Wish
from webhook.core.catalog import Catalog
from webhook.core.globs import any_matches
from webhook.core.pod import Container

MAX_NAMED = 8
"""Variables that a warning names."""
MAX_OPENINGS = 128
"""Places of one pod at which a reference is looked for in text; beyond them nobody is warned."""
_MAX_LENGTH = 1024
"""Characters of a reference in text that are looked at."""

_OPENING = re.compile(r"(?<!#)#(?:##)*\{")
# Metadata travels in JSON, in JSON within JSON, and in URLs.
_QUOTES_US = re.compile(
    re.escape(PREFIX.removesuffix("/")) + r"(?:\\{0,64}(?:/|u002f)|%2f)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """What a pod says about references in `env`: `names` None means every variable."""

    is_asked: bool
    served: frozenset[str]
    names: tuple[str, ...] | None

    @classmethod
    def of(cls, wish: Wish, served: frozenset[str]) -> Inline:
        """Return what a wish says, for the containers that it serves."""
        return cls(is_asked=wish.is_explicit, served=served, names=wish.inline)

    def references(self, container: Container) -> list[tuple[int, str, str]]:
        """Return index, name and text of every entry of the container that is evaluated."""
        if not self.is_asked:
            return []
        return [
            (index, str(entry.get("name")), str(entry["value"]))
            for index, entry in enumerate(container.env)
            if holds_opening(entry) and not self._why_text(container, entry)
        ]

    def is_reference(self, container: Container, entry: Mapping[str, Any]) -> bool:
        """Say whether this entry of the container is evaluated."""
        return self.is_asked and holds_opening(entry) and not self._why_text(container, entry)

    def _why_text(self, container: Container, entry: Mapping[str, Any]) -> str:
        if _QUOTES_US.search(str(entry["value"])):
            return "it quotes annotations of ours"
        if not self.is_asked:
            return f'the pod does not say {INJECT}: "true"'
        if container.name not in self.served:
            return "the container is not served"
        if self.names is not None and not any_matches(str(entry.get("name")), self.names):
            return f"{PREFIX}inline does not name it"
        return ""

    def left(
        self, pod: Mapping[str, Any], catalog: Catalog, *, namespace: str, service: str
    ) -> tuple[Problem, ...]:
        """Return one warning per reason for the entries that stay text and look like references."""
        reader = _Reader(catalog, namespace=namespace, service=service)
        found: dict[str, dict[str, list[str]]] = {}
        for container in pods.containers(pod):
            for entry in container.env:
                budget.spend()
                if not holds_opening(entry):
                    continue
                why = self._why_text(container, entry)
                if why and reader.would_read(str(entry["value"])):
                    names = found.setdefault(why, {})
                    names.setdefault(str(entry.get("name")), []).append(container.name)
        return tuple(_warning(why, names) for why, names in found.items())


def holds_opening(entry: Mapping[str, Any]) -> bool:
    """Say whether an env entry has a literal value in which an expression may begin."""
    return "#{" in str(entry.get("value") or "")


class _Reader:
    """Tells text that would be a reference in this cluster from any other text."""

    def __init__(self, catalog: Catalog, *, namespace: str, service: str) -> None:
        self._catalog, self._namespace, self._service = catalog, namespace, service
        self._openings_left = MAX_OPENINGS

    def would_read(self, text: str) -> bool:
        """Say whether the text holds a reference to something that the namespace may name."""
        return any(map(self._is_known, self._references(text)))

    def _is_known(self, reference: Reference) -> bool:
        # What the namespace may not use is not told apart from what is not there.
        match reference:
            case StoreRead(store=name):
                store = self._catalog.stores.get(name)
                return store is not None and store.serves(self._namespace)
            case ServiceKey(service=name, namespace=namespace):
                service = self._catalog.services.get((namespace or self._namespace, name))
                return service is not None and (
                    service.namespace == self._namespace
                    or any(e.names(self._namespace, self._service) for e in service.exports)
                )
            case EnvironmentKey(key=key):
                environments = self._catalog.environments_of(self._namespace)
                return any(each.name == key for found in environments for each in found.env)
            case _:
                # `#{name}` and `#{@name}` are words of other languages as well.
                return False

    def _references(self, text: str) -> Iterator[Reference]:
        """Yield the references of every expression in a text that parses; the others are text."""
        for opening in _OPENING.finditer(text):
            if not self._openings_left:
                return
            self._openings_left -= 1
            budget.spend(_MAX_LENGTH // 256)
            start = opening.end() - 2
            window = text[start : start + _MAX_LENGTH]
            end = closing_brace(window, 2)
            if end is None:
                continue
            try:
                value = grammar.parse(window[: end + 1])
            except grammar.GrammarError:
                continue
            yield from (part.reference for part in value if isinstance(part, Expression))


def _warning(why: str, names: Mapping[str, list[str]]) -> Problem:
    listed = [f"{name} ({', '.join(by)})" for name, by in list(names.items())[:MAX_NAMED]]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    what = f"left as text, since {why}: {', '.join(listed)}{more}"
    return Problem(code=errors.LEFT_AS_TEXT, what=what, source="env")

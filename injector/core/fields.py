"""Reading a mapping that came from outside into typed values, with every mistake named by its path.

Resources, store definitions and configuration files all go through here: a field that is unknown,
missing, doubled or of the wrong type becomes a `Problem`; nothing is guessed and nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from injector.core import budget, errors
from injector.core.errors import Code, Problem

ANYTHING = re.compile(r"(?s).+")
"""Any text but an empty one."""

_DURATION = re.compile(r"([0-9]{1,6})(ms|s|m|h)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Fields:
    """One mapping under reading; each method takes a field out, `finish` reports what is left over.

    `place` is the path of the mapping (`spec.vault.auth`), `origin` the object it is part of. A
    child made by `child` shares its parent's list of problems.
    """

    def __init__(
        self, data: object, *, place: str, origin: str, code: Code, problems: list[Problem]
    ) -> None:
        """Start reading; anything but a mapping with text keys is a problem and reads as empty."""
        self.place, self.origin, self.code, self.problems = place, origin, code, problems
        self._known: list[str] = []
        self._data: dict[str, object] = {}
        if isinstance(data, Mapping) and all(isinstance(key, str) for key in data):
            self._data = dict(data)
        else:
            self.problem("", "must be a mapping with names as keys")

    def problem(self, name: str, what: str, hint: str = "") -> None:
        """Add a problem about the field (or about the mapping itself, with an empty name)."""
        source = f"{self.place}.{name}".strip(".") if name else self.place
        self.problems.append(
            Problem(code=self.code, what=what, source=source, origin=self.origin, hint=hint)
        )

    def has(self, name: str) -> bool:
        """Say whether the field is present and not null."""
        return self._data.get(name) is not None

    def names(self) -> list[str]:
        """Return the names present, in the order written."""
        return list(self._data)

    def take(self, name: str) -> object:
        """Take the field as it is; None when absent or null."""
        self._known.append(name)
        return self._data.get(name)

    def text(
        self,
        name: str,
        *,
        default: str | None = None,
        pattern: re.Pattern[str] = ANYTHING,
        form: str = "",
        longest: int = 4096,
    ) -> str:
        """Take a text that matches the whole pattern; without a default it is required."""
        found = self.take(name)
        if found is None:
            if default is None:
                self.problem(name, "is required")
            return default or ""
        if not isinstance(found, str) or len(found) > longest or not pattern.fullmatch(found):
            self.problem(name, f"must be {form or 'a text'}")
            return default or ""
        return found

    def optional(
        self, name: str, *, pattern: re.Pattern[str] = ANYTHING, form: str = "", longest: int = 4096
    ) -> str | None:
        """Take a text that may be absent."""
        if not self.has(name):
            self.take(name)
            return None
        return self.text(name, pattern=pattern, form=form, longest=longest) or None

    def flag(self, name: str, *, default: bool) -> bool:
        """Take a boolean."""
        found = self.take(name)
        if found is None or isinstance(found, bool):
            return default if found is None else found
        self.problem(name, "must be true or false")
        return default

    def whole(self, name: str, *, default: int, least: int, most: int) -> int:
        """Take a whole number within bounds."""
        found = self.take(name)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            self.problem(name, f"must be a whole number from {least} to {most}")
            return default
        return found

    def duration_s(self, name: str, *, default: float, least: float, most: float) -> float:
        """Take a duration such as 500ms, 10s or 2m; return seconds."""
        found = self.take(name)
        if found is None:
            return default
        match = _DURATION.fullmatch(found) if isinstance(found, str) else None
        seconds = int(match.group(1)) * _UNIT_S[match.group(2)] if match else -1.0
        if not least <= seconds <= most:
            self.problem(
                name, f"must be a duration from {least:g}s to {most:g}s, such as 500ms, 10s or 2m"
            )
            return default
        return seconds

    def texts(
        self,
        name: str,
        *,
        pattern: re.Pattern[str] = ANYTHING,
        form: str = "a text",
        most: int = 256,
    ) -> tuple[str, ...]:
        """Take a list of texts; absent is empty."""
        found = self.take(name)
        if found is None:
            return ()
        if not isinstance(found, Sequence) or isinstance(found, str) or len(found) > most:
            self.problem(name, f"must be a list of at most {most} entries")
            return ()
        budget.spend(1 + len(found))
        for index, entry in enumerate(found):
            if not isinstance(entry, str) or not pattern.fullmatch(entry):
                self.problem(f"{name}[{index}]", f"must be {form}")
        return tuple(entry for entry in found if isinstance(entry, str))

    def child(self, name: str) -> Fields:
        """Take a mapping; absent reads as empty, so its own required fields are reported."""
        found = self.take(name)
        place = f"{self.place}.{name}".strip(".")
        return Fields(
            {} if found is None else found,
            place=place,
            origin=self.origin,
            code=self.code,
            problems=self.problems,
        )

    def children(self, name: str, *, most: int = 64) -> list[Fields]:
        """Take a list of mappings; absent is empty."""
        found = self.take(name)
        if found is None:
            return []
        if not isinstance(found, Sequence) or isinstance(found, str) or len(found) > most:
            self.problem(name, f"must be a list of at most {most} entries")
            return []
        budget.spend(1 + len(found))
        return [
            Fields(
                entry,
                place=f"{self.place}.{name}[{index}]".strip("."),
                origin=self.origin,
                code=self.code,
                problems=self.problems,
            )
            for index, entry in enumerate(found)
        ]

    def one_of(self, names: Sequence[str]) -> str | None:
        """Return which one of the members of a union is present; none or several is a problem."""
        present = [name for name in names if self.has(name)]
        if len(present) == 1:
            return present[0]
        wanted = ", ".join(names)
        self._known.extend(names)
        what = (
            f"has {' and '.join(present)}; exactly one is allowed"
            if present
            else f"needs exactly one of {wanted}"
        )
        unknown = [name for name in self._data if name not in self._known]
        hint = errors.did_you_mean(unknown[0], names) if unknown and not present else ""
        self.problem("", what, hint)
        return None

    def finish(self) -> None:
        """Report every field that nobody took."""
        for name in self._data:
            if name not in self._known:
                hint = errors.neighbour(self.problems, name, self._known)
                self.problem(name, "no such field", hint)

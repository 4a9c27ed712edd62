"""A plan's JSON under reading: every field is taken with its type, and anything else is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")


class NotAPlan(ValueError):
    """The text is JSON and still no plan; the message says why and quotes nothing of it."""


class PlanObject:
    """A JSON object under reading: each method takes one field and insists on its type."""

    def __init__(self, data: object, what: str) -> None:
        """`what` names the object in messages."""
        if not isinstance(data, dict):
            raise NotAPlan(f"{what} is not an object")
        self._data, self._what = data, what

    def get(self, name: str) -> object:
        """Return the field as it is; None when absent."""
        return self._data.get(name)

    def text(self, name: str) -> str:
        """Return a text."""
        found = self._data.get(name)
        if not isinstance(found, str):
            raise NotAPlan(f"{self._what}.{name} is not a text")
        return found

    def maybe_text(self, name: str) -> str | None:
        """Return a text, or None when absent or null."""
        return None if self._data.get(name) is None else self.text(name)

    def maybe_flag(self, name: str) -> bool | None:
        """Return true or false, or None when absent or null."""
        found = self._data.get(name)
        if found is not None and not isinstance(found, bool):
            raise NotAPlan(f"{self._what}.{name} is not true or false")
        return found

    def whole(self, name: str) -> int:
        """Return a whole number from 0 to 2**31 - 1."""
        found = self._data.get(name)
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 2**31:
            raise NotAPlan(f"{self._what}.{name} is not a whole number")
        return found

    def maybe_whole(self, name: str) -> int | None:
        """Return a whole number, or None when absent or null."""
        return None if self._data.get(name) is None else self.whole(name)

    def index(self, name: str, count: int) -> int:
        """Return an index into a list of `count` entries."""
        found = self.whole(name)
        if found >= count:
            raise NotAPlan(f"{self._what}.{name} points to nothing")
        return found

    def sequence(self, name: str) -> list[object]:
        """Return a list; absent and null are empty."""
        found = self._data.get(name)
        if found is None:
            return []
        if not isinstance(found, list) or len(found) > 65_536:
            raise NotAPlan(f"{self._what}.{name} is not a list")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; absent and null are empty."""
        found = self.sequence(name)
        if not all(isinstance(entry, str) for entry in found):
            raise NotAPlan(f"{self._what}.{name} is not a list of texts")
        return tuple(entry for entry in found if isinstance(entry, str))

    def objects(self, name: str) -> Iterable[PlanObject]:
        """Return a list of objects, under reading."""
        return [
            PlanObject(entry, f"an entry of {self._what}.{name}") for entry in self.sequence(name)
        ]

    def each(self, name: str, make: Callable[[PlanObject], T]) -> tuple[T, ...]:
        """Return what `make` makes of each object of a list."""
        return tuple(make(entry) for entry in self.objects(name))

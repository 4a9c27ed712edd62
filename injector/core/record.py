"""Records: frozen values with named fields, as `dataclass(frozen, slots, kw_only)` makes them.

A dataclass writes and compiles source text for each class, and loads `inspect` for that: with the
fifty classes of a `fetch` that is longer than everything else it does (docs/adr has figures). Here
all classes share one set of methods. To a type checker a record is a dataclass.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes 2 ms to load, and type checkers alone need it here
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, dataclass_transform

    R = TypeVar("R", bound="Record")
else:

    def dataclass_transform(**_: object) -> Callable[[type], type]:
        """Mark nothing: type checkers alone look for it."""
        return lambda it: it


_REQUIRED = object()
_HIDDEN = object()


def hidden() -> Any:
    """Return what to write behind a required field that no `repr` may show."""
    return _HIDDEN


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(hidden,))
class RecordType(type):
    """Makes slots of the annotated names of a class, and keeps their defaults."""

    _fields: dict[str, object]
    """Name → default, or that there is none."""
    _setters: dict[str, Callable[[Record, object], None]]

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> RecordType:
        """Make the class; annotations are texts, so every module of records has the import."""
        names = tuple(body.get("__annotations__", ()))
        body["__slots__"] = names
        fields: dict[str, object] = {}
        for base in bases:
            fields.update(getattr(base, "_fields", {}))
        fields |= {each: body.pop(each, _REQUIRED) for each in names}
        body["_fields"] = fields
        made = super().__new__(cls, name, bases, body)
        # A slot's own setter is three times as fast as a look-up by name for each field.
        made._setters = {each: getattr(made, each).__set__ for each in fields}
        return made


class Record(metaclass=RecordType):
    """The base of all records: equal and hashed by its fields, never changed."""

    def __init__(self, **given: Any) -> None:
        """Take the fields by name; raises TypeError for a wrong or missing one."""
        setters, fields = type(self)._setters, type(self)._fields  # noqa: SLF001  # our own
        if len(given) != len(fields):
            given = fields | given
        try:
            for name, value in given.items():
                if value is _REQUIRED or value is _HIDDEN:
                    raise TypeError(f"{type(self).__name__} lacks {name}")
                setters[name](self, value)
        except KeyError:
            unknown = [name for name in given if name not in fields]
            raise TypeError(f"{type(self).__name__} has no {', '.join(unknown)}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(tuple(_values(self)))

    def __repr__(self) -> str:
        shown = [
            f"{name}={getattr(self, name)!r}"
            for name, default in type(self)._fields.items()
            if default is not _HIDDEN
        ]
        return f"{type(self).__qualname__}({', '.join(shown)})"


def _values(record: Record) -> list[Any]:
    return [getattr(record, name) for name in type(record)._fields]


def replace(record: R, **changes: Any) -> R:
    """Return a copy with some fields changed."""
    return type(record)(**{**fields(record), **changes})


def fields(record: Record) -> dict[str, Any]:
    """Return the fields by name."""
    return {name: getattr(record, name) for name in type(record)._fields}

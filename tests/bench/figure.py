"""One measured figure and what is expected of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value in a unit; `at_least` or `at_most` is the target, if there is one."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return self.value <= self.at_most if self.at_most is not None else None

    @property
    def shown(self) -> str:
        """The value for people."""
        return f"{self.value:,.{0 if abs(self.value) >= 100 else 2}f} {self.unit}"

    @property
    def target_shown(self) -> str:
        """The target for people."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""

    @property
    def verdict(self) -> str:
        """Whether the target is met, for people."""
        return {None: "", True: "met", False: "MISSED"}[self.is_met]

    def document(self) -> dict[str, object]:
        """The figure as data."""
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "at_least": self.at_least,
            "at_most": self.at_most,
        }

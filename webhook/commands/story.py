"""What `demo` tells: numbered steps in 100 columns, coloured on a terminal only."""

from __future__ import annotations

import textwrap
import time
from typing import Any

import click

WIDTH = 100


class Story:
    """Tells what happens, and keeps what was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._steps = 0
        self._began_s = time.monotonic()

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._steps += 1
        self.line()
        self.line(f"{self._steps}. {title}", bold=True)

    def line(self, text: str = "", **style: Any) -> None:
        """Say one line, cut at the width; colours and marks only reach a terminal."""
        text = text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
        self.told.append(text)
        click.echo(click.style(text, **style) if style else text)

    def done(self, text: str) -> None:
        """Say what worked."""
        self.line(f"   ✓ {text}", fg="green")

    def block(self, text: str) -> None:
        """Repeat what a program said."""
        for line in text.splitlines():
            indent = " " * (len(line) - len(line.lstrip()))
            for part in textwrap.wrap(line, WIDTH - 5, subsequent_indent=indent) or [""]:
                self.line(f"   │ {part}")

    def diff(self, text: str) -> None:
        """Show a diff in its usual colours."""
        for line in text.splitlines():
            colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
            self.line(f"   {line}", fg=colour) if colour else self.line(f"   {line}")

    def took_s(self) -> float:
        """Return how long it took so far."""
        return time.monotonic() - self._began_s

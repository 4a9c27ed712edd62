"""Log lines of the pod's programs: JSON on standard error, in the field names of the webhook's.

Thirty lines instead of a library, for every pod waits for our start-up (docs/adr has figures).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

Field = str | int | float | bool | None | Sequence[Mapping[str, "Field"]]

LEVELS = ("debug", "info", "warning", "error")


class Log:
    """Writes events of a level and above to a stream; `bound` fields stand in every line."""

    def __init__(self, stream: TextIO, *, level: str = "info", **bound: Field) -> None:
        """Take the stream, the least of `LEVELS`, and fields such as the pod's name."""
        self._stream = stream
        self._levels = LEVELS[LEVELS.index(level) :]
        self._bound = bound

    def info(self, event: str, **fields: Field) -> None:
        """Write that something is done; `event` is a fixed phrase."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Field) -> None:
        """Write that something is wrong and went on."""
        self._write("warning", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Field]) -> None:
        if level not in self._levels:
            return
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        timestamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        line = {
            "timestamp": f"{timestamp}.{nanoseconds // 1000:06}Z",
            "level": level,
            "event": event,
            **self._bound,
            **fields,
        }
        self._stream.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._stream.flush()

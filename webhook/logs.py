"""Logging of the webhook: JSON lines on standard error, one event phrase and its fields each.

Loggers are taken with `structlog.get_logger()`; nothing else writes to standard error.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any, BinaryIO

import msgspec
import structlog

_ENCODER = msgspec.json.Encoder(enc_hook=str)


class Sink:
    """A stream that loses a line rather than an admission.

    A full disk or a gone reader is no reason to refuse a pod. `lost` counts the lines.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.lost = 0

    def write(self, line: bytes) -> None:
        """Write, or count what could not be written."""
        try:
            self._stream.write(line)
        except (OSError, ValueError):
            self.lost += 1

    def flush(self) -> None:
        """Flush; what that loses is counted as one line."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.lost += 1


def set_up(level: str, stream: BinaryIO | None = None) -> Sink:
    """Configure structlog for the process and return where the lines go."""
    sink = Sink(stream if stream is not None else sys.stderr.buffer)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.BytesLoggerFactory(sink),  # type: ignore[arg-type]  # write and flush
        cache_logger_on_first_use=True,
    )
    # asyncio and aiohttp speak to `logging`; what they say of a connection is never about a review.
    logging.basicConfig(level=logging.CRITICAL, handlers=[logging.NullHandler()], force=True)
    return sink


def place(fault: BaseException) -> list[str]:
    """Return the frames of a fault as `file:line function`: code only, none of its values."""
    return [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(fault.__traceback__)
    ]


def _render(_logger: Any, _method: str, event: structlog.typing.EventDict) -> bytes:
    first = {key: event.pop(key) for key in ("timestamp", "level", "event")}
    return _ENCODER.encode({**first, **event})

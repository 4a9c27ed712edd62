"""What a snapshot remembers of its decisions, within a bound: tenants choose what comes in."""

from __future__ import annotations

from webhook.core.review import Outcome

MAX_BYTES = 16 * 1024 * 1024
MAX_ENTRY = 64 * 1024


class Memo:
    """Outcomes by everything they depend on; forgets all of them when they take too much room."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._outcomes: dict[bytes, Outcome] = {}
        self._bytes = 0

    def get(self, key: bytes) -> Outcome | None:
        """Return what was decided under the key."""
        return self._outcomes.get(key)

    def put(self, key: bytes, outcome: Outcome) -> None:
        """Remember an outcome, unless it is unusually large."""
        # Operations take a few times the room of their text, problems about a page.
        size = len(key) + 8 * len(outcome.patch) + 1024 * (1 + len(outcome.problems))
        if size > MAX_ENTRY:
            return
        if self._bytes + size > MAX_BYTES:
            self._outcomes.clear()
            self._bytes = 0
        self._outcomes[key] = outcome
        self._bytes += size

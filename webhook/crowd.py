"""Which connection gives way when there are too many: counting and order, without a socket.

`webhook/listener.py` reports what becomes of each connection; `webhook/connections.py` reads the
counts. When all places are taken, a newcomer takes the place of, in this order,

1. one whose TLS handshake is not finished, the oldest first: of those that never sent a byte, then
   of the others;
2. one that never carried a request that was answered with success, the longest idle first;
3. the longest idle of the others;

and of nobody whose request is being answered: then the newcomer waits. One peer address holds at
most its share; beyond it, the peer's own connections give way, in the same order.

Two callers that come at once must not push each other out while idle connections stay. So the first
few (a sixteenth) that came a moment ago are passed over in 1 and 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


class Stage(IntEnum):
    """How far a connection has come; the lower ones give way first, BUSY never."""

    ARRIVED = 0
    GREETED = 1
    UNPROVEN = 2
    PROVEN = 3
    BUSY = 4


class Guest:
    """One connection as the crowd sees it."""

    __slots__ = ("is_proven", "peer", "stage")

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.stage = Stage.ARRIVED
        self.is_proven = False

    def give_way(self) -> None:
        """Close at once; the crowd has already forgotten it."""
        raise NotImplementedError

    def is_starting(self) -> bool:
        """Say whether it came a moment ago, so that its handshake and request may be on the way."""
        return False

    def is_about_to_ask(self) -> bool:
        """Say whether bytes of its peer have arrived that nobody has read yet."""
        return False


@dataclass(slots=True)
class _Party:
    """The connections of one peer, or all, by stage; within a stage the longest there is first."""

    spared: int
    count: int = 0
    stages: tuple[dict[Guest, None], ...] = field(default_factory=lambda: ({}, {}, {}, {}, {}))

    def add(self, guest: Guest) -> None:
        self.count += 1
        self.stages[guest.stage][guest] = None

    def remove(self, guest: Guest) -> None:
        self.count -= 1
        del self.stages[guest.stage][guest]

    def next_to_go(self) -> Guest | None:
        """Return who gives way first; what is about to ask counts as a request in flight."""
        for stage in (Stage.ARRIVED, Stage.GREETED, Stage.UNPROVEN):
            for index, guest in enumerate(self.stages[stage]):
                if index >= self.spared:
                    return next(iter(self.stages[stage]))
                if not (guest.is_starting() or (stage and guest.is_about_to_ask())):
                    return guest
        for guest in self.stages[Stage.PROVEN]:
            if not guest.is_about_to_ask():
                return guest
        begun = (self.stages[stage] for stage in (Stage.ARRIVED, Stage.GREETED, Stage.UNPROVEN))
        return next((guest for stage in begun for guest in stage), None)


class Crowd:
    """All connections of one listener, at most `limit`."""

    def __init__(self, *, limit: int, without_share: Sequence[Network] = ()) -> None:
        """Allow each peer half of the limit, and those in the networks `without_share` all of it.

        Half, because a proxy in front makes many peers one.
        """
        self.limit = limit
        self.share = (limit + 1) // 2
        self.on_room: Callable[[], None] = lambda: None
        self.on_gone: Callable[[str], None] = lambda _reason: None
        self._without_share = tuple(without_share)
        self._all = _Party(spared=limit // 16)
        self._peers: dict[str, _Party] = {}

    @property
    def count(self) -> int:
        """How many connections there are."""
        return self._all.count

    def count_of(self, stage: Stage) -> int:
        """Return how many connections are in the stage."""
        return len(self._all.stages[stage])

    def guests(self, stage: Stage) -> tuple[Guest, ...]:
        """Return the connections in the stage, in the order in which they give way."""
        return tuple(self._all.stages[stage])

    @property
    def has_room(self) -> bool:
        """Say whether a newcomer finds a place now, be it that somebody gives way."""
        return self.count < self.limit or self._all.next_to_go() is not None

    @property
    def why_full(self) -> str:
        """Why newcomers must wait; nothing when there is room. Any thread may ask."""
        is_full = self.count_of(Stage.BUSY) >= self.limit
        return f"full: all {self.limit} connections carry a request" if is_full else ""

    def admit(self, guest: Guest) -> bool:
        """Give a newcomer a place, and let somebody give way for it if need be; False: refused."""
        party = self._peers.get(guest.peer)
        if party is not None and party.count >= self.share and not self._is_exempt(guest.peer):
            if not self._make_room(party, "peer"):
                self.on_gone("peer")
                return False
        elif self.count >= self.limit and not self._make_room(self._all, "full"):
            self.on_gone("full")
            return False
        self._all.add(guest)
        if (party := self._peers.get(guest.peer)) is None:  # it may have left just now
            party = self._peers[guest.peer] = _Party(spared=self.share // 16)
        party.add(guest)
        return True

    def move(self, guest: Guest, stage: Stage) -> None:
        """Put a connection at the end of a stage: there it is the last to give way."""
        if guest not in self._all.stages[guest.stage]:
            return  # it has given way, and its protocol has yet to hear of it
        for party in self._parties(guest):
            del party.stages[guest.stage][guest]
            party.stages[stage][guest] = None
        guest.stage = stage
        if stage is not Stage.BUSY:
            self.on_room()

    def leave(self, guest: Guest) -> None:
        """Forget a connection that is closed; nothing when it is forgotten already."""
        if guest in self._all.stages[guest.stage]:
            self._forget(guest)
            self.on_room()

    def shed(self) -> None:
        """Let one connection give way, because the process is out of descriptors or memory."""
        self._make_room(self._all, "resources")

    def _make_room(self, party: _Party, reason: str) -> bool:
        guest = party.next_to_go()
        if guest is None:
            return False
        self._forget(guest)
        self.on_gone(reason)
        guest.give_way()
        return True

    def _forget(self, guest: Guest) -> None:
        for party in self._parties(guest):
            party.remove(guest)
        if not self._peers[guest.peer].count:
            del self._peers[guest.peer]

    def _parties(self, guest: Guest) -> tuple[_Party, _Party]:
        return self._all, self._peers[guest.peer]

    def _is_exempt(self, peer: str) -> bool:
        if not self._without_share:
            return False
        address = ip_address(peer.partition("%")[0])
        return any(address in network for network in self._without_share)

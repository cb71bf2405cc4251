"""How much one peer may have of the door, and what follows when it sends nothing but rubbish."""

from __future__ import annotations

from collections import Counter
from enum import Enum, auto
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from stratum.errors import Code

MOST_UNANSWERED: Final = 4_096
"""Replies of one connection that may wait for the disk; then it is not read until they are out."""
INVALID_IN_A_ROW: Final = 25
"""So many invalid shares, if they are more than the accepted ones beside them, call for the next measure."""
_REQUESTS_AT_ONCE: Final = 2_000.0
_REQUESTS_PER_S: Final = 20.0
_IPV6_NETWORK_BITS: Final = 64


class Addresses:
    """Who holds how many connections.

    Args:
        limit: connections from one IPv4 address or one IPv6 /64; None for no limit.  What has no address (a
            Unix socket) is not limited.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._live: Counter[str] = Counter()

    def enter(self, host: str) -> bool:
        """One more connection of this host; False when it has too many, and then it is not counted."""
        if not host:
            return True
        if self._limit is not None and self._live[host] >= self._limit:
            return False
        self._live[host] += 1
        return True

    def leave(self, host: str) -> None:
        """A connection that had entered is gone."""
        if self._live[host] > 1:
            self._live[host] -= 1
        else:
            del self._live[host]


@lru_cache(maxsize=16_384)
def holder(host: str) -> str:
    """Who an address belongs to, as far as limits go: itself, or its /64; empty for no IP address.

    Whoever has an IPv6 connection has 2^64 addresses.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> _IPV6_NETWORK_BITS << _IPV6_NETWORK_BITS)}/{_IPV6_NETWORK_BITS}"


class Measure(Enum):
    """What is done about a connection, from mild to hard."""

    NONE = auto()
    RESEND = auto()
    """Say so, and send a fresh job: some firmware has lost track of its work."""
    RECONNECT = auto()
    """Ask it to connect again."""
    DROP = auto()


_GRADES: Final = (Measure.RESEND, Measure.RECONNECT, Measure.DROP)


class Conduct:
    """One connection's behaviour.

    Attributes:
        accepted: shares since the last judgement; counted from outside, on the hot path.
    """

    __slots__ = ("_at", "_grade", "_invalid", "_left", "accepted")

    def __init__(self, now: float) -> None:
        self.accepted = self._invalid = self._grade = 0
        self._left = _REQUESTS_AT_ONCE
        self._at = now

    def refused(self, code: Code) -> Measure:
        """A submission was refused.  Stale ones are nobody's fault: an ASIC would show the pool as dead."""
        if code is Code.STALE:
            return Measure.NONE
        self._invalid += 1
        if self._invalid < INVALID_IN_A_ROW:
            return Measure.NONE
        worse, self._invalid, self.accepted = self._invalid > self.accepted, 0, 0
        if not worse:
            self._grade = max(self._grade - 1, 0)
            return Measure.NONE
        self._grade += 1
        return _GRADES[min(self._grade, len(_GRADES)) - 1]

    def requested(self, now: float) -> bool:
        """A request that was no submission; False when there were too many in too short a time.

        A proxy authorizes hundreds of workers at once, and then falls silent for hours.
        """
        self._left = min(_REQUESTS_AT_ONCE, self._left + (now - self._at) * _REQUESTS_PER_S) - 1
        self._at = now
        return self._left >= 0

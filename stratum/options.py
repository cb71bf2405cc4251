"""What an operator can set about the miners' door, and the limits that nobody sets."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

import attrs

from stratum.units import Difficulty

POOL: Final = "pool"
"""The pot that shares go into where a port names none of its own."""
MAX_LINE_BYTES: Final = 16_384
"""A longer line from a miner is abuse: the connection is dropped."""
MAX_MALFORMED_LINES: Final = 10
"""So many unreadable lines are answered; with the next one the connection is dropped."""
MAX_WORKERS: Final = 1_000
"""Usernames that one connection may authorize."""
MAX_USERNAME_CHARACTERS: Final = 127
"""Whatsminer firmware overflows above it."""
VERSION_MASK: Final = 0x1FFFE000
"""The version bits that miners may roll (BIP 320)."""
STALE_GRACE_S: Final = 120.0
"""How long shares of a job count after a newer job on the same tip replaced it."""
EXTRANONCE1_BYTES: Final = 4
EXTRANONCE2_BYTES: Final = 8


def _difficulty(value: Decimal | Fraction | int) -> Difficulty:
    # miners are told doubles: judged by exactly what they are told
    return Difficulty(Fraction(float(value)))


@attrs.frozen(kw_only=True)
class Options:
    """The settings of one Stratum server.

    Attributes:
        start_difficulty: what a connection starts with; an int, Decimal or Fraction.
        minimum_difficulty: the least that vardiff and miners' wishes may reach; an easier network wins.
        shares_per_minute: what vardiff aims at, per connection.
        vardiff: whether difficulty follows the connection's speed.
        handshake_timeout_s: a connection that nobody authorized by then is closed.
        idle_timeout_s: a connection that sent nothing for so long is closed.
        flush_s: how long accepted shares are collected before they are written together.
        front_id: first byte of every extranonce1, 0 … 255; differs between fronts of one pool.
        max_connections: further connections are closed at once; None for no limit.
        max_connections_per_address: the same for one IPv4 address or one IPv6 /64.
        pot: what the port's shares and blocks are counted under, apart from those of other pots.
    """

    start_difficulty: Difficulty = attrs.field(
        default=Difficulty(Fraction(10_000)),
        converter=_difficulty,
        validator=attrs.validators.gt(Difficulty(Fraction(0))),
    )
    minimum_difficulty: Difficulty = attrs.field(
        default=Difficulty(Fraction(1, 1000)),
        converter=_difficulty,
        validator=attrs.validators.gt(Difficulty(Fraction(0))),
    )
    shares_per_minute: float = 12.0
    vardiff: bool = True
    handshake_timeout_s: float = 60.0
    idle_timeout_s: float = 900.0
    flush_s: float = 0.005
    front_id: int = attrs.field(default=0, validator=[attrs.validators.ge(0), attrs.validators.le(255)])
    max_connections: int | None = None
    max_connections_per_address: int | None = None
    pot: str = POOL

"""What is asked beside the mining itself: BIP 310's extensions, and what it is only polite to answer."""

from __future__ import annotations

from typing import Final

from stratum import wire
from stratum.errors import Code
from stratum.rolling import negotiate
from stratum.seating import Seating
from stratum.steering import Steering
from stratum.wishes import difficulty

_EXTRANONCES: Final = "mining.extranonce.subscribe"
_COURTESIES: Final[dict[str, object]] = {
    _EXTRANONCES: True,
    "mining.multi_version": True,
    # what pools have answered for years; the miner has the merkle branch
    "mining.get_transactions": [],
    "mining.ping": "pong",
    "ping": "pong",
    # proxies ask it of whatever they are connected to
    "client.get_version": "sluice",
}


def configure(message: wire.Configure, seating: Seating, steering: Steering) -> bytes:
    """Answer exactly the extensions that were asked for (an unrequested key makes Whatsminers drop)."""
    seat, answer = seating.seat, dict[str, object]()
    for name in message.extensions:
        match name:
            case "version-rolling":
                seat.version_mask = negotiate(message.parameters)
                answer[name] = seat.version_mask != 0
                if seat.version_mask:
                    answer["version-rolling.mask"] = f"{seat.version_mask:08x}"
            case "minimum-difficulty":
                value = difficulty(message.parameters.get("minimum-difficulty.value"))
                answer[name] = value is not None
                steering.raise_floor(value)
            case "subscribe-extranonce":
                answer[name] = seating.moves = True
            case "info":
                answer[name] = True
            case _:
                answer[name] = False
    return wire.result(message.id, answer)


def courtesy(message: wire.Plain, seating: Seating) -> bytes:
    """Answer a request whose parameters do not matter; the connection outlives one that nobody knows."""
    if message.method == _EXTRANONCES:
        seating.moves = True
    if message.method in _COURTESIES:
        return wire.result(message.id, _COURTESIES[message.method])
    return wire.error(message.id, Code.OTHER, "Unknown method")

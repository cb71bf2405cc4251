"""What the pool says without being asked: difficulties, jobs, masks, messages; built once, as bytes."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Final

import msgspec

from stratum.jobs import Job
from stratum.units import Difficulty
from stratum.wire import VERSION_REQUEST

_encode = msgspec.json.Encoder().encode

RESTARTING: Final = "The pool restarts: your miner goes on where it was in a few seconds."
GET_VERSION: Final = b'{"id":' + VERSION_REQUEST + b',"method":"client.get_version","params":[]}\n'
RECONNECT: Final = b'{"id":null,"method":"client.reconnect","params":[]}\n'
"""To the same host and port: the only place that miners let themselves be sent to without a check."""


def reconnect(host: str, port: int) -> bytes:
    """To another place, at once; most miners only heed one below the domain that they know us by."""
    return b'{"id":null,"method":"client.reconnect","params":' + _encode([host, port, 0]) + b"}\n"


def farewell(*, shown: bool) -> bytes:
    """Before a planned stop: come again; with a text where that is shown to the miner's owner."""
    return (show_message(RESTARTING) if shown else b"") + RECONNECT


def show_message(text: str) -> bytes:
    """A text for the miner's owner."""
    return b'{"id":null,"method":"client.show_message","params":' + _encode([text]) + b"}\n"


def set_version_mask(mask: int) -> bytes:
    """The version bits that the miner may roll from now on (BIP 310)."""
    return b'{"id":null,"method":"mining.set_version_mask","params":["%08x"]}\n' % mask


def set_extranonce(extranonce1: bytes, extranonce2_bytes: int) -> bytes:
    """What takes the place of subscribe's extranonce1 and size, from the next job on."""
    return b'{"id":null,"method":"mining.set_extranonce","params":["%s",%d]}\n' % (
        extranonce1.hex().encode(),
        extranonce2_bytes,
    )


@lru_cache(maxsize=1024)
def set_difficulty(value: Difficulty) -> bytes:
    """Tell a difficulty; a value that no double holds is told as the next double above it.

    The miner's target is then never easier than the one its shares are judged at.
    """
    number = float(value)
    if Fraction(number) < value:
        number = math.nextafter(number, math.inf)
    text = repr(int(number)) if number.is_integer() else repr(number)
    return b'{"id":null,"method":"mining.set_difficulty","params":[' + text.encode() + b"]}\n"


def notify(job: Job, *, clean: bool) -> bytes:
    """The job for everybody; prev_hash goes out as eight 4-byte words, each byte-swapped."""
    words = b"".join(job.prev_hash[at : at + 4][::-1] for at in range(0, 32, 4))
    params = [
        job.id,
        words.hex(),
        job.coinb1.hex(),
        job.coinb2.hex(),
        [branch.hex() for branch in job.branches],
        f"{job.version:08x}",
        f"{job.nbits:08x}",
        f"{job.ntime:08x}",
        clean,
    ]
    return b'{"id":null,"method":"mining.notify","params":' + _encode(params) + b"}\n"

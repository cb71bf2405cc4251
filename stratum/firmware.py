"""What is known of machines by their user agent: a table, so that nothing else asks who is there."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Final

import attrs

from stratum.options import EXTRANONCE2_BYTES
from stratum.units import Difficulty


@attrs.frozen(kw_only=True)
class Firmware:
    """What one family of machines needs.

    Attributes:
        name: what people call it.
        agents: parts of the user agent, lower case; any of them tells this family.
        coinbase_bytes: the longest coinbase (without witness) that it takes; None if no limit is known.
        most_start: a connection starts no higher: the machine is small.
        least_start: a connection starts no lower: it is many machines, or a market with a minimum of its own.
        extranonce2_bytes: how many bytes it is given to vary, 1 … 8; the rest of the eight is fixed to zero.
        short_nonce: it writes a nonce without leading zeros (one share in sixteen).
        mask_after_authorize: it waits for ``mining.set_version_mask`` before it rolls versions.  It comes
            after the reply to authorize: an S21 hangs up when it comes before.
        shows_messages: it shows ``client.show_message`` to its owner; others call it an unknown method.
    """

    name: str
    agents: tuple[str, ...] = ()
    coinbase_bytes: int | None = None
    most_start: Difficulty | None = None
    least_start: Difficulty | None = None
    extranonce2_bytes: int = EXTRANONCE2_BYTES
    short_nonce: bool = False
    mask_after_authorize: bool = False
    shows_messages: bool = False

    def start_difficulty(self, usual: Difficulty) -> Difficulty:
        """Where a connection of this family starts on a port that usually starts there."""
        if self.most_start is not None:
            return min(self.most_start, usual)
        return usual if self.least_start is None else max(self.least_start, usual)


def _difficulty(value: Fraction | int) -> Difficulty:
    return Difficulty(Fraction(value))


UNKNOWN: Final = Firmware(name="unknown", coinbase_bytes=755)
"""Whatever the table does not know is taken for a stock Antminer."""

TABLE: Final[tuple[Firmware, ...]] = (
    Firmware(
        # src/utils.cpp: coinbase in a buffer of 512 digits; extranonce2 as "%16x", that is with spaces, when
        # it has 8 bytes (NerdMiner_v2#763) and as "%08x" when it has 4; src/stratum.cpp: String(nonce, HEX),
        # without leading zeros (NerdMiner_v2#750, #822); some 70 kH/s
        name="NerdMiner",
        agents=("nerdminer", "han_solo", "nmminer", "sparkminer", "leafminer"),
        coinbase_bytes=255,
        most_start=_difficulty(Fraction(1, 256)),
        extranonce2_bytes=4,
        short_nonce=True,
    ),
    Firmware(
        # components/stratum/stratum_api.c: "bitaxe/<chip>/<version>"; some 500 GH/s
        name="Bitaxe",
        agents=("bitaxe", "esp-miner", "nmaxe"),
        coinbase_bytes=6500,
        most_start=_difficulty(580),
    ),
    # several chips on the same code: some 5 TH/s
    Firmware(
        name="NerdQAxe", agents=("nerdqaxe", "nerdoctaxe"), coinbase_bytes=6500, most_start=_difficulty(5000)
    ),
    # DATUM, datum_stratum.c: coinbase sizes by user agent, and where a rental starts
    Firmware(
        name="NiceHash", agents=("nicehash", "nhmp"), coinbase_bytes=500, least_start=_difficulty(524_288)
    ),
    Firmware(
        name="Mining Rig Rentals",
        agents=("miningrigrentals",),
        coinbase_bytes=500,
        least_start=_difficulty(65_536),
    ),
    Firmware(name="Whatsminer", agents=("whatsminer",), coinbase_bytes=6500, mask_after_authorize=True),
    Firmware(name="Antminer S21", agents=("antminer s21",), coinbase_bytes=2250),
    Firmware(name="Braiins OS", agents=("bosminer",), coinbase_bytes=2250),
    Firmware(name="ePIC", agents=("powerplay-bm",), coinbase_bytes=16_000),
    Firmware(name="VNish", agents=("xminer-1.",), coinbase_bytes=16_000),
    Firmware(name="Antminer", agents=("bmminer", "antminer"), coinbase_bytes=755),
    # a proxy stands for a whole farm, but tells so only by its name
    Firmware(name="ckproxy", agents=("ckproxy", "ckpool"), least_start=_difficulty(65_536)),
    # util.c, show_message(); Avalons speak as cgminer too
    Firmware(name="cgminer", agents=("cgminer", "bfgminer"), coinbase_bytes=755, shows_messages=True),
    # a processor: some 10 MH/s
    Firmware(
        name="cpuminer",
        agents=("cpuminer",),
        most_start=_difficulty(Fraction(1, 64)),
        shows_messages=True,
    ),
)
"""The first entry that matches counts."""


@lru_cache(maxsize=1024)
def of(user_agent: str) -> Firmware:
    """The family of a user agent, as it came with ``mining.subscribe``."""
    name = user_agent.lower()
    for firmware in TABLE:
        if any(part in name for part in firmware.agents):
            return firmware
    return UNKNOWN


def least_coinbase_bytes() -> int:
    """The longest coinbase that every known machine takes: what one job for everybody has to keep to."""
    return min(each.coinbase_bytes for each in (UNKNOWN, *TABLE) if each.coinbase_bytes is not None)
